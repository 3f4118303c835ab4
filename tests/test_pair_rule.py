"""The published pair lists are made again byte for byte, by a rule that no library can change."""

import gzip
import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_fixture import call, error_line

from pcdms_data.layouts.annotation import read_annotation_rows
from pcdms_data.names import parse_fashion
from pcdms_data.pair_rule import (
    TEST_ROWS,
    legacy_permutation,
    pair_list_text,
    published_rows,
)
from pcdms_data.types import InputError

REAL = Path(os.environ.get("PCDMS_REALDATA") or Path(__file__).parents[1] / "../shared/realdata")
real_files = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"no real lists at {REAL} (set PCDMS_REALDATA)"
)
PATN = "deepfashion/fasion-resize-annotation-test.csv"
DEFGAN = "deepfashion/defgan/fasion-annotation-test.csv"
MARKET_TEST = "market1501/market-annotation-test.csv.gz"
MARKET_TRAIN = "market1501/market-annotation-train.csv.gz"

SHORTEST = "[" + ", ".join(str(20 + joint) for joint in range(18)) + "]"
HEADER = "name:keypoints_y:keypoints_x\n"


def annotation(*names):
    return HEADER + "".join(f"{name}: {SHORTEST}: {SHORTEST}\n" for name in names)


@pytest.mark.parametrize("seed", [0, 1, 5489, 2**32 - 1])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 64, 65, 623, 624, 625, 8570, 65537])
def test_permutation_is_that_of_numpys_frozen_generator(count, seed):
    expected = np.random.RandomState(seed).permutation(count)
    assert np.array_equal(legacy_permutation(count, seed), expected)


@pytest.mark.parametrize("count", [8570, 12_001, 257_198])
def test_sample_is_that_of_pandas(count):
    # Fails when an upgrade changes what pandas draws; our lists stay what they are.
    sample = pd.DataFrame(index=range(count)).sample(min(TEST_ROWS, count), random_state=0)
    assert np.array_equal(legacy_permutation(count)[:TEST_ROWS], sample.index)


def test_first_words_of_the_permutation_are_written_down_here():
    # Independent of the installed NumPy: computed once, equal in all releases so far.
    assert legacy_permutation(10).tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]
    digest = sha256(legacy_permutation(257_198).astype("<i8").tobytes()).hexdigest()
    assert digest == "76b6b0a60a9069a2d5a928b68bf1c5f422b6a67e36e86be021ef4d9bbd4f3333"


def test_groups_follow_their_first_picture_and_pairs_their_pictures():
    names = ["a01_1front.jpg", "b01_1front.jpg", "a01_2side.jpg", "b01_2side.jpg", "a01_3back.jpg"]
    visible = np.ones((5, 18), dtype=bool)
    assert published_rows(names, visible, "deepfashion", "train").tolist() == [
        [0, 2], [0, 4], [2, 0], [2, 4], [4, 0], [4, 2], [1, 3], [3, 1],
    ]  # fmt: skip
    visible[2, 11] = False  # a hip is not seen
    visible[4, 0] = False  # the nose does not matter
    assert published_rows(names, visible, "deepfashion", "train").tolist() == [
        [0, 4], [4, 0], [1, 3], [3, 1],
    ]  # fmt: skip


def test_junk_and_distractors_of_market_enter_no_pair():
    names = [
        f"{person}_c{camera}s1_000001_00.jpg"
        for person in ("-1", "0000", "0002")
        for camera in (1, 2)
    ]
    rows = published_rows(names, np.ones((6, 18), dtype=bool), "market1501", "train")
    assert rows.tolist() == [[4, 5], [5, 4]]


def test_names_and_key_points_of_other_numbers_are_refused():
    with pytest.raises(InputError, match=r"2 names with key points of shape \(1, 18\)"):
        published_rows(["a", "b"], np.ones((1, 18), dtype=bool), "deepfashion", "test")


def made(tmp_path, dataset, split, path):
    out = tmp_path / "pairs.csv"
    result = call(
        "data", "pairs", dataset, "--annotations", path, "--split", split, "--out", out, "--json"
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    content = out.read_bytes()
    assert document["sha256"] == sha256(content).hexdigest()
    assert document["pairs"] == content.count(b"\n") - 1
    return content, document


@real_files
@pytest.mark.parametrize(
    ("dataset", "split", "file", "pairs", "digest"),
    [
        ("deepfashion", "test", PATN, 8570,
         "3da031d5b376d544a1cc6e24f2618d9909e8d3bd4f9f44d7f355c9e02be644ba"),
        ("deepfashion", "test", DEFGAN, 8670,
         "3594bd8b677d2b4af69bea783eaeb0283432957691c6f00b20f4b31c2421b5e2"),
        ("market1501", "test", MARKET_TEST, 12_000,
         "4db9c2cc128070c6d060990ea0ec6234675a4c94dbc58b0ec00a0cb027edd551"),
        ("market1501", "train", MARKET_TRAIN, 263_632,
         "3ae6ffea206c1ec32b5f8e6aced8031cef8b2ee8798a6bedd6132408950d1fb6"),
    ],
)  # fmt: skip
def test_published_lists_are_made_byte_for_byte(tmp_path, dataset, split, file, pairs, digest):
    content, document = made(tmp_path, dataset, split, REAL / file)
    assert sha256(content).hexdigest() == digest
    assert document["pairs"] == pairs
    assert document["known_as"] is not None
    if file == PATN:
        assert content == (REAL / "deepfashion/fasion-resize-pairs-test.csv").read_bytes()


@real_files
def test_tree_names_make_the_published_list_with_tree_names(tmp_path):
    text = (REAL / PATN).read_text()
    lines = [text.partition("\n")[0] + "," * 34]
    for line in text.splitlines()[1:]:
        name, rest = line.split(":", 1)
        lines.append(f"fashion/{parse_fashion(name).tree}:{rest}")
    path = tmp_path / "tree.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    content, _ = made(tmp_path, "deepfashion", "test", path)
    assert sha256(content).hexdigest() == (
        "3384a3a2242adde1a9437a6e8bc5e827a348ce86859f655cc42144a2d82178f6"
    )


@real_files
def test_counts_of_groups_and_valid_pictures_are_those_of_the_real_files():
    expected = {
        PATN: ("deepfashion", 3264, 996, 876, 8570),
        DEFGAN: ("deepfashion", 3278, 998, 873, 8670),
        MARKET_TEST: ("market1501", 12_344, 745, 744, 257_198),
        MARKET_TRAIN: ("market1501", 12_116, 745, 741, 263_632),
    }
    for file, (dataset, valid, groups, paired, permutations) in expected.items():
        rows = read_annotation_rows(REAL / file)
        shown = rows.visible[:, [2, 5, 8, 11]].all(axis=1)
        keys = [
            name.partition("_")[0] if dataset == "market1501" else name.rpartition("_")[0]
            for name, good in zip(rows.names, shown, strict=True)
            if good and not name.startswith(("-1", "0000"))
        ]
        sizes = pd.Series(keys).value_counts()
        assert len(keys) == valid
        assert len(sizes) == groups
        assert (sizes >= 2).sum() == paired
        assert (sizes * (sizes - 1)).sum() == permutations
        assert len(published_rows(rows.names, rows.visible, dataset, "train")) == permutations


def test_the_pair_of_names_with_two_extensions_stays_what_it_is(tmp_path):
    names = ["1488_c4s6_022291_05.jpg.jpg", "1488_c3s3_071344_02.jpg.jpg"]
    path = tmp_path / "market.csv"
    path.write_text(annotation(*names))
    content, document = made(tmp_path, "market1501", "train", path)
    assert content.decode() == f"from,to\n{names[0]},{names[1]}\n{names[1]},{names[0]}\n"
    assert document["known_as"] is None


def test_a_list_that_says_something_else_is_kept_unless_told(tmp_path):
    path, out = tmp_path / "market.csv", tmp_path / "pairs.csv"
    path.write_text(annotation("0002_c1s1_000001_00.jpg", "0002_c2s1_000001_00.jpg"))
    words = ("data", "pairs", "market1501", "--annotations", path, "--out", out)
    out.write_text("from,to\n")
    refused = call(*words)
    assert refused.exit_code == 2
    assert "holds something else" in error_line(refused)
    assert out.read_text() == "from,to\n"
    assert call(*words, "--overwrite").exit_code == 0
    assert call(*words).exit_code == 0
    assert "not one of the published lists" in call(*words).stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["market.csv", "pairs.csv"]


@pytest.mark.parametrize(
    ("dataset", "names", "message"),
    [
        ("market", [], "unknown dataset 'market' (did you mean 'market1501'?)"),
        (
            "deepfashion",
            ["0002_c1s1_000001_00.jpg"],
            "names 0002_c1s1_000001_00.jpg, a picture of Market-1501, not of DeepFashion",
        ),
        (
            "market1501",
            ["fashionMENDenimid0000008001_1front.jpg"],
            "a picture of DeepFashion, not of Market-1501",
        ),
        ("deepfashion", ["fashionMENDenimid0000008001_1front.jpg"], "makes no pair"),
    ],
)
def test_unusable_input_is_refused_in_one_line(tmp_path, dataset, names, message):
    path = tmp_path / "annotation.csv"
    path.write_text(annotation(*names))
    result = call("data", "pairs", dataset, "--annotations", path, "--out", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert message in error_line(result)
    assert not (tmp_path / "out.csv").exists()


def test_a_cut_or_oversized_packed_file_is_refused_by_name(tmp_path, monkeypatch):
    whole = gzip.compress(annotation("0002_c1s1_000001_00.jpg").encode())
    path = tmp_path / "annotation.csv.gz"
    path.write_bytes(whole[:-10])
    with pytest.raises(InputError, match=r"annotation\.csv\.gz cannot be read as text"):
        read_annotation_rows(path)
    path.write_bytes(gzip.compress(b"\n" * (1 << 20)))
    monkeypatch.setattr("pcdms_data.tables.LARGEST_TEXT", 1 << 19)
    with pytest.raises(InputError, match=r"annotation\.csv\.gz holds more than 0 MiB"):
        read_annotation_rows(path)


def test_text_of_a_list_has_a_header_and_lf_ends():
    assert pair_list_text(["a", "b"], np.array([[1, 0]])) == "from,to\nb,a\n"
