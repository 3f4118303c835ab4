"""Zip archives: what is unsafe, locked or damaged is named, the rest is read in place."""

import struct
import threading
import zipfile

import numpy as np
import pytest
from raw_downloads import lock_members

from pcdms_data.archives import LARGEST_MEMBER, read_archive
from pcdms_data.images import load_picture, png_bytes
from pcdms_data.types import Picture, PictureError

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 8, 3), dtype=np.uint8)


def make(path, names, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, png_bytes(PIXELS))
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_are_listed_and_read_without_anything_being_extracted(tmp_path):
    path = make(tmp_path / "a.zip", ["b/1.png", "b/2.jpg.jpg"])
    found = read_archive(path)
    assert found.members == ("b/1.png", "b/2.jpg.jpg")
    assert found.problems == ()
    assert np.array_equal(load_picture(Picture("1.png", path, key="b/1.png")), PIXELS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("name", ["../x.png", "a/../../x.png", "/x.png", "a\\..\\..\\x.png", "C:x"])
def test_members_that_lead_out_are_refused_by_name(tmp_path, name):
    path = make(tmp_path / "a.zip", ["good.png", name])
    found = read_archive(path)
    assert found.members == ("good.png",)
    assert len(found.problems) == 1
    assert "leads out" in found.problems[0]


def test_links_and_repeated_members_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("x.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.png", b"2")
    problems = read_archive(path).problems
    assert [line.partition(": ")[2] for line in problems] == [
        "is a link, expected a file", "is there twice",
    ]  # fmt: skip


def test_locked_members_are_each_named_and_the_others_stay_readable(tmp_path):
    path = make(tmp_path / "a.zip", ["open.png", "locked1.png", "locked2.png"])
    lock_members(path, "locked")
    found = read_archive(path)
    assert found.members == ("open.png",)
    assert [line.startswith(f"{path}[locked{n}.png]: is protected with a password")
            for n, line in enumerate(found.problems, start=1)] == [True, True]  # fmt: skip
    with pytest.raises(PictureError, match="protected with a password"):
        load_picture(Picture("x.png", path, key="locked1.png"))


def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path):
    path = make(tmp_path / "a.zip", ["bomb.png"])
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", LARGEST_MEMBER + 1)
    path.write_bytes(bytes(content))
    assert "unpacks to" in read_archive(path).problems[0]


def test_a_cut_archive_is_one_problem(tmp_path):
    path = make(tmp_path / "a.zip", ["1.png", "2.png"])
    path.write_bytes(path.read_bytes()[:-40])
    found = read_archive(path)
    assert (found.members, found.problems) == ((), (f"{path}: is cut short or no zip archive",))


def test_a_member_whose_bytes_changed_is_found_by_its_checksum(tmp_path):
    path = make(tmp_path / "a.zip", ["1.png"])
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(bytes(content))
    assert read_archive(path).problems == ()
    with pytest.raises(PictureError, match=r"a\.zip\[1\.png\].*damaged"):
        load_picture(Picture("1.png", path, key="1.png"))
    with pytest.raises(PictureError, match="missing from the archive"):
        load_picture(Picture("9.png", path, key="9.png"))


def test_threads_read_one_archive_at_once(tmp_path):
    names = [f"{n}.png" for n in range(40)]
    path = make(tmp_path / "a.zip", names)
    wrong = []

    def read():
        for name in names:
            if not np.array_equal(load_picture(Picture(name, path, key=name)), PIXELS):
                wrong.append(name)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
