"""Perceptual distances of a few pairs at once: one forward pass per network and picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metric_inputs import InputBank, Seen
from pcdms_bench.metrics.networks import DistanceNetwork, fitting
from pcdms_bench.result_store import ResultStore, content_key, library_versions
from pcdms_bench.score_memory import ScoreMemory
from pcdms_data.types import InputError

if TYPE_CHECKING:
    import torch

Inputs = tuple[Seen, Seen]
"""Generated picture and target as the network sees them."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """One value that somebody waits for: the mean over `keys` goes to `column[index]`."""

    network: DistanceNetwork
    black: float
    keys: list[bytes]
    column: NDArray[np.float64]
    index: int
    lost: Callable[[str], None]


class DistanceQueue:
    """Collects what is asked for, then computes each distinct distance once."""

    def __init__(self, bank: InputBank, memory: ScoreMemory, store: ResultStore) -> None:
        self._bank, self._memory, self._store = bank, memory, store
        self._asked: list[_Asked] = []
        self._inputs: dict[bytes, Inputs] = {}

    def add(
        self,
        network: DistanceNetwork,
        black: float,
        pairs: Sequence[Inputs],
        column: NDArray[np.float64],
        index: int,
        lost: Callable[[str], None],
    ) -> None:
        """Ask for the mean distance of `pairs`; `lost` is told why when there is none."""
        keys = []
        for made, true in pairs:
            key = content_key(
                "distance", library_versions(), network.label, network.preprocessing, repr(black),
                self._bank.digest(made), self._bank.digest(true),
            )  # fmt: skip
            self._inputs[key] = (made, true)
            keys.append(key)
        self._asked.append(_Asked(network, black, keys, column, index, lost))

    def run(self) -> None:
        """Compute what is not stored and hand out all values."""
        stored = self._store.get_many(list(self._inputs))
        values = {key: float(np.frombuffer(found, np.float64)[0]) for key, found in stored.items()}
        reasons: dict[DistanceNetwork, str] = {}
        for (network, black), keys in self._missing(values).items():
            try:
                for key, value in self._compute(network, black, keys):
                    values[key] = value
                    self._store.put(key, np.float64(value).tobytes())
            except InputError as error:
                reasons[network] = str(error)
        for asked in self._asked:
            if all(key in values for key in asked.keys):
                asked.column[asked.index] = np.mean([values[key] for key in asked.keys])
            else:
                asked.lost(reasons[asked.network])

    def _missing(
        self, values: dict[bytes, float]
    ) -> dict[tuple[DistanceNetwork, float], list[bytes]]:
        """Return the keys to compute, by network and input range, each once."""
        groups: dict[tuple[DistanceNetwork, float], dict[bytes, None]] = {}
        for asked in self._asked:
            group = groups.setdefault((asked.network, asked.black), {})
            group.update(dict.fromkeys(key for key in asked.keys if key not in values))
        return {key: list(group) for key, group in groups.items() if group}

    def _compute(
        self, network: DistanceNetwork, black: float, keys: Sequence[bytes]
    ) -> Iterator[tuple[bytes, float]]:
        """Yield the distance of every key."""
        shapes: dict[tuple[int, ...], list[bytes]] = {}
        for key in keys:
            made, true = (self._bank.array(seen) for seen in self._inputs[key])
            if made.shape != true.shape:
                raise InputError(f"pictures {made.shape} and {true.shape}, expected equal shapes")
            shapes.setdefault(made.shape, []).append(key)
        for shape, group in shapes.items():
            chunk = fitting(network.chunk, (shape[0], shape[1]))
            for start in range(0, len(group), chunk):
                part = group[start : start + chunk]
                made_maps = self._maps(network, black, [self._inputs[key][0] for key in part])
                true_maps = self._maps(network, black, [self._inputs[key][1] for key in part])
                found = network.compare(made_maps, true_maps)
                yield from zip(part, (float(value) for value in found), strict=True)

    def _maps(
        self, network: DistanceNetwork, black: float, inputs: Sequence[Seen]
    ) -> list[torch.Tensor]:
        """Return the maps of each layer (B, C, h, w), from memory where they are kept."""
        import torch

        keys = [
            content_key("maps", network.label, repr(black), self._bank.digest(seen))
            for seen in inputs
        ]
        known = {key: found for key in keys if (found := self._memory.get(key)) is not None}
        missing = {k: seen for k, seen in zip(keys, inputs, strict=True) if k not in known}
        kinds: dict[object, list[bytes]] = {}
        for key, seen in missing.items():
            kinds.setdefault(self._bank.array(seen).dtype, []).append(key)
        for group in kinds.values():
            pictures = np.stack([self._bank.array(missing[key]) for key in group])
            found = network.features(pictures, black)
            for i, key in enumerate(group):
                own = [layer[i : i + 1].clone() for layer in found]
                known[key] = own
                self._memory.put(key, own, sum(layer.nbytes for layer in own))
        return [torch.cat([known[key][i] for key in keys]) for i in range(len(known[keys[0]]))]
