"""The training of DPTN from pairs: networks, loss and rows of a preset, and what ships of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from pcdms_baselines.dptn.features import load_vgg19
from pcdms_baselines.dptn.losses import DptnLoss, DptnTraining
from pcdms_baselines.dptn.presets import PRESETS, new_networks
from pcdms_baselines.dptn.sampling import RECIPE
from pcdms_baselines.dptn.training_rows import PairRows
from pcdms_baselines.training import Aid, Aids, Size, Training, check_canvas
from pcdms_data.types import Pair

NEEDS: Mapping[str, tuple[Aid, ...]] = {"tiny": (), "paper": ("perceptual",)}


def prepare(preset: str, pairs: Sequence[Pair], frame: Size, aids: Aids) -> Training:
    """Return the training of a preset on pictures of `frame`; `tiny` works on the frame itself."""
    chosen = PRESETS[preset]
    canvas = frame if preset == "tiny" else RECIPE.form.canvases.get(frame, frame)
    check_canvas(canvas, 2 ** len(chosen.widths))
    features = load_vgg19(aids.perceptual).to(aids.device) if aids.perceptual else None

    def export(module: nn.Module) -> tuple[Mapping[str, Tensor], Mapping[str, object]]:
        assert isinstance(module, DptnTraining)
        generator = module.generator
        config = {"frame": frame, "canvas": canvas, "heads": generator.heads}
        return generator.state_dict(), config

    return Training(
        new_networks(chosen),
        DptnLoss(chosen.weights, features),
        PairRows(list(pairs), frame, canvas),
        export,
    )
