"""`pcdms-bench speed baselines`: the methods without learning."""

from __future__ import annotations

import json

import click

from pcdms_bench.commands.options import debug_option, json_option, threads_option


@click.command()
@click.option(
    "--pairs",
    type=click.IntRange(2, 1500),
    default=200,
    show_default=True,
    help="Pairs of the embedded people, 256x176.",
)
@threads_option
@json_option
@debug_option
def baselines(pairs: int, threads: int, as_json: bool) -> int:
    """CPU time of a pair in every method without learning, and of DeepFashion's 8,570 pairs."""
    from pcdms_bench.pinned_threads import pin_threads

    pin_threads(threads)
    from dataclasses import asdict

    from pcdms_bench.progress import Progress
    from pcdms_bench.speed_baselines import PAIRS, TARGET_S, baseline_speed

    with Progress(silent=as_json) as progress:
        found = baseline_speed(pairs, progress=progress.follow("methods"))
    if as_json:
        rows = [asdict(one) | {"whole_s": one.whole_s, "within": one.within} for one in found]
        click.echo(json.dumps({"threads": threads, "rows": rows}, indent=2))
        return 0
    for one in found:
        aim = "a network: no target" if one.network else f"target at most {TARGET_S:.0f} s"
        click.echo(
            f"{one.method}: {1000 * one.cpu_s:.2f} ms a pair ({1000 * one.wall_s:.2f} ms elapsed, "
            f"{one.pairs} pairs), {one.setup_s:.1f} s before the first; "
            f"{PAIRS} pairs {one.whole_s:.0f} s ({aim})"
        )
    click.echo(f"CPU time of one process, {threads} thread{'s' if threads > 1 else ''} a library")
    return 0
