"""Pictures: named kernels equal their libraries, files survive, bad files are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pcdms_data.images import (
    KERNELS,
    load_batch,
    load_labels,
    load_picture,
    resize,
    save_picture,
    to_uint8,
)
from pcdms_data.types import InputError, Keypoints, Pair, Picture, PictureError


@pytest.fixture
def pixels():
    # A checkered ground makes cubic kernels overshoot.
    noise = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    noise[::2, ::2] = 255
    noise[1::2, 1::2] = 0
    return noise


@pytest.mark.parametrize("size", [(24, 20), (96, 64), (31, 57)])
def test_each_kernel_is_its_library(pixels, size):
    height, width = size
    floats = pixels.astype(np.float32)
    cubic = cv2.resize(floats, (width, height), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(resize(pixels, size, "cv2-cubic-f32"), cubic)
    linear = cv2.resize(floats, (width, height))
    assert np.array_equal(resize(pixels, size, "cv2-linear-f32"), linear)
    assert np.array_equal(
        resize(pixels, size, "cv2-linear-u8"), cv2.resize(pixels, (width, height))
    )
    pil = np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    assert np.array_equal(resize(pixels, size, "pil-bicubic-u8"), pil)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    wanted = torch.nn.functional.interpolate(planes, size=size, mode="bicubic", antialias=True)
    wanted = (wanted * 255).clamp(0, 255).byte()[0].permute(1, 2, 0).numpy()
    assert np.array_equal(resize(pixels, size, "torch-bicubic-aa"), wanted)


def test_the_cubic_float_kernel_keeps_its_overshoot_and_loading_clips_it(pixels, tmp_path):
    grown = resize(pixels, (96, 80), "cv2-cubic-f32")
    assert grown.dtype == np.float32
    assert grown.min() < 0
    assert grown.max() > 255
    save_picture(tmp_path / "a.png", pixels)
    loaded = load_picture(Picture("a.png", tmp_path / "a.png"), (96, 80), "cv2-cubic-f32")
    assert np.array_equal(loaded, to_uint8(grown))


def test_no_resize_accepts_only_the_size_itself(pixels):
    assert resize(pixels, (48, 40), "none") is pixels
    with pytest.raises(InputError, match="48x40 was given where 24x20 is expected"):
        resize(pixels, (24, 20), "none")


def test_an_unknown_kernel_is_named_with_the_choices(pixels):
    with pytest.raises(InputError, match=f"'bilinear'.*{KERNELS[0]}"):
        resize(pixels, (24, 20), "bilinear")


def test_a_saved_picture_reads_back_equal_in_rgb(pixels, tmp_path):
    path = tmp_path / "new" / "a.png"
    save_picture(path, pixels)
    assert np.array_equal(load_picture(Picture("a.png", path)), pixels)
    assert np.array_equal(np.array(Image.open(path)), pixels)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_a_failed_write_leaves_the_old_picture_and_no_litter(pixels, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    save_picture(path, pixels)

    def refuse(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(KeyboardInterrupt):
        save_picture(path, pixels // 2)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert np.array_equal(load_picture(Picture("a.png", path)), pixels)


def test_rows_of_an_array_file_are_pictures_and_labels(pixels, tmp_path):
    np.save(tmp_path / "p.npy", np.stack([pixels, 255 - pixels]))
    np.save(tmp_path / "l.npy", np.stack([pixels[:, :, 0], pixels[:, :, 1]]))
    loaded = load_picture(Picture("b.png", tmp_path / "p.npy", 1))
    assert np.array_equal(loaded, 255 - pixels)
    loaded[:] = 0  # a copy: the file must not change
    assert np.array_equal(load_picture(Picture("b.png", tmp_path / "p.npy", 1)), 255 - pixels)
    labels = load_labels(Picture("b.png", tmp_path / "l.npy", 1))
    assert np.array_equal(labels, pixels[:, :, 1])
    for bad in (Picture("b", tmp_path / "p.npy", 2), Picture("b", tmp_path / "l.npy", 0)):
        with pytest.raises(PictureError, match=r"\.npy"):
            load_picture(bad)


def test_label_resizing_invents_no_label(tmp_path):
    labels = np.zeros((8, 6), dtype=np.uint8)
    labels[2:5, 1:4] = 7
    labels[6, 5] = 13
    save_picture(tmp_path / "m.png", labels)
    mask = Picture("m.png", tmp_path / "m.png")
    assert np.array_equal(load_labels(mask), labels)
    assert np.array_equal(load_labels(mask, (16, 12)), labels.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(load_labels(mask, (4, 3)), labels[1::2, 1::2])


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp"])
def test_a_cut_or_foreign_file_is_an_error_that_names_it(pixels, tmp_path, extension, capfd):
    path = tmp_path / f"broken{extension}"
    content = cv2.imencode(extension, pixels)[1].tobytes()
    path.write_bytes(content)
    assert load_picture(Picture("x", path)).shape == pixels.shape
    for bad in (content[: len(content) // 2], content[:20], b"", b"no picture at all"):
        path.write_bytes(bad)
        with pytest.raises(PictureError, match="broken"):
            load_picture(Picture("x", path))
    path.unlink()
    with pytest.raises(PictureError, match="broken"):
        load_picture(Picture("x", path))
    assert capfd.readouterr().err == ""


def test_a_batch_holds_planes_and_scaled_key_points(pixels, tmp_path):
    save_picture(tmp_path / "a.png", pixels)
    save_picture(tmp_path / "b.png", 255 - pixels)
    xy = np.tile(np.array([[20.0, 12.0]], dtype=np.float32), (18, 1))
    pose = Keypoints(xy, np.arange(18) % 2 == 0, (48, 40))
    first, second = (Picture(f"{n}.png", tmp_path / f"{n}.png") for n in "ab")
    batch = load_batch([Pair("a_to_b", first, second, pose, pose)], (24, 80))
    assert batch.source.shape == (1, 3, 24, 80)
    assert batch.pair_ids == ("a_to_b",)
    wanted = resize(255 - pixels, (24, 80), "pil-bicubic-u8")
    assert np.array_equal(batch.target[0].transpose(1, 2, 0), wanted)
    assert np.array_equal(batch.source_xy[0, 0], [40.0, 6.0])
    assert batch.target_visible.sum() == 9
    with pytest.raises(InputError, match="empty batch"):
        load_batch([], (24, 80))
