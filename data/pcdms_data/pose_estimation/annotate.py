"""A folder of pictures to key points: decoded in threads, estimated in batches, failures listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.images import Pixels, load_picture
from pcdms_data.pose_estimation.estimators import PoseEstimator
from pcdms_data.tables import safe_name
from pcdms_data.types import InputError, Keypoints, Picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Annotated:
    """Key points of the pictures that could be read, by name, and a line for each other one."""

    poses: dict[str, Keypoints]
    failures: tuple[str, ...]


def picture_files(folder: Path) -> list[Path]:
    """Return the picture files directly in `folder`, sorted by name, told by their endings.

    Raises InputError where `folder` is none, or holds no picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder, expected one with pictures")
    found = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not found:
        inner = folder / "pictures"
        hint = f"; did you mean {inner}?" if inner.is_dir() else ""
        raise InputError(
            f"{folder} holds no picture, expected files ending in {', '.join(SUFFIXES)}{hint}"
        )
    return found


def annotate(
    paths: Sequence[Path],
    estimator: PoseEstimator,
    batch_size: int = 4,
    workers: int = 2,
    progress: Progress | None = None,
) -> Annotated:
    """Return the key points of all pictures that can be read, in the order of `paths`.

    A picture that cannot be read, or whose name no annotation file can hold, is a line of
    `failures`. `workers` threads decode the next batch while one is estimated;
    `progress(done, total)` counts pictures. Raises InputError on a batch size or a number of
    workers below 1.
    """
    if batch_size < 1 or workers < 1:
        raise InputError(f"batch size {batch_size}, workers {workers}: expected 1 or more")
    poses: dict[str, Keypoints] = {}
    failures: list[str] = []
    done = 0
    for names, results in _decoded(paths, batch_size, workers):
        pictures = {n: found for n, found in zip(names, results, strict=True)
                    if not isinstance(found, str)}  # fmt: skip
        failures += [found for found in results if isinstance(found, str)]
        if pictures:
            found = estimator.estimate_all(list(pictures.values()))
            poses.update(zip(pictures, found, strict=True))
        done += len(names)
        if progress:
            progress(done, len(paths))
    return Annotated(poses, tuple(failures))


def _decoded(
    paths: Sequence[Path], batch_size: int, workers: int
) -> Iterator[tuple[list[str], list[Pixels | str]]]:
    """Yield names and pictures (or what is wrong with them), the next batch decoded meanwhile."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[tuple[list[str], list[Future[Pixels | str]]]] = []
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            waiting.append(([path.name for path in batch], [pool.submit(_load, p) for p in batch]))
            if len(waiting) > 1:
                names, futures = waiting.pop(0)
                yield names, [future.result() for future in futures]
        for names, futures in waiting:
            yield names, [future.result() for future in futures]


def _load(path: Path) -> Pixels | str:
    """Return the pixels of a picture, or the line that says why there are none."""
    try:
        return load_picture(Picture(safe_name(path.name, path.parent), path))
    except InputError as error:
        return str(error)
