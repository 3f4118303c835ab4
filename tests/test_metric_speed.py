"""The measured comparisons: both sides give the same numbers, and the published flow is as told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bench_fixture import call
from skimage.metrics import structural_similarity

from pcdms_bench import published_flow as published_flow_module
from pcdms_bench.metric_speed import frechet_speed, made_up_pictures, ssim_speed
from pcdms_bench.published_flow import published_flow, read_resized
from pcdms_data.images import save_picture


def test_frechet_distances_of_both_sides_agree_for_many_and_few_pictures():
    many, few = frechet_speed(width=48, few=12)
    assert many.difference < 1e-9
    assert few.difference < 1e-4  # the matrix root of a singular product keeps few digits
    assert many.ratio > 0


def test_ssim_of_both_sides_agrees_in_either_precision():
    exact, single, same = ssim_speed(3, (64, 44))
    assert exact.difference < 1e-12
    assert 1e-12 < single.difference < 2e-6
    assert single.difference == same.difference


@pytest.mark.parametrize(
    ("words", "rows"),
    [(("ssim", "--pictures", 2), 3), (("frechet", "--width", 32, "--few", 8), 2)],
)
def test_the_commands_print_ratios_or_json(words, rows):
    text = call("speed", *words)
    assert text.exit_code == 0, text.output
    assert "times faster" in text.output
    document = json.loads(call("speed", *words, "--json").output)
    assert len(document["rows"]) == rows
    for row in document["rows"]:
        assert row["ratio"] == pytest.approx(row["library_s"] / row["ours_s"])


def test_the_published_flow_drops_batches_and_keeps_the_range_of_the_prediction(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(published_flow_module, "LPIPS_BATCH", 4)
    made, true = made_up_pictures(6, (256, 176))
    pairs = []
    for i, (a, b) in enumerate(zip(made, true, strict=True)):
        pairs.append((tmp_path / f"m{i:03}.png", tmp_path / f"t{i:03}.png"))
        save_picture(pairs[-1][0], a)
        save_picture(pairs[-1][1], b)
    seen = []

    def features(planes):
        seen.append(("features", planes.shape[0], planes.dtype))
        return planes.mean((2, 3))

    def distances(one, two):
        seen.append(("pairs", one.shape[0], one.dtype))
        return np.abs(one - two).mean((1, 2, 3)).astype(np.float64)

    result = published_flow(pairs, [target for _, target in pairs], features, distances)
    assert seen == [("features", 6, np.float32)] * 2 + [("pairs", 4, np.float32)]
    gaps = [np.abs(a.astype(float) - b).mean() / 255 for a, b in zip(made, true, strict=True)]
    assert result.values["lpips_pcdms"] == pytest.approx(np.mean(gaps[:4]), rel=1e-5)
    assert result.values["l1"] == pytest.approx(np.mean(gaps), rel=1e-5)
    assert np.array_equal(read_resized(pairs[0][0]), made[0])
    spans = [float(a.max()) - float(a.min()) for a in made]
    expected = [
        structural_similarity(
            a.astype(float), b.astype(float), gaussian_weights=True, sigma=1.2,
            use_sample_covariance=False, channel_axis=2, data_range=span,
        )
        for a, b, span in zip(made, true, spans, strict=True)
    ]  # fmt: skip
    assert result.values["ssim"] == pytest.approx(np.mean(expected), rel=1e-6)
    assert result.values["fid_paper"] > 0
    assert all(seconds > 0 for seconds in vars(result.times).values())


def test_a_whole_score_agrees_with_the_published_way_and_leaves_no_trace(monkeypatch, tmp_path):
    from pcdms_bench import weights_store
    from pcdms_bench.scoring_speed import LABEL, METRICS

    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    known = dict(weights_store.KNOWN)
    words = ("--pairs", 3, "--reference", 3, "--no-root", "--json")
    result = call("speed", "scoring", *words)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["note"] == LABEL
    assert set(document["differences"]) == set(METRICS) - {"fid_paper"}
    assert all(gap < 1e-5 for gap in document["differences"].values())
    assert set(document["ratios"]) == {"first", "second", "again"}
    assert known == weights_store.KNOWN
    assert not (tmp_path / "cache").exists()
