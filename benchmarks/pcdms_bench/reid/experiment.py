"""The table of `pcdms-bench reid`: which cells there are, and the file that holds their rows.

`OUT/reid.json` says what all cells of a folder have in common; a command that differs in any of it
is refused there, so that `OUT/reid.csv`, made anew from the cells, never mixes what does not
compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pcdms_bench.device import resolve_device
from pcdms_bench.progress import Progress, State
from pcdms_bench.reid.cells import (
    CELL,
    Cell,
    CellResult,
    Searched,
    Setting,
    contents,
    finish_cell,
    stored_row,
)
from pcdms_bench.reid.evaluation import askable
from pcdms_bench.reid.generated import RULES, GeneratedSet, Origin, read_runs, used_pictures
from pcdms_bench.reid.network import make_network
from pcdms_bench.reid.recipe import RECIPES, ReidRecipe
from pcdms_bench.reid.subsets import kept_pictures
from pcdms_bench.run_folder import read_json, write_json
from pcdms_bench.spec import SIZES
from pcdms_bench.suggestions import check_choice
from pcdms_bench.training_pictures import decoded_pictures
from pcdms_data.cache import file_sha256
from pcdms_data.persons import PersonPicture, PersonSplit, load_persons
from pcdms_data.types import InputError
from pcdms_reports.reid_results import NAME, NONE, ReidRow, write_reid

COMMON = "reid.json"
RENDERED = "people-street"


@dataclass(frozen=True)
class ReidRequest:
    """What the command was asked for; `fractions` in percent, ascending, `rule` one of `RULES`.

    `start` is a file of ImageNet weights, None a random start; `steps` None the recipe's own.
    """

    dataset: str
    root: Path | None
    size: str
    runs: tuple[Path, ...]
    fractions: tuple[int, ...]
    rule: str
    out: Path
    preset: str
    start: Path | None
    steps: int | None
    seed: int
    repeat_seeds: int
    device: str


@dataclass(frozen=True, eq=False)
class Experiment:
    """A checked request: its cells in the order of training, and what they share.

    `covered` = {method: persons of whom it made a picture}.
    """

    setting: Setting
    cells: tuple[Cell, ...]
    common: dict[str, object]
    covered: dict[str, int]


def plan_experiment(request: ReidRequest, progress: Progress) -> Experiment:
    """Return the cells of a request; every value and every test picture is checked, none written.

    Raises:
        InputError: as `load_persons`, `read_runs` and `make_network` do, on unknown choices, on a
            picture that cannot be read, and where `out` holds cells that do not compare.
    """
    check_choice("size", request.size, SIZES)
    check_choice("preset", request.preset, RECIPES)
    check_choice("rule for generated pictures", request.rule, RULES)
    size = request.size if request.dataset == RENDERED else ""
    recipe = _recipe(request)
    split = load_persons(
        request.dataset, request.root, request.size, progress.follow(f"rendering {RENDERED}")
    )
    origin = Origin(request.dataset, size, request.root, split.train)
    made = read_runs(request.runs, origin)
    setting = _setting(request, recipe, split)
    make_network(recipe.network, 1, request.start, 0)  # refuses a file that does not fit
    common: dict[str, object] = {
        "dataset": request.dataset,
        "size": size,
        "network": setting.label,
        "generated pictures": request.rule,
        "training pictures": contents((one.person, one.picture) for one in split.train)[:16],
        "test pictures": setting.tested[:16],
    }
    cells = tuple(_cells(request, split.train, made))
    _check_out(request.out, common, cells)
    covered = {one.method: len({p.person for p in one.pictures}) for one in made}
    return Experiment(setting, cells, common, covered)


def run_experiment(
    experiment: Experiment, progress: Progress, report: Callable[[CellResult], None]
) -> list[CellResult]:
    """Finish every cell, reporting each, and return the results; `reid.csv` is kept up to date.

    Raises InputError as `finish_cell` does; the cells before are kept.
    """
    out = experiment.setting.out
    write_json(out / COMMON, experiment.common)
    results = []
    for cell in experiment.cells:
        show = _steps_shown(progress.follow(f"training {cell.name}"))
        result = finish_cell(cell, experiment.setting, show)
        write_reid(_rows(out), out / NAME)
        report(result)
        results.append(result)
    return results


def _steps_shown(state: State) -> Callable[[int, int, float], None]:
    return lambda step, steps, loss: state(step, steps, f"loss {loss:.3f}")


def _recipe(request: ReidRequest) -> ReidRecipe:
    """Return the preset's recipe with the steps asked for; the warm-up keeps its share of them."""
    recipe = RECIPES[request.preset]
    if request.steps is None:
        return recipe
    own = recipe.settings
    warmup = own.warmup * request.steps // own.steps
    return replace(recipe, settings=replace(own, steps=request.steps, warmup=warmup))


def _setting(request: ReidRequest, recipe: ReidRecipe, split: PersonSplit) -> Setting:
    """Read the test pictures and return what the cells share."""
    started = ""
    if request.start is not None:
        if not request.start.is_file():
            raise InputError(f"{request.start}: no such file, expected weights of torchvision")
        started = file_sha256(request.start)
    query = _searched(split.query, recipe)
    gallery = query if split.gallery is split.query else _searched(split.gallery, recipe)
    asking = askable(split.query, split.gallery)
    if not asking:
        raise InputError(
            f"dataset {request.dataset}: no query shows a person whom another camera has seen"
        )
    return Setting(
        dataset=request.dataset,
        label=_label(recipe, started, request.rule),
        recipe=recipe,
        start=request.start,
        started=started,
        persons=sorted({one.person for one in split.train}),
        query=query,
        gallery=gallery,
        tested=contents((one.person, one.picture) for one in (*split.query, *split.gallery)),
        askable=asking,
        out=request.out,
        device=resolve_device(request.device),
    )


def _label(recipe: ReidRecipe, started: str, rule: str) -> str:
    """Return what a table says of the networks; only rows of one label are compared."""
    height, width = recipe.frame
    start = f"start {started[:8]}" if started else "random start"
    words = f"{recipe.network} {height}x{width}, {start}, {recipe.settings.steps} steps"
    return words if rule == RULES[0] else f"{words}, generated pictures for the rest alone"


def _searched(shown: Sequence[PersonPicture], recipe: ReidRecipe) -> Searched:
    return Searched(decoded_pictures([one.picture for one in shown], recipe.frame), shown)


def _cells(
    request: ReidRequest, train: Sequence[PersonPicture], made: Sequence[GeneratedSet]
) -> Iterator[Cell]:
    """Yield the cells: real pictures alone first, share by share, then each run's."""
    for seed in range(request.seed, request.seed + request.repeat_seeds):
        for fraction in request.fractions:
            real = kept_pictures(train, fraction, seed)
            yield Cell(NONE, "", fraction, seed, real)
            for one in made:
                generated = used_pictures(one, real, request.rule, seed)
                run = f"{one.run} {one.stage}"
                yield Cell(one.method, run, fraction, seed, real, generated, one.peeked)


def _check_out(out: Path, common: dict[str, object], cells: Sequence[Cell]) -> None:
    """Refuse a folder whose cells do not compare with those of this command."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, expected a folder to write to")
    stored = read_json(out / COMMON)
    for name, mine in common.items():
        if stored and stored.get(name) != mine:
            raise InputError(
                f"{out} holds networks with {name} {stored.get(name)!r}, now {mine!r}: give "
                "another --out"
            )
    runs = {cell.method: cell.run for cell in cells}
    for run, row in _stored(out):
        if runs.get(row.method, run) != run:
            raise InputError(
                f"{out} holds networks for {row.method} of run {run}, now {runs[row.method]}: give "
                "another --out"
            )


def _stored(out: Path) -> Iterator[tuple[str, ReidRow]]:
    for path in sorted(out.glob(f"*/{CELL}")):
        found = stored_row(path.parent)
        if found is not None:
            yield found


def _rows(out: Path) -> list[ReidRow]:
    """Return the rows of all finished cells, real pictures alone first, then by method."""
    rows = [row for _, row in _stored(out)]
    return sorted(rows, key=lambda row: (row.with_generated, row.method, row.fraction, row.seed))
