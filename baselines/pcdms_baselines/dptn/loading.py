"""The published files of DPTN: names, sizes, and the two traps in them.

Source: PangzeCheung/Dual-task-Pose-Transformer-Network:models/base_model.py.
"""

from __future__ import annotations

import torch
from torch import nn

from pcdms_baselines.checkpoint_file import State
from pcdms_baselines.dptn.discriminator import DptnDiscriminator
from pcdms_baselines.dptn.network import DptnGenerator
from pcdms_baselines.published import Options, PublishedForm, count, length
from pcdms_data.types import InputError

OLD_TRANSFORMER = "transformer."
"""Name of the pose transformer in files of an early version."""
PUBLISHED_HEADS = 2

_NORMED = {
    ".weight_orig": ".parametrizations.weight.original",
    ".weight_u": ".parametrizations.weight.0._u",
    ".weight_v": ".parametrizations.weight.0._v",
}
"""Spectral norm by hooks, as in the files -> as a parametrization. Both vectors are kept as they
are: reading the file through the hooks without its metadata would solve for one of them anew."""


def fit(state: State, options: Options) -> tuple[nn.Module, State]:
    """Return generator or discriminator without weights, and the weights under its names.

    `options`: `heads` (or the authors' `nhead`) of the attention, 2 unless given.
    """
    if any(key.endswith(".weight_orig") for key in state):
        return _discriminator(state), {_renamed(key): value for key, value in state.items()}
    state = {
        "PTM." + key.removeprefix(OLD_TRANSFORMER) if key.startswith(OLD_TRANSFORMER) else key:
        value
        for key, value in state.items()
    }  # fmt: skip
    network = _generator(state, options)
    _check_double_names(state, count(state, "mblock"))
    return network, state


FORM = PublishedForm(entries=(), fit=fit)


def _generator(state: State, options: Options) -> DptnGenerator:
    stages = ("block0.model", *(f"encoder{i}.model" for i in range(count(state, "encoder"))))
    widths = [
        length(state, *(
            (f"{before}{stage}.{layer}.weight", 0)
            for before in ("", "source_encoder.")
            for layer in ((0, 3) if stage == "block0.model" else (2, 5))
        ))
        for stage in stages
    ]  # fmt: skip
    heads = options.get("heads") or options.get("nhead") or PUBLISHED_HEADS
    if not isinstance(heads, int) or heads < 1 or widths[-1] % heads:
        raise InputError(f"a width of {widths[-1]} cannot be split into {heads} heads")
    layer = "PTM.encoder.layers.0.linear"
    return DptnGenerator(
        widths,
        pose_channels=(length(state, ("block0.model.0.weight", 1)) - 3) // 2,
        middle_blocks=count(state, "mblock"),
        heads=heads,
        contexts=count(state, "PTM.encoder.layers."),
        transfers=count(state, "PTM.decoder.layers."),
        hidden=length(
            state, (f"{layer}1.weight", 0), (f"{layer}1.bias", 0), (f"{layer}2.weight", 1)
        ),
    )


def _check_double_names(state: State, middles: int) -> None:
    """Raise InputError where two names of one convolution hold different weights."""
    twins = [("outconv.conv1", "outconv.model.2")]
    for index in range(middles):
        block = f"mblock{index}"
        twins += [
            (f"{block}.conv1", f"{block}.model.2"), (f"{block}.conv2", f"{block}.model.5"),
            (f"{block}.bypass", f"{block}.shortcut.0"),
        ]  # fmt: skip
    for first, second in twins:
        for kind in (".weight", ".bias"):
            one, two = state.get(first + kind), state.get(second + kind)
            if one is not None and two is not None and not torch.equal(one, two):
                raise InputError(
                    f"{first}{kind} and {second}{kind} are one tensor under two names but differ"
                )


def _discriminator(state: State) -> DptnDiscriminator:
    stages = [("block0", 2), *((f"encoder{i}", 3) for i in range(count(state, "encoder")))]
    return DptnDiscriminator([
        length(state, (f"{name}.model.{last}.weight_orig", 0), (f"{name}.shortcut.1.bias", 0))
        for name, last in stages
    ])  # fmt: skip


def _renamed(key: str) -> str:
    for ending, name in _NORMED.items():
        if key.endswith(ending):
            return key.removesuffix(ending) + name
    return key
