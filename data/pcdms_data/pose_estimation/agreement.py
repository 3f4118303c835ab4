"""How well estimated key points agree with known ones: PCKh, joint by joint.

A visible joint of the known pose counts as found when the estimate shows it within `ALPHA` head
sizes. The head size is the distance from nose to neck of the known pose; where one of the two is
missing it is 0.35 of the torso length, the root mean square of the shoulder-to-hip distances of the
sides that are visible. A picture whose known pose has neither is left out and counted.
This is not PCKh of the data set MPII, whose head size is that of an annotated box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import KEYPOINT_NAMES, InputError, K, Keypoints

ALPHA = 0.5
TORSO_TO_HEAD = 0.35
_NOSE, _NECK = 0, 1
_SIDES = ((2, 8), (5, 11))


@dataclass(frozen=True, eq=False)
class Agreement:
    """Counts per joint, int (18,): visible in the known pose; found near enough; added by mistake.

    `pictures` were compared, `skipped` have no head size.
    """

    visible: NDArray[np.int64]
    found: NDArray[np.int64]
    missed: NDArray[np.int64]
    added: NDArray[np.int64]
    pictures: int
    skipped: int

    @property
    def pckh(self) -> float:
        """Share of all visible joints that were found, 0 to 1; NaN where there are none."""
        total = int(self.visible.sum())
        return int(self.found.sum()) / total if total else float("nan")


def head_size(known: Keypoints) -> float:
    """Return the head size of a known pose in pixels; NaN where it has none above 0."""
    size = float("nan")
    if known.visible[_NOSE] and known.visible[_NECK]:
        size = float(np.linalg.norm(known.xy[_NOSE] - known.xy[_NECK]))
    else:
        sides = [pair for pair in _SIDES if known.visible[list(pair)].all()]
        lengths = [float(np.linalg.norm(known.xy[a] - known.xy[b])) for a, b in sides]
        if lengths:
            size = TORSO_TO_HEAD * float(np.sqrt(np.mean(np.square(lengths))))
    return size if size > 0 else float("nan")


def joints_found(
    estimate: Keypoints, known: Keypoints, alpha: float = ALPHA
) -> NDArray[np.bool_] | None:
    """Return bool (18,): joints visible in both and at most `alpha` head sizes apart.

    The estimate is scaled to the frame of the known pose. None where that has no head size.
    """
    size = head_size(known)
    if not np.isfinite(size):
        return None
    places = estimate.resized(known.size).xy
    near = np.linalg.norm(places - known.xy, axis=1) <= alpha * size
    result: NDArray[np.bool_] = near & known.visible & estimate.visible
    return result


def agreement(pairs: Iterable[tuple[Keypoints, Keypoints]], alpha: float = ALPHA) -> Agreement:
    """Return the agreement of (estimate, known) pairs; InputError unless alpha is above 0."""
    if not alpha > 0:
        raise InputError(f"alpha {alpha} of PCKh, expected a number above 0")
    counts = np.zeros((4, K), dtype=np.int64)
    pictures = skipped = 0
    for estimate, known in pairs:
        found = joints_found(estimate, known, alpha)
        if found is None:
            skipped += 1
            continue
        pictures += 1
        counts += np.stack([
            known.visible, found, known.visible & ~estimate.visible,
            estimate.visible & ~known.visible,
        ])  # fmt: skip
    visible, found_total, missed, added = counts
    return Agreement(visible, found_total, missed, added, pictures, skipped)


def agreement_text(result: Agreement, alpha: float = ALPHA) -> str:
    """Return the table of an agreement: a line per joint, then all joints."""
    lines = [
        f"{'joint':16}{f'PCKh@{alpha:g}':>9}{'found':>8}{'visible':>9}{'missed':>8}{'added':>7}"
    ]
    columns = (result.found, result.visible, result.missed, result.added)
    rows = [*zip(KEYPOINT_NAMES, *columns, strict=True), ("all", *(c.sum() for c in columns))]
    for name, found, visible, missed, added in rows:
        share = f"{found / visible:.3f}" if visible else "-"
        lines.append(f"{name:16}{share:>9}{found:>8}{visible:>9}{missed:>8}{added:>7}")
    left_out = f"; {result.skipped} without a head size left out" if result.skipped else ""
    lines.append(f"{result.pictures} pictures{left_out}")
    return "\n".join(lines)
