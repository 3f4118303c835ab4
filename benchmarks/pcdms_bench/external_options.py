"""Options of official repositories: clones, interpreters, weights, a limit in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pcdms_bench.request import RunRequest
from pcdms_bench.suggestions import check_choice
from pcdms_data.types import InputError

if TYPE_CHECKING:
    from pcdms_baselines.external.clone import Given


def with_routed_weights(request: RunRequest, names: Sequence[str]) -> RunRequest:
    """Return the request with `--weights` given to the official repository that it is meant for.

    That is so where `pcdms` is not among the methods `names` and one official repository is; with
    several InputError says how to name one.
    """
    from pcdms_baselines.methods import external_names

    wanted = [name for name in names if name in external_names()]
    if request.weights is None or "pcdms" in names or not wanted:
        return request
    if len(wanted) > 1:
        raise InputError(
            f"--weights {request.weights}: it could be meant for {' or '.join(wanted)}, expected "
            "--method-weights METHOD=FILE"
        )
    routed = (*request.method_weights, f"{wanted[0]}={request.weights}")
    return replace(request, weights=None, method_weights=routed)


def externals_of(
    request: RunRequest, names: Sequence[str], weights: Mapping[str, Path]
) -> dict[str, Given]:
    """Return what the options give of each official repository; `weights` is {method: path}.

    `names` are the methods of the run: an option without a method is meant for the one official
    repository among them. Raises InputError where that is none or several, on an unknown method,
    and where a clone is no folder.
    """
    from pcdms_baselines.external.clone import Given
    from pcdms_baselines.methods import external_names

    repos = _by_method("--repo", "DIR", request.repos, names)
    interpreters = _by_method("--interpreter", "PYTHON", request.interpreters, names)
    for name, folder in repos.items():
        if not Path(folder).is_dir():
            raise InputError(f"--repo {folder}: no such folder, expected a clone for {name}")
    return {
        name: Given(
            Path(repos[name]) if name in repos else None,
            interpreters.get(name),
            weights.get(name),
            request.time_limit,
        )
        for name in external_names()
    }


def external_digest(name: str, resolution: tuple[int, int], externals: Mapping[str, Given]) -> str:
    """Return the digest of an official repository, its weights and recipe; "" for other methods."""
    from pcdms_baselines.external.method import External
    from pcdms_baselines.methods import external_names, make_baseline

    if name not in external_names():
        return ""
    method = make_baseline(name, resolution, given=externals.get(name))
    return method.identity() if isinstance(method, External) else ""


def _by_method(
    option: str, kind: str, texts: Sequence[str], names: Sequence[str]
) -> dict[str, str]:
    """Return {method: value} of `[METHOD=]VALUE` texts."""
    from pcdms_baselines.methods import external_names

    known = external_names()
    wanted = [name for name in names if name in known]
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or name not in known:
            if sign and not Path(text).exists():
                check_choice("official repository", name, known, option)
            if len(wanted) != 1:
                which = " or ".join(wanted) if wanted else "no official repository"
                raise InputError(
                    f"{option} {text}: --methods names {which}, expected METHOD={kind}"
                )
            name, value = wanted[0], text
        if not value:
            raise InputError(f"{option} {text}: expected METHOD={kind}")
        found[name] = value
    return found
