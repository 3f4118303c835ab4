"""The two Inceptions behind Frechet distances, each fed only with checked weights.

`fid`: the network of 2015-12-05 as torch-fidelity runs it. `fid_paper`: torchvision's ImageNet
network with the input formula of the published scripts. Their numbers do not compare.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from pcdms_data.types import InputError

WIDTH = 2048
SIDE = 299
"""Height and width of the network's input."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRUNK = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1",
    "Conv2d_4a_3x3", "maxpool2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b",
    "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c",
)  # fmt: skip
"""torchvision's names of the layers up to the last feature map."""


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


class ImagenetInception(nn.Module):
    """torchvision's inception_v3 up to its pooled features, as six published scripts feed it.

    Pictures in [0, 1] are stretched to 299x299 without antialiasing and put through a formula that
    is meant for ImageNet-normalised pictures, so that the network sees about -0.19 to 0.43. That is
    part of the published numbers. Source: tencent-ailab/PCDMs:inception.py.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        whole = inception_v3(weights=None, transform_input=False, init_weights=False)
        self.trunk = nn.Sequential(*(getattr(whole, name) for name in TRUNK))
        scale = torch.tensor([s / 0.5 for s in DEVIATION])
        shift = torch.tensor([(m - 0.5) / 0.5 for m in MEAN])
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])

    def network_input(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the first layer sees, (B, 3, 299, 299), of pictures (B, 3, H, W) in 0..1."""
        stretched = nn.functional.interpolate(
            x, size=(SIDE, SIDE), mode="bilinear", align_corners=False
        )
        return stretched * self.scale + self.shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float32 (B, 2048) of pictures (B, 3, H, W) in 0..1, overshoot allowed."""
        maps: torch.Tensor = self.trunk(self.network_input(x))
        return maps.mean((2, 3))


def load_imagenet_inception(path: Path) -> ImagenetInception:
    """Return the network of `fid_paper` with torchvision's inception_v3 state dict of `path`.

    Its auxiliary and class heads are checked and left out. Raises InputError on a file that is no
    plain state dict, and on missing or surplus keys and wrong shapes.
    """
    from torchvision.models import inception_v3

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} is not a plain state dict: {type(error).__name__}") from error
    if not isinstance(state, dict):
        raise InputError(f"{path} holds a {type(state).__name__}, expected a state dict")
    with torch.device("meta"):
        whole = inception_v3(weights=None, transform_input=False, init_weights=False)
    expected = {key: value.shape for key, value in whole.state_dict().items()}
    found = {key: getattr(value, "shape", None) for key, value in state.items()}
    # Files older than batch counters lack them; nothing is computed from them.
    odd = [
        key for key in sorted(expected.keys() | found.keys())
        if expected.get(key) != found.get(key) and not key.endswith("num_batches_tracked")
    ]  # fmt: skip
    if odd:
        raise InputError(
            f"{path}: not torchvision's inception_v3, {len(odd)} keys are missing, surplus or of "
            f"another shape: {', '.join(odd[:5])}"
        )
    network = ImagenetInception()
    for name, layer in zip(TRUNK, network.trunk, strict=True):
        part = {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        layer.load_state_dict(part, strict=False)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
