"""`pcdms-bench speed scoring`: a whole score beside the way of the published scripts."""

from __future__ import annotations

import json

import click

from pcdms_bench.commands.options import debug_option, json_option, threads_option


@click.command()
@click.option(
    "--pairs", type=click.IntRange(2), default=32, show_default=True, help="Pairs of pictures."
)
@click.option(
    "--reference",
    type=click.IntRange(2),
    default=32,
    show_default=True,
    help="Training pictures.",
)
@click.option(
    "--no-root",
    is_flag=True,
    help="Leave out the published matrix root, 10 to 20 seconds, and the Frechet distance with it.",
)
@threads_option
@json_option
@debug_option
def scoring(pairs: int, reference: int, no_root: bool, threads: int, as_json: bool) -> int:
    """CPU time of protocol pcdms at 256x176, ours and as published, with random networks.

    The published way reads and resizes every picture for each metric, takes scikit-image's SSIM
    and holds whole sets as float32.
    """
    from pcdms_bench.pinned_threads import pin_threads

    pin_threads(threads)
    from dataclasses import asdict

    from pcdms_bench.progress import Progress
    from pcdms_bench.scoring_speed import (
        LABEL,
        PAIRS,
        TARGET_RATIOS,
        TRAINING,
        scoring_speed,
    )

    with Progress(silent=as_json) as progress:
        found = scoring_speed(pairs, reference, not no_root, progress.follow("scoring"))
    if as_json:
        document = asdict(found) | {"ratios": found.ratios, "threads": threads, "note": LABEL}
        click.echo(json.dumps(document, indent=2))
        return 0
    click.echo(f"protocol pcdms at 256x176, {pairs} pairs, {reference} training pictures ({LABEL})")
    click.echo(
        f"published: training pictures {found.published_reference:.2f} s, pairs "
        f"{found.published_pairs:.2f} s, matrix root {found.published_root:.2f} s"
    )
    click.echo(
        f"ours: training pictures {found.ours_reference:.2f} s, first method "
        f"{found.ours_first:.2f} s, second {found.ours_second:.2f} s, unchanged again "
        f"{found.ours_again:.3f} s"
    )
    words = {
        "first": f"a first method, computed for {PAIRS:,} pairs and {TRAINING:,} training pictures",
        "second": f"a second method, computed for {PAIRS:,} pairs",
        "again": "unchanged pictures scored again, against their first score",
    }
    for name, ratio in found.ratios.items():
        target = TARGET_RATIOS[name]
        click.echo(f"{words[name]}: {ratio:.1f} times faster (target {target:g})")
    gaps = ", ".join(f"{name} {gap:.1e}" for name, gap in found.differences.items())
    click.echo(f"largest differences: {gaps}")
    click.echo(f"CPU time in one process, {threads} thread{'s' if threads > 1 else ''} a library")
    return 0
