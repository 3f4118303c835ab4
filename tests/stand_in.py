"""A stand-in for somebody's repository: a small program with its own package called `data`.

Its interpreter is a fresh environment without any package, so the program decodes nothing and
writes PNG with the standard library. What it does besides is told by the file `behaviour.txt` in
the clone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from pcdms_data.images import png_bytes, write_atomically
from pcdms_data.layouts.annotation import annotation_text
from pcdms_data.layouts.picture_files import jpeg_bytes
from pcdms_data.pair_rule import pair_list_text

PROGRAM = """
import argparse, json, os, signal, subprocess, sys, time
import data
from data.pairs import read_pairs
from data.png import write_png

said = json.load(open("behaviour.txt"))
options = argparse.ArgumentParser()
for name in ("--pairLst", "--name", "--results_dir", "--dataroot", "--which_epoch", "--phase"):
    options.add_argument(name)
given, _ = options.parse_known_args()
assert os.path.dirname(os.path.abspath(data.__file__)).endswith("data")
weights = os.path.join("checkpoints", given.name, "latest_net_netG.pth")
colour = len(open(weights, "rb").read()) % 256
run = "%s_%s" % (given.phase, given.which_epoch)
out = os.path.join(given.results_dir, given.name, run, "images")
os.makedirs(out, exist_ok=True)
if said.get("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("prefix", sys.prefix)
print("variables", sorted(k for k in os.environ if k.startswith("PYTHON") or k == "VIRTUAL_ENV"))
print("clone entries", sorted(os.listdir(".")))
if said.get("say"):
    print(said["say"], flush=True)
if said.get("child"):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(said["child"], "w").write(str(sleeper.pid))
for number, (source, target) in enumerate(read_pairs(given.pairLst)):
    if number == said.get("fail_at"):
        raise RuntimeError("out of memory, as a stand-in says it")
    if number == said.get("hang_at"):
        print("waiting for nothing", flush=True)
        time.sleep(600)
    if number in said.get("leave_out", []):
        continue
    for path in (os.path.join(given.dataroot, given.phase, source),
                 os.path.join(given.dataroot, given.phase + "K", source + ".npy")):
        assert os.path.getsize(path) > 0
    name = os.path.join(out, "%s___%s_vis.png" % (source, target))
    if number in said.get("broken", []):
        open(name, "wb").write(b"no picture")
    elif number in said.get("link_out", []):
        os.symlink(said["outside"], name)
    elif number in said.get("small", []):
        write_png(name, 10, 10, [colour])
    else:
        write_png(name, *said.get("size", [128, 320]), tiles=[1, 2, 3, 4, colour + number])
    print("made", number, flush=True)
    time.sleep(said.get("pause", 0))
for name in said.get("strangers", []):
    write_png(os.path.join(out, name), 128, 320, [9])
sys.exit(said.get("code", 0))
"""

PNG = '''
import struct, zlib


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def write_png(path, height, width, tiles):
    """Tiles of one grey each, side by side."""
    wide = width // len(tiles)
    row = b"\\0" + b"".join(bytes([level % 256] * 3) * wide for level in tiles)
    row += bytes(3) * (width - wide * len(tiles))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head))
        file.write(chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b""))
'''

PAIRS = """
import csv


def read_pairs(path):
    with open(path, newline="") as table:
        return [(row["from"], row["to"]) for row in csv.DictReader(table)]
"""

WANTED = ("torch", "torchvision", "pandas", "skimage", "PIL", "dominate")
"""Modules that the recipe of PATN asks for: empty files here, nothing imports them."""
WEIGHTS = "checkpoints/market_PATN_test/latest_net_netG.pth"


def make_interpreter(folder: Path) -> Path:
    """An environment without packages, and its interpreter."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    return folder / "bin" / "python"


def make_repository(folder: Path, weights: bytes | None = b"w" * 40) -> Path:
    """A clone that answers PATN's test command for Market-1501."""
    files = {
        "test.py": PROGRAM, "tool/generate_pose_map_fashion.py": "", "data/__init__.py": "",
        "data/pairs.py": PAIRS, "data/png.py": PNG, "market_data/of_the_user.txt": "kept",
        "results/earlier.txt": "kept", ".git-is-not-here": "",
        **{f"{name}.py": "" for name in WANTED},
    }  # fmt: skip
    for name, text in files.items():
        write_atomically(folder / name, text.encode())
    if weights is not None:
        write_atomically(folder / WEIGHTS, weights)
    behave(folder)
    return folder


def behave(folder: Path, **said: object) -> None:
    """Say how the program is to behave; nothing: as it should. Not part of the clone's state."""
    (folder / "behaviour.txt").write_text(json.dumps(said))


def make_market(root: Path, people: int = 2, pictures: int = 2) -> Path:
    """Market-1501 in small: coarse random pictures with standing poses, pairs by the rule."""
    from tiny_pairs import pose

    rng = np.random.default_rng(3)
    names, poses = [], []
    for person in range(people):
        for view in range(pictures):
            names.append(f"{person + 1:04d}_c{view + 1}s1_00003{view}_01.jpg")
            poses.append(pose(rng, (128, 64), jitter=3.0))
            level = rng.integers(0, 256, (4, 2, 3)).astype(np.uint8)
            picture = np.kron(level, np.ones((32, 32, 1), np.uint8))
            write_atomically(root / "test" / names[-1], jpeg_bytes(picture))
    text = annotation_text(names, poses)
    write_atomically(root / "market-annotation-test.csv", text.encode())
    rows = [
        (person * pictures + a, person * pictures + b)
        for person in range(people)
        for a in range(pictures)
        for b in range(pictures)
        if a != b
    ]
    listed = pair_list_text(names, np.array(rows, dtype=np.int32))
    write_atomically(root / "market-pairs-test.csv", listed.encode())
    return root


def commit(folder: Path, message: str) -> str:
    """Make a git checkout of the folder if it is none, commit everything, return the commit."""
    words = ["-c", "user.name=t", "-c", "user.email=t@t"]
    if not (folder / ".git").exists():
        _git(folder, "init", "-q")
    _git(folder, "add", "-A")
    _git(folder, *words, "commit", "-q", "-m", message)
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def sheet(size: tuple[int, int], marks: dict[tuple[int, int, int, int], int]) -> bytes:
    """A made-up sheet as PNG: black, each box (left, top, right, bottom) filled with its level."""
    pixels = np.zeros((*size, 3), np.uint8)
    for (left, top, right, bottom), level in marks.items():
        pixels[top:bottom, left:right] = level
    return png_bytes(pixels)


if __name__ == "__main__":
    make_repository(Path(sys.argv[1]))
