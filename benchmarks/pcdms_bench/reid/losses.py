"""The training loss: smoothed classes plus batch-hard triplets, on batches of persons.

A row of the training is a person; the loss draws its pictures and how they are changed, so that an
interrupted training goes on exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

from pcdms.training.losses import Table, device_of
from pcdms_bench.reid.network import ReidNetwork
from pcdms_bench.reid.recipe import ReidRecipe

SMOOTHING = 0.1
MARGIN = 0.3
FLIPPED = 0.5
"""Probability of a mirrored picture."""
ERASED = 0.5
"""Probability of an erased rectangle."""
ERASED_AREA, ERASED_SHAPE = (0.02, 0.4), (0.3, 1 / 0.3)
"""Limits of the rectangle's share of the picture, and of its height over width.

All from michuanhaohao/reid-strong-baseline:config/defaults.py and data/transforms/transforms.py."""


class ReidLoss:
    """Called with person numbers (P,): draws `recipe.pictures` pictures of each and compares them.

    `pictures` is a table of uint8 (N, 3, H, W) in the recipe's frame, `persons` the number of each
    picture's person. A person with fewer pictures than wanted shows some of them again.
    """

    def __init__(self, pictures: Table, persons: Sequence[int], recipe: ReidRecipe) -> None:
        self.pictures, self.each = pictures, recipe.pictures
        count = max(persons) + 1
        self.rows: list[list[int]] = [[] for _ in range(count)]
        for row, person in enumerate(persons):
            self.rows[person].append(row)
        self._move = v2.Compose(
            [
                v2.RandomHorizontalFlip(FLIPPED),
                v2.Pad(recipe.padding),
                v2.RandomCrop(recipe.frame),
            ]
        )
        self._erase = v2.RandomErasing(ERASED, scale=ERASED_AREA, ratio=ERASED_SHAPE, value=0)

    def __len__(self) -> int:
        """Number of persons: the rows of an epoch."""
        return len(self.rows)

    def draw(self, persons: Tensor, generator: torch.Generator) -> Tensor:
        """Return the rows (P * K,) of K pictures of each person."""
        drawn: list[int] = []
        for person in persons.tolist():
            own = self.rows[person]
            order = torch.randperm(len(own), generator=generator)
            if len(own) < self.each:
                order = torch.randint(len(own), (self.each,), generator=generator)
            drawn += [own[place] for place in order[: self.each].tolist()]
        return torch.tensor(drawn)

    def __call__(self, module: nn.Module, persons: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch of persons, a scalar."""
        assert isinstance(module, ReidNetwork)
        device = device_of(module)
        pictures = self.pictures[self.draw(persons, generator)]
        labels = persons.repeat_interleave(self.each).to(device)
        # torchvision draws from the global generator, which the loop seeds in every step.
        moved = torch.stack([self._move(picture) for picture in pictures])
        inputs = module.normalised(moved.to(device))
        inputs = torch.stack([self._erase(picture) for picture in inputs])
        features, scores = module(inputs)
        classes = functional.cross_entropy(scores, labels, label_smoothing=SMOOTHING)
        return classes + triplet_loss(features, labels)


def triplet_loss(features: Tensor, labels: Tensor, margin: float = MARGIN) -> Tensor:
    """Return the batch-hard triplet loss of features (B, D) with person numbers (B,), a scalar.

    For each picture the farthest of its person must be nearer, by `margin`, than the nearest of
    another person; a batch of one person has nothing to compare and gives 0. Source: Hermans et
    al., In Defense of the Triplet Loss, 2017, equation 5; Euclidean distances, not squared.
    """
    distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, None] == labels[None, :]
    if bool(same.all()):
        return features.sum() * 0
    farthest = distance.masked_fill(~same, -1).amax(1)
    nearest = distance.masked_fill(same, float("inf")).amin(1)
    return functional.relu(farthest - nearest + margin).mean()
