"""`pcdms-bench speed`: measured figures of parts of the tool, on this machine, now."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import click

from pcdms_bench.commands.options import debug_option, json_option

HEAVY = ("torch", "numpy", "pandas", "matplotlib", "diffusers", "transformers", "cv2")
STARTUP_LIMIT_S = 0.4


@click.group()
def speed() -> None:
    """Measure how fast parts of the tool are."""


@speed.command()
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=7,
    show_default=True,
    help="Number of runs; the first one warms the file cache and is not counted.",
)
@json_option
@debug_option
def startup(repeats: int, as_json: bool) -> int:
    """Wall time of `python -m pcdms_bench --help`; beside it, that of an empty Python program."""
    help_s = _wall_times(["-m", "pcdms_bench", "--help"], repeats)
    empty_s = _wall_times(["-c", "pass"], repeats)
    code = f"import sys, pcdms_bench.cli; print([n for n in {HEAVY!r} if n in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    figures = {
        "help_best_s": round(min(help_s), 3),
        "help_median_s": round(statistics.median(help_s), 3),
        "empty_python_best_s": round(min(empty_s), 3),
        "limit_s": STARTUP_LIMIT_S,
        "heavy_modules_loaded": loaded,
        "repeats": repeats,
    }
    if as_json:
        click.echo(json.dumps(figures))
    else:
        click.echo(
            f"--help: best {min(help_s):.3f} s, median {statistics.median(help_s):.3f} s "
            f"of {repeats} (limit {STARTUP_LIMIT_S} s); empty Python {min(empty_s):.3f} s; "
            f"heavy modules loaded: {loaded}"
        )
    return 0


def _wall_times(arguments: list[str], repeats: int) -> list[float]:
    """Return the wall seconds of each run of the Python interpreter, after one uncounted run."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return times[1:]


@speed.command()
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes."
)
@click.option(
    "--pictures",
    type=click.IntRange(1),
    default=480,
    show_default=True,
    help="Pictures at each size, about.",
)
@json_option
@debug_option
def render(workers: int, pictures: int, as_json: bool) -> int:
    """Pictures per second of the renderer of the embedded people; nothing is cached."""
    from dataclasses import asdict

    from pcdms_bench.progress import Progress
    from pcdms_data.people.speed import render_speed

    with Progress(silent=as_json) as progress:
        measured = render_speed(workers, pictures, progress.follow("rendering"))
    if as_json:
        figures = [
            asdict(one) | {"per_second": one.per_second, "per_cpu_second": one.per_cpu_second}
            for one in measured
        ]
        click.echo(json.dumps(figures))
        return 0
    for one in measured:
        height, width = one.resolution
        click.echo(
            f"{one.look} {height}x{width}: {one.per_second:.1f} pictures/s with {one.workers} "
            f"workers (target {one.target:.0f} on two idle cores), "
            f"{one.per_cpu_second:.1f} per CPU second"
        )
    return 0
