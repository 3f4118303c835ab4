"""Write the made parts of the README anew: `python tests/readme_parts.py`.

The file tree, where a Python file's line is the first line of its docstring and other files have
theirs below, and the tables of metrics, protocols and published numbers, as the tool knows them.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
START, END = "```text\npcdms/ ", "```"
FOLDERS = {
    "pcdms": "the model: three stages, checkpoints, sampling, the training loop",
    "data": "pictures, poses and pairs",
    "baselines": "the methods PCDMs is compared with",
    "benchmarks": "the harness: command line, runner, scoring",
    "reports": "score tables, plots and pages from files",
    "tests": "one file per module, named after it",
    "docs": "pictures of this README",
}
"""Top-level folders in reading order, and what each holds."""
OTHERS = {
    "data/pcdms_data/people/mesh.npz": "the CC0 body mesh",
    "data/pcdms_data/people/MESH-LICENSE.md": "its origin and licence",
    "baselines/pcdms_baselines/external/recipes": "one file per official repository",
    "reports/pcdms_reports/templates": "HTML, CSS and script of the report page",
    "reports/pcdms_reports/published": "published numbers as CSV, a file per kind",
    "reports/pcdms_reports/measured": "rates measured by `speed`, as JSON",
    "benchmarks/pcdms_bench/study/templates": "HTML, style and script of the study's pages",
    "benchmarks/pcdms_bench/weights": "ST-LPIPS weights with licence and origin",
    "benchmarks/pcdms_bench/skeleton": "what `new-method` writes: a method and its test",
    "pcdms/pretrained/people-tiny": "the shipped checkpoint: a folder per part, and its model card",
    "docs/people.png": "embedded people: four identities, seven views each",
    "docs/results.png": "pictures of the default run",
}
"""Files that are not Python, and folders whose files are not listed one by one."""
PACKAGES = (
    "pcdms",
    "data/pcdms_data",
    "baselines/pcdms_baselines",
    "benchmarks/pcdms_bench",
    "reports/pcdms_reports",
)
COLUMN = 32


def summary(path: Path) -> str:
    """First line of the docstring of a Python file, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0].removesuffix(".")


def tree_lines(folder: Path, depth: int = 1) -> Iterator[str]:
    """One line per file below a folder: packages' front doors first, then files, then folders."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(("__pyc", "."))]
    entries.sort(key=lambda path: (path.is_dir(), path.name != "__init__.py", path.name))
    for entry in entries:
        name = entry.relative_to(ROOT).as_posix()
        if name in OTHERS:
            yield line(depth, entry.name + "/" * entry.is_dir(), OTHERS[name])
        elif entry.is_dir():
            below = list(tree_lines(entry, depth + 1))
            if below:
                yield line(depth, f"{entry.name}/", "")
                yield from below
        elif entry.suffix == ".py":
            yield line(depth, entry.name, summary(entry))


def line(depth: int, name: str, text: str) -> str:
    start = "  " * depth + name
    return f"{start:{COLUMN}} {text}".rstrip()


def tree() -> str:
    """The whole tree, as it stands between the fences."""
    lines = []
    for name, text in FOLDERS.items():
        lines += [line(0, f"{name}/", text), *tree_lines(ROOT / name)]
    return "\n".join(lines) + "\n"


def listed_paths(readme: str) -> list[str]:
    """Every path the README's tree names, files and folders, relative to the repository."""
    start = readme.index(START) + len("```text\n")
    paths: list[str] = []
    parents: list[str] = []
    for row in readme[start : readme.index(END, start)].splitlines():
        found = re.match(r"( *)(\S+)", row)
        assert found, row
        depth = len(found[1]) // 2
        parents[depth:] = [found[2].rstrip("/")]
        paths.append("/".join(parents))
    return paths


def metrics_table() -> str:
    """The table of metrics, in the order of the catalog."""
    from pcdms_bench.metrics.catalog import METRICS

    sides = {"higher": "higher", "lower": "lower", "one": "near 1"}
    rows = ["| metric | better | range | meaning |", "|---|---|---|---|"]
    for metric in METRICS.values():
        meaning = metric.meaning + ("; when named" if metric.on_request else "")
        rows.append(f"| `{metric.name}` | {sides[metric.better]} | {metric.unit} | {meaning} |")
    return "\n".join(rows) + "\n"


def protocols_table() -> str:
    """The table of what the protocols do differently."""
    from pcdms_bench.protocol_table import protocol_markdown

    return protocol_markdown().rstrip() + "\n"


def paper_table() -> str:
    """What the command that stands above the table prints, without its title."""
    from pcdms_reports.paper_tables import TABLES, TableRequest
    from pcdms_reports.table_formats import to_markdown

    request = TableRequest(dataset="deepfashion", resolution="512x352")
    return to_markdown(TABLES["quantitative"](request), "title").split("\n\n", 1)[1]


TABLES = {"metrics": metrics_table, "protocols": protocols_table, "paper": paper_table}


def table_in(readme: str, name: str) -> str:
    """The table between its marks in the README."""
    return readme.split(f"<!-- {name} -->\n")[1].split(f"<!-- end of {name} -->")[0]


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    start = text.index(START) + len("```text\n")
    end = text.index(END, start)
    text = text[:start] + tree() + text[end:]
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        text = text.replace(f"{start}{table_in(text, name)}{end}", f"{start}{make()}{end}")
    path.write_text(text, encoding="utf-8")
    sys.stdout.write("README.md: file tree and tables written\n")


if __name__ == "__main__":
    main()
