"""Several protocols at once: no picture decoded twice, no input passed twice, nothing stale."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pcdms_bench import picture_content
from pcdms_bench.metrics.frechet import frechet_distance_features
from pcdms_bench.metrics.networks import DistanceNetwork, FeatureNetwork
from pcdms_bench.protocols import protocol_for
from pcdms_bench.result_store import FILE
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.scoring import ScoreContext, score_stage
from pcdms_data.images import load_picture, resize, save_picture
from pcdms_data.types import Gallery, Keypoints, Pair, Picture

SIZE = (64, 52)
CONTEXT = ScoreContext("0123abcd", "blur", "final", "people", "test", "first", 1, "", 0, SIZE)
NAMES = ("standard", "pcdms", "cfld", "pocold")


class Counted:
    """Injected networks that count the inputs they see, and decoding that counts files."""

    def __init__(self, monkeypatch):
        self.inputs: Counter[tuple[str, bytes]] = Counter()
        self.decoded: Counter[str] = Counter()
        monkeypatch.setattr(picture_content, "load_picture", self.load)
        for module in ("scoring", "measuring"):
            monkeypatch.setattr(f"pcdms_bench.{module}.feature_network", self.network)
        monkeypatch.setattr("pcdms_bench.measuring.distance_network", self.distances)
        self.networks = {
            name: FeatureNetwork(f"{name}@00000001", "none", 4, 5, lambda p, n=name: self.see(n, p))
            for name in ("fid", "fid_paper", "fd_efficientnet_lite0")
        }
        self.perceptual = DistanceNetwork(
            "toy@00000001", "none", 3, self.maps, lambda a, b: self.compare(a, b)
        )

    def load(self, picture):
        self.decoded[picture.name] += 1
        return load_picture(picture)

    def network(self, name, device="cpu"):
        return self.networks[name]

    def distances(self, name, device="cpu"):
        return self.perceptual

    def see(self, name, pictures):
        for picture in pictures:
            self.inputs[name, np.asarray(picture, np.float32).tobytes()] += 1
        flat = np.asarray(pictures, np.float32).reshape(len(pictures), -1, 3) / 255
        return np.concatenate([flat.mean(1), flat[:, :, :1].std(1)], axis=1)

    def maps(self, pictures, black):
        import torch

        for picture in pictures:
            self.inputs[f"lpips{black}", np.asarray(picture, np.float32).tobytes()] += 1
        return [torch.from_numpy(np.asarray(pictures, np.float32) / 255)]

    @staticmethod
    def compare(first, second):
        return ((first[0] - second[0]) ** 2).mean((1, 2, 3)).double().numpy()

    def passes(self):
        """Return the number of forward passes since the last call."""
        count = sum(self.inputs.values())
        self.inputs.clear()
        return count


class Set:
    """Nine pairs of four targets and ten training pictures, as files."""

    def __init__(self, folder, size=SIZE):
        rng = np.random.default_rng(0)
        self.folder = folder
        pose = Keypoints(rng.uniform(5, 27, (18, 2)).astype(np.float32), np.ones(18, bool), SIZE)
        noise = gaussian_filter(rng.normal(size=(23, *size, 3)), (0, 2, 2, 0)) * 400 + 128
        pictures = np.clip(noise, 0, 255).astype(np.uint8)
        self.pairs = []
        for i in range(9):
            target = folder / "targets" / f"t{i % 4}.png"
            save_picture(target, pictures[i % 4])
            self.pairs.append(
                Pair(
                    f"s{i}_to_t{i % 4}", Picture(f"s{i}.png", target),
                    Picture(target.name, target), pose, pose,
                )
            )  # fmt: skip
            save_picture(self.made(i), pictures[4 + i])
        train = []
        for i in range(10):
            save_picture(folder / "train" / f"r{i}.png", pictures[13 + i])
            train.append(Picture(f"r{i}.png", folder / "train" / f"r{i}.png"))
        self.gallery = Gallery(tuple(train), (pose,) * 10, ("",) * 10)

    def made(self, i):
        return self.folder / "final" / f"s{i}_to_t{i % 4}.png"

    def score(self, *protocols, **changes):
        arguments = {
            "stage": "final", "folder": self.folder / "final", "pairs": self.pairs,
            "protocols": protocols or [protocol_for(name, "people", SIZE) for name in NAMES],
            "context": CONTEXT, "gallery": self.gallery, "memory": ScoreMemory(),
        }  # fmt: skip
        return score_stage(**(arguments | changes))


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def counted(monkeypatch):
    return Counted(monkeypatch)


@pytest.fixture
def people(tmp_path):
    return Set(tmp_path)


def scored_files(folder):
    return sorted(path.name for path in folder.rglob("*.png"))


def test_protocols_together_decode_each_file_once_and_pass_each_input_once(people, counted):
    people.score()
    assert counted.decoded == Counter(scored_files(people.folder))
    assert set(counted.inputs.values()) == {1}
    distinct = Counter(name for name, _ in counted.inputs)
    # Files in the metric frame look alike under every kernel.
    assert distinct["fid_paper"] == distinct["fid"] == 9 + 10
    assert distinct["lpips-1.0"] == distinct["lpips0.0"] == 9 + 4


def test_together_they_score_as_alone(tmp_path, monkeypatch):
    larger = Set(tmp_path, (128, 104))
    Counted(monkeypatch)
    together, _ = larger.score()
    alone = []
    for name in NAMES:
        monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / f"cache-{name}"))
        alone += larger.score(protocol_for(name, "people", SIZE))[0]
    assert together == alone


def test_each_kernel_makes_one_input_of_a_larger_file(tmp_path, monkeypatch):
    larger, counted = Set(tmp_path, (128, 104)), Counted(monkeypatch)
    larger.score()
    assert set(counted.inputs.values()) == {1}
    seen = {pixels for name, pixels in counted.inputs if name == "fid_paper"}
    picture = load_picture(Picture("made", larger.made(0)))
    for kernel in ("cv2-cubic-f32", "torch-bicubic-aa", "pil-bicubic-u8"):
        assert resize(picture, SIZE, kernel).astype(np.float32).tobytes() in seen


def test_scoring_again_decodes_and_passes_nothing_and_gives_the_same(people, counted):
    rows, frame = people.score()
    counted.decoded.clear(), counted.inputs.clear()
    again, same = people.score()
    assert (counted.decoded, counted.inputs) == (Counter(), Counter())
    assert again == rows
    assert same.equals(frame)


def test_another_protocol_costs_only_what_is_new_in_it(people, counted):
    people.score(protocol_for("cfld", "people", SIZE))
    counted.passes()
    people.score(protocol_for("pocold", "people", SIZE))
    assert counted.passes() == 0
    people.score(protocol_for("pcdms", "people", SIZE))
    assert {name for name, _ in counted.inputs} == {"lpips0.0"}


def fresh(people, monkeypatch, tmp_path):
    """Score with an empty cache."""
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "empty"))
    rows = people.score()[0]
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    return rows


def test_a_changed_picture_recomputes_itself_even_if_size_and_time_stay(
    people, counted, monkeypatch, tmp_path
):
    people.score()
    path = people.made(3)
    before, old = path.stat(), path.read_bytes()
    picture = load_picture(Picture("made", path))
    save_picture(path, 255 - picture)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    counted.passes(), counted.decoded.clear()
    rows, _ = people.score()
    assert counted.passes() == 3 + 2 * 2  # three feature networks; pairs in both LPIPS ranges
    assert set(counted.decoded) == {path.name, people.pairs[3].target.name}
    assert rows == fresh(people, monkeypatch, tmp_path)
    path.write_bytes(old)
    counted.passes()
    people.score()
    assert counted.passes() == 0


def test_added_and_removed_pictures_recompute_only_themselves(
    people, counted, monkeypatch, tmp_path
):
    whole, _ = people.score()
    pictures = people.gallery.pictures
    fewer = replace(people.gallery, pictures=pictures[:-1])
    counted.passes()
    rows, _ = people.score(gallery=fewer, pairs=people.pairs[:-1])
    assert counted.passes() == 0
    assert rows != whole
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "empty"))
    assert people.score(gallery=fewer, pairs=people.pairs[:-1])[0] == rows
    counted.passes()
    assert people.score()[0] == whole
    assert counted.passes() == 3 + 3 + 2 * 2  # a training picture, a made one, and its pair


def test_another_digest_of_a_network_uses_nothing_of_the_old_one(people, counted):
    people.score()
    counted.passes()
    counted.networks["fid"] = replace(counted.networks["fid"], label="fid@00000002")
    people.score()
    assert counted.passes() == 9 + 10


def store_of(tmp_path):
    return tmp_path / "cache" / FILE


def test_damaged_rows_are_detected_and_computed_anew(people, counted, tmp_path):
    rows, _ = people.score()
    with sqlite3.connect(store_of(tmp_path)) as database:
        database.execute("UPDATE result SET value = zeroblob(length(value)) WHERE rowid % 2")
    database.close()
    counted.passes()
    assert people.score()[0] == rows
    assert counted.passes() > 0


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1000])
def test_a_damaged_store_is_replaced(people, counted, tmp_path, damage):
    rows, _ = people.score()
    for path in store_of(tmp_path).parent.glob(f"{FILE}*"):
        path.unlink()
    store_of(tmp_path).write_bytes(damage)
    assert people.score()[0] == rows
    counted.passes()
    people.score()
    assert counted.passes() == 0


def test_a_store_damaged_in_the_middle_gives_the_same_scores(people, counted, tmp_path):
    rows, _ = people.score()
    path = store_of(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = os.urandom(
        len(content) // 2 - len(content) // 3
    )
    path.write_bytes(content)
    assert people.score()[0] == rows


def test_without_a_writable_cache_folder_scores_are_the_same(
    people, counted, monkeypatch, tmp_path
):
    rows, _ = people.score()
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "file"))
    assert people.score()[0] == rows


def test_incomplete_last_batches_are_dropped_in_name_order(people, counted):
    protocol = replace(protocol_for("pcdms", "people", SIZE), fid_batch=4, lpips_batch=4)
    shuffled = [people.pairs[i] for i in (5, 2, 8, 0, 7, 1, 3, 6, 4)]
    rows, frame = people.score(protocol, pairs=shuffled)
    rows = {row.metric: row for row in rows}
    per_pair = frame[frame["metric"] == "lpips_pcdms"].set_index("pair_id")["value"]
    first = [pair.pair_id for pair in sorted(people.pairs, key=lambda p: p.pair_id)][:8]
    assert rows["lpips_pcdms"].value == pytest.approx(per_pair[first].mean(), rel=1e-12)
    assert (rows["lpips_pcdms"].n, rows["lpips_pcdms"].n_expected) == (8, 9)
    assert "1 pictures of the incomplete last batch of 4" in rows["lpips_pcdms"].reason
    assert rows["ssim"].n == 9

    def features(files):
        return counted.see("test", np.stack([load_picture(Picture("x", f)) for f in files]))

    made = features([people.folder / "final" / f"{name}.png" for name in first])
    train = features([people.folder / "train" / f"r{i}.png" for i in range(8)])
    assert rows["fid_paper"].value == pytest.approx(
        frechet_distance_features(made, train), rel=1e-6
    )
    assert (rows["fid_paper"].n, rows["fid_paper"].reference) == (8, "train:8")


def test_equal_targets_of_many_pairs_are_passed_once(people, counted):
    people.score(protocol_for("cfld", "people", SIZE))
    targets = {load_picture(p.target).astype(np.float32).tobytes() for p in people.pairs}
    assert len(targets) == 4
    assert all(counted.inputs["lpips-1.0", pixels] == 1 for pixels in targets)
