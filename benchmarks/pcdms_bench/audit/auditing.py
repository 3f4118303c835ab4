"""The audit itself: measure the base and every choice, share what they share, and compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pcdms_bench.audit.choices import ORDERS, PART, Choice, choices_for
from pcdms_bench.audit.files import jpeg_copies
from pcdms_bench.audit.subject import Subject
from pcdms_bench.audit.values import (
    Value,
    batch_of,
    change_interval,
    kept_pairs,
    pair_value,
    set_value,
)
from pcdms_bench.measuring import Measured, Plan, measure
from pcdms_bench.pair_metrics import pair_metric
from pcdms_bench.picture_views import View, apply_view, view_for
from pcdms_bench.progress import Progress
from pcdms_bench.protocols import PROTOCOLS, Protocol, protocol_for
from pcdms_bench.reference_features import Reference, reference_for
from pcdms_bench.result_folder import SHOWN
from pcdms_bench.result_store import ResultStore, open_store
from pcdms_bench.score_memory import ScoreMemory, shared_memory
from pcdms_bench.set_metrics import SET_METRICS, frame_of_set
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture
from pcdms_reports.audit_records import BASE, PROTOCOL, AuditRow

AUDITED = (
    "ssim", "masked_ssim", "psnr", "l1", "masked_l1", "mae", "gradient_ratio", "lpips",
    "lpips_pcdms", "st_lpips", "fid", "fid_paper", "fd_efficientnet_lite0",
)  # fmt: skip
"""Metrics that are audited where the base defines them."""
PASS_LIMIT = 3000
"""Training pictures that are passed through a network again without being asked to."""

_BASE = Choice(BASE, "", "")


@dataclass(frozen=True)
class AuditSettings:
    """What an audit starts from."""

    base: str = "standard"
    frame: tuple[int, int] | None = None
    """Metric frame (H, W) of a data set without one of its own; None: the run's."""
    metrics: tuple[str, ...] = ()
    """Which metrics; empty: all that the base defines."""
    device: str = "cpu"
    all_references: bool = False
    """Whether larger training sets than `PASS_LIMIT` are passed through the networks again."""


@dataclass(eq=False)
class _Audit:
    """What the parts of one audit share."""

    subject: Subject
    base: Protocol
    metrics: tuple[str, ...]
    settings: AuditSettings
    store: ResultStore
    memory: ScoreMemory
    scratch: Path
    training: Sequence[Picture]
    pair_ids: list[str] = field(default_factory=list[str])
    copies: list[Picture] = field(default_factory=list[Picture])


def audit(subject: Subject, settings: AuditSettings, progress: Progress) -> list[AuditRow]:
    """Return the base's numbers and what every choice alone makes of them, one row each.

    Rows of the group `base` hold the base, rows of `protocol` a whole other protocol in its place,
    all others one choice. Raises InputError on an unknown base or metric, and on a frame for a
    data set that has its own.
    """
    resolution = settings.frame or subject.resolution
    base = protocol_for(settings.base, subject.dataset, resolution)
    if settings.frame and base.frame != settings.frame:
        raise InputError(
            f"frame {settings.frame[0]}x{settings.frame[1]} of {subject.dataset}, expected one of "
            "the protocol's own"
        )
    metrics = _metrics(base, settings)
    with TemporaryDirectory() as scratch, open_store() as store:
        wants_set = any(name in SET_METRICS for name in metrics)
        work = _Audit(
            subject, base, metrics, settings, store, shared_memory(), Path(scratch),
            subject.training() if wants_set else (), [pair.pair_id for pair in subject.pairs],
        )  # fmt: skip
        choices = choices_for(base, subject.samples, subject.dataset in base.native)
        others = [protocol_for(name, subject.dataset, resolution) for name in PROTOCOLS]
        return _run(work, choices, others, progress)


def _metrics(base: Protocol, settings: AuditSettings) -> tuple[str, ...]:
    known = tuple(name for name in AUDITED if name in base.metrics)
    for name in settings.metrics:
        if name not in known:
            raise InputError(
                f"metric {name!r} is not audited under {base.name}: expected some of "
                f"{', '.join(known)}"
            )
    return tuple(name for name in known if not settings.metrics or name in settings.metrics)


def _run(
    work: _Audit, choices: Sequence[Choice], others: Sequence[Protocol], progress: Progress
) -> list[AuditRow]:
    """Measure everything that reads the same files in one go, then make the rows."""
    groups: dict[tuple[str, str], list[Choice]] = {("stored", "first"): []}
    for choice in choices:
        groups.setdefault((choice.files, choice.selection), []).append(choice)
    pairs = len(work.subject.pairs)
    rows: list[AuditRow] = []
    found: dict[Choice, Measured] = {}
    with progress.task(f"auditing {work.subject.method}", pairs * len(groups)) as add:
        first = _measure(work, [_BASE, *groups["stored", "first"]], others, add)
        _check(work.subject, first[0])
        found |= dict(zip([_BASE, *groups["stored", "first"]], first, strict=False))
        protocols = first[-len(others) :] if others else []
        for key, group in groups.items():
            if key != ("stored", "first"):
                found |= dict(zip(group, _measure(work, group, [], add), strict=True))
    base_values = {
        name: _value(work, name, _BASE, work.base, found[_BASE]) for name in work.metrics
    }
    with progress.task("comparing the choices", len(choices)) as add:
        for name in work.metrics:
            rows.append(_row(work, _BASE, name, base_values[name], base_values[name]))
        for choice in choices:
            rows += _choice_rows(work, choice, found[choice], base_values)
            add(1)
    for protocol, measured in zip(others, protocols, strict=True):
        rows += _protocol_rows(work, protocol, measured, base_values)
    return rows


def _check(subject: Subject, measured: Measured) -> None:
    """Raise InputError where pictures cannot be scored and that is not allowed."""
    if subject.refuses_broken and measured.problems:
        reasons = list(dict.fromkeys(measured.problems.values()))
        more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        raise InputError(
            f"{len(measured.problems)} pairs of {subject.method} cannot be scored: "
            f"{'; '.join(reasons[:SHOWN])}{more}"
        )


def _measure(
    work: _Audit,
    choices: Sequence[Choice],
    others: Sequence[Protocol],
    progress: Callable[[int], object],
) -> list[Measured]:
    """Measure choices that read the same files of the same samples, and whole protocols."""
    plans = [Plan(choice.protocol(work.base), work.metrics) for choice in choices]
    plans += [Plan(protocol, _pairwise(protocol)) for protocol in others]
    first = choices[0]
    return measure(
        work.subject.tasks(first.files), plans, work.memory, work.store, first.selection,
        work.settings.device, progress,
    )  # fmt: skip


def _pairwise(protocol: Protocol) -> tuple[str, ...]:
    """Return the metrics of a protocol that have a value per pair."""
    return tuple(name for name in protocol.metrics if name in AUDITED and pair_metric(name))


def _choice_rows(
    work: _Audit, choice: Choice, measured: Measured, base_values: dict[str, Value]
) -> list[AuditRow]:
    """Return one row per metric that the base could compute."""
    rows = []
    protocol = choice.protocol(work.base)
    for name, base in base_values.items():
        if base.value is None or (choice.metrics and name not in choice.metrics):
            continue
        orders = range(choice.orders) if choice.orders else [None]
        values = [_value(work, name, choice, protocol, measured, order) for order in orders]
        value = max(values, key=partial(_distance, base.value))
        rows.append(_row(work, choice, name, value, base))
    return rows


def _distance(base: float, value: Value) -> float:
    """Return how far a number lies from the base's; a missing one comes last."""
    return -1.0 if value.value is None else abs(value.value - base)


def _value(
    work: _Audit,
    name: str,
    choice: Choice,
    protocol: Protocol,
    measured: Measured,
    order: int | None = None,
) -> Value:
    """Return one number under one choice."""
    batch = batch_of(name, protocol)
    if choice.batch is not None and (name in SET_METRICS or name in measured.extractors):
        batch = choice.batch
    kept = kept_pairs(work.pair_ids, measured, batch, order)
    if name not in SET_METRICS:
        return pair_value(name, measured, kept)
    if name in measured.unavailable:
        return Value(None, 0, measured.unavailable[name])
    reference = _reference(work, name, choice, protocol, measured, batch)
    if isinstance(reference, str):
        return Value(None, 0, reference)
    return set_value(name, measured, kept, reference, protocol)


def _reference(
    work: _Audit, name: str, choice: Choice, protocol: Protocol, measured: Measured,
    batch: int | None,
) -> Reference | str:  # fmt: skip
    """Return the pictures a set metric compares with, or why that is not done."""
    if not work.training:
        return "no training pictures to compare with"
    view = view_for(protocol, "reference", frame_of_set(SET_METRICS[name], protocol))
    own = view_for(work.base, "reference", frame_of_set(SET_METRICS[name], work.base))
    many = len(work.training) > PASS_LIMIT and not work.settings.all_references
    if many and (choice.reference == "jpeg75" or not _sees_alike(work.training[0], view, own)):
        return (
            f"needs {len(work.training):,} training pictures to pass through the network again; "
            "--all-references does it"
        )
    return reference_for(
        _reference_pictures(work, choice), measured.networks[name], view, batch, work.store,
        work.memory,
    )  # fmt: skip


def _reference_pictures(work: _Audit, choice: Choice) -> Sequence[Picture]:
    if choice.reference == "targets":
        targets = {
            (p.target.path, p.target.row, p.target.key): p.target for p in work.subject.pairs
        }
        return list(targets.values())
    if choice.reference == "part":
        count = round(PART * len(work.training))
        chosen = np.random.default_rng(20240).permutation(len(work.training))[:count]
        return [work.training[i] for i in sorted(chosen)]
    if choice.reference == "jpeg75":
        if not work.copies:
            work.copies = jpeg_copies(work.training, work.scratch, 75)
        return work.copies
    return work.training


def _sees_alike(picture: Picture, one: View, other: View) -> bool:
    """Whether two views of a picture are equal, as when it has the metric frame already."""
    pixels = load_picture(picture)
    return np.array_equal(apply_view(one, pixels), apply_view(other, pixels))


def _protocol_rows(
    work: _Audit, protocol: Protocol, measured: Measured, base_values: dict[str, Value]
) -> list[AuditRow]:
    """Return what a whole protocol makes of the same pictures, metric by metric."""
    choice = Choice(PROTOCOL, protocol.name, protocol.source)
    missing = Value(None, 0, "not a metric of the base")
    return [
        _row(
            work, choice, name, _value(work, name, choice, protocol, measured),
            base_values.get(name, missing),
        )
        for name in _pairwise(protocol)
    ]  # fmt: skip


def _row(work: _Audit, choice: Choice, metric: str, value: Value, base: Value) -> AuditRow:
    interval = None if choice is _BASE else change_interval(value, base, work.base.resamples)
    change = None if value.value is None or base.value is None else value.value - base.value
    status = "unavailable" if value.value is None else "indicative" if value.indicative else "ok"
    subject = work.subject
    return AuditRow(
        run=subject.run, method=subject.method, stage=subject.stage, dataset=subject.dataset,
        split=subject.split, frame=f"{work.base.frame[0]}x{work.base.frame[1]}",
        base=work.base.name, group=choice.group, choice=choice.name or work.base.name,
        used_by=choice.used_by, metric=metric, base_value=base.value, value=value.value,
        change=change, ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None, n=value.n, n_base=base.n,
        pairs=len(subject.pairs), status=status, reason=value.reason,
    )  # fmt: skip


__all__ = ["AUDITED", "ORDERS", "AuditSettings", "audit"]
