"""An official repository as a method: pairs out, its program run, its pictures back.

Nothing of a repository is imported or copied here. Its program runs in its own interpreter, in a
folder of links to the user's clone; what it leaves is checked file by file.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcdms_baselines.external.child import (
    PATIENCE,
    Ended,
    StopChildError,
    child_environment,
    run_child,
)
from pcdms_baselines.external.chosen import Chosen, choose, unreadable
from pcdms_baselines.external.clone import (
    Given,
    Interpreter,
    find_clone,
    find_interpreter,
    find_weights,
    missing_files,
    provenance,
)
from pcdms_baselines.external.inputs import TREE_NAMES, write_inputs
from pcdms_baselines.external.label_maps import carries, provide
from pcdms_baselines.external.recipe import Case, Recipe
from pcdms_baselines.external.returned import Returned
from pcdms_baselines.external.state import identity
from pcdms_baselines.external.workplace import link_repository, work_folder
from pcdms_baselines.writing import picture_path
from pcdms_data.pair_set import PairSet
from pcdms_data.types import InputError, Pair

LOG = "external.log"
"""File in the run folder with everything that the program of the last call printed."""


@dataclass(frozen=True)
class Ready:
    """Everything a program needs of the user, found."""

    case: Case
    clone: Path
    interpreter: Interpreter
    weights: Mapping[str, Path]


@dataclass(frozen=True)
class External:
    """The program of `recipe`'s repository for pictures of `resolution` = (H, W).

    `given` is what the user says of the clone, `dataset` the evaluated pairs: some carry label maps
    that a program needs. Seeds are the program's own. One call asks for all pairs at once, since
    the program loads its weights each time; `patience` seconds without a sign of life end it.
    """

    recipe: Recipe
    resolution: tuple[int, int]
    given: Given = field(default_factory=Given)
    dataset: PairSet | None = None
    device: str = ""
    kernel: str = "pil-bicubic-u8"
    patience: float = PATIENCE
    stages: tuple[str, ...] = ("final",)
    pairs_at_once: int = 1 << 30
    parameters: None = None
    """Not known here."""

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.recipe.name

    def unavailable(self) -> str | None:
        """Return everything that is lacking here, or None."""
        found = self._ready()
        return found if isinstance(found, str) else None

    def identity(self) -> str:
        """Return 8 hex digits of the repository's state, the weights and the recipe.

        Empty where the clone or the weights are missing.
        """
        case, clone = self.recipe.case(self.resolution), find_clone(self.recipe, self.given)
        if case is None or isinstance(clone, str):
            return ""
        weights = find_weights(self.recipe, case, self.given, clone)
        return "" if isinstance(weights, str) else identity(self.recipe.digest, clone, weights)

    def provenance(self) -> dict[str, str]:
        """Return the clone with its state, the interpreter and the weights' digests."""
        found = self._ready()
        if isinstance(found, str):
            return {}
        record = {"repository": self.recipe.repository, "recipe": self.recipe.digest}
        return record | provenance(found.clone, found.interpreter, found.weights)

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Have the missing pictures of the pairs made; return {pair_id: reason} of the others."""
        return self.generate_stage("final", pairs, out, seed, samples)

    def generate_stage(
        self,
        stage: str,
        pairs: Sequence[Pair],
        out: Path,
        seed: int,
        samples: int = 1,
        progress: Callable[[int, int], None] | None = None,
        chosen: Mapping[str, int] | None = None,
    ) -> dict[str, str]:
        """Do what `generate` does and follow it with `progress(done, total)`.

        `seed` and `chosen` change nothing. Raises InputError where the method is unavailable, and
        for more than one sample a pair.
        """
        if samples != 1:
            raise InputError(f"{self.name} makes one picture a pair, not {samples} samples")
        paths = {pair.pair_id: picture_path(out, stage, pair.pair_id, 0) for pair in pairs}
        missing = [pair for pair in pairs if not paths[pair.pair_id].exists()]
        if not missing:
            return {}
        found = self._ready()
        if isinstance(found, str):
            raise InputError(found)
        wanted = {pair.pair_id: paths[pair.pair_id] for pair in missing}
        there = len(pairs) - len(missing)

        def advance(done: int) -> None:
            if progress is not None:
                progress(there + done, len(pairs))

        return self._make(found, missing, wanted, out.parent, advance)

    def _make(
        self,
        ready: Ready,
        pairs: Sequence[Pair],
        wanted: Mapping[str, Path],
        beside: Path,
        advance: Callable[[int], None],
    ) -> dict[str, str]:
        """Run the program on pairs whose pictures are missing; return the failures."""
        case = ready.case
        picked = choose(pairs, case.frame, case.inputs in TREE_NAMES)
        picked, failures = picked.without(unreadable(picked))
        with work_folder(beside) as work:
            link_repository(ready.clone, work, case, ready.weights)
            if case.label_maps is not None:
                lacks = provide(case.label_maps, picked, ready.clone, self.dataset, work)
                picked, lost = picked.without(lacks)
                failures |= lost
            if not picked.ids:
                return failures
            write_inputs(case, picked, work)
            returned = Returned(
                case, work, picked.known, picked.ids, {i: wanted[i] for i in picked.ids},
                self.resolution, self.kernel,
            )  # fmt: skip
            ended = self._run(ready, work, beside / LOG, returned, advance)
            failures |= self._missing(picked, returned, ended)
        return failures

    def _run(
        self,
        ready: Ready,
        work: Path,
        log: Path,
        returned: Returned,
        advance: Callable[[int], None],
    ) -> Ended:
        """Run the program to its end and take over what it leaves."""
        case, interpreter = ready.case, ready.interpreter.path
        words = {"port": str(_free_port())}
        changes = {key: text.format(**words) for key, text in case.environment.items()}
        environment = child_environment(interpreter, changes, self.device)
        heard = _Heard(log, case.unloaded)

        def watch() -> int:
            heard.check()
            done = returned.collect(final=False)
            advance(done)
            return done

        command = [str(interpreter), *case.command]
        try:
            ended = run_child(
                command, work, log, environment, self.given.time_limit, watch, self.patience
            )
        except OSError as error:
            raise InputError(f"{self.name}: {interpreter} cannot be started ({error})") from error
        try:
            heard.check()
        except StopChildError as stop:
            return Ended(ended.code, f"is of no use: {stop}", ended.tail)
        advance(returned.collect(final=True))
        return ended

    def _missing(self, picked: Chosen, returned: Returned, ended: Ended) -> dict[str, str]:
        """Return the reason for every picture that did not come back."""
        count, total = len(returned.done), len(picked.ids)
        rest = f"{self.name} {ended.text}"
        if count:
            rest = f"{rest}; {count} of {total} pictures came back"
        if returned.strangers:
            names = returned.strangers
            rest = f"{rest}; {len(names)} files fit no pair, such as {names[0]}"
        lost = (pair_id for pair_id in picked.ids if pair_id not in returned.done)
        return {pair_id: returned.problems.get(pair_id, rest) for pair_id in lost}

    def _ready(self) -> Ready | str:
        """Return everything that is needed, or in one line all that is lacking."""
        case = self.recipe.case(self.resolution)
        if case is None:
            frames = " or ".join(f"{c.frame[0]}x{c.frame[1]}" for c in self.recipe.cases)
            height, width = self.resolution
            wrong = f"makes pictures of {frames}, not of {height}x{width}: --resolution"
            return f"{self.name} {wrong}"
        clone = find_clone(self.recipe, self.given)
        if isinstance(clone, str):
            lacks = [clone, f"an interpreter ({self.recipe.era})"]
            lacks.append(f"weights {' and '.join(case.weights)} ({self.recipe.weights_from})")
            return f"{self.name} lacks {'; '.join([*lacks, *self._missing_maps(case, None)])}"
        interpreter = find_interpreter(self.recipe, self.given, clone)
        weights_found = find_weights(self.recipe, case, self.given, clone)
        lacks = [lack for lack in (interpreter, weights_found) if isinstance(lack, str)]
        if isinstance(interpreter, Interpreter) and interpreter.lacks:
            lacks.append(f"{', '.join(interpreter.lacks)} in {interpreter.path}")
        lacks += [*missing_files(case, clone), *self._missing_maps(case, clone)]
        if lacks or isinstance(interpreter, str) or isinstance(weights_found, str):
            return f"{self.name} lacks {'; '.join(lacks)}"
        return Ready(case, clone, interpreter, weights_found)

    def _missing_maps(self, case: Case, clone: Path | None) -> list[str]:
        """Return what is said of label maps that neither the clone nor the dataset has."""
        maps = case.label_maps
        if maps is None or carries(maps.kind, self.dataset):
            return []
        if clone is not None and (clone / maps.place).is_dir():
            return []
        return [f"{maps.what} ({maps.place} in the clone, or a dataset that carries them)"]


class _Heard:
    """What a program has printed so far, searched for words that make its pictures worthless."""

    def __init__(self, log: Path, words: Sequence[str]) -> None:
        self._log, self._words = log, [word.encode() for word in words]
        self._at, self._kept = 0, b""

    def check(self) -> None:
        """Raise `StopChildError` where one of the words has been printed since the last call."""
        if not self._words:
            return
        with self._log.open("rb") as file:
            file.seek(self._at)
            text = self._kept + file.read()
            self._at = file.tell()
        for word in self._words:
            if word in text:
                said = word.decode()
                raise StopChildError(f"it says {said!r} and would go on without its weights")
        self._kept = text[-max(map(len, self._words)) :]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
