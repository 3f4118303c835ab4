"""Which sample of a stage counts under `--selection oracle-ssim`: the one nearest the true target.

As published the choice is made after `inpaint`, whose winner alone is refined, and again after
`refine`. It looks at the target, so its scores are no fair comparison: rows carry the selection.
Source: tencent-ailab/PCDMs:stage2_batchtest_inpaint_model.py, stage3_batchtest_refined_model.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pcdms_bench.metrics.ssim import ssim_mean
from pcdms_bench.run_folder import SAMPLES, read_table, sample_name, table_text, write_text
from pcdms_bench.spec import RunSpec
from pcdms_bench.ssim_variants import SsimVariant
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Pair, Picture, PictureError

ORACLE = "oracle-ssim"
FILE = "selection.csv"
COLUMNS = ("stage", "pair", "sample", "ssim")

_OWN_RANGE = SsimVariant("gaussian", 9, 1.2, "population", None, 255.0)
_FIXED_RANGE = SsimVariant("gaussian", 9, 1.2, "sample", 255.0, 255.0)
ORACLES = {"inpaint": _OWN_RANGE, "refine": _FIXED_RANGE}
"""The SSIM of each stage's choice. They differ because the second script misspells the argument
`data_range`, which the library then ignores; a stage of another method takes the first."""


def samples_of(spec: RunSpec, stage: str) -> int:
    """Return how many samples of a stage a run makes: one embedding serves all under the oracle."""
    return 1 if spec.selection == ORACLE and stage == "prior" else spec.samples


def start_samples(folder: Path, spec: RunSpec, stage: str, pairs: Sequence[Pair]) -> dict[str, int]:
    """Return {pair_id: sample of the stage before that `stage` starts from}, where one is chosen.

    Empty without the oracle: sample k then starts from sample k.
    """
    stages = [name for name in spec.stages.split("+") if name != "truth"]
    before = stages[: stages.index(stage)][-1:]
    if spec.selection != ORACLE or not before:
        return {}
    if before == ["prior"]:
        return {pair.pair_id: 0 for pair in pairs}
    return choose(folder, before[0], pairs, spec.samples)


def scored_samples(
    folder: Path, spec: RunSpec, stage: str, pairs: Sequence[Pair]
) -> dict[str, int] | None:
    """Return {pair_id: the one sample that is scored}, None where the selection is no choice."""
    if spec.selection != ORACLE or stage == "prior":
        return None
    return choose(folder, stage, pairs, spec.samples)


def choose(
    folder: Path, stage: str, pairs: Sequence[Pair], samples: int, pictures: Path | None = None
) -> dict[str, int]:
    """Return {pair_id: sample} of a run folder's stage and note new choices in `selection.csv`.

    `pictures` is where the stage's pictures lie, by default in the run folder. A pair of which a
    picture is missing or cannot be decoded is left out.
    """
    rows = {(row["stage"], row["pair"]): row for row in read_table(folder / FILE, COLUMNS)}
    place = pictures or folder / SAMPLES / stage
    for pair in pairs:
        key = (stage, pair.pair_id)
        if key in rows:
            continue
        try:
            scores = _scores(place, pair, samples, ORACLES.get(stage, _OWN_RANGE))
        except (PictureError, InputError):
            continue
        best = int(np.argmax(scores))
        rows[key] = dict(zip(COLUMNS, (*key, str(best), repr(scores[best])), strict=True))
    write_text(
        folder / FILE, table_text(COLUMNS, [[row[c] for c in COLUMNS] for row in rows.values()])
    )
    return _of_stage(rows, stage, pairs)


def _of_stage(
    rows: Mapping[tuple[str, str], Mapping[str, str]], stage: str, pairs: Sequence[Pair]
) -> dict[str, int]:
    keys = [(stage, pair.pair_id) for pair in pairs]
    return {key[1]: int(rows[key]["sample"]) for key in keys if key in rows}


def _scores(place: Path, pair: Pair, samples: int, variant: SsimVariant) -> list[float]:
    """Return the SSIM of each sample to the target, in the size of the sample's file."""
    scores: list[float] = []
    for sample in range(samples):
        name = sample_name(pair.pair_id, sample)
        picture = load_picture(Picture(name, place / name))
        target = load_picture(pair.target, (picture.shape[0], picture.shape[1]))
        scores.append(ssim_mean(picture, target, variant))
    return scores
