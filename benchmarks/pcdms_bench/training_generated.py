"""Training data that trained stages make: predicted embeddings, and coarse pictures for `refine`.

The published stage 3 was trained on coarse pictures made from the true target's embedding and is
used on ones made from the prior's: `truth` and `prior` are both offered here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pcdms.pipeline import PCDMsPipeline
from pcdms.sampling import to_signed
from pcdms.training.sharded_table import TablePlan
from pcdms_bench.training_tables import TableMaker, frozen_precision
from pcdms_data.images import load_batch, save_picture
from pcdms_data.types import InputError, Pair

COARSE_FROM = ("truth", "prior")
"""Whose target embedding the coarse pictures of stage `refine` are made from."""

ROWS_PER_SHARD = 128
"""Pairs between two saves: a coarse picture takes long to make."""

SHOWN = 8
"""Of the coarse pictures, so many are also left as PNG, to be looked at."""


class Generator:
    """Plans and computes tables that need the trained stages `prior` and `inpaint`."""

    def __init__(
        self, maker: TableMaker, pairs: Sequence[Pair], seed: int, steps: int, shown: Path
    ) -> None:
        self.maker, self.pairs, self.seed, self.steps = maker, pairs, seed, steps
        self.shown = shown
        self._pipeline: PCDMsPipeline | None = None

    def predicted_plan(self) -> TablePlan:
        """Return the plan of the prior's embedding (D,) of each pair."""
        key = f"seed {self.seed}\n" + self.maker.frozen.key("image_encoder", "prior")
        width = self.maker.plan("embedding").shape
        return TablePlan(self.maker.root, "predicted", key, width, self._made_from(len(self.pairs)))

    def coarse_plan(self, source: str, count: int) -> TablePlan:
        """Return the plan of the latent moments of the first `count` pairs' coarse pictures."""
        if source not in COARSE_FROM:
            raise InputError(
                f"coarse pictures from {source!r}: expected one of {', '.join(COARSE_FROM)}"
            )
        parts = ["vae", "image_encoder", "source_encoder", "inpaint"]
        parts += ["prior"] if source == "prior" else []
        key = f"{source} seed {self.seed} steps {self.steps}\n" + self.maker.frozen.key(*parts)
        return TablePlan(
            self.maker.root,
            f"coarse-{source}",
            key,
            self.maker.moments_shape(1),
            self._made_from(count),
            ROWS_PER_SHARD,
        )

    def predicted(self, rows: range) -> Tensor:
        """Return the prior's embeddings (B, D) of pairs."""
        parts = []
        for part in _parts(rows, 256):
            batch = load_batch([self.pairs[row] for row in part], self.maker.pictures.frame)
            out = self.pipeline(batch, stages="prior", seed=self.seed, chunk=64).embedding
            assert out is not None
            parts.append(torch.from_numpy(out[:, 0]))
        return torch.cat(parts)

    def coarse(self, source: str) -> Callable[[range], Tensor]:
        """Return the function that computes the moments (B, 2C, h, w) of coarse pictures."""

        def compute(rows: range) -> Tensor:
            parts = []
            for part in _parts(rows, 64):
                batch = load_batch([self.pairs[row] for row in part], self.maker.pictures.frame)
                with frozen_precision(self.maker.frozen.device):
                    out = self.pipeline(
                        batch,
                        stages=f"{source}+inpaint",
                        seed=self.seed,
                        steps=self.steps,
                        chunk=32,
                    ).inpaint
                assert out is not None
                pictures = torch.from_numpy(out[:, 0])
                self._show(source, part, pictures)
                parts.append(self.maker.moments(to_signed(pictures, torch.float32)))
            return torch.cat(parts)

        return compute

    @property
    def pipeline(self) -> PCDMsPipeline:
        """The trained stages with the frozen parts."""
        if self._pipeline is None:
            frozen = self.maker.frozen
            names = ("prior", "inpaint", "vae", "image_encoder", "source_encoder")
            parts = {name: frozen.parts.get(name) for name in names}
            self._pipeline = PCDMsPipeline(frozen.config, refine=None, **parts)
        return self._pipeline

    def _made_from(self, count: int) -> list[str]:
        """Return content and pair id of each row: the id decides the noise."""
        ids, contents = self.maker.pictures.pair_ids, self.maker.pair_contents
        return [f"{ids[row]} {contents[row]}" for row in range(count)]

    def _show(self, source: str, rows: range, pictures: Tensor) -> None:
        for row, picture in zip(rows, pictures, strict=True):
            if row < SHOWN:
                name = f"{self.maker.pictures.pair_ids[row]}.png"
                pixels = picture.permute(1, 2, 0).contiguous().numpy()
                save_picture(self.shown / f"coarse-{source}" / name, pixels)


def _parts(rows: range, size: int) -> list[range]:
    return [range(i, min(i + size, rows.stop)) for i in range(rows.start, rows.stop, size)]
