"""`pcdms-bench weights`: networks that no package ships, and the authors' checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from pcdms_bench.commands.options import debug_option, encoders_option, json_option, vae_option

if TYPE_CHECKING:
    from pcdms.published.directory import DirectoryReport
    from pcdms.published.keys import PublishedStage
    from pcdms_bench.weights_store import WeightsState

IMPORT_EXAMPLES = """\b
Examples:
  pcdms-bench weights import --stage prior s1_512.pt --out my-pcdms
  pcdms-bench weights import --stage inpaint s2_512.pt --out my-pcdms \\
      --vae path/to/sd21/vae --encoders path/to/clip-vit-h --encoders path/to/dinov2-giant
  pcdms-bench run --weights my-pcdms --dataset deepfashion --root path/to/deepfashion
"""

FETCH_EXAMPLES = """\b
Examples:
  pcdms-bench weights fetch fid fid_paper lpips
  pcdms-bench weights fetch fid --file weights-inception-2015-12-05-6726825d.pth
"""

CONVERT_EXAMPLES = """\b
Examples:
  pcdms-bench weights convert pidm last.pt --out pidm.safetensors --trust-pickle
  pcdms-bench run --methods pidm --method-weights pidm=pidm.safetensors --dataset deepfashion
"""

NEXT_STEPS = {
    "prior": "weights import --stage prior",
    "inpaint": "weights import --stage inpaint",
    "refine": "weights import --stage refine",
    "vae": "--vae, here or with run: the autoencoder of Stable Diffusion 2.1",
    "image_encoder": "--encoders, here or with run: OpenCLIP ViT-H/14",
    "source_encoder": "--encoders, here or with run: DINOv2-giant",
}
"""Part of a model directory -> how to get it."""


@click.group()
def weights() -> None:
    """List, fetch and verify the networks of metrics; import the authors' checkpoints."""


@weights.command("list")
@json_option
@debug_option
def list_weights(as_json: bool) -> int:
    """List the known files: what they are for, their licence, and where they are."""
    from pcdms_bench.weights_store import weights_states

    _print(weights_states(), as_json)
    return 0


@weights.command()
@click.argument("names", nargs=-1)
@json_option
@debug_option
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Compute the SHA-256 of the files anew; exit 1 when a file that is there is wrong.

    Without NAMES: all known files.
    """
    from pcdms_bench.weights_store import weights_states

    states = weights_states(names or None)
    _print(states, as_json)
    wrong = any(state.problem and (state.present or names) for state in states)
    return int(wrong)


@weights.command(epilog=FETCH_EXAMPLES)
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--file",
    "given",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A copy of the file that you have: checked and put in place, nothing is downloaded.",
)
@debug_option
def fetch(names: tuple[str, ...], given: Path | None) -> int:
    """Download files by NAME (`weights list` shows them) and check their SHA-256.

    A download that was cut is continued. `run`, `score` and `report` never download.
    """
    from pcdms_bench.progress import Progress
    from pcdms_bench.suggestions import check_choice
    from pcdms_bench.weights_download import fetch, fetch_given
    from pcdms_bench.weights_store import KNOWN

    for name in names:
        check_choice("weights", name, KNOWN)
    if given is not None and len(names) > 1:
        raise click.UsageError("--file is one file: give one NAME")
    for name in names:
        known = KNOWN[name]
        if given is not None:
            found = fetch_given(name, given)
        else:
            click.echo(f"{name}: {known.url} ({known.megabytes} MB, {known.licence})", err=True)
            with Progress() as progress:
                (found,) = fetch([name], progress.follow(f"fetching {name}, bytes"))
        click.echo(f"{found.path} SHA-256 {found.sha256}")
    return 0


@weights.command("import", epilog=IMPORT_EXAMPLES)
@click.argument("src", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--stage",
    required=True,
    type=click.Choice(("prior", "inpaint", "refine", "demo")),
    help="Whose checkpoint SRC is; demo is the authors' simplified model.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Model directory to write to; it may hold other stages already.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON of what shapes cannot tell, in diffusers' names [default: as published].",
)
@click.option("--frame", help="Pictures the model makes, HEIGHTxWIDTH [default: 512x512].")
@click.option(
    "--trust-pickle",
    is_flag=True,
    help="Load a file that holds more than tensors: this runs code from it.",
)
@vae_option
@encoders_option
@click.option("--download", is_flag=True, help="Fetch hub ids that are not in the local cache.")
@json_option
@debug_option
def import_weights(
    src: Path,
    stage: str,
    out: Path,
    config: Path | None,
    frame: str | None,
    trust_pickle: bool,
    vae: str | None,
    encoders: tuple[str, ...],
    download: bool,
    as_json: bool,
) -> int:
    """Turn SRC, a checkpoint of the authors, into a part of a model directory.

    SRC is a DeepSpeed container or a plain state dict. Every weight must be there under its
    published name and nothing else; what is missing or left over is listed.
    """
    from pcdms.part_sources import given_parts
    from pcdms.published.directory import import_to_directory
    from pcdms_bench.progress import silence_libraries
    from pcdms_bench.spec import parse_resolution

    silence_libraries()
    size = None if frame is None else parse_resolution(frame)
    given = given_parts(vae, encoders, download)
    report = import_to_directory(
        src, cast("PublishedStage", stage), out, config, trust_pickle, given, size
    )
    _print_import(report, src, out, as_json)
    return 0


@weights.command(epilog=CONVERT_EXAMPLES)
@click.argument("method")
@click.argument("src", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, ending in .safetensors.",
)
@click.option(
    "--trust-pickle",
    is_flag=True,
    help="Read a file that holds more than tensors; its other objects are not loaded.",
)
@debug_option
def convert(method: str, src: Path, out: Path, trust_pickle: bool) -> int:
    """Store SRC, the authors' file of another learned METHOD, as safetensors.

    `run --method-weights METHOD=OUT` takes the result, which holds nothing but tensors.
    """
    from safetensors.torch import save

    from pcdms_baselines.published import HOMES, import_published
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.images import write_atomically
    from pcdms_data.types import InputError

    check_choice("method with published weights", method, tuple(HOMES))
    if out.suffix != ".safetensors":
        raise InputError(f"{out}: expected a name that ends in .safetensors")
    network = import_published(method, src, trust_pickle=trust_pickle)
    state = network.state_dict()
    out.parent.mkdir(parents=True, exist_ok=True)
    # Copies: two names of one tensor cannot share their memory in this format.
    write_atomically(out, save({name: value.clone() for name, value in state.items()}))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    click.echo(f"{out}: {len(state)} tensors, {parameters:,} parameters of {method}")
    return 0


def _print_import(report: DirectoryReport, src: Path, out: Path, as_json: bool) -> None:
    found = report.imported
    if as_json:
        document = {
            "source": str(src), "out": str(out), "part": report.part, "tensors": found.tensors,
            "parameters": found.parameters, "dtypes": found.dtypes, "assumed": found.assumed,
            "written": report.written, "missing": report.missing,
            "frame": report.pipeline.frame,
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(
        f"{src}: {found.tensors} tensors, {found.parameters:,} parameters, "
        f"{', '.join(found.dtypes)}; none missing, none left over"
    )
    for name, value in found.assumed.items():
        click.echo(f"{name} = {value}, as published: the file does not tell (--config sets it)")
    frame = report.pipeline.frame
    click.echo(f"{out}: wrote {', '.join(report.written)}; frame {frame[0]}x{frame[1]}")
    for name in report.missing:
        click.echo(f"still missing: {name} ({NEXT_STEPS[name]})")


def _print(states: list[WeightsState], as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "name": state.known.name, "use": state.known.use, "licence": state.known.licence,
                "path": str(state.path), "present": state.present, "sha256": state.sha256,
                "problem": state.problem,
            }
            for state in states
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
        return
    width = max((len(state.known.name) for state in states), default=0)
    for state in states:
        click.echo(f"{state.known.name:{width}}  {state.known.use} ({state.known.licence})")
        digest = f"{state.path}, SHA-256 {state.sha256}"
        click.echo(f"{'':{width}}  {state.problem or digest}")
