"""The published files of PATN, written by torch 0.3: norm kinds, statistics, sizes.

Source: tengteng95/Pose-Transfer (branch `pytorch_v1.0` has a script that drops the statistics).
"""

from __future__ import annotations

import torch
from torch import nn

from pcdms_baselines.checkpoint_file import State
from pcdms_baselines.patn.discriminator import PatnDiscriminator
from pcdms_baselines.patn.network import Norm, PatnGenerator
from pcdms_baselines.published import Options, PublishedForm, count, length

STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")


def fit(state: State, options: Options) -> tuple[nn.Module, State]:
    """Return generator or discriminator without weights, and the weights under its names.

    Instance norms of torch 0.3 kept running statistics that nothing reads: they are dropped. Batch
    norms of that time counted no batches: the counters are added.
    """
    norm: Norm = "batch" if any(key.endswith(".2.weight") for key in state) else "instance"
    if norm == "instance":
        state = {key: value for key, value in state.items() if not key.endswith(STATISTICS)}
    else:
        state = _with_counters(state)
    if any(".conv_block." in key for key in state):
        return _discriminator(state, norm), state
    return _generator(state, norm), state


FORM = PublishedForm(entries=(), fit=fit)


def _generator(state: State, norm: Norm) -> PatnGenerator:
    streams = ("model.stream1_down", "model.stream2_down")
    width = length(state, *((f"{stream}.1.weight", 0) for stream in streams))
    poses = length(state, ("model.stream2_down.1.weight", 1))
    return PatnGenerator(
        width, count(state, "model.att."), _halvings(state, "model.stream1_down."), poses // 2, norm
    )


def _discriminator(state: State, norm: Norm) -> PatnDiscriminator:
    first = "model.1.weight"
    halvings = _halvings(state, "model.")
    residuals = {key.split(".")[1] for key in state if ".conv_block." in key}
    return PatnDiscriminator(
        length(state, (first, 1)), length(state, (first, 0)), len(residuals), halvings, norm
    )


def _halvings(state: State, before: str) -> int:
    """Return how many convolutions follow the first one in a down stream, every third layer."""
    number = 0
    while f"{before}{4 + 3 * number}.weight" in state:
        number += 1
    return number


def _with_counters(state: State) -> State:
    ending = ".running_mean"
    names = [key.removesuffix(ending) for key in state if key.endswith(ending)]
    zero = torch.zeros((), dtype=torch.int64, device="cpu")
    return {f"{name}.num_batches_tracked": zero for name in names} | state
