"""Single-query scores: equal to counting by hand, blind to the same camera, refused when empty."""

from __future__ import annotations

import numpy as np
import pytest

from pcdms_bench.reid.evaluation import Embedded, askable, score_queries
from pcdms_data.persons import PersonPicture
from pcdms_data.types import InputError, Picture


def embedded(vectors, persons, cameras):
    vectors = np.asarray(vectors, np.float32)
    return Embedded(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), persons, cameras)


def on_a_circle(degrees, persons, cameras):
    """Vectors whose angle to a query at 0 degrees is their distance."""
    angles = np.radians(degrees)
    return embedded(np.stack([np.cos(angles), np.sin(angles)], 1), persons, cameras)


def counted(query, gallery, row):
    """Average precision as the area of the steps of precision over recall, and the first match.

    Nothing is sorted: the rank of a picture is one more than the number of pictures before it.
    """
    mine, camera = query.persons[row], query.cameras[row]
    rivals = [
        (float(gallery.vectors[i] @ query.vectors[row]), i, gallery.persons[i] == mine)
        for i in range(len(gallery.persons))
        if not (gallery.persons[i] == mine and gallery.cameras[i] == camera)
    ]
    wanted = sum(match for _, _, match in rivals)
    if not wanted:
        return None, 0
    ranked = {
        1 + sum(a > likeness or (a == likeness and j < i) for a, j, _ in rivals): match
        for likeness, i, match in rivals
    }
    area, found, recall, first = 0.0, 0, 0.0, 0
    for rank in range(1, len(rivals) + 1):
        found += ranked[rank]
        first = first or (rank if ranked[rank] else 0)
        area += (found / wanted - recall) * (found / rank)
        recall = found / wanted
    return area, first


@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_counting_by_hand(seed):
    rng = np.random.default_rng(seed)

    def side(count):
        persons = [f"{i:04d}" for i in rng.integers(1, 7, count)]
        # Small whole numbers, not of length 1: likenesses are exact, and often equal.
        vectors = rng.integers(-2, 3, (count, 3)).astype(np.float32)
        return Embedded(vectors, persons, rng.integers(1, 4, count).tolist())

    query, gallery = side(20), side(40)
    scores = score_queries(query, gallery)
    by_hand = [counted(query, gallery, row) for row in range(20)]
    assert scores.first.tolist() == [first for _, first in by_hand]
    wanted = np.array([np.nan if value is None else value for value, _ in by_hand])
    np.testing.assert_allclose(scores.precision, wanted, atol=1e-12)
    known = [(value, first) for value, first in by_hand if first]
    assert scores.count == len(known)
    assert scores.mean_precision == pytest.approx(np.mean([value for value, _ in known]))
    for rank in (1, 5, 10):
        share = np.mean([first <= rank for _, first in known])
        assert scores.rate(rank) == pytest.approx(share)


def test_a_known_order_has_its_known_score():
    query = on_a_circle([0], ["a"], [1])
    gallery = on_a_circle([10, 20, 30, 40], ["a", "b", "a", "b"], [2, 2, 3, 3])
    scores = score_queries(query, gallery)
    assert scores.mean_precision == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert scores.first.tolist() == [1]


def test_pictures_of_the_same_person_by_the_same_camera_change_nothing():
    query = on_a_circle([0, 50], ["a", "b"], [1, 1])
    alone = on_a_circle([30, 20, 70], ["a", "b", "a"], [2, 2, 2])
    crowded = on_a_circle(
        [30, 20, 70, 1, 2, 51], ["a", "b", "a", "a", "a", "b"], [2, 2, 2, 1, 1, 1]
    )
    first, second = score_queries(query, alone), score_queries(query, crowded)
    # For the first query "b" by camera 1 is another person, so only the second one is compared.
    assert second.first[1] == first.first[1]
    assert second.precision[1] == first.precision[1]
    only_own = on_a_circle([30, 20, 70, 1, 2], ["a", "b", "a", "a", "a"], [2, 2, 2, 1, 1])
    np.testing.assert_array_equal(score_queries(query, only_own).first, first.first)


def test_a_picture_that_asks_among_all_never_finds_itself():
    everything = on_a_circle([0, 5, 10, 40], ["a", "b", "b", "a"], [1, 1, 2, 2])
    scores = score_queries(everything, everything)
    assert scores.first.tolist() == [3, 1, 1, 3]


def test_a_distractor_can_only_lower_the_score():
    query = on_a_circle([0], ["a"], [1])
    clean = on_a_circle([10, 30], ["a", "a"], [2, 3])
    fooled = on_a_circle([10, 30, 20], ["a", "a", "0000"], [2, 3, 4])
    assert score_queries(query, clean).mean_precision == 1
    assert score_queries(query, fooled).mean_precision == pytest.approx((1 + 2 / 3) / 2)


def test_a_query_that_no_other_camera_has_seen_does_not_count():
    query = on_a_circle([0, 90], ["a", "b"], [1, 1])
    gallery = on_a_circle([10, 80], ["a", "b"], [2, 1])
    scores = score_queries(query, gallery)
    assert (scores.count, scores.first.tolist()) == (1, [1, 0])
    assert np.isnan(scores.precision[1])

    def shown(side):
        return [
            PersonPicture(Picture("x.png", None), person, camera)
            for person, camera in zip(side.persons, side.cameras, strict=True)
        ]

    assert askable(shown(query), shown(gallery)) == scores.count


def test_what_cannot_be_scored_is_refused():
    query = on_a_circle([0], ["a"], [1])
    with pytest.raises(InputError, match="no query shows a person"):
        score_queries(query, on_a_circle([10], ["b"], [2]))
    broken = Embedded(np.full((1, 2), np.nan, np.float32), ["a"], [2])
    with pytest.raises(InputError, match="not finite"):
        score_queries(query, broken)
    with pytest.raises(InputError, match="1 vectors with 2 persons"):
        Embedded(np.ones((1, 2), np.float32), ["a", "b"], [1])
