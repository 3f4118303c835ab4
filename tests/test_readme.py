"""The README tells the truth: its file tree, its commands, its metrics and its links."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from readme_parts import PACKAGES, TABLES, listed_paths, table_in

from pcdms_bench.cli import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN = "pip install uv && uv run pcdms-bench run"
TEST = "pip install uv && uv run pytest"


def commands() -> list[str]:
    """Every `pcdms-bench ...` in a code block of the README, continued lines joined."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    found = [line.split("pcdms-bench ", 1)[1].split("#")[0] for line in lines if "-bench " in line]
    return sorted({" ".join(words.split()) for words in found})


@pytest.mark.parametrize("package", PACKAGES)
def test_tree_names_every_python_file_of_the_package(package):
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
    assert sorted(files - set(listed_paths(README))) == [], "run `make tree`"


def test_every_path_of_the_tree_exists():
    missing = [path for path in listed_paths(README) if not (ROOT / path).exists()]
    assert missing == [], "run `make tree`"


@pytest.mark.parametrize("command", commands())
def test_command_of_the_readme_exists_with_its_options(command):
    result = CliRunner().invoke(cli, [*shlex.split(command), "--help"])
    assert result.exit_code == 0, result.output + str(result.exception)


def test_both_set_up_commands_stand_in_the_readme_and_checks_run_the_second_one():
    assert f"{RUN}\n" in README
    assert f"{TEST}\n" in README
    assert TEST in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_made_tables_are_what_the_tool_knows(name):
    assert table_in(README, name) == TABLES[name](), "run `make tree`"


def test_links_of_the_readme_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []
