"""The files that stages read and leave: pairs decoded for a batch, pictures of the stage before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms.pipeline_settings import in_frame
from pcdms_data.images import load_batch, load_picture
from pcdms_data.types import Batch, Pair, Picture, PictureError

Chosen = Mapping[str, int]
"""{pair_id: sample of the stage before that every sample of a stage starts from}."""


@dataclass(frozen=True, eq=False)
class LoadedPairs:
    """Pairs that could be decoded, their batch (None without any), and why others could not.

    `coarse` uint8 (B, S, 3, H, W) is there for the stage `refine`.
    """

    pairs: Sequence[Pair]
    batch: Batch | None
    lost: dict[str, str]
    coarse: NDArray[np.uint8] | None = None


def read_pairs(pairs: Sequence[Pair], frame: tuple[int, int]) -> LoadedPairs:
    """Return the pairs that can be decoded, in `frame` = (H, W), and why the others cannot."""
    good, lost = list(pairs), dict[str, str]()
    try:
        batch = load_batch(good, frame) if good else None
    except PictureError:
        good = []
        for pair in pairs:
            try:
                load_batch([pair], frame)
                good.append(pair)
            except PictureError as error:
                lost[pair.pair_id] = str(error)
        batch = load_batch(good, frame) if good else None
    return LoadedPairs(good, None if batch is None else in_frame(batch, frame), lost)


def pieces(pairs: Sequence[Pair], size: int) -> list[Sequence[Pair]]:
    """Return the pairs in runs of `size`, the last one shorter."""
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def sample_name(pair_id: str, sample: int) -> str:
    """Return the file name of a sample: `<pair_id>.png`, then `<pair_id>.<k>.png`."""
    return f"{pair_id}.png" if sample == 0 else f"{pair_id}.{sample}.png"


def finished(folder: Path, pair: Pair, samples: int) -> bool:
    """Tell whether every sample of a pair lies in a stage's folder."""
    return all((folder / sample_name(pair.pair_id, k)).is_file() for k in range(samples))


def starting_samples(pair: Pair, samples: int, chosen: Chosen) -> list[int]:
    """Return, for each sample, which sample of the stage before it starts from."""
    if pair.pair_id in chosen:
        return [chosen[pair.pair_id]] * samples
    return list(range(samples))


def _coarse_files(pair: Pair, folder: Path, samples: int, chosen: Chosen) -> list[Path]:
    starts = starting_samples(pair, samples, chosen)
    return [folder / sample_name(pair.pair_id, k) for k in starts]


def coarse_pictures(
    pairs: Sequence[Pair], folder: Path, frame: tuple[int, int], samples: int, chosen: Chosen
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, str]]:
    """Return {pair_id: pictures (S, 3, H, W) of `folder`}, and why the others cannot be read.

    Pictures of another size are stretched to `frame` = (H, W), as the pairs' own are.
    """
    coarse: dict[str, NDArray[np.uint8]] = {}
    lost: dict[str, str] = {}
    for pair in pairs:
        paths = _coarse_files(pair, folder, samples, chosen)
        try:
            read = {path: _read(path, frame) for path in dict.fromkeys(paths)}
            coarse[pair.pair_id] = np.stack([read[path] for path in paths])
        except PictureError as error:
            lost[pair.pair_id] = str(error)
    return coarse, lost


def _read(path: Path, frame: tuple[int, int]) -> NDArray[np.uint8]:
    picture = load_picture(Picture(path.name, path), frame)
    return np.ascontiguousarray(picture.transpose(2, 0, 1))
