"""`import_published`: the authors' checkpoint of a method into this package's network, strictly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcdms_baselines.checkpoint_file import State, read_state
from pcdms_data.types import InputError

Options = Mapping[str, Any]

LISTED = 60
"""Names of each kind that an error spells out."""

HOMES = {
    name: f"pcdms_baselines.{name}.loading" for name in ("dptn", "patn", "nted", "cfld", "pidm")
}
"""Method -> the module that holds its `FORM`."""


@dataclass(frozen=True)
class PublishedForm:
    """How the files of a method look.

    `entries`: keys under which a container holds the weights. `fit(state, options)` returns the
    network without weights (call it under the meta device) and the weights under its names; it
    raises InputError, without naming the file, where sizes cannot be read. `files`: where the
    weights lie in several files with different names in them, those of their folder.
    """

    entries: tuple[str, ...]
    fit: Callable[[State, Options], tuple[nn.Module, State]]
    files: tuple[str, ...] = ()


def import_published(
    name: str,
    path: str | Path,
    config: Mapping[str, Any] | str | Path | None = None,
    trust_pickle: bool = False,
) -> nn.Module:
    """Return the network of method `name` with the weights of a published file, float32, eval mode.

    Args:
        name: a method of `HOMES`. The file may be that of its generator or, where this package has
            one, of its discriminator; the names in it tell.
        path: the authors' file, or safetensors with the same names; of a method with several files
            also their folder, which gives the whole network.
        config: what shapes cannot tell, such as the number of attention heads, as a dict or a JSON
            file. Entries that the method does not know are ignored. Default: the published values.
        trust_pickle: accept a file that holds objects beside tensors; those are not loaded.

    Raises:
        InputError: the file cannot be read, or weights are missing, left over or misshapen; the
            message lists them.
    """
    if name not in HOMES:
        raise InputError(f"no published network {name!r}, expected one of {', '.join(HOMES)}")
    path = Path(path)
    form: PublishedForm = import_module(HOMES[name]).FORM
    options = read_options(config)
    stored: State = {}
    for file in [path / name for name in form.files] if path.is_dir() and form.files else [path]:
        stored |= read_state(file, form.entries, trust_pickle)
    try:
        with torch.device("meta"):
            network, state = form.fit(stored, options)
    except InputError as error:
        raise InputError(f"{path} is no {name} checkpoint: {error}") from None
    problems = report(network.state_dict(), state)
    if problems:
        raise InputError(f"{path} is no {name} checkpoint: {problems}")
    floats = {
        key: value.to(torch.float32, copy=True) if value.is_floating_point() else value.clone()
        for key, value in state.items()
    }
    network.load_state_dict(floats, strict=True, assign=True)
    return network.eval()


def read_options(config: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """Return a configuration's entries; raises InputError where the file is no JSON object."""
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    try:
        values = json.loads(Path(config).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{config}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{config}: holds {type(values).__name__}, expected a JSON object")
    return values


def report(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return one line on missing, left-over and misshapen weights, empty where everything fits."""
    missing = [key for key in expected if key not in state]
    surplus = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    parts = []
    for word, names in (("missing", missing), ("left over", surplus), ("misshapen", misshapen)):
        if names:
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            parts.append(f"{len(names)} {word}: {', '.join(names[:LISTED])}{more}")
    return "; ".join(parts)


def length(state: Mapping[str, Tensor], *places: tuple[str, int]) -> int:
    """Return the length on which most of these (name, axis) agree.

    Several weights vote, so that a misshapen one is reported as such and does not set the size.
    InputError names the weights where none of them is there.
    """
    votes = [
        state[key].shape[axis]
        for key, axis in places
        if key in state and -state[key].dim() <= axis < state[key].dim()
    ]
    if not votes:
        names = ", ".join(dict.fromkeys(key for key, _ in places))
        raise InputError(f"lacks {names}, from which its sizes are read")
    return Counter(votes).most_common(1)[0][0]


def count(state: Mapping[str, Tensor], before: str) -> int:
    """Return how many numbers 0, 1, ... follow `before` in the names, as in `layers.1.bias`."""
    number = 0
    while any(key.startswith(f"{before}{number}.") for key in state):
        number += 1
    return number
