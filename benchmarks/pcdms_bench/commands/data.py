"""`pcdms-bench data`: the commands on datasets, each in its own module."""

from __future__ import annotations

import click

from pcdms_bench.lazy_group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "make": ("pcdms_bench.commands.data_make:make", "Make the embedded people as files."),
    "pairs": ("pcdms_bench.commands.data_pairs:pairs", "Make a pair list from annotations."),
    "prepare": ("pcdms_bench.commands.data_prepare:prepare", "Make a dataset ready for use."),
    "check": ("pcdms_bench.commands.data_check:check", "Find what is wrong with a dataset."),
    "stats": ("pcdms_bench.commands.data_stats:stats", "Count pictures, pairs and slices."),
    "export": ("pcdms_bench.commands.data_export:export", "Write a dataset in another layout."),
    "pose": ("pcdms_bench.commands.data_pose:pose", "Estimate the key points of pictures."),
}
"""Command name -> (module:attribute, one line of help)."""


@click.group(cls=LazyGroup, table=COMMANDS)
def data() -> None:
    """Make, prepare, check, describe and export datasets."""
