"""A synthetic output folder of `run`: random pictures, invented scores, reasons with markup."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from pcdms_reports.records import ScoreRow
from pcdms_reports.scores import merge_scores, write_scores

PAIRS = [f"id{i:02d}_front_to_id{i:02d}_side" for i in range(5)]
NO_WEIGHTS = "no weights <script>alert(1)</script>; run `pcdms-bench weights fetch lpips`"
FEW = "5 pictures, fewer than 2,048"
IDENTICAL = "5 identical pictures left out: no number remains"
METHODS = {
    "pcdms": ("a1b2c3d4", "prior+inpaint+refine", ("inpaint", "refine"), (0.70, 0.74), 0.0),
    "copy-source": ("11112222", "final", ("final",), (0.60,), 0.0),
    "limb-warp": ("33334444", "final", ("final",), (0.68,), 0.0),
    "mean-image": ("55556666", "final", ("final",), (0.55,), 0.0),
    "target-copy": ("77778888", "final", ("final",), (1.0,), 0.0),
}


def row(metric="ssim", value=0.5, **changes) -> ScoreRow:
    """One score row with every field filled in."""
    plain = ScoreRow(
        run="a1b2c3d4", method="pcdms", stages="prior+inpaint+refine", stage="refine",
        dataset="people", split="test", resolution="96x64", protocol="standard@96x64",
        metric=metric, value=0.5, ci_low=None, ci_high=None, n=5, n_expected=5, extractor="",
        reference="pair", selection="first", samples=1, weights="", seed=0, status="ok", reason="",
    )  # fmt: skip
    return replace(plain, **{"value": value} | changes)


def make_runs(out: Path) -> Path:
    """Write `out/people-test/...` with five methods, and `out/scores.csv`; returns `out`."""
    draw = np.random.default_rng(0)
    home = out / "people-test"
    for kind in ("source", "pose", "target"):
        for pair in PAIRS:
            save(home / "examples" / kind / f"{pair}.png", draw)
    for method, (run, stages, shown, ssims, _) in METHODS.items():
        folder = home / method / run
        rows, per_pair = [], []
        for stage, ssim in zip(shown, ssims, strict=True):
            fields = {"run": run, "method": method, "stages": stages, "stage": stage}
            rows += picture_rows(ssim, fields)
            for pair in PAIRS:
                save(folder / "samples" / stage / f"{pair}.png", draw)
                for metric, value in (("ssim", ssim), ("masked_l1", (1 - ssim) / 3)):
                    noise = 0.0 if ssim == 1 else draw.normal(0, 0.02)
                    per_pair.append((pair, stage, "standard@96x64", metric, value + noise))
        if method == "pcdms":
            rows += prior_rows(folder, draw)
        write_scores(rows, folder / "scores.csv")
        with (folder / "pairs.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("pair", "stage", "protocol", "metric", "value"))
            writer.writerows(per_pair)
        spec = {"dataset": "people", "size": "smoke", "data_seed": 0, "method": method}
        (folder / "spec.json").write_text(json.dumps(spec))
        (folder / "environment.json").write_text(json.dumps({"device": "cpu", "torch": "2.x"}))
        (folder / "status.json").write_text(json.dumps({"state": "complete", "failed": {}}))
    write_scores(merge_scores(sorted(out.glob("*/*/*/scores.csv"))), out / "scores.csv")
    return out


def picture_rows(ssim: float, fields: dict) -> list[ScoreRow]:
    """The rows of one picture stage whose quality is `ssim`."""
    masked, psnr = (1 - ssim) / 3, 12 + 10 * ssim
    rows = [
        row("ssim", ssim, ci_low=ssim - 0.01, ci_high=ssim + 0.012, **fields),
        row("masked_l1", masked, ci_low=masked * 0.96, ci_high=masked * 1.04,
            **(fields | {"reference": "pair;mask=exact"})),
        row("lpips", None, status="unavailable", reason=NO_WEIGHTS, **fields),
        row("fd_efficientnet_lite0", 200 * (1 - ssim), status="indicative", reason=FEW,
            extractor="efficientnet_lite0@12345678", **(fields | {"reference": "train:300"})),
        row("seconds_per_picture", 0.01 + ssim, **(fields | {"protocol": "", "resolution": ""})),
    ]  # fmt: skip
    if ssim == 1.0:
        gone = row("psnr", None, status="unavailable", reason=IDENTICAL, **(fields | {"n": 0}))
        return [*rows, gone]
    return [*rows, row("psnr", psnr, ci_low=psnr - 0.2, ci_high=psnr + 0.2, **fields)]


def prior_rows(folder: Path, draw: np.random.Generator) -> list[ScoreRow]:
    """Embeddings in which every prediction is nearest to the next pair's target, and their rows."""
    target = draw.normal(size=(len(PAIRS), 16)).astype(np.float32)
    predicted = np.roll(target, -1, axis=0) * 3 + 0.01
    save_file(
        {"predicted": np.ascontiguousarray(predicted), "target": target},
        folder / "embeddings.safetensors",
        metadata={"pair_ids": json.dumps(PAIRS)},
    )
    return [row("cosine", 0.1, stage="prior"), row("retrieval_r1", 0.0, stage="prior")]


def save(path: Path, draw: np.random.Generator) -> None:
    """A smooth random 96x64 picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = draw.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    Image.fromarray(small).resize((64, 96), Image.Resampling.BICUBIC).save(path)
