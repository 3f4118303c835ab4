"""The pictures of a training split by row number: decoded once where they fit, else when asked.

Rows of pictures follow the order of first use in the pairs; a pair is two row numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pcdms.encoders import pose_vectors
from pcdms.training.losses import PairTable, Table
from pcdms_data.images import load_labels, load_picture
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import Keypoints, Pair, Picture

IN_MEMORY_BYTES = 2 * 2**30
"""Decoded pictures, and drawn poses, up to this size stay in memory; more are made when needed."""


@dataclass(frozen=True, eq=False)
class TrainingPictures:
    """Pictures of a training split in the model's `frame` = (H, W).

    `handles`, `keypoints` (in that frame), `masks` and `groups` of length N; `pixels` gives uint8
    (B, 3, H, W); `pairs` by rows.
    """

    frame: tuple[int, int]
    handles: tuple[Picture, ...]
    keypoints: tuple[Keypoints, ...]
    masks: tuple[Picture | None, ...]
    groups: tuple[str, ...]
    pixels: Table
    pairs: PairTable
    pair_ids: tuple[str, ...]


class _Decoded:
    """Decodes pictures when their rows are asked for."""

    def __init__(self, handles: Sequence[Picture], frame: tuple[int, int]) -> None:
        self.handles, self.frame = handles, frame

    def __len__(self) -> int:
        return len(self.handles)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return uint8 (B, 3, H, W)."""
        out = torch.empty((len(rows), 3, *self.frame), dtype=torch.uint8)
        for place, row in enumerate(rows.tolist()):
            pixels = load_picture(self.handles[row], self.frame)
            out[place] = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
        return out


class _Drawn:
    """Draws poses when their rows are asked for."""

    def __init__(self, keypoints: Sequence[Keypoints], frame: tuple[int, int]) -> None:
        self.keypoints, self.frame = keypoints, frame

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return uint8 (B, 3, H, W)."""
        poses = [self.keypoints[row] for row in rows.tolist()]
        drawn = np.stack([draw_pose(k.xy, k.visible, k.size, self.frame) for k in poses])
        return torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous()


def kept_in_memory(table: Table, frame: tuple[int, int]) -> Table:
    """Return all rows of a table of uint8 pictures as a tensor where they fit, else the table."""
    if len(table) * 3 * frame[0] * frame[1] > IN_MEMORY_BYTES:
        return table
    parts = [table[rows] for rows in torch.arange(len(table)).split(256)]
    return torch.cat(parts)


def decoded_pictures(handles: Sequence[Picture], frame: tuple[int, int]) -> Table:
    """Return the pictures uint8 (N, 3, H, W) in `frame` = (H, W): at once where they fit.

    Raises PictureError, naming the file, where one cannot be read: then, or when it is asked for.
    """
    return kept_in_memory(_Decoded(handles, frame), frame)


def read_pictures(pairs: Sequence[Pair], frame: tuple[int, int]) -> TrainingPictures:
    """Return every picture that occurs in `pairs` once, in `frame` = (H, W)."""
    rows: dict[str, int] = {}
    found: list[tuple[Picture, Keypoints, str]] = []
    masks: dict[str, Picture | None] = {}
    for pair in pairs:
        masks[pair.target.name] = pair.target_mask
        for picture, keypoints in (
            (pair.source, pair.source_pose),
            (pair.target, pair.target_pose),
        ):
            if picture.name not in rows:
                rows[picture.name] = len(found)
                found.append((picture, keypoints, pair.group))
    handles = tuple(picture for picture, _, _ in found)
    return TrainingPictures(
        frame=frame,
        handles=handles,
        keypoints=tuple(keypoints.resized(frame) for _, keypoints, _ in found),
        masks=tuple(masks.get(picture.name) for picture in handles),
        groups=tuple(group for _, _, group in found),
        pixels=decoded_pictures(handles, frame),
        pairs=PairTable(
            torch.tensor([rows[pair.source.name] for pair in pairs]),
            torch.tensor([rows[pair.target.name] for pair in pairs]),
        ),
        pair_ids=tuple(pair.pair_id for pair in pairs),
    )


def picture_poses(keypoints: Sequence[Keypoints]) -> Tensor:
    """Return the pose vectors (N, 2K) of key points that share one frame."""
    return pose_vectors(
        np.stack([joints.xy for joints in keypoints]),
        np.stack([joints.visible for joints in keypoints]),
        keypoints[0].size,
    )


def drawn_poses(pictures: TrainingPictures) -> Table:
    """Return the drawings uint8 (N, 3, H, W) of the pictures' poses."""
    return kept_in_memory(_Drawn(pictures.keypoints, pictures.frame), pictures.frame)


def person_shares(pictures: TrainingPictures, cells: tuple[int, int]) -> Tensor:
    """Return the share of person pixels of each latent cell, half (N, 1, h, w); 1 without masks."""
    if not any(pictures.masks):
        return torch.ones(1, 1, 1, 1).half().expand(len(pictures.handles), 1, *cells)
    shares = torch.ones(len(pictures.handles), 1, *cells, dtype=torch.float16)
    for row, mask in enumerate(pictures.masks):
        if mask is not None:
            labels = load_labels(mask, pictures.frame)
            person = torch.from_numpy((labels > 0).astype(np.float32))
            shares[row] = functional.adaptive_avg_pool2d(person[None], cells).half()
    return shares
