"""What a user has of an official repository: clone, interpreter, weights; and what is lacking."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pcdms_baselines.external.child import child_environment
from pcdms_baselines.external.recipe import Case, Recipe

CLONES = "PCDMS_REPOS"
"""Variable: folder with clones under the names of their repositories (`PIDM`, `CFLD`, ...)."""
INTERPRETERS = (".venv/bin/python", "venv/bin/python")
"""Where the interpreter is looked for in a clone when none is given."""
_PROBE = (
    "import importlib.util as u, json, sys\n"
    "print(json.dumps({'version': sys.version.split()[0],"
    " 'lacks': [n for n in sys.argv[1:] if u.find_spec(n) is None]}))"
)
_PATIENCE = 120


@dataclass(frozen=True)
class Given:
    """What the user says of one repository; None: looked for below `PCDMS_REPOS`, or in the clone.

    `weights` is a file, or a folder with files of the names that the recipe lists. `time_limit` in
    seconds ends the program.
    """

    repository: Path | None = None
    interpreter: str | None = None
    weights: Path | None = None
    time_limit: float | None = None


@dataclass(frozen=True)
class Interpreter:
    """An interpreter that answers: its version, and which wanted modules it lacks."""

    path: Path
    version: str
    lacks: tuple[str, ...]


def find_clone(recipe: Recipe, given: Given) -> Path | str:
    """Return the clone, or what is wrong in words."""
    option = f"--repo {recipe.name}=DIR"
    folder = given.repository
    if folder is None and os.environ.get(CLONES):
        folder = Path(os.environ[CLONES]) / recipe.repository.rpartition("/")[2]
        if not folder.is_dir():
            folder = None
    if folder is None:
        return f"a clone of {recipe.repository} ({option}, or a folder of clones in {CLONES})"
    if not (folder / recipe.program).is_file():
        return f"{recipe.program} in {folder}, expected a clone of {recipe.repository} ({option})"
    return folder.absolute()


def find_interpreter(recipe: Recipe, given: Given, clone: Path) -> Interpreter | str:
    """Return the interpreter with what it lacks, or in words what is wrong with it."""
    option = f"--interpreter {recipe.name}=PYTHON"
    names = [given.interpreter] if given.interpreter else [str(clone / p) for p in INTERPRETERS]
    # A link to an interpreter is its environment: it must not be followed.
    answers = [answer for name in names if (answer := shutil.which(name)) is not None]
    if not answers:
        missing = f"interpreter {given.interpreter}" if given.interpreter else "an interpreter"
        return f"{missing} ({option}; {recipe.era})"
    path = Path(answers[0]).absolute()
    probed = _probe(path, recipe.packages, clone)
    if isinstance(probed, str):
        return f"a working interpreter: {path} {probed} ({option})"
    return probed


def _probe(path: Path, packages: tuple[str, ...], clone: Path) -> Interpreter | str:
    """Ask an interpreter for its version and for the modules that it cannot find."""
    command = [str(path), "-c", _PROBE, *packages]
    try:
        done = subprocess.run(
            command, cwd=clone, env=child_environment(path, {}), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_PATIENCE,
        )  # fmt: skip
        answer = json.loads(done.stdout.strip().rpartition("\n")[2])
        return Interpreter(path, str(answer["version"]), tuple(map(str, answer["lacks"])))
    except subprocess.TimeoutExpired:
        return f"gives no answer within {_PATIENCE} s"
    except (OSError, ValueError, KeyError, TypeError):
        return "cannot be run as a Python interpreter"


def find_weights(recipe: Recipe, case: Case, given: Given, clone: Path) -> dict[str, Path] | str:
    """Return {place in the repository: file or folder of the weights}, or what is missing."""
    option = f"--method-weights {recipe.name}=PATH"
    if given.weights is not None:
        return _given_weights(case, given.weights, option)
    for places in (case.weights, *((place,) for place in case.weights_also)):
        if all((clone / place).exists() for place in places):
            return dict(zip(case.weights, (clone / place for place in places), strict=True))
    return (
        f"weights {' and '.join(case.weights)} ({recipe.weights_from}; put them there in the "
        f"clone, or {option})"
    )


def _given_weights(case: Case, given: Path, option: str) -> dict[str, Path] | str:
    """Return the user's weights by place: one file, or a folder that holds all of them."""
    names = {place: Path(place).name for place in case.weights}
    wants_folder = not all(Path(name).suffix for name in names.values())
    if given.is_dir() and not wants_folder:
        lacking = [name for name in names.values() if not (given / name).is_file()]
        if lacking:
            return f"{' and '.join(lacking)} in {given} ({option})"
        return {place: (given / name).absolute() for place, name in names.items()}
    if wants_folder != given.is_dir() or len(names) > 1:
        kind = "a folder" if wants_folder else f"a folder with {' and '.join(names.values())}"
        return f"weights at {given}, expected {kind} ({option})"
    return {place: given.absolute() for place in names}


def missing_files(case: Case, clone: Path) -> list[str]:
    """Return what else of a clone is missing, each in words."""
    return [f"{place} in the clone" for place in case.needs if not (clone / place).exists()]


def provenance(
    clone: Path, interpreter: Interpreter, weights: Mapping[str, Path]
) -> dict[str, str]:
    """Return what `environment.json` keeps of an external program."""
    from pcdms_baselines.external.state import content_digest, repository_state

    record = {"clone": str(clone), "state": repository_state(clone)}
    record |= {"interpreter": str(interpreter.path), "python": interpreter.version}
    return record | {f"sha256 {place}": content_digest(path) for place, path in weights.items()}
