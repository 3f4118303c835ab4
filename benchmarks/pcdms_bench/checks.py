"""What this machine has and lacks; each lack with the exact next step."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pcdms_bench.environment import package_versions

REQUIRED = (
    "accelerate", "click", "datasets", "diffusers", "filelock", "jinja2", "lpips", "matplotlib",
    "numpy", "opencv-python-headless", "pandas", "pillow", "platformdirs", "rich", "safetensors",
    "scikit-image", "scipy", "torch", "torch-fidelity", "torchvision", "transformers",
)  # fmt: skip
"""Distributions that the package depends on."""

State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Check:
    """One finding: `what` was looked at, its `state`, a `detail`, and the next step if any.

    `needed` is False where the default `run` works without it.
    """

    what: str
    state: State
    detail: str
    step: str = ""
    needed: bool = True


def all_checks(root: Path | None = None) -> list[Check]:
    """Return every check; `root` is a dataset folder to look at as well."""
    parts: tuple[Callable[[], Iterator[Check]], ...] = (
        check_packages,
        check_torch,
        check_device,
        check_model_weights,
        check_metric_weights,
        check_pose_estimators,
        check_cache,
        lambda: check_datasets(root),
    )
    found: list[Check] = []
    for part in parts:
        try:
            found += part()
        except Exception as error:
            name = getattr(part, "__name__", "check").removeprefix("check_")
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            found.append(Check(name, "broken", text, "fix the lines above first"))
    return found


def check_packages() -> Iterator[Check]:
    """Say which required distributions are installed."""
    versions = package_versions(REQUIRED)
    lacking = [name for name, version in versions.items() if version is None]
    have = len(versions) - len(lacking)
    if lacking:
        step = f"pip install {' '.join(lacking)}"
        yield Check("packages", "missing", f"not installed: {', '.join(lacking)}", step)
    else:
        yield Check("packages", "ok", f"all {have} required packages are installed")


def check_torch() -> Iterator[Check]:
    """Import torch and torchvision; recognise a pair that does not belong together."""
    versions = package_versions(("torch", "torchvision"))
    shown = f"torch {versions['torch']}, torchvision {versions['torchvision']}"
    try:
        importlib.import_module("torch")
        importlib.import_module("torchvision")
    except Exception as error:
        yield broken_torch(shown, error)
    else:
        yield Check("torch", "ok", shown)


def broken_torch(shown: str, error: Exception) -> Check:
    """Return the finding for a torch or torchvision that fails to import."""
    text = " ".join(str(error).split())
    if "torchvision::nms" in text or "undefined symbol" in text:
        return Check(
            "torch", "broken",
            f"{shown} do not belong together ({text}); lpips, torch-fidelity and parts of "
            "diffusers and transformers fail with it",
            "install both from the same place: pip install --force-reinstall torch torchvision",
        )  # fmt: skip
    return Check(
        "torch", "broken", f"{shown}: {text}", "pip install --force-reinstall torch torchvision"
    )


def check_device() -> Iterator[Check]:
    """Say which device `--device auto` takes."""
    from pcdms_bench.device import describe_device, resolve_device

    device = resolve_device("auto")
    cores = os.cpu_count() or 1
    yield Check("device", "ok", f"{describe_device(device)}, {cores} CPU cores")


def check_model_weights() -> Iterator[Check]:
    """Look at the shipped model directory of the preset `tiny`."""
    from pcdms.method import PCDMsMethod
    from pcdms_bench.model_files import weights_directory

    directory = weights_directory("tiny", None)
    reason = PCDMsMethod(directory).unavailable()
    if reason is None:
        yield Check("weights of pcdms (tiny)", "ok", str(directory))
    else:
        step = "reinstall the package, or train: pcdms-bench train --stage all --out DIR"
        yield Check("weights of pcdms (tiny)", "missing", reason, step)


def check_metric_weights() -> Iterator[Check]:
    """Look at the networks of the metrics that no package ships."""
    from pcdms_bench.weights_store import weights_states

    for state in weights_states():
        name = f"weights of {state.known.name}"
        if not state.problem:
            yield Check(name, "ok", str(state.path), needed=False)
            continue
        kind: State = "broken" if state.present else "missing"
        detail = state.problem if state.present else f"{state.known.use}: not on this machine"
        step = f"pcdms-bench weights fetch {state.known.name}"
        if state.present:
            step = f"move {state.path} away, then {step}"
        yield Check(name, kind, detail, step, needed=False)


def check_pose_estimators() -> Iterator[Check]:
    """Say which pose estimators `data pose` can run here."""
    from pcdms_bench.listings import estimator_rows

    for row in estimator_rows():
        name = f"pose estimator {row.name}"
        if row.reason is None:
            yield Check(name, "ok", row.summary, needed=False)
        else:
            lack, _, step = row.reason.partition(": ")
            yield Check(name, "missing", lack, step, needed=False)


def check_cache() -> Iterator[Check]:
    """Say where rendered pictures are cached, and whether that place can be written."""
    from pcdms_data.cache import cache_folder

    folder = cache_folder()
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if os.access(place, os.W_OK):
        yield Check("cache", "ok", str(folder))
    else:
        step = "set PCDMS_CACHE to a folder that can be written"
        yield Check("cache", "broken", f"{folder} cannot be written", step)


def check_datasets(root: Path | None) -> Iterator[Check]:
    """Say which datasets can be used here."""
    from pcdms_bench.listings import dataset_rows

    for row in dataset_rows(root):
        state: State = "ok" if row.reason is None else "missing"
        yield Check(f"dataset {row.name}", state, row.reason or row.summary, needed=False)
