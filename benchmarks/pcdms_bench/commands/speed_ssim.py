"""`pcdms-bench speed ssim`: SSIM against scikit-image."""

from __future__ import annotations

import click

from pcdms_bench.commands.options import debug_option, json_option, threads_option


@click.command()
@click.option(
    "--pictures",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="Pairs of pictures, 256x176.",
)
@threads_option
@json_option
@debug_option
def ssim(pictures: int, threads: int, as_json: bool) -> int:
    """CPU time of SSIM for a pair, and of scikit-image's, in float64 and float32."""
    from pcdms_bench.pinned_threads import pin_threads

    pin_threads(threads)
    from pcdms_bench.commands.comparisons import print_comparisons
    from pcdms_bench.metric_speed import ssim_speed

    print_comparisons("SSIM", ssim_speed(pictures), threads, as_json)
    return 0
