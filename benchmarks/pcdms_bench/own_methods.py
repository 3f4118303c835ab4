"""Methods of one's own that are no part of the package: a class in a Python file, by its path.

The file is run, as any program that one starts is. A run folder is named by the file's content too,
so that a changed method makes its pictures anew.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pcdms_data.types import InputError

if TYPE_CHECKING:
    from pcdms_baselines.method import Method
    from pcdms_baselines.methods import Setting

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NEEDED = ("stages", "unavailable", "generate")


def with_own_methods(text: str) -> tuple[str, dict[str, Path]]:
    """Return a list of methods with each `FILE.py:CLASS` as the class's name, {name: its file}.

    The classes join the registry of this process. Raises InputError on a file that is not there or
    fails, on a class that is no method, and on a name that another method has.
    """
    names: list[str] = []
    files: dict[str, Path] = {}
    for part in (part.strip() for part in text.split(",")):
        path, colon, cls = part.rpartition(":")
        if not colon or not path.endswith(".py"):
            names.append(part)
            continue
        name = _register(part, Path(path), cls)
        names.append(name)
        files[name] = Path(path)
    return ",".join(names), files


def _register(text: str, path: Path, cls: str) -> str:
    """Put a class of a file into the registry and return its name."""
    from pcdms_baselines.methods import METHODS, MethodEntry, entry_of

    found = _class_of(text, path, cls)
    name = getattr(found, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in ("all", "pcdms"):
        raise InputError(
            f"{text}: its name is {name!r}, expected a field `name` of A-Z a-z 0-9 _ -, not taken"
        )
    missing = [each for each in _NEEDED if not hasattr(found, each)]
    if missing:
        raise InputError(f"{text} lacks {', '.join(missing)}: see pcdms_baselines/method.py")
    known, about = entry_of(name), f"{cls} of {path.resolve()}"
    if known is not None and known.description != about:
        raise InputError(f"{text}: the name {name} is taken by {known.description}")

    def build(_: str, setting: Setting) -> Method:
        try:
            made: Method = found(setting.resolution)
        except TypeError as error:
            raise InputError(f"{text} is called with (height, width) alone: {error}") from error
        return made

    METHODS[name] = MethodEntry(name, about, "own", build)
    return name


def _class_of(text: str, path: Path, cls: str) -> type:
    if not path.is_file():
        raise InputError(f"{text}: no file {path}")
    spec = importlib.util.spec_from_file_location(f"pcdms_own_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up; and the file may import others that lie beside it.
    sys.modules[spec.name] = module
    if str(path.resolve().parent) not in sys.path:
        sys.path.append(str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        words = " ".join(str(error).split())
        raise InputError(f"{text} cannot be loaded: {type(error).__name__}: {words}") from error
    found = getattr(module, cls, None)
    if not isinstance(found, type):
        raise InputError(f"{text}: {path} has no class {cls!r}")
    return found
