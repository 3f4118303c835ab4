"""`data check`: counts, findings and verdicts for every layout, each fault named."""

import json
import os
import shlex
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bench_fixture import call, error_line, save_folder_dataset, save_noise
from raw_downloads import make_inshop, make_market

from pcdms_data.checking import check_dataset
from pcdms_data.images import load_picture, save_picture
from pcdms_data.layouts.picture_files import jpeg_bytes
from pcdms_data.layouts.table import LAYOUTS
from pcdms_data.published_counts import compared_with_published
from pcdms_data.types import InputError, Picture

REAL = Path(os.environ.get("PCDMS_REALDATA") or Path(__file__).parents[1] / "../shared/realdata")
real_files = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"no real lists at {REAL} (set PCDMS_REALDATA)"
)
WRITABLE = [name for name, layout in LAYOUTS.items() if layout.writable]


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The embedded people in each layout that can be written, made when asked for."""
    made = {}

    def root(layout):
        if layout not in made:
            out = tmp_path_factory.mktemp("exported") / layout
            dataset = "people-street" if layout == "market" else "people"
            result = call(
                "data", "export", "--dataset", dataset, "--size", "smoke", "--layout", layout,
                "--out", out,
            )  # fmt: skip
            assert result.exit_code == 0, result.output
            made[layout] = out
        return made[layout]

    return root


@pytest.fixture
def damaged(exported, tmp_path):
    """A copy of an export, to be damaged."""

    def copy(layout):
        return Path(shutil.copytree(exported(layout), tmp_path / layout))

    return copy


def kinds(findings):
    return Counter(finding.kind for finding in findings)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("layout", WRITABLE)
def test_every_layout_is_found_counted_and_usable(exported, layout, fast):
    root = exported(layout)
    report = check_dataset(root, fast=fast)
    assert report.usable, report.problems
    assert report.layout == layout
    assert report.dataset == {"market": "market1501", "folder": "folder"}.get(layout, "deepfashion")
    test = next(one for one in report.splits if one.split == "test")
    assert test.pairs == 48
    assert test.groups == 4
    assert {one.split for one in report.splits} >= {"train", "test"}
    assert report.verdict.endswith("; pictures were not decoded") == fast
    assert all(one.pictures == one.groups == 0 for one in report.overlaps)
    # A list of pairs alone does not name a picture that is in no pair.
    assert set(kinds(report.notes)) <= ({"unlisted picture"} if layout == "pcdms" else set())
    if layout != "folder":
        assert test.published.startswith("not the published set: ")


@pytest.mark.parametrize("layout", ["patn", "market", "folder"])
def test_the_next_command_is_one_that_works(exported, layout, tmp_path):
    result = call("data", "check", "--root", exported(layout), "--fast", "--json")
    assert result.exit_code == 0
    words = shlex.split(json.loads(result.stdout)["next_command"])
    assert words[:2] == ["pcdms-bench", "run"]
    more = ("--methods", "copy-source", "--dry-run", "--out", tmp_path)
    assert call(*words[1:], *more).exit_code == 0


def test_the_report_says_what_else_fits_and_what_is_not_published(exported):
    result = call("data", "check", "--root", exported("patn"))
    assert result.exit_code == 0, result.output
    assert "layout      patn: fasion-resize-annotation-" in result.stdout
    assert "test: not the published set: PATN test has 4,038 pictures and 8,570" in result.stdout
    assert "train and test share 0 pictures, 0 groups, 0 items (503 in" in result.stdout
    lines = result.stdout.strip().splitlines()
    assert lines[-2].startswith("usable: ")
    assert "48 test pairs" in lines[-2]
    assert lines[-1].startswith("next: pcdms-bench run --dataset deepfashion --root ")


def test_a_missing_a_cut_and_an_odd_picture_are_named(damaged):
    root = damaged("patn")
    pictures = sorted((root / "test").iterdir())
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:-600])
    pixels = load_picture(Picture("a", pictures[2]))
    pictures[2].write_bytes(jpeg_bytes(pixels[:, :-5].copy()))
    pictures[3].write_bytes(jpeg_bytes(np.repeat(np.repeat(pixels, 2, 0), 2, 1)))
    report = check_dataset(root)
    assert not report.usable
    found = {problem.kind: problem.text for problem in report.problems}
    assert set(found) == {
        "annotation without picture", "unreadable picture", "picture of another shape",
    }  # fmt: skip
    assert str(pictures[0]) in found["annotation without picture"]
    assert "is cut short" in found["unreadable picture"]
    assert str(pictures[1]) in found["unreadable picture"]
    assert pictures[2].name in found["picture of another shape"]
    assert kinds(report.notes)["picture of another size"] == 1
    # Heads alone show what is missing and odd, not what is cut.
    assert "unreadable picture" not in kinds(check_dataset(root, fast=True).problems)
    result = call("data", "check", "--root", root)
    assert result.exit_code == 2
    assert "not usable: annotation without picture (1), " in result.stdout
    assert result.stdout.strip().splitlines()[-1].startswith("next: pcdms-bench data check ")


def test_a_size_that_comes_late_in_the_file_is_found_by_the_fast_check(tmp_path):
    root = save_folder_dataset(tmp_path)
    path = root / "pictures" / "p0v0.png"
    content = jpeg_bytes(load_picture(Picture("a", path)))
    segment = b"\xff\xe2" + (65_000).to_bytes(2, "big") + bytes(64_998)
    path.write_bytes(content[:2] + 2 * segment + content[2:])
    report = check_dataset(root, fast=True)
    assert report.usable, report.problems
    assert report.splits[0].stored == "64x32"
    assert kinds(report.notes) == {}


def test_a_picture_that_no_list_names_is_a_note(damaged):
    root = damaged("patn")
    save_noise(root / "test" / "extra.png")
    (root / "test" / "notes.txt").write_text("no picture")
    report = check_dataset(root)
    assert report.usable
    texts = [note.text for note in report.notes if note.kind == "unlisted picture"]
    assert texts == [f"{root / 'test' / 'extra.png'} is in no list"]


def test_a_pair_without_annotation_and_a_malformed_row_stop_the_split(damaged):
    root = damaged("patn")
    pairs = root / "fasion-resize-pairs-test.csv"
    pairs.write_text(pairs.read_text() + "nobody.jpg,nothing.jpg\n")
    train = root / "fasion-resize-annotation-train.csv"
    train.write_text(train.read_text() + "broken row\n")
    report = check_dataset(root)
    assert not report.usable
    assert report.splits == ()
    assert kinds(report.problems) == {"split test": 1, "split train": 1}
    text = " ".join(problem.text for problem in report.problems)
    assert "nobody.jpg' is not listed" in text
    assert "line" in text
    assert report.verdict.startswith("not usable: ")


def test_a_split_that_is_not_there_is_a_note_where_another_is(damaged):
    root = damaged("patn")
    (root / "fasion-resize-annotation-train.csv").unlink()
    report = check_dataset(root)
    assert report.usable
    assert kinds(report.notes)["split train"] == 1
    (root / "fasion-resize-annotation-test.csv").unlink()
    with pytest.raises(InputError, match="holds no layout that is known"):
        check_dataset(root)
    named = check_dataset(root, dataset="deepfashion", layout="patn")
    assert not named.usable
    assert kinds(named.problems) == {"split train": 1, "split test": 1}


def rewritten(root, change):
    path = root / "keypoints.csv"
    lines = path.read_text().splitlines()
    header = lines[0].split(",")
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    change(rows)
    header = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(row.get(name, "") for name in header) for row in rows]
    path.write_text("\n".join([",".join(header), *lines]) + "\n")


def test_joints_outside_half_missing_and_pairs_beside_the_rule_are_notes(tmp_path):
    root = save_folder_dataset(tmp_path)

    def change(rows):
        rows[0]["nose_x"] = "32"  # the first column beyond a width of 32
        rows[1]["nose_y"] = "-0.5"
        rows[2]["left_ear_x"] = "-1"
        rows[3]["left_hip_x"] = rows[3]["left_hip_y"] = ""

    rewritten(root, change)
    (root / "pairs.csv").write_text("source,target\np1v0.png,p1v1.png\np0v0.png,p0v1.png\n")
    report = check_dataset(root)
    assert report.usable
    assert kinds(report.notes) == {
        "joint outside the frame": 2,
        "half-missing joint": 1,
        "paired picture without shoulders and hips": 1,
    }
    texts = " ".join(note.text for note in report.notes)
    assert "p0v0.png joint 0 at (32, 6) in 64x32" in texts
    assert "p0v2.png joint 17 at (-1, " in texts
    assert "p1v0.png is in a pair" in texts


def test_groups_of_two_splits_are_noted_and_equal_pictures_refused(tmp_path):
    root = save_folder_dataset(tmp_path, people=2, views=4)

    def change(rows):
        for number, row in enumerate(rows):
            row["split"] = "train" if number in (0, 1, 4, 5) else "test"

    rewritten(root, change)
    report = check_dataset(root)
    assert [(one.pictures, one.groups) for one in report.overlaps] == [(0, 2)]
    assert kinds(report.notes) == {"group of two splits": 2}
    assert report.usable


def test_pictures_of_both_splits_make_a_dataset_unusable(damaged):
    root = damaged("patn")
    train, test = (root / f"fasion-resize-annotation-{split}.csv" for split in ("train", "test"))
    row = test.read_text().splitlines()[1]
    train.write_text(train.read_text() + row + "\n")
    name = row.partition(":")[0]
    shutil.copy(root / "test" / name, root / "train" / name)
    for split in ("train", "test"):
        (root / f"{split}.lst").unlink(missing_ok=True)
    report = check_dataset(root)
    assert not report.usable
    assert {problem.kind for problem in report.problems} == {"picture of two splits"}
    assert report.problems[0].text == f"{name} is in train and in test"


def test_a_prepared_dataset_is_compared_with_its_manifest(tmp_path):
    root = save_folder_dataset(tmp_path / "raw")
    out = tmp_path / "prepared"
    made = call("data", "prepare", "--dataset", "folder", "--root", root, "--out", out)
    assert made.exit_code == 0, made.output
    report = check_dataset(out)
    assert report.usable, report.problems
    assert (report.dataset, report.layout) == ("folder", "prepared")
    file = max((path for path in out.rglob("*.arrow")), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    report = check_dataset(out)
    assert not report.usable
    assert kinds(report.problems)["damaged file"] == 1
    assert str(file) in next(p.text for p in report.problems if p.kind == "damaged file")
    assert report.next_command.startswith("pcdms-bench data prepare --dataset folder")


def test_a_link_out_of_the_root_stops_the_split(damaged, tmp_path):
    root = damaged("patn")
    elsewhere = tmp_path / "elsewhere"
    (root / "test").rename(elsewhere)
    (root / "test").symlink_to(elsewhere)
    report = check_dataset(root)
    assert not report.usable
    assert "outside of" in report.problems[0].text


def test_a_download_with_one_annotated_split_is_usable_and_prepares(tmp_path):
    root = make_inshop(tmp_path / "raw", splits=("test",)).root
    report = check_dataset(root, fast=True)
    assert report.usable
    assert [one.split for one in report.splits] == ["test"]
    assert kinds(report.notes) == {"split train": 1}
    made = call("data", "prepare", "--dataset", "deepfashion", "--root", root, "--out",
                tmp_path / "out")  # fmt: skip
    assert made.exit_code == 0
    assert "note: split train is left out: " in made.stderr


def test_a_download_of_which_every_picture_has_a_wrong_size_is_not_usable(tmp_path):
    root = make_market(tmp_path / "raw").root
    for path in (root / "bounding_box_test").iterdir():
        path.write_bytes(jpeg_bytes(np.zeros((64, 64, 3), dtype=np.uint8)))
    report = check_dataset(root)
    assert not report.usable
    assert set(kinds(report.problems)) == {"picture of another shape"}
    assert "is 64x64, expected 128x64" in report.problems[0].text


@pytest.mark.parametrize("fast", [False, True])
def test_a_missing_and_a_pickled_label_map_are_problems(damaged, fast):
    root = damaged("adgan")
    maps = sorted(root.rglob("*.npy"))
    np.save(maps[0], np.array([{}], dtype=object), allow_pickle=True)
    report = check_dataset(root, fast=fast)
    assert kinds(report.problems) == {"label map": 1}
    assert str(maps[0]) in report.problems[0].text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--root", "nowhere"], "nowhere"),
        (["--root", "."], "holds no layout that is known"),
        (["--root", ".", "--layout", "patm"], "unknown layout 'patm'"),
        (["--root", ".", "--dataset", "fashion"], "unknown dataset 'fashion'"),
        (["--root", ".", "--dataset", "market1501", "--layout", "patn"], "does not hold dataset"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_one_line(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = call("data", "check", *words)
    assert result.exit_code == 2
    assert message in error_line(result)


@real_files
def test_the_real_test_split_has_the_published_numbers(tmp_path):
    names = (REAL / "deepfashion/test.lst").read_text().split()
    picture = tmp_path / "one.png"
    save_picture(picture, np.zeros((256, 176, 3), dtype=np.uint8))
    content = jpeg_bytes(load_picture(Picture("a", picture)))
    root = tmp_path / "root"
    (root / "test").mkdir(parents=True)
    for name in names:
        (root / "test" / name).write_bytes(content)
    for file in ("fasion-resize-annotation-test.csv", "fasion-resize-pairs-test.csv",
                 "test.lst", "train.lst.gz"):  # fmt: skip
        shutil.copy(REAL / "deepfashion" / file, root)
    report = check_dataset(root, fast=True)
    assert report.usable
    (test,) = report.splits
    assert (test.pictures, test.groups, test.items, test.pairs) == (4038, 1000, 930, 8570)
    assert test.without_joints == 619
    assert test.published == "the numbers of PATN test"
    assert test.list_known_as == "the published DeepFashion test list (8,570 pairs)"
    (overlap,) = report.overlaps
    assert (overlap.pictures, overlap.groups, overlap.items) == (0, 0, 503)
    assert kinds(report.notes) == {"split train": 1, "joint outside the frame": 19}
    assert len({note.text.split()[1] for note in report.notes[1:]}) == 19


def test_other_numbers_are_said_to_be_others():
    assert compared_with_published("deepfashion", "test", 4061, 8670) == (
        "the numbers of Def-GAN test"
    )
    assert compared_with_published("market1501", "train", 12_936, 263_632) == (
        "the numbers of Market-1501 train"
    )
    assert compared_with_published("market1501", "test", 19_732, 11_999).startswith("not the publ")
    assert compared_with_published("folder", "test", 1, 1) == ""


def test_a_layout_that_is_not_the_first_to_fit_is_named_in_the_next_command(exported, tmp_path):
    root = exported("gfla")
    check = ("data", "check", "--root", root, "--fast", "--json")
    found = json.loads(call(*check).stdout)
    assert (found["layout"], found["others"]) == ("gfla", ["patn (deepfashion)"])
    assert "--layout" not in found["next_command"]
    words = shlex.split(json.loads(call(*check, "--layout", "patn").stdout)["next_command"])
    assert "--layout patn" in " ".join(words)
    more = ("--methods", "copy-source", "--dry-run", "--out", tmp_path)
    assert call(*words[1:], *more).exit_code == 0
