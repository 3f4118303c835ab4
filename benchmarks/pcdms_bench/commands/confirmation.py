"""What `score FILE.zip` prints: each stored number of a bundle beside the one scored here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pcdms_bench.bundle.confirming import CheckedNumber, CheckedRun
    from pcdms_bench.bundle.reading import CheckedBundle

NO_PICTURES = (
    "no number can be confirmed: the bundle holds no pictures (`report RUN --bundle FILE "
    "--pictures` adds them)"
)


def score_bundle(
    path: Path, root: Path | None, device: str, tolerance: float | None, as_json: bool
) -> int:
    """Verify a bundle, score its pictures again and print what agrees; returns the exit code.

    0 where every number that can be scored here agrees (or, without pictures, the hashes do), 1
    where one differs or none could be scored.
    """
    from pcdms_bench.bundle.confirming import TOLERANCE, confirm_bundle
    from pcdms_bench.bundle.reading import check_bundle
    from pcdms_bench.device import resolve_device
    from pcdms_bench.progress import Progress

    used = TOLERANCE if tolerance is None else tolerance
    bundle = check_bundle(path)
    if not as_json:
        _print_hashes(bundle)
    runs: list[CheckedRun] = []
    if bundle.manifest.pictures:
        with Progress(silent=as_json) as progress:
            runs = confirm_bundle(bundle, root, resolve_device(device), progress, used)
    counts = Counter(str(number.verdict) for run in runs for number in run.numbers)
    differs = any(run.differs for run in runs)
    confirmed = bool(runs) and not differs and counts["agrees"] > 0
    if as_json:
        click.echo(json.dumps(_document(bundle, runs, used, confirmed), indent=2))
    elif not runs:
        click.echo(NO_PICTURES)
    else:
        _print_runs(runs)
        click.echo(_last_line(runs, counts, used, confirmed))
    return 0 if confirmed or not bundle.manifest.pictures else 1


def _print_hashes(bundle: CheckedBundle) -> None:
    manifest = bundle.manifest
    held = [name for name in ("pictures", "embeddings") if getattr(manifest, name)]
    click.echo(
        f"{bundle.path}: made by {manifest.tool}, {len(manifest.runs)} "
        f"{'run' if len(manifest.runs) == 1 else 'runs'}, {' and '.join(held) or 'no pictures'}"
    )
    click.echo(
        f"hashes: all {len(manifest.files)} files ({bundle.size:,} bytes) are as the manifest says"
    )
    click.echo(f"SHA-256 of the manifest: {bundle.sha256}")


def _print_runs(runs: Sequence[CheckedRun]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 140))
    for run in runs:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for heading in ("stage", "protocol", "metric"):
            table.add_column(heading, no_wrap=True)
        for heading in ("stored", "here", "pairs equal"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold")
        for number in run.numbers:
            table.add_row(*_cells(number))
        console.print(run.run, highlight=False, markup=False)
        if run.numbers:
            console.print(table)
        for what, (equal, compared) in (("slices", run.slices), ("chosen samples", run.choices)):
            if compared:
                click.echo(f"  {what}: {equal} of {compared} agree")
        for reason, count in run.left_out.items():
            rows = "number" if count == 1 else "numbers"
            click.echo(f"  {count} {rows} not scored again: {reason}")


def _cells(number: CheckedNumber) -> tuple[str, ...]:
    from rich.markup import escape

    from pcdms_reports.metric_words import words_of

    words = words_of(number.metric)
    values = ["–" if v is None else words.format(v) for v in (number.stored, number.here)]
    if number.verdict == "differs" and values[0] == values[1] and number.stored is not None:
        values = [f"{v:.9g}" for v in (number.stored, number.here) if v is not None]
    pairs = f"{number.pairs_equal} of {number.pairs}" if number.pairs else ""
    shown = number.note if number.verdict != "empty as stored" else ""
    said = number.verdict + (f": {shown}" if shown else "")
    return (number.stage, number.protocol, words.title, *values, pairs, escape(said))


def _last_line(
    runs: Sequence[CheckedRun], counts: Counter[str], tolerance: float, confirmed: bool
) -> str:
    pairs = sum(number.pairs_equal for run in runs for number in run.numbers)
    left = sum(sum(run.left_out.values()) for run in runs) + counts["not here"]
    parts = [
        f"{counts['agrees']} numbers and {pairs} values per pair agree within a relative "
        f"{tolerance:g}"
    ]
    lost = {
        "numbers": counts["differs"],
        "slices": sum(run.slices[1] - run.slices[0] for run in runs),
        "chosen samples": sum(run.choices[1] - run.choices[0] for run in runs),
    }
    parts += [f"{what} that differ: {count}" for what, count in lost.items() if count]
    if left:
        parts.append(f"{left} cannot be scored again here")
    return f"{'confirmed' if confirmed else 'NOT confirmed'}: {'; '.join(parts)}"


def _document(
    bundle: CheckedBundle, runs: Sequence[CheckedRun], tolerance: float, confirmed: bool
) -> dict[str, object]:
    return {
        "bundle": str(bundle.path),
        "manifest_sha256": bundle.sha256,
        "files": len(bundle.manifest.files),
        "pictures": bundle.manifest.pictures,
        "tolerance": tolerance,
        "confirmed": confirmed,
        "runs": [asdict(run) for run in runs],
    }
