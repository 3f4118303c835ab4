"""Composition of training: a dataset, a preset's parts, and the loop; one function per part."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pcdms.encoders import encoder_pixels
from pcdms.model_directory import load_part, missing_parts, save_part
from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import CLIP_MEAN, CLIP_STD
from pcdms.pipeline_settings import Sampling
from pcdms.presets import PRESETS, Preset
from pcdms.sampling import to_signed
from pcdms.training.autoencoder_loss import AutoencoderLoss
from pcdms.training.encoder_loss import EncoderHeads, EncoderLoss
from pcdms.training.loop import Loss, train
from pcdms.training.losses import (
    InpaintLoss,
    PairTable,
    PictureTable,
    PriorLoss,
    RefineLoss,
)
from pcdms.training.recipes import NETWORKS_OF, RECIPES, Recipe
from pcdms.training.settings import TrainSettings
from pcdms.training.warm_start import start_at_components
from pcdms_bench.people_targets import people_targets
from pcdms_bench.training_tables import (
    TrainingPictures,
    canvas_moments,
    kept_table,
    latent_moments,
    picture_table,
    read_pictures,
)
from pcdms_data.images import load_batch
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError, Pair

PROGRESS = Callable[[str, int, int, float], None]
"""(part, step, steps, loss) after every step."""


@dataclass(frozen=True)
class TrainingRun:
    """One training: what is trained on what, and where the model directory grows."""

    preset: str
    dataset: str
    out: Path
    root: Path | None = None
    size: str | None = None
    steps: int | None = None
    pairs: int | None = None
    seed: int = 0
    device: str = "cpu"
    mixed_precision: str = "no"


def train_parts(stage: str, run: TrainingRun, progress: PROGRESS | None = None) -> None:
    """Train one part, or all in order, into the model directory `run.out`.

    Each part leaves its weights under `out/<part>` and its checkpoint, losses and a line of facts
    under `out/training`. Running again continues.

    Raises:
        InputError: unknown names, a part that this one needs is missing, or other settings.
    """
    if run.preset not in PRESETS:
        raise InputError(f"unknown preset {run.preset!r}, expected one of {', '.join(PRESETS)}")
    recipe = RECIPES[run.preset]
    known = [name for name, nets in NETWORKS_OF.items() if set(nets) <= set(recipe.settings)]
    if stage not in (*known, "all"):
        raise InputError(
            f"preset {run.preset!r} does not train {stage!r}, "
            f"expected one of {', '.join(known)} or all"
        )
    parts = known if stage == "all" else [stage]
    trainer = _Trainer(run, PRESETS[run.preset], recipe, progress)
    for part in parts:
        getattr(trainer, part)()


class _Trainer:
    """Holds what the parts share within one call: decoded pictures and tables."""

    def __init__(
        self, run: TrainingRun, preset: Preset, recipe: Recipe, progress: PROGRESS | None
    ) -> None:
        self.run, self.preset, self.recipe, self.progress = run, preset, recipe, progress
        self.size = run.size or recipe.size
        self.frame = preset.pipeline.frame
        self.pairs: list[Pair] = list(
            load_pairs(
                run.dataset,
                root=run.root,
                split="train",
                resolution=self.frame,
                size=self.size,
                limit=run.pairs or recipe.pairs,
            )
        )
        if not self.pairs:
            raise InputError(f"dataset {run.dataset!r} has no training pairs")
        self.pictures: TrainingPictures = read_pictures(self.pairs, self.frame)
        self._table: PictureTable | None = None
        run.out.mkdir(parents=True, exist_ok=True)
        preset.pipeline.save(run.out / "pipeline.json")

    def encoders(self) -> None:
        """Train the two small encoders on the labels that the renderer knows."""
        if not self.run.dataset.startswith("people"):
            raise InputError(
                f"encoders are trained on the embedded people, not on {self.run.dataset!r}: "
                "use published encoders with other datasets"
            )
        config = self.preset.pipeline
        side = config.source_encoder.size
        targets, views = people_targets(self.pictures, self.run.dataset, self.size, side)
        for name, settings, tokens in (
            ("image_encoder", config.image_encoder, False),
            ("source_encoder", config.source_encoder, True),
        ):
            torch.manual_seed(self.run.seed)
            encoder: Any = getattr(self.preset, f"build_{name}")()
            shape = getattr(self.preset, name)
            width = shape["hidden_size"] if tokens else shape["projection_dim"]
            heads = EncoderHeads(encoder, width, targets, shape["patch_size"], tokens)
            normalised = encoder_pixels(self.pictures.pixels, settings)
            mean = torch.tensor(CLIP_MEAN).reshape(1, 3, 1, 1)
            std = torch.tensor(CLIP_STD).reshape(1, 3, 1, 1)
            pixels = ((normalised * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
            loss = EncoderLoss(pixels, targets, views, CLIP_MEAN, CLIP_STD, shape["patch_size"])
            self._loop(name, heads, loss, len(views))
            save_part(self.run.out, name, encoder, self.recipe.half)

    def autoencoder(self) -> None:
        """Train the autoencoder; its scaling factor makes the latents' spread one."""
        torch.manual_seed(self.run.seed)
        vae: Any = self.preset.build_vae()
        pixels = torch.from_numpy(self.pictures.pixels)
        sample = to_signed(pixels[:: max(1, len(pixels) // 256)], torch.float32)
        start_at_components(vae, sample)
        self._loop("vae", vae, AutoencoderLoss(pixels), len(pixels))
        with torch.inference_mode():
            spread = float(vae.encode(sample).latent_dist.mean.std())
        vae.register_to_config(scaling_factor=round(1 / spread, 5))
        save_part(self.run.out, "vae", vae, self.recipe.half)

    def prior(self) -> None:
        """Train stage `prior`; the scale of its embeddings is measured on the training set."""
        table = self._pictures_table()
        arguments = dict(self.preset.prior)
        if self.run.preset != "paper":
            arguments["clip_mean"] = round(float(table.embedding.mean()), 5)
            arguments["clip_std"] = round(float(table.embedding.std()), 5)
        torch.manual_seed(self.run.seed)
        model = replace(self.preset, prior=arguments).build_prior()
        config: Any = model.config
        loss = PriorLoss(
            table,
            self.pictures.pairs,
            config["clip_mean"],
            config["clip_std"],
            self.recipe.drop,
            self.recipe.noise_offset,
        )
        self._loop("prior", model, loss, len(self.pairs))
        save_part(self.run.out, "prior", model, self.recipe.half)

    def inpaint(self) -> None:
        """Train stage `inpaint` on cached latents of the canvases."""
        self._need("vae", "image_encoder", "source_encoder", "prior")
        table = self._pictures_table()
        vae: Any = load_part(self.run.out, "vae")
        kept = kept_table(
            self._training / "canvas.safetensors",
            self._key("vae"),
            lambda: dict(
                zip(("canvas", "masked"), canvas_moments(vae, self.pictures), strict=True)
            ),
        )
        predicted = None
        if self.recipe.predicted:
            predicted = kept_table(
                self._training / "predicted.safetensors",
                self._key("prior", "image_encoder"),
                lambda: {"predicted": self._predicted_embeddings()},
            )["predicted"]
        loss = InpaintLoss(
            table,
            self.pictures.pairs,
            kept["canvas"],
            kept["masked"],
            self.preset.pipeline.inpaint_schedule,
            predicted,
            self.recipe.known_weight,
            self.recipe.person_weight,
            self.recipe.drop,
            self.recipe.noise_offset,
        )
        torch.manual_seed(self.run.seed)
        model = self.preset.build_inpaint()
        self._loop("inpaint", model, loss, len(self.pairs))
        save_part(self.run.out, "inpaint", model, self.recipe.half)

    def refine(self) -> None:
        """Train stage `refine` on the coarse pictures that the trained stages make."""
        self._need("vae", "image_encoder", "source_encoder", "prior", "inpaint")
        table = self._pictures_table()
        vae: Any = load_part(self.run.out, "vae")
        kept = kept_table(
            self._training / "coarse.safetensors",
            self._key("vae", "prior", "inpaint"),
            lambda: {"coarse": self._coarse_pictures()},
        )
        pixels = torch.from_numpy(self.pictures.pixels)
        clean = latent_moments(vae, lambda rows: pixels[rows], len(pixels))
        count = len(kept["coarse"])
        coarse = latent_moments(vae, lambda rows: kept["coarse"][rows], count)
        pairs = self.pictures.pairs
        loss = RefineLoss(
            table,
            PairTable(pairs.source[:count], pairs.target[:count]),
            clean,
            coarse,
            self.preset.pipeline.refine_schedule,
            self.recipe.person_weight,
            self.recipe.drop,
            self.recipe.noise_offset,
        )
        torch.manual_seed(self.run.seed)
        model = self.preset.build_refine()
        self._loop("refine", model, loss, count)
        save_part(self.run.out, "refine", model, self.recipe.half)

    @property
    def _training(self) -> Path:
        return self.run.out / "training"

    def _settings(self, name: str) -> TrainSettings:
        settings = self.recipe.settings[name]
        return replace(
            settings,
            steps=self.run.steps or settings.steps,
            seed=settings.seed + self.run.seed,
            mixed_precision=self.run.mixed_precision,
        )

    def _loop(self, name: str, module: nn.Module, loss: Loss, rows: int) -> None:
        """Run the loop for one network and write its line of facts."""
        settings = self._settings(name)

        def report(step: int, steps: int, value: float) -> None:
            if self.progress is not None:
                self.progress(name, step, steps, value)

        folder = self._training / name
        result = train(module, loss, rows, settings, folder, self.run.device, report)
        facts = {
            "part": name,
            "dataset": self.run.dataset,
            "size": self.size,
            "pairs": len(self.pairs),
            "pictures": len(self.pictures.handles),
            **asdict(settings),
            "loss": result.loss,
            "seconds": round(result.seconds_total),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        text = json.dumps(facts, indent=1) + "\n"
        (folder / "facts.json").write_text(text, encoding="utf-8")

    def _need(self, *parts: str) -> None:
        missing = [part for part in parts if part in missing_parts(self.run.out)]
        if missing:
            raise InputError(
                f"{self.run.out}: parts {', '.join(missing)} are missing; train them first"
            )

    def _key(self, *parts: str) -> str:
        """Return what a kept table depends on: the pairs and the weights of `parts`."""
        digest = sha256("\n".join(self.pictures.pair_ids).encode())
        for part in parts:
            for file in sorted((self.run.out / part).glob("*.safetensors")):
                digest.update(sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def _pictures_table(self) -> PictureTable:
        self._need("image_encoder", "source_encoder")
        if self._table is None:
            factor = 2 ** (len(self.preset.vae["block_out_channels"]) - 1)
            self._table = picture_table(
                self.pictures,
                self.preset.pipeline,
                load_part(self.run.out, "image_encoder"),
                load_part(self.run.out, "source_encoder"),
                (self.frame[0] // factor, self.frame[1] // factor),
            )
        return self._table

    def _pipeline(self) -> PCDMsPipeline:
        parts: dict[str, Any] = {
            name: load_part(self.run.out, name) if name not in missing_parts(self.run.out) else None
            for name in ("prior", "inpaint", "vae", "image_encoder", "source_encoder")
        }
        return PCDMsPipeline(self.preset.pipeline, refine=None, **parts)

    def _predicted_embeddings(self) -> Tensor:
        """Return the prior's embedding (P, D) for every training pair."""
        pipeline = self._pipeline()
        chunks = []
        for start in range(0, len(self.pairs), 256):
            batch = load_batch(self.pairs[start : start + 256], self.frame)
            chunks.append(pipeline.run_prior_stage(batch, Sampling(self.run.seed, chunk=64))[:, 0])
        return torch.from_numpy(np.concatenate(chunks))

    def _coarse_pictures(self) -> Tensor:
        """Return the stage-`inpaint` pictures uint8 (P, 3, H, W) of the first training pairs."""
        pipeline = self._pipeline()
        settings = Sampling(self.run.seed, steps=self.recipe.coarse_steps, chunk=32)
        pairs = self.pairs[: self.recipe.coarse_pairs]
        chunks = []
        for start in range(0, len(pairs), 64):
            batch = load_batch(pairs[start : start + 64], self.frame)
            embedding = pipeline.run_prior_stage(batch, settings)
            with torch.autocast("cpu", torch.bfloat16):
                chunks.append(pipeline.run_inpaint_stage(batch, embedding, settings)[:, 0])
            if self.progress is not None:
                self.progress("coarse pictures", start + len(batch.pair_ids), len(pairs), 0.0)
        return torch.from_numpy(np.concatenate(chunks))
