"""The published file of PIDM: a training checkpoint, of which the averaged weights count.

It also holds an object of a private class, so it is read after explicit trust alone.
Source: ankanbhunia/PIDM:train.py.
"""

from __future__ import annotations

from torch import nn

from pcdms_baselines.checkpoint_file import State
from pcdms_baselines.pidm.diffusion import LOOPS, PREDICTIONS, Process
from pcdms_baselines.pidm.network import PidmDenoiser, Shape
from pcdms_baselines.published import Options, PublishedForm, count, length
from pcdms_data.types import InputError

STEPS = 3
"""Steps down of a level, the first convolution counted in the first one."""


def fit(state: State, options: Options) -> tuple[nn.Module, State]:
    """Return the denoiser without weights, and the weights under its names.

    `options`: the entries of `Process`, the published ones unless given.
    """
    process = _process(options)
    steps = max(count(state, f"{before}input_blocks.") for before in ("", "encoder."))
    if not steps or steps % STEPS:
        raise InputError(
            f"has {steps} input blocks, expected {STEPS} for every level of the network"
        )
    levels = range(steps // STEPS)
    first = "input_blocks.0.0.weight"
    picture = length(state, (f"encoder.{first}", 1))
    shape = Shape(
        widths=tuple(_width(state, STEPS * level + 1) for level in levels),
        attention=tuple(
            any(key.startswith(f"input_blocks.{STEPS * level + 2}.1.") for key in state)
            for level in levels
        ),
        picture=picture,
        pose=length(state, (first, 1)) - picture,
        outputs=length(state, ("out.2.weight", 0), ("out.2.bias", 0)),
        time=length(state, *((f"time_embed.time_embed.{layer}.bias", 0) for layer in (0, 2))),
        spare=any(".cond_emb_layers." in key for key in state),
    )
    return PidmDenoiser(shape, process=process), state


FORM = PublishedForm(entries=("ema",), fit=fit)


def _process(options: Options) -> Process:
    published = Process()
    prediction = options.get("prediction", published.prediction)
    loop = options.get("loop", published.loop)
    shift = options.get("shift", published.shift)
    for value, known in ((prediction, PREDICTIONS), (loop, LOOPS)):
        if value not in known:
            raise InputError(f"its configuration says {value!r}, expected {' or '.join(known)}")
    if not isinstance(shift, int | float) or not 0 < shift < float("inf"):
        raise InputError(f"its configuration says shift {shift!r}, expected a number above 0")
    return Process(prediction, float(shift), loop)


def _width(state: State, step: int) -> int:
    block = f"input_blocks.{step}.0."
    return length(state, *(
        (f"{before}{block}{layer}", 0)
        for before in ("", "encoder.")
        for layer in ("in_layers.2.weight", "in_layers.2.bias", "out_layers.3.weight")
    ))  # fmt: skip
