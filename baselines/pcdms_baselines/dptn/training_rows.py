"""Training rows of DPTN, made from pairs when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pcdms_baselines.dptn.losses import Rows
from pcdms_baselines.dptn.sampling import squeezed
from pcdms_baselines.heat_maps import gaussian_maps
from pcdms_baselines.learned import to_planes
from pcdms_data.images import load_picture
from pcdms_data.types import Pair, Picture


class PairRows:
    """Row i is pair i: pictures of `frame` = (H, W), squeezed onto `canvas`, and heat maps."""

    def __init__(
        self, pairs: Sequence[Pair], frame: tuple[int, int], canvas: tuple[int, int]
    ) -> None:
        self.pairs, self.frame, self.canvas = pairs, frame, canvas

    def __len__(self) -> int:
        return len(self.pairs)

    def fetch(self, rows: Tensor) -> Rows:
        """Return the rows with these numbers (B,), float32."""
        chosen = [self.pairs[row] for row in rows.tolist()]
        return Rows(
            source=self._pictures([pair.source for pair in chosen]),
            target=self._pictures([pair.target for pair in chosen]),
            pose_source=_stacked([gaussian_maps(p.source_pose, self.canvas) for p in chosen]),
            pose_target=_stacked([gaussian_maps(p.target_pose, self.canvas) for p in chosen]),
        )

    def _pictures(self, pictures: list[Picture]) -> Tensor:
        loaded = [load_picture(picture, self.frame) for picture in pictures]
        return _stacked([to_planes(squeezed(pixels, self.canvas)) for pixels in loaded])


def _stacked(maps: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(maps))
