"""NTED and PIDM: lmdb folders, padded pose text, pair lines with the target first."""

import csv
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from pcdms_data import load_pairs
from pcdms_data.images import load_picture, png_bytes, resize
from pcdms_data.layouts import lmdb_pictures, nted, pidm
from pcdms_data.layouts.annotation import read_annotation
from pcdms_data.layouts.pair_lines import pair_lines, read_pair_lines
from pcdms_data.layouts.pose_text import NORMALISED, PADDED, parse_pose, pose_text, read_pose
from pcdms_data.layouts.table import find_layout
from pcdms_data.names import parsed_name
from pcdms_data.types import InputError, Keypoints

REALDATA = Path(os.environ.get("PCDMS_REALDATA", Path(__file__).parents[2] / "shared" / "realdata"))
SPLITS = ("train", "test")
FORMS = {"nted": nted, "pidm": pidm}


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def people():
    return {split: load_pairs("people", size="smoke", split=split) for split in SPLITS}


@pytest.fixture(scope="module")
def roots(people, tmp_path_factory):
    found = {}
    for name, module in FORMS.items():
        found[name] = tmp_path_factory.mktemp(name) / "out"
        assert module.write(list(people.values()), found[name]) == 80
    return found


@pytest.fixture
def small(tmp_path):
    """A root by hand: three pictures in img/, one with two sources."""
    for look in ("1_front", "2_side", "3_back"):
        stem = f"MEN/Denim/id_00000080/01_{look}"
        path = tmp_path / "img" / f"{stem}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((110, 75, 3), 90, np.uint8))
        path = tmp_path / "pose" / f"{stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, [[100 + joint, 7 * joint] for joint in range(17)] + [[-1, -1]])
    front, side, back = (f"img/MEN/Denim/id_00000080/01_{v}.jpg" for v in VIEWS)
    (tmp_path / "train_pairs.txt").write_text(f"{front},{side},{back}\n{side},{front}\n")
    (tmp_path / "test_pairs.txt").write_text(f"{front},{side}\n")
    return tmp_path


VIEWS = ("1_front", "2_side", "3_back")


@pytest.mark.parametrize("layout", FORMS)
def test_a_written_split_comes_back_equal(layout, people, roots):
    size = {"nted": (64, 32), "pidm": (64, 64)}[layout]
    for split, pairs in people.items():
        back = load_pairs("deepfashion", roots[layout], split, (64, 32), layout=layout)
        assert back.convention == "highres_resize"
        ids = [pair.pair_id for pair in pairs]
        assert {pair.pair_id for pair in back} == set(ids)
        assert len(back) == len(ids)
        if split == "test":
            assert [pair.pair_id for pair in back] == ids
        assert len(back.gallery.pictures) == len(pairs.gallery.pictures)
        assert back.gallery.groups == pairs.gallery.groups
        for mine, theirs, pose, their_pose in zip(
            back.gallery.pictures,
            pairs.gallery.pictures,
            back.gallery.keypoints,
            pairs.gallery.keypoints,
            strict=True,
        ):
            expected = resize(load_picture(theirs), size, "pil-bicubic-u8")
            assert np.array_equal(load_picture(mine), expected)
            assert np.array_equal(pose.visible, their_pose.visible)
            shown = pose.visible
            assert np.allclose(pose.xy[shown], their_pose.xy[shown], rtol=1e-6, atol=1e-5)


def test_the_files_are_those_the_loaders_open(people, roots, tmp_path):
    root = roots["nted"]
    assert sorted(path.name for path in root.iterdir()) == [
        "64-32", "pose", "test.lst", "test_pairs.txt", "train.lst", "train_pairs.txt",
    ]  # fmt: skip
    # The steps of their loader, by the library: key, value, pose file, result of the replacement.
    pair = people["test"][0]
    target, source = (root / "test_pairs.txt").read_text().splitlines()[0].split(",")
    assert parsed_name(target).flat.replace(".jpg", ".png") == pair.target.name
    assert parsed_name(source).flat.replace(".jpg", ".png") == pair.source.name
    copied = shutil.copytree(root / "64-32", tmp_path / "copy")  # lmdb opens a folder once
    environment = lmdb.open(str(copied), readonly=True, lock=False)
    with environment, environment.begin() as transaction:
        assert transaction.get(b"length") == b"00080"
        content = transaction.get(target.replace(".jpg", ".png").encode())
    pixels = cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert np.array_equal(pixels, load_picture(pair.target))
    text = root / target.replace("img/", "pose/").replace(".jpg", ".txt")
    values = np.loadtxt(text)
    shown = pair.target_pose.visible
    assert (values[~shown] == -1).all()
    expected = pair.target_pose.xy[shown] * (176 / 32, 256 / 64) + (40, 0)
    assert np.allclose(values[shown], expected, atol=1e-4)


def test_a_training_line_holds_a_target_and_all_other_pictures_of_its_group(people, roots):
    lines = (roots["nted"] / "train_pairs.txt").read_text().splitlines()
    targets = [line.split(",")[0] for line in lines]
    assert len(set(targets)) == len(targets)
    usable = {pair.target.name for pair in people["train"]}
    for line in lines:
        names = [parsed_name(cell) for cell in line.split(",")]
        others = {name for name in usable if name.rpartition("_")[0] == names[0].group}
        assert {name.flat.replace(".jpg", ".png") for name in names} == others


def test_every_source_of_a_line_makes_a_pair_and_the_target_is_first(small):
    pairs = load_pairs("deepfashion", small, "train")
    assert pairs.layout == "nted"
    assert pairs.resolution == (256, 176)
    ends = [(p.source.name[-9:-4], p.target.name[-9:-4]) for p in pairs]
    assert ends == [("2side", "front"), ("3back", "front"), ("front", "2side")]
    pose = pairs[0].source_pose
    assert pose.xy[3].tolist() == [63, 21]
    assert not pose.visible[17]
    assert load_picture(pairs[0].source).shape == (110, 75, 3)
    assert len(load_pairs("deepfashion", small, "test")) == 1


def test_the_smallest_store_that_is_large_enough_is_read(small):
    keys = [f"img/MEN/Denim/id_00000080/01_{view}.png" for view in VIEWS]
    for size in ((512, 352), (256, 176), (256, 256)):
        content = png_bytes(np.zeros((*size, 3), np.uint8))
        lmdb_pictures.write_lmdb(small / f"{size[0]}-{size[1]}", [(key, content) for key in keys])
    assert find_layout("deepfashion", small).name == "nted"

    def shape(resolution, layout):
        pairs = load_pairs("deepfashion", small, "test", resolution, layout=layout)
        return load_picture(pairs[0].source).shape[:2]

    assert shape(None, "nted") == (256, 176)
    assert shape((512, 352), "nted") == (512, 352)
    assert shape((300, 176), "nted") == (512, 352)
    assert shape((1024, 704), "nted") == (512, 352)
    assert shape((512, 352), "pidm") == (256, 256)


def test_the_folders_decide_between_the_two_layouts(roots, small):
    assert find_layout("deepfashion", roots["nted"]).name == "nted"
    assert find_layout("deepfashion", roots["pidm"]).name == "pidm"
    for path in (small / "img").rglob("*.jpg"):
        cv2.imwrite(str(path.with_suffix(".png")), cv2.imread(str(path)))
        path.unlink()
    pairs = load_pairs("deepfashion", small, "test")
    assert load_picture(pairs[0].source).shape == (110, 75, 3)
    assert pairs[0].source.name.endswith(".jpg")


def test_a_cut_database_is_refused_before_a_page_of_it_is_touched(roots, tmp_path):
    # Reading a mapped page behind the end of its file would end the process.
    root = Path(shutil.copytree(roots["nted"], tmp_path / "nted"))
    (folder,) = (path for path in root.iterdir() if (path / "data.mdb").is_file())
    content = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"data\.mdb has \d+ of \d+ bytes: it is cut short"):
        load_pairs("deepfashion", root)
    (folder / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="cannot be read as an lmdb folder"):
        load_pairs("deepfashion", root)


def test_a_disk_that_refuses_is_one_line(tmp_path, monkeypatch):
    def refuse(environment, batch):
        raise lmdb.DiskError("no space left")

    monkeypatch.setattr(lmdb_pictures, "_put", refuse)
    with pytest.raises(InputError, match="8-8 cannot be written as an lmdb folder: no space"):
        lmdb_pictures.write_lmdb(tmp_path / "8-8", [("a", b"b")])


def test_the_map_grows_with_the_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_pictures, "_FIRST_MAP", 1 << 16)
    noise = np.random.default_rng(0).integers(0, 256, (100, 40, 50), np.uint8)
    content = {f"img/{number:03}.png": png_bytes(plane) for number, plane in enumerate(noise)}
    assert lmdb_pictures.write_lmdb(tmp_path / "8-8", content.items()) == 100
    assert lmdb_pictures.lmdb_keys(tmp_path / "8-8") == set(content)
    stored = (tmp_path / "8-8" / "data.mdb").stat().st_size
    assert 1 << 16 < stored < 1 << 20


def test_pose_text_is_numpys_and_keeps_every_coordinate(tmp_path):
    rng = np.random.default_rng(3)
    xy = rng.uniform(-31, 255, (18, 2)).astype(np.float32)
    xy[4] = (-41, -1)  # exactly the mark in the padded frame
    xy[5] = (-41, 12)  # half the mark: missing for their loaders, not by its meaning
    visible = rng.random(18) < 0.6
    visible[[4, 5]] = True
    path = tmp_path / "pose.txt"
    path.write_text(pose_text(Keypoints(xy, visible, (256, 176)), PADDED))
    back = read_pose(path, PADDED)
    assert np.array_equal(back.visible, visible)
    assert np.array_equal(back.xy[visible], xy[visible])
    text = pose_text(Keypoints(np.abs(xy), np.ones(18, bool), (256, 176)), PADDED)
    np.savetxt(path, np.abs(xy).astype(np.float64) + np.array((40, 0)))
    assert text == path.read_text()
    assert len(text) == 900


def test_real_key_points_survive_the_text():
    path = REALDATA / "deepfashion" / "fasion-resize-annotation-test.csv"
    if not path.exists():
        pytest.skip("the real annotation is not here, set PCDMS_REALDATA")
    for pose in read_annotation(path, (256, 176)).values():
        for coding in (PADDED, NORMALISED):
            back = parse_pose(pose_text(pose, coding).splitlines(), "text", coding)
            assert np.array_equal(back.visible, pose.visible)
            assert np.array_equal(back.xy, pose.xy)


def test_the_real_test_list_in_this_form_has_the_published_size():
    path = REALDATA / "deepfashion" / "fasion-resize-pairs-test.csv"
    if not path.exists():
        pytest.skip("the real pair list is not here, set PCDMS_REALDATA")
    with path.open() as file:
        listed = [(row["from"], row["to"]) for row in csv.DictReader(file)]
    text = pair_lines(((parsed_name(a), parsed_name(b)) for a, b in listed), gathered=False)
    assert len(text.encode()) == 836_884
    assert parsed_name(text.splitlines()[0].split(",")[0]).flat == listed[0][1]


def test_the_real_test_list_survives_the_form(tmp_path):
    path = REALDATA / "deepfashion" / "fasion-resize-pairs-test.csv"
    if not path.exists():
        pytest.skip("the real pair list is not here, set PCDMS_REALDATA")
    with path.open() as file:
        listed = [(row["from"], row["to"]) for row in csv.DictReader(file)]
    for gathered in (False, True):
        text = pair_lines(((parsed_name(a), parsed_name(b)) for a, b in listed), gathered)
        (tmp_path / "pairs.txt").write_text(text)
        back = [
            (source.flat, target.flat)
            for _, target, sources in read_pair_lines(tmp_path / "pairs.txt")
            for source in sources
        ]
        assert (set(back) == set(listed)) if gathered else (back == listed)
        assert len(back) == len(listed)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("img/MEN/Denim/id_00000080/01_1_front.jpg", "line 2 has one name"),
        ("a.jpg,b.jpg", "line 2: picture name 'a.jpg'"),
        ("../img/MEN/Denim/id_00000080/01_1_front.jpg,x", r"line 2: picture name '\.\./img"),
        ("/MEN/Denim/id_00000080/01_1_front.jpg,x", "line 2: picture name '/MEN"),
        (
            "img/MEN/Denim/id_00000080/01_1_front.jpg,img/MEN/Denim/id_00000081/01_1_front.jpg",
            "line 2: .*id_00000081/01_1_front.jpg has no pose text",
        ),
        ("img/MEN/Denim/id_00000080/01_2_side.jpg,img/MEN/Denim/id_00000080/01_2_side.jpg", "self"),
        (
            "img/MEN/Denim/id_00000080/01_1_front.jpg,img/MEN/Denim/id_00000080/01_2_side.jpg",
            "twice",
        ),
    ],
)
def test_a_bad_line_is_named(small, line, message):
    path = small / "test_pairs.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        load_pairs("deepfashion", small, "test")
    assert "test_pairs.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n" * 17, "has 17 lines"),
        ("1 2\n" * 17 + "1 2 3\n", "line 18: '1 2 3'"),
        ("1 2\n" * 5 + "1 x\n" + "1 2\n" * 12, "line 6: '1 x'"),
        ("1 2\n" * 5 + "nan 2\n" + "1 2\n" * 12, "line 6: 'nan 2'"),
    ],
)
def test_bad_pose_text_is_named(small, text, message):
    path = small / "pose/MEN/Denim/id_00000080/01_2_side.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_pairs("deepfashion", small, "test")
    assert "01_2_side.txt" in str(caught.value)


@pytest.mark.parametrize("folder", ["img", "pose"])
def test_a_link_out_of_the_root_is_refused(small, tmp_path_factory, folder):
    ending = {"img": "jpg", "pose": "txt"}[folder]
    path = small / folder / f"MEN/Denim/id_00000080/01_1_front.{ending}"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / path.name
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(InputError, match="outside of"):
        load_pairs("deepfashion", small, "test")


def test_a_store_is_read_after_a_rename_a_fork_and_by_threads(people, tmp_path):
    nted.write([people["test"]], tmp_path / "first")
    load_pairs("deepfashion", tmp_path / "first", layout="nted")  # opens the folder
    (tmp_path / "first").rename(tmp_path / "second")
    pairs = load_pairs("deepfashion", tmp_path / "second", layout="nted")
    expected = [load_picture(picture) for picture in people["test"].gallery.pictures]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(load_picture, pairs.gallery.pictures))
    with get_context("fork").Pool(1) as pool:
        found += pool.map(load_picture, pairs.gallery.pictures)
    found += map(load_picture, pairs.gallery.pictures)
    assert len(found) == 3 * len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(found, 3 * expected, strict=True))
    nted.write([load_pairs("people", size="smoke", seed=1)], tmp_path / "third")
    (tmp_path / "second").rename(tmp_path / "fourth")
    (tmp_path / "third").rename(tmp_path / "second")
    other = load_pairs("deepfashion", tmp_path / "second", layout="nted")
    assert not np.array_equal(load_picture(other.gallery.pictures[0]), expected[0])


def test_progress_counts_pictures(people, tmp_path):
    calls = []
    nted.write([people["test"]], tmp_path / "out", lambda *call: calls.append(call))
    assert calls == [(16, 16)]


def test_what_is_missing_is_said(small, people, tmp_path):
    (small / "img").rename(small / "images")
    with pytest.raises(InputError, match="no fitting lmdb"):
        load_pairs("deepfashion", small, "test", layout="pidm")
    (small / "256-256").mkdir()
    (small / "256-256" / "data.mdb").write_bytes(b"no lmdb")
    with pytest.raises(InputError, match="256-256 cannot be read as an lmdb folder"):
        load_pairs("deepfashion", small, "test", layout="pidm")
    with pytest.raises(InputError, match="256-256"):
        load_pairs("deepfashion", small, "test", layout="nted")
    with pytest.raises(InputError, match="twice"):
        nted.write([people["test"], people["test"]], tmp_path / "out")
