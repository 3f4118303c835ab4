"""What a cell learns from: nested shares per person, and generated pictures that belong there."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from bench_fixture import call, save_noise

from pcdms_bench.reid.generated import Origin, read_runs, used_pictures
from pcdms_bench.reid.subsets import kept_pictures, parse_fractions
from pcdms_bench.run_folder import read_json, write_json
from pcdms_data.persons import PersonPicture, load_persons
from pcdms_data.types import InputError, Picture, flat_stem

PAIRS = 60


def shown(counts):
    return [
        PersonPicture(Picture(f"{person:04d}_c1s1_{row:06d}_01.jpg", Path("x")), f"{person:04d}", 1)
        for person, count in enumerate(counts, start=1)
        for row in range(count)
    ]


def test_a_share_lies_inside_every_larger_one_and_keeps_each_person():
    pictures = shown([1, 2, 5, 17, 40])
    shares = [kept_pictures(pictures, percent, 0) for percent in (1, 20, 40, 60, 80, 100)]
    for small, large in pairwise(shares):
        assert set(small) <= set(large)
    assert list(shares[-1]) == pictures
    for percent, share in zip((1, 20, 40), shares, strict=False):
        counts = Counter(one.person for one in share)
        wanted = [max(1, int(n * percent / 100 + 0.5)) for n in (1, 2, 5, 17, 40)]
        assert [counts[f"{person:04d}"] for person in range(1, 6)] == wanted
    assert list(shares[1]) == [one for one in pictures if one in set(shares[1])], "order is kept"


def test_shares_depend_on_the_seed_and_on_names_alone():
    pictures = shown([17, 40])
    first = kept_pictures(pictures, 40, 0)
    assert set(kept_pictures(pictures[::-1], 40, 0)) == set(first)
    assert set(kept_pictures(pictures, 40, 1)) != set(first)


@pytest.mark.parametrize("text", ["0", "101", "20,abc", "2.5", "", "20,,40", "-20", "²"])
def test_fractions_out_of_range_are_refused(text):
    with pytest.raises(InputError, match="expected whole percentages from 1 to 100"):
        parse_fractions(text)


def test_fractions_come_ascending_and_once():
    assert parse_fractions("100, 20,40") == (20, 40, 100)
    with pytest.raises(InputError, match="twice"):
        parse_fractions("20,40,20")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("runs")
    result = call(
        "run", "--dataset", "people-street", "--size", "smoke", "--split", "train", "--out", out,
        "--methods", "copy-source,target-copy", "--metrics", "l1", "--limit", PAIRS,
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out / "people-street-train"


@pytest.fixture(scope="module")
def origin(cache):
    return Origin("people-street", "smoke", None, load_persons("people-street", size="smoke").train)


@pytest.fixture
def copied(runs, tmp_path):
    """A run folder of one's own, to be spoiled."""
    found = folder_of(runs, "copy-source")
    return Path(shutil.copytree(found, tmp_path / found.name))


def folder_of(runs, method):
    (found,) = (runs / method).iterdir()
    return found


def test_generated_pictures_show_the_person_of_their_pair(runs, origin):
    made = {one.method: one for one in read_runs([runs.parent], origin)}
    assert sorted(made) == ["copy-source", "target-copy"]
    one = made["copy-source"]
    assert (len(one.pictures), one.stage, one.peeked) == (PAIRS, "final", "")
    for picture in one.pictures:
        assert picture.picture.path.is_file()
        assert picture.pair_id == f"{picture.source}_to_{picture.target}"
        assert picture.source.startswith(picture.person)
        assert picture.target.startswith(picture.person)
    assert "hands out real pictures" in made["target-copy"].peeked


def test_rule_all_takes_every_picture_whose_source_is_kept(runs, origin):
    (made,) = read_runs([folder_of(runs, "copy-source")], origin)
    for percent in (25, 50, 100):
        kept = kept_pictures(origin.train, percent, 0)
        stems = {flat_stem(one.picture.name) for one in kept}
        used = used_pictures(made, kept, "all", 0)
        assert list(used) == [one for one in made.pictures if one.source in stems]
    assert len(used) == PAIRS


def test_rule_rest_stands_in_once_for_each_picture_that_is_left_out(runs, origin):
    (made,) = read_runs([folder_of(runs, "copy-source")], origin)
    kept = kept_pictures(origin.train, 50, 0)
    stems = {flat_stem(one.picture.name) for one in kept}
    used = used_pictures(made, kept, "rest", 0)
    reachable = {p.target for p in made.pictures if p.source in stems and p.target not in stems}
    assert {one.target for one in used} == reachable
    assert len(used) == len(reachable) > 0
    assert {one.source for one in used} <= stems
    assert used_pictures(made, origin.train, "rest", 0) == ()
    drawn = {used_pictures(made, kept, "rest", seed) for seed in range(8)}
    assert len(drawn) > 1, "where several pictures fit, the seed draws"


def refusal(copied, origin, folders=None):
    with pytest.raises(InputError) as found:
        read_runs(folders or [copied], origin)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_runs_of_other_pictures_are_refused(copied, origin, tmp_path):
    spec = read_json(copied / "spec.json")
    for change, words in (
        ({"split": "test"}, "split 'test', expected 'train'"),
        ({"size": "mini"}, "a run on people-street mini, expected one on people-street smoke"),
        ({"dataset": "market1501", "size": ""}, "a run on market1501, expected"),
        ({"data_seed": 1}, "expected one on people-street smoke"),
    ):
        write_json(copied / "spec.json", {**spec, **change})
        assert words in refusal(copied, origin)
    assert "holds no run folder" in refusal(copied, origin, [tmp_path / "nothing"])


def test_pairs_that_are_not_of_the_training_split_are_refused(copied, origin):
    status = read_json(copied / "status.json")
    write_json(copied / "status.json", {**status, "pair_ids": ["a_to_b", *status["pair_ids"]]})
    assert "1 of its pairs are not in people-street train, the first is a_to_b" in refusal(
        copied, origin
    )


def test_pictures_that_belong_to_no_pair_are_refused(copied, origin):
    save_noise(copied / "samples" / "final" / "0001_to_0002.png")
    assert "0001_to_0002.png: its name is no pair of people-street train" in refusal(copied, origin)


def test_further_samples_of_a_pair_are_no_strangers(copied, origin):
    first = next((copied / "samples" / "final").iterdir())
    shutil.copy(first, first.with_name(f"{first.stem}.1.png"))
    assert len(read_runs([copied], origin)[0].pictures) == PAIRS


def test_unfinished_runs_are_refused_and_failed_pairs_left_out(copied, origin):
    status = read_json(copied / "status.json")
    lost = status["pair_ids"][3]
    (copied / "samples" / "final" / f"{lost}.png").unlink()
    assert f"{lost}.png is missing: the run is not finished" in refusal(copied, origin)
    write_json(copied / "status.json", {**status, "state": "partial", "failed": {lost: "why"}})
    (made,) = read_runs([copied], origin)
    assert lost not in {one.pair_id for one in made.pictures}
    assert len(made.pictures) == PAIRS - 1
    write_json(copied / "status.json", {**status, "state": "unavailable", "reason": "no weights"})
    assert "is not finished (state unavailable: no weights)" in refusal(copied, origin)


def test_persons_that_are_not_in_the_training_pictures_are_refused(copied, origin):
    person = origin.train[0].person
    fewer = tuple(one for one in origin.train if one.person != person)
    other = Origin(origin.dataset, origin.size, None, fewer)
    assert f"nothing is known of the person of {person}" in refusal(copied, other)


def test_two_runs_of_one_method_are_refused(copied, runs, origin):
    assert "are both of method copy-source" in refusal(
        copied, origin, [copied, folder_of(runs, "copy-source")]
    )
