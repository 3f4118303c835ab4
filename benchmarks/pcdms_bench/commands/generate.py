"""`pcdms-bench generate`: one's own picture of a person in another pose."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import (
    debug_option,
    device_option,
    encoders_option,
    vae_option,
)

EXAMPLES = """\b
Examples:
  pcdms-bench generate --source a.png --pose b.json --out c.png
  pcdms-bench generate --source a.png --source-pose a.json --pose b.png --out c.png

A pose is a .json file {"size": [H, W], "xy": [[x, y], ... 18], "visible": [true, ... 18]} in the
order of the OpenPose joints, or a picture whose key points are known: b.json beside b.png, or the
key points of a data set that the picture lies in. No pose estimator is shipped.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--source", type=click.Path(path_type=Path), required=True, help="Picture of the person."
)
@click.option(
    "--pose",
    type=click.Path(path_type=Path),
    required=True,
    help="Wanted pose: key points as .json, or a picture with known key points.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Picture to write, .png.",
)
@click.option(
    "--source-pose",
    type=click.Path(path_type=Path),
    help="Key points of the source [default: those known for it].",
)
@click.option("--preset", default="tiny", show_default=True, help="Model size, tiny or paper.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Model directory [default: the shipped one of the preset].",
)
@vae_option
@encoders_option
@click.option(
    "--stages", default="prior+inpaint+refine", show_default=True, help="Stages, joined by +."
)
@click.option(
    "--steps", type=click.IntRange(1, 1000), help="Sampling steps [default: the weights' own]."
)
@click.option("--guidance", type=float, help="Guidance scale [default: the weights' own].")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@device_option
@debug_option
def generate(
    source: Path,
    pose: Path,
    out: Path,
    source_pose: Path | None,
    preset: str,
    weights: Path | None,
    vae: str | None,
    encoders: tuple[str, ...],
    stages: str,
    steps: int | None,
    guidance: float | None,
    seed: int,
    device: str,
) -> int:
    """Put the person of one picture into another pose."""
    from pcdms_bench.own_picture import generate as generate_file

    written = generate_file(
        source, pose, out, source_pose, preset, weights, stages, steps, guidance, seed, device,
        vae, encoders,
    )  # fmt: skip
    click.echo(str(written))
    return 0
