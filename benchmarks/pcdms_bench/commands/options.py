"""Options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_DEBUG = "pcdms_bench.debug"


def _note_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_DEBUG] = True


def debug_wanted() -> bool:
    """Whether the running command was given `--debug`."""
    return bool(click.get_current_context().meta.get(_DEBUG))


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_note_debug,
    help="Show the traceback of an error.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of tables."
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."
)
vae_option = click.option(
    "--vae", help="Autoencoder: a folder, or the hub id of a model in the local cache."
)
encoders_option = click.option(
    "--encoders", multiple=True,
    help="Image encoders, CLIP and DINOv2: a folder or cached hub id each, or one folder with both "
    "(may be repeated).",
)  # fmt: skip
threads_option = click.option(
    "--threads", type=click.IntRange(1, 256), default=1, show_default=True,
    help="Threads of every numeric library, the same for both sides.",
)  # fmt: skip
_repo_option = click.option(
    "--repo", "repos", multiple=True, metavar="[METHOD=]DIR",
    help="Clone of an official repository (may be repeated) [default: the folder of clones in the "
    "variable PCDMS_REPOS].",
)  # fmt: skip
_interpreter_option = click.option(
    "--interpreter", "interpreters", multiple=True, metavar="[METHOD=]PYTHON",
    help="Interpreter of an official repository (may be repeated) [default: .venv in the clone].",
)  # fmt: skip
_time_limit_option = click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
    help="End the program of an official repository after this time [default: after 30 minutes "
    "without output or a new picture].",
)  # fmt: skip


def external_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of official repositories: clones, interpreters, a limit in time."""
    return _repo_option(_interpreter_option(_time_limit_option(command)))
