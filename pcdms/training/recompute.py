"""Gradient checkpointing: activations of large blocks are computed again in the backward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from pcdms_data.types import InputError

_SWITCHES = (
    "enable_gradient_checkpointing",
    "activation_checkpointing_enable",
    "gradient_checkpointing_enable",
)
"""The same switch in diffusers, in transformers and in its older versions."""


def recompute_activations(module: nn.Module) -> None:
    """Switch on gradient checkpointing wherever `module` allows it.

    The parts that know it themselves (UNets, autoencoders, encoders of the libraries) are told to;
    of others, each block of a list called `transformer_blocks` is wrapped.

    Raises:
        InputError: nothing in the module can do it, so that the setting would not act.
    """
    found = False
    for part in module.modules():
        known: Any = part
        if getattr(known, "_supports_gradient_checkpointing", False) or getattr(
            known, "supports_gradient_checkpointing", False
        ):
            next(getattr(known, name) for name in _SWITCHES if hasattr(known, name))()
            found = True
    if not found:
        for name, part in module.named_modules():
            if name.rpartition(".")[2] == "transformer_blocks" and isinstance(part, nn.ModuleList):
                for block in part:
                    forward = partial(checkpoint, block.forward, use_reentrant=False)
                    block.forward = forward
                found = True
    if not found:
        raise InputError(
            f"{type(module).__name__} has nothing that gradient checkpointing could act on; "
            "train it without"
        )
