"""In-shop as downloaded: its lists with the real counts, its pictures in folders and archives."""

import gzip
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from raw_downloads import make_inshop, pack

from pcdms_data import load_pairs
from pcdms_data.images import load_picture
from pcdms_data.layouts import inshop
from pcdms_data.layouts.annotation import read_names
from pcdms_data.layouts.inshop_lists import read_boxes, read_items, read_partition
from pcdms_data.layouts.table import find_layout
from pcdms_data.names import parse_fashion
from pcdms_data.types import InputError

REALDATA = Path(
    os.environ.get("PCDMS_REALDATA", Path(__file__).parents[1] / "../shared/realdata")
) / "deepfashion"  # fmt: skip
needs_realdata = pytest.mark.skipif(not REALDATA.is_dir(), reason="PCDMS_REALDATA is not there")


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def download(tmp_path_factory, cache):
    return make_inshop(tmp_path_factory.mktemp("inshop"))


def real_statuses():
    """Tree name -> status of all pictures, from the three real lists."""
    statuses = {}
    with gzip.open(REALDATA / "inshop" / "train.txt.gz", "rt") as file:
        statuses |= {name: "train" for line in file for name in line.split()}
    for status in ("query", "gallery"):
        names = (REALDATA / "inshop" / f"{status}.txt").read_text().split()
        statuses |= dict.fromkeys(names, status)
    return statuses


def partition_text(statuses, blanks=3):
    rows = [
        f"{name:<70}{' ' * blanks}id_{parse_fashion(name).item}{' ' * blanks}{status}  "
        for name, status in statuses.items()
    ]
    return "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows]) + "\n"


@needs_realdata
def test_the_real_partition_has_the_published_counts(tmp_path):
    (tmp_path / "list_eval_partition.txt").write_text(partition_text(real_statuses()))
    statuses = read_partition(tmp_path / "list_eval_partition.txt")
    assert len(statuses) == 52712
    parsed = {name: parse_fashion(name) for name in statuses}
    pictures = {status: [n for n in statuses if statuses[n] == status] for status in
                ("train", "query", "gallery")}  # fmt: skip
    assert {k: len(v) for k, v in pictures.items()} == {
        "train": 25882, "query": 14218, "gallery": 12612,
    }  # fmt: skip

    def items(names):
        return {parsed[name].item for name in names}

    assert len(items(pictures["train"])) == 3997
    assert len(items(pictures["query"])) == len(items(pictures["gallery"])) == 3985
    assert len(items(statuses)) == 7982
    assert len({name.group for name in parsed.values()}) == 13029
    folders = {(name.gender, name.category) for name in parsed.values()}
    assert len(folders) == 23
    assert sum(gender == "MEN" for gender, _ in folders) == 9


@needs_realdata
def test_the_lists_of_the_benchmark_are_the_whole_of_inshop_split_otherwise():
    statuses = {parse_fashion(name).flat: status for name, status in real_statuses().items()}
    train, test = (set(read_names(REALDATA / name)) for name in ("train.lst.gz", "test.lst"))
    assert train | test == set(statuses)
    assert len(statuses) == 52712
    assert not train & test
    assert Counter(statuses[name] for name in test) == {
        "train": 1921, "query": 1140, "gallery": 977,
    }  # fmt: skip


@needs_realdata
def test_the_real_validation_list_is_query_and_gallery():
    with gzip.open(REALDATA / "inshop" / "val.txt.gz", "rt") as file:
        lines = [line.split() for line in file]
    names = {name for line in lines for name in line}
    assert (len(lines), len(names)) == (3985, 26830)
    assert names == {n for n, status in real_statuses().items() if status != "train"}


@needs_realdata
def test_the_real_list_of_items_has_7982_ids_which_are_those_of_the_partition():
    items = read_items(REALDATA / "inshop" / "list_item_inshop.txt")
    assert len(items) == 7982
    assert set(items) == {f"id_{parse_fashion(name).item}" for name in real_statuses()}


@needs_realdata
def test_the_real_annotation_gives_the_real_pairs_with_places_in_the_tree(tmp_path):
    (tmp_path / "img" / "WOMEN").mkdir(parents=True)
    shutil.copy(REALDATA / "fasion-resize-annotation-test.csv", tmp_path)
    made = load_pairs("deepfashion", tmp_path)
    assert (made.layout, made.convention, len(made)) == ("inshop", "lowres_crop", 8570)
    lines = (REALDATA / "fasion-resize-pairs-test.csv").read_text().splitlines()[1:]
    names = [picture.name for picture in made.gallery.pictures]
    assert [f"{names[i]},{names[j]}" for i, j in made.rows.tolist()] == lines
    first = made[0].source
    assert first.path == tmp_path / "img" / parse_fashion(first.name).tree


ROWS = [
    "img/WOMEN/Dresses/id_00000002/02_1_front.jpg    id_00000002   train",
    "img/MEN/Denim/id_00000080/01_1_front.jpg  id_00000080  query",
]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["3", "head", *ROWS], "2 rows, expected 3"),
        (["two", "head", *ROWS], "line 1: 'two'"),
        (["2", "head", ROWS[0], ROWS[1].replace("query", "val")], "line 4: status 'val'"),
        (["2", "head", ROWS[0], ROWS[1].replace("  id_00000080", "  id_00000081")], "line 4: item"),
        (["2", "head", ROWS[0], ROWS[0]], "line 4 names fashionWOMENDressesid0000000202_1front"),
        (["2", "head", ROWS[0], "img/../x.jpg id_1 query"], "line 4: 'img/../x.jpg'"),
        (["1", "head", "img/MEN/Denim/id_00000080/01_1_front.jpg query"], "has 2 cells"),
        ([], "line 1: ''"),
    ],
)
def test_a_malformed_partition_is_refused_with_its_line(tmp_path, lines, message):
    path = tmp_path / "list_eval_partition.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"list_eval_partition\.txt") as caught:
        read_partition(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_boxes_are_read_with_their_types_and_zero_padded_numbers(tmp_path):
    path = tmp_path / "list_bbox_inshop.txt"
    head = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    name = "img/WOMEN/Dresses/id_00000002/02_4_full.jpg"
    path.write_text(f"1\n{head}\n{name}   3  4  069 011 190 246  \n")
    (box,) = read_boxes(path).values()
    assert (box.clothes, box.pose, box.box) == ("full", "full", (69, 11, 190, 246))
    for cells in ("4 4 069 011 190 246", "3 7 1 1 2 2", "3 4 190 011 069 246", "3 4 0 0 257 9"):
        path.write_text(f"1\n{head}\n{name} {cells}\n")
        with pytest.raises(InputError, match="line 3"):
            read_boxes(path)


def test_low_resolution_pictures_are_cut_to_the_frame_of_the_key_points(download):
    pairs = load_pairs("deepfashion", download.root)
    assert (pairs.layout, pairs.convention) == ("inshop", "lowres_crop")
    assert pairs.resolution == (256, 176)
    assert [picture.name for picture in pairs.gallery.pictures] == download.names["test"]
    from PIL import Image

    for picture in pairs.gallery.pictures[:4]:
        whole = np.asarray(Image.open(download.picture(picture.name)))
        assert np.abs(load_picture(picture).astype(int) - whole[:, 40:216]).max() <= 2
    for ours, theirs in zip(
        pairs.gallery.keypoints, download.people["test"].gallery.keypoints, strict=True
    ):
        assert np.array_equal(ours.visible, theirs.visible)
        exact = theirs.resized((256, 176)).xy[theirs.visible]
        assert np.abs(ours.xy[ours.visible] - exact).max() <= 0.5 + 1e-4


def test_an_archive_gives_the_same_pictures_as_its_folder(download, tmp_path):
    folder = load_pairs("deepfashion", download.root)
    (tmp_path / "Img").mkdir()
    pack(download.root / "Img" / "img", tmp_path / "Img" / "img.zip", download.root / "Img")
    shutil.copy(download.root / "fasion-resize-annotation-test.csv", tmp_path)
    packed = load_pairs("deepfashion", tmp_path)
    assert packed.convention == "lowres_crop"
    assert np.array_equal(packed.rows, folder.rows)
    for ours, theirs in zip(packed.gallery.pictures, folder.gallery.pictures, strict=True):
        assert ours.name == theirs.name
        assert ours.path.suffix == ".zip"
        assert np.array_equal(load_picture(ours), load_picture(theirs))


def test_the_size_of_the_pictures_tells_the_convention_whatever_the_folder_is_called(tmp_path):
    made = make_inshop(tmp_path / "raw", highres=True, splits=("test",))
    (made.root / "Img" / "img_highres").rename(made.root / "Img" / "img")
    pairs = load_pairs("deepfashion", made.root)
    assert pairs.convention == "highres_resize"
    assert load_picture(pairs[0].source).shape == (1101, 750, 3)
    assert pairs[0].source_pose.size == (256, 176)


def test_def_gan_annotations_are_moved_into_the_crop(download, tmp_path):
    root = tmp_path / "raw"
    shutil.copytree(download.root / "Img", root / "Img")
    rows = (download.root / "fasion-resize-annotation-test.csv").read_text().splitlines()
    lines = [rows[0]]
    for row in rows[1:]:
        name, ys, xs = row.split(":")
        moved = [x if x == -1 else x + 40 for x in map(int, xs.strip(" []").split(","))]
        lines.append(f"{parse_fashion(name).defgan}: {ys.strip()}: {moved}")
    (root / "fasion-annotation-test.csv").write_text("\n".join(lines))
    direct, moved = load_pairs("deepfashion", download.root), load_pairs("deepfashion", root)
    assert np.array_equal(direct.rows, moved.rows)
    for ours, theirs in zip(direct.gallery.keypoints, moved.gallery.keypoints, strict=True):
        assert np.array_equal(ours.visible, theirs.visible)
        assert np.array_equal(ours.xy[ours.visible], theirs.xy[theirs.visible])


def test_without_annotations_the_line_says_how_to_get_them(download, tmp_path):
    shutil.copytree(download.root / "Img", tmp_path / "Img")
    with pytest.raises(InputError, match="pcdms-bench data pose") as caught:
        load_pairs("deepfashion", tmp_path)
    assert "fasion-resize-annotation-test.csv" in str(caught.value)


def test_a_tree_that_another_layout_uses_is_not_taken_for_the_download(download, tmp_path):
    shutil.copytree(download.root, tmp_path, dirs_exist_ok=True)
    assert find_layout("deepfashion", tmp_path).name == "inshop"
    (tmp_path / "train_highres").mkdir()
    assert inshop.recognise(tmp_path, "deepfashion") is None


def test_a_link_out_of_the_root_is_refused(download, tmp_path):
    root = tmp_path / "raw"
    shutil.copytree(download.root, root)
    path = root / "Img" / "img" / parse_fashion(download.names["test"][3]).tree
    outside = tmp_path / "outside.jpg"
    shutil.move(path, outside)
    path.symlink_to(outside)
    with pytest.raises(InputError, match="outside"):
        load_pairs("deepfashion", root)
