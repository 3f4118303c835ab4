"""Compare two runs, or two stages of one, pair by pair: stored scores only, nothing is scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcdms_bench.generation import generated_stages
from pcdms_bench.metrics.catalog import METRICS
from pcdms_bench.run_folder import run_folders
from pcdms_bench.spec import RunSpec, read_spec
from pcdms_bench.suggestions import check_choice
from pcdms_data.types import InputError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "protocol", "metric", "first", "second", "first_value", "second_value", "difference", "ci_low",
    "ci_high", "p", "p_holm", "effect", "first_better", "n", "verdict",
)  # fmt: skip
"""Columns of `compare_runs`; `first` and `second` are `<method> <stage>`."""
LEVEL = 0.05
SHOWN = 8
"""Runs of a folder that a message names."""
SAME = ("dataset", "split", "size", "data_seed", "convention", "resolution")
"""What must agree in two specifications for their pairs to be the same pictures."""


def compare_runs(
    first: Path,
    second: Path,
    stages: tuple[str, str] | None = None,
    protocols: Sequence[str] = (),
    metrics: Sequence[str] = (),
) -> pd.DataFrame:
    """Return one row per protocol and per-pair metric that both run folders hold, `COLUMNS`.

    `stages` names the stage of each run (default: each run's last one), so that two stages of one
    run can be compared by giving its folder twice. `difference` is first minus second over the
    pairs that both have, with its 95 % bootstrap interval; `p` comes from a paired sign-flip test,
    `p_holm` is corrected for the number of rows; `effect` is the mean difference in standard
    deviations of the differences; `first_better` the share of pairs on which the first is better.
    `verdict` is `first`, `second` (the better one at p_holm below 0.05) or `undecided`.
    Set metrics (FID and its kin) have no value per pair and are not among the rows.
    A folder may also hold one run somewhere below. Raises InputError for folders that hold none or
    several, of different data, or with nothing in common (then with what they hold).
    """
    import pandas as pd

    from pcdms_reports.paired import holm, paired_difference, read_pair_table

    first, second = one_run(first), one_run(second)
    specs = [read_spec(folder / "spec.json") for folder in (first, second)]
    _check_same(first, second, specs[0], specs[1])
    chosen = stages or (_last_stage(specs[0]), _last_stage(specs[1]))
    if first.resolve() == second.resolve() and chosen[0] == chosen[1]:
        raise InputError(f"{first} stage {chosen[0]} was to be compared with itself")
    tables = []
    for folder, spec, stage in zip((first, second), specs, chosen, strict=True):
        check_choice("stage", stage, generated_stages(spec.stages))
        frame = read_pair_table(folder / "pairs.csv")
        tables.append(frame[frame["stage"] == stage])
    keys = ["pair", "protocol", "metric"]
    both = tables[0].merge(tables[1], on=keys, suffixes=("_first", "_second"))
    rows = []
    labels = [f"{spec.method} {stage}" for spec, stage in zip(specs, chosen, strict=True)]
    for key, group in both.groupby(["protocol", "metric"], sort=False):
        protocol, metric = map(str, key)
        if (metrics and metric not in metrics) or (protocols and not _named(protocol, protocols)):
            continue
        found = paired_difference(group["value_first"].to_numpy(), group["value_second"].to_numpy())
        if found is None or metric not in METRICS:
            continue
        better = found.greater if METRICS[metric].better == "higher" else 1 - found.greater
        rows.append(
            (protocol, metric, *labels, group["value_first"].mean(), group["value_second"].mean(),
             found.difference, found.ci_low, found.ci_high, found.p, found.p, found.effect, better,
             found.n, "")
        )  # fmt: skip
    if not rows:
        raise InputError(_nothing_in_common(first, second, tables, protocols, metrics))
    result = pd.DataFrame(rows, columns=list(COLUMNS))
    result["p_holm"] = holm(list(result["p"]))
    result["verdict"] = [
        _verdict(metric, difference, p)
        for metric, difference, p in zip(
            result["metric"], result["difference"], result["p_holm"], strict=True
        )
    ]
    return result


def _named(protocol: str, wanted: Sequence[str]) -> bool:
    """Return whether a row's protocol, which may carry a frame, is one of those asked for."""
    return protocol in wanted or protocol.partition("@")[0] in wanted


def _verdict(metric: str, difference: float, p: float) -> str:
    if p >= LEVEL or difference == 0:
        return "undecided"
    return "first" if (difference > 0) == (METRICS[metric].better == "higher") else "second"


def one_run(folder: Path) -> Path:
    """Return the run folder that `folder` is, or the only one below it.

    Raises InputError where there is none, and with what exists where there are several.
    """
    found = run_folders(folder)
    if not found:
        raise InputError(f"{folder} is no run folder (no spec.json), expected one run to compare")
    if len(found) > 1:
        names = [path.relative_to(folder).as_posix() for path in found]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise InputError(
            f"{folder} holds {len(names)} runs, expected one to compare: give one of "
            f"{', '.join(names[:SHOWN])}{more}"
        )
    return found[0]


def pairs_apart(first: Path, second: Path) -> str:
    """Return in words how the pairs differ that two runs have scores of; nothing where they agree.

    Pairs that one of them lacks have no difference and are left out of the comparison.
    """
    from pcdms_reports.paired import read_pair_table

    one, other = (
        set(read_pair_table(one_run(folder) / "pairs.csv")["pair"]) for folder in (first, second)
    )
    if one == other:
        return ""
    return (
        f"{first} has scores of {len(one)} pairs and {second} of {len(other)}: compared are the "
        f"{len(one & other)} of both"
    )


def _nothing_in_common(
    first: Path,
    second: Path,
    tables: Sequence[pd.DataFrame],
    protocols: Sequence[str],
    metrics: Sequence[str],
) -> str:
    """Return why there is no row, and what each of the two runs holds."""
    held = [
        f"{folder} has {_held(table)}"
        for folder, table in zip(dict.fromkeys((first, second)), tables, strict=False)
    ]
    asked = " of those asked for" if protocols or metrics else ""
    return (
        f"{first} and {second} have no per-pair score in common{asked}: {'; '.join(held)} "
        "(score both with the same protocol)"
    )


def _held(table: pd.DataFrame) -> str:
    parts = [
        f"{', '.join(dict.fromkeys(map(str, part['metric'])))} under {protocol}"
        for protocol, part in table.groupby("protocol", sort=False)
    ]
    return " and ".join(parts) or "nothing"


def _check_same(first: Path, second: Path, one: RunSpec, other: RunSpec) -> None:
    for name in SAME:
        a, b = getattr(one, name), getattr(other, name)
        if a != b:
            raise InputError(
                f"{first} and {second} differ in {name} ({a} and {b}): their pairs are not the same"
            )


def _last_stage(spec: RunSpec) -> str:
    return generated_stages(spec.stages)[-1]
