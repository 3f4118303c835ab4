"""Prepared datasets: what `datasets` opens, which resolution is taken, what damage is refused."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from raw_downloads import make_inshop

from pcdms_data import load_pairs
from pcdms_data.images import load_picture
from pcdms_data.layouts.table import find_layout
from pcdms_data.preparing import shards
from pcdms_data.preparing.request import Request, prepare_dataset
from pcdms_data.types import InputError


@pytest.fixture(scope="module", autouse=True)
def small_shards(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_ROWS", 5)  # several files a table, as real sets have
        yield


def silent(title):
    return lambda done, total: None


@pytest.fixture(scope="module")
def raw(tmp_path_factory, cache):
    return make_inshop(tmp_path_factory.mktemp("inshop")).root


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    sizes = ((256, 176), (128, 88))
    prepare_dataset(Request("deepfashion", raw, resolutions=sizes, workers=2), out, silent)
    return out


@pytest.fixture
def own(prepared, tmp_path):
    """A copy that a test may spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "own"))


def test_datasets_opens_each_table_with_pictures_arrays_and_labels(prepared):
    import datasets

    pairs = load_pairs("deepfashion", prepared)
    place = prepared / "256x176" / "test"
    images = datasets.load_from_disk(str(place / "images"))
    table = datasets.load_from_disk(str(place / "pairs"))
    assert len(images) == len(pairs.gallery.pictures)
    assert len(table) == len(pairs)
    assert images[7]["name"] == pairs.gallery.pictures[7].name
    assert images[7]["group"] == pairs.gallery.groups[7]
    assert np.array_equal(
        np.asarray(images[7]["image"].convert("RGB")), load_picture(pairs.gallery.pictures[7])
    )
    arrays = images.with_format("numpy")
    for row, pose in enumerate(pairs.gallery.keypoints):
        assert np.array_equal(arrays[row]["keypoints"], pose.xy)
        assert np.array_equal(arrays[row]["visible"], pose.visible)
    first = table[0]
    assert images[first["source"]]["name"] == pairs[0].source.name
    for name, label in pairs[0].slices.items():
        column = f"slice_{name}"
        assert table.features[column].int2str(first[column]) == label


def test_reading_imports_neither_datasets_nor_pandas(prepared):
    script = (
        "import sys; from pcdms_data import load_pairs; from pcdms_data.images import load_picture;"
        f"p = load_pairs('deepfashion', {str(prepared)!r}); load_picture(p[0].source);"
        "print({'datasets', 'pandas', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_arrays_are_the_same_once_datasets_has_registered_its_types(prepared):
    script = (
        "from pcdms_data import load_pairs; import hashlib, numpy as np;"
        f"p = load_pairs('deepfashion', {str(prepared)!r});"
        "print(hashlib.sha256(np.stack([k.xy for k in p.gallery.keypoints]).tobytes()).hexdigest())"
    )  # fmt: skip
    found = {
        subprocess.run(
            [sys.executable, "-c", before + script], capture_output=True, text=True, check=True
        ).stdout
        for before in ("", "import datasets;")
    }
    assert len(found) == 1


def test_the_layout_is_found_first_and_holds_one_dataset(prepared):
    assert find_layout("deepfashion", prepared).name == "prepared"
    assert load_pairs("folder", prepared).layout == "prepared"
    with pytest.raises(InputError, match="holds dataset deepfashion, not market1501"):
        load_pairs("market1501", prepared)
    with pytest.raises(InputError, match="split"):
        load_pairs("deepfashion", prepared, split="val")


@pytest.mark.parametrize(
    ("asked", "stored"),
    [(None, (256, 176)), ((256, 176), (256, 176)), ((128, 88), (128, 88)),
     ((64, 44), (128, 88)), ((200, 100), (256, 176)), ((512, 352), (256, 176))],
)  # fmt: skip
def test_the_smallest_stored_size_that_is_large_enough_is_read(prepared, raw, asked, stored):
    pairs = load_pairs("deepfashion", prepared, resolution=asked)
    assert pairs.resolution == (asked or (256, 176))
    picture = pairs[0].source
    assert f"{stored[0]}x{stored[1]}" in picture.path.parts
    assert load_picture(picture).shape[:2] == stored
    direct = load_pairs("deepfashion", raw, resolution=asked)
    for ours, theirs in zip(pairs.gallery.keypoints, direct.gallery.keypoints, strict=True):
        assert ours.size == theirs.size
        assert np.array_equal(ours.xy, theirs.xy)


def test_a_dataset_at_sizes_other_than_its_own_asks_which(raw, tmp_path):
    sizes = ((128, 88), (64, 44))
    request = Request("deepfashion", raw, resolutions=sizes, splits=("test",))
    prepare_dataset(request, tmp_path / "two", silent)
    with pytest.raises(InputError, match="give a resolution"):
        load_pairs("deepfashion", tmp_path / "two")
    request = Request("deepfashion", raw, resolutions=sizes[:1], splits=("test",))
    prepare_dataset(request, tmp_path / "one", silent)
    assert load_pairs("deepfashion", tmp_path / "one").resolution == (128, 88)


def test_handles_are_small_and_work_in_another_process(prepared):
    picture = load_pairs("deepfashion", prepared)[0].source
    packed = pickle.dumps(picture)
    assert len(packed) < 1000
    assert np.array_equal(load_picture(pickle.loads(packed)), load_picture(picture))


def test_a_file_of_another_size_is_refused_by_name(own):
    path = sorted(own.glob("256x176/test/images/*.arrow"))[1]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=path.name) as caught:
        load_pairs("deepfashion", own)
    assert "prepare the dataset again" in str(caught.value)
    assert len(load_pairs("deepfashion", own, split="train")) > 0
    path.unlink()
    with pytest.raises(InputError, match="is missing"):
        load_pairs("deepfashion", own)


def test_state_that_names_files_outside_of_the_root_is_refused(own):
    path = own / "256x176" / "test" / "images" / "state.json"
    state = json.loads(path.read_text())
    state["_data_files"][0]["filename"] = "../../../../x.arrow"
    path.write_text(json.dumps(state))
    keep_size(own, path)
    with pytest.raises(InputError, match="outside"):
        load_pairs("deepfashion", own)


def test_pairs_that_point_behind_the_last_picture_are_refused(own):
    for table in own.glob("*/test/images"):
        state = json.loads((table / "state.json").read_text())
        state["_data_files"] = state["_data_files"][:1]
        (table / "state.json").write_text(json.dumps(state))
        keep_size(own, table / "state.json")
    with pytest.raises(InputError, match="rows outside"):
        load_pairs("deepfashion", own)


@pytest.mark.parametrize("rest", ["", '"version": 99}', '"version": 1}'])
def test_a_manifest_that_is_broken_or_of_another_version_is_refused(own, rest):
    content = '{"format": "pcdms-prepared", ' + rest
    (own / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=r"manifest\.json"):
        load_pairs("deepfashion", own)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("resolutions", []), ("resolutions", ["0x0"]), ("resolutions", ["\u00b2x1"]),
        ("resolutions", [5]), ("splits", {}), ("splits", {"../test": {}}), ("splits", ["test"]),
        ("files", {"a": 3}), ("files", {"a": {"bytes": "1", "sha256": ""}}), ("dataset", 3),
        ("convention", "square"),
    ],
)  # fmt: skip
def test_a_manifest_edited_by_hand_is_refused_by_its_key(own, key, value):
    document = json.loads((own / "manifest.json").read_text())
    document[key] = value
    (own / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=rf"manifest\.json has {key} .*: prepare"):
        load_pairs("deepfashion", own)


def keep_size(root, path):
    """Write the changed file's size into the manifest, so that only the content is at fault."""
    document = json.loads((root / "manifest.json").read_text())
    document["files"][path.relative_to(root).as_posix()]["bytes"] = path.stat().st_size
    (root / "manifest.json").write_text(json.dumps(document))
