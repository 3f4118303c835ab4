"""The target through an autoencoder and back: the ceiling of every latent method."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.writing import write_pictures
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Pair, Picture

RECENT = 64
"""Pictures that are kept: pair lists name a target several times, and in the lists of the field
within few pairs."""
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
    _model: Any = field(default=None, init=False, repr=False)
    _recent: dict[Picture, NDArray[np.uint8]] = field(
        default_factory=dict[Picture, NDArray[np.uint8]], init=False, repr=False
    )

    def unavailable(self) -> str | None:
        """Return why there is no autoencoder for this frame, or None."""
        if self.vae is None:
            return f"{self.name} needs the directory of a diffusers AutoencoderKL: --vae DIR"
        if not (self.vae / "config.json").is_file() or not any(self.vae.glob("*.safetensors")):
            return (
                f"{self.vae} lacks config.json or a .safetensors file, expected the directory of a "
                "diffusers AutoencoderKL"
            )
        return self._misfit(self.vae / "config.json")

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the round trip of every target; returns {pair_id: reason} of failures.

        One picture at a time, so that no picture depends on its neighbours. Raises InputError where
        the autoencoder cannot be loaded.
        """
        model = self._autoencoder()

        def roundtrip(pair: Pair) -> NDArray[np.uint8]:
            if pair.target not in self._recent:
                pixels = load_picture(pair.target, self._frame(), self.kernel)
                made = self._roundtrip(pixels, model)
                if len(self._recent) == RECENT:
                    del self._recent[next(iter(self._recent))]
                self._recent[pair.target] = made
            return self._recent[pair.target]

        return write_pictures(pairs, out, samples, roundtrip)

    @property
    def parameters(self) -> int:
        """The number of learned parameters; 0 where the method is unavailable."""
        if self.unavailable() is not None:
            return 0
        return sum(tensor.numel() for tensor in self._autoencoder().parameters())

    def _autoencoder(self) -> Any:
        """The autoencoder, loaded once; raises InputError where that is impossible."""
        reason = self.unavailable()
        if reason is not None or self.vae is None:
            raise InputError(str(reason))
        if self._model is None:
            self._model = load_autoencoder(self.vae).to(self.device)
        return self._model

    def _misfit(self, config_file: Path) -> str | None:
        """Why the configured autoencoder cannot encode the frame, or None."""
        try:
            config = json.loads(config_file.read_text(encoding="utf-8"))
            cell = 2 ** (len(config["block_out_channels"]) - 1)
        except (OSError, ValueError, KeyError, TypeError):
            return f"{config_file} is no configuration of a diffusers AutoencoderKL"
        height, width = self._frame()
        if height % cell or width % cell:
            return f"{self.name} cannot encode {height}x{width}: expected multiples of {cell}"
        return None

    def _frame(self) -> tuple[int, int]:
        """The frame (H, W) that is encoded."""
        return _SQUARE if self.square else self.resolution

    def _roundtrip(self, pixels: NDArray[np.uint8], model: Any) -> NDArray[np.uint8]:
        """Encode and decode one picture of the encoded frame (H, W, 3)."""
        import torch

        with torch.inference_mode():
            planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
            planes = planes.to(self.device, torch.float32) / 127.5 - 1
            decoded = model.decode(model.encode(planes).latent_dist.mode()).sample
            if tuple(decoded.shape[-2:]) != self.resolution:
                decoded = torch.nn.functional.interpolate(
                    decoded, size=self.resolution, mode="bicubic", antialias=True
                )
            levels = (0.5 * decoded + 0.5).clamp(0, 1) * 255
            if self.rounding == "round":
                levels = (levels + 0.5).floor()
            picture = levels.to(torch.uint8)[0].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(picture)


def load_autoencoder(directory: Path) -> Any:
    """Return the AutoencoderKL of `directory` in evaluation mode, float32, on the CPU.

    Raises InputError where it cannot be read, or lists the keys that are missing or left over.
    """
    from diffusers import AutoencoderKL
    from safetensors import SafetensorError

    try:
        model, loading = AutoencoderKL.from_pretrained(
            directory, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{directory} is no readable AutoencoderKL: {line}") from error
    wrong = {
        "missing": loading["missing_keys"],
        "left over": loading["unexpected_keys"],
        "of another shape": loading["mismatched_keys"],
    }
    listed = [f"{word}: {', '.join(map(str, keys))}" for word, keys in wrong.items() if keys]
    if listed:
        raise InputError(f"{directory} does not fit its config.json; {'; '.join(listed)}")
    return model.float().eval()
