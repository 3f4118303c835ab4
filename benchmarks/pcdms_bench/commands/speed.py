"""`pcdms-bench speed`: measured figures of parts of the tool, on this machine, now."""

from __future__ import annotations

import click

from pcdms_bench.lazy_group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "startup": ("pcdms_bench.commands.speed_startup:startup", "How fast help appears."),
    "render": ("pcdms_bench.commands.speed_render:render", "Rendering of the embedded people."),
    "data": ("pcdms_bench.commands.speed_data:data", "Opening a dataset, streaming its pairs."),
    "baselines": (
        "pcdms_bench.commands.speed_baselines:baselines",
        "Methods without learning.",
    ),
    "sampling": ("pcdms_bench.commands.speed_sampling:sampling", "Sampling beside the official."),
    "training": ("pcdms_bench.commands.speed_training:training", "Training beside the official."),
    "scoring": (
        "pcdms_bench.commands.speed_scoring:scoring",
        "A whole score against the way of the published scripts.",
    ),
    "ssim": ("pcdms_bench.commands.speed_ssim:ssim", "SSIM against scikit-image."),
    "frechet": (
        "pcdms_bench.commands.speed_frechet:frechet",
        "The Frechet distance against SciPy's matrix root.",
    ),
}
"""Command name -> (module:attribute, one line of help)."""


@click.group(cls=LazyGroup, table=COMMANDS)
def speed() -> None:
    """Measure how fast parts of the tool are."""
