"""What one `run` command asks for: every option, checked where it can be checked cheaply."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_METHODS = "pcdms,copy-source,mean-image,nearest-pose,limb-warp,dptn,target-copy"
"""What `run` compares when no methods are named; `dptn` is the cheapest learned baseline."""


@dataclass(frozen=True)
class RunRequest:
    """The options of one `run` command, as given; the runner turns them into run specs.

    `steps` and `guidance` of None mean what the weights' `pipeline.json` says; `weights` of None
    the shipped model directory of the preset; `limit` of None 128 pairs of an embedded dataset and
    all pairs of one on disk; `resolution` of None the dataset's own.
    """

    dataset: str = "people"
    root: Path | None = None
    size: str = "mini"
    split: str = "test"
    resolution: str | None = None
    layout: str | None = None
    """Layout of a dataset on disk; None: the first that recognises the folder."""
    methods: str = "copy-source"
    stages: str = "prior+inpaint+refine"
    preset: str = "tiny"
    weights: Path | None = None
    vae: str | None = None
    encoders: tuple[str, ...] = ()
    """Folders or cached hub ids of parts that the weights lack; see `pcdms.part_sources`."""
    method_weights: tuple[str, ...] = ()
    """`METHOD=PATH` of learned methods beside `pcdms`."""
    repos: tuple[str, ...] = ()
    """`[METHOD=]DIR`: clones of official repositories."""
    interpreters: tuple[str, ...] = ()
    """`[METHOD=]PYTHON`: their interpreters."""
    time_limit: float | None = None
    """Seconds after which an official repository's program is ended."""
    protocols: str = "standard"
    metrics: str = "all"
    samples: int = 1
    selection: str = "first"
    seed: int = 0
    repeat_seeds: int = 1
    """How many seeds to run, counted up from `seed`."""
    steps: int | None = None
    guidance: float | None = None
    guidance_rescale: float = 0.0
    null: str = "published"
    final_sigma: str = "sigma_min"
    refine_over: str = ""
    """Methods, comma-separated, whose pictures the stage `refine` reads in runs of their own."""
    guidance_interval: str = ""
    """`FROM-TO` as in `pcdms.guidance.parse_interval`; empty: guidance acts everywhere."""
    prior_steps: int | None = None
    channels_last: bool = False
    compile: str = ""
    chunk: int = 8
    dtype: str = "float32"
    limit: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    out: Path = Path("runs")
    fresh: bool = False
    debug: bool = False
    """Print the traceback of a method that failed."""
