"""The published files of NTED: a training checkpoint whose averaged generator is what counts.

Source: RenYurui/Neural-Texture-Extraction-Distribution:trainers/base.py.
"""

from __future__ import annotations

from torch import nn

from pcdms_baselines.checkpoint_file import State
from pcdms_baselines.nted.network import Level, NtedGenerator
from pcdms_baselines.published import Options, PublishedForm, count, length


def fit(state: State, options: Options) -> tuple[nn.Module, State]:
    """Return the generator without weights, and the weights under its names."""
    reference = "reference_encoder.first."
    first = length(state, (f"{reference}conv.weight", 0), (f"{reference}activate.bias", 0))
    levels = [Level(first)]
    for index in range(count(state, "reference_encoder.convs.")):
        levels.append(_level(state, f"reference_encoder.convs.{index}."))
    skeleton = length(state, ("skeleton_encoder.first.conv.weight", 1))
    return NtedGenerator(levels, skeleton), state


FORM = PublishedForm(entries=("net_G_ema",), fit=fit)


def _level(state: State, name: str) -> Level:
    channels = length(state, (f"{name}conv.weight", 0), (f"{name}activate.bias", 0))
    operation = f"{name}extraction_operations."
    if not count(state, operation):
        return Level(channels)
    filters = [f"{operation}{index}.semantic_extraction_filter.weight" for index in (0, 1)]
    labels = length(state, *((weight, 0) for weight in filters))
    return Level(channels, labels, length(state, *((weight, -1) for weight in filters)))
