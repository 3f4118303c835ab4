"""PCDMs as a method of the benchmark: pairs in, one PNG per pair and stage out.

Stages talk through files: `prior` leaves `embeddings.safetensors`, `inpaint` reads it, `refine`
reads the pictures of `inpaint`. What exists is kept, so an interrupted run continues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pcdms.embedding_file import EmbeddingRows, read_embeddings, write_embeddings
from pcdms.model_directory import Given, missing_parts, weights_digest
from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import load_pipeline_config
from pcdms.pipeline_settings import Sampling
from pcdms.sampling import NullMode
from pcdms.schedulers import FinalSigma
from pcdms.stages import parse_stages, parts_for
from pcdms_data.images import load_batch, load_picture, save_picture
from pcdms_data.types import Batch, InputError, Keypoints, Pair, Picture, PictureError

PRETRAINED = Path(__file__).parent / "pretrained" / "people-tiny"
"""The model directory that ships with the package."""

Progress = Callable[[int, int], None]
"""Called with (pairs done, pairs in all) of a stage."""
Chosen = Mapping[str, int]
"""{pair_id: sample of the stage before that every sample of a stage starts from}."""

ORIGINS = {"vae": "--vae", "image_encoder": "--encoders", "source_encoder": "--encoders"}
"""Part that no published checkpoint holds -> the option that names a folder with it."""

BATCHES_PER_CALL = 4
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def sampling_defaults(weights: Path) -> dict[str, float]:
    """Return `steps` and `guidance` that the model directory was made for."""
    config = load_pipeline_config(weights / "pipeline.json")
    return {"steps": config.steps, "guidance": config.guidance}


class PCDMsMethod:
    """The three stages with fixed settings; `stages` is a list such as `prior+inpaint+refine`.

    `steps` and `guidance` default to those of the model directory. The pseudo-stage `truth` puts
    the true target embedding in the prior's place and is no stage that leaves files. `given` =
    {part: folder} names parts that lie outside the model directory.
    """

    name = "pcdms"

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
    ) -> None:
        if dtype not in _DTYPES:
            raise InputError(f"unknown dtype {dtype!r}, expected one of {', '.join(_DTYPES)}")
        self.weights, self.given = weights, given
        self.listed = parse_stages(stages)
        self.stages = tuple(stage for stage in self.listed if stage != "truth")
        self.steps, self.guidance = steps, guidance
        self.guidance_rescale, self.null, self.final_sigma = guidance_rescale, null, final_sigma
        self.chunk, self.device, self.dtype = chunk, device, dtype
        self._pipeline: PCDMsPipeline | None = None

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
                self.weights, self.device, dtype, "+".join(self.listed), self.null, self.given
            )
        return self._pipeline

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
        )
        if stage == "prior":
            return self._prior(pairs, out, settings, progress)
        return self._pictures(stage, pairs, out, settings, progress, chosen or {})

    def _decoded(
        self, pairs: Sequence[Pair], failures: dict[str, str]
    ) -> tuple[list[Pair], Batch | None]:
        """Return the pairs that can be decoded and their batch; the others go to `failures`."""
        frame = self.pipeline.config.frame
        try:
            return list(pairs), load_batch(pairs, frame) if pairs else None
        except PictureError:
            good: list[Pair] = []
            for pair in pairs:
                try:
                    load_batch([pair], frame)
                    good.append(pair)
                except PictureError as error:
                    failures[pair.pair_id] = str(error)
            return good, load_batch(good, frame) if good else None

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
        size = self.chunk * BATCHES_PER_CALL
        for start in range(0, len(todo), size):
            good, batch = self._decoded(todo[start : start + size], failures)
            if batch is not None:
                framed = self.pipeline.framed(batch)
                predicted = self.pipeline.run_prior_stage(framed, settings)
                target = self.pipeline.embed(framed.target, self.chunk)
                for row, pair in enumerate(good):
                    known[pair.pair_id] = (predicted[row], target[row])
                write_embeddings(path, known)
            if progress is not None:
                progress(len(pairs) - len(todo) + min(start + size, len(todo)), len(pairs))
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
        todo = [pair for pair in pairs if not _finished(folder, pair, settings.samples)]
        size = self.chunk * BATCHES_PER_CALL
        for start in range(0, len(todo), size):
            part = todo[start : start + size]
            if stage == "refine":
                part = _with_coarse(part, out, settings.samples, chosen, failures)
            good, batch = self._decoded(part, failures)
            if batch is not None:
                pictures = self._run(
                    stage, good, self.pipeline.framed(batch), out, embeddings, settings, chosen
                )
                for pair, samples in zip(good, pictures, strict=True):
                    for sample, picture in enumerate(samples):
                        path = folder / sample_name(pair.pair_id, sample)
                        if not path.exists():
                            save_picture(path, np.ascontiguousarray(picture.transpose(1, 2, 0)))
            if progress is not None:
                progress(len(pairs) - len(todo) + min(start + size, len(todo)), len(pairs))
        return failures

    def _run(
        self,
        stage: str,
        pairs: Sequence[Pair],
        batch: Batch,
        out: Path,
        embeddings: EmbeddingRows,
        settings: Sampling,
        chosen: Chosen,
    ) -> NDArray[np.uint8]:
        """Return the pictures (B, S, 3, H, W) of one stage, from the files of the stage before."""
        if stage == "refine":
            coarse = [
                [_read(path) for path in _coarse_files(pair, out, settings.samples, chosen)]
                for pair in pairs
            ]
            return self.pipeline.run_refine_stage(batch, np.array(coarse), settings)
        embedding: NDArray[np.float32] | None = None
        if "truth" in self.listed:
            truth = self.pipeline.embed(batch.target, self.chunk)
            embedding = np.repeat(truth[:, None], settings.samples, axis=1)
        elif "prior" in self.stages:
            missing = [pair.pair_id for pair in pairs if pair.pair_id not in embeddings]
            if missing:
                raise InputError(f"{out}: stage prior left no embedding of {missing[0]}")
            embedding = np.stack(
                [embeddings[p.pair_id][0][_starts(p, settings.samples, chosen)] for p in pairs]
            )
        return self.pipeline.run_inpaint_stage(batch, embedding, settings)


def sample_name(pair_id: str, sample: int) -> str:
    """Return the file name of a sample: `<pair_id>.png`, then `<pair_id>.<k>.png`."""
    return f"{pair_id}.png" if sample == 0 else f"{pair_id}.{sample}.png"


def _finished(folder: Path, pair: Pair, samples: int) -> bool:
    return all((folder / sample_name(pair.pair_id, k)).is_file() for k in range(samples))


def _starts(pair: Pair, samples: int, chosen: Chosen) -> list[int]:
    """Return, for each sample, which sample of the stage before it starts from."""
    if pair.pair_id in chosen:
        return [chosen[pair.pair_id]] * samples
    return list(range(samples))


def _coarse_files(pair: Pair, out: Path, samples: int, chosen: Chosen) -> list[Path]:
    starts = _starts(pair, samples, chosen)
    return [out / "inpaint" / sample_name(pair.pair_id, k) for k in starts]


def _with_coarse(
    pairs: Sequence[Pair], out: Path, samples: int, chosen: Chosen, failures: dict[str, str]
) -> list[Pair]:
    """Return the pairs with readable pictures of `inpaint`; the others go to `failures`."""
    good: list[Pair] = []
    for pair in pairs:
        try:
            for path in dict.fromkeys(_coarse_files(pair, out, samples, chosen)):
                _read(path)
            good.append(pair)
        except PictureError as error:
            failures[pair.pair_id] = str(error)
    return good


def _read(path: Path) -> NDArray[np.uint8]:
    picture = load_picture(Picture(path.name, path))
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def generate_picture(
    weights: Path,
    source: NDArray[np.uint8],
    source_pose: Keypoints,
    target_pose: Keypoints,
    seed: int = 0,
    stages: str = "prior+inpaint+refine",
    steps: int | None = None,
    guidance: float | None = None,
    device: str = "cpu",
    given: Given | None = None,
) -> NDArray[np.uint8]:
    """Return the person of `source` uint8 (H, W, 3) in the target pose, in the model's frame.

    The target picture is unknown, so the pseudo-stage `truth` is refused.
    """
    if "truth" in parse_stages(stages) or stages == "prior":
        raise InputError(
            f"stages {stages!r}: expected a list that ends in a picture, without truth"
        )
    pipeline = PCDMsPipeline.from_pretrained(weights, device, stages=stages, given=given)
    frame = (int(source.shape[0]), int(source.shape[1]))
    pixels = np.ascontiguousarray(source.transpose(2, 0, 1))[None]
    poses = (source_pose.resized(frame), target_pose.resized(frame))
    batch = Batch(
        ("source_to_pose",),
        pixels,
        np.zeros_like(pixels),
        poses[0].xy[None],
        poses[1].xy[None],
        poses[0].visible[None],
        poses[1].visible[None],
    )
    out = pipeline(batch, stages=stages, seed=seed, steps=steps, guidance=guidance)
    picture = out.inpaint if out.refine is None else out.refine
    assert picture is not None
    return np.ascontiguousarray(picture[0, 0].transpose(1, 2, 0))
