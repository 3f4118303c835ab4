"""`pcdms-bench speed frechet`: the Frechet distance against SciPy's matrix root."""

from __future__ import annotations

import click

from pcdms_bench.commands.options import debug_option, json_option, threads_option


@click.command()
@click.option(
    "--width",
    type=click.IntRange(2, 8192),
    default=2048,
    show_default=True,
    help="Features of a picture.",
)
@click.option(
    "--few",
    type=click.IntRange(2),
    default=256,
    show_default=True,
    help="Pictures a side in the comparison with fewer pictures than features.",
)
@threads_option
@json_option
@debug_option
def frechet(width: int, few: int, threads: int, as_json: bool) -> int:
    """CPU time of the Frechet distance and of scipy.linalg.sqrtm, on made-up features."""
    from pcdms_bench.pinned_threads import pin_threads

    pin_threads(threads)
    from pcdms_bench.commands.comparisons import print_comparisons
    from pcdms_bench.metric_speed import frechet_speed

    print_comparisons("Frechet distance", frechet_speed(width, min(few, width)), threads, as_json)
    return 0
