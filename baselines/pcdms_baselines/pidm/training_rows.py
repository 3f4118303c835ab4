"""Training rows of PIDM, made from pairs; pictures of a small set stay decoded in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pcdms_baselines.pidm.canvas import drawn_pose, pose_cells, squashed, to_cells
from pcdms_baselines.pidm.losses import Rows
from pcdms_data.images import load_picture
from pcdms_data.types import Keypoints, Pair, Picture

KEPT_BYTES = 2**30
"""Pictures and poses are kept, as grey levels, while a set of this size would hold them all."""


class PairRows:
    """Row i is pair i, row N + i the same pair turned round: both directions, as published.

    Pictures of `frame` = (H, W) are squashed onto `canvas` and cut into cells of `patch` pixels.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        frame: tuple[int, int],
        canvas: tuple[int, int],
        patch: int,
    ) -> None:
        self.pairs, self.frame, self.canvas, self.patch = pairs, frame, canvas, patch
        names = {picture.name for pair in pairs for picture in (pair.source, pair.target)}
        self._keeps = (
            len(names) * canvas[0] * canvas[1] * (3 + 20 // min(patch, 2) ** 2) <= KEPT_BYTES
        )
        self._kept: dict[tuple[str, str], Tensor] = {}

    def __len__(self) -> int:
        return 2 * len(self.pairs)

    def fetch(self, rows: Tensor) -> Rows:
        """Return the rows with these numbers (B,), float32."""
        sources, targets, poses = [], [], []
        for row in rows.tolist():
            pair = self.pairs[row % len(self.pairs)]
            ends = [(pair.source, pair.source_pose), (pair.target, pair.target_pose)]
            (source, _), (target, pose) = ends if row < len(self.pairs) else ends[::-1]
            sources.append(self._picture(source))
            targets.append(self._picture(target))
            poses.append(self._pose(target, pose))
        return Rows(
            to_cells(torch.stack(sources).float() / 127.5 - 1, self.patch),
            to_cells(torch.stack(targets).float() / 127.5 - 1, self.patch),
            torch.stack(poses).float() / 255,
        )

    def _picture(self, picture: Picture) -> Tensor:
        """Return a picture on the canvas, uint8 (3, H, W)."""

        def make() -> Tensor:
            planes = squashed(load_picture(picture, self.frame), self.canvas)
            return _levels(torch.from_numpy((planes + 1) / 2))

        return self._made_once(("picture", picture.name), make)

    def _pose(self, picture: Picture, pose: Keypoints) -> Tensor:
        """Return the skeleton in a picture averaged over cells, uint8 (20, h, w)."""

        def make() -> Tensor:
            maps = torch.from_numpy(drawn_pose(pose, self.canvas))
            return _levels(pose_cells(maps[None], self.patch)[0])

        return self._made_once(("pose", picture.name), make)

    def _made_once(self, key: tuple[str, str], make: Callable[[], Tensor]) -> Tensor:
        if key in self._kept:
            return self._kept[key]
        made = make()
        if self._keeps:
            self._kept[key] = made
        return made


def _levels(maps: Tensor) -> Tensor:
    """Return maps in [0, 1] as grey levels."""
    return (maps * 255).round().to(torch.uint8)
