"""Rows and per-pair values of a stage: right numbers, and a reason wherever there is none."""

from __future__ import annotations

import math
import socket
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pcdms_bench import scoring
from pcdms_bench.metrics.frechet import frechet_distance_features
from pcdms_bench.metrics.networks import FeatureNetwork, distance_network
from pcdms_bench.protocols import protocol_for
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.scoring import FRAME_COLUMNS, ScoreContext, score_stage
from pcdms_data.images import load_picture, save_picture
from pcdms_data.types import Gallery, InputError, Keypoints, Pair, Picture

SIZE = (48, 32)
PROTOCOL = protocol_for("standard", "people", SIZE)
CONTEXT = ScoreContext("0123abcd", "blur", "final", "people", "test", "first", 1, "", 0, SIZE)
PIXEL_METRICS = ("ssim", "psnr", "l1", "masked_ssim", "masked_l1", "gradient_ratio")


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PCDMS_WEIGHTS_FID", raising=False)
    monkeypatch.delenv("PCDMS_WEIGHTS_LPIPS", raising=False)


def smooth(rng, count):
    pictures = gaussian_filter(rng.normal(size=(count, *SIZE, 3)), (0, 2, 2, 0))
    return np.clip(pictures * 400 + 128, 0, 255).astype(np.uint8)


class Set:
    """Six pairs, their targets, masks, made pictures and twelve training pictures on disk."""

    def __init__(self, folder, count=6):
        rng = np.random.default_rng(0)
        self.targets = smooth(rng, count)
        noise = rng.normal(0, 12, self.targets.shape)
        self.made = np.clip(self.targets + noise, 0, 255).astype(np.uint8)
        labels = np.zeros((count, *SIZE), np.uint8)
        labels[:, 5:40, 6:25] = 3
        self.mask = labels[0] > 0
        np.save(folder / "targets.npy", self.targets)
        np.save(folder / "labels.npy", labels)
        np.save(folder / "train.npy", smooth(rng, 12))
        pose = Keypoints(np.full((18, 2), 10, np.float32), np.ones(18, bool), SIZE)
        self.pairs = [
            Pair(
                f"s{i}_to_t{i}", Picture(f"s{i}.png", folder / "targets.npy", i),
                Picture(f"t{i}.png", folder / "targets.npy", i), pose, pose,
                Picture(f"t{i}.png", folder / "labels.npy", i),
            )
            for i in range(count)
        ]  # fmt: skip
        train = [Picture(f"g{i}.png", folder / "train.npy", i) for i in range(12)]
        self.gallery = Gallery(tuple(train), (pose,) * 12, ("",) * 12)
        self.folder = folder / "final"
        for pair, picture in zip(self.pairs, self.made, strict=True):
            save_picture(self.folder / f"{pair.pair_id}.png", picture)

    def score(self, metrics=PIXEL_METRICS, **changes):
        arguments = {
            "stage": "final", "folder": self.folder, "pairs": self.pairs, "protocols": [PROTOCOL],
            "context": CONTEXT, "gallery": self.gallery, "metrics": metrics,
            "memory": ScoreMemory(),
        }  # fmt: skip
        rows, frame = score_stage(**(arguments | changes))
        return {row.metric: row for row in rows}, frame


@pytest.fixture
def people(tmp_path):
    return Set(tmp_path)


def skimage_ssim(a, b):
    return structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
        channel_axis=2, full=True,
    )  # fmt: skip


def test_pixel_rows_equal_the_libraries_means(people):
    rows, frame = people.score()
    both = list(zip(people.made, people.targets, strict=True))
    maps = [skimage_ssim(a, b) for a, b in both]
    gaps = [np.abs(a.astype(float) - b) / 255 for a, b in both]
    expected = {
        "ssim": np.mean([mean for mean, _ in maps]),
        "psnr": np.mean([peak_signal_noise_ratio(b, a, data_range=255) for a, b in both]),
        "l1": np.mean(gaps),
        "masked_ssim": np.mean([full[people.mask].mean() for _, full in maps]),
        "masked_l1": np.mean([gap[people.mask].mean() for gap in gaps]),
    }
    for name, value in expected.items():
        assert rows[name].value == pytest.approx(value, rel=1e-10), name
        per_pair = frame[frame["metric"] == name]["value"]
        assert per_pair.mean() == pytest.approx(value, rel=1e-10)
    assert rows["gradient_ratio"].value > 1  # noise
    assert tuple(frame.columns) == FRAME_COLUMNS
    assert set(frame["protocol"]) == {"standard@48x32"}


def test_rows_carry_the_context_and_what_they_compare_with(people):
    rows, _ = people.score()
    row = rows["masked_l1"]
    assert (row.run, row.method, row.stages, row.stage) == ("0123abcd", "blur", "final", "final")
    assert (row.resolution, row.protocol) == ("48x32", "standard@48x32")
    assert (row.n, row.n_expected, row.status, row.reason) == (6, 6, "ok", "")
    assert row.reference == "pair;mask=exact"
    assert rows["ssim"].reference == "pair"
    assert all(row.ci_low < row.value < row.ci_high for row in rows.values())


def test_without_label_maps_the_mask_comes_from_key_points_and_the_row_says_so(people):
    pairs = [replace(pair, target_mask=None) for pair in people.pairs]
    rows, _ = people.score(pairs=pairs)
    assert rows["masked_l1"].reference == "pair;mask=keypoints"


def test_scoring_again_gives_the_same_rows(people):
    first, _ = people.score()
    assert people.score()[0] == first


def test_missing_and_broken_pictures_cost_their_pairs_only(people):
    (people.folder / f"{people.pairs[0].pair_id}.png").unlink()
    (people.folder / f"{people.pairs[1].pair_id}.png").write_bytes(b"no picture")
    (people.folder / f"{people.pairs[2].pair_id}.png").unlink()
    failures = {people.pairs[2].pair_id: "source.jpg cannot be decoded"}
    rows, frame = people.score(failures=failures)
    row = rows["ssim"]
    expected = [skimage_ssim(people.made[i], people.targets[i])[0] for i in (3, 4, 5)]
    assert row.value == pytest.approx(np.mean(expected), rel=1e-10)
    assert (row.n, row.n_expected, row.status) == (3, 6, "ok")
    assert "3 of 6 pairs without a score" in row.reason
    assert f"{people.pairs[1].pair_id}.png" in row.reason
    assert "source.jpg cannot be decoded" in row.reason
    assert "no picture was generated" in row.reason
    assert set(frame["pair_id"]) == {pair.pair_id for pair in people.pairs[3:]}


def test_equal_reasons_are_counted_once(people):
    failures = {pair.pair_id: "out of memory" for pair in people.pairs[:4]}
    rows, _ = people.score(failures=failures)
    assert rows["ssim"].reason == "4 of 6 pairs without a score: out of memory (4)"


def test_a_stage_without_any_picture_has_failed_rows_for_every_metric(people, tmp_path):
    rows, frame = people.score(folder=tmp_path / "none", metrics=None)
    for name, row in rows.items():
        assert row.value is None, name
        assert row.status in ("failed", "unavailable")
        assert row.reason
    assert list(rows) == list(PROTOCOL.metrics)
    assert rows["ssim"].status == "failed"
    assert frame.empty


def test_identical_pictures_leave_psnr_out_and_are_counted(people):
    pair = people.pairs[0]
    save_picture(people.folder / f"{pair.pair_id}.png", people.targets[0])
    rows, _ = people.score()
    assert rows["psnr"].n == 5
    assert math.isfinite(rows["psnr"].value)
    assert "1 identical" in rows["psnr"].reason
    for i, other in enumerate(people.pairs):
        save_picture(people.folder / f"{other.pair_id}.png", people.targets[i])
    rows, _ = people.score()
    assert (rows["psnr"].value, rows["psnr"].status) == (None, "unavailable")
    assert "6 identical" in rows["psnr"].reason
    assert (rows["ssim"].value, rows["l1"].value) == (pytest.approx(1), 0)
    assert rows["gradient_ratio"].value == pytest.approx(1)


def test_larger_pictures_are_resized_into_the_metric_frame(people):
    from PIL import Image

    pair = people.pairs[0]
    large = np.array(Image.fromarray(people.made[0]).resize((64, 96), Image.Resampling.NEAREST))
    save_picture(people.folder / f"{pair.pair_id}.png", large)
    rows, frame = people.score(metrics=("l1",))
    small = np.array(Image.fromarray(large).resize((32, 48), Image.Resampling.BICUBIC))
    value = frame[frame["pair_id"] == pair.pair_id]["value"].iloc[0]
    expected = np.abs(small.astype(float) - people.targets[0]).mean() / 255
    assert value == pytest.approx(expected, rel=1e-12)
    assert rows["l1"].n == 6


def test_selections_take_the_first_the_mean_or_the_best_sample(people):
    for pair, picture in zip(people.pairs, people.targets, strict=True):
        save_picture(people.folder / f"{pair.pair_id}.1.png", 255 - picture)
        save_picture(people.folder / f"{pair.pair_id}.2.png", picture)
    values = {}
    for selection in ("first", "mean", "oracle-ssim"):
        context = replace(CONTEXT, selection=selection, samples=3)
        rows, _ = people.score(metrics=("ssim",), context=context)
        values[selection] = rows["ssim"].value
        assert rows["ssim"].selection == selection
    triples = [
        [skimage_ssim(sample, target)[0] for sample in (made, 255 - target, target)]
        for made, target in zip(people.made, people.targets, strict=True)
    ]
    assert values["first"] == pytest.approx(np.mean([t[0] for t in triples]), rel=1e-10)
    assert values["mean"] == pytest.approx(np.mean(triples), rel=1e-10)
    assert values["oracle-ssim"] == pytest.approx(1)


def test_missing_weights_make_unavailable_rows_that_name_the_command(people, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    rows, _ = people.score(metrics=("lpips", "fid", "ssim"))
    for name in ("lpips", "fid"):
        row = rows[name]
        assert (row.value, row.status, row.extractor, row.n) == (None, "unavailable", "", 0)
        assert f"pcdms-bench weights fetch {name}`" in row.reason
    assert rows["ssim"].status == "ok"


def test_perceptual_distance_equals_the_network_and_reuses_targets(people):
    memory = ScoreMemory()
    rows, frame = people.score(metrics=("st_lpips",), memory=memory)
    network = distance_network("st_lpips")
    made = [
        load_picture(Picture(p.pair_id, people.folder / f"{p.pair_id}.png")) for p in people.pairs
    ]
    expected = network.compare(network.features(np.stack(made)), network.features(people.targets))
    np.testing.assert_allclose(frame["value"], expected, atol=1e-6)
    assert rows["st_lpips"].extractor == network.label
    again, _ = people.score(metrics=("st_lpips",), memory=memory)
    assert again["st_lpips"].value == pytest.approx(rows["st_lpips"].value, abs=1e-6)


class Toy:
    """An injected network of four features; counts the pictures it sees."""

    def __init__(self, label="toy@00000001"):
        self.seen = 0
        self.network = FeatureNetwork(label, "none", 4, 5, self.features)

    def features(self, pictures):
        self.seen += len(pictures)
        flat = pictures.reshape(len(pictures), -1, 3).astype(np.float32) / 255
        return np.concatenate([flat.mean(1), flat[:, :, :1].std(1)], axis=1)


@pytest.fixture
def toy(monkeypatch):
    made = Toy()
    for module in ("scoring", "measuring"):
        place = f"pcdms_bench.{module}.feature_network"
        monkeypatch.setattr(place, lambda name, device="cpu": made.network)
    return made


def test_set_metric_equals_the_frechet_distance_to_the_training_pictures(people, toy):
    rows, _ = people.score(metrics=("fd_efficientnet_lite0",))
    train = np.stack([load_picture(picture) for picture in people.gallery.pictures])
    expected = frechet_distance_features(toy.features(people.made), toy.features(train))
    row = rows["fd_efficientnet_lite0"]
    assert row.value == pytest.approx(expected, rel=1e-6)
    assert (row.status, row.reference, row.extractor) == ("ok", "train:12", "toy@00000001")
    assert row.n == 6


def test_fewer_pictures_than_features_are_indicative_with_an_interval(people, toy):
    rows, _ = people.score(metrics=("fd_efficientnet_lite0",), pairs=people.pairs[:4])
    row = rows["fd_efficientnet_lite0"]
    assert row.status == "indicative"
    assert "4 pictures for 4 features" in row.reason
    assert row.ci_low < row.value < row.ci_high


def test_without_a_gallery_set_metrics_are_unavailable(people, toy):
    rows, _ = people.score(metrics=("fd_efficientnet_lite0",), gallery=None)
    row = rows["fd_efficientnet_lite0"]
    assert (row.value, row.status) == (None, "unavailable")
    assert "no training pictures" in row.reason


def test_reference_statistics_are_computed_once_and_follow_their_content(people, toy, tmp_path):
    def score():
        before = toy.seen
        people.score(metrics=("fd_efficientnet_lite0",))  # a memory of its own: only the disk
        return toy.seen - before

    assert score() == 6 + 12
    assert score() == 0
    train = np.load(tmp_path / "train.npy")
    train[0] += 1
    np.save(tmp_path / "train.npy", train)
    assert score() == 1  # one changed picture
    toy.network = replace(toy.network, label="toy@00000002")
    assert score() == 6 + 12  # another network
    assert score() == 0


def test_damaged_statistics_are_computed_anew(people, toy, tmp_path):
    first, _ = people.score(metrics=("fd_efficientnet_lite0",))
    (stored,) = (tmp_path / "cache" / "statistics").iterdir()
    stored.write_bytes(stored.read_bytes()[:100])
    again, _ = people.score(metrics=("fd_efficientnet_lite0",), pairs=people.pairs[:5])
    rows, _ = people.score(metrics=("fd_efficientnet_lite0",), memory=ScoreMemory())
    assert rows == first
    assert again["fd_efficientnet_lite0"].value is not None


def test_gallery_pictures_that_cannot_be_decoded_are_told(people, toy, tmp_path):
    bad = Picture("bad.png", tmp_path / "bad.png")
    pictures = (*people.gallery.pictures, bad)
    gallery = Gallery(pictures, people.gallery.keypoints * 2, people.gallery.groups * 2)
    rows, _ = people.score(metrics=("fd_efficientnet_lite0",), gallery=gallery)
    row = rows["fd_efficientnet_lite0"]
    assert row.reference == "train:12"
    assert "1 of 13 reference pictures" in row.reason


def test_progress_counts_every_pair_once(people):
    seen = []
    people.score(metrics=("l1",), progress=seen.append)
    assert sum(seen) == 6


def test_names_of_other_kinds_are_passed_over_and_unknown_ones_refused(people):
    rows, _ = people.score(metrics=("cosine", "parameters", "l1"))
    assert list(rows) == ["l1"]
    with pytest.raises(InputError, match="did you mean 'ssim'"):
        people.score(metrics=("sim",))


def test_prepared_references_are_what_scoring_uses(people, toy):
    seen = []

    def follow(title):
        return lambda done, total: seen.append((title, done, total))

    scoring.prepare_references(
        people.gallery, [PROTOCOL], ("fd_efficientnet_lite0",), follow, memory=ScoreMemory()
    )
    assert seen[-1] == ("training pictures", 12, 12)
    before = toy.seen
    people.score(metrics=("fd_efficientnet_lite0",))
    assert toy.seen - before == 6
