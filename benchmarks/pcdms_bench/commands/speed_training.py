"""`pcdms-bench speed training`: a step of this implementation beside an official-style one."""

from __future__ import annotations

import json
from typing import Any

import click

from pcdms_bench.commands.options import debug_option, device_option, json_option


@click.command()
@click.option("--preset", default="tiny", show_default=True, help="Model size, tiny or paper.")
@click.option(
    "--random-weights", is_flag=True, help="Accepted for likeness: weights are always random here."
)
@click.option(
    "--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Rows of a step."
)
@click.option(
    "--steps", type=click.IntRange(1), default=10, show_default=True, help="Measured steps."
)
@click.option("--mixed-precision", help="no, bf16 or fp16 [default: bf16 on a GPU, else no].")
@click.option("--channels-last", is_flag=True, help="Lay the network's data out channels last.")
@click.option("--compile", "compile_mode", default="", help="default, reduce-overhead or so.")
@device_option
@json_option
@debug_option
def training(as_json: bool, **options: Any) -> int:
    """Seconds per training step of stage inpaint: ours from kept encodings, and official style.

    Encoders and autoencoder run inside every official-style step, as published.
    """
    from pcdms_bench.device import resolve_device
    from pcdms_bench.progress import Progress, silence_libraries
    from pcdms_bench.spec import COMPILE_MODES, PRESETS
    from pcdms_bench.suggestions import check_choice

    check_choice("preset", options["preset"], PRESETS)
    device = resolve_device(options["device"])
    precision = options["mixed_precision"] or ("no" if device == "cpu" else "bf16")
    check_choice("mixed precision", precision, ("no", "bf16", "fp16"))
    if options["compile_mode"]:
        check_choice("compile mode", options["compile_mode"], COMPILE_MODES)
    from pcdms_bench.speed_training import TrainingSpeed, measure_training

    silence_libraries()
    wanted = TrainingSpeed(
        options["preset"], device, options["batch_size"], options["steps"], precision,
        options["channels_last"], options["compile_mode"],
    )  # fmt: skip
    with Progress(silent=as_json) as progress:
        measured = measure_training(wanted, progress.follow("training"))
    click.echo(json.dumps(measured) if as_json else _lines(measured))
    return 0


def _lines(measured: dict[str, Any]) -> str:
    """Return the figures as text."""
    height, width = measured["frame"]
    lines = [
        f"{measured['preset']} {height}x{width}, batch {measured['batch_size']}, "
        f"{measured['device']}: {measured['tflop_per_step']:.3g} TFLOP a step "
        f"({measured['tflop_per_step_uncached']:.3g} with the frozen parts); peak "
        f"{measured['peak']['rate'] / 1e12:.3g} TFLOP/s ({measured['peak']['source']})"
    ]
    for name, key in (("official style", "official_style"), ("ours", "ours")):
        side = measured[key]
        lines.append(
            f"{name}: {side['seconds_per_step']:.4g} s a step, "
            f"{side['rows_per_second']:.3g} pairs/s, {side['tflops']:.3g} TFLOP/s, "
            f"{100 * side['share_of_peak']:.1f} % of the peak"
        )
    lines.append(
        f"official style ran with {measured['official_style']['precision']}; "
        f"ours with mixed precision {measured['execution']['mixed_precision']}"
    )
    lines.append(f"ratio: {measured['ratio']:.2f}")
    return "\n".join(lines)
