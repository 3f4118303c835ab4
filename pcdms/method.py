"""PCDMs as a method of the benchmark: pairs in, one PNG per pair and stage out.

Stages talk through files: `prior` leaves `embeddings.safetensors`, `inpaint` reads it, `refine`
reads the pictures of `inpaint`, or those of any other method. What exists is kept, so an
interrupted run continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pcdms.embedding_file import EmbeddingRows, read_embeddings, write_embeddings
from pcdms.execution import CompileMode, Execution
from pcdms.guidance import EVERYWHERE, Interval
from pcdms.model_directory import Given, missing_parts, weights_digest
from pcdms.overlap import PictureWriter, ahead
from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import load_pipeline_config
from pcdms.pipeline_settings import Sampling
from pcdms.sampling import NullMode
from pcdms.schedulers import FinalSigma
from pcdms.stage_files import (
    Chosen,
    LoadedPairs,
    coarse_pictures,
    finished,
    pieces,
    read_pairs,
    starting_samples,
)
from pcdms.stage_files import sample_name as sample_name  # also for callers
from pcdms.stages import EVERY_LIST, parse_stages, parts_for
from pcdms_data.types import InputError, Pair

PRETRAINED = Path(__file__).parent / "pretrained" / "people-tiny"
"""The model directory that ships with the package."""

Progress = Callable[[int, int], None]
"""Called with (pairs done, pairs in all) of a stage."""

ORIGINS = {"vae": "--vae", "image_encoder": "--encoders", "source_encoder": "--encoders"}
"""Part that no published checkpoint holds -> the option that names a folder with it."""

BATCHES_PER_CALL = 4
STORE_EVERY_S = 10.0
"""Embeddings are one file, which is written whole: not after every call."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def sampling_defaults(weights: Path) -> dict[str, float]:
    """Return `steps` and `guidance` that the model directory was made for."""
    config = load_pipeline_config(weights / "pipeline.json")
    return {"steps": config.steps, "guidance": config.guidance}


class PCDMsMethod:
    """The three stages with fixed settings; `stages` is a list such as `prior+inpaint+refine`.

    `steps` and `guidance` default to those of the model directory. The pseudo-stage `truth` puts
    the true target embedding in the prior's place and is no stage that leaves files. `given` =
    {part: folder} names parts that lie outside the model directory. A `pipeline` that is there
    already is used as it is, in place of the model directory's. `final+refine` refines pictures of
    another method (`<pair_id>.png`, any size): those in the folder `coarse`, by default `final`
    beside the results. `name` then says whose they are.
    """

    def __init__(
        self,
        weights: Path = PRETRAINED,
        stages: str = "prior+inpaint+refine",
        steps: int | None = None,
        guidance: float | None = None,
        guidance_rescale: float = 0.0,
        null: NullMode = "published",
        final_sigma: FinalSigma = "sigma_min",
        chunk: int = 8,
        device: str = "cpu",
        dtype: str = "float32",
        given: Given | None = None,
        guidance_interval: Interval = EVERYWHERE,
        prior_steps: int | None = None,
        channels_last: bool = False,
        compile_mode: CompileMode = "",
        pipeline: PCDMsPipeline | None = None,
        coarse: Path | None = None,
        name: str = "pcdms",
    ) -> None:
        if dtype not in _DTYPES:
            raise InputError(f"unknown dtype {dtype!r}, expected one of {', '.join(_DTYPES)}")
        self.weights, self.given = weights, given
        self.name, self.coarse = name, coarse
        self.listed = parse_stages(stages, EVERY_LIST)
        self.stages = tuple(stage for stage in self.listed if stage not in ("truth", "final"))
        self.steps, self.guidance = steps, guidance
        self.guidance_rescale, self.null, self.final_sigma = guidance_rescale, null, final_sigma
        self.chunk, self.device, self.dtype = chunk, device, dtype
        self.guidance_interval, self.prior_steps = guidance_interval, prior_steps
        self.execution = Execution(channels_last, compile_mode)
        self.execution.check()
        self._given_pipeline = self._pipeline = pipeline

    def unavailable(self) -> str | None:
        """Return why the method cannot run, or None."""
        if not (self.weights / "pipeline.json").is_file():
            return f"no model directory at {self.weights} (pipeline.json is missing)"
        needed = parts_for("+".join(self.listed), self.null)
        missing = missing_parts(self.weights, needed, self.given)
        if not missing:
            return None
        lent = [ORIGINS[name] for name in missing if name in ORIGINS]
        hint = f" (give {' and '.join(dict.fromkeys(lent))})" if lent else ""
        return f"{self.weights} lacks {', '.join(missing)}{hint}"

    @property
    def weights_digest(self) -> str:
        """First 8 hex digits of the SHA-256 of the model directory."""
        return weights_digest(self.weights, self.given)

    @property
    def parameters(self) -> int:
        """Number of parameters of all parts."""
        return self.pipeline.parameters

    @property
    def pipeline(self) -> PCDMsPipeline:
        """The loaded pipeline; loads it on first use."""
        if self._pipeline is None:
            dtype = _DTYPES[self.dtype]
            self._pipeline = PCDMsPipeline.from_pretrained(
                self.weights,
                self.device,
                dtype,
                "+".join(self.listed),
                self.null,
                self.given,
                self.execution,
            )
        return self._pipeline

    def release(self) -> None:
        """Free the networks that were loaded here; they are loaded again when they are needed."""
        self._pipeline = self._given_pipeline

    @property
    def reduced_chunk(self) -> int | None:
        """Rows a pass where memory did not suffice for `chunk`, else None."""
        if self._pipeline is None or not self._pipeline.chunks.halved:
            return None
        return self._pipeline.chunks.size(self.chunk)

    def generate(
        self,
        pairs: Sequence[Pair],
        out: Path,
        seed: int,
        samples: int = 1,
        progress: Progress | None = None,
    ) -> dict[str, str]:
        """Run every stage over `pairs`; return {pair_id: reason} of the pairs that failed."""
        failures: dict[str, str] = {}
        for stage in self.stages:
            alive = [pair for pair in pairs if pair.pair_id not in failures]
            failures |= self.generate_stage(stage, alive, out, seed, samples, progress)
        return failures

    def generate_stage(
        self,
        stage: str,
        pairs: Sequence[Pair],
        out: Path,
        seed: int,
        samples: int = 1,
        progress: Progress | None = None,
        chosen: Chosen | None = None,
    ) -> dict[str, str]:
        """Run one stage over `pairs` and return {pair_id: reason} of the pairs that failed.

        Sample k starts from sample k of the stage before; with `chosen` every sample of a pair
        starts from the one that was chosen for it.
        """
        if stage not in self.stages:
            raise InputError(f"stage {stage!r} is not among {', '.join(self.stages)}")
        settings = Sampling(
            seed,
            samples,
            self.steps,
            self.guidance,
            self.guidance_rescale,
            self.null,
            self.final_sigma,
            self.chunk,
            self.guidance_interval,
            self.prior_steps,
        )
        if stage == "prior":
            return self._prior(pairs, out, settings, progress)
        return self._pictures(stage, pairs, out, settings, progress, chosen or {})

    def _read(self, pairs: Sequence[Pair]) -> LoadedPairs:
        return read_pairs(pairs, self.pipeline.config.frame)

    def _prior(
        self, pairs: Sequence[Pair], out: Path, settings: Sampling, progress: Progress | None
    ) -> dict[str, str]:
        failures: dict[str, str] = {}
        path = out / "embeddings.safetensors"
        known = read_embeddings(path)
        todo = [
            pair
            for pair in pairs
            if pair.pair_id not in known or len(known[pair.pair_id][0]) < settings.samples
        ]
        size, left = self.chunk * BATCHES_PER_CALL, len(todo)
        stored = time.monotonic()
        try:
            for loaded in ahead(pieces(todo, size), self._read):
                if loaded.batch is not None:
                    predicted = self.pipeline.run_prior_stage(loaded.batch, settings)
                    target = self.pipeline.embed(loaded.batch.target, self.chunk)
                    for row, pair in enumerate(loaded.pairs):
                        known[pair.pair_id] = (predicted[row], target[row])
                failures |= loaded.lost
                left = max(0, left - size)
                if time.monotonic() - stored > STORE_EVERY_S:
                    write_embeddings(path, known)
                    stored = time.monotonic()
                if progress is not None:
                    progress(len(pairs) - left, len(pairs))
        finally:
            if todo:
                write_embeddings(path, known)
        return failures

    def _pictures(
        self,
        stage: str,
        pairs: Sequence[Pair],
        out: Path,
        settings: Sampling,
        progress: Progress | None,
        chosen: Chosen,
    ) -> dict[str, str]:
        failures: dict[str, str] = {}
        folder = out / stage
        folder.mkdir(parents=True, exist_ok=True)
        embeddings = (
            read_embeddings(out / "embeddings.safetensors") if "prior" in self.stages else {}
        )
        todo = [pair for pair in pairs if not finished(folder, pair, settings.samples)]
        if not todo:
            return failures
        _ = self.pipeline  # loaded here: the thread that reads ahead needs its frame

        def load(part: Sequence[Pair]) -> LoadedPairs:
            if stage != "refine":
                return self._read(part)
            before = self.coarse or out / self.listed[self.listed.index(stage) - 1]
            coarse, lost = coarse_pictures(
                part, before, self.pipeline.config.frame, settings.samples, chosen
            )
            loaded = self._read([pair for pair in part if pair.pair_id in coarse])
            rows = [coarse[pair.pair_id] for pair in loaded.pairs]
            return replace(loaded, lost=lost | loaded.lost, coarse=np.array(rows))

        size, left = self.chunk * BATCHES_PER_CALL, len(todo)
        with PictureWriter() as writer:
            for loaded in ahead(pieces(todo, size), load):
                if loaded.batch is not None:
                    pictures = self._run(stage, loaded, out, embeddings, settings, chosen)
                    for pair, samples in zip(loaded.pairs, pictures, strict=True):
                        for sample, picture in enumerate(samples):
                            path = folder / sample_name(pair.pair_id, sample)
                            if not path.exists():
                                writer.save(path, picture)
                failures |= loaded.lost
                left = max(0, left - size)
                if progress is not None:
                    progress(len(pairs) - left, len(pairs))
        return failures

    def _run(
        self,
        stage: str,
        loaded: LoadedPairs,
        out: Path,
        embeddings: EmbeddingRows,
        settings: Sampling,
        chosen: Chosen,
    ) -> NDArray[np.uint8]:
        """Return the pictures (B, S, 3, H, W) of one stage, from the files of the stage before."""
        pairs, batch = loaded.pairs, loaded.batch
        assert batch is not None
        if stage == "refine":
            assert loaded.coarse is not None
            return self.pipeline.run_refine_stage(batch, loaded.coarse, settings)
        embedding: NDArray[np.float32] | None = None
        if "truth" in self.listed:
            truth = self.pipeline.embed(batch.target, self.chunk)
            embedding = np.repeat(truth[:, None], settings.samples, axis=1)
        elif "prior" in self.stages:
            missing = [pair.pair_id for pair in pairs if pair.pair_id not in embeddings]
            if missing:
                raise InputError(f"{out}: stage prior left no embedding of {missing[0]}")
            embedding = np.stack(
                [
                    embeddings[p.pair_id][0][starting_samples(p, settings.samples, chosen)]
                    for p in pairs
                ]
            )
        return self.pipeline.run_inpaint_stage(batch, embedding, settings)
