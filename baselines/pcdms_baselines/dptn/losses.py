"""The losses of DPTN: pixels, perception and an adversary, for both of its tasks.

Source: PangzeCheung/Dual-task-Pose-Transformer-Network:models/DPTN_model.py, options/*; arXiv
2203.07910.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from pcdms_baselines.dptn.discriminator import DptnDiscriminator
from pcdms_baselines.dptn.features import CONTENT, STYLE
from pcdms_baselines.dptn.network import DptnGenerator


@dataclass(frozen=True)
class Weights:
    """Weights of the terms; `target_share` of the target task, the rest is the reconstruction's."""

    pixels: float = 5.0
    content: float = 0.5
    style: float = 500.0
    adversary: float = 2.0
    target_share: float = 0.5


FASHION = Weights()
MARKET = Weights(pixels=2.0, adversary=5.0, target_share=0.8)


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows: pictures (B, 3, H, W) in [-1, 1] and heat maps (B, P, H, W)."""

    source: Tensor
    target: Tensor
    pose_source: Tensor
    pose_target: Tensor


class DptnTraining(nn.Module):
    """Generator and, where an adversary takes part, discriminator: what one training changes."""

    def __init__(self, generator: DptnGenerator, discriminator: DptnDiscriminator | None) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator


class DptnLoss:
    """(module, rows, generator of randomness) -> the loss; nothing is drawn at random.

    Generator and discriminator learn in one backward pass: what trains one holds the other still.
    Both then share an optimiser, unlike the published training, whose discriminator has a tenth of
    the rate. `features` is a frozen network that returns {layer: activations}; without one the
    content and style terms are left out.
    """

    def __init__(self, weights: Weights = FASHION, features: nn.Module | None = None) -> None:
        self.weights, self.features = weights, features

    def __call__(self, module: nn.Module, rows: Any, generator: torch.Generator) -> Tensor:
        """Return the scalar loss of `rows`, the mean over them."""
        assert isinstance(module, DptnTraining)
        device = next(module.parameters()).device
        source, target, own, other = (
            maps.to(device)
            for maps in (rows.source, rows.target, rows.pose_source, rows.pose_target)
        )
        made, rebuilt = module.generator.both_tasks(source, own, other)
        share = self.weights.target_share
        total = share * self._likeness(made, target) + (1 - share) * self._likeness(rebuilt, source)
        judge = module.discriminator
        if judge is not None and self.weights.adversary:
            total = total + self.weights.adversary * fooling(judge, made)
            total = total + judging(judge, target, made)
        return total

    def _likeness(self, made: Tensor, true: Tensor) -> Tensor:
        """Return how far a picture is from the true one, in pixels and in features."""
        total = self.weights.pixels * F.l1_loss(made, true)
        if self.features is None:
            return total
        mine = self.features(made)
        with torch.no_grad():
            wanted = self.features(true)
        for layer in CONTENT:
            total = total + self.weights.content * F.l1_loss(mine[layer], wanted[layer])
        for layer in STYLE:
            grams = gram(mine[layer]), gram(wanted[layer])
            total = total + self.weights.style * F.l1_loss(*grams)
        return total


def gram(features: Tensor) -> Tensor:
    """Return the products of all pairs of channels (B, C, C), divided by C * h * w."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def fooling(judge: nn.Module, made: Tensor) -> Tensor:
    """Return how far made pictures are from being taken for real (least squares), judge held."""
    held = {name: value.detach() for name, value in judge.named_parameters()}
    scores: Tensor = functional_call(judge, held, (made,))
    return (scores - 1).square().mean()


def judging(judge: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """Return the judge's own error on real and on made pictures (least squares), generator held."""
    right, wrong = judge(real), judge(made.detach())
    error: Tensor = 0.5 * ((right - 1).square().mean() + wrong.square().mean())
    return error
