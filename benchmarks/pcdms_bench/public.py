"""Scoring from Python: pictures as arrays or folders, no run folder needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.measuring import MASKED, Task, measure
from pcdms_bench.metrics.keypoint_mask import keypoint_mask
from pcdms_bench.metrics.ssim import ssim_map, ssim_of_map
from pcdms_bench.picture_scores import Score, picture_scores
from pcdms_bench.protocols import Protocol, protocol_for
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.scoring import ScoreContext, score_row
from pcdms_data.images import load_labels, load_picture, resize
from pcdms_data.types import InputError, Keypoints, Picture
from pcdms_reports.records import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

Pictures = NDArray[np.uint8] | Path | str
"""uint8 (N, H, W, 3), or a folder of picture files."""
SUFFIXES = (".png", ".jpg", ".jpeg")


def ssim(
    x: NDArray[np.uint8], y: NDArray[np.uint8], protocol: str | Protocol = "standard"
) -> NDArray[np.float64]:
    """Return the primary SSIM of a protocol for each pair of pictures, float64 (B,).

    `x` (predictions) and `y` (targets) are uint8 (B, 3, H, W); window, range and covariance are
    the protocol's, nothing is resized. Raises InputError on other shapes or types.
    """
    a, b = np.asarray(x), np.asarray(y)
    if a.dtype != np.uint8 or b.dtype != np.uint8 or a.ndim != 4 or a.shape[1] != 3:
        raise InputError(f"pictures {a.dtype} {a.shape}, expected uint8 (B, 3, H, W)")
    if a.shape != b.shape:
        raise InputError(f"pictures {a.shape} against {b.shape}, expected equal shapes")
    if isinstance(protocol, str):
        protocol = protocol_for(protocol, "folder", (a.shape[2], a.shape[3]))
    variant = protocol.ssim
    planes = zip(a.transpose(0, 2, 3, 1), b.transpose(0, 2, 3, 1), strict=True)
    return np.array([ssim_of_map(ssim_map(one, two, variant), variant) for one, two in planes])


def score_images(
    generated: Pictures,
    targets: Pictures,
    protocol: str = "standard",
    reference: Pictures | None = None,
    masks: NDArray[Any] | Path | str | None = None,
    target_keypoints: Sequence[Keypoints] | None = None,
) -> pd.DataFrame:
    """Score pictures against their targets; returns one row per metric, columns of `scores.csv`.

    Arrays are paired by position, folders by file name (with equal names in both). The metric frame
    is the size of the first target. `reference` are the training pictures of set metrics. `masks`
    are the targets' persons, (N, H, W) with values above 0 inside, or a folder of label maps;
    without them `target_keypoints` draw a coarse mask; without both the masked metrics are
    unavailable. Raises InputError on pictures that are missing, unequal in number or not uint8.
    """
    names, targets_of = _open(targets, "targets")
    made_names, made_of = _open(generated, "generated")
    if isinstance(generated, str | Path) != isinstance(targets, str | Path):
        names = made_names
    if made_names != names:
        odd = sorted(set(made_names) ^ set(names))
        raise InputError(
            f"{len(made_names)} generated pictures and {len(names)} targets do not pair up"
            + (f": {', '.join(odd[:5])}" if odd else "")
        )
    if len(made_of) != len(targets_of) or not names:
        raise InputError(f"{len(made_of)} generated pictures for {len(targets_of)} targets")
    first = targets_of[0]()
    recipe = protocol_for(protocol, "folder", (first.shape[0], first.shape[1]))
    mask_of, kind = _masks(masks, target_keypoints, names, recipe)
    tasks = [
        Task(
            name,
            [partial(_sized, made_of[i], recipe.frame, recipe.generated_kernel)],
            partial(_sized, targets_of[i], recipe.frame, recipe.target_kernel),
            i,
            mask_of[i] if mask_of else None,
        )
        for i, name in enumerate(names)
    ]
    metrics = [m for m in recipe.metrics if m not in MASKED or mask_of]
    memory = ScoreMemory()
    with TemporaryDirectory() as scratch:
        pictures = _reference(reference, Path(scratch))
        measured = measure(tasks, recipe, metrics, memory)
        if measured.problems:
            raise InputError(next(iter(measured.problems.values())))
        scores = picture_scores(metrics, tasks, measured, recipe, pictures, kind, "cpu", memory)
    if not mask_of:
        reason = ("neither masks nor target_keypoints were given",)
        scores += [Score(m, None, None, 0, "unavailable", reason) for m in MASKED]
    return _frame(scores, recipe, len(tasks), (first.shape[0], first.shape[1]))


def _frame(
    scores: Sequence[Score], protocol: Protocol, count: int, size: tuple[int, int]
) -> pd.DataFrame:
    """Return rows as a frame, metrics in the protocol's order."""
    import pandas as pd

    context = ScoreContext("", "", "final", "folder", "", "first", 1, "", 0, size)
    order = {name: i for i, name in enumerate(protocol.metrics)}
    ordered = sorted(scores, key=lambda score: order[score.metric])
    rows = [asdict(score_row(score, "final", protocol, context, count)) for score in ordered]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _open(pictures: Pictures, what: str) -> tuple[list[str], list[Callable[[], NDArray[np.uint8]]]]:
    """Return names and loaders of pictures in their own size, in name or array order."""
    if isinstance(pictures, str | Path):
        files = _files(Path(pictures), what)
        handles = [Picture(file.name, file) for file in files]
        return [file.stem for file in files], [partial(load_picture, handle) for handle in handles]
    array = np.asarray(pictures)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"{what}: {array.dtype} {array.shape}, expected uint8 (N, H, W, 3)")
    return [str(i) for i in range(len(array))], [
        partial(array.__getitem__, i) for i in range(len(array))
    ]


def _files(folder: Path, what: str) -> list[Path]:
    """Return the picture files of a folder by name."""
    if not folder.is_dir():
        raise InputError(f"{what} {folder}: no such folder, expected a folder of pictures")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{what} {folder} holds no pictures, expected {', '.join(SUFFIXES)}")
    return files


def _sized(
    load: Callable[[], NDArray[np.uint8]], frame: tuple[int, int], kernel: str
) -> NDArray[np.uint8]:
    """Load a picture and bring it into the metric frame."""
    pixels = load()
    if pixels.shape[:2] == frame:
        return pixels
    resized: NDArray[np.uint8] = resize(pixels, frame, kernel)
    return resized


def _masks(
    masks: NDArray[Any] | Path | str | None,
    keypoints: Sequence[Keypoints] | None,
    names: Sequence[str],
    protocol: Protocol,
) -> tuple[list[Callable[[], NDArray[np.bool_]]], str]:
    """Return one mask loader per pair (none at all without masks), and what they are."""
    frame = protocol.frame
    if masks is None and keypoints is None:
        return [], ""
    if masks is None:
        poses = [pose.resized(frame) for pose in keypoints or ()]
        if len(poses) != len(names):
            raise InputError(f"{len(poses)} key point sets for {len(names)} targets")
        radius = protocol.keypoint_mask_radius
        return [partial(keypoint_mask, p.xy, p.visible, frame, radius) for p in poses], "keypoints"
    if isinstance(masks, str | Path):
        by_name = {file.stem: file for file in _files(Path(masks), "masks")}
        lost = [name for name in names if name not in by_name]
        if lost:
            raise InputError(f"masks {masks} lack {', '.join(lost[:5])}")
        handles = [Picture(by_name[name].name, by_name[name]) for name in names]
        return [partial(_inside, partial(load_labels, h, frame)) for h in handles], "exact"
    array = np.asarray(masks)
    if array.shape != (len(names), *frame):
        raise InputError(f"masks {array.shape}, expected {(len(names), *frame)}")
    return [partial(_inside, partial(array.__getitem__, i)) for i in range(len(names))], "exact"


def _inside(load: Callable[[], NDArray[Any]]) -> NDArray[np.bool_]:
    """Return where a label map is above 0."""
    return np.asarray(load() > 0)


def _reference(reference: Pictures | None, scratch: Path) -> list[Picture]:
    """Return handles of the reference pictures; an array is laid down as a file for them."""
    if reference is None:
        return []
    if isinstance(reference, str | Path):
        return [Picture(file.name, file) for file in _files(Path(reference), "reference")]
    array = np.asarray(reference)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"reference: {array.dtype} {array.shape}, expected uint8 (N, H, W, 3)")
    np.save(scratch / "reference.npy", array)
    return [Picture(f"{i:09d}", scratch / "reference.npy", i) for i in range(len(array))]
