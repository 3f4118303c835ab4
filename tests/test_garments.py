"""Garment retrieval: what is cut out, who may be found, and the rank of the right garment."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from pcdms_bench.metrics.garments import (
    GREY,
    SIDE,
    garment_picture,
    garment_region,
    group_ranks,
)
from pcdms_data import load_pairs
from pcdms_data.images import load_labels, load_picture
from pcdms_data.types import InputError, Keypoints

STANDING = {
    1: (32, 24), 2: (24, 25), 5: (40, 25), 8: (27, 55), 11: (37, 55), 9: (26, 80), 10: (26, 105),
    12: (38, 80), 13: (38, 105), 3: (20, 40), 4: (18, 52), 6: (44, 40), 7: (46, 52), 0: (32, 14),
    14: (30, 12), 15: (34, 12),
}  # fmt: skip


def pose(joints=STANDING, size=(128, 64)):
    xy, visible = np.zeros((18, 2), np.float32), np.zeros(18, bool)
    for joint, place in joints.items():
        xy[joint], visible[joint] = place, True
    return Keypoints(xy, visible, size)


def test_the_region_holds_body_and_limbs_and_no_head():
    region = garment_region(pose())
    assert region is not None
    for joint, (x, y) in STANDING.items():
        assert region[y, x] == (joint not in (0, 14, 15)), joint
    assert region[40, 32]  # the middle of the body
    assert not region[:15].any()
    assert not region[:, :8].any()


def test_a_view_from_the_side_has_a_region_and_a_person_without_a_body_has_none():
    side = {j: p for j, p in STANDING.items() if j not in (5, 6, 7, 11, 12, 13)}
    region = garment_region(pose(side))
    assert region is not None
    assert region[40, 25]
    assert garment_region(pose({j: p for j, p in STANDING.items() if j not in (8, 11)})) is None
    small = pose({j: (x / 16, y / 16) for j, (x, y) in STANDING.items()})
    assert garment_region(small) is None


def test_a_region_scales_with_the_frame():
    region, twice = garment_region(pose()), garment_region(pose().resized((256, 128)))
    assert region is not None
    assert twice is not None
    overlap = (twice[::2, ::2] & region).sum() / (twice[::2, ::2] | region).sum()
    assert overlap > 0.85


def test_nothing_outside_the_region_reaches_the_network():
    region = garment_region(pose())
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (128, 64, 3), np.uint8)
    other = np.where(region[:, :, None], picture, rng.integers(0, 256, picture.shape, np.uint8))
    found = garment_picture(picture, region)
    assert (found.shape, found.dtype) == ((SIDE, SIDE, 3), np.uint8)
    np.testing.assert_array_equal(found, garment_picture(other, region))
    assert (found[:10] == GREY).all() or (found[:, :10] == GREY).all()
    with pytest.raises(InputError, match="region"):
        garment_picture(picture[:100], region)


def test_the_region_lies_on_the_clothes_of_the_embedded_people():
    """The exact part labels are the oracle: nearly all of the region is person, little is head."""
    pairs = load_pairs("people", size="smoke", resolution=(96, 64), limit=12)
    inside, head, total = 0, 0, 0
    for pair in pairs:
        region = garment_region(pair.target_pose.resized((96, 64)))
        if region is None or pair.target_mask is None:
            continue
        labels = load_labels(pair.target_mask, (96, 64))
        assert load_picture(pair.target, (96, 64)).shape[:2] == region.shape
        inside += int((labels[region] > 0).sum())
        total += int(region.sum())
        nose = pair.target_pose.resized((96, 64))
        if nose.visible[0] and nose.visible[1]:
            x, y = np.rint(nose.xy[0]).astype(int)
            head += int(region[np.clip(y, 0, 95), np.clip(x, 0, 63)])
    assert total > 1000
    assert inside / total > 0.75
    assert head <= 2


def ranks_by_definition(queries, groups, candidates, candidate_groups, barred):
    middle = candidates.mean(0)
    distance = cdist(queries - middle, candidates - middle, "cosine")
    found = []
    for i, group in enumerate(groups):
        best = {}
        for j, name in enumerate(candidate_groups):
            if j != barred[i]:
                best[name] = min(best.get(name, np.inf), distance[i, j])
        found.append(1 + sum(value < best[group] for value in best.values()))
    return found


def test_ranks_equal_the_definition():
    rng = np.random.default_rng(0)
    candidates = rng.normal(3, 1, (30, 8)).astype(np.float32)
    names = [f"g{i % 10}" for i in range(30)]
    queries = (candidates[:12] + rng.normal(0, 1, (12, 8))).astype(np.float32)
    barred = [i if i % 2 else -1 for i in range(12)]
    found = group_ranks(queries, names[:12], candidates, names, barred)
    assert list(found) == ranks_by_definition(queries, names[:12], candidates, names, barred)
    assert found.min() == 1 < found.max()


def test_a_barred_candidate_is_not_found_and_a_lost_group_has_no_rank():
    candidates = np.eye(3, 4, dtype=np.float32)
    exact = group_ranks(candidates[:1], ["a"], candidates, ["a", "b", "c"], [-1])
    assert list(exact) == [1]
    assert np.isnan(group_ranks(candidates[:1], ["a"], candidates, ["a", "b", "c"], [0])[0])
    assert np.isnan(group_ranks(candidates[:1], ["d"], candidates, ["a", "b", "c"], [-1])[0])


def test_equal_candidates_share_their_ranks():
    candidates = np.ones((5, 4), np.float32)
    found = group_ranks(candidates[:2], ["a", "e"], candidates, list("abcde"), [-1, -1])
    assert list(found) == [3, 3]
    with pytest.raises(InputError, match="1 garment"):
        group_ranks(candidates, ["a"] * 5, candidates, ["a"] * 5, [-1] * 5)
