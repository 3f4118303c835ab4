"""Tables for training: what the frozen parts say of every picture, computed once.

Rows of pictures follow `pictures`, rows of pairs `pairs`; nothing here is drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from pcdms.encoders import encoder_pixels, image_embedding, pose_vectors, source_tokens
from pcdms.pipeline_config import EncoderInput, PipelineConfig
from pcdms.sampling import masked_canvas, to_signed
from pcdms.training.losses import PairTable, PictureTable
from pcdms_data.images import load_labels, load_picture
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import Keypoints, Pair, Picture


@dataclass(frozen=True, eq=False)
class TrainingPictures:
    """Decoded pictures of a training split in the model's frame.

    `handles`, `keypoints` and `masks` of length N; `pixels` uint8 (N, 3, H, W); `pairs` by rows.
    """

    handles: tuple[Picture, ...]
    keypoints: tuple[Keypoints, ...]
    masks: tuple[Picture | None, ...]
    groups: tuple[str, ...]
    pixels: NDArray[np.uint8]
    pairs: PairTable
    pair_ids: tuple[str, ...]


def read_pictures(pairs: Sequence[Pair], frame: tuple[int, int]) -> TrainingPictures:
    """Return every picture that occurs in `pairs` once, decoded to `frame` = (H, W)."""
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
    pixels = np.empty((len(found), 3, *frame), dtype=np.uint8)
    for row, (picture, _, _) in enumerate(found):
        pixels[row] = load_picture(picture, frame).transpose(2, 0, 1)
    return TrainingPictures(
        handles=tuple(picture for picture, _, _ in found),
        keypoints=tuple(keypoints.resized(frame) for _, keypoints, _ in found),
        masks=tuple(masks.get(picture.name) for picture, _, _ in found),
        groups=tuple(group for _, _, group in found),
        pixels=pixels,
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


def batched(count: int, size: int, compute: Callable[[slice], Tensor]) -> Tensor:
    """Return `compute` over slices of `size` rows, joined."""
    return torch.cat([compute(slice(i, min(i + size, count))) for i in range(0, count, size)])


@torch.inference_mode()
def picture_table(
    pictures: TrainingPictures,
    config: PipelineConfig,
    image_encoder: Any,
    source_encoder: Any,
    cells: tuple[int, int],
) -> PictureTable:
    """Return tokens, embeddings, poses, drawings and person shares; `cells` = latent (h, w)."""

    def pixels(rows: slice, settings: EncoderInput) -> Tensor:
        return encoder_pixels(pictures.pixels[rows], settings)

    count = len(pictures.handles)

    def tokens_of(rows: slice) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return source_tokens(source_encoder, pixels(rows, config.source_encoder)).half()

    embedding = batched(
        count,
        64,
        lambda rows: image_embedding(image_encoder, pixels(rows, config.image_encoder)),
    )
    drawn = np.stack([draw_pose(k.xy, k.visible, k.size, config.frame) for k in pictures.keypoints])
    return PictureTable(
        tokens=batched(count, 64, tokens_of),
        embedding=embedding,
        pose=picture_poses(pictures.keypoints),
        pose_image=torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous(),
        person=person_shares(pictures, config.frame, cells),
    )


def person_shares(
    pictures: TrainingPictures, frame: tuple[int, int], cells: tuple[int, int]
) -> Tensor:
    """Return the share of person pixels of each latent cell, half (N, 1, h, w); 1 without masks."""
    shares = torch.ones(len(pictures.handles), 1, *cells, dtype=torch.float16)
    for row, mask in enumerate(pictures.masks):
        if mask is not None:
            person = torch.from_numpy((load_labels(mask, frame) > 0).astype(np.float32))
            shares[row] = functional.adaptive_avg_pool2d(person[None], cells).half()
    return shares


@torch.inference_mode()
def latent_moments(vae: Any, pictures: Callable[[slice], Tensor], count: int) -> Tensor:
    """Return half (N, 2C, h, w): scaled posterior mean and standard deviation.

    `pictures(rows)` gives uint8 or signed pictures (B, 3, H, W).
    """

    def encode(rows: slice) -> Tensor:
        pixels = pictures(rows)
        signed = to_signed(pixels, torch.float32) if pixels.dtype == torch.uint8 else pixels
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(signed).latent_dist
        scale = vae.config["scaling_factor"]
        return (torch.cat([posterior.mean, posterior.std], dim=1).float() * scale).half()

    return batched(count, 32, encode)


def canvas_moments(vae: Any, pictures: TrainingPictures) -> tuple[Tensor, Tensor]:
    """Return moments of source|target per pair (P) and of source|black per picture (N)."""
    pixels = torch.from_numpy(pictures.pixels)
    pairs = pictures.pairs
    canvas = latent_moments(
        vae,
        lambda rows: torch.cat([pixels[pairs.source[rows]], pixels[pairs.target[rows]]], dim=-1),
        len(pairs.source),
    )
    masked = latent_moments(
        vae,
        lambda rows: masked_canvas(to_signed(pixels[rows], torch.float32)),
        len(pixels),
    )
    return canvas, masked


def kept_table(path: Path, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors in `path` if they were made for `key`, else compute and keep them."""
    note = path.with_suffix(".key")
    if path.is_file() and note.is_file() and note.read_text(encoding="utf-8") == key:
        return load_file(path)
    tensors = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    temporary = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, temporary)
    temporary.replace(path)
    note.write_text(key, encoding="utf-8")
    return tensors
