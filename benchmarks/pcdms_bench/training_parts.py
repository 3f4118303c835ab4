"""One function per part: its tables, its loss, the loop, and its weights in the model directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from pcdms.encoders import encoder_pixels
from pcdms.model_directory import save_part
from pcdms.pipeline_config import CLIP_MEAN, CLIP_STD
from pcdms.presets import PRESETS
from pcdms.sampling import to_signed
from pcdms.training.autoencoder_loss import AutoencoderLoss, DecoderLoss
from pcdms.training.critic import Critic, WithCritic
from pcdms.training.decoded_critic import DecodedCritic
from pcdms.training.encoder_features import EncoderFeatures
from pcdms.training.encoder_loss import EncoderHeads, EncoderLoss
from pcdms.training.loop import Loss, train
from pcdms.training.losses import InpaintLoss, PairTable, PriorLoss
from pcdms.training.pretrained_start import start_at_pretrained
from pcdms.training.refine_loss import RefineLoss
from pcdms.training.rows import RowSource
from pcdms.training.warm_start import start_at_components
from pcdms_bench.people_targets import people_targets
from pcdms_bench.training import Report, Say, TrainingRun
from pcdms_bench.training_generated import Generator
from pcdms_bench.training_tables import TableMaker, open_table
from pcdms_bench.training_workplace import ENCODERS, Workplace


class Trainer:
    """Trains stages one after the other on what one workplace holds."""

    def __init__(
        self, run: TrainingRun, report: Report | None = None, say: Say | None = None
    ) -> None:
        self.run, self.place = run, Workplace(run, report, say)
        self.preset, self.recipe = PRESETS[run.preset], self.place.recipe
        self.config, self.pictures = self.place.config, self.place.pictures

    def train(self, stage: str) -> None:
        """Train one stage, or only build its caches."""
        parts: dict[str, Callable[[], None]] = {
            "encoders": self._encoders,
            "autoencoder": self._autoencoder,
            "prior": self._prior,
            "inpaint": self._inpaint,
            "refine": self._refine,
        }
        parts[stage]()
        self.place.wait()

    def _encoders(self) -> None:
        """Train the two small encoders on the labels that the renderer knows."""
        side = self.config.source_encoder.size
        targets, views = people_targets(self.pictures, self.run.dataset, self.place.size, side)
        everything = self.pictures.pixels[torch.arange(len(self.pictures.handles))].numpy()
        for name, settings, tokens in (
            ("image_encoder", self.config.image_encoder, False),
            ("source_encoder", self.config.source_encoder, True),
        ):
            torch.manual_seed(self.run.seed)
            encoder: Any = getattr(self.preset, f"build_{name}")()
            shape = getattr(self.preset, name)
            if tokens:  # a token for masked patches, which are not used
                encoder.embeddings.mask_token.requires_grad_(False)
            width = shape["hidden_size"] if tokens else shape["projection_dim"]
            heads = EncoderHeads(encoder, width, targets, shape["patch_size"], tokens)
            normalised = encoder_pixels(everything, settings)
            mean = torch.tensor(CLIP_MEAN).reshape(1, 3, 1, 1)
            std = torch.tensor(CLIP_STD).reshape(1, 3, 1, 1)
            pixels = ((normalised * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
            loss = EncoderLoss(pixels, targets, views, CLIP_MEAN, CLIP_STD, shape["patch_size"])
            self._loop(name, heads, loss, len(views), stored=encoder)

    def _autoencoder(self) -> None:
        """Train the autoencoder; its scaling factor makes the latents' spread one."""
        torch.manual_seed(self.run.seed)
        vae: Any = self.preset.build_vae()
        count = len(self.pictures.handles)
        sample = to_signed(
            self.pictures.pixels[torch.arange(0, count, max(1, count // 256))], torch.float32
        )
        start_at_components(vae, sample)

        def scale() -> None:
            with torch.inference_mode():
                spread = float(vae.encode(sample.to(vae.device)).latent_dist.mean.std())
            vae.register_to_config(scaling_factor=round(1 / spread, 5))

        loss = AutoencoderLoss(self.pictures.pixels)
        self._loop("vae", vae, loss, loss, finish=scale)
        if "decoder" in self.recipe.settings:
            self._sharpen_decoder(vae)

    def _sharpen_decoder(self, vae: Any) -> None:
        """Train the decoder on with a critic, the encoder as it is, and store the whole again."""
        vae.to(self.place.device).encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
        torch.manual_seed(self.run.seed)
        module = WithCritic(vae, Critic(3))
        loss = DecoderLoss(self.pictures.pixels, balance=self.recipe.critics.get("decoder"))
        self._loop("decoder", module, loss, loss, stored=vae, part="vae")

    def _prior(self) -> None:
        """Train stage `prior`; the scale of its embeddings is measured on the training set."""
        self.place.need("image_encoder")
        maker = self.place.maker("image_encoder")
        if not self.place.build([maker.plan("embedding")], [maker.compute("embedding")]):
            return
        table = self.place.picture_table(maker, "embedding")
        arguments = dict(self.preset.prior)
        if self.run.preset != "paper":
            arguments["clip_mean"] = round(float(table.embedding.float().mean()), 5)
            arguments["clip_std"] = round(float(table.embedding.float().std()), 5)
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
            maker.null() if self.recipe.null == "trained" else None,
            self.recipe.min_snr,
        )
        self._loop("prior", model, loss, loss)

    def _inpaint(self) -> None:
        """Train stage `inpaint` on cached latents of the canvases."""
        self.place.need("vae", *ENCODERS, *(["prior"] if self.recipe.predicted else []))
        maker = self.place.maker("vae", *ENCODERS, *(["prior"] if self.recipe.predicted else []))
        kinds = ("embedding", "tokens", "canvas", "masked")
        plans = [maker.plan(kind) for kind in kinds]
        computes = [maker.compute(kind) for kind in kinds]
        if self.recipe.predicted:
            generator = self._generator(maker)
            plans.append(generator.predicted_plan())
            computes.append(generator.predicted)
        if not self.place.build(plans, computes):
            return
        tables = [open_table(plan) for plan in plans]
        predicted = (
            tables[4][torch.arange(len(self.place.pairs))] if self.recipe.predicted else None
        )
        loss = InpaintLoss(
            self.place.picture_table(maker, "embedding", "tokens", "drawn", "person"),
            self.pictures.pairs,
            tables[2],
            tables[3],
            self.config.inpaint_schedule,
            predicted,
            self.recipe.known_weight,
            self.recipe.person_weight,
            self.recipe.drop,
            self.recipe.noise_offset,
            maker.null() if self.recipe.null == "trained" else None,
            self.recipe.min_snr,
        )
        torch.manual_seed(self.run.seed)
        self._loop("inpaint", self.preset.build_inpaint(), loss, loss)

    def _refine(self) -> None:
        """Train stage `refine` on the coarse pictures that the trained stages make."""
        before = ["vae", *ENCODERS, "inpaint"]
        before += ["prior"] if self.recipe.coarse == "prior" else []
        self.place.need(*before)
        if self.recipe.coarse_people is not None and self.run.dataset.startswith("people"):
            self.place.take_people(self.recipe.coarse_people)
            self.pictures = self.place.pictures
        maker = self.place.maker(*before)
        generator = self._generator(maker)
        count = min(self.recipe.coarse_pairs or len(self.place.pairs), len(self.place.pairs))
        plans = [
            maker.plan("tokens"),
            maker.plan("clean"),
            generator.coarse_plan(self.recipe.coarse, count),
        ]
        computes = [
            maker.compute("tokens"),
            maker.compute("clean"),
            generator.coarse(self.recipe.coarse),
        ]
        if not self.place.build(plans, computes):
            return
        pairs, decoded = self.pictures.pairs, None
        balance = self.recipe.critics.get("refine")
        if balance is not None:
            encoder = self.place.part("source_encoder")
            features = EncoderFeatures(encoder, self.config.source_encoder)
            decoded = DecodedCritic(self.place.part("vae"), self.pictures.pixels, features)
        loss = RefineLoss(
            self.place.picture_table(maker, "tokens", "person"),
            PairTable(pairs.source[:count], pairs.target[:count]),
            open_table(plans[1]),
            open_table(plans[2]),
            self.config.refine_schedule,
            self.recipe.person_weight,
            self.recipe.drop,
            self.recipe.noise_offset,
            maker.null() if self.recipe.null == "trained" else None,
            self.recipe.min_snr,
            self.recipe.refine_times,
            balance,
            decoded,
            self.recipe.simulated_from,
            self.recipe.simulated_weight,
        )
        torch.manual_seed(self.run.seed)
        network = self.preset.build_refine()
        module: nn.Module = network
        if decoded is not None:
            module = WithCritic(network, Critic(2 * 3))  # the picture beside the coarse one
        self._loop("refine", module, loss, loss, stored=network)

    def _loop(
        self,
        name: str,
        module: nn.Module,
        loss: Loss,
        rows: int | RowSource,
        stored: nn.Module | None = None,
        finish: Callable[[], None] | None = None,
        part: str | None = None,
    ) -> None:
        """Run the loop for one network, store its weights and write its line of facts.

        `stored` is the network to keep where `module` is more than that, `part` its folder where
        the training has another name.
        """
        kept = stored or module
        if self.run.start_from is not None:
            report = start_at_pretrained(kept, self.run.start_from, self.run.start)  # type: ignore[arg-type]
            self.place.tell(
                f"{name}: {len(report.copied)} weights of {self.run.start_from}, "
                f"{len(report.padded)} padded, {len(report.misshapen)} of another shape, "
                f"{len(report.new)} new"
            )
        settings = self.run.settings(name)
        folder = self.run.out / "training" / name
        validation = self.place.validation(name, folder)
        if validation is None:
            self.place.release()
        result = train(
            module,
            loss,
            rows,
            settings,
            folder,
            self.run.device,
            lambda step, steps, value: self.place.show(name, step, steps, value),
            validation,
            self.run.tracker,
            self.run.fresh,
        )
        if self.place.process == 0:
            if finish is not None:
                finish()
            save_part(self.run.out, part or name, kept.to("cpu"), self.recipe.half)
            facts = {
                "part": name,
                "dataset": self.run.dataset,
                "size": self.place.size if self.run.dataset.startswith("people") else "",
                "pairs": len(self.place.pairs),
                "pictures": len(self.pictures.handles),
                **asdict(settings),
                **self._loss_facts(name),
                "processes": self.place.processes,
                "loss": result.loss,
                "seconds": round(result.seconds_total),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
            text = json.dumps(facts, indent=1) + "\n"
            (folder / "facts.json").write_text(text, encoding="utf-8")
        self.place.forget(part or name)
        self.place.wait()

    def _loss_facts(self, name: str) -> dict[str, Any]:
        if name not in ("prior", "inpaint", "refine"):
            return {}
        recipe = self.recipe
        facts: dict[str, Any] = {
            "null": recipe.null,
            "drop": recipe.drop,
            "noise_offset": recipe.noise_offset,
            "min_snr": recipe.min_snr,
        }
        if name != "prior":
            facts["person_weight"] = recipe.person_weight
        if name == "inpaint":
            facts |= {"known_weight": recipe.known_weight, "predicted": recipe.predicted}
        if name == "refine":
            facts |= {"coarse": recipe.coarse, "coarse_steps": recipe.coarse_steps}
            facts |= {"coarse_people": recipe.coarse_people, "times": dict(recipe.refine_times)}
            balance = recipe.critics.get("refine")
            facts |= {"critic": None if balance is None else asdict(balance)}
            facts |= {"simulated_from": recipe.simulated_from}
            facts |= {"simulated_weight": recipe.simulated_weight}
        return facts

    def _generator(self, maker: TableMaker) -> Generator:
        shown = self.run.out / "training"
        return Generator(maker, self.place.pairs, self.run.seed, self.recipe.coarse_steps, shown)
