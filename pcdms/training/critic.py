"""A critic beside a network, which learns to tell its output from the truth and so sharpens it.

A squared error alone ends at the mean of all that is possible, which is blurred. Here the network
also follows two gradients of a small critic: towards being taken for real, and towards the true
output's features in the critic; and, where one is given, a third towards its features in a frozen
network. Each is scaled to a share of the error's own gradient at the network's output, so that no
weight has to be found for another network, loss or resolution.
Not in the published training. Sources: patches (arXiv 1611.07004), hinge loss (arXiv 1705.02894),
matched features (arXiv 1711.11585; of a frozen network: arXiv 1603.08155), spectral norms (arXiv
1802.05957), balanced gradients (arXiv 2012.09841, section 3.2, there at the last layer).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

_TINY = 1e-8

Features = Callable[[Tensor], Sequence[Tensor]]
"""Outputs (B, C, h, w) -> tensors of features, differentiable, by a network that stays as it is."""


class Critic(nn.Module):
    """Convolutions over (B, `inputs`, h, w): a map of scores (above 0: real) and all features.

    `channels` and `strides` (1 or 2) describe the layers; a spectral norm keeps each one's gain at
    one or below.
    """

    def __init__(
        self,
        inputs: int,
        channels: Sequence[int] = (32, 64, 96, 128),
        strides: Sequence[int] = (2, 2, 2, 1),
    ) -> None:
        super().__init__()
        widths = [inputs, *channels]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4 if stride == 2 else 3, stride, 1))
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, values: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return scores (B, 1, h', w') and the features of every layer."""
        features = []
        for layer in self.layers:
            values = functional.leaky_relu(layer(values), 0.2)
            features.append(values)
        return self.score(values), features


class WithCritic(nn.Module):
    """A network and its critic, trained as one module; only the network is kept."""

    def __init__(self, network: nn.Module, critic: Critic) -> None:
        super().__init__()
        self.network, self.critic = network, critic

    def forward(self, *inputs: Any) -> Any:
        """Return the network's output."""
        return self.network(*inputs)


@dataclass(frozen=True)
class Balance:
    """How strong the further gradients are, as shares of the error's at the network's output.

    `realism` is towards being taken for real, `likeness` towards the true output's features in the
    critic, `features` towards those in a frozen network.
    """

    realism: float = 0.7
    likeness: float = 0.7
    features: float = 0.0


def critic_loss(
    critic: Critic,
    out: Tensor,
    wanted: Tensor,
    error: Callable[[Tensor], Tensor],
    condition: Tensor | None = None,
    balance: Balance | None = None,
    features: Features | None = None,
) -> Tensor:
    """Return a scalar that trains the network behind `out` and the critic in one backward pass.

    Its value is `error(out)` plus the critic's hinge loss. `out` and `wanted` are (B, C, h, w);
    `condition` (B, D, h, w) is shown to the critic with both, so that it learns which outputs fit.
    `features` is the frozen network of `balance.features`, asked only where that share is not 0.
    """
    balance = balance or Balance()

    def seen(values: Tensor) -> Tensor:
        return values if condition is None else torch.cat([values, condition], dim=1)

    critic.requires_grad_(False)
    leaf = out.detach().float().requires_grad_(True)
    value = error(leaf)
    (direction,) = torch.autograd.grad(value, leaf)
    strength = direction.norm()
    score, found = critic(seen(leaf))
    with torch.no_grad():
        _, sought = critic(seen(wanted))
    terms = [
        (balance.realism, -score.float().mean()),
        (balance.likeness, _unlikeness(found, sought)),
    ]
    if balance.features and features is not None:
        with torch.no_grad():
            sought = features(wanted)
        pairs = zip(features(leaf), sought, strict=True)
        parts = [(mine - true).abs().mean() for mine, true in pairs]
        terms.append((balance.features, torch.stack(parts).sum()))
    for share, term in terms:
        (gradient,) = torch.autograd.grad(term, leaf, retain_graph=True)
        direction = direction + share * strength / (gradient.norm() + _TINY) * gradient
    critic.requires_grad_(True)
    real, _ = critic(seen(wanted))
    made, _ = critic(seen(leaf.detach()))
    hinge = functional.relu(1 - real.float()).mean() + functional.relu(1 + made.float()).mean()
    carrier = (out.float() * direction).sum()  # its gradient at `out` is `direction`
    return value.detach() + (carrier - carrier.detach()) + hinge


def _unlikeness(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of the features, relative to the wanted ones' size."""
    parts = [
        (mine - true).abs().float().mean() / (true.abs().float().mean() + 1e-4)
        for mine, true in zip(features, wanted, strict=True)
    ]
    return torch.stack(parts).sum()
