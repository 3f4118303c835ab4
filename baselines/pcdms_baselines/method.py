"""What every method offers to the harness, in process or external."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pcdms_data.types import Pair


class Method(Protocol):
    """Anything that leaves one picture per pair. Its settings are its fields."""

    @property
    def name(self) -> str:
        """The name on the command line, in run folders and in score rows."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages it leaves pictures of; a method with a single step has `final`."""

    def unavailable(self) -> str | None:
        """Return why the method cannot run here, or None where it can."""

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Leave `out/<stage>/<pair_id>.png` for every pair, skipping pictures already there.

        Sample k >= 1 is `<pair_id>.<k>.png`. Pictures are RGB uint8 at the run's resolution.
        Returns {pair_id: reason} of the pairs that failed; the others are done.
        """
