"""`pcdms-bench new-method`: the skeleton of a method of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option

EXAMPLES = """\b
Examples:
  pcdms-bench new-method my-method
  pcdms-bench new-method my-method --out elsewhere
"""


@click.command("new-method", epilog=EXAMPLES)
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to, outside the package [default: the checkout one stands in, else the "
    "folder one stands in].",
)
@debug_option
def new_method(name: str, out: Path | None) -> int:
    """Write a working method NAME to change: a folder, a row of the registry and a test.

    In a checkout of this repository the method becomes part of the package; elsewhere it is run
    from its file. Nothing is ever overwritten.
    """
    from pcdms_bench.new_method import find_checkout, write_method

    checkout = find_checkout(Path()) if out is None else None
    made = write_method(name, checkout or out or Path(), checkout is not None)
    click.echo(f"method:   {made.method}")
    click.echo(f"test:     {made.test}")
    if made.registry:
        click.echo(f"registry: {made.registry} (one builder and one row)")
        called = made.name
    else:
        click.echo("To make it part of the package, add to pcdms_baselines/methods.py:\n")
        click.echo(f"{made.builder.rstrip()}\n")
        click.echo(f"and in METHODS:\n\n{made.row}")
        called = f"{made.method}:{made.class_name}"
    click.echo("Next:")
    click.echo(f"  pcdms-bench run --methods {called} --limit 4 --size smoke --out runs/new")
    click.echo(f"  pytest -n 0 {made.test}")
    if made.registry:
        click.echo("  make tree    # the README's list of files")
    return 0
