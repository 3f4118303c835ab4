"""How the key points of rendered people compare with those of the real datasets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import Keypoints

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_JOINTS: dict[str, list[int]] = {
    "nose missing": [0],
    "eyes missing": [14, 15],
    "ears missing": [16, 17],
    "neck missing": [1],
    "shoulders missing": [2, 5],
    "elbows missing": [3, 6],
    "wrists missing": [4, 7],
    "hips missing": [8, 11],
    "knees missing": [9, 12],
    "ankles missing": [10, 13],
}

# Measured on the annotation files of the real sets:
# DeepFashion test, Market-1501 train, Market-1501 test. The middle of a range left/right.
REAL: dict[str, tuple[float, float, float]] = {
    "nose missing": (0.24, 0.41, 0.51),
    "eyes missing": (0.30, 0.51, 0.61),
    "ears missing": (0.375, 0.47, 0.56),
    "neck missing": (0.15, 0.03, 0.18),
    "shoulders missing": (0.16, 0.04, 0.20),
    "elbows missing": (0.245, 0.245, 0.38),
    "wrists missing": (0.285, 0.43, 0.53),
    "hips missing": (0.185, 0.05, 0.22),
    "knees missing": (0.66, 0.11, 0.28),
    "ankles missing": (0.76, 0.24, 0.39),
    "any knee": (0.36, 0.92, 0.75),
    "any ankle": (0.24, 0.85, 0.68),
    "shoulder turn, median": (-0.44, -0.38, -0.32),
    "front": (0.40, 0.45, 0.35),
    "side": (0.16, 0.08, 0.07),
    "back": (0.16, 0.33, 0.26),
    "torso / height, median": (110.5 / 256, 37.5 / 128, 37 / 128),
    "neck y / height, median": (73 / 256, 25 / 128, 25 / 128),
}
"""Statistic to its values on DeepFashion test, Market train and Market test."""


@dataclass(frozen=True)
class StatisticRow:
    """One statistic of a set beside the real ones; `real` in the order of `REAL`."""

    name: str
    value: float
    real: tuple[float, float, float]


def calibration(poses: tuple[Keypoints, ...]) -> list[StatisticRow]:
    """Return the statistics of `REAL` for a set of key points, in that order.

    Shares are of all pictures. `shoulder turn` is (right - left shoulder x) / torso length over
    pictures that show both shoulders, neck and hips: below -.45 counts as front, within .3 as
    side, above .45 as back; torso is neck to the middle of the hips. NaN where no picture counts.
    """
    xy = np.stack([pose.xy.astype(np.float64) for pose in poses])
    seen = np.stack([pose.visible for pose in poses])
    heights = np.array([pose.size[0] for pose in poses], dtype=np.float64)
    values = _missing_rates(seen) | _geometry(xy, seen, heights)
    return [StatisticRow(name, values[name], real) for name, real in REAL.items()]


def _missing_rates(seen: Bools) -> dict[str, float]:
    rates = {name: float(1 - seen[:, joints].mean()) for name, joints in _JOINTS.items()}
    rates["any knee"] = float(seen[:, [9, 12]].any(axis=1).mean())
    rates["any ankle"] = float(seen[:, [10, 13]].any(axis=1).mean())
    return rates


def _geometry(xy: Floats, seen: Bools, heights: Floats) -> dict[str, float]:
    trunk = seen[:, [1, 8, 11]].all(axis=1)
    hips = (xy[:, 8] + xy[:, 11]) / 2
    torso = np.hypot(*(xy[:, 1] - hips).T)
    usable = trunk & seen[:, [2, 5]].all(axis=1) & (torso > 0)
    turn = (xy[usable, 2, 0] - xy[usable, 5, 0]) / torso[usable]
    count = len(seen)
    return {
        "shoulder turn, median": _middle(turn),
        "front": float((turn < -0.45).sum() / count),
        "side": float((np.abs(turn) <= 0.3).sum() / count),
        "back": float((turn > 0.45).sum() / count),
        "torso / height, median": _middle((torso / heights)[trunk]),
        "neck y / height, median": _middle((xy[:, 1, 1] / heights)[seen[:, 1]]),
    }


def _middle(values: Floats) -> float:
    return float(np.median(values)) if values.size else float("nan")


def calibration_text(rows: list[StatisticRow], format_value: Callable[[float], str]) -> str:
    """Return the statistics as an aligned text table."""
    lines = [f"{'':26}{'this set':>10}{'DeepFashion':>13}{'Market train':>14}{'Market test':>13}"]
    for row in rows:
        first, second, third = map(format_value, row.real)
        lines.append(
            f"{row.name:26}{format_value(row.value):>10}{first:>13}{second:>14}{third:>13}"
        )
    return "\n".join(lines)
