"""The training of PIDM from pairs: network, loss and rows of a preset, and what ships of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from torch import Tensor, nn

from pcdms_baselines.pidm.canvas import patch_of
from pcdms_baselines.pidm.diffusion import Diffusion
from pcdms_baselines.pidm.losses import PidmLoss
from pcdms_baselines.pidm.presets import PRESETS, new_network
from pcdms_baselines.pidm.sampling import RECIPE
from pcdms_baselines.pidm.training_rows import PairRows
from pcdms_baselines.training import Aid, Aids, Size, Training, check_canvas
from pcdms_data.types import Pair

NEEDS: Mapping[str, tuple[Aid, ...]] = {"tiny": (), "paper": ()}


def prepare(preset: str, pairs: Sequence[Pair], frame: Size, aids: Aids) -> Training:
    """Return the training of a preset on pictures of `frame`; `tiny` works on the frame itself."""
    chosen = PRESETS[preset]
    canvas = frame if preset == "tiny" else RECIPE.form.canvases.get(frame, frame)
    patch = patch_of(chosen.shape.picture)
    check_canvas(canvas, patch * 2 ** (len(chosen.shape.widths) - 1))

    def export(module: nn.Module) -> tuple[Mapping[str, Tensor], Mapping[str, object]]:
        config = {
            "frame": frame, "canvas": canvas, **asdict(chosen.process),
            "steps": chosen.steps, "guidance": chosen.guidance,
        }  # fmt: skip
        return module.state_dict(), config

    return Training(
        new_network(chosen),
        PidmLoss(Diffusion(chosen.process), mirror=chosen.mirror),
        PairRows(list(pairs), frame, canvas, patch),
        export,
    )
