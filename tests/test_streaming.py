"""Streams of decoded batches: every pair once, in one order, from any store."""

import cv2
import lmdb
import numpy as np
import pyarrow as pa
import pytest
from tiny_pairs import make_gallery

from pcdms_data import stream_batches
from pcdms_data.images import load_batch, load_picture
from pcdms_data.pair_set import PairSet, ordered_pairs
from pcdms_data.pixel_cache import with_pixels
from pcdms_data.streaming import batch_order
from pcdms_data.streaming_speed import streaming_speed
from pcdms_data.types import Gallery, InputError, Picture, PictureError

SIZE = (64, 44)


@pytest.fixture
def pairs(tmp_path, monkeypatch) -> PairSet:
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    gallery = make_gallery(tmp_path, count=9, per_group=3, size=SIZE)
    rows = ordered_pairs(gallery.groups, np.ones((9, 18), bool))
    return PairSet("folder", "test", SIZE, gallery, rows)


def over(pairs: PairSet, pictures) -> PairSet:
    return pairs.with_gallery(
        Gallery(tuple(pictures), pairs.gallery.keypoints, pairs.gallery.groups)
    )


def png(picture: Picture) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(load_picture(picture), cv2.COLOR_RGB2BGR))[1].tobytes()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("shuffle", [None, 5])
def test_a_stream_gives_every_pair_once_an_epoch_in_an_order_workers_do_not_change(
    pairs, workers, shuffle
):
    batches = list(stream_batches(pairs, 4, shuffle=shuffle, epochs=2, workers=workers))
    order = list(batch_order(len(pairs), 4, shuffle, 2, drop_last=False))
    assert [len(batch.pair_ids) for batch in batches] == [4, 4, 4, 4, 2] * 2
    for half in (order[:5], order[5:]):
        assert sorted(np.concatenate(half).tolist()) == list(range(18))
    for batch, rows in zip(batches, order, strict=True):
        expected = load_batch([pairs[int(row)] for row in rows], SIZE)
        assert batch.pair_ids == expected.pair_ids
        assert np.array_equal(batch.source, expected.source)
        assert np.array_equal(batch.target_xy, expected.target_xy)


def test_shuffled_epochs_differ_and_repeat_with_their_seed():
    first, second = (np.concatenate(list(batch_order(50, 8, seed, 2, False))) for seed in (1, 1))
    assert first.tolist() == second.tolist()
    assert first[:50].tolist() != first[50:].tolist()
    other = np.concatenate(list(batch_order(50, 8, 2, 1, False)))
    assert first[:50].tolist() != other.tolist()


def test_a_stream_can_drop_the_last_batch_and_be_left_early(pairs):
    assert [len(b.pair_ids) for b in stream_batches(pairs, 4, drop_last=True)] == [4] * 4
    endless = stream_batches(pairs, 4, epochs=None)
    assert [len(next(endless).pair_ids) for _ in range(12)] == [4, 4, 4, 4, 2] * 2 + [4, 4]
    endless.close()
    assert list(stream_batches(pairs[:3], 4, drop_last=True, epochs=None)) == []


def test_planes_are_the_pictures_in_rgb_order(pairs):
    batch = load_batch([pairs[0], pairs[1]], SIZE)
    assert batch.source.flags.c_contiguous
    for row in range(2):
        assert np.array_equal(batch.source[row].transpose(1, 2, 0), load_picture(pairs[row].source))
        assert np.array_equal(batch.target[row].transpose(1, 2, 0), load_picture(pairs[row].target))


def test_files_lmdb_and_arrow_give_the_same_pixels(pairs, tmp_path):
    pictures = pairs.gallery.pictures
    encoded = [png(picture) for picture in pictures]
    with (
        lmdb.open(str(tmp_path / "64-44"), map_size=2**24) as environment,
        environment.begin(write=True) as transaction,
    ):
        for picture, content in zip(pictures, encoded, strict=True):
            transaction.put(f"img/{picture.name}".encode(), content)
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    column = pa.array([{"bytes": content, "path": None} for content in encoded], kind)
    with (
        pa.OSFile(str(tmp_path / "images.arrow"), "wb") as file,
        pa.ipc.new_stream(file, pa.schema({"image": kind})) as writer,
    ):
        for start in (0, 4, 8):  # rows count through several record batches
            part = column[start : start + 4]
            writer.write_batch(pa.record_batch([part], names=["image"]))
    for picture, content in zip(pictures, encoded, strict=True):
        (tmp_path / picture.name).write_bytes(content)
    stores = (
        [Picture(p.name, tmp_path / p.name) for p in pictures],
        [Picture(p.name, tmp_path / "64-44", key=f"img/{p.name}") for p in pictures],
        [Picture(p.name, tmp_path / "images.arrow", row) for row, p in enumerate(pictures)],
    )
    expected = next(stream_batches(pairs, 18))
    for store in stores:
        found = next(stream_batches(over(pairs, store), 18))
        assert np.array_equal(found.source, expected.source)
        assert np.array_equal(found.target, expected.target)


def test_a_missing_key_or_row_is_named(tmp_path, pairs):
    with lmdb.open(str(tmp_path / "64-44"), map_size=2**24):
        pass
    with pytest.raises(PictureError, match=r"64-44\[img/a\.png\] is missing"):
        load_picture(Picture("a.png", tmp_path / "64-44", key="img/a.png"))
    with pytest.raises(PictureError, match="no lmdb folder"):
        load_picture(Picture("a.png", tmp_path / "absent", key="img/a.png"))
    (tmp_path / "images.arrow").write_bytes(b"no arrow file")
    with pytest.raises(PictureError, match=r"images\.arrow\[3\] cannot be read"):
        load_picture(Picture("a.png", tmp_path / "images.arrow", 3))


def test_a_crop_is_cut_before_the_resize(tmp_path, pairs):
    picture = pairs.gallery.pictures[0]
    whole = load_picture(picture)
    part = Picture(picture.name, picture.path, picture.row, crop=(5, 2, 40, 60))
    assert np.array_equal(load_picture(part), whole[2:60, 5:40])
    with pytest.raises(PictureError, match="is 64x44, too small for columns 5 to 50"):
        load_picture(Picture(picture.name, picture.path, picture.row, crop=(5, 2, 50, 60)))


def test_cached_pixels_are_the_pictures_and_an_unreadable_one_fails_alone(pairs, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing IEND")
    pictures = list(pairs.gallery.pictures)
    pictures[4] = Picture("bad.png", tmp_path / "bad.png")
    cached = with_pixels(over(pairs, pictures))
    for row, picture in enumerate(cached.gallery.pictures):
        if row == 4:
            with pytest.raises(PictureError, match=r"bad\.png cannot be decoded"):
                load_picture(picture)
        else:
            assert picture.path.name == "pixels.npy"
            assert np.array_equal(load_picture(picture), load_picture(pictures[row]))


def test_a_replaced_picture_is_cached_anew(pairs, tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(png(pairs.gallery.pictures[0]))
    mine = over(pairs, [Picture("one.png", path), *pairs.gallery.pictures[1:]])
    before = load_picture(with_pixels(mine).gallery.pictures[0])
    path.write_bytes(png(pairs.gallery.pictures[1]))
    after = load_picture(with_pixels(mine).gallery.pictures[0])
    assert not np.array_equal(before, after)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": 2, "workers": 0}, "workers 0"),
        ({"batch_size": 2, "epochs": 0}, "epochs 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(pairs, settings, message):
    with pytest.raises(InputError, match=message):
        stream_batches(pairs, **settings)


@pytest.mark.slow
def test_the_speed_of_every_way_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path))
    measured = streaming_speed(workers=1, pairs=64)
    assert [(one.way, one.files) for one in measured] == [
        ("pcdms", "jpeg"), ("published", "jpeg"), ("pcdms", "png"), ("published", "png"),
        ("pcdms", "pixels"),
    ]  # fmt: skip
    assert all(one.pairs >= 64 and one.wall_seconds > 0 for one in measured)
