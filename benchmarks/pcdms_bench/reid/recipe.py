"""The two sizes of the re-identification network and how each is trained.

`paper` is the strong baseline of Luo et al. (Bag of Tricks and a Strong Baseline for Deep Person
Re-identification, CVPR workshops 2019; michuanhaohao/reid-strong-baseline, softmax_triplet.yml):
ResNet-50 with the last stride at 1, batch-norm neck, 256x128 pictures, 16 persons x 4 pictures a
step, cross entropy with smoothed labels plus batch-hard triplets, 3.5e-4, 120 epochs of about 200
steps. What differs, as the project's own training loop is used:

- The rate falls as a cosine after the linear warm-up; there it is divided by 10 after epochs 40
  and 70. The warm-up begins at 1/2000 of the rate; there at a hundredth.
- AdamW, whose weight decay does not pass through the gradients; there Adam with an L2 term of 5e-4.
- Every person comes equally often; there persons with more pictures come more often. Each cell
  takes the same number of steps, whatever the number of its pictures.
- Erased rectangles get the mean colour; there a constant near it. Pictures are resized by a bicubic
  filter; there by a bilinear one. No centre loss (an option there).

`tiny` has one basic block a stage at 64x32 and trains a cell in some 20 seconds on a CPU. Its
scores compare with nobody else's.
"""

from __future__ import annotations

from dataclasses import dataclass

from pcdms.training.settings import TrainSettings

NEVER_CLIPPED = 1e6
"""A gradient norm that no step reaches: the published training does not clip."""


@dataclass(frozen=True)
class ReidRecipe:
    """`network` and input `frame` (H, W), `pictures` of each person a step, and the training.

    `settings.batch_size` counts persons. `padding` pixels are put around a picture before it is
    cropped at random. `chunk` is the number of pictures a pass embeds.
    """

    network: str
    frame: tuple[int, int]
    pictures: int
    padding: int
    chunk: int
    settings: TrainSettings


RECIPES: dict[str, ReidRecipe] = {
    "tiny": ReidRecipe(
        "resnet10", (64, 32), 4, 3, 64,
        TrainSettings(
            steps=150, batch_size=8, learning_rate=1e-3, warmup=15, ema_decay=0.0,
            max_grad_norm=NEVER_CLIPPED, save_every=50, log_every=10,
        ),
    ),
    "paper": ReidRecipe(
        "resnet50", (256, 128), 4, 10, 128,
        TrainSettings(
            steps=24_000, batch_size=16, learning_rate=3.5e-4, warmup=2000, ema_decay=0.0,
            max_grad_norm=NEVER_CLIPPED, save_every=1000, log_every=100,
        ),
    ),
}  # fmt: skip
"""Recipes by `--preset`."""
