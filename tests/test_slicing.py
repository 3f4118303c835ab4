"""Slices: means and intervals of each label equal those of its pairs alone, labels in order."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from pcdms_bench.intervals import mean_interval
from pcdms_bench.slicing import COLUMNS, slice_labels, slice_means, write_slices
from pcdms_data.types import Keypoints, Pair, Picture

POSE = Keypoints(np.zeros((18, 2), np.float32), np.ones(18, bool), (96, 64))


def make_pairs(tmp_path, labels):
    handle = Picture("a.png", tmp_path / "a.png")
    return [
        Pair(f"p{i}", handle, handle, POSE, POSE, slices=slices) for i, slices in enumerate(labels)
    ]


def write_pair_scores(folder, values, stage="refine", protocol="standard"):
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("pair", "stage", "protocol", "metric", "value"))
        for i, value in enumerate(values):
            writer.writerow((f"p{i}", stage, protocol, "ssim", repr(float(value))))


def test_means_and_intervals_are_those_of_the_labelled_pairs():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(60, 2))
    values[3, 0], values[7, 1] = np.nan, np.inf
    column = ["a" if i % 3 else "b" for i in range(60)]
    rows = list(slice_means(values, ["ssim", "psnr"], {"kind": column}, 500))
    assert [row[:3] for row in rows] == [
        ("kind", "a", "ssim"), ("kind", "a", "psnr"), ("kind", "b", "ssim"), ("kind", "b", "psnr")
    ]  # fmt: skip
    for _, label, metric, mean, low, high, n in rows:
        own = values[:, ["ssim", "psnr"].index(metric)].copy()
        own[(np.array(column) != label) | ~np.isfinite(own)] = np.nan
        assert mean == pytest.approx(np.nanmean(own))
        assert n == np.isfinite(own).sum()
        assert (low, high) == pytest.approx(mean_interval(own, 500))


def test_the_slices_of_one_label_sum_to_the_total():
    values = np.random.default_rng(1).normal(size=(40, 1))
    column = [str(i % 4) for i in range(40)]
    rows = list(slice_means(values, ["ssim"], {"joints": column}, 10))
    total = sum(row[3] * row[6] for row in rows) / sum(row[6] for row in rows)
    assert total == pytest.approx(values.mean())


def test_labels_are_ordered_by_size_and_slices_that_tell_nothing_are_left_out(tmp_path):
    labels = ["over76", "16to33", "under16", "33to45", "unknown", "58to76", "45to58"]
    pairs = make_pairs(tmp_path, [{"displacement": label, "item": "seen"} for label in labels])
    found = slice_labels(pairs)
    assert list(found) == ["displacement"]
    rows = slice_means(np.ones((7, 1)), ["ssim"], found, 10)
    assert [row[1] for row in rows] == [
        "under16", "16to33", "33to45", "45to58", "58to76", "over76", "unknown"
    ]  # fmt: skip
    counted = slice_labels(make_pairs(tmp_path, [{"joints": str(n)} for n in (10, 9, 18)]))
    assert [row[1] for row in slice_means(np.ones((3, 1)), ["l1"], counted, 10)] == [
        "9", "10", "18"
    ]  # fmt: skip


def test_the_file_holds_the_pairs_of_this_run_and_goes_when_nothing_is_left(tmp_path):
    pairs = make_pairs(tmp_path, [{"item": "seen"}, {"item": "unseen"}, {"item": "unseen"}])
    write_pair_scores(tmp_path, [0.5, 0.25, 0.75, 99.0])
    assert write_slices(tmp_path, "0123abcd", pairs)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "slices.csv").read_text())))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["label"], float(row["value"]), row["n"]) for row in rows] == [
        ("seen", 0.5, "1"), ("unseen", 0.5, "2")
    ]  # fmt: skip
    assert rows[0]["ci_low"] == ""
    assert float(rows[1]["ci_low"]) <= 0.5 <= float(rows[1]["ci_high"])
    assert not write_slices(tmp_path, "0123abcd", pairs)
    write_slices(tmp_path, "0123abcd", pairs[1:])
    assert not (tmp_path / "slices.csv").exists()
