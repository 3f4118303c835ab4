"""What the frozen parts say of every training picture and pair: planned, computed once, kept.

Tables lie under the training's cache folder as sharded files keyed by content: the pictures' bytes
and the networks' weights. Sizes per row are those of the published setting in half precision.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcdms.encoders import (
    PREPROCESSING,
    encoder_pixels,
    image_embedding,
    null_pixels,
    source_tokens,
)
from pcdms.pipeline_config import PipelineConfig
from pcdms.sampling import masked_canvas, to_signed
from pcdms.training.conditions import NullConditions
from pcdms.training.losses import Table
from pcdms.training.sharded_table import TablePlan
from pcdms_bench.training_pictures import TrainingPictures
from pcdms_data.images import write_atomically
from pcdms_data.picture_store import array_row, encoded_bytes, is_array_row, pictures_digest
from pcdms_data.types import InputError, Picture

IN_MEMORY_BYTES = 2 * 2**30
"""Tables up to this size are read into memory whole; rows of larger ones are read when asked."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """The frozen parts with the digests of their weights, on the device that computes."""

    config: PipelineConfig
    parts: dict[str, Any]
    digests: dict[str, str]
    device: torch.device

    def key(self, *names: str) -> str:
        """Return the text that says how rows are made by these parts."""
        inputs = [PREPROCESSING, str(self.config.frame)]
        inputs += [str(getattr(self.config, name)) for name in names if name.endswith("encoder")]
        return "\n".join([*inputs, *(f"{name} {self.digests[name]}" for name in names)])


@contextmanager
def frozen_precision(device: torch.device, half_on_cpu: bool = True) -> Iterator[None]:
    """Context in which frozen parts run: bfloat16 on the CPU, TF32 on a GPU, no gradients."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    half = half_on_cpu and device.type == "cpu"
    try:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16) if half else nullcontext(),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def picture_contents(pictures: Sequence[Picture], memo: Path) -> list[str]:
    """Return the SHA-256 of each picture's stored bytes and crop.

    `memo` remembers them by place and time of the file, so that a large set is read once.
    """
    known: dict[str, str] = {}
    if memo.is_file():
        try:
            known = json.loads(memo.read_text(encoding="utf-8"))
        except ValueError:
            known = {}
    places = [pictures_digest([picture]).hex()[:32] for picture in pictures]
    new = 0
    for place, picture in zip(places, pictures, strict=True):
        if place not in known:
            content = (
                array_row(picture, 4).tobytes() if is_array_row(picture) else encoded_bytes(picture)
            )
            crop = json.dumps(picture.crop).encode()
            known[place] = sha256(content + crop).hexdigest()
            new += 1
    if new:
        write_atomically(memo, json.dumps(known).encode())
    return [known[place] for place in places]


class TableMaker:
    """Plans and computes the tables of pictures and of pairs."""

    def __init__(
        self, pictures: TrainingPictures, frozen: Frozen, root: Path, contents: Sequence[str]
    ) -> None:
        self.pictures, self.frozen, self.root, self.contents = pictures, frozen, root, contents
        pairs = zip(pictures.pairs.source.tolist(), pictures.pairs.target.tolist(), strict=True)
        self.pair_contents = [f"{contents[left]} {contents[right]}" for left, right in pairs]

    def plan(self, kind: str) -> TablePlan:
        """Return the plan of a table: embedding, tokens, clean, masked or canvas."""
        part, shape, pairs = {
            "embedding": ("image_encoder", self._embedding_shape, False),
            "tokens": ("source_encoder", self._token_shape, False),
            "clean": ("vae", lambda: self.moments_shape(1), False),
            "masked": ("vae", lambda: self.moments_shape(2), False),
            "canvas": ("vae", lambda: self.moments_shape(2), True),
        }[kind]
        made_from = self.pair_contents if pairs else self.contents
        return TablePlan(self.root, kind, self.frozen.key(part), shape(), made_from)

    def compute(self, kind: str) -> Callable[[range], Tensor]:
        """Return the function that computes rows of a table."""
        one = {
            "embedding": self.embedding,
            "tokens": self.tokens,
            "clean": lambda rows: self.moments(self._signed(rows)),
            "masked": lambda rows: self.moments(masked_canvas(self._signed(rows))),
            "canvas": self._canvas,
        }[kind]
        return lambda rows: in_parts(rows, 32, one)

    def embedding(self, rows: Tensor) -> Tensor:
        """Return raw embeddings (B, D) of pictures."""
        pixels = encoder_pixels(
            self.pictures.pixels[rows].numpy(), self.frozen.config.image_encoder
        )
        with frozen_precision(self.frozen.device, half_on_cpu=False):
            return image_embedding(self.frozen.parts["image_encoder"], pixels)

    def tokens(self, rows: Tensor) -> Tensor:
        """Return source tokens (B, T, Dt) of pictures."""
        config = self.frozen.config.source_encoder
        pixels = encoder_pixels(self.pictures.pixels[rows].numpy(), config)
        with frozen_precision(self.frozen.device):
            return source_tokens(self.frozen.parts["source_encoder"], pixels)

    def moments(self, signed: Tensor) -> Tensor:
        """Return scaled posterior mean and deviation (B, 2C, h, w) of pictures in [-1, 1]."""
        vae = self.frozen.parts["vae"]
        with frozen_precision(self.frozen.device):
            posterior = vae.encode(signed.to(self.frozen.device)).latent_dist
            scale = vae.config["scaling_factor"]
            return torch.cat([posterior.mean, posterior.std], dim=1).float().cpu() * scale

    def moments_shape(self, pictures_wide: int) -> tuple[int, int, int]:
        """Return (2C, h, w) of a canvas of that many pictures."""
        config = self.frozen.parts["vae"].config
        height, width = latent_cells(config, self.pictures.frame)
        return 2 * config["latent_channels"], height, pictures_wide * width

    def null(self) -> NullConditions:
        """Return what the parts at hand say of zero pixel tensors; of absent ones nothing."""
        frozen = self.frozen
        tokens = embedding = coarse = torch.empty(0)
        with frozen_precision(frozen.device, half_on_cpu=False):
            if "source_encoder" in frozen.parts:
                pixels = null_pixels(frozen.config.source_encoder)
                tokens = source_tokens(frozen.parts["source_encoder"], pixels)[0].cpu().half()
            if "image_encoder" in frozen.parts:
                pixels = null_pixels(frozen.config.image_encoder)
                embedding = image_embedding(frozen.parts["image_encoder"], pixels)[0].cpu()
        if "vae" in frozen.parts:
            coarse = self.moments(torch.zeros(1, 3, *self.pictures.frame))[0]
        # Copies: what inference mode leaves cannot be used in training.
        return NullConditions(tokens.clone(), embedding.clone(), coarse.clone())

    def _signed(self, rows: Tensor) -> Tensor:
        return to_signed(self.pictures.pixels[rows], torch.float32)

    def _canvas(self, rows: Tensor) -> Tensor:
        pairs = self.pictures.pairs
        both = [self._signed(pairs.source[rows]), self._signed(pairs.target[rows])]
        return self.moments(torch.cat(both, dim=-1))

    def _embedding_shape(self) -> tuple[int]:
        return (int(self.frozen.parts["image_encoder"].config.projection_dim),)

    def _token_shape(self) -> tuple[int, int]:
        config = self.frozen.parts["source_encoder"].config
        side = self.frozen.config.source_encoder.size // config.patch_size
        return side * side + 1, int(config.hidden_size)


def latent_cells(vae_config: Any, frame: tuple[int, int]) -> tuple[int, int]:
    """Return the size (h, w) of a picture's latent."""
    factor = 2 ** (len(vae_config["block_out_channels"]) - 1)
    return frame[0] // factor, frame[1] // factor


def in_parts(rows: range, size: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Return `compute` over row numbers in parts of `size`, joined, as float16."""
    parts = torch.arange(rows.start, rows.stop).split(size)
    return torch.cat([compute(part).cpu().half() for part in parts])


def cache_lines(plans: Sequence[TablePlan]) -> list[str]:
    """Return one line per table and a sum: rows, bytes of a row, of all, and of what is missing."""
    lines, total, left = [], 0, 0
    for plan in plans:
        missing = sum(len(rows) for _, rows, _ in plan.missing()) * plan.row_bytes
        total, left = total + plan.bytes, left + missing
        lines.append(
            f"{plan.kind:<10} {len(plan.made_from):>8} rows x {_size(plan.row_bytes):>9} = "
            f"{_size(plan.bytes):>9}, to make {_size(missing)}"
        )
    return [*lines, f"{'all':<10} {_size(total)}, to make {_size(left)}"]


def check_space(plans: Sequence[TablePlan]) -> None:
    """Raise InputError where the disk has less room than the missing shards need."""
    if not plans:
        return
    root = plans[0].root
    root.mkdir(parents=True, exist_ok=True)
    needed = sum(len(rows) * plan.row_bytes for plan in plans for _, rows, _ in plan.missing())
    free = shutil.disk_usage(root).free
    if needed > free:
        raise InputError(
            f"{root}: the caches need {_size(needed)} more and the disk has {_size(free)} free; "
            "give another place with --cache"
        )


def open_table(plan: TablePlan) -> Table:
    """Return a finished table, in memory where it fits."""
    from pcdms.training.sharded_table import ShardedTable

    table = ShardedTable(plan)
    return table.whole() if plan.bytes <= IN_MEMORY_BYTES else table


def _size(count: int) -> str:
    """Return bytes in the unit a person would use (powers of 1000)."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1000
    return f"{value:.2f} TB"
