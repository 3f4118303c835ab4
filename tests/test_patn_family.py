"""Lists and pictures of the PATN family: every spelling in the wild, every fault with its line."""

import gzip
import os
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from pcdms_data import load_pairs, tables
from pcdms_data.images import load_labels, load_picture, save_picture
from pcdms_data.layouts.annotation import (
    annotation_text,
    names_as_written,
    read_annotation,
    read_annotation_rows,
    read_names,
)
from pcdms_data.layouts.table import find_layout
from pcdms_data.names import group_of, parse_fashion
from pcdms_data.pair_rule import published_rows
from pcdms_data.types import InputError, Keypoints, PictureError

REAL = Path(os.environ.get("PCDMS_REALDATA", "../shared/realdata"))
FASHION = REAL / "deepfashion"
needs_real = pytest.mark.skipif(
    not (FASHION / "fasion-resize-annotation-test.csv").exists(),
    reason="PCDMS_REALDATA has no annotation files",
)
FRONT = "fashionWOMENTees_Tanksid0000000101_1front.jpg"
BACK = "fashionWOMENTees_Tanksid0000000101_3back.jpg"
SIDE = "fashionWOMENTees_Tanksid0000000101_2side.jpg"
Y = list(range(100, 118))
X = list(range(50, 68))


def row(name, ys=Y, xs=X, blank=" "):
    return f"{name}:{blank}{ys}:{blank}{xs}"


def write_lists(root, stem="fasion-resize", names=(FRONT, BACK), split="test", pairs=True):
    """Write an annotation file, a pair list of the first two names and an empty picture folder."""
    root.mkdir(parents=True, exist_ok=True)
    lines = ["name:keypoints_y:keypoints_x", *map(row, names)]
    (root / f"{stem}-annotation-{split}.csv").write_text("\n".join(lines) + "\n")
    if pairs:
        (root / f"{stem}-pairs-{split}.csv").write_text(f"from,to\n{names[0]},{names[1]}\n")
    (root / split).mkdir(exist_ok=True)
    return root


def write_picture(path, size, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path.with_suffix(".png")), pixels[:, :, ::-1])
    path.with_suffix(".png").rename(path)  # PNG content, so that pixels compare exactly
    return pixels


def test_every_spelling_of_a_row_reads_alike(tmp_path):
    tight = str(Y).replace(" ", "")
    last_blank = str(X).replace(", 67]", ",  67]")
    path = tmp_path / "a.csv"
    path.write_text(
        "name:keypoints_y:keypoints_x" + "," * 34 + "\n"
        f"{FRONT}:{tight}:{X},,\n"
        ",,,,\n"
        "\n"
        f"fashion/WOMEN/Tees_Tanks/id_00000001/01_3_back.jpg : {Y} : {last_blank}\n"
        f"fasionWOMENTeesTanksid0000000101_2side.jpg: {Y}: {X}   \n"
    )
    poses = read_annotation(path, (256, 176))
    assert list(poses) == [FRONT, BACK, SIDE]
    for pose in poses.values():
        assert pose.xy.tolist() == [[x, y] for x, y in zip(X, Y, strict=True)]
        assert pose.visible.all()
        assert pose.size == (256, 176)
    assert names_as_written(path, 2)[1].startswith("fashion/WOMEN/")
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_annotation(packed, (256, 176))) == list(poses)
    assert read_names(path) == (FRONT, BACK, SIDE)


def test_missing_is_minus_one_twice_and_a_column_left_of_the_crop_is_a_place(tmp_path):
    ys, xs = list(Y), list(X)
    ys[3] = xs[3] = -1
    xs[4], xs[5] = -1, -31
    path = tmp_path / "a.csv"
    path.write_text(row(FRONT, ys, xs) + "\n")
    rows = read_annotation_rows(path)
    assert np.flatnonzero(~rows.visible[0]).tolist() == [3]
    pose = rows.keypoints((256, 176))[0]
    assert pose.xy[3:6].tolist() == [[0, 0], [-1, Y[4]], [-31, Y[5]]]
    assert rows.keypoints((256, 176), left=40)[0].xy[3:5].tolist() == [[0, 0], [-41, Y[4]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{FRONT}:{Y}", "line 2: .*expected rows of name"),
        (f"{FRONT}:{Y}:{X}:{X}", "line 2: .*expected rows of name"),
        (f"{FRONT}:{Y[:17]}:{X}", "line 2: .*list of 18 numbers"),
        (f"{FRONT}:[{'NaN, ' * 17}1]:{X}", "line 2: .*list of 18 numbers"),
        (f"{FRONT}:[1, 2, ]:{X}", "line 2: .*list of 18 numbers"),
        (f"../{FRONT}:{Y}:{X}", "line 2: picture name"),
        (f"/etc/passwd:{Y}:{X}", "line 2: picture name"),
        (f"{row(FRONT)}\n\n{row(FRONT)}", "line 4 names .* a second time"),
        (f"{row(FRONT)}\n{row('img/WOMEN/Tees_Tanks/id_00000001/01_1_front.jpg')}", "second time"),
        (row(FRONT, [-1, *Y[1:]]), "line 2: joint 0 has y -1 and x 50"),
        (f"{FRONT}:[1{'0' * 400}, {str(Y[1:])[1:]}:{X}", "line 2: .*list of 18 numbers"),
        (row(FRONT, [1e39, *Y[1:]]), "line 2: .*list of 18 numbers"),
        ("", "holds no row"),
    ],
)
def test_a_malformed_annotation_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(f"name:keypoints_y:keypoints_x\n{text}\n")
    with pytest.raises(InputError, match=message):
        read_annotation(path, (256, 176))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{FRONT}\n", "line 2 has 1 cells"),
        (f"{FRONT},{BACK},{SIDE}\n", "line 2 has 3 cells"),
        (f"{FRONT},../x.jpg\n", r"line 2: '\.\./x\.jpg' is not listed"),
        (f"{FRONT},{FRONT}\n", "with itself"),
        (f"{FRONT},{BACK}\n{FRONT},{BACK},,\n", "twice"),
        ("", "holds no pair"),
    ],
)
def test_a_malformed_pair_list_is_named_with_its_line(tmp_path, text, message):
    root = write_lists(tmp_path)
    (root / "fasion-resize-pairs-test.csv").write_text(f"from,to\n{text}")
    with pytest.raises(InputError, match=message):
        load_pairs("deepfashion", root)


def test_written_annotations_are_whole_pixels_and_keep_what_is_missing(tmp_path):
    xy = np.array([[x + 0.4, y - 0.4] for x, y in zip(X, Y, strict=True)], dtype=np.float32)
    xy[0] = -1, 5
    xy[1] = 7, -1.2
    xy[2] = -0.8, -0.9
    visible = np.ones(18, dtype=bool)
    visible[9] = False
    path = tmp_path / "a.csv"
    path.write_text(annotation_text([FRONT], [Keypoints(xy, visible, (256, 176))]))
    pose = read_annotation(path, (256, 176))[FRONT]
    assert pose.visible.tolist() == visible.tolist()
    assert pose.xy[:4].tolist() == [[-1, 5], [7, 0], [-1, 0], [53, 103]]


@pytest.mark.parametrize(
    ("stem", "names", "folder", "layout"),
    [
        ("fasion-resize", (FRONT, BACK), "test", "patn"),
        ("fashion-resize", (FRONT, BACK), "test", "patn"),
        ("fasion-resize", (FRONT, BACK), "test_highres", "cfld"),
        ("fasion", (FRONT, BACK), "test", "gfla"),
        ("fashion", (FRONT, BACK), "test", "gfla"),
        (
            "fasion",
            tuple(parse_fashion(name).defgan for name in (FRONT, BACK)),
            "fasion-dataset/test",
            "defgan",
        ),
        ("fasion-resize", tuple(f"fashion/{parse_fashion(n).tree}" for n in (FRONT, BACK)), "test",
         "patn"),
    ],
)  # fmt: skip
def test_a_layout_is_told_by_its_files(tmp_path, stem, names, folder, layout):
    root = write_lists(tmp_path, stem, names)
    (root / folder).mkdir(parents=True, exist_ok=True)
    pairs = load_pairs("deepfashion", root)
    assert pairs.layout == layout
    assert pairs.convention == ("highres_resize" if layout in ("gfla", "cfld") else "lowres_crop")
    assert [pair.pair_id for pair in pairs] == [f"{FRONT[:-4]}_to_{BACK[:-4]}"]
    assert pairs[0].source.name == FRONT
    left = 40 if layout == "defgan" else 0
    assert pairs[0].source_pose.xy[0].tolist() == [50 - left, 100]
    assert pairs[0].target.path.parent == root / folder


def test_lists_in_the_usual_folder_below_the_root_are_found(tmp_path):
    write_lists(tmp_path / "fashion_data")
    assert load_pairs("deepfashion", tmp_path)[0].source.path.parent.parent.name == "fashion_data"


def test_pictures_are_found_under_flat_tree_and_png_names(tmp_path):
    tree = [f"fashion/{parse_fashion(name).tree}" for name in (FRONT, BACK)]
    cases = {"flat": f"test/{FRONT}", "png": f"test/{FRONT[:-4]}.png", "tree": tree[0]}
    for name, place in cases.items():
        root = write_lists(tmp_path / name, names=tree)
        expected = write_picture(root / place, (256, 176))
        pair = load_pairs("deepfashion", root)[0]
        assert pair.source.name == FRONT
        assert np.array_equal(load_picture(pair.source), expected)
        with pytest.raises(PictureError, match="cannot be read"):
            load_picture(pair.target)


@pytest.mark.parametrize(("stem", "left"), [("fasion-resize", 0), ("fasion", 40)])
def test_pictures_of_256_are_cut_to_the_frame_of_the_key_points(tmp_path, stem, left):
    names = [parse_fashion(name).defgan for name in (FRONT, BACK)] if left else [FRONT, BACK]
    root = write_lists(tmp_path, stem, names)
    pixels = [write_picture(root / "test" / name, (256, 256), k) for k, name in enumerate(names)]
    pair = load_pairs("deepfashion", root)[0]
    assert np.array_equal(load_picture(pair.target), pixels[1][:, 40:216])
    assert pair.target_pose.size == (256, 176)


def test_high_resolution_pictures_are_whole(tmp_path):
    root = write_lists(tmp_path, "fasion")
    pixels = [write_picture(root / "test" / name, (256, 256)) for name in (FRONT, BACK)]
    assert np.array_equal(load_picture(load_pairs("deepfashion", root)[0].source), pixels[0])


@pytest.mark.parametrize("width", [176, 256])
def test_parsing_maps_become_masks_in_the_frame_of_the_picture(tmp_path, width):
    root = write_lists(tmp_path, "fasion")
    pixels = [write_picture(root / "test" / name, (256, width)) for name in (FRONT, BACK)]
    labels = np.zeros((256, 256), dtype=np.uint8)
    labels[20:30, 90:] = 7
    save_picture(root / "testSPL8" / f"{BACK[:-4]}.png", labels)
    pairs = load_pairs("deepfashion", root)
    assert pairs.layout == "gfla"
    content = pixels[0][:, 40:216] if width == 256 else pixels[0]
    assert np.array_equal(load_picture(pairs[0].source), content)
    assert np.array_equal(load_labels(pairs[0].target_mask), labels[:, 40:216])
    assert pairs.mask_handles[0] is None
    assert pairs.convention == ("lowres_crop" if width == 256 else "highres_resize")


def test_split_lists_tell_seen_items_and_must_fit_the_annotation(tmp_path):
    root = write_lists(tmp_path)
    assert "item" not in load_pairs("deepfashion", root).slices
    (root / "test.lst").write_text(f"{FRONT}\n{BACK}\n{SIDE}\n")
    (root / "train.lst").write_text(FRONT.replace("01_1", "02_1") + "\n")
    assert load_pairs("deepfashion", root)[0].slices["item"] == "seen"
    (root / "train.lst").write_text(FRONT.replace("00000001", "00000002") + "\n")
    assert load_pairs("deepfashion", root)[0].slices["item"] == "unseen"
    (root / "train.lst").write_text(f"{BACK}\n")
    with pytest.raises(InputError, match=rf"{BACK}, which .*train\.lst lists too"):
        load_pairs("deepfashion", root)
    (root / "train.lst").unlink()
    (root / "test.lst").write_text(f"{FRONT}\n")
    with pytest.raises(InputError, match=rf"{BACK}, which .*test\.lst does not list"):
        load_pairs("deepfashion", root)
    (root / "test.lst").write_text(f"{FRONT}\n{FRONT}\n")
    with pytest.raises(InputError, match=r"line 2 names .* a second time"):
        load_pairs("deepfashion", root)


def test_without_a_pair_list_the_published_rule_makes_it(tmp_path):
    pairs = load_pairs("deepfashion", write_lists(tmp_path, names=(FRONT, BACK, SIDE), pairs=False))
    assert len(pairs) == 6
    assert {pair.group for pair in pairs} == {"fashionWOMENTees_Tanksid0000000101"}


def test_a_picture_outside_of_the_root_is_refused(tmp_path):
    root = write_lists(tmp_path / "root")
    write_picture(tmp_path / "other.jpg", (256, 176))
    (root / "test" / BACK).symlink_to(tmp_path / "other.jpg")
    with pytest.raises(InputError, match="outside of"):
        load_pairs("deepfashion", root)


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    root = write_lists(tmp_path)
    (root / "test" / BACK).symlink_to(BACK)
    with pytest.raises(InputError, match="is a link that leads nowhere"):
        load_pairs("deepfashion", root)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_lists_in_other_encodings_are_refused_by_name(tmp_path, encoding):
    root = write_lists(tmp_path)
    path = root / "fasion-resize-annotation-test.csv"
    path.write_bytes(f"{path.read_text()}{row('é.jpg')}\n".encode(encoding))
    with pytest.raises(InputError, match=r"annotation-test\.csv .*expected rows of name"):
        load_pairs("deepfashion", root)


def test_a_small_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LARGEST_TEXT", 1 << 20)
    root = write_lists(tmp_path)
    path = root / "fasion-resize-annotation-test.csv"
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(b"0" * (2 << 20)))
    path.unlink()
    with pytest.raises(InputError, match=r"csv\.gz holds more than 1 MiB"):
        load_pairs("deepfashion", root)


def test_what_is_missing_is_named(tmp_path):
    root = write_lists(tmp_path)
    (root / "test").rmdir()
    with pytest.raises(InputError, match=r"no pictures: .*test is missing"):
        load_pairs("deepfashion", root)
    with pytest.raises(InputError, match=r"fasion-resize-annotation-train\.csv is missing"):
        load_pairs("deepfashion", root, split="train")
    with pytest.raises(InputError, match="layout 'market' does not hold dataset deepfashion"):
        find_layout("deepfashion", root, "market")


def test_market_as_downloaded_asks_for_key_points(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"bounding_box_{split}").mkdir()
    with pytest.raises(InputError, match=r"has no key points.*data pose.*data pairs"):
        load_pairs("market1501", tmp_path, layout="market")
    names = ["0002_c1s1_000451_03.jpg", "0002_c2s1_000452_01.jpg"]
    junk = [name.replace("0002", "-1") for name in names]
    distractors = [name.replace("0002", "0000") for name in names]
    lines = [row(name) for name in (*junk, *distractors, *names)]
    (tmp_path / "market-annotation-test.csv").write_text("\n".join(lines) + "\n")
    pairs = load_pairs("market1501", tmp_path, layout="market")
    assert len(pairs.gallery.pictures) == 6
    assert {pair.group for pair in pairs} == {"0002"}
    assert len(pairs) == 2
    assert pairs.resolution == (128, 64)
    assert pairs[0].source.path.parent.name == "bounding_box_test"


@needs_real
def test_real_fashion_annotation_has_the_published_counts():
    rows = read_annotation_rows(FASHION / "fasion-resize-annotation-test.csv")
    visible, places = rows.visible, rows.coded[rows.visible]
    assert len(rows) == 4038
    assert set(rows.names) == set(read_names(FASHION / "test.lst"))
    usable = visible[:, [2, 5, 8, 11]].all(axis=1)
    empty = ~visible.any(axis=1)
    counts = (empty.sum(), (~usable & ~empty).sum(), usable.sum(), visible.all(axis=1).sum())
    assert tuple(map(int, counts)) == (619, 155, 3264, 627)
    missing = (~visible).mean(axis=0).round(3).tolist()
    assert missing == [
        0.235, 0.154, 0.158, 0.271, 0.314, 0.155, 0.224, 0.263, 0.187, 0.660, 0.765, 0.184, 0.669,
        0.766, 0.314, 0.291, 0.425, 0.330,
    ]  # fmt: skip
    assert round(float((~visible).mean()), 3) == 0.354
    assert len(places) == 46_982
    assert (places.min(axis=0).tolist(), places.max(axis=0).tolist()) == ([-31, 0], [205, 255])
    outside = ((rows.coded < 0) | (rows.coded >= [176, 256])).any(axis=2) & visible
    assert int(outside.sum()) == 19
    assert int(outside.any(axis=1).sum()) == 19
    half = (rows.coded == -1).any(axis=2) & visible
    assert not half.any()


@needs_real
def test_real_fashion_pairs_have_the_published_counts(tmp_path):
    for name in ("fasion-resize-annotation-test.csv", "fasion-resize-pairs-test.csv", "test.lst"):
        shutil.copy(FASHION / name, tmp_path / name)
    (tmp_path / "test").mkdir()
    shutil.copy(FASHION / "train.lst.gz", tmp_path)
    pairs = load_pairs("deepfashion", tmp_path)
    assert len(pairs) == 8570
    assert Counter(pairs.slices["item"].label(k) for k in range(8570)) == {
        "seen": 4984,
        "unseen": 3586,
    }
    rows = {tuple(one) for one in pairs.rows.tolist()}
    assert len(rows) == 8570
    assert rows == {(target, source) for source, target in rows}
    assert len({source for source, _ in rows}) == 3144
    groups = Counter(pairs.gallery.groups[source] for source, _ in rows)
    assert Counter(groups.values()) == {2: 68, 6: 265, 12: 502, 20: 41}
    women = sum(pair.source.name.startswith("fashionWOMEN") for pair in pairs)
    assert (women, len(pairs) - women) == (7544, 1026)
    views = Counter(pairs.slices["view"].label(k) for k in range(8570))
    assert views["front-side"] == views["side-front"] == 633
    assert views["front-back"] + views["back-front"] == 1266
    assert sum(count for view, count in views.items() if "flat" in view) == 54


@needs_real
def test_tree_names_and_spreadsheet_commas_change_nothing(tmp_path):
    flat, tree = tmp_path / "flat", tmp_path / "tree"
    for root in (flat, tree):
        (root / "test").mkdir(parents=True)
    for kind in ("annotation", "pairs"):
        name = f"fasion-resize-{kind}-test.csv"
        shutil.copy(FASHION / name, flat / name)
        header, *lines = (FASHION / name).read_text().splitlines()
        separator = ":" if kind == "annotation" else ","
        changed = [header + "," * 34]
        for line in lines:
            cells = [
                f"fashion/{parsed.tree}" if (parsed := parse_fashion(cell)) else cell
                for cell in line.split(separator)
            ]
            # A blank before the last number of each list, as the copy with tree names has it.
            cells = [
                cell[: cell.rindex(",") + 1] + "  " + cell[cell.rindex(",") + 1 :].strip()
                if cell.startswith("[")
                else cell
                for cell in cells
            ]
            changed.append(separator.join(cells))
        (tree / name).write_text("\n".join(changed) + "\n")
    one, other = (load_pairs("deepfashion", root) for root in (flat, tree))
    assert [p.name for p in one.gallery.pictures] == [p.name for p in other.gallery.pictures]
    assert np.array_equal(one.rows, other.rows)
    for ours, theirs in zip(one.gallery.keypoints, other.gallery.keypoints, strict=True):
        assert np.array_equal(ours.xy, theirs.xy)
        assert np.array_equal(ours.visible, theirs.visible)


@needs_real
def test_the_real_defgan_file_lies_in_the_frame_of_the_others():
    path = FASHION / "defgan" / "fasion-annotation-test.csv"
    rows = read_annotation_rows(path)
    assert len(rows) == 4061
    usable = rows.visible[:, [2, 5, 8, 11]].all(axis=1)
    assert int(usable.sum()) == 3278
    assert len(published_rows(rows.names, rows.visible, "deepfashion", "test")) == 8670
    patn = read_annotation(FASHION / "fasion-resize-annotation-test.csv", (256, 176))
    defgan = dict(zip(rows.names, rows.keypoints((256, 176), left=40), strict=True))
    common = [name for name in patn if name in defgan]
    differences = np.concatenate(
        [
            np.abs(patn[name].xy - defgan[name].xy)[patn[name].visible & defgan[name].visible]
            for name in common
        ]
    )
    assert len(common) > 300
    assert np.median(differences, axis=0).tolist() == [0, 0]


@needs_real
def test_real_market_pairs_have_the_published_counts(tmp_path):
    source = REAL / "market1501" / "market-annotation-test.csv.gz"
    shutil.copy(source, tmp_path / source.name)
    (tmp_path / "bounding_box_test").mkdir()
    pairs = load_pairs("market1501", tmp_path, layout="market")
    names = [picture.name for picture in pairs.gallery.pictures]
    listed = [(names[i], names[j]) for i, j in pairs.rows.tolist()]
    assert len(pairs) == len(set(listed)) == 12_000
    assert len({group_of("market1501", source) for source, _ in listed}) == 693
    assert len({name for pair in listed for name in pair}) == 9810
    assert sum(a.split("_")[1][:2] == b.split("_")[1][:2] for a, b in listed) == 2735
    known = set(listed)
    assert sum((target, source) in known for source, target in listed) == 604
    double = [pair for pair in listed if pair[0].endswith(".jpg.jpg")]
    assert double == [("1488_c4s6_022291_05.jpg.jpg", "1488_c3s3_071344_02.jpg.jpg")]
    position = listed.index(double[0])
    assert pairs[position].pair_id == "1488_c4s6_022291_05.jpg_to_1488_c3s3_071344_02.jpg"
