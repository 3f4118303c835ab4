"""`pcdms-bench speed render`: pictures per second of the embedded people."""

from __future__ import annotations

import json

import click

from pcdms_bench.commands.options import debug_option, json_option


@click.command()
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
