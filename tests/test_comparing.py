"""Paired comparison: equal to scipy's tests, fair without a difference, and what is refused."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from bench_fixture import call, error_line
from scipy import stats

from pcdms_bench.comparing import COLUMNS, compare_runs
from pcdms_bench.spec import RunSpec
from pcdms_data.types import InputError
from pcdms_reports.paired import holm, paired_difference, sign_flip_p

SPEC = RunSpec(
    dataset="people", size="smoke", data_seed=0, split="test", resolution="96x64", method="pcdms",
    stages="prior+inpaint+refine", preset="tiny", weights="", seed=0, samples=1, selection="first",
    steps=1, guidance=1.0, guidance_rescale=0.0, null="published", final_sigma="sigma_min",
    dtype="float32", chunk=1, refine_over="",
)  # fmt: skip


def run_folder(folder, values, **changes):
    """A run folder with a specification and stored per-pair values {(stage, metric): column}."""
    spec = json.loads(SPEC.canonical_json()) | changes
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(spec))
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("pair", "stage", "protocol", "metric", "value"))
        for (stage, metric), column in values.items():
            for i, value in enumerate(column):
                writer.writerow((f"p{i}", stage, "standard@96x64", metric, repr(float(value))))
    return folder


def test_all_flips_of_few_pairs_give_scipys_exact_p():
    draw = np.random.default_rng(1)
    for count in (2, 5, 11):
        values = draw.normal(0.3, 1, count)
        exact = stats.permutation_test(
            (values, np.zeros(count)), lambda a, b, axis: (a - b).mean(axis=axis),
            permutation_type="samples", vectorized=True, n_resamples=np.inf,
        )  # fmt: skip
        assert sign_flip_p(values) == pytest.approx(exact.pvalue, abs=1e-12)


def test_many_pairs_give_the_p_of_a_t_test_and_its_interval():
    values = np.random.default_rng(2).normal(0.09, 1, 600)
    found = paired_difference(values + 5, np.full(600, 5.0))
    t = stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(t.pvalue, abs=0.015)
    low, high = t.confidence_interval()
    assert found.ci_low == pytest.approx(low, abs=0.01)
    assert found.ci_high == pytest.approx(high, abs=0.01)
    assert found.effect == pytest.approx(values.mean() / values.std(ddof=1))


def test_without_a_difference_small_p_are_as_rare_as_they_should_be():
    draw = np.random.default_rng(3)
    ps = np.array([sign_flip_p(draw.normal(size=9)) for _ in range(600)])
    assert 0.02 < (ps <= 0.05).mean() < 0.08


def test_a_shared_difficulty_of_the_pairs_hides_nothing():
    draw = np.random.default_rng(4)
    hard = draw.normal(0, 1, 200)
    first, second = hard + draw.normal(0.02, 0.05, 200), hard + draw.normal(0, 0.05, 200)
    assert stats.ttest_ind(first, second).pvalue > 0.5
    assert paired_difference(first, second).p < 0.01


def test_pairs_without_a_value_are_left_out_and_equal_columns_prove_nothing():
    values = np.array([1.0, 2.0, np.nan, np.inf, 5.0])
    found = paired_difference(values, np.zeros(5))
    assert found.n == 3
    same = paired_difference(values, values)
    assert (same.difference, same.p, same.effect, same.greater) == (0, 1, 0, 0.5)
    assert paired_difference(values[:1], values[:1]) is None


def test_holm_is_never_below_the_single_p_and_keeps_their_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_better_side_follows_the_metric(tmp_path):
    draw = np.random.default_rng(5)
    base = draw.uniform(0.3, 0.6, 40)
    good = {("refine", "ssim"): base + 0.05, ("refine", "l1"): base - 0.05}
    bad = {("final", "ssim"): base, ("final", "l1"): base}
    a = run_folder(tmp_path / "a", good)
    b = run_folder(tmp_path / "b", bad, method="limb-warp", stages="final")
    rows = compare_runs(a, b)
    assert tuple(rows.columns) == COLUMNS
    assert list(rows["verdict"]) == ["first", "first"]
    assert list(rows["first_better"]) == [1.0, 1.0]
    assert list(rows["difference"]) == pytest.approx([0.05, -0.05])
    assert set(compare_runs(b, a)["verdict"]) == {"second"}


def test_two_stages_of_one_run_are_compared_by_the_command(tmp_path):
    draw = np.random.default_rng(6)
    base = draw.uniform(0.3, 0.6, 30)
    run = run_folder(
        tmp_path / "a",
        {("inpaint", "ssim"): base, ("refine", "ssim"): base + draw.normal(0, 1, 30)},
    )
    result = call("compare", run, "--stages", "inpaint,refine", "--out", tmp_path / "c.csv")
    assert result.exit_code == 0, result.output
    assert "pcdms inpaint (first) against pcdms refine (second)" in result.output
    stored = list(csv.DictReader(io.StringIO((tmp_path / "c.csv").read_text())))
    assert [row["n"] for row in stored] == ["30"]
    shown = json.loads(call("compare", run, "--stages", "inpaint,refine", "--json").output)
    assert shown[0]["p"] == float(stored[0]["p"])


def test_runs_that_cannot_be_compared_are_refused_in_one_line(tmp_path):
    values = {("refine", "ssim"): [0.1, 0.2]}
    a = run_folder(tmp_path / "a", values)
    other_data = run_folder(tmp_path / "b", values, data_seed=1)
    other_metric = run_folder(tmp_path / "c", {("refine", "l1"): [0.1, 0.2]})
    for second, words in (
        (other_data, "differ in data_seed (0 and 1)"),
        (other_metric, "no per-pair score in common"),
        (tmp_path / "none", "no run folder"),
        (a, "compared with itself"),
    ):
        result = call("compare", a, second)
        assert result.exit_code == 2
        assert words in error_line(result)
    with pytest.raises(InputError, match="unknown stage 'final'"):
        compare_runs(a, a, ("refine", "final"))
    assert call("compare", a).exit_code == 2
