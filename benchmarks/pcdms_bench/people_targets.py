"""What the small encoders learn from the embedded people: labels that only a renderer knows."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from pcdms.training.encoder_loss import EncoderTargets
from pcdms_bench.training_pictures import TrainingPictures, picture_poses
from pcdms_data.images import load_labels
from pcdms_data.people.identity import (
    BAGS,
    BOTTOMS,
    LOGOS,
    PATTERNS,
    Identity,
    sample_identity,
)
from pcdms_data.people.presets import FIRST_INDEX, LOOK_OF, PRESETS

THUMBNAIL = (12, 8)
SLEEVES = (0.0, 0.55, 1.0, 2.0)


def _classes(person: Identity) -> tuple[int, ...]:
    return (
        BOTTOMS.index(person.bottom_kind),
        PATTERNS.index(person.top.pattern),
        PATTERNS.index(person.bottom.pattern),
        SLEEVES.index(person.sleeve),
        person.hair_length,
        BAGS.index(person.bag),
        LOGOS.index(person.front.kind),
        int(person.female),
    )


_CLASS_SIZES = (
    len(BOTTOMS), len(PATTERNS), len(PATTERNS), len(SLEEVES), 3, len(BAGS), len(LOGOS), 2,
)  # fmt: skip


def _values(person: Identity) -> tuple[float, ...]:
    return (
        *person.skin,
        *person.hair,
        *person.top.first,
        *person.top.second,
        *person.bottom.first,
        *person.bottom.second,
        *person.shoes,
        person.leg_length / 2,
        person.hem,
        person.backdrop,
    )


def people_targets(
    pictures: TrainingPictures, dataset: str, size: str, side: int, seed: int = 0
) -> tuple[EncoderTargets, torch.Tensor]:
    """Return the training targets of all pictures, and the views int64 (I, 2) of each identity.

    `side` is the width of the square label maps. An identity's rows are repeated until all have the
    same number of views; identities with a single picture are left out of the views.
    """
    views_each = PRESETS[size].views
    numbers = np.array([picture.row // views_each for picture in pictures.handles])
    people = {
        number: sample_identity(seed, FIRST_INDEX["train"] + int(number), LOOK_OF[dataset])
        for number in np.unique(numbers)
    }
    parts = np.zeros((len(numbers), side, side), dtype=np.uint8)
    for row, mask in enumerate(pictures.masks):
        if mask is not None:
            parts[row] = load_labels(mask, (side, side))
    pixels = pictures.pixels[torch.arange(len(numbers))].float() / 255
    visible = np.stack([k.visible for k in pictures.keypoints])
    identity = torch.from_numpy(np.unique(numbers, return_inverse=True)[1].astype(np.int64))
    targets = EncoderTargets(
        identity=identity,
        classes=torch.tensor([_classes(people[n]) for n in numbers]),
        class_sizes=_CLASS_SIZES,
        values=torch.tensor([_values(people[n]) for n in numbers], dtype=torch.float32),
        pose=picture_poses(pictures.keypoints),
        visible=torch.from_numpy(visible),
        thumbnail=functional.adaptive_avg_pool2d(pixels, THUMBNAIL),
        parts=torch.from_numpy(parts),
    )
    rows_of: dict[int, list[int]] = {}
    for row, number in enumerate(numbers.tolist()):
        rows_of.setdefault(number, []).append(row)
    views = [(rows * views_each)[:views_each] for rows in rows_of.values() if len(rows) > 1]
    return targets, torch.tensor(views)
