"""Numbers that papers, repositories and issue threads print: one a row, with source and protocol.

`published/*.csv` holds one file per kind. A value that no source read gives is not in them; tables
then say "not recorded".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from pcdms_reports.csv_records import Field, read_records
from pcdms_reports.records import RecordError

FOLDER = Path(__file__).parent / "published"
UNKNOWN = "unknown"
NOT_RECORDED = "not recorded"

UNITS: dict[str, dict[str, str]] = {
    "quantitative": {
        "SSIM": "none", "SSIM_256": "none", "LPIPS": "none", "FID": "none", "PSNR": "dB",
        "IS": "none", "Mask-SSIM": "none", "Mask-IS": "none", "PCKh": "none", "sIoU": "none",
        "FaceSim_tgt": "none", "FaceDist_tgt": "none",
    },
    "ablation": {
        "SSIM": "none", "LPIPS": "none", "FID": "none", "delta_FID_vs_Baseline": "none",
        "delta_FID_DCF_vs_TDB": "none", "delta_SSIM_DCF_vs_TDB": "none",
        "delta_LPIPS_DCF_vs_TDB": "none",
    },
    "reid": {f"reID_{share}pct_real": "percent" for share in (20, 40, 60, 80, 100)},
    "user_study": {f"{metric}_percent": "percent" for metric in ("R2G", "G2R", "Jab")},
    "compute": {
        "params_M": "millions", "inference_s_per_image": "s", "inference_s": "s",
        "memory_GB": "GB", "fps": "pictures/s", "train_hours_stage1": "h",
        "train_hours_stage2": "h", "train_hours_stage3": "h", "train_gpu_hours": "GPU h",
        "test_set_hours": "h", "tuning_s_per_case": "s",
    },
    "facts": {
        name: "count"
        for name in ("train_pairs", "test_pairs", "images", "train_images", "test_images",
                     "train_images_used_in_pairs", "pose_coordinate_files")
    },
}  # fmt: skip
"""Kind -> the metrics its file may hold, as the sources spell them, and the unit of each."""

DATASETS = {"deepfashion": "DeepFashion", "market1501": "Market-1501", "other": "another dataset"}
"""Dataset in command line spelling -> how papers write it."""
RESOLUTIONS = ("256x176", "512x352", "128x64", "256x256", "256x256-padded", UNKNOWN)
PROTOCOLS = ("standard", "pcdms", "pidm", "gfla", "dptn", "pocold", "cfld", "patn",
             "market-masked", UNKNOWN)  # fmt: skip
VERIFIED = {
    "paper": "the method's own paper",
    "re-reported": "printed by another paper",
    "secondary": "a third-party note or summary",
    "thread": "an issue thread",
    "repo": "a file of a repository",
}
"""How a value is known -> in words."""


@dataclass(frozen=True)
class PublishedValue:
    """One printed number. `text` keeps its digits as printed, `metric` the source's own name.

    `resolution` is height x width (`256x256` is a stretched square), `protocol` an id of the
    protocols or `unknown`, `variant` what sets it apart from the method's main number.
    """

    method: str
    venue: str
    year: str
    dataset: str
    resolution: str
    metric: str
    text: str
    unit: str
    variant: str
    protocol: str
    verified: str
    source: str
    note: str

    @property
    def value(self) -> float:
        """Return the number itself."""
        return float(self.text)

    @property
    def origin(self) -> str:
        """Return venue and year in one string, empty where unknown."""
        return f"{self.venue} {self.year}".strip()


_CHOICES = {
    "dataset": tuple(DATASETS),
    "resolution": RESOLUTIONS,
    "protocol": PROTOCOLS,
    "verified": tuple(VERIFIED),
}
_OPTIONAL = ("venue", "year", "variant", "note")
COLUMNS = tuple("value" if f.name == "text" else f.name for f in fields(PublishedValue))
_IDENTITY = ("method", "dataset", "resolution", "metric", "variant", "protocol", "source")


@cache
def load_published(kind: str) -> tuple[PublishedValue, ...]:
    """Return the shipped values of one kind (`UNITS` names them), in the order of the tables."""
    return tuple(read_published(FOLDER / f"{kind}.csv", kind))


def read_published(path: Path, kind: str) -> list[PublishedValue]:
    """Return the values of a file of published numbers.

    Raises RecordError (one line: file, line, column, value) on other columns, a metric that the
    kind does not have, a unit that is not the metric's, a value that is no number, any other word
    where a fixed one is expected, and on a number that stands there twice.
    """
    units = UNITS[kind]
    columns = [
        Field(
            name,
            choices=tuple(units) if name == "metric" else _CHOICES.get(name, ()),
            optional=name in _OPTIONAL,
        )
        for name in COLUMNS
    ]
    found: list[PublishedValue] = []
    seen: dict[tuple[str, ...], int] = {}
    for line, record in read_records(path, columns, f"published numbers of kind {kind}"):
        values = {name: str(text) for name, text in record.items()}
        where = f"{path}:{line}"
        if not _is_number(values["value"]):
            raise RecordError(f"{where}: value {values['value']!r}, expected a finite number")
        if values["unit"] != units[values["metric"]]:
            raise RecordError(
                f"{where}: unit {values['unit']!r}, expected {units[values['metric']]!r} for "
                f"{values['metric']}"
            )
        row = PublishedValue(text=values.pop("value"), **values)
        key = tuple(getattr(row, name) for name in _IDENTITY)
        if seen.setdefault(key, line) != line:
            raise RecordError(
                f"{where}: {row.metric} of {row.method} from {row.source} repeats line {seen[key]}"
            )
        found.append(row)
    return found


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
