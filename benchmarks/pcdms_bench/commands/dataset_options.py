"""Options that name a dataset, alike in all commands that take one."""

from __future__ import annotations

from pathlib import Path

import click

dataset_option = click.option(
    "--dataset",
    default="people",
    show_default=True,
    help="Dataset; `pcdms-bench list datasets` names them.",
)
root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder of a dataset on disk [default: the variable PCDMS_DATA_ROOT].",
)
size_option = click.option(
    "--size",
    default="mini",
    show_default=True,
    help="Size of an embedded dataset: smoke, mini or full.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the people."
)
