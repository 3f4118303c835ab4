"""The target through an autoencoder and back: the ceiling of every latent method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Pair

from pcdms_baselines.writing import write_pictures

if TYPE_CHECKING:
    import torch

_SQUARE = (512, 512)


@dataclass
class VaeRoundtrip:
    """decode(mean of encode(target)) at `resolution` = (H, W).

    `vae` is a directory of a diffusers AutoencoderKL. `square` resizes to 512 x 512 and back
    (bicubic, antialiased), as CFLD and PCDMs do; otherwise the frame itself is encoded. `rounding`
    says how the result becomes uint8, as the compared method does.
    """

    resolution: tuple[int, int]
    vae: Path | None
    square: bool = True
    rounding: Literal["round", "truncate"] = "round"
    device: str = "cpu"
    kernel: str = "pil-bicubic-u8"
    name: str = "vae-roundtrip"
    stages: tuple[str, ...] = ("final",)
    _model: Any = field(default=None, repr=False)

    def unavailable(self) -> str | None:
        """Return why there is no autoencoder to use, or None."""
        if self.vae is None:
            return f"{self.name} needs the directory of a diffusers AutoencoderKL: --vae DIR"
        if not (self.vae / "config.json").is_file():
            return f"{self.vae} holds no config.json, expected a diffusers AutoencoderKL directory"
        return None

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the round trip of every target; returns {pair_id: reason} of failures.

        One picture at a time, so that no picture depends on its neighbours. Raises InputError where
        the autoencoder cannot be loaded or its cells do not fit the frame.
        """
        model = self._load()

        def roundtrip(pair: Pair) -> NDArray[np.uint8]:
            return self._roundtrip(load_picture(pair.target, kernel=self.kernel), model)

        return write_pictures(pairs, out, samples, roundtrip)

    def _load(self) -> Any:  # noqa: ANN401 - diffusers is untyped
        """The autoencoder in evaluation mode, read once from safetensors."""
        reason = self.unavailable()
        if reason is not None:
            raise InputError(reason)
        if self._model is None:
            from diffusers import AutoencoderKL

            try:
                model = AutoencoderKL.from_pretrained(
                    self.vae, local_files_only=True, use_safetensors=True
                )
            except (OSError, ValueError, RuntimeError) as error:
                line = str(error).splitlines()[0]
                raise InputError(f"{self.vae} is no readable AutoencoderKL: {line}") from error
            self._check_frame(2 ** (len(model.config.block_out_channels) - 1))
            self._model = model.to(self.device).eval()
        return self._model

    def _check_frame(self, cell: int) -> None:
        """Refuse a frame that latent cells of `cell` pixels do not tile."""
        height, width = self._frame()
        if height % cell or width % cell:
            raise InputError(f"{self.name}: {height}x{width} is no multiple of {cell} pixels")

    def _frame(self) -> tuple[int, int]:
        """The frame (H, W) that is encoded."""
        return _SQUARE if self.square else self.resolution

    def _roundtrip(self, pixels: NDArray[np.uint8], model: Any) -> NDArray[np.uint8]:  # noqa: ANN401
        """Encode and decode one picture (H, W, 3) of any size."""
        import torch

        with torch.inference_mode():
            planes = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
            planes = _resized(planes.to(self.device, torch.float32), self._frame())
            latents = model.encode(planes / 127.5 - 1).latent_dist.mode()
            decoded = model.decode(latents).sample
            decoded = _resized(decoded, self.resolution)
            levels = (0.5 * decoded + 0.5).clamp(0, 1) * 255
            if self.rounding == "round":
                levels = (levels + 0.5).floor()
            picture = levels.to(torch.uint8)[0].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(picture)


def _resized(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Antialiased bicubic of float planes (1, 3, H, W); the same planes where the size fits."""
    import torch

    if tuple(planes.shape[-2:]) == size:
        return planes
    return torch.nn.functional.interpolate(
        planes, size=size, mode="bicubic", antialias=True, align_corners=False
    )
