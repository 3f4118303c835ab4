"""R2G, G2R, Jab, their intervals and the raters' agreement, against numbers worked out by hand."""

from __future__ import annotations

import csv
import io
import itertools
import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from scipy.special import expit

from pcdms_reports.records import RecordError
from pcdms_reports.study_file import FILE, SCHEMA, read_study
from pcdms_reports.study_measures import answer_table, fleiss_kappa, share_of, study_rows
from pcdms_reports.study_results import BOOTSTRAP, MEASURES, WILSON, study_csv
from pcdms_reports.study_table import agreement, study_markdown

Z = 1.959963984540054
COLUMNS = "dataset,method,measure,value,ci_low,ci_high,n_answers,n_raters,interval"


def wilson(yes, count):
    """The interval of Wilson (1927), from its closed form."""
    share = yes / count
    middle = share + Z * Z / (2 * count)
    half = Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    return (middle - half) / (1 + Z * Z / count), (middle + half) / (1 + Z * Z / count)


def write_answers(folder, answers, raters=("ann", "bob")):
    """A study of `a` and `b` with two real, two generated pictures each, and three cases.

    `answers`: rater -> a letter per question, in this order: a's real ones (r: judged real, g:
    generated), a's generated ones, b's real ones, b's generated ones, the cases (a or b).
    """
    folder.mkdir()
    questions = [
        (f"{method}{truth}{n}", "judge", method, truth, f"pair{n}")
        for method in "ab" for truth in ("real", "generated") for n in (1, 2)
    ]  # fmt: skip
    questions += [(f"case{n}", "choose", "", "", f"pair{n}") for n in (1, 2, 3)]
    words = {"r": "real", "g": "generated"}
    with closing(sqlite3.connect(folder / FILE)) as database, database:
        database.executescript(SCHEMA)
        database.execute("INSERT INTO study VALUES (1, 'people', 'test', 96, 64, 0)")
        for place, method in enumerate("ab"):
            database.execute("INSERT INTO methods VALUES (?, ?, '0', 'final')", (place, method))
        database.executemany("INSERT INTO questions VALUES (?, ?, ?, ?, ?)", questions)
        for n, method in itertools.product((1, 2, 3), "ab"):
            database.execute(
                "INSERT INTO pictures VALUES (?, ?, 'candidate', ?)",
                (f"{method}{n}", f"case{n}", method),
            )
        for rater in raters:
            database.execute("INSERT INTO raters VALUES (?, ?)", (rater, rater))
            for place, question in enumerate(questions):
                database.execute(
                    "INSERT INTO screens VALUES (?, ?, ?, '')", (rater, place, question[0])
                )
            for letter, question in zip(answers.get(rater, ""), questions, strict=False):
                answer = words.get(letter, f"{letter}{question[0][-1]}")
                database.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, '')", (rater, question[0], answer)
                )
    return folder


def test_shares_count_the_answers_of_each_methods_own_round(tmp_path):
    # ann: a's real judged r g, a's generated r r, b's real r r, b's generated g g, cases a a b.
    folder = write_answers(tmp_path / "s", {"ann": "rgrrrrggaab", "bob": "ggrgrgggaaa"})
    found = {(row.method, row.measure): row for row in study_rows(read_study(folder))}
    by_hand = {
        ("a", "R2G"): (3, 4), ("a", "G2R"): (3, 4), ("a", "Jab"): (5, 6),
        ("b", "R2G"): (1, 4), ("b", "G2R"): (0, 4), ("b", "Jab"): (1, 6),
    }  # fmt: skip
    assert found.keys() == by_hand.keys()
    for key, (yes, count) in by_hand.items():
        row = found[key]
        assert (row.value, row.n_answers, row.n_raters) == (yes / count, count, 2)
        assert (row.dataset, row.interval) == ("people", BOOTSTRAP)
        low, high = wilson(yes, count)
        assert row.ci_low <= low + 1e-12
        assert row.ci_high >= high - 1e-12


def test_one_rater_has_wilsons_interval(tmp_path):
    folder = write_answers(tmp_path / "s", {"ann": "rgrrrrggaab"})
    found = {(row.method, row.measure): row for row in study_rows(read_study(folder))}
    for key, (yes, count) in {
        ("a", "R2G"): (1, 2), ("a", "G2R"): (2, 2), ("b", "G2R"): (0, 2), ("b", "Jab"): (1, 3),
    }.items():  # fmt: skip
        row = found[key]
        assert (row.interval, row.n_raters, row.value) == (WILSON, 1, yes / count)
        assert (row.ci_low, row.ci_high) == pytest.approx(wilson(yes, count), abs=1e-12)


def test_answers_of_raters_who_stopped_are_counted_and_said(tmp_path):
    folder = write_answers(
        tmp_path / "s", {"ann": "rgrrrrggaab", "bob": "ggr"}, ("ann", "bob", "eve")
    )
    study = read_study(folder)
    assert study.progress == {"ann": (11, 11), "bob": (3, 11), "eve": (0, 11)}
    rows = study_rows(study)
    found = {(row.method, row.measure): row for row in rows}
    assert (found["a", "R2G"].n_answers, found["a", "R2G"].n_raters) == (4, 2)
    assert (found["a", "G2R"].n_answers, found["a", "G2R"].value) == (3, 1.0)
    assert (found["b", "Jab"].n_answers, found["b", "Jab"].n_raters) == (3, 1)
    text = study_markdown(study, rows)
    assert ", 2 raters**" in text
    assert "- ann: 11 of 11 answered." in text
    assert "- bob: 3 of 11 answered (incomplete; the answers given are counted)." in text
    assert "- eve: 0 of 11 answered (left out)." in text
    assert "fewer than 5 raters these intervals are too narrow" in text


def test_a_measure_without_an_answer_has_no_number(tmp_path):
    rows = study_rows(read_study(write_answers(tmp_path / "s", {"ann": "rg"})))
    found = {(row.method, row.measure): row for row in rows}
    for key in (("a", "Jab"), ("b", "R2G"), ("b", "Jab")):
        row = found[key]
        assert (row.value, row.ci_low, row.ci_high, row.interval) == (None, None, None, "")
        assert (row.n_answers, row.n_raters) == (0, 0)
    assert "people,b,Jab,,,,0,0,\n" in study_csv(rows)


def test_the_table_holds_one_row_per_method_and_measure_that_reads_back(tmp_path):
    study = read_study(write_answers(tmp_path / "s", {"ann": "rgrrrrggaab", "bob": "ggrgrgggaaa"}))
    rows = study_rows(study)
    text = study_csv(rows)
    assert text.splitlines()[0] == COLUMNS
    read = list(csv.DictReader(io.StringIO(text)))
    assert [(row["method"], row["measure"]) for row in read] == [
        (method, measure) for method in "ab" for measure in MEASURES
    ]
    for row, cells in zip(rows, read, strict=True):
        assert float(cells["value"]) == row.value
        assert 0 <= float(cells["ci_low"]) <= row.value <= float(cells["ci_high"]) <= 1
    line = study_markdown(study, rows).splitlines()[4]
    assert line.startswith("| a | 75.0 (")
    assert line.count("n=") == 3


def test_resamples_draw_raters_and_pictures_independently():
    """All resamples of two raters and three pictures, each weighted by how often it is drawn."""
    table = np.array([[1.0, 0.0, 1.0], [np.nan, 0.0, 0.0]])
    drawn = []
    for raters in itertools.product(range(2), repeat=2):
        for pictures in itertools.product(range(3), repeat=3):
            cells = table[np.ix_(raters, pictures)]
            if np.isfinite(cells).any():
                drawn.append(np.nanmean(cells))
    exact = np.percentile(drawn, (2.5, 97.5), method="inverted_cdf")
    share = share_of(table)
    low, high = wilson(2, 5)
    assert share.value == 2 / 5
    assert share.ci_low == pytest.approx(min(exact[0], low), abs=1e-9)
    assert share.ci_high == pytest.approx(max(exact[1], high), abs=1e-9)


def test_the_interval_grows_with_what_raters_and_pictures_have_in_common():
    draw = np.random.default_rng(0)
    mixed = (draw.random((12, 40)) < 0.5).astype(float)
    by_rater = np.repeat(np.arange(12) % 2 == 0, 40).reshape(12, 40).astype(float)
    widths = []
    for table in (mixed, by_rater.copy(), np.tile(np.arange(40) % 2, (12, 1)).astype(float)):
        share = share_of(table)
        widths.append(share.ci_high - share.ci_low)
    # Independent answers: at most about sqrt(3) times Wilson's (rater, picture and both vary).
    low, high = wilson(int(mixed.sum()), mixed.size)
    assert high - low <= widths[0] < 2 * (high - low)
    # One answer per rater: as wide as 12 answers. One per picture: as wide as 40.
    for width, count in ((widths[1], 12), (widths[2], 40)):
        assert width == pytest.approx(2 * Z * math.sqrt(0.25 / count), rel=0.15)


def test_the_interval_holds_the_true_share_where_raters_differ_and_wilsons_does_not():
    draw = np.random.default_rng(1)
    raters, pictures, studies = 8, 20, 60
    truth = expit(-0.5 + math.sqrt(2) * draw.normal(size=400_000)).mean()
    held = naive = 0
    for _ in range(studies):
        logits = -0.5 + draw.normal(size=(raters, 1)) + draw.normal(size=(1, pictures))
        table = (draw.random((raters, pictures)) < expit(logits)).astype(float)
        share = share_of(table)
        held += share.ci_low <= truth <= share.ci_high
        low, high = wilson(int(table.sum()), table.size)
        naive += low <= truth <= high
    assert held / studies > 0.9
    assert naive / studies < 0.75


def test_answers_that_all_agree_do_not_look_certain():
    share = share_of(np.zeros((3, 10)))
    assert (share.value, share.ci_low, share.interval) == (
        0,
        pytest.approx(0, abs=1e-12),
        BOOTSTRAP,
    )
    assert share.ci_high == pytest.approx(wilson(0, 30)[1], abs=1e-12)


def test_intervals_are_repeatable():
    table = (np.random.default_rng(3).random((4, 9)) < 0.4).astype(float)
    assert share_of(table) == share_of(table.copy())


def test_the_table_of_answers_keeps_gaps():
    table = answer_table([("a", "q", True), ("b", "p", False), ("b", "q", False)])
    np.testing.assert_array_equal(table, [[1, np.nan], [0, 0]])


FLEISS = [
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
]  # fmt: skip
"""14 raters, 10 subjects, 5 categories: the usual worked example of Fleiss' kappa, 0.210."""


def test_kappa_is_that_of_the_worked_example():
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)


def test_kappa_of_agreement_chance_and_too_few_answers():
    assert fleiss_kappa([(2, 0), (0, 2), (2, 0)]) == 1
    # Two raters, each question split: agreement 0, chance 1/2, so (0 - 1/2) / (1 - 1/2).
    assert fleiss_kappa([(1, 1), (1, 1)]) == -1
    # Three answers 2:1 agree in 1 of 3 pairs, two answers 2:0 in all: mean 2/3; shares 4/5, 1/5.
    chance = (4 / 5) ** 2 + (1 / 5) ** 2
    assert fleiss_kappa([(2, 1), (2, 0), (1, 0)]) == pytest.approx((2 / 3 - chance) / (1 - chance))
    assert fleiss_kappa([(1, 0), (0, 1)]) is None
    assert fleiss_kappa([(2, 0), (3, 0)]) is None
    assert fleiss_kappa([]) is None


def test_agreement_is_over_questions_that_several_answered(tmp_path):
    study = read_study(write_answers(tmp_path / "s", {"ann": "rgrrrrggaab", "bob": "rgrrrrggbba"}))
    assert agreement(study) == {"real or generated": 1, "preferred method": -1}


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path):
    with pytest.raises(RecordError, match=r"holds no study\.sqlite"):
        read_study(tmp_path)
    folder = write_answers(tmp_path / "s", {"ann": "rg"})

    def change(statement):
        with closing(sqlite3.connect(folder / FILE)) as database, database:
            database.execute(statement)

    change("UPDATE answers SET answer = 'maybe' WHERE question = 'areal1'")
    with pytest.raises(RecordError, match="ann answered 'maybe' to question areal1"):
        read_study(folder)
    change("DELETE FROM answers")
    change("INSERT INTO answers VALUES ('ann', 'case1', 'a2', '')")
    with pytest.raises(RecordError, match="ann answered 'a2' to question case1"):
        read_study(folder)
    change("UPDATE study SET version = 7")
    with pytest.raises(RecordError, match="version 7, expected 1"):
        read_study(folder)
    (folder / FILE).write_bytes(b"not a database" * 99)
    with pytest.raises(RecordError, match="cannot be read as a study"):
        read_study(folder)
