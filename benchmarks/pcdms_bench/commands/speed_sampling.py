"""`pcdms-bench speed sampling`: this implementation beside an official-style loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pcdms_bench.commands.options import debug_option, device_option, json_option


@click.command()
@click.option("--preset", default="tiny", show_default=True, help="Model size, tiny or paper.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Model directory [default: the shipped one of the preset].",
)
@click.option("--random-weights", is_flag=True, help="Measure with random weights, needs no files.")
@click.option(
    "--pairs", type=click.IntRange(1), default=32, show_default=True, help="Pairs on this side."
)
@click.option(
    "--official-pairs",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Pairs of the official-style loop.",
)
@click.option(
    "--chunk",
    "chunks",
    type=click.IntRange(1, 4096),
    multiple=True,
    help="Pairs per forward pass; given several times, the fastest counts [default: 8].",
)
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps [default: the preset's].")
@click.option("--guidance", type=float, help="Guidance scale [default: the preset's].")
@click.option("--dtype", help="Number type [default: bfloat16 on a GPU, else float32].")
@click.option("--channels-last", is_flag=True, help="Lay the networks' data out channels last.")
@click.option("--compile", "compile_mode", default="", help="default, reduce-overhead or so.")
@device_option
@json_option
@debug_option
def sampling(as_json: bool, **options: Any) -> int:
    """Seconds per pair, files to files: ours, and one pair per call as the published scripts do.

    Both sides use the same networks, steps and guidance, one sample per pair.
    """
    from pcdms_bench.device import resolve_device
    from pcdms_bench.model_files import weights_directory
    from pcdms_bench.progress import Progress, silence_libraries
    from pcdms_bench.spec import COMPILE_MODES, DTYPES, PRESETS
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.types import InputError

    check_choice("preset", options["preset"], PRESETS)
    device = resolve_device(options["device"])
    dtype = options["dtype"] or ("float32" if device == "cpu" else "bfloat16")
    check_choice("dtype", dtype, DTYPES)
    if options["compile_mode"]:
        check_choice("compile mode", options["compile_mode"], COMPILE_MODES)
    weights = None
    if not options["random_weights"]:
        weights = weights_directory(options["preset"], options["weights"])
        if not weights.is_dir():
            raise InputError(f"no weights at {weights}: give --weights, or --random-weights")
    from pcdms_bench.speed_sampling import SamplingSpeed, measure_sampling

    silence_libraries()
    wanted = SamplingSpeed(
        options["preset"], weights, device, options["pairs"], options["official_pairs"],
        options["chunks"] or (8,), dtype, options["steps"], options["guidance"],
        options["channels_last"], options["compile_mode"],
    )  # fmt: skip
    with Progress(silent=as_json) as progress:
        measured = measure_sampling(wanted, progress.follow("sampling"))
    click.echo(json.dumps(measured) if as_json else _lines(measured))
    return 0


def _lines(measured: dict[str, Any]) -> str:
    """Return the figures as text."""
    work = sum(measured["tflop_per_pair"].values())
    height, width = measured["frame"]
    lines = [
        f"{measured['preset']} ({measured['weights']} weights) {height}x{width}, "
        f"{measured['device']}: {work:.3g} TFLOP a pair, "
        f"floor {measured['floor_seconds_per_pair']:.3g} s ({measured['peak']['source']}, "
        f"{measured['peak']['rate'] / 1e12:.3g} TFLOP/s)"
    ]
    sides = [("official style", measured["official_style"])]
    sides += [(f"ours, chunk {side['chunk']}", side) for side in measured["ours"]]
    for name, side in sides:
        stages = ", ".join(f"{stage} {value:.3g}" for stage, value in side["stages"].items())
        lines.append(
            f"{name}: {side['seconds_per_pair']:.4g} s a pair ({stages}), "
            f"{side['tflops']:.3g} TFLOP/s, {100 * side['share_of_floor']:.1f} % of the floor"
        )
    lines.append(
        f"official style ran with {measured['official_style']['precision']}; "
        f"ours with {measured['execution']['dtype']}"
    )
    lines.append(f"ratio: {measured['ratio']:.2f}")
    return "\n".join(lines)
