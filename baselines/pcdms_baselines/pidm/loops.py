"""The two sampling loops of PIDM as pure functions: every random draw is an argument.

Source: ankanbhunia/PIDM:diffusion.py, predict.py. The published DDIM function mixes the features of
the first and the last source of a batch, harmless for its batch of one; here each pair has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pcdms_baselines.pidm.diffusion import Diffusion
from pcdms_baselines.pidm.network import PidmDenoiser

Predict = Callable[[Tensor, Tensor], Tensor]
"""(noisy pictures (B, C, h, w), times int64 (B,)) -> what the network says, guidance included."""


def guided(network: PidmDenoiser, pose: Tensor, source: Tensor, scale: float) -> Predict:
    """Return the network's prediction for these pairs as a function of picture and time alone.

    null + scale * (conditional - null) on all output channels; null sees a source of zeros, which
    is mid grey, and the same pose. What the encoder says is computed here, once. At scale 1 there
    is no null branch (the published code crashes there).
    """
    features: Sequence[Tensor] = network.encode(source)
    if scale == 1:
        return lambda x_t, t: network.denoise(x_t, t, pose, features)
    nothing = network.encode(torch.zeros_like(source[:1]))
    both = [torch.cat([n.expand_as(f), f]) for n, f in zip(nothing, features, strict=True)]
    poses = torch.cat([pose, pose])

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        said = network.denoise(torch.cat([x_t, x_t]), torch.cat([t, t]), poses, both)
        null, conditional = said.chunk(2)
        return null + scale * (conditional - null)

    return predict


def ddim_times(times: int, steps: int) -> list[int]:
    """Return the times of the loop, late ones first, as published.

    One in every `times // steps`, so there can be a few more than `steps` where it does not divide.
    """
    return list(range(0, times, times // steps))[::-1]


def run_ddim(predict: Predict, diffusion: Diffusion, start: Tensor, steps: int) -> Tensor:
    """Return clean pictures (B, C, h, w): eta 0, nothing clipped, noise `start` alone.

    Source: arXiv 2010.02502, equation 12.
    """
    x_t, channels = start, start.shape[1]
    times = ddim_times(len(diffusion.betas), steps)
    for time, following in zip(times, [*times[1:], None], strict=True):
        t = _times(x_t, time)
        clean, noise = diffusion.clean_and_noise(predict(x_t, t)[:, :channels], x_t, t)
        x_t = clean
        if following is not None:
            x_t = diffusion.noised(clean, _times(x_t, following), noise)
    return x_t


def run_ddpm(predict: Predict, diffusion: Diffusion, noise: Iterator[Tensor]) -> Tensor:
    """Return clean pictures (B, C, h, w) after all times, clipped before each step.

    `noise` gives (B, C, h, w) as often as there are times: the start, then one draw for every step
    but the last. Where the network says no variance the posterior's is taken.
    """
    x_t = next(noise)
    channels = x_t.shape[1]
    for time in reversed(range(len(diffusion.betas))):
        t = _times(x_t, time)
        said = predict(x_t, t)
        numbers = said[:, channels:] if said.shape[1] > channels else None
        clean, _ = diffusion.clean_and_noise(said[:, :channels], x_t, t)
        mean = diffusion.posterior_mean(clean.clamp(-1, 1), x_t, t)
        if time == 0:
            return mean
        x_t = mean + (diffusion.log_variance(numbers, t, x_t) / 2).exp() * next(noise)
    return x_t


def _times(pictures: Tensor, time: int) -> Tensor:
    return torch.full((len(pictures),), time, dtype=torch.int64, device=pictures.device)
