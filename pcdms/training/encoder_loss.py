"""Training of the small encoders: identity with contrast, garments, pose, and what stands where.

No pretrained encoder of this size exists, so the tiny preset trains its own on the embedded people
and its results name it so. Contrast follows supervised contrastive learning (arXiv 2004.11362).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcdms.training.losses import device_of


@dataclass(frozen=True, eq=False)
class EncoderTargets:
    """What each of N pictures shows.

    `identity` int64 (N,), `classes` int64 (N, G) with `class_sizes`, `values` float (N, A) such as
    garment colours, `pose` (N, 2K) in [0, 1], `visible` bool (N, K), `thumbnail` float
    (N, 3, 12, 8) in [0, 1], `parts` uint8 (N, S, S) body part of each pixel.
    """

    identity: Tensor
    classes: Tensor
    class_sizes: tuple[int, ...]
    values: Tensor
    pose: Tensor
    visible: Tensor
    thumbnail: Tensor
    parts: Tensor


class EncoderHeads(nn.Module):
    """An encoder with the linear heads that its training needs; only the encoder is kept.

    `tokens` says whether dense heads (patch pixels, body parts) are trained on the patch tokens.
    """

    def __init__(
        self, encoder: nn.Module, width: int, targets: EncoderTargets, patch: int, tokens: bool
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = tokens
        joints = targets.visible.shape[1]
        self.contrast = nn.Linear(width, 64)
        self.classes = nn.ModuleList(nn.Linear(width, size) for size in targets.class_sizes)
        self.values = nn.Linear(width, targets.values.shape[1])
        self.pose = nn.Linear(width, 2 * joints)
        self.visible = nn.Linear(width, joints)
        self.thumbnail = nn.Linear(width, targets.thumbnail[0].numel())
        if tokens:
            self.patches = nn.Linear(width, 3 * patch * patch)
            self.parts = nn.Linear(width, 16 * (patch // 4) ** 2)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the global vector (B, width) and the patch tokens (B, T, width) or None."""
        out: Any = self.encoder(pixel_values=pixels)
        if self.tokens:
            hidden = out.last_hidden_state
            return hidden[:, 0], hidden[:, 1:]
        return out.image_embeds, None


def contrast_loss(vectors: Tensor, identity: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the supervised contrastive loss of vectors (B, d): views of one identity attract."""
    unit = functional.normalize(vectors.float(), dim=-1)
    eye = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    logits = (unit @ unit.T / temperature).masked_fill(eye, -1e4)
    same = (identity[:, None] == identity[None]) & ~eye
    log_share = logits - logits.logsumexp(dim=1, keepdim=True)
    counted = same.sum(1).clamp(min=1)
    return -(torch.where(same, log_share, 0.0).sum(1) / counted)[same.any(1)].mean()


class EncoderLoss:
    """Sum of the heads' losses. Rows are identities: two views of each are drawn per step.

    `pixels` (N, 3, S, S) uint8 are the encoder's square pictures, normalised inside.
    """

    def __init__(
        self,
        pixels: Tensor,
        targets: EncoderTargets,
        views: Tensor,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        patch: int,
    ) -> None:
        self.pixels, self.targets, self.views = pixels, targets, views
        self.mean = torch.tensor(mean).reshape(1, 3, 1, 1)
        self.std = torch.tensor(std).reshape(1, 3, 1, 1)
        self.patch = patch

    def __call__(self, module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of two views of each identity in `rows`; `views` is int64 (I, V)."""
        count = self.views.shape[1]
        pick = torch.rand((len(rows), count), generator=generator).argsort(1)[:, :2]
        index = self.views[rows].gather(1, pick).reshape(-1)
        device = device_of(module)
        raw = self.pixels[index].to(device).float() / 255
        heads: Any = module
        vector, tokens = module((raw - self.mean.to(device)) / self.std.to(device))
        t = self.targets
        loss = 0.5 * contrast_loss(heads.contrast(vector), t.identity[index].to(device))
        for column, head in enumerate(heads.classes):
            loss = loss + 0.1 * functional.cross_entropy(
                head(vector).float(), t.classes[index, column].to(device)
            )
        values = t.values[index].to(device)
        loss = loss + 4.0 * functional.mse_loss(heads.values(vector).float(), values)
        visible = t.visible[index].float().to(device)
        joints = (heads.pose(vector).float() - t.pose[index].to(device)).reshape(len(index), -1, 2)
        loss = loss + 8.0 * (joints.square().sum(-1) * visible).sum() / visible.sum()
        loss = loss + 0.3 * functional.binary_cross_entropy_with_logits(
            heads.visible(vector).float(), visible
        )
        small = t.thumbnail[index].flatten(1).to(device)
        loss = loss + 8.0 * functional.mse_loss(heads.thumbnail(vector).float(), small)
        if tokens is not None:
            loss = loss + self._dense(heads, tokens, raw, index)
        return loss

    def _dense(self, heads: Any, tokens: Tensor, raw: Tensor, index: Tensor) -> Tensor:
        """Return the losses of the patch tokens: their own pixels, and body parts at 4 px."""
        own = functional.unfold(raw, self.patch, stride=self.patch).transpose(1, 2)
        loss = 8.0 * functional.mse_loss(heads.patches(tokens).float(), own)
        cells = self.patch // 4
        labels = self.targets.parts[index][:, 2::4, 2::4].to(raw.device).float()[:, None]
        labels = functional.unfold(labels, cells, stride=cells).transpose(1, 2).long()
        logits = heads.parts(tokens).float().reshape(*labels.shape, 16)
        return loss + 0.5 * functional.cross_entropy(logits.flatten(0, 2), labels.flatten())
