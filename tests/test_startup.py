"""The command line starts without anything heavy."""

import subprocess
import sys

HEAVY = (
    "torch",
    "numpy",
    "pandas",
    "matplotlib",
    "diffusers",
    "transformers",
    "cv2",
    "PIL",
    "rich",
)


def test_importing_the_command_line_imports_nothing_heavy():
    code = f"import sys, pcdms_bench.cli; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_of_every_command_imports_nothing_heavy():
    code = f"""
import sys
from click.testing import CliRunner
from pcdms_bench.cli import COMMANDS, cli
for name in COMMANDS:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, (name, result.output)
print([n for n in {HEAVY!r} if n in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
