"""`pcdms-bench run`: options in, one `RunRequest` out, handed to the runner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdms_bench.commands.dataset_options import dataset_option, root_option, size_option
from pcdms_bench.commands.options import (
    debug_option,
    debug_wanted,
    device_option,
    encoders_option,
    external_options,
    json_option,
    vae_option,
)
from pcdms_bench.request import DEFAULT_METHODS

if TYPE_CHECKING:
    from pcdms_bench.request import RunRequest
    from pcdms_bench.runner import RunResult

EXAMPLES = """\b
Examples:
  pcdms-bench run
  pcdms-bench run --methods pcdms,limb-warp --limit 400 --out runs/long
  pcdms-bench run --methods pcdms --refine-over limb-warp
  pcdms-bench run --methods my_method/method.py:MyMethod,copy-source
  pcdms-bench run --dataset folder --root my-pictures --resolution 256x176
"""


@click.command(epilog=EXAMPLES)
@dataset_option
@root_option
@size_option
@click.option(
    "--layout",
    help="Layout of a dataset on disk; `pcdms-bench list layouts` names them [default: the first "
    "that recognises the folder].",
)
@click.option("--split", default="test", show_default=True, help="test, val or train.")
@click.option("--resolution", help="Output frame HEIGHTxWIDTH [default: the dataset's own].")
@click.option(
    "--methods",
    default=DEFAULT_METHODS,
    show_default=True,
    help="Comma-separated methods, or all; FILE.py:CLASS is a method of your own.",
)
@click.option(
    "--stages",
    default="prior+inpaint+refine",
    show_default=True,
    help="Stages of pcdms, joined by +; several such lists, separated by commas, are a run each.",
)
@click.option(
    "--preset",
    default="tiny",
    show_default=True,
    help="Model size, tiny or paper; tiny comes with weights.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Model directory of pcdms [default: the shipped one of the preset]; where one official "
    "repository is run instead, its weights.",
)
@vae_option
@encoders_option
@click.option(
    "--method-weights",
    multiple=True,
    metavar="METHOD=FILE",
    help="Published weights of another learned method, such as dptn=latest_net_G.pth (may be "
    "repeated).",
)
@external_options
@click.option(
    "--protocol",
    "protocols",
    default="standard",
    show_default=True,
    help="Comma-separated protocols.",
)
@click.option("--metrics", default="all", show_default=True, help="Comma-separated metrics.")
@click.option(
    "--samples", type=click.IntRange(1, 64), default=1, show_default=True, help="Pictures per pair."
)
@click.option(
    "--selection",
    default="first",
    show_default=True,
    help="Which sample counts: first, mean (of all samples' scores), or oracle-ssim (the one "
    "nearest the true target, which the next stage takes too; as published with --samples 4).",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the pictures."
)
@click.option(
    "--repeat-seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Run this many seeds from --seed on, and give mean and deviation over them.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 1000),
    help="Sampling steps of inpaint and refine [default: the weights' own].",
)
@click.option(
    "--prior-steps",
    type=click.IntRange(1, 1000),
    help="Sampling steps of prior [default: the weights' own].",
)
@click.option("--guidance", type=float, help="Guidance scale [default: the weights' own].")
@click.option(
    "--guidance-interval",
    default="",
    help="FROM-TO: guide only in this part of the time, from 0 (clean) to 1 (noise); the other "
    "steps cost half [default: everywhere].",
)
@click.option(
    "--guidance-rescale",
    type=float,
    default=0.0,
    show_default=True,
    help="Rescaling of the guided noise; 0 switches it off.",
)
@click.option(
    "--null",
    default="published",
    show_default=True,
    help="Unconditional branch: published or trained.",
)
@click.option(
    "--final-sigma",
    default="sigma_min",
    show_default=True,
    help="Last noise level of the sampler: sigma_min or zero.",
)
@click.option(
    "--refine-over",
    default="",
    metavar="METHODS",
    help="Comma-separated methods behind which the stage refine of pcdms runs too, as "
    "METHOD+refine; they run themselves as well.",
)
@click.option(
    "--chunk",
    type=click.IntRange(1, 4096),
    default=8,
    show_default=True,
    help="Pairs per forward pass (padded; part of the run's identity).",
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    help="Number type of the networks: float32, bfloat16 or float16.",
)
@click.option(
    "--channels-last",
    is_flag=True,
    help="Lay the networks' data out channels last, for GPUs; changes last bits.",
)
@click.option(
    "--compile",
    default="",
    help="Compile the networks: default, reduce-overhead (CUDA graphs) or max-autotune; changes "
    "last bits.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Number of pairs [default: 128 of an embedded dataset, else all].",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Pairs handed to a method at once; does not change a picture.",
)
@device_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder of the results.",
)
@click.option("--fresh", is_flag=True, help="Generate again what is there already.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and stop.")
@json_option
@debug_option
def run(dry_run: bool, as_json: bool, **options: Any) -> int:
    """Generate pictures with every method, score each stage and write the report.

    Running the same command again continues where it stopped and changes nothing that is right.
    Started by `accelerate launch -m pcdms_bench run ...`, several processes share the pairs.
    """
    from pcdms_bench.commands.outcome import print_run
    from pcdms_bench.request import RunRequest

    result = carry_out(RunRequest(**options, debug=debug_wanted()), dry_run, as_json)
    if result is None:
        return 0
    print_run(result, as_json)
    if options["repeat_seeds"] > 1 and not result.over_seeds:
        click.echo("--repeat-seeds: nothing here is random, no number has a deviation", err=True)
    return result.exit_code


def carry_out(request: RunRequest, dry_run: bool, as_json: bool) -> RunResult | None:
    """Return what came of a request; None where there is nothing to say of it.

    That is so after `dry_run`, whose plan is printed here, and in all processes but the main one.
    """
    from pcdms_bench.commands.outcome import print_plans
    from pcdms_bench.planning import prepare
    from pcdms_bench.processes import launched
    from pcdms_bench.progress import Progress
    from pcdms_bench.runner import execute

    with launched() as processes, Progress(silent=as_json or not processes.main) as progress:
        with processes.main_first():
            plan = prepare(request, progress)
        result = None if dry_run else execute(plan, progress, processes)
    if result is None and processes.main:
        print_plans(plan, as_json)
    return result
