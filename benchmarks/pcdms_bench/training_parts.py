"""One function per part: its tables, its loss, the loop, and its weights in the model directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import nn

from pcdms.encoders import encoder_pixels
from pcdms.model_directory import load_part, missing_parts, part_folder, save_part, weight_files
from pcdms.pipeline_config import CLIP_MEAN, CLIP_STD, PipelineConfig, load_pipeline_config
from pcdms.presets import PRESETS
from pcdms.sampling import to_signed
from pcdms.training.accelerators import process_number
from pcdms.training.autoencoder_loss import AutoencoderLoss
from pcdms.training.encoder_loss import EncoderHeads, EncoderLoss
from pcdms.training.loop import Loss, Validation, train
from pcdms.training.losses import InpaintLoss, PairTable, PictureTable, PriorLoss, RefineLoss, Table
from pcdms.training.pretrained_start import start_at_pretrained
from pcdms.training.rows import RowSource
from pcdms.training.sharded_table import TablePlan, build_table
from pcdms.training.warm_start import start_at_components
from pcdms_bench.people_targets import people_targets
from pcdms_bench.training import Report, Say, TrainingRun
from pcdms_bench.training_generated import Generator
from pcdms_bench.training_pictures import (
    TrainingPictures,
    drawn_poses,
    person_shares,
    picture_poses,
    read_pictures,
)
from pcdms_bench.training_tables import (
    Frozen,
    TableMaker,
    cache_lines,
    check_space,
    latent_cells,
    open_table,
    picture_contents,
)
from pcdms_bench.training_validation import VALIDATED, Validator, validation_pairs
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError, Pair

ENCODERS = ("image_encoder", "source_encoder")
VALIDATION_PAIRS = 8


class Trainer:
    """Holds what the parts share within one call: pictures, frozen parts, tables."""

    def __init__(
        self, run: TrainingRun, report: Report | None = None, say: Say | None = None
    ) -> None:
        self.run, self.report, self.say = run, report, say
        self.preset, self.recipe = PRESETS[run.preset], run.recipe()
        self.process, self.processes = process_number()
        self.given = dict(run.given)
        self.size = run.size or self.recipe.size
        self.config = self._configuration()
        self.device = self._start_processes()
        self.pairs: list[Pair] = list(self._load_pairs())
        if not self.pairs:
            raise InputError(f"dataset {run.dataset!r} has no training pairs")
        self.pictures: TrainingPictures = read_pictures(self.pairs, self.config.frame)
        if run.person_weight and not any(self.pictures.masks):
            raise InputError(
                f"--person-weight {run.person_weight}: dataset {run.dataset!r} has no person "
                "masks, so it would do nothing: leave it out"
            )
        self._loaded: dict[str, Any] = {}
        self._tables: dict[str, Table] = {}

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
        self.wait()

    def wait(self) -> None:
        """Wait until every process is here."""
        PartialState().wait_for_everyone()

    def _encoders(self) -> None:
        """Train the two small encoders on the labels that the renderer knows."""
        side = self.config.source_encoder.size
        targets, views = people_targets(self.pictures, self.run.dataset, self.size, side)
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

    def _prior(self) -> None:
        """Train stage `prior`; the scale of its embeddings is measured on the training set."""
        self._need(*ENCODERS)
        maker = self._maker(*ENCODERS)
        if not self._build([maker.plan("embedding")], [maker.compute("embedding")]):
            return
        table = self._picture_table(maker, "embedding")
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
        self._need("vae", *ENCODERS, *(["prior"] if self.recipe.predicted else []))
        maker = self._maker("vae", *ENCODERS, *(["prior"] if self.recipe.predicted else []))
        kinds = ("embedding", "tokens", "canvas", "masked")
        plans = [maker.plan(kind) for kind in kinds]
        computes = [maker.compute(kind) for kind in kinds]
        if self.recipe.predicted:
            generator = self._generator(maker)
            plans.append(generator.predicted_plan())
            computes.append(generator.predicted)
        if not self._build(plans, computes):
            return
        tables = [open_table(plan) for plan in plans]
        predicted = tables[4][torch.arange(len(self.pairs))] if self.recipe.predicted else None
        loss = InpaintLoss(
            self._picture_table(maker, "embedding", "tokens", "drawn", "person"),
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
        self._need(*before)
        maker = self._maker(*before)
        generator = self._generator(maker)
        count = min(self.recipe.coarse_pairs or len(self.pairs), len(self.pairs))
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
        if not self._build(plans, computes):
            return
        pairs = self.pictures.pairs
        loss = RefineLoss(
            self._picture_table(maker, "tokens", "person"),
            PairTable(pairs.source[:count], pairs.target[:count]),
            open_table(plans[1]),
            open_table(plans[2]),
            self.config.refine_schedule,
            self.recipe.person_weight,
            self.recipe.drop,
            self.recipe.noise_offset,
            maker.null() if self.recipe.null == "trained" else None,
            self.recipe.min_snr,
        )
        torch.manual_seed(self.run.seed)
        self._loop("refine", self.preset.build_refine(), loss, loss)

    def _loop(
        self,
        name: str,
        module: nn.Module,
        loss: Loss,
        rows: int | RowSource,
        stored: nn.Module | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        """Run the loop for one network, store its weights and write its line of facts."""
        if self.run.start_from is not None:
            report = start_at_pretrained(module, self.run.start_from, self.run.start)  # type: ignore[arg-type]
            self._tell(
                f"{name}: {len(report.copied)} weights of {self.run.start_from}, "
                f"{len(report.padded)} padded, {len(report.misshapen)} of another shape, "
                f"{len(report.new)} new"
            )
        settings = self.run.settings(name)
        folder = self.run.out / "training" / name
        result = train(
            module,
            loss,
            rows,
            settings,
            folder,
            self.run.device,
            lambda step, steps, value: self._show(name, step, steps, value),
            self._validation(name, folder),
            self.run.tracker,
            self.run.fresh,
        )
        if self.process == 0:
            if finish is not None:
                finish()
            save_part(self.run.out, name, (stored or module).to("cpu"), self.recipe.half)
            facts = {
                "part": name,
                "dataset": self.run.dataset,
                "size": self.size if self.run.dataset.startswith("people") else "",
                "pairs": len(self.pairs),
                "pictures": len(self.pictures.handles),
                **asdict(settings),
                **self._loss_facts(name),
                "processes": self.processes,
                "loss": result.loss,
                "seconds": round(result.seconds_total),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
            text = json.dumps(facts, indent=1) + "\n"
            (folder / "facts.json").write_text(text, encoding="utf-8")
        self._loaded.pop(name, None)
        self.wait()

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
        return facts

    def _build(
        self, plans: Sequence[TablePlan], computes: Sequence[Callable[[range], Any]]
    ) -> bool:
        """Build the caches that are missing; return whether training follows."""
        if any(plan.missing() for plan in plans) or self.run.cache_only:
            for line in cache_lines(plans):
                self._tell(line)
            check_space(plans)
            self.wait()  # all processes have looked before any writes
            for plan, compute in zip(plans, computes, strict=True):
                title = f"cache of {plan.kind}"
                build_table(
                    plan,
                    compute,
                    self.process,
                    self.processes,
                    lambda done, total, title=title: self._show(title, done, total, 0.0),  # type: ignore[misc]
                )
        self.wait()
        return not self.run.cache_only

    def _picture_table(self, maker: TableMaker, *kinds: str) -> PictureTable:
        """Return what the losses look up of pictures; what they do not use stays empty."""
        count = len(self.pictures.handles)
        nothing = torch.zeros(count, 0)

        def stored(kind: str) -> Table:
            if kind not in kinds:
                return nothing
            plan = maker.plan(kind)
            if str(plan.folder) not in self._tables:
                self._tables[str(plan.folder)] = open_table(plan)
            return self._tables[str(plan.folder)]

        person: Table = nothing
        if "person" in kinds:
            vae = self._part("vae")
            person = person_shares(self.pictures, latent_cells(vae.config, self.config.frame))
        return PictureTable(
            tokens=stored("tokens"),
            embedding=stored("embedding")[torch.arange(count)],
            pose=picture_poses(self.pictures.keypoints),
            pose_image=drawn_poses(self.pictures) if "drawn" in kinds else nothing,
            person=person,
        )

    def _maker(self, *names: str) -> TableMaker:
        """Return what computes tables from the parts `names`."""
        parts = {name: self._part(name) for name in names}
        digests = {name: self._digest(name) for name in names}
        root = self.run.cache or self.run.out / "training" / "cache"
        memo = root / "contents.json"
        if self.process == 0:
            picture_contents(self.pictures.handles, memo)
        self.wait()
        contents = picture_contents(self.pictures.handles, memo)
        frozen = Frozen(self.config, parts, digests, self.device)
        return TableMaker(self.pictures, frozen, root, contents)

    def _generator(self, maker: TableMaker) -> Generator:
        shown = self.run.out / "training"
        return Generator(maker, self.pairs, self.run.seed, self.recipe.coarse_steps, shown)

    def _validation(self, name: str, folder: Path) -> Validation | None:
        """Return the validation of a network; only the main process loads what it needs."""
        if self.run.validate_every is None or name not in VALIDATED:
            return None
        every = self.run.validate_every
        if self.process:
            return Validation(every, lambda module, step: {})
        others = {
            "vae": (),
            "prior": ("vae", *ENCODERS),
            "inpaint": ("prior", "vae", *ENCODERS),
            "refine": ("prior", "inpaint", "vae", *ENCODERS),
        }[name]
        missing = missing_parts(self.run.out, others, self.given)
        parts = {other: self._part(other) for other in others if other not in missing}
        pairs = validation_pairs(
            self.run.dataset,
            self.run.root,
            self.size,
            self.run.validation_split,
            self.config.frame,
            self.run.validation_pairs or VALIDATION_PAIRS,
        )
        validator = Validator(name, self.config, parts, pairs, self.run.seed, folder / "validation")
        return Validation(every, validator)

    def _configuration(self) -> PipelineConfig:
        """Return how the parts are used: the model directory's word, else the preset's."""
        path = self.run.out / "pipeline.json"
        if path.is_file():
            config = load_pipeline_config(path)
            if config.name != self.preset.pipeline.name:
                raise InputError(
                    f"{path}: made for preset {config.name!r}, this one is "
                    f"{self.preset.pipeline.name!r}: take another folder"
                )
            return config
        return self.preset.pipeline

    def _start_processes(self) -> torch.device:
        """Join the other processes and return this one's device; the first writes pipeline.json."""
        kind = self.run.device.partition(":")[0]
        patience = {"timeout": timedelta(hours=6)} if self.processes > 1 else {}
        state = PartialState(cpu=kind == "cpu", **patience)
        if self.process == 0:
            self.run.out.mkdir(parents=True, exist_ok=True)
            self.config.save(self.run.out / "pipeline.json")
        self.wait()
        return torch.device(self.run.device) if self.processes == 1 else state.device

    def _load_pairs(self) -> Sequence[Pair]:
        return load_pairs(
            self.run.dataset,
            root=self.run.root,
            split="train",
            resolution=self.config.frame,
            size=self.size,
            limit=self.run.pairs or self.recipe.pairs,
        )

    def _part(self, name: str) -> Any:
        """Return a part on this process's device, loaded once."""
        if name not in self._loaded:
            part = load_part(self.run.out, name, self.given).to(self.device)
            self._loaded[name] = part.requires_grad_(False)
        return self._loaded[name]

    def _digest(self, name: str) -> str:
        folder = part_folder(self.run.out, name, self.given)
        digest = sha256()
        for path in (folder / "config.json", *weight_files(folder)):
            with path.open("rb") as file:
                digest.update(file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def _need(self, *parts: str) -> None:
        missing = missing_parts(self.run.out, parts, self.given)
        if missing:
            raise InputError(
                f"{self.run.out}: parts {', '.join(missing)} are missing; train them first, or "
                "give them with --vae and --encoders (the shipped ones: --encoders shipped)"
            )

    def _show(self, title: str, done: int, total: int, loss: float) -> None:
        if self.report is not None and self.process == 0:
            self.report(title, done, total, loss)

    def _tell(self, line: str) -> None:
        if self.say is not None and self.process == 0:
            self.say(line)
