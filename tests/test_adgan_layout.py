"""ADGAN: the lists of PATN with parsing maps of eight classes."""

import shutil

import cv2
import numpy as np
import pytest

from pcdms_data import load_pairs
from pcdms_data.images import load_labels, load_picture
from pcdms_data.layouts import adgan
from pcdms_data.layouts.parsing_maps import CLASSES, classes_of
from pcdms_data.layouts.table import find_layout
from pcdms_data.people.surface import GARMENTS, PARTS
from pcdms_data.types import InputError, Picture, PictureError

SPLITS = ("train", "test")
SIZE = (128, 88)


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def people():
    return {split: load_pairs("people", None, split, SIZE, "smoke") for split in SPLITS}


@pytest.fixture(scope="module")
def written(people, tmp_path_factory):
    root = tmp_path_factory.mktemp("adgan")
    assert adgan.write(list(people.values()), root) == 80
    return root


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(written, tmp_path / "root")


def garments_of(mask):
    return load_labels(Picture(mask.name, mask.path.with_name("garments.npy"), mask.row))


@pytest.mark.parametrize("split", SPLITS)
def test_a_written_split_comes_back(people, written, split):
    pairs = people[split]
    assert find_layout("deepfashion", written).name == "adgan"
    back = load_pairs("deepfashion", written, split, SIZE)
    assert [pair.pair_id for pair in back] == [pair.pair_id for pair in pairs]
    assert back.convention == "lowres_crop"
    for mine, theirs in zip(back.gallery.pictures, pairs.gallery.pictures, strict=True):
        ordered = load_picture(theirs)[:, :, ::-1]
        encoded = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1]
        assert np.array_equal(load_picture(mine), decoded)
    for mine, theirs in zip(back.gallery.keypoints, pairs.gallery.keypoints, strict=True):
        assert np.array_equal(mine.visible, theirs.visible)
        # Whole pixels of the 256x176 frame.
        assert np.abs(mine.xy - theirs.xy)[mine.visible].max() <= 0.25 + 1e-5
    for mine, theirs in zip(back.mask_handles, pairs.mask_handles, strict=True):
        parts, garments = load_labels(theirs), garments_of(theirs)
        assert np.array_equal(load_labels(mine), classes_of(parts, garments))
    again = {pair.pair_id: pair.target_mask for pair in back}
    assert again[pairs[0].pair_id].path.suffix == ".npy"


def test_the_map_lies_where_the_loader_looks(people, written):
    name = people["test"][0].source.name[:-4] + ".jpg"
    assert (written / "fashion_resize" / "test" / name).is_file()
    # The cutting of names in the published loader.
    gender = 5 if name[7:9] == "WO" else 3
    at = name.rfind("id0")
    item, pose = name[at : at + 10], name[at + 10 :]
    path = (
        f"{written}/semantic_merge3/{name[7 : 7 + gender]}/{name[7 + gender : at]}"
        f"/{item[:2]}_{item[2:]}/{pose[:4]}_{pose[4:]}"
    )
    array = np.load(path[:-4] + ".npy", allow_pickle=False)
    assert array.shape == SIZE
    assert array.dtype == np.uint8
    planes = [(array == label) for label in range(8)]
    assert sum(plane.sum() for plane in planes) == array.size
    assert {"fashion-resize-pairs-test.csv", "fashion-resize-annotation-test.csv", "test.lst"} <= {
        path.name for path in written.iterdir()
    }


def test_classes_follow_parts_and_garments(people):
    seen = {}
    for pairs in people.values():
        for mask in pairs.mask_handles:
            parts, garments = load_labels(mask), garments_of(mask)
            skirt = (parts == PARTS.index("skirt")).any()
            labels = classes_of(parts, garments)
            for part, garment, label in set(
                zip(parts.ravel().tolist(), garments.ravel().tolist(), labels.ravel().tolist(),
                    strict=True)
            ):  # fmt: skip
                key = (PARTS[part], GARMENTS[garment], skirt)
                assert seen.setdefault(key, CLASSES[label]) == CLASSES[label]
    for (part, garment, skirt), label in seen.items():
        expected = {
            "none": "background",
            "hair": "hair",
            "top": "upper clothes",
            "bottom": "skirt" if skirt else "pants",
            "shoe": "leg",
            "bag": "background" if part == "bag" else "upper clothes",
        }.get(garment)
        if garment == "skin":
            limb = part.rpartition("_")[2]
            expected = {"arm": "arm", "hand": "arm", "leg": "leg", "foot": "leg"}.get(limb, "face")
        assert label == expected, (part, garment, skirt)
    assert set(seen.values()) == set(CLASSES)


def test_maps_are_copied_from_one_root_to_the_next(written, tmp_path):
    pairs = load_pairs("deepfashion", written, "test", SIZE)
    adgan.write([pairs], tmp_path)
    back = load_pairs("deepfashion", tmp_path, "test", SIZE)
    for mine, theirs in zip(back.mask_handles, pairs.mask_handles, strict=True):
        assert mine.path != theirs.path
        assert np.array_equal(load_labels(mine), load_labels(theirs))


def test_pictures_without_parsing_are_refused(written, tmp_path):
    pairs = load_pairs("deepfashion", written, "test", SIZE, layout="adgan")
    pairs.layout = "patn"
    with pytest.raises(InputError, match=r"needs a parsing map.*deepfashion in layout patn"):
        adgan.write([pairs], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pickled_objects_are_refused_and_never_run(root, tmp_path):
    path = sorted((root / "semantic_merge3").rglob("*.npy"))[0]
    ran = tmp_path / "ran"

    class Harm:
        def __reduce__(self):
            return (ran.touch, ())

    np.save(path, np.array([[Harm()]], dtype=object), allow_pickle=True)
    handles = [
        mask
        for split in SPLITS
        for mask in load_pairs("deepfashion", root, split).mask_handles
        if mask.path == path
    ]
    with pytest.raises(PictureError, match=path.name):
        load_labels(handles[0])
    assert not ran.exists()


@pytest.mark.parametrize(
    ("array", "accepted"),
    [
        (np.full(SIZE, 7, np.int64), True),
        (np.full(SIZE, 7.0, np.float32), True),
        (np.full(SIZE, 0.5), False),
        (np.full(SIZE, -1), False),
        (np.full(SIZE, 256), False),
        (np.full((*SIZE, 3), 1, np.uint8), False),
        (np.full(SIZE, np.nan), False),
        (np.full(SIZE, "a"), False),
    ],
)
def test_maps_are_whole_numbers_in_two_dimensions(tmp_path, array, accepted):
    np.save(tmp_path / "map.npy", array)
    handle = Picture("x.jpg", tmp_path / "map.npy")
    if accepted:
        assert (load_labels(handle, (64, 44)) == 7).all()
        return
    with pytest.raises(PictureError, match=r"map\.npy"):
        load_labels(handle)


def test_a_missing_map_is_no_mask_and_a_link_out_is_refused(root, tmp_path):
    pair = load_pairs("deepfashion", root, "test")[0]
    path = pair.target_mask.path
    path.rename(tmp_path / "elsewhere.npy")
    assert load_pairs("deepfashion", root, "test")[0].target_mask is None
    path.symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(InputError, match="outside of"):
        load_pairs("deepfashion", root, "test")
    shutil.rmtree(root / "semantic_merge3")
    assert find_layout("deepfashion", root).name != "adgan"
    with pytest.raises(InputError, match="semantic_merge3 is missing"):
        load_pairs("deepfashion", root, "test", layout="adgan")


def test_a_malformed_row_is_named(root):
    path = root / "fashion-resize-annotation-test.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("[", "[x", 1)
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"fashion-resize-annotation-test\.csv line 3"):
        load_pairs("deepfashion", root, "test")
    assert cv2.imread(str(next((root / "fashion_resize" / "test").iterdir()))).shape[:2] == SIZE
