"""Folders of pictures made elsewhere: right numbers whatever the naming, and every misfit named."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
from bench_fixture import call, error_line, save_folder_dataset
from scipy.ndimage import gaussian_filter

from pcdms_bench.folder_scores import DatasetTargets, FolderRequest, score_folder
from pcdms_bench.metrics.ssim import ssim_map, ssim_of_map
from pcdms_bench.ssim_variants import SSIM_G15, SSIM_G15_OWN
from pcdms_data.images import load_picture, resize, save_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError

SIZE = (64, 44)
QUICK = ("ssim", "l1")


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))


def smooth(count, seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    rough = gaussian_filter(rng.normal(size=(count, *size, 3)), (0, 3, 3, 0))
    return np.clip(rough * 400 + 128, 0, 255).astype(np.uint8)


TARGETS = smooth(3)
MADE = np.clip(
    TARGETS + np.random.default_rng(1).normal(0, 12, TARGETS.shape), 0, 255
).astype(np.uint8)  # fmt: skip


def ssim(made, targets, variant=SSIM_G15):
    values = [
        ssim_of_map(ssim_map(a, b, variant), variant) for a, b in zip(made, targets, strict=True)
    ]
    return np.mean(values)


def save(folder, names, pictures):
    for name, picture in zip(names, pictures, strict=True):
        save_picture(folder / name, picture)
    return folder


def values(request, protocols=("standard",), metrics=QUICK):
    return {row.metric: row for row in score_folder(request, protocols, metrics)}


@pytest.fixture
def targets(tmp_path):
    return save(tmp_path / "targets", ["a.png", "b.png", "c.png"], TARGETS)


@pytest.mark.parametrize(
    ("naming", "pattern"),
    [
        ("same-name", "{t}.png"),
        ("pcdms", "s_to_{t}.png"),
        ("pidm", "s_2_deep{t}_vis.png"),
        ("gfla", "s_2_{t}_vis.png"),
        ("auto", "s_2_{t}_vis.png"),
        ("auto", "s_to_{t}.png"),
        ("auto", "{t}.png"),
    ],
)
def test_every_naming_gives_the_same_scores(tmp_path, targets, naming, pattern):
    made = save(tmp_path / "made", [pattern.format(t=t) for t in "abc"], MADE)
    rows = values(FolderRequest(made, targets, naming))
    assert rows["ssim"].value == pytest.approx(ssim(MADE, TARGETS), rel=1e-10)
    row = rows["l1"]
    assert (row.n, row.n_expected, row.status, row.reason) == (3, 3, "ok", "")
    assert (row.method, row.dataset, row.protocol) == ("made", "folder", "standard@64x44")


@pytest.mark.parametrize(
    ("naming", "pattern", "tiles"),
    [("patn", "s.jpg___{t}.jpg_vis.png", "xxtxm"), ("defgan", "s.jpg_{t}.jpg.png", "xtm")],
)
def test_sheets_are_scored_against_their_own_targets(tmp_path, naming, pattern, tiles):
    kinds = {"m": MADE, "t": TARGETS, "x": smooth(3, 7)}
    sheets = [np.concatenate([kinds[kind][i] for kind in tiles], axis=1) for i in range(3)]
    made = save(tmp_path / "made", [pattern.format(t=t) for t in "abc"], sheets)
    rows = values(FolderRequest(made, None, naming))
    assert rows["ssim"].value == pytest.approx(ssim(MADE, TARGETS), rel=1e-10)
    assert f"sheets of {len(tiles)}" in rows["ssim"].reason
    assert "targets from the same sheets" in rows["ssim"].reason


def test_patn_takes_the_target_of_the_sheet_and_other_protocols_that_of_the_folder(
    tmp_path, targets
):
    """PATN's script reads both from one compressed file; nobody else does."""
    others = smooth(3, 9)
    sheets = [np.concatenate([m, m, o, m, m], axis=1) for m, o in zip(MADE, others, strict=True)]
    made = save(tmp_path / "made", [f"s___{t}_vis.png" for t in "abc"], sheets)
    found = score_folder(FolderRequest(made, targets, "patn"), ("patn", "standard"), ("ssim",))
    patn, standard = found
    white = [(0, 0), (0, 0), (10, 10), (0, 0)]
    padded = [np.pad(side, white, constant_values=255) for side in (MADE, others)]
    assert patn.value == pytest.approx(ssim(*padded, SSIM_G15_OWN), rel=1e-10)
    assert standard.value == pytest.approx(ssim(MADE, TARGETS), rel=1e-10)
    assert "same sheets" in patn.reason
    assert "same sheets" not in standard.reason


def test_padded_pictures_are_cropped_and_larger_ones_resized_by_the_protocol(tmp_path, targets):
    padded = np.pad(MADE, [(0, 0), (0, 0), (10, 10), (0, 0)], constant_values=255)
    made = save(tmp_path / "padded", [f"s_2_{t}_vis.png" for t in "abc"], padded)
    row = values(FolderRequest(made, targets, "pise"))["ssim"]
    assert row.value == pytest.approx(ssim(MADE, TARGETS), rel=1e-10)
    assert "cropped to columns 40..216 of 256" in row.reason
    large = [cv2.resize(picture, (88, 128), interpolation=cv2.INTER_NEAREST) for picture in MADE]
    made = save(tmp_path / "large", [f"{t}.png" for t in "abc"], large)
    row = values(FolderRequest(made, targets))["ssim"]
    small = [resize(picture, SIZE, "pil-bicubic-u8") for picture in large]
    assert row.value == pytest.approx(ssim(small, TARGETS), rel=1e-10)
    assert row.reason == "pictures are 128x88"


def test_pictures_or_targets_of_two_sizes_are_refused(tmp_path, targets):
    made = save(tmp_path / "made", ["a.png", "b.png", "c.png"], MADE)
    save_picture(made / "b.png", smooth(1, 0, (32, 22))[0])
    with pytest.raises(InputError, match=r"made of 2 sizes \(a\.png 64x44, b\.png 32x22\)"):
        values(FolderRequest(made, targets))
    with pytest.raises(InputError, match=r"targets in .* of 2 sizes"):
        values(FolderRequest(targets, made))


def test_missing_surplus_and_second_pictures_are_listed_or_lower_n(tmp_path, targets):
    names = ["s_to_a.png", "s_to_a.jpg", "s_to_nobody.png"]
    made = save(tmp_path / "made", ["s_to_a.png", "s_to_nobody.png"], MADE[[0, 1]])
    (made / names[1]).write_bytes((made / names[0]).read_bytes())
    request = FolderRequest(made, targets, "pcdms")
    with pytest.raises(InputError) as caught:
        values(request)
    for word in ("2 missing: b, c", "s_to_nobody.png", "s_to_a.png and s_to_a.jpg"):
        assert word in str(caught.value)
    row = values(FolderRequest(made, targets, "pcdms", allow_missing=True))["ssim"]
    assert (row.n, row.n_expected) == (1, 3)
    assert "2 of 3 pairs without a usable picture" in row.reason
    assert "2 files without a pair of their own left out" in row.reason


def test_undecodable_pictures_are_listed_or_lower_n(tmp_path, targets):
    made = save(tmp_path / "made", ["a.png", "b.png", "c.png"], MADE)
    content = (made / "b.png").read_bytes()
    (made / "b.png").write_bytes(content[: len(content) // 2])  # its head still tells the size
    with pytest.raises(InputError, match=r"b\.png is cut short"):
        values(FolderRequest(made, targets))
    row = values(FolderRequest(made, targets, allow_missing=True))["ssim"]
    assert (row.n, row.n_expected) == (2, 3)
    assert "b.png" in row.reason


@pytest.fixture
def dataset(tmp_path):
    root = save_folder_dataset(tmp_path / "data")
    pairs = load_pairs("folder", root=root)
    return root, pairs


def test_a_dataset_gives_pairs_targets_masks_and_order(tmp_path, dataset):
    root, pairs = dataset
    rng = np.random.default_rng(3)
    made, expected = tmp_path / "made", []
    for row, pair in enumerate(pairs):
        target = load_picture(pair.target)
        picture = np.clip(target + rng.normal(0, 20, target.shape), 0, 255).astype(np.uint8)
        save_picture(made / f"{row}.png", picture)
        save_picture(tmp_path / "named" / f"{pair.pair_id}.png", picture)
        expected.append(np.abs(picture.astype(float) - target).mean() / 255)
    against = DatasetTargets("folder", root)
    wanted = (*QUICK, "masked_l1")
    by_row = values(FolderRequest(made, against, "cfld", method="CFLD"), metrics=wanted)
    named = values(FolderRequest(tmp_path / "named", against), metrics=wanted)
    assert by_row["l1"].value == pytest.approx(np.mean(expected), rel=1e-10)
    for name in wanted:
        assert by_row[name].value == named[name].value
    assert named["masked_l1"].reference == "pair;mask=keypoints"
    row = by_row["ssim"]
    assert (row.method, row.dataset, row.split, row.n) == ("CFLD", "folder", "test", len(pairs))
    (tmp_path / "named" / f"{pairs[2].pair_id}.png").unlink()
    with pytest.raises(InputError, match=f"1 missing: {pairs[2].pair_id};"):
        values(FolderRequest(tmp_path / "named", against))
    limited = DatasetTargets("folder", root, limit=2)
    row = values(FolderRequest(tmp_path / "named", limited, allow_missing=True))["ssim"]
    assert (row.n, row.n_expected) == (2, 2)
    assert f"{len(pairs) - 3} files without a pair" in row.reason


def test_a_single_picture_has_scores_but_no_spread_and_no_covariance(tmp_path):
    """One picture gives no covariance: a set metric says so and has no value."""
    made = save(tmp_path / "made", ["a.png"], MADE[:1])
    targets = save(tmp_path / "targets", ["a.png"], TARGETS[:1])
    for reference in (targets, save(tmp_path / "train", ["x.png", "y.png"], smooth(2, 5))):
        rows = values(
            FolderRequest(made, targets, reference=reference),
            metrics=(*QUICK, "fd_efficientnet_lite0"),
        )
        assert rows["ssim"].value == pytest.approx(ssim(MADE[:1], TARGETS[:1]), rel=1e-10)
        assert rows["ssim"].ci_low is None
        row = rows["fd_efficientnet_lite0"]
        assert (row.value, row.status) == (None, "unavailable")
        assert "at least 2" in row.reason


def test_collected_pictures_that_were_resized_are_marked(tmp_path, targets):
    made = save(tmp_path / "made", ["a.png", "b.png", "c.png"], MADE)
    row = values(FolderRequest(made, targets, author_resized=True))["ssim"]
    assert row.reference == "pair;author-resized"


def test_the_command_scores_any_of_them_under_several_protocols(tmp_path, dataset):
    root, pairs = dataset
    for pair in pairs:
        save_picture(tmp_path / "made" / f"{pair.pair_id}.png", load_picture(pair.source))
    words = ("--dataset", "folder", "--root", root, "--naming", "pair-id", "--method", "copy")
    table = tmp_path / "scores.csv"
    result = call(
        "score", tmp_path / "made", *words, "--protocol", "standard,pcdms", "--metrics", "ssim,mae",
        "--out", table, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["protocol"], row["metric"]) for row in rows] == [
        ("standard@64x32", "ssim"), ("pcdms@64x32", "ssim"), ("pcdms@64x32", "mae"),
    ]  # fmt: skip
    with table.open(newline="") as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["copy"] * 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--targets", "x", "--dataset", "people"], "give one"),
        (["--tile", "2"], "--tile: only with"),
        (["--targets", "x", "--limit", "2"], "--limit: only with --dataset"),
        (["--naming", "gfla"], "nothing to compare with"),
        (["--targets", "x", "--naming", "gfl"], "did you mean 'gfla'"),
        (["--targets", "x", "--square", "padd"], "did you mean 'padded'"),
        (["--targets", "nowhere"], "no such folder"),
        (["--dataset", "folder", "--masks", "x"], "a dataset has its own"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(tmp_path, words, expected):
    save_picture(tmp_path / "a.png", MADE[0])
    result = call("score", tmp_path, *words)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_an_empty_folder_is_named(tmp_path, targets):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "statistics.npz").write_bytes(b"")
    result = call("score", tmp_path / "made", "--targets", targets)
    assert result.exit_code == 2
    assert "holds no pictures" in error_line(result)
