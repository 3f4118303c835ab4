"""Scoring from Python: pictures as arrays or folders, no run folder needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.measuring import Plan, Task, measure
from pcdms_bench.metrics.ssim import ssim_mean
from pcdms_bench.picture_content import ArraySource, PersonMask, PictureSource, Source
from pcdms_bench.picture_scores import Around, Score, picture_scores, share_references
from pcdms_bench.picture_views import View, apply_view
from pcdms_bench.protocols import Protocol, protocol_for, reading_files
from pcdms_bench.result_folder import one_size, picture_files
from pcdms_bench.result_store import open_store
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.scoring import ScoreContext, chosen_metrics, score_row
from pcdms_data.types import InputError, Keypoints, Picture
from pcdms_reports.records import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

Pictures = NDArray[np.uint8] | Path | str
"""uint8 (N, H, W, 3), or a folder of picture files."""


def ssim(
    x: NDArray[np.uint8], y: NDArray[np.uint8], protocol: str | Protocol = "standard"
) -> NDArray[np.float64]:
    """Return the primary SSIM of a protocol for each pair of pictures, float64 (B,).

    `x` (predictions) and `y` (targets) are uint8 (B, 3, H, W); window, range, covariance and white
    padding are the protocol's, nothing is resized. Raises InputError on other shapes or types.
    """
    a, b = np.asarray(x), np.asarray(y)
    if a.dtype != np.uint8 or b.dtype != np.uint8 or a.ndim != 4 or a.shape[1] != 3:
        raise InputError(f"pictures {a.dtype} {a.shape}, expected uint8 (B, 3, H, W)")
    if a.shape != b.shape:
        raise InputError(f"pictures {a.shape} against {b.shape}, expected equal shapes")
    if isinstance(protocol, str):
        protocol = protocol_for(protocol, "folder", (a.shape[2], a.shape[3]))
    variant = protocol.ssim
    columns = protocol.padding() if protocol.pixel_frame == "padded" else 0
    values = np.empty(len(a))
    view = View(columns=columns)
    for i, pair in enumerate(zip(a, b, strict=True)):
        made, true = (apply_view(view, picture.transpose(1, 2, 0)) for picture in pair)
        values[i] = ssim_mean(made, true, variant)
    return values


def score_images(
    generated: Pictures,
    targets: Pictures,
    protocol: str | Sequence[str] = "standard",
    reference: Pictures | None = None,
    masks: NDArray[Any] | Path | str | None = None,
    target_keypoints: Sequence[Keypoints] | None = None,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Score pictures against their targets; returns one row per metric, columns of `scores.csv`.

    Arrays are paired by position, folders by file name (with equal names in both). `protocol` is
    one of `pcdms-bench list protocols`, or several, which share their work. The metric frame is the
    size of the first target, or the one named as in `pcdms@256x176`; a protocol that resizes brings
    both sides there and the rows say from which size, one that does not takes the pictures for its
    own files and needs equal sizes.
    `reference` are the training pictures of set metrics. `masks` are the targets' persons,
    (N, H, W) with values above 0 inside, or a folder of label maps; without them
    `target_keypoints` draw a coarse mask; without both the masked metrics are unavailable.
    `metrics` names what to compute: those of the protocol, and those that no protocol has but any
    can have; by default the protocol's own.
    Files may be grey, RGBA or 16-bit and are converted as `pcdms_data.images.load_picture` says;
    arrays are uint8. One picture has no covariance: the rows of such metrics say so. Raises
    InputError on pictures that are missing, unequal in number, of several sizes in a folder, or not
    uint8, on masks that are neither bool nor whole numbers, and on visible key points that are NaN.
    """
    import pandas as pd

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
    made_size, size = _size(made_of[0]), _size(targets_of[0])
    wanted = [protocol] if isinstance(protocol, str) else list(protocol)
    recipes = [reading_files(protocol_for(name, "folder", size)) for name in wanted]
    mask_of = _masks(masks, target_keypoints, names, recipes)
    tasks = [
        Task(name, [made_of[i]], targets_of[i], mask_of[i] if mask_of else None)
        for i, name in enumerate(names)
    ]
    plans = [Plan(recipe, chosen_metrics(recipe, metrics)) for recipe in recipes]
    memory, frames = ScoreMemory(), []
    with TemporaryDirectory() as scratch, open_store() as store:
        around = Around(_reference(reference, Path(scratch)), memory, store)
        measured = measure(tasks, plans, memory, store)
        share_references(plans, measured, around)
        for plan, found in zip(plans, measured, strict=True):
            if found.problems:
                raise InputError(next(iter(found.problems.values())))
            scores = picture_scores(plan.metrics, tasks, found, plan.protocol, around)
            frames.append(_frame(scores, plan.protocol, len(tasks), made_size, size))
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _size(picture: Source) -> tuple[int, int]:
    """Return height and width."""
    height, width, _ = picture.pixels().shape
    return height, width


def _frame(
    scores: Sequence[Score],
    protocol: Protocol,
    count: int,
    made: tuple[int, int],
    size: tuple[int, int],
) -> pd.DataFrame:
    """Return rows as a frame, metrics in the protocol's order; they say what was resized.

    `made` and `size` (H, W) are those of the pictures and of the targets.
    """
    import pandas as pd

    sides = (("pictures", made), ("targets", size))
    notes = [f"{side} are {h}x{w}" for side, (h, w) in sides if (h, w) != protocol.frame]
    context = ScoreContext("", "", "final", "folder", "", "first", 1, "", 0, size)
    rows = [
        asdict(
            score_row(
                replace(score, reasons=(*notes, *score.reasons)), "final", protocol, context, count
            )
        )
        for score in scores
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _open(pictures: Pictures, what: str) -> tuple[list[str], list[Source]]:
    """Return names and sources of pictures in their own size, in name or array order."""
    if isinstance(pictures, str | Path):
        handles = {file.name: Picture(file.name, file) for file in picture_files(pictures, what)}
        one_size(handles, f"{what} in {pictures}")
        stems = [Path(name).stem for name in handles]
        for stem, name in zip(stems, handles, strict=True):
            if stems.count(stem) > 1:
                raise InputError(f"{what} {pictures}: {name} is one of two pictures of this name")
        return stems, [PictureSource(handle) for handle in handles.values()]
    array = np.asarray(pictures)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"{what}: {array.dtype} {array.shape}, expected uint8 (N, H, W, 3)")
    return [str(i) for i in range(len(array))], [ArraySource(picture) for picture in array]


def _finite(keypoints: Sequence[Keypoints]) -> list[Keypoints | None]:
    """Return the key points; raises InputError where a visible joint has no place."""
    for number, pose in enumerate(keypoints):
        if not np.isfinite(pose.xy[pose.visible]).all():
            raise InputError(f"key points of target {number}: a visible joint is not finite")
    return list(keypoints)


def _masks(
    masks: NDArray[Any] | Path | str | None,
    keypoints: Sequence[Keypoints] | None,
    names: Sequence[str],
    recipes: Sequence[Protocol],
) -> list[PersonMask]:
    """Return one mask per pair, none at all where nothing to make them of is given."""
    if masks is None and keypoints is None:
        return []
    poses: list[Keypoints | None] = [None] * len(names)
    if keypoints is not None:
        poses = _finite(keypoints)
    if len(poses) != len(names):
        raise InputError(f"{len(poses)} key point sets for {len(names)} targets")
    exact: list[Picture | NDArray[Any] | None] = [None] * len(names)
    if isinstance(masks, str | Path):
        by_name = {file.stem: file for file in picture_files(masks, "masks")}
        lost = [name for name in names if name not in by_name]
        if lost:
            raise InputError(f"masks {masks} lack {', '.join(lost[:5])}")
        exact = [Picture(by_name[name].name, by_name[name]) for name in names]
    elif masks is not None:
        array = np.asarray(masks)
        if array.dtype.kind not in "bui" or array.ndim != 3:
            raise InputError(
                f"masks {array.dtype} {array.shape}, expected bool or integers (N, H, W)"
            )
        frames = list(dict.fromkeys(recipe.frame for recipe in recipes))
        if len(array) != len(names) or array.shape[1:] not in frames or len(frames) > 1:
            raise InputError(f"masks {array.shape}, expected {(len(names), *frames[0])}")
        exact = list(array)
    return [PersonMask(label, pose) for label, pose in zip(exact, poses, strict=True)]


def _reference(reference: Pictures | None, scratch: Path) -> list[Picture]:
    """Return handles of the reference pictures; an array is laid down as a file for them."""
    if reference is None:
        return []
    if isinstance(reference, str | Path):
        return [Picture(file.name, file) for file in picture_files(reference, "reference")]
    array = np.asarray(reference)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"reference: {array.dtype} {array.shape}, expected uint8 (N, H, W, 3)")
    np.save(scratch / "reference.npy", array)
    return [Picture(f"{i:09d}", scratch / "reference.npy", i) for i in range(len(array))]
