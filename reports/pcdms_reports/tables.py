"""Per-stage tables: rows are stages of methods, columns metrics; ranks, intervals and footnotes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pandas as pd

from pcdms_reports.metric_words import MetricWords, metric_order, words_of
from pcdms_reports.ranking import ranks
from pcdms_reports.records import RecordError, ScoreRow
from pcdms_reports.scores import to_rows
from pcdms_reports.stage_rows import StageCell, StageRow, StageTable
from pcdms_reports.table_model import Footnotes

# Numbers are compared inside one table only when all of these agree; an empty field (a metric that
# knows no protocol or frame, such as a parameter count) agrees with everything.
COMPARABLE = ("dataset", "split", "resolution", "protocol", "selection")
ROW = ("method", "stages", "run", "stage")
STAGE_ORDER = ("prior", "inpaint", "refine", "final")
CEILINGS = ("target-copy", "dense-warp", "vae-roundtrip", "vae-roundtrip-native")
REFINED = "+refine"
"""How the name of a method ends whose pictures the stage `refine` of another one made over."""
GROUPS = ("pictures", "prior", "cost")
Key = tuple[str, str, str, str]
"""Method, stages, run and stage: what names a row."""


def comparable_frames(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Return `frame` cut into the parts whose numbers may share a table, in order of appearance.

    Rows with an empty field of `COMPARABLE` belong to every part they do not contradict.
    """
    keys = frame[list(COMPARABLE)].drop_duplicates().itertuples(index=False, name=None)
    distinct = [tuple(str(field) for field in key) for key in keys]
    whole = [
        key
        for key in distinct
        if not any(other != key and _covers(key, other) for other in distinct)
    ]
    parts = []
    for key in whole:
        fits = pd.Series(True, index=frame.index)
        for name, wanted in zip(COMPARABLE, key, strict=True):
            fits &= (frame[name] == wanted) | (frame[name] == "")
        parts.append(frame[fits])
    return parts


def _covers(general: tuple[str, ...], special: tuple[str, ...]) -> bool:
    return all(a in ("", b) for a, b in zip(general, special, strict=True))


def stage_tables(
    frame: pd.DataFrame, metrics: Sequence[str] | None = None, note: str = ""
) -> list[StageTable]:
    """Return one table for each part of `frame` that may be compared and each group of metrics.

    The groups are the quality of the pictures, the prior's embeddings, and the cost.
    """
    tables = []
    for part, group in product(comparable_frames(frame), GROUPS):
        inside = part[[words_of(str(name)).group == group for name in part["metric"]]]
        if metrics is not None:
            inside = inside[inside["metric"].isin(list(metrics))]
        if len(inside):
            tables.append(stage_table(inside, metrics, note))
    return tables


def stage_table(
    frame: pd.DataFrame, metrics: Sequence[str] | None = None, note: str = ""
) -> StageTable:
    """Return the table of `frame`, limited to `metrics` (default all it holds, in a fixed order).

    Best and second best are marked per column, in the metric's direction; the ceiling methods and
    rows that use the true target's embedding are shown but never ranked, and neither is a column
    whose rows differ in pairs, extractor or reference. `note` is appended to the caption. Raises
    RecordError when rows of different datasets, splits, frames, protocols or selections meet, when
    one cell would hold two numbers, and when nothing is left to show.
    """
    if metrics is not None:
        frame = frame[frame["metric"].isin(list(metrics))]
    if not len(frame):
        raise RecordError(f"no scores to show for the metrics {metrics or 'of an empty frame'}")
    caption = _caption(frame, note)
    present = {str(name) for name in frame["metric"]}
    names = [name for name in metrics or sorted(present, key=metric_order) if name in present]
    keys = _row_keys(frame)
    cells = _score_cells(frame)
    footnotes = Footnotes()
    columns = []
    for name in names:
        scores = {key: cells[key, name] for key in keys if (key, name) in cells}
        columns.append(_column(words_of(name), keys, scores, footnotes))
    rows = []
    for index, key in enumerate(keys):
        counts = [cells[key, name] for name in names if (key, name) in cells]
        rows.append(
            StageRow(
                label=_label(key, keys),
                method=key[0],
                stages=key[1],
                run=key[2],
                stage=key[3],
                n=max(score.n for score in counts),
                n_expected=max(score.n_expected for score in counts),
                bound=is_bound(key[0], key[1]),
                cells=tuple(column[index] for column in columns),
            )
        )
    columns_of_words = tuple(words_of(name) for name in names)
    return StageTable(caption, columns_of_words, tuple(rows), tuple(footnotes.texts))


def is_bound(method: str, stages: str) -> bool:
    """Return whether a row uses the target itself (ceiling, true embedding): shown, not ranked."""
    return method.removesuffix(REFINED) in CEILINGS or "truth" in stages.split("+")


def stage_label(method: str, stage: str, run: str = "") -> str:
    """Return what a stage is called in a report: by its method alone where that has no other.

    `run` is added where one method has several.
    """
    name = f"{method} [{run}]" if run else method
    refined = stage == "refine" and method.endswith(REFINED)
    return name if stage == "final" or refined else f"{name} · {stage}"


def _caption(frame: pd.DataFrame, note: str) -> str:
    fields = {}
    for name in COMPARABLE:
        found = sorted({str(value) for value in frame[name]} - {""})
        if len(found) > 1:
            raise RecordError(
                f"scores of {name} {' and '.join(map(repr, found))} cannot share a table, "
                f"expected one {name}"
            )
        fields[name] = found[0] if found else ""
    expected = sorted({int(count) for count in frame["n_expected"]})
    parts = [fields["dataset"], *([f"{fields['split']} split"] if fields["split"] else [])]
    if fields["protocol"]:
        parts.append(f"protocol {fields['protocol']}")
    if fields["resolution"]:
        parts.append(f"frame {fields['resolution']}")
    count = f"{expected[0]} {'pair' if expected[0] == 1 else 'pairs'}"
    parts.append(count if len(expected) == 1 else "rows differ in their pairs")
    parts.append(_selection_words(fields["selection"], int(frame["samples"].max())))
    caption = ", ".join(parts)
    return f"{caption}. {note}" if note else caption


def _selection_words(selection: str, samples: int) -> str:
    """Return what a caption says of the samples that were scored."""
    if selection in ("", "first"):
        return "first sample per pair"
    if selection == "oracle-ssim":
        return f"oracle-ssim: best of {samples} samples by SSIM to the true target, in every stage"
    return f"selection {selection} of {samples} samples"


def _row_keys(frame: pd.DataFrame) -> list[Key]:
    """Return the rows in reading order: staged methods, methods of one step, bounds."""
    found = list(dict.fromkeys(zip(*(map(str, frame[name]) for name in ROW), strict=True)))
    methods = list(dict.fromkeys(key[0] for key in found))
    runs = list(dict.fromkeys(key[2] for key in found))

    def order(key: tuple[str, ...]) -> tuple[int, ...]:
        method, stages, run, stage = key
        home = method.removesuffix(REFINED)
        home = home if home in methods else method
        place = 2 if is_bound(method, stages) else int("final" in stages.split("+"))
        stage_place = STAGE_ORDER.index(stage) if stage in STAGE_ORDER else len(STAGE_ORDER)
        if stages == "final+refine":
            stage_place = ("final", "refine").index(stage)
        return place, methods.index(home), home != method, runs.index(run), stage_place

    return sorted(((a, b, c, d) for a, b, c, d in found), key=order)


def _label(key: Key, keys: Sequence[Key]) -> str:
    """Return the shortest name that tells the row from the others."""
    method, stages, run, stage = key
    label = stage_label(method, stage)
    if len({other[1] for other in keys if other[0] == method}) > 1 and stages != stage:
        label += f" of {stages}"
    if len({other[2] for other in keys if (other[0], other[1]) == (method, stages)}) > 1:
        label += f" [{run}]"
    return label


def _score_cells(frame: pd.DataFrame) -> dict[tuple[Key, str], ScoreRow]:
    cells: dict[tuple[Key, str], ScoreRow] = {}
    for score in to_rows(frame):
        key = (score.method, score.stages, score.run, score.stage), score.metric
        if key in cells:
            raise RecordError(
                f"two numbers for {score.metric} of {score.method} {score.stages} stage "
                f"{score.stage}, run {score.run!r}, expected one"
            )
        cells[key] = score
    return cells


def _column(
    words: MetricWords,
    keys: Sequence[Key],
    scores: dict[Key, ScoreRow],
    footnotes: Footnotes,
) -> list[StageCell]:
    """Return the cells of one metric, one for each of `keys`."""
    ranked = {key: s for key, s in scores.items() if not is_bound(key[0], key[1])}
    ranked = {key: s for key, s in ranked.items() if s.status in ("ok", "indicative")}
    differing = [
        what
        for what, name in (("pairs", "n_expected"), ("extractor", "extractor"),
                           ("reference", "reference"))
        if len({getattr(score, name) for score in ranked.values()}) > 1
    ]  # fmt: skip
    values = {key: s.value for key, s in ranked.items() if s.value is not None}
    places = {} if differing else ranks(words.direction, words.digits, values)
    cells = []
    for key in keys:
        if key not in scores:
            cells.append(StageCell("–"))
            continue
        score = scores[key]
        notes = []
        if score.reason or score.status != "ok":
            status = "" if score.status == "ok" else f"{score.status}: "
            notes.append(footnotes.number(f"{status}{score.reason or 'no reason given'}"))
        if differing and key in ranked:
            notes.append(
                footnotes.number(
                    f"{words.title}: not ranked, rows differ in {', '.join(differing)}"
                )
            )
        cells.append(_cell(words, score, places.get(key, 0), tuple(notes)))
    return cells


def _cell(words: MetricWords, score: ScoreRow, rank: int, notes: tuple[int, ...]) -> StageCell:
    if score.value is None:
        text = "n/a" if score.status == "unavailable" else "failed"
        return StageCell(text, score.status, notes=notes)
    text = words.format(score.value)
    if score.ci_low is not None and score.ci_high is not None:
        text += f" ± {words.format((score.ci_high - score.ci_low) / 2)}"
    if score.status == "indicative":
        text = f"~{text}"
    return StageCell(text, score.status, score.value, score.ci_low, score.ci_high, rank, notes)
