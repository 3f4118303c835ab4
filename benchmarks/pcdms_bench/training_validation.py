"""Pictures and scores of a training in progress, on the same few pairs every time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import PipelineConfig
from pcdms.sampling import decode_latents, encode_latents, to_signed
from pcdms_bench.metrics.ssim import ssim_map, ssim_of_map
from pcdms_bench.protocols import protocol_for
from pcdms_data.images import load_batch, save_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.types import Batch, InputError, Pair

VALIDATED = {
    "vae": "picture | decoded",
    "prior": "cosine with the true embedding",
    "inpaint": "source | target | made",
    "refine": "source | target | coarse | made",
}
"""Networks that can be validated, and what the picture or score shows."""


def validation_pairs(
    dataset: str,
    root: Path | None,
    size: str,
    split: str | None,
    frame: tuple[int, int],
    count: int,
) -> list[Pair]:
    """Return the first `count` pairs of a split; without a name `val`, or `test` without a `val`.

    Raises:
        InputError: the split does not exist or has no pairs.
    """
    splits = ("val", "test") if split is None else (split,)
    for last, name in enumerate(splits, start=1):
        try:
            pairs = load_pairs(
                dataset, root=root, split=name, resolution=frame, size=size, limit=count
            )
        except InputError:
            if last == len(splits):
                raise
            continue
        if len(pairs):
            return list(pairs)
    raise InputError(f"dataset {dataset!r} has no pairs in {' or '.join(splits)} to validate on")


class Validator:
    """Runs one network as the pipeline would, scores it and leaves a picture of each step.

    `parts` are the other parts of the model; a network without `prior` is given the true
    embedding.
    """

    def __init__(
        self,
        name: str,
        config: PipelineConfig,
        parts: dict[str, Any],
        pairs: Sequence[Pair],
        seed: int,
        out: Path,
    ) -> None:
        self.name, self.config, self.parts, self.seed, self.out = name, config, parts, seed, out
        self.batch: Batch = load_batch(pairs, config.frame)
        self._coarse: NDArray[np.uint8] | None = None

    def __call__(self, module: nn.Module, step: int) -> dict[str, float]:
        """Return the scores of `module` and write `step-<step>.png`."""
        if self.name == "prior":
            return self._embeddings(module)
        made = self._decoded(module) if self.name == "vae" else self._made(module)
        target = self.batch.target
        row = [target, made] if self.name == "vae" else [self.batch.source, target, made]
        if self._coarse is not None:
            row.insert(2, self._coarse)
        picture = np.concatenate([np.concatenate(list(part), axis=1) for part in row], axis=2)
        path = self.out / f"step-{step:07d}.png"
        save_picture(path, np.ascontiguousarray(picture.transpose(1, 2, 0)))
        error = made.astype(np.float64) - target
        return {
            "ssim": self._ssim(made, target),
            "l1": float(np.abs(error).mean() / 255),
            "psnr": float(10 * np.log10(255**2 / max(1e-9, float((error**2).mean())))),
        }

    def _ssim(self, made: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
        """Return the mean SSIM of protocol `standard` in the model's frame."""
        variant = protocol_for("standard", "folder", self.config.frame).ssim
        rows = zip(made.transpose(0, 2, 3, 1), target.transpose(0, 2, 3, 1), strict=True)
        maps = [ssim_map(one, other, variant) for one, other in rows]
        return float(np.mean([ssim_of_map(values, variant) for values in maps]))

    def _pipeline(self, module: nn.Module) -> PCDMsPipeline:
        names = ("prior", "inpaint", "refine", "vae", "image_encoder", "source_encoder")
        parts: dict[str, Any] = {name: self.parts.get(name) for name in names}
        parts[self.name] = module
        return PCDMsPipeline(self.config, **parts)

    def _embeddings(self, module: nn.Module) -> dict[str, float]:
        pipeline = self._pipeline(module)
        made = pipeline(self.batch, stages="prior", seed=self.seed).embedding
        assert made is not None
        truth = pipeline.embed(self.batch.target)
        made = made[:, 0]
        product = (made * truth).sum(1)
        cosine = product / np.linalg.norm(made, axis=1) / np.linalg.norm(truth, axis=1)
        return {"cosine": float(cosine.mean()), "l2": float(((made - truth) ** 2).mean())}

    def _made(self, module: nn.Module) -> NDArray[np.uint8]:
        """Return the pictures (B, 3, H, W) of stage `inpaint` or `refine`."""
        first = "prior" if self.parts.get("prior") is not None else "truth"
        stages = f"{first}+inpaint" + ("+refine" if self.name == "refine" else "")
        out = self._pipeline(module)(self.batch, stages=stages, seed=self.seed)
        assert out.inpaint is not None
        if self.name == "inpaint":
            return out.inpaint[:, 0]
        assert out.refine is not None
        self._coarse = out.inpaint[:, 0]
        return out.refine[:, 0]

    @torch.inference_mode()
    def _decoded(self, vae: Any) -> NDArray[np.uint8]:
        pixels = to_signed(torch.from_numpy(self.batch.target), torch.float32).to(vae.device)
        decoded: NDArray[np.uint8] = (
            decode_latents(vae, encode_latents(vae, pixels, None)).cpu().numpy()
        )
        return decoded
