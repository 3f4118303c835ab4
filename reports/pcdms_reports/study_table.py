"""A user study as Markdown: its table, the raters and their agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from pcdms_reports.study_file import StudyAnswers
from pcdms_reports.study_measures import FEW_RATERS, fleiss_kappa
from pcdms_reports.study_results import BOOTSTRAP, MEANINGS, MEASURES, StudyRow


def study_markdown(study: StudyAnswers, rows: Sequence[StudyRow]) -> str:
    """Return the table in per cent, and below it what stands behind it."""
    height, width = study.frame
    lines = [
        f"**User study: {study.dataset}, {study.split} split, pictures of {height}x{width}, "
        f"{_count(len(raters_of(study)), 'rater')}**",
        "",
        "| method | " + " | ".join(f"{measure} % ↑" for measure in MEASURES) + " |",
        "|---|" + "---:|" * len(MEASURES),
    ]
    cells = {(row.method, row.measure): row for row in rows}
    for method in study.methods:
        texts = [_cell(cells[method, measure]) for measure in MEASURES]
        lines.append(f"| {_plain(method)} | " + " | ".join(texts) + " |")
    lines += ["", *(f"- {text}" for text in _notes(study, rows))]
    return "\n".join(lines) + "\n"


def raters_of(study: StudyAnswers) -> list[str]:
    """Return the raters who answered anything."""
    return [rater for rater, (done, _) in study.progress.items() if done]


def agreement(study: StudyAnswers) -> dict[str, float | None]:
    """Return Fleiss' kappa of the judgements and of the choices, over what several answered."""
    judged = ((one.question, one.said_real) for one in study.judgements)
    chosen = ((one.question, one.method) for one in study.choices)
    return {
        "real or generated": fleiss_kappa(_counts(judged, (False, True))),
        "preferred method": fleiss_kappa(_counts(chosen, study.methods)),
    }


def _counts(
    answers: Iterable[tuple[str, Hashable]], categories: Sequence[Hashable]
) -> list[list[int]]:
    """Return, per question, how often each category was the answer."""
    found: dict[str, Counter[Hashable]] = {}
    for question, answer in answers:
        found.setdefault(question, Counter())[answer] += 1
    return [[counter[category] for category in categories] for counter in found.values()]


def _cell(row: StudyRow) -> str:
    if row.value is None or row.ci_low is None or row.ci_high is None:
        return "no answer"
    return (
        f"{100 * row.value:.1f} ({100 * row.ci_low:.1f} to {100 * row.ci_high:.1f}) "
        f"n={row.n_answers}"
    )


def _notes(study: StudyAnswers, rows: Sequence[StudyRow]) -> list[str]:
    notes = [f"{measure}: {meaning}." for measure, meaning in MEANINGS.items()]
    if len(study.methods) > 1:
        notes[-1] = notes[-1][:-1] + f"; {100 / len(study.methods):.1f} % by chance."
    else:
        notes[-1] = "Jab: not asked, there is one method only."
    if any(row.interval == BOOTSTRAP for row in rows):
        notes.append(
            "In brackets: 95 % interval by the bootstrap over raters and pictures together, at "
            "least as wide as Wilson's."
        )
        if len(raters_of(study)) < FEW_RATERS:
            notes.append(
                f"With fewer than {FEW_RATERS} raters these intervals are too narrow: so few "
                "cannot show how much raters differ."
            )
    else:
        notes.append("In brackets: Wilson's 95 % interval; it holds for this one rater only.")
    for rater, (done, asked) in study.progress.items():
        state = "" if done == asked else " (incomplete; the answers given are counted)"
        notes.append(f"{rater}: {done} of {asked} answered{state if done else ' (left out)'}.")
    found = {what: kappa for what, kappa in agreement(study).items() if kappa is not None}
    notes += [f"Agreement on {what}, Fleiss' kappa: {k:.2f}." for what, k in found.items()]
    return notes


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
