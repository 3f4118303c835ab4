"""What the tool knows, row by row: name, what it is, and why it cannot be used here (if so)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.types import InputError


@dataclass(frozen=True)
class Row:
    """One entry of a list; `reason` is None where it can be used on this machine."""

    name: str
    summary: str
    reason: str | None = None


def method_rows(root: Path | None = None) -> list[Row]:
    """Return every method; the floor methods are always there, `pcdms` needs its weights."""
    from pcdms.method import PCDMsMethod
    from pcdms_baselines.learned import shipped_weights
    from pcdms_baselines.methods import METHODS, make_baseline
    from pcdms_bench.model_files import weights_directory

    home = weights_directory("tiny", None)
    rows = [
        Row(
            "pcdms",
            "PCDMs in three stages: prior, inpaint, refine (--preset, --stages, --weights)",
            PCDMsMethod(home).unavailable(),
        )
    ]
    for entry in METHODS.values():
        for name in (entry.name, *entry.variants):
            reason = None
            if entry.name not in ("nearest-pose", "dense-warp"):  # these need the pairs' pictures
                frame = (256, 176) if entry.kind == "external" else (96, 64)
                weights = shipped_weights(entry.name)
                vae = home / "vae" if entry.latent else None
                reason = make_baseline(name, frame, vae=vae, weights=weights).unavailable()
            rows.append(Row(name, f"{entry.kind}: {entry.description}", reason))
    return rows


def dataset_rows(root: Path | None = None) -> list[Row]:
    """Return every dataset; one on disk is looked for below `root`."""
    from pcdms_bench.planning import EMBEDDED
    from pcdms_data.pairs import DATASETS, find_root

    rows = []
    for name, summary in DATASETS.items():
        reason = None
        if name not in EMBEDDED:
            try:
                find_root(name, root)
            except InputError as error:
                reason = str(error)
        rows.append(Row(name, summary, reason))
    return rows


def protocol_rows(root: Path | None = None) -> list[Row]:
    """Return every protocol."""
    from pcdms_bench.protocols import PROTOCOLS

    return [Row(name, protocol.summary) for name, protocol in PROTOCOLS.items()]


def naming_rows(root: Path | None = None) -> list[Row]:
    """Return every naming of result folders that `score` reads."""
    from pcdms_bench.naming import AUTO, NAMINGS

    auto = Row(AUTO, "the naming that explains most names; sheets by the size of their tiles")
    return [auto, *(Row(naming.name, naming.summary) for naming in NAMINGS.values())]


def metric_rows(root: Path | None = None) -> list[Row]:
    """Return every metric, with what it lacks on this machine."""
    from pcdms_bench.metrics.catalog import METRICS
    from pcdms_bench.metrics.networks import metric_problem

    sides = {"higher": "higher is better", "lower": "lower is better", "one": "best at 1"}
    return [
        Row(
            metric.name,
            f"{metric.meaning} ({metric.kind}; {metric.unit}; {sides[metric.better]}"
            f"{'; when named' if metric.on_request else ''})",
            metric_problem(metric.name),
        )
        for metric in METRICS.values()
    ]


def layout_rows(root: Path | None = None) -> list[Row]:
    """Return the file layouts that datasets on disk are read from."""
    from pcdms_data.layouts.table import LAYOUTS

    return [
        Row(
            layout.name,
            f"{layout.summary} ({', '.join(layout.datasets)}; "
            f"{'read and written' if layout.writable else 'read'})",
        )
        for layout in LAYOUTS.values()
    ]


def estimator_rows(root: Path | None = None) -> list[Row]:
    """Return the pose estimators of `data pose`, with what each lacks on this machine."""
    from pcdms_data.pose_estimation import ESTIMATORS, estimator_problem

    return [
        Row(name, entry.about, estimator_problem(name) or None)
        for name, entry in ESTIMATORS.items()
    ]


def repository_rows(root: Path | None = None) -> list[Row]:
    """Return the official repositories: licence, versions, weights, and what to know of each."""
    from pcdms_baselines.external.recipe import recipe_of
    from pcdms_baselines.methods import external_names, make_baseline

    rows = []
    for name in external_names():
        recipe = recipe_of(name)
        parts = (
            f"{recipe.repository} at {recipe.commit}", f"licence: {recipe.licence}", recipe.era,
            f"weights: {recipe.weights_from}", *recipe.notes,
        )  # fmt: skip
        reason = make_baseline(name, recipe.cases[0].frame).unavailable()
        rows.append(Row(name, "; ".join(parts), reason))
    return rows


def suite_rows(root: Path | None = None) -> list[Row]:
    """Return the shipped suites: files of options for `run`."""
    folder = Path(__file__).parent / "suites"
    return [Row(path.stem, f"options of `run` in {path.name}") for path in folder.glob("*.toml")]


LISTS: dict[str, Callable[[Path | None], list[Row]]] = {
    "methods": method_rows,
    "datasets": dataset_rows,
    "layouts": layout_rows,
    "protocols": protocol_rows,
    "metrics": metric_rows,
    "namings": naming_rows,
    "estimators": estimator_rows,
    "repositories": repository_rows,
    "suites": suite_rows,
}
"""What `pcdms-bench list` can list."""
