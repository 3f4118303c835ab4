"""`pcdms-bench weights`: the networks of metrics that no package ships."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.options import debug_option, json_option

if TYPE_CHECKING:
    from pcdms_bench.weights_store import WeightsState


@click.group()
def weights() -> None:
    """List, fetch and verify the networks of metrics that no package ships."""


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


@weights.command()
@click.argument("names", nargs=-1, required=True)
@debug_option
def fetch(names: tuple[str, ...]) -> int:
    """Download files by NAME (`weights list` shows them) and check their SHA-256."""
    from pcdms_bench.suggestions import check_choice
    from pcdms_bench.weights_store import KNOWN, fetch

    for name in names:
        check_choice("weights", name, KNOWN)
    for name in names:
        known = KNOWN[name]
        click.echo(f"{name}: {known.url} ({known.megabytes} MB, {known.licence})", err=True)
        found = fetch([name])[0]
        click.echo(f"{found.path} SHA-256 {found.sha256}")
    return 0


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
    for state in states:
        click.echo(f"{state.known.name:8} {state.known.use} ({state.known.licence})")
        digest = f"{state.path}, SHA-256 {state.sha256}"
        click.echo(f"{'':8} {state.problem or digest}")
