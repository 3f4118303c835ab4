"""The Inception of 2015-12-05 as torch-fidelity runs it: the only network of the metric `fid`."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from pcdms_data.types import InputError

WIDTH = 2048


def load_inception(path: Path) -> nn.Module:
    """Return torch-fidelity's extractor of the 2048 pooled features with the weights of `path`.

    It takes uint8 (B, 3, H, W), resizes to 299x299 in its own TensorFlow manner and returns a
    tuple with one float32 (B, 2048). Raises InputError on a file that is no plain state dict, and
    on missing or surplus keys and wrong shapes.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} is not a plain state dict: {type(error).__name__}") from error
    # The library loads its file with full pickle rights, so it gets a copy of what was checked.
    checked = io.BytesIO()
    torch.save(state, checked)
    checked.seek(0)
    try:
        network: nn.Module = FeatureExtractorInceptionV3(
            "inception-v3-compat", [str(WIDTH)], feature_extractor_weights_path=checked
        )
    except RuntimeError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    return network.eval().requires_grad_(False)
