"""Huge pictures are refused by name before they are decoded, and no path leaves its root."""

import io
import re
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from pcdms_data.images import load_labels, load_picture, save_picture
from pcdms_data.picture_limits import LARGEST_PIXELS, check_pixels, header_size
from pcdms_data.tables import inside
from pcdms_data.types import InputError, Picture, PictureError

PIXELS = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)

PIL_VARIANTS = [
    ("PNG", {}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"comment": b"\xff\xc0" * 40, "exif": b"Exif\0\0" + b"\xff\xc0" * 99}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}),
    ("GIF", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"big_tiff": True}),
    ("PPM", {}),
]


def pil_bytes(form, options):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, form, **options)
    return stream.getvalue()


def png_header(height, width, rows=b""):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("form", "options"), PIL_VARIANTS)
def test_size_in_the_head_is_the_size_of_the_decoded_picture(form, options, tmp_path):
    content = pil_bytes(form, options)
    assert header_size(content) == (37, 53)
    path = tmp_path / "picture"
    path.write_bytes(content)
    assert load_picture(Picture("a.png", path)).shape == (37, 53, 3)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".ppm", ".gif"])
def test_heads_that_opencv_writes_are_read(extension):
    done, content = cv2.imencode(extension, PIXELS)
    assert done
    assert header_size(content.tobytes()) == (37, 53)


def test_head_of_a_big_endian_tiff_and_an_old_bitmap_and_a_commented_map():
    entries = struct.pack(">HHIHH", 256, 3, 1, 300, 0) + struct.pack(">HHII", 257, 4, 1, 200)
    assert header_size(b"MM\0*" + struct.pack(">IH", 8, 2) + entries) == (200, 300)
    assert header_size(b"BM" + bytes(12) + struct.pack("<IHH", 12, 300, 200)) == (200, 300)
    assert header_size(b"BM" + bytes(12) + struct.pack("<Iii", 40, 300, -200)) == (200, 300)
    assert header_size(b"P5 # made by hand\n# twice\n300 200\n255\n") == (200, 300)


@pytest.mark.parametrize(("form", "options"), PIL_VARIANTS)
def test_a_head_cut_anywhere_gives_a_size_or_none(form, options):
    content = pil_bytes(form, options)
    assert {header_size(content[:length]) for length in range(min(len(content), 800))} <= {
        None,
        (37, 53),
    }


@pytest.mark.parametrize("load", [load_picture, load_labels])
def test_a_decompression_bomb_is_refused_by_name_and_takes_no_memory(tmp_path, load):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(60_000, 60_000, bytes(1 << 20)))
    assert path.stat().st_size < 2000
    tracemalloc.start()
    with pytest.raises(PictureError, match=r"bomb\.png is 60000x60000, expected 1 to 67108864"):
        load(Picture("bomb.png", path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_the_limit_itself_is_allowed_and_one_column_more_is_not():
    assert check_pixels(png_header(8192, 8192), "a") == (8192, 8192)
    assert LARGEST_PIXELS == 8192 * 8192
    for height, width in ((8192, 8193), (1, LARGEST_PIXELS + 1), (0, 5), (5, 0), (2**31, 2**31)):
        with pytest.raises(PictureError, match=f"^picture a is {height}x{width}, expected 1 to"):
            check_pixels(png_header(height, width), "a")


@pytest.mark.parametrize(
    "content",
    [b"text", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xda\0\x08", b"RIFF\0\0\0\0WEBPVP8Q" + bytes(20),
     b"\0\0\0\x0cjP  \r\n\x87\n", b"II*\0\xff\xff\xff\xff", b"\x76\x2f\x31\x01" + bytes(90)],
)  # fmt: skip
def test_formats_whose_size_is_not_known_are_not_decoded(content, tmp_path):
    path = tmp_path / "odd.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=r"odd\.png cannot be decoded, expected a PNG, JPEG"):
        load_picture(Picture("odd.png", path))


def npy_bytes(shape, content=b""):
    stream = io.BytesIO()
    head = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)
    return stream.getvalue() + content


def test_a_map_that_promises_more_than_it_holds_is_refused_by_name(tmp_path):
    path = tmp_path / "map.npy"
    path.write_bytes(npy_bytes((10**6, 10**7)))
    with pytest.raises(PictureError, match=r"map\.npy cannot be read"):
        load_labels(Picture("map.npy", path))
    path.write_bytes(npy_bytes((2, 3), bytes(range(6))))
    assert load_labels(Picture("map.npy", path)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_map_over_the_limit_is_refused_by_name(tmp_path):
    path = tmp_path / "map.npy"
    path.write_bytes(npy_bytes((8192, 8193)))
    with path.open("r+b") as file:  # a hole, which takes no room on the disk
        file.truncate(path.stat().st_size + 8192 * 8193)
    with pytest.raises(PictureError, match=r"map\.npy is \(8192, 8193\), expected 67108864 values"):
        load_labels(Picture("map.npy", path))


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    (root / "pictures").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for path in (root / "pictures" / "a.png", tmp_path / "elsewhere" / "b.png"):
        save_picture(path, PIXELS)
    return root


def test_paths_below_the_root_are_returned_as_they_are(tree):
    (tree / "again").symlink_to(tree / "pictures")
    (tree / "pictures" / "c.png").symlink_to("a.png")
    for path in ("pictures/a.png", "pictures/c.png", "again/c.png", "pictures/absent.png", "again"):
        assert inside(tree, tree / path) == tree / path
    assert inside(tree, tree) == tree


def test_a_linked_root_is_no_way_out(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    assert inside(tmp_path / "link", tmp_path / "link" / "pictures" / "a.png")
    assert inside(tmp_path / "link", tree / "pictures" / "a.png")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("../elsewhere/b.png", "../elsewhere"),
        ("..", ".."),
        ("pictures/../..", "pictures/../.."),
        ("out/b.png", "out"),
        ("pictures/out.png", "pictures/out.png"),
        ("gone.png", "gone.png"),
    ],
)
def test_a_path_that_leads_out_of_the_root_is_refused_by_name(tree, tmp_path, path, named):
    (tree / "out").symlink_to(tmp_path / "elsewhere")
    (tree / "pictures" / "out.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    (tree / "gone.png").symlink_to(tmp_path / "nothing.png")
    for _ in range(2):
        with pytest.raises(InputError, match=rf"{re.escape(named)} leads to .*, outside of .*root"):
            inside(tree, tree / path)


def test_a_sibling_with_the_same_beginning_is_outside(tree, tmp_path):
    (tmp_path / "root2").mkdir()
    with pytest.raises(InputError, match="outside of"):
        inside(tree, tmp_path / "root2" / "a.png")
