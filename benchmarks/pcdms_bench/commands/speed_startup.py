"""`pcdms-bench speed startup`: how fast help appears."""

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


@click.command()
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
