"""CFLD's networks: the conditions of a picture, and the UNet that takes them.

Source: YanzuoLu/CFLD:models/*.py; arXiv 2402.18078. The names of the parts are those of the
published files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from pcdms_baselines.cfld.ancestral import PUBLISHED_SCHEDULE, Schedule
from pcdms_baselines.cfld.appearance import AppearanceEncoder
from pcdms_baselines.cfld.decoder import Decoder
from pcdms_baselines.cfld.pose_encoder import PoseEncoder
from pcdms_baselines.cfld.swin import Swin
from pcdms_baselines.cfld.unet import predict


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the UNet gets: `tokens` (B, Q, D) in place of a text, and residuals.

    `pose`: maps (B, C, h, w) for the UNet's way down, the finest first. `appearance`: tokens
    (B, h * w, C) for the queries of its way up, those of the last cross attention first.
    """

    tokens: Tensor
    pose: Sequence[Tensor]
    appearance: Sequence[Tensor]


class ConditionNetwork(nn.Module):
    """Source picture and target pose -> the UNet's conditions.

    Without arguments the published network: 237,902,392 parameters. `learnable_vector` (1, Q, D)
    are the tokens of no picture.
    """

    def __init__(
        self,
        backbone: Swin | None = None,
        appearance_encoder: AppearanceEncoder | None = None,
        pose_encoder: PoseEncoder | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone or Swin()
        self.appearance_encoder = appearance_encoder or AppearanceEncoder()
        self.pose_encoder = pose_encoder or PoseEncoder()
        self.decoder = decoder or Decoder()
        self.learnable_vector = nn.Parameter(torch.randn(1, *self.decoder.query_feat.shape))

    def forward(self, source: Tensor, pose: Tensor) -> Conditions:
        """Return the conditions of `source` (B, 3, H, W) in [-1, 1] and `pose` (B, 21, H, W).

        Of n * B poses each source gets those at its place, and the conditions have n * B rows.
        """
        features = self.backbone(source)
        poses = len(pose) // len(source)
        tokens = self.decoder(features[-1].flatten(2).transpose(1, 2))
        return Conditions(
            tokens=tokens.repeat(poses, 1, 1),
            pose=self.pose_encoder(pose),
            appearance=[part.repeat(poses, 1, 1) for part in self.appearance_encoder(features)],
        )


class Cfld(ConditionNetwork):
    """The condition network with its UNet as `model`: both published files in one.

    `schedule` says what the UNet predicts.
    """

    def __init__(
        self,
        condition: ConditionNetwork,
        unet: UNet2DConditionModel,
        schedule: Schedule = PUBLISHED_SCHEDULE,
    ) -> None:
        super().__init__(
            condition.backbone,
            condition.appearance_encoder,
            condition.pose_encoder,
            condition.decoder,
        )
        self.model, self.schedule = unet, schedule

    def predict(self, latents: Tensor, time: Tensor, given: Conditions) -> Tensor:
        """Return the UNet's output (B, C, h, w) under conditions for as many rows."""
        return predict(self.model, latents, time, given.tokens, given.pose, given.appearance)

    def branches(self, given: Conditions) -> Conditions:
        """Return the conditions of the three guidance branches, one after the other (3B rows).

        First the learnable vector alone, then with the pose, then everything.
        """
        rows = len(given.tokens)
        nothing = self.learnable_vector.to(given.tokens.dtype).expand(2 * rows, -1, -1)
        return Conditions(
            tokens=torch.cat([nothing, given.tokens]),
            pose=[torch.cat([torch.zeros_like(part), part, part]) for part in given.pose],
            appearance=[
                torch.cat([part.new_zeros(2 * rows, *part.shape[1:]), part])
                for part in given.appearance
            ],
        )
