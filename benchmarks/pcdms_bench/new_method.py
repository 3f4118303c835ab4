"""The skeleton of a method of one's own: a folder, a row of the registry and a test that passes."""

from __future__ import annotations

import ast
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

from pcdms_bench.methods import method_names
from pcdms_data.images import write_atomically
from pcdms_data.types import InputError

SUMMARY = "the source, moved to where the target's joints are"
PACKAGE = Path("baselines") / "pcdms_baselines"
"""Where a checkout keeps its baselines."""
REGISTRY = PACKAGE / "methods.py"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 24  # so that no line of the skeleton grows beyond 100 characters
_SKELETON = Path(__file__).parent / "skeleton"

_BUILDER = Template("""def _$module(name: str, setting: Setting) -> Method:
    from pcdms_baselines.$module.method import $class_name

    return $class_name(setting.resolution, setting.kernel, name)


""")
_ROW = Template("""    "$name": MethodEntry(
        "$name", "$summary", "own",
        _$module,
    ),
""")


@dataclass(frozen=True)
class NewMethod:
    """What was written: the method's file, its test, and what goes into the registry.

    `registry` is the file that holds the row now, None outside a checkout, where `row` and
    `builder` are to be added by hand.
    """

    name: str
    class_name: str
    method: Path
    test: Path
    registry: Path | None
    builder: str
    row: str


def find_checkout(start: Path) -> Path | None:
    """Return the nearest folder from `start` upwards that is a checkout of this repository."""
    start = start.resolve()
    return next((home for home in (start, *start.parents) if (home / REGISTRY).is_file()), None)


def write_method(name: str, home: Path, checkout: bool) -> NewMethod:
    """Write the skeleton of method `name`: into the checkout `home`, else into a folder below it.

    Raises InputError, and writes nothing, where the name is no good or something is in the way.
    """
    module, class_name = check_name(name)
    folder = home / PACKAGE / module if checkout else home / module
    tests = home / "tests" if checkout else folder
    words = {
        "name": name,
        "class_name": class_name,
        "summary": SUMMARY,
        "module": f"pcdms_baselines.{module}" if checkout else module,
        "fixture": '\npytestmark = pytest.mark.usefixtures("cache")' if checkout else "",
    }
    test, method = tests / f"test_{module}.py", folder / "method.py"
    files = {
        folder / "__init__.py": "package.txt", method: "method.txt", test: "test.txt",
    }  # fmt: skip
    beside = folder.with_suffix(".py")
    for path in (folder, beside, test):
        if path.exists():
            raise InputError(f"{path} is there already: give another name, nothing was written")
    names = words | {"module": module}
    builder, row = _BUILDER.substitute(names), _ROW.substitute(names)
    registry = home / REGISTRY if checkout else None
    changed = _with_entry(registry, builder, row) if registry else ""
    for path, template in files.items():
        text = (_SKELETON / template).read_text(encoding="utf-8")
        write_atomically(path, Template(text).substitute(words).encode())
    if registry:
        write_atomically(registry, changed.encode())
    return NewMethod(name, class_name, method, test, registry, builder, row)


def check_name(name: str) -> tuple[str, str]:
    """Return the module and the class of a new method's name; raises InputError on a bad one."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(
            f"method name {name!r}: expected at most {_LONGEST} characters, words of a-z and 0-9 "
            "joined by -, such as my-method"
        )
    if name in ("all", *method_names()):
        raise InputError(f"method name {name!r} is taken, expected a new one")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise InputError(f"method name {name!r} is a word of Python, expected another one")
    return module, "".join(word.capitalize() for word in name.split("-"))


def _with_entry(registry: Path, builder: str, row: str) -> str:
    """Return the text of the registry's file with one more method at the end of `METHODS`."""
    text = registry.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        target = getattr(node, "target", None)
        if isinstance(node, ast.AnnAssign) and getattr(target, "id", "") == "METHODS":
            lines = text.splitlines(keepends=True)
            assert node.end_lineno is not None
            start, end = node.lineno - 1, node.end_lineno - 1
            out = [*lines[:start], builder, *lines[start:end], row, *lines[end:]]
            return "".join(out)
    raise InputError(f"{registry}: METHODS was not found, nothing was written")
