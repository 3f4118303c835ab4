"""Memory of scoring: it grows neither with the set nor with its pictures."""

from __future__ import annotations

import tracemalloc
import weakref

import cv2
import numpy as np
import pytest

from pcdms_bench import measure_chunk, score_images
from pcdms_bench.measuring import CHUNK, LEAST, Plan, _at_once
from pcdms_bench.metrics import networks
from pcdms_bench.metrics.networks import DistanceNetwork, distance_network, fitting
from pcdms_bench.protocols import PROTOCOLS, protocol_for
from pcdms_data.images import save_picture

PIXELS = ("ssim", "ssim_win51", "psnr", "l1", "mae", "masked_ssim", "masked_l1")


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))


def folders(home, count, size):
    rng = np.random.default_rng(0)
    for i in range(count):
        for side in ("made", "true"):
            rough = cv2.GaussianBlur(rng.normal(size=(*size, 3)), (0, 0), 4)
            save_picture(
                home / side / f"p{i:03}.png", np.clip(128 + 600 * rough, 0, 255).astype(np.uint8)
            )
    return home / "made", home / "true"


def test_large_pictures_go_through_a_few_at_a_time():
    def at_once(*frames):
        return _at_once([Plan(protocol_for("standard", "people", size), ()) for size in frames])

    assert at_once((96, 64)) == at_once((256, 176)) == CHUNK
    assert at_once((512, 352)) == at_once((96, 64), (512, 352)) == 4
    assert at_once((2048, 1408)) == LEAST
    assert fitting(8, (256, 176)) == 8
    assert fitting(8, (512, 352)) == 2
    assert fitting(8, (4096, 4096)) == 1


def test_a_network_sees_fewer_of_larger_pictures_and_says_the_same(tmp_path, monkeypatch):
    network, batches = distance_network("st_lpips"), []

    def features(pictures, black):
        batches.append(len(pictures))
        return network.features(pictures, black)

    counting = DistanceNetwork(network.label, network.preprocessing, 8, features, network.compare)
    monkeypatch.setattr("pcdms_bench.measuring.distance_network", lambda name, device: counting)
    made, true = folders(tmp_path, 6, (64, 44))
    found = []
    for usual in ((64, 44), (32, 22)):
        monkeypatch.setattr(networks, "USUAL", usual)
        monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / str(usual[0])))
        batches.clear()
        found.append(score_images(made, true, metrics=("st_lpips",))["value"].item())
        assert max(batches) == (6 if usual == (64, 44) else 2)
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_the_maps_of_a_pair_are_gone_before_the_next(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), []

    class Watched(measure_chunk.PixelPair):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)
            most.append(len(alive))

    monkeypatch.setattr(measure_chunk, "PixelPair", Watched)
    score_images(*folders(tmp_path, 5, (72, 60)), list(PROTOCOLS), metrics=PIXELS)
    kinds = max(most)
    assert len(most) == 5 * kinds  # every distinct input of every pair, once
    assert 1 < kinds < len(PROTOCOLS)


def test_twice_the_pairs_take_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "USUAL", (32, 22))
    peaks = []
    for count in (8, 16):
        made, true = folders(tmp_path / str(count), count, (128, 88))
        score_images(made, true, "standard", metrics=("l1",))  # libraries set themselves up
        tracemalloc.start()
        score_images(made, true, list(PROTOCOLS), metrics=PIXELS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
