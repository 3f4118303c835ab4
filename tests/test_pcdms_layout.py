"""PCDMs: JSON pairs, renamed pictures, normalised pose text, in the trees of README and code."""

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from pcdms_data import load_pairs
from pcdms_data.images import load_picture
from pcdms_data.layouts import pcdms
from pcdms_data.layouts.pose_text import PoseCoding, read_coding
from pcdms_data.layouts.table import find_layout
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import InputError

SPLITS = ("train", "test")


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def people():
    return {split: load_pairs("people", size="smoke", split=split) for split in SPLITS}


@pytest.fixture(scope="module")
def written(people, tmp_path_factory):
    root = tmp_path_factory.mktemp("pcdms")
    assert pcdms.write(list(people.values()), root) == 80
    return root


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(written, tmp_path / "root")


def equal_to(pairs, back):
    """Tell whether pairs, pictures and key points of `back` are those of `pairs`."""
    assert [pair.pair_id for pair in back] == [pair.pair_id for pair in pairs]
    for mine, theirs in zip(back, pairs, strict=True):
        assert mine.group == theirs.group
        for end in ("source", "target"):
            one, other = getattr(mine, f"{end}_pose"), getattr(theirs, f"{end}_pose")
            assert np.array_equal(one.visible, other.visible)
            assert np.allclose(one.xy[one.visible], other.xy[one.visible], rtol=1e-6, atol=1e-5)
            pixels = load_picture(getattr(mine, end))
            assert np.array_equal(pixels, load_picture(getattr(theirs, end)))
    return True


@pytest.mark.parametrize("split", SPLITS)
def test_a_written_split_comes_back_equal(people, written, split):
    assert find_layout("deepfashion", written).name == "pcdms"
    back = load_pairs("deepfashion", written, split, (64, 32))
    assert equal_to(people[split], back)
    assert back.convention == "highres_resize"


def test_the_files_are_those_the_loaders_open(people, written):
    pair = people["test"][3]
    entry = json.loads((written / "test_data.json").read_text())[3]
    assert list(entry) == ["source_image", "target_image"]
    # The replacements of the published loaders, one after the other.
    picture = f"{written}/train_all_png/" + entry["source_image"].replace(".jpg", ".png")
    pose = picture.replace("/train_all_png/", "/normalized_pose_txt/").replace(".png", ".txt")
    drawn = picture.replace("/train_all_png/", "/openpose_all_img/").replace(".png", "_pose.jpg")
    assert picture.rpartition("/")[2].startswith(("WOMEN_", "MEN_"))
    pixels = cv2.cvtColor(cv2.imread(picture), cv2.COLOR_BGR2RGB)
    assert np.array_equal(pixels, load_picture(pair.source))
    with Path(pose).open() as file:
        values = np.array([[float(cell) for cell in line.strip().split()] for line in file])
    shown = pair.source_pose.visible
    assert np.allclose(values[shown], pair.source_pose.xy[shown] / (32, 64), atol=1e-6)
    assert (values[~shown] == -1).all()
    expected = draw_pose(pair.source_pose.xy, shown, (64, 32), (512, 512))
    read = cv2.cvtColor(cv2.imread(drawn), cv2.COLOR_BGR2RGB)
    assert read.shape == (512, 512, 3)
    assert np.abs(read.astype(int) - expected).mean() < 1


def test_the_tree_of_the_readme_is_read(people, root):
    (root / "train_all_png").rename(root / "all_data_png")
    shutil.rmtree(root / "openpose_all_img")
    with zipfile.ZipFile(root / "normalized_pose_txt.zip", "w") as archive:
        for path in (root / "normalized_pose_txt").iterdir():
            archive.write(path, f"normalized_pose_txt/{path.name}")
    shutil.rmtree(root / "normalized_pose_txt")
    assert equal_to(people["test"], load_pairs("deepfashion", root, "test", (64, 32)))
    large = root / "test_lst_512_png"
    (root / "all_data_png").rename(large)
    (root / "test_lst_256_png").mkdir()
    for path in large.iterdir():
        small = cv2.imread(str(path))
        cv2.imwrite(str(root / "test_lst_256_png" / path.name), small[:8, :8])
    at = {
        size: load_pairs("deepfashion", root, "test", size)[0] for size in ((256, 176), (512, 352))
    }
    assert load_picture(at[256, 176].source).shape == (8, 8, 3)
    assert load_picture(at[512, 352].source).shape == (64, 32, 3)


@pytest.mark.parametrize("missing", [-1, 0, 7.5])
def test_the_coding_of_poses_is_stated_by_a_file(people, tmp_path, missing):
    coding = PoseCoding(width=2.0, height=3.0, left=1.0, missing=missing)
    pcdms.write([people["test"]], tmp_path, coding=coding)
    assert read_coding(tmp_path / "pose_coding.json") == coding
    assert equal_to(people["test"], load_pairs("deepfashion", tmp_path, "test", (64, 32)))
    pose = next(pose for pose in people["test"].gallery.keypoints if not pose.visible.all())
    name = people["test"].gallery.pictures[people["test"].gallery.keypoints.index(pose)]
    text = (tmp_path / "normalized_pose_txt" / f"{pcdms._stem(name)}.txt").read_text()
    values = np.array([line.split() for line in text.splitlines()], float)
    assert (values[~pose.visible] == missing).all()


def test_without_that_file_minus_one_is_missing_and_zero_is_a_place(root):
    (root / "pose_coding.json").unlink()
    path = next((root / "normalized_pose_txt").iterdir())
    path.write_text("0 0\n" + "-1 -1\n" * 16 + "-1 0.5\n")
    pairs = load_pairs("deepfashion", root, "test")
    pairs_train = load_pairs("deepfashion", root, "train")
    poses = [*pairs.gallery.keypoints, *pairs_train.gallery.keypoints]
    assert sum(pose.visible.tolist() == [True] + 16 * [False] + [True] for pose in poses) == 1


def test_names_of_no_known_form_are_grouped_by_their_pairs(tmp_path):
    for number in range(1, 6):
        for folder, ending in (("all_data_png", "png"), ("normalized_pose_txt", "txt")):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"img{number}.{ending}").write_text("0.5 0.5\n" * 18)
    listed = [(1, 2), (2, 1), (2, 3), (4, 5)]
    entries = [
        {"source_image": f"img{a}.jpg", "target_image": f"img{b}.jpg", "more": 1} for a, b in listed
    ]
    (tmp_path / "test_data.json").write_text(json.dumps(entries))
    pairs = load_pairs("deepfashion", tmp_path, "test")
    assert [pair.pair_id for pair in pairs] == [f"img{a}_to_img{b}" for a, b in listed]
    groups = pairs.gallery.groups
    assert groups[0] == groups[1] == groups[2]
    assert groups[3] == groups[4] != groups[0]
    assert pairs[0].source.path.name == "img1.png"
    assert pairs[0].source_pose.xy[0].tolist() == [88, 128]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[\n{]", r"test_data\.json line 2: .*expected JSON"),
        ("{}", "holds no pair"),
        ('[{"source_image": "a.jpg"}]', r"pair 1: .*source_image and target_image"),
        ("[3]", "pair 1: '3'"),
        ('[{"source_image": "../a.jpg", "target_image": "b.jpg"}]', r"pair 1: .*'\.\./a\.jpg'"),
        ('[{"source_image": "/etc/a.jpg", "target_image": "b.jpg"}]', "pair 1: .*'/etc/a.jpg'"),
        ('[{"source_image": "a.jpg", "target_image": "b.jpg"}]', "names a, which has no pose text"),
        ("[" * 100_000, "expected JSON|cannot be read as JSON"),
        (f"[{'9' * 5000}]", "cannot be read as JSON"),
    ],
)
def test_a_bad_list_is_named(root, content, message):
    (root / "test_data.json").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_pairs("deepfashion", root, "test")
    assert "test_data.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "[]", '{"width": 0}', '{"missing": "no"}', '{"axis": 1}', '{"height": NaN}', "{",
        f'{{"width": 1{"0" * 400}}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_bad_coding_is_named(root, content):
    (root / "pose_coding.json").write_text(content)
    with pytest.raises(InputError, match=r"pose_coding\.json"):
        load_pairs("deepfashion", root, "test")


def test_links_and_archive_members_out_of_the_root_are_refused(root, tmp_path):
    path = (
        root
        / "train_all_png"
        / (json.loads((root / "test_data.json").read_text())[0]["source_image"][:-4] + ".png")
    )
    path.rename(tmp_path / "elsewhere.png")
    path.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(InputError, match="outside of"):
        load_pairs("deepfashion", root, "test")
    path.unlink()
    shutil.rmtree(root / "normalized_pose_txt")
    with pytest.raises(InputError, match=r"normalized_pose_txt is missing \(or .*\.zip\)"):
        load_pairs("deepfashion", root, "test")
    with zipfile.ZipFile(root / "normalized_pose_txt.zip", "w") as archive:
        archive.writestr("../a.txt", "1 1\n")
    with pytest.raises(InputError, match="leads out of its folder"):
        load_pairs("deepfashion", root, "test")
