"""Invented runs on DeepFashion and of an ablation, for the paper tables; no picture is needed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from report_fixture import row

from pcdms_reports.paper_tables import TABLES, TableRequest
from pcdms_reports.records import ScoreRow
from pcdms_reports.scores import merge_scores, write_scores
from pcdms_reports.table_model import Cell, Number, Table

PAIRS = [f"pair{i:02d}" for i in range(40)]
FASHION = {"dataset": "deepfashion", "resolution": "256x176", "n": 8570, "n_expected": 8570}
UNKNOWN_WEIGHTS = "no weights <b>here</b> & 100 % of {them} in C:\\x_y #1 ~ ^"


def make_fashion(out: Path) -> Path:
    """Write runs of pcdms (free and oracle), dptn and target-copy under three protocols."""
    runs = {
        "aaaa1111": ("pcdms", "prior+inpaint+refine", "refine", "first", 1, 0.7001),
        "bbbb2222": ("pcdms", "prior+inpaint+refine", "refine", "oracle-ssim", 4, 0.7502),
        "cccc3333": ("dptn", "final", "final", "first", 1, 0.7103),
        "dddd4444": ("limb-warp", "final", "final", "first", 1, 0.6504),
        "eeee5555": ("target-copy", "final", "final", "first", 1, 1.0),
    }
    for run, (method, stages, stage, selection, samples, ssim) in runs.items():
        rows = []
        for protocol, shift in (("standard", 0.0), ("pcdms", -0.03), ("cfld", -0.01)):
            made = {
                "run": run, "method": method, "stages": stages, "stage": stage,
                "selection": selection, "samples": samples, "protocol": protocol,
            }  # fmt: skip
            rows += fashion_rows(ssim, shift, made)
        write_scores(rows, out / "deepfashion-test" / method / run / "scores.csv")
        spec = out / "deepfashion-test" / method / run / "spec.json"
        spec.write_text(json.dumps({"dataset": "deepfashion", "method": method, "stages": stages}))
    write_scores(merge_scores(sorted(out.glob("*/*/*/scores.csv"))), out / "scores.csv")
    return out


def fashion_rows(ssim: float, shift: float, made: dict) -> list[ScoreRow]:
    """The rows of one method under one protocol; target-copy keeps its perfect scores."""
    ours = made["protocol"] == "standard"
    value = ssim if ssim == 1 else ssim + shift
    lpips = "lpips_pcdms" if made["protocol"] == "pcdms" else "lpips"
    fid = "fid" if ours else "fid_paper"
    common = FASHION | made
    return [
        row("ssim", value, ci_low=value - 0.002, ci_high=value + 0.003, **common),
        row(lpips, (1 - value) / 2, extractor="alex@11111111", **common),
        row(fid, 40 * (1 - value) + 2, extractor="inception@22222222",
            **(common | {"reference": "train:48674"})),
        row("st_lpips", None, status="unavailable", reason=UNKNOWN_WEIGHTS, **common),
    ]  # fmt: skip


def make_ablation(out: Path) -> Path:
    """Write the six stage subsets of pcdms and limb-warp refined, with values per pair."""
    subsets = {
        "inpaint": 0.50, "prior+inpaint": 0.60, "truth+inpaint": 0.65, "inpaint+refine": 0.52,
        "prior+inpaint+refine": 0.58, "truth+inpaint+refine": 0.66,
    }  # fmt: skip
    draw = np.random.default_rng(3)
    hard = draw.normal(0, 0.1, len(PAIRS))
    for number, (stages, ssim) in enumerate(subsets.items()):
        stage = stages.split("+")[-1]
        save_run(out, f"0000000{number}", "pcdms", stages, {stage: ssim}, hard, draw)
    save_run(out, "11111111", "limb-warp", "final", {"final": 0.40}, hard, draw)
    refined = {"refine": 0.45}
    save_run(out, "22222222", "limb-warp+refine", "final+refine", refined, hard, draw,
             over="limb-warp@11111111")  # fmt: skip
    write_scores(merge_scores(sorted(out.glob("*/*/*/scores.csv"))), out / "scores.csv")
    return out


def save_run(out, run, method, stages, ssims, hard, draw, over="") -> None:
    """One run folder: each pair's SSIM is that of the stage, of the pair's hardness, and noise."""
    folder = out / "people-test" / method / run
    rows, lines = [], []
    for stage, ssim in ssims.items():
        values = ssim + hard + draw.normal(0, 0.01, len(PAIRS))
        made = {"run": run, "method": method, "stages": stages, "stage": stage, "n": 40,
                "n_expected": 40}  # fmt: skip
        mean = float(values.mean())
        rows.append(row("ssim", mean, ci_low=mean - 0.03, ci_high=mean + 0.03, **made))
        rows.append(row("fd_efficientnet_lite0", 100 * (1 - ssim), extractor="net@1", **made))
        cost = made | {"protocol": "", "resolution": "", "reference": ""}
        rows.append(row("seconds_per_picture", 0.25, **cost))
        rows.append(row("parameters", 12_345_678.0, **cost))
        lines += [
            (pair, stage, "standard@96x64", "ssim", value)
            for pair, value in zip(PAIRS, values, strict=True)
        ]
    write_scores(rows, folder / "scores.csv")
    spec = {"dataset": "people", "size": "smoke", "data_seed": 0, "method": method,
            "stages": stages, "seed": 0, "refine_over": over}  # fmt: skip
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "environment.json").write_text(json.dumps({"device": "cpu (test)"}))
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("pair", "stage", "protocol", "metric", "value"))
        writer.writerows(lines)


def build(name: str, **choices: object) -> list[Table]:
    """The tables `name` of a request with these choices."""
    return TABLES[name](TableRequest(**choices))


def cell(table: Table, label: str, heading: str) -> Cell:
    """The cell of the one row with this label."""
    place = [column.title for column in table.columns].index(heading)
    (found,) = [line for line in table.rows if line.label == label]
    return found.cells[place]


def texts(found: Cell) -> list[str] | str:
    """The digits of a cell, or its words."""
    return [number.text for number in found.numbers] or found.text


def meaning(table: Table, number: Number) -> str:
    """What the mark of a number stands for."""
    return dict(table.marks).get(number.mark, "")


def notes(table: Table, numbers: tuple[int, ...]) -> str:
    """The words of some footnotes."""
    return " | ".join(table.footnotes[number - 1] for number in numbers)
