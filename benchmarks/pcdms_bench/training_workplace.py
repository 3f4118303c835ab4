"""What the parts of one training share: processes, pairs, pictures, frozen parts and caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import nn

from pcdms.model_directory import load_part, missing_parts, part_folder, weight_files
from pcdms.pipeline_config import PipelineConfig, load_pipeline_config
from pcdms.presets import PRESETS
from pcdms.training.accelerators import process_number
from pcdms.training.critic import WithCritic
from pcdms.training.loop import Validation
from pcdms.training.losses import PictureTable, Table
from pcdms.training.sharded_table import TablePlan, build_table
from pcdms_bench.training import Report, Say, TrainingRun
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


class Workplace:
    """One call's pairs, pictures and loaded parts, on this process's device."""

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

    def take_people(self, seed: int) -> None:
        """Go on with the embedded training people of another seed, whom no stage has seen."""
        self.pairs = list(self._load_pairs(seed))
        self.pictures = read_pictures(self.pairs, self.config.frame)

    def wait(self) -> None:
        """Wait until every process is here."""
        PartialState().wait_for_everyone()

    def part(self, name: str) -> Any:
        """Return a part on this process's device, loaded once."""
        if name not in self._loaded:
            self._loaded[name] = load_part(self.run.out, name, self.given).requires_grad_(False)
        return self._loaded[name].to(self.device)

    def need(self, *parts: str) -> None:
        """Raise InputError where one of the parts is neither trained nor given."""
        missing = missing_parts(self.run.out, parts, self.given)
        if missing:
            raise InputError(
                f"{self.run.out}: parts {', '.join(missing)} are missing; train them first, or "
                "give them with --vae and --encoders (the shipped ones: --encoders shipped)"
            )

    def maker(self, *names: str) -> TableMaker:
        """Return what computes tables from the parts `names`."""
        parts = {name: self.part(name) for name in names}
        digests = {name: self._digest(name) for name in names}
        root = self.run.cache or self.run.out / "training" / "cache"
        memo = root / "contents.json"
        if self.process == 0:
            picture_contents(self.pictures.handles, memo)
        self.wait()
        contents = picture_contents(self.pictures.handles, memo)
        frozen = Frozen(self.config, parts, digests, self.device)
        return TableMaker(self.pictures, frozen, root, contents)

    def build(self, plans: Sequence[TablePlan], computes: Sequence[Callable[[range], Any]]) -> bool:
        """Build the caches that are missing; return whether training follows."""
        missing = any(plan.missing() for plan in plans)
        self.wait()  # all processes have looked before any writes
        if missing or self.run.cache_only:
            for line in cache_lines(plans):
                self.tell(line)
            check_space(plans)
            for plan, compute in zip(plans, computes, strict=True):
                title = f"cache of {plan.kind}"
                build_table(
                    plan,
                    compute,
                    self.process,
                    self.processes,
                    lambda done, total, title=title: self.show(title, done, total, 0.0),  # type: ignore[misc]
                )
        self.wait()
        return not self.run.cache_only

    def picture_table(self, maker: TableMaker, *kinds: str) -> PictureTable:
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
            vae = self.part("vae")
            person = person_shares(self.pictures, latent_cells(vae.config, self.config.frame))
        return PictureTable(
            tokens=stored("tokens"),
            embedding=stored("embedding")[torch.arange(count)],
            pose=picture_poses(self.pictures.keypoints),
            pose_image=drawn_poses(self.pictures) if "drawn" in kinds else nothing,
            person=person,
        )

    def validation(self, name: str, folder: Path) -> Validation | None:
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
        parts = {other: self.part(other) for other in others if other not in missing}
        pairs = validation_pairs(
            self.run.dataset,
            self.run.root,
            self.size,
            self.run.validation_split,
            self.config.frame,
            self.run.validation_pairs or VALIDATION_PAIRS,
        )
        validator = Validator(name, self.config, parts, pairs, self.run.seed, folder / "validation")

        def run(module: nn.Module, step: int) -> dict[str, float]:
            network = module.network if isinstance(module, WithCritic) else module
            return validator(network, step)

        return Validation(every, run)

    def show(self, title: str, done: int, total: int, loss: float) -> None:
        """Show progress, in the main process."""
        if self.report is not None and self.process == 0:
            self.report(title, done, total, loss)

    def tell(self, line: str) -> None:
        """Show one line, in the main process."""
        if self.say is not None and self.process == 0:
            self.say(line)

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
        if kind == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32, as in the published scripts
        return torch.device(self.run.device) if self.processes == 1 else state.device

    def _load_pairs(self, seed: int = 0) -> Sequence[Pair]:
        return load_pairs(
            self.run.dataset,
            root=self.run.root,
            split="train",
            resolution=self.config.frame,
            size=self.size,
            limit=self.run.pairs or self.recipe.pairs,
            seed=seed,
        )

    def _digest(self, name: str) -> str:
        folder = part_folder(self.run.out, name, self.given)
        digest = sha256()
        for path in (folder / "config.json", *weight_files(folder)):
            with path.open("rb") as file:
                digest.update(file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def forget(self, name: str) -> None:
        """Load a part anew the next time: it was trained."""
        self._loaded.pop(name, None)

    def release(self) -> None:
        """Move the frozen parts to main memory: the trained one needs the device's."""
        for part in self._loaded.values():
            part.to("cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
