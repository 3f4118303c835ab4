"""Protocols against values that the published scripts gave for the same picture files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from golden_scores import GOLDEN, PAIRS, picture_files, stored, write_backbone

from pcdms_bench.measuring import Plan, Task, measure
from pcdms_bench.metrics.lpips_backbones import load_lpips
from pcdms_bench.metrics.networks import distance_network, lpips_heads_path
from pcdms_bench.picture_content import PictureSource
from pcdms_bench.picture_views import apply_view, view_for
from pcdms_bench.protocols import protocol_for, reading_files
from pcdms_bench.result_store import ResultStore
from pcdms_bench.score_memory import ScoreMemory
from pcdms_data.images import load_picture
from pcdms_data.types import Picture

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="parity data absent (PCDMS_GOLDEN)")
SIZES = {"176x256": "256x176", "352x512": "512x352"}
"""Stored values name width x height."""
TOLERANCES = {
    "ssim": {"abs": 2e-5},
    "ssim_win51": {"abs": 2e-5},
    "psnr": {"abs": 1e-4},
    "l1": {"rel": 1e-5},
    "mae": {"rel": 1e-5},
    "lpips": {"rel": 1e-4},
    "lpips_pcdms": {"rel": 1e-4},
}


@pytest.fixture(autouse=True)
def random_backbone(tmp_path_factory, monkeypatch, one_thread):
    """LPIPS on the random backbone behind the stored values."""
    from pcdms_bench.metrics import networks

    path = write_backbone(tmp_path_factory.mktemp("backbone") / "alex.pth")
    network = networks._distance_network(
        "random", lambda: load_lpips(path, lpips_heads_path()), "cpu", "minus-one-to-one"
    )
    monkeypatch.setattr(
        "pcdms_bench.measuring.distance_network",
        lambda name, device="cpu": network if name == "lpips" else distance_network(name, device),
    )


def handles(key):
    return [Picture(file.name, file) for file in picture_files(key)]


def values(protocols, metrics):
    """Return {(protocol, metric, pair): value}, all protocols measured at once."""
    tasks = []
    for key in PAIRS:
        made, true = handles(key)
        tasks.append(Task(key, [PictureSource(made)], PictureSource(true)))
    plans = [Plan(p, tuple(m for m in p.metrics if m in metrics)) for p in protocols]
    found = measure(tasks, plans, ScoreMemory(), ResultStore(None))
    for measured in found:
        assert not measured.unavailable
        assert not measured.problems
    return {
        (plan.protocol.label, name, key): measured.values[name][i]
        for plan, measured in zip(plans, found, strict=True)
        for name in plan.metrics
        for i, key in enumerate(PAIRS)
    }


def compare(found, label, key, expected):
    names = {"ssim_256": "ssim", "lpips_zero_one": "lpips_pcdms"}
    for stored_name, value in expected.items():
        name = names.get(stored_name, stored_name)
        if name in TOLERANCES:
            assert found[label, name, key] == pytest.approx(value, **TOLERANCES[name]), (key, name)


def test_pcdms_values_in_both_sizes():
    expected = stored("pcdms_values.json")
    frames = [protocol_for(f"pcdms@{frame}", "folder", (1, 1)) for frame in SIZES.values()]
    found = values(frames, TOLERANCES)
    for size, frame in SIZES.items():
        for key in PAIRS:
            compare(found, f"pcdms@{frame}", key, expected[size]["per_image"][key])


def test_the_cubic_resize_overshoots_as_published():
    expected = stored("pcdms_values.json")
    for size, frame in SIZES.items():
        protocol = protocol_for(f"pcdms@{frame}", "folder", (1, 1))
        view = view_for(protocol, "generated", "metric")
        for key in PAIRS:
            seen = apply_view(view, load_picture(handles(key)[0]))
            span = [seen.min(), seen.max()]
            assert span == pytest.approx(expected[size]["generated_resized_range"][key], abs=1e-3)


def test_cfld_values_in_both_sizes():
    expected = stored("other_protocol_values.json")["CFLD"]
    frames = [protocol_for(f"cfld@{frame}", "folder", (1, 1)) for frame in SIZES.values()]
    found = values(frames, TOLERANCES)
    for size, frame in SIZES.items():
        for key in PAIRS:
            compare(found, f"cfld@{frame}", key, expected[size]["per_image"][key])


@pytest.mark.parametrize("name", ["pidm", "gfla"])
def test_values_at_the_size_of_the_files(name):
    expected = stored("other_protocol_values.json")[name.upper()]["per_image_at_file_size"]
    protocol = reading_files(protocol_for(f"{name}@256x176", "folder", (1, 1)))
    found = values([protocol], ("ssim", "ssim_win51", "psnr", "l1", "mae"))
    for key in PAIRS:
        compare(found, protocol.label, key, expected[key])


def test_pidm_looks_at_lpips_after_a_linear_resize():
    expected = stored("other_protocol_values.json")["PIDM"]
    protocol = reading_files(protocol_for("pidm@256x176", "folder", (1, 1)))
    found = values([protocol], ("lpips",))
    for key, value in expected["lpips_176x256_bilinear_minus_one_one"].items():
        assert found[protocol.label, "lpips", key] == pytest.approx(value, rel=1e-4)


def test_a_window_wider_by_a_four_hundredth_would_be_seen():
    """The tolerance of SSIM separates the published window from its neighbours."""
    protocol = protocol_for("pcdms@256x176", "folder", (1, 1))
    other = replace(protocol, ssim=replace(protocol.ssim, sigma=1.203), label="other")
    found = values([protocol, other], ("ssim",))
    gaps = [abs(found[protocol.label, "ssim", k] - found["other", "ssim", k]) for k in PAIRS]
    assert np.min(gaps) > 2e-5
