"""Names in the published checkpoints: which stage a file belongs to, and what does not fit.

Source: tencent-ailab/PCDMs: names of the modules in the training scripts of each stage and, for the
demo, pcdms_kaggle_demo.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from torch import Tensor

PublishedStage = Literal["prior", "inpaint", "refine", "demo"]
STAGES: tuple[PublishedStage, ...] = get_args(PublishedStage)

DEMO_PROJECTION, PROJECTION = "image_proj_model.", "image_proj_model_p."
LISTED = 60
"""Names of each kind that a report spells out."""


def renamed(state: Mapping[str, Tensor], stage: PublishedStage) -> dict[str, Tensor]:
    """Return the weights under this package's names: only the demo's projection differs."""
    if stage != "demo":
        return dict(state)
    return {
        PROJECTION + key.removeprefix(DEMO_PROJECTION) if key.startswith(DEMO_PROJECTION) else key:
        value
        for key, value in state.items()
    }  # fmt: skip


def likely_stage(keys: Iterable[str]) -> PublishedStage | None:
    """Return the stage whose names these are, None where it is none of them."""
    names = list(keys)
    if any(key.startswith("transformer_blocks.") for key in names):
        return "prior"
    if not any(key.startswith("unet.") for key in names):
        return None
    if not any(key.startswith("pose_proj.") for key in names):
        return "refine"
    return "demo" if any(key.startswith(DEMO_PROJECTION) for key in names) else "inpaint"


def report(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return one line on missing, surplus and misshapen weights, empty where everything fits."""
    missing = [key for key in expected if key not in state]
    surplus = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    parts = []
    for word, names in (("missing", missing), ("surplus", surplus), ("misshapen", misshapen)):
        if names:
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            parts.append(f"{len(names)} {word}: {', '.join(names[:LISTED])}{more}")
    return "; ".join(parts)
