"""Garment retrieval in a run: real pictures find their garment, others do not, values per pair."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from pcdms_bench import score_images
from pcdms_bench.metrics.garments import garment_picture, garment_region, group_ranks
from pcdms_bench.metrics.networks import feature_network
from pcdms_bench.protocols import protocol_for
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.scoring import ScoreContext, score_stage
from pcdms_data import load_pairs
from pcdms_data.images import load_picture, save_picture

SIZE = (96, 64)
PROTOCOL = protocol_for("standard", "people", SIZE)
CONTEXT = ScoreContext("0123abcd", "any", "final", "people", "test", "first", 1, "", 0, SIZE)
NAMES = ("garment_r1", "garment_r5")


@pytest.fixture(autouse=True)
def private_store(monkeypatch, tmp_path, people):  # people first, from the usual cache
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PCDMS_WEIGHTS", str(tmp_path / "none"))


@pytest.fixture(scope="module")
def people():
    return list(load_pairs("people", size="smoke", resolution=SIZE, limit=24))


def score(folder, pairs, pictures, metrics=NAMES, **changes):
    for pair, picture in zip(pairs, pictures, strict=True):
        save_picture(folder / f"{pair.pair_id}.png", picture)
    rows, frame = score_stage(
        "final", folder, pairs, [PROTOCOL], CONTEXT, None, metrics, memory=ScoreMemory(), **changes
    )
    return {row.metric: row for row in rows}, frame


def targets(pairs):
    return [load_picture(pair.target, SIZE) for pair in pairs]


def by_definition(pairs, pictures):
    """Ranks from the plain functions, one picture at a time."""
    network = feature_network("fd_efficientnet_lite0")

    def embed(picture, pose):
        region = garment_region(pose.resized(SIZE))
        return (
            None if region is None else network.features(garment_picture(picture, region)[None])[0]
        )

    sources = {(p.source.path, p.source.row): p for p in pairs}
    found = {key: embed(load_picture(p.source, SIZE), p.source_pose) for key, p in sources.items()}
    keys = [key for key, value in found.items() if value is not None]
    made = [embed(picture, p.target_pose) for p, picture in zip(pairs, pictures, strict=True)]
    seen = [i for i, value in enumerate(made) if value is not None]
    ranks = np.full(len(pairs), np.nan)
    ranks[seen] = group_ranks(
        np.stack([made[i] for i in seen]), [pairs[i].group for i in seen],
        np.stack([found[key] for key in keys]), [sources[key].group for key in keys],
        [keys.index(own) if (own := (pairs[i].target.path, pairs[i].target.row)) in keys else -1
         for i in seen],
    )  # fmt: skip
    return ranks


def test_values_are_those_of_the_definition_and_come_per_pair(tmp_path, people):
    pictures = targets(people)
    people = [replace(pair, group=pair.source.name) for pair in people]  # more than four
    rows, frame = score(tmp_path, people, pictures)
    ranks = by_definition(people, pictures)
    for name, within in (("garment_r1", 1), ("garment_r5", 5)):
        expected = (ranks[np.isfinite(ranks)] <= within).mean()
        assert rows[name].value == pytest.approx(expected)
        assert rows[name].extractor.startswith("efficientnet_lite0@")
        assert "garments in" in rows[name].reason
        assert rows[name].ci_low <= rows[name].value <= rows[name].ci_high
        column = frame[frame["metric"] == name]
        assert len(column) == rows[name].n
        assert column["value"].mean() == pytest.approx(rows[name].value)
    assert rows["garment_r5"].value >= rows["garment_r1"].value


def test_real_pictures_beat_those_of_other_people(tmp_path, people):
    pictures = targets(people)
    groups = sorted({pair.group for pair in people})
    other = {g: groups[(i + 1) % len(groups)] for i, g in enumerate(groups)}
    first = {pair.group: picture for pair, picture in zip(people, pictures, strict=True)}
    wrong = [first[other[pair.group]] for pair in people]
    real, _ = score(tmp_path / "real", people, pictures)
    swapped, _ = score(tmp_path / "wrong", people, wrong)
    assert real["garment_r1"].value > 0.5
    assert swapped["garment_r1"].value < real["garment_r1"].value / 2


def test_a_lost_picture_changes_no_candidate(tmp_path, people):
    pictures = targets(people)
    whole, frame = score(tmp_path, people, pictures)
    (tmp_path / f"{people[0].pair_id}.png").unlink()
    rest, rest_frame = score(tmp_path, people[1:], pictures[1:])
    less, less_frame = score_stage(
        "final", tmp_path, people, [PROTOCOL], CONTEXT, None, NAMES, memory=ScoreMemory()
    )
    assert less[0].reason.endswith(whole["garment_r1"].reason)
    both = frame.merge(less_frame, on=["pair_id", "metric"])
    assert (both["value_x"] == both["value_y"]).all()
    assert len(less_frame) < len(frame)
    assert len(rest_frame) <= len(less_frame)
    assert rest["garment_r1"].n_expected == len(people) - 1


def test_an_embedding_from_a_file_has_metrics_of_its_own(tmp_path, people, monkeypatch):
    class Colours(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(x, 32).flatten(1)

    path = tmp_path / "colours.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Colours(), torch.zeros(1, 3, 224, 224)).save(str(path))
    monkeypatch.setenv("PCDMS_WEIGHTS_GARMENT", str(path))
    feature_network.cache_clear()  # a process does not look for a file twice
    rows, _ = score(tmp_path / "made", people, targets(people), ("garment_given_r1",))
    assert rows["garment_given_r1"].extractor.startswith("colours@")
    assert rows["garment_given_r1"].value > 0


def test_reasons_where_it_cannot_be_told(tmp_path, people):
    pictures = np.stack(targets(people)[:3])
    frame = score_images(pictures, pictures, metrics=["garment_r1"])
    assert "source pictures and the key points" in frame["reason"][0]
    rows, _ = score(tmp_path / "a", people[:1], pictures[:1])
    assert "garments to choose from: 1, expected more than 1" in rows["garment_r1"].reason
    assert "garments to choose from: 1, expected more than 5" in rows["garment_r5"].reason
    nameless = [replace(pair, group="") for pair in people[:3]]
    rows, _ = score(tmp_path / "b", nameless, pictures)
    assert "do not say which pictures show the same garment" in rows["garment_r1"].reason
    feature_network.cache_clear()
    rows, _ = score(tmp_path / "c", people[:3], pictures, ("garment_given_r1",))
    assert "PCDMS_WEIGHTS_GARMENT" in rows["garment_given_r1"].reason
    assert {row.status for row in rows.values()} == {"unavailable"}
