"""Training settings of every preset and part: one table.

`paper` follows tencent-ailab/PCDMs:run_stage{1,2,3}.sh: batch over 8 GPUs, constant rate from the
first step (the warm-up there has no effect), no average of the weights. Its encoders and
autoencoder are pretrained and not trained here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pcdms.null_conditions import NullMode
from pcdms.training.critic import Balance
from pcdms.training.settings import TrainSettings

NETWORKS_OF: dict[str, tuple[str, ...]] = {
    "encoders": ("image_encoder", "source_encoder"),
    "autoencoder": ("vae",),
    "prior": ("prior",),
    "inpaint": ("inpaint",),
    "refine": ("refine",),
}
"""What `train --stage` accepts besides `all`, in the order of dependence, and what it trains."""


@dataclass(frozen=True)
class Recipe:
    """Settings per network and the options of the losses.

    `pairs` is how many training pairs are used (None: all); `known_weight`, `person_weight`,
    `noise_offset`, `drop`, `min_snr` are those of the losses and `null` the null condition that
    they teach; `predicted` says whether stage `inpaint` also sees the prior's embeddings;
    `coarse` says whose embedding the coarse pictures of stage `refine` are made from (`truth` as
    published, `prior` as in use), `coarse_pairs` (None: all) and `coarse_steps` their number and
    sampling steps, and `coarse_people` the seed of other embedded people to make them of: the
    coarse pictures of pairs that stage `inpaint` was trained on are better than those it makes of
    strangers. `refine_times` prefers time steps for stage `refine`, `simulated_from` and
    `simulated_weight` are those of `RefineLoss`. Networks in `critics` are trained with a critic,
    with this balance. Settings named `decoder` sharpen the autoencoder's decoder after its
    training. With `half` finished weights are stored as float16, so that later parts see what
    ships.
    """

    size: str
    pairs: int | None
    settings: dict[str, TrainSettings]
    known_weight: float = 1.0
    person_weight: float = 0.0
    noise_offset: float = 0.1
    drop: float = 0.1
    min_snr: float | None = None
    null: NullMode = "published"
    predicted: bool = False
    coarse: str = "prior"
    coarse_pairs: int | None = None
    coarse_steps: int = 20
    coarse_people: int | None = None
    refine_times: Mapping[int, float] = field(default_factory=dict)
    simulated_from: int | None = None
    simulated_weight: float = 1.0
    critics: Mapping[str, Balance] = field(default_factory=dict)
    half: bool = False


def _published(
    steps: int, batch_size: int, rate: float, max_grad_norm: float = 1.0
) -> TrainSettings:
    return TrainSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=rate,
        max_grad_norm=max_grad_norm,
        warmup=0,
        schedule="constant",
        ema_decay=0.0,
        seed=42,
        save_every=5000,
    )


def _against_critic(steps: int, batch_size: int) -> TrainSettings:
    """Return settings with little momentum, which two networks against each other need.

    Source: arXiv 1511.06434, section 4, for the first of AdamW's betas.
    """
    return TrainSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=5e-4,
        beta1=0.5,
        beta2=0.99,
        ema_decay=0.998,
    )


RECIPES: dict[str, Recipe] = {
    "tiny": Recipe(
        size="full",
        pairs=12_000,
        settings={
            "image_encoder": TrainSettings(steps=700, batch_size=32, learning_rate=1e-3),
            "source_encoder": TrainSettings(steps=500, batch_size=32, learning_rate=1e-3),
            "vae": TrainSettings(steps=1600, batch_size=8, learning_rate=1e-3),
            "decoder": _against_critic(steps=3500, batch_size=16),
            "prior": TrainSettings(steps=3000, batch_size=128, learning_rate=5e-4),
            "inpaint": TrainSettings(steps=9500, batch_size=16, learning_rate=5e-4),
            "refine": _against_critic(steps=8800, batch_size=16),
        },
        known_weight=0.05,
        person_weight=1.0,
        noise_offset=0.0,
        predicted=True,
        coarse_pairs=6_400,
        coarse_steps=2,
        coarse_people=1,
        refine_times={999: 0.3, 500: 0.64},
        simulated_from=999,
        simulated_weight=0.1,
        critics={"decoder": Balance(1.2, 0.7), "refine": Balance(2.8, 0.8, 1.0)},
        half=True,
    ),
    "paper": Recipe(
        size="full",
        pairs=None,
        settings={
            "prior": _published(steps=100_000, batch_size=1024, rate=1e-5, max_grad_norm=10.0),
            "inpaint": _published(steps=1_000_000, batch_size=64, rate=1e-4),
            "refine": _published(steps=1_000_000, batch_size=128, rate=1e-5),
        },
        null="trained",
        coarse="truth",
    ),
}
"""Recipes by the name of their preset."""
