"""The prior's scores: cosine, rank among all targets, and what a constant guess is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.spatial.distance import cosine

from pcdms_bench.protocols import protocol_for
from pcdms_bench.scoring import ScoreContext, score_prior
from pcdms_data.types import Keypoints, Pair, Picture

PROTOCOL = protocol_for("standard", "people", (96, 64))
CONTEXT = ScoreContext("0123abcd", "pcdms", "prior", "people", "test", "first", 1, "", 0, (96, 64))


@pytest.fixture
def pairs(tmp_path):
    pose = Keypoints(np.zeros((18, 2), np.float32), np.ones(18, bool), (96, 64))
    path = tmp_path / "pictures.npy"
    # Two pairs share each target: ten pairs, five targets.
    return [
        Pair(
            f"s{i}_to_t{i // 2}", Picture("s", path, 50 + i), Picture("t", path, i // 2), pose, pose
        )
        for i in range(10)
    ]


def write(path, pairs, predicted, target):
    ids = json.dumps([pair.pair_id for pair in pairs])
    tensors = {"predicted": predicted.astype(np.float32), "target": target.astype(np.float32)}
    save_file(tensors, path, metadata={"pair_ids": ids})
    return path


def embeddings():
    rng = np.random.default_rng(0)
    target = np.repeat(rng.normal(size=(5, 16)), 2, axis=0)
    return target + rng.normal(0, 1.5, target.shape), target


def score(path, pairs, **more):
    rows, frame = score_prior(path, pairs, PROTOCOL, CONTEXT, **more)
    return {row.metric: row for row in rows}, frame


def test_equals_a_plain_computation_with_scipy(pairs, tmp_path):
    predicted, target = embeddings()
    rows, frame = score(write(tmp_path / "e.safetensors", pairs, predicted, target), pairs)
    cosines, ranks = [], []
    for guess, truth in zip(predicted, target, strict=True):
        cosines.append(1 - cosine(guess, truth))
        order = sorted(cosine(guess, other) for other in target[::2])
        ranks.append(1 + int(np.argmin(np.abs(np.array(order) - cosine(guess, truth)))))
    assert rows["cosine"].value == pytest.approx(np.mean(cosines), abs=1e-6)
    assert rows["retrieval_rank"].value == pytest.approx(np.mean(ranks))
    assert rows["retrieval_r1"].value == pytest.approx(np.mean(np.array(ranks) == 1))
    assert rows["retrieval_rank"].reason == "among 5 targets"
    assert all(row.stage == "prior" and row.n == 10 for row in rows.values())
    assert len(frame) == 30


def test_a_perfect_prediction_ranks_first(pairs, tmp_path):
    _, target = embeddings()
    rows, _ = score(write(tmp_path / "e.safetensors", pairs, target, target), pairs)
    assert rows["cosine"].value == pytest.approx(1, abs=1e-6)
    assert (rows["retrieval_rank"].value, rows["retrieval_r1"].value) == (1, 1)


def test_collapsed_embeddings_get_the_mean_rank_and_no_hit(pairs, tmp_path):
    same = np.ones((10, 16))
    rows, _ = score(write(tmp_path / "e.safetensors", pairs, same, same), pairs)
    assert (rows["retrieval_rank"].value, rows["retrieval_r1"].value) == (3, 0)


def test_rows_are_found_by_pair_id_whatever_their_order(pairs, tmp_path):
    predicted, target = embeddings()
    one, _ = score(write(tmp_path / "a.safetensors", pairs, predicted, target), pairs)
    shuffled = np.random.default_rng(1).permutation(10)
    path = write(
        tmp_path / "b.safetensors", [pairs[i] for i in shuffled], predicted[shuffled],
        target[shuffled],
    )  # fmt: skip
    other, _ = score(path, pairs)
    for name, row in one.items():
        assert other[name].value == pytest.approx(row.value, abs=1e-12)


def test_a_pair_without_an_embedding_is_counted(pairs, tmp_path):
    predicted, target = embeddings()
    path = write(tmp_path / "e.safetensors", pairs[1:], predicted[1:], target[1:])
    rows, _ = score(path, pairs, failures={pairs[1].pair_id: "source cannot be decoded"})
    row = rows["cosine"]
    assert (row.n, row.n_expected, row.status) == (8, 10, "ok")
    assert "no embedding was predicted" in row.reason
    assert "source cannot be decoded" in row.reason


@pytest.mark.parametrize("what", ["absent", "garbage", "ids", "nan"])
def test_a_file_that_does_not_fit_makes_failed_rows(pairs, tmp_path, what):
    path = tmp_path / "e.safetensors"
    predicted, target = embeddings()
    if what == "garbage":
        path.write_bytes(b"nothing")
    elif what == "ids":
        write(path, pairs[:3], predicted, target)
    elif what == "nan":
        write(path, pairs, predicted * np.nan, target)
    rows, frame = score(path, pairs)
    assert {row.status for row in rows.values()} == {"failed"}
    assert all(str(path) in row.reason for row in rows.values())
    assert frame.empty
