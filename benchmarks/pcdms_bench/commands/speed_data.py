"""`pcdms-bench speed data`: reading and streaming of pairs."""

from __future__ import annotations

import json

import click

from pcdms_bench.commands.options import debug_option, json_option


@click.command()
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Decoding threads."
)
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=3000,
    show_default=True,
    help="Pairs streamed from each kind of file, about.",
)
@json_option
@debug_option
def data(workers: int, pairs: int, as_json: bool) -> int:
    """Pairs per second that reach a training loop, and how fast a prepared dataset opens."""
    from dataclasses import asdict

    from pcdms_bench.progress import Progress
    from pcdms_data.loading_speed import loading_speed
    from pcdms_data.streaming_speed import streaming_speed

    with Progress(silent=as_json) as progress:
        streams = streaming_speed(workers, pairs, progress.follow("streaming"))
        loading = loading_speed()
    if as_json:
        rows = [asdict(one) | {"per_second": one.per_second} for one in streams]
        click.echo(json.dumps({"streaming": rows, "loading": asdict(loading)}))
        return 0
    for one in streams:
        goal = f" (target {one.target:.0f} on two idle cores)" if one.target else ""
        click.echo(
            f"{one.way:9} {one.files:6} 256x176: {one.per_second:.0f} pairs/s with {one.workers} "
            f"workers{goal}"
        )
    click.echo(
        f"opening {loading.pairs} prepared pairs of {loading.pictures} pictures: "
        f"{loading.seconds:.2f} s (target {loading.seconds_target:.0f}), "
        f"{loading.memory_mb:.0f} MB (target {loading.memory_target_mb:.0f})"
    )
    return 0
