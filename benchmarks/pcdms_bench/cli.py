"""The command `pcdms-bench`: names the commands, loads one only when it runs, words its errors.

Nothing heavy is imported here: `--help` must answer in under 0.4 s.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from pcdms_bench.lazy_group import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("pcdms_bench.commands.run:run", "Generate with every method, score and report."),
    "ablate": ("pcdms_bench.commands.ablate:ablate", "Measure what each stage of pcdms is worth."),
    "generate": ("pcdms_bench.commands.generate:generate", "Put one person into another pose."),
    "score": ("pcdms_bench.commands.score:score", "Score pictures, or re-score a run folder."),
    "compare": ("pcdms_bench.commands.compare:compare", "Compare two runs pair by pair."),
    "audit": ("pcdms_bench.commands.audit:audit", "How far each choice alone moves a score."),
    "memorisation": (
        "pcdms_bench.commands.memorisation:memorisation",
        "Find generated pictures that repeat training pictures.",
    ),
    "table": ("pcdms_bench.commands.table:table", "Print a paper's table, published and measured."),
    "report": ("pcdms_bench.commands.report:report", "Write the report of stored scores."),
    "study": ("pcdms_bench.commands.study:study", "Ask people which pictures look real."),
    "train": ("pcdms_bench.commands.train:train", "Train one part of the model, or all."),
    "reid": ("pcdms_bench.commands.reid:reid", "Re-identification with generated pictures."),
    "data": ("pcdms_bench.commands.data:data", "Make, prepare, check and export datasets."),
    "weights": ("pcdms_bench.commands.weights:weights", "List, fetch and verify metric networks."),
    "new-method": (
        "pcdms_bench.commands.new_method:new_method",
        "Write the skeleton of a method of your own.",
    ),
    "speed": ("pcdms_bench.commands.speed:speed", "Measure how fast parts of the tool are."),
    "list": ("pcdms_bench.commands.listing:listing", "List what there is, and what is missing."),
    "doctor": ("pcdms_bench.commands.doctor:doctor", "Check this machine; name the next step."),
}
"""Command name -> (module:attribute, one line of help). The registry of the commands."""

INTERRUPTED = "interrupted: what is finished is kept; the same command continues from there"


class MainGroup(LazyGroup):
    """The command itself: words errors and returns exit codes."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **extra: Any,
    ) -> None:
        """Run the command and exit: 0 done, 1 something failed, 2 wrong usage, 130 interrupted."""
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            outcome = super().main(words, prog_name, **extra)
        except Exception as error:
            if "--debug" in words and not isinstance(error, click.ClickException | click.Abort):
                traceback.print_exc()
            line, outcome = explain(error)
            click.echo(line, err=True)
        sys.exit(outcome if isinstance(outcome, int) else 0)


def explain(error: Exception) -> tuple[str, int]:
    """Return the one line and the exit code for an exception that reached the top."""
    if isinstance(error, click.Abort):
        return INTERRUPTED, 130
    if isinstance(error, click.ClickException):
        return f"error: {one_line(error.format_message())}", error.exit_code
    from pcdms_data.types import InputError
    from pcdms_reports.records import RecordError

    if isinstance(error, InputError | RecordError):
        return f"error: {one_line(str(error))}", 2
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename}" if error.filename else ""
        return f"error: {error.strerror}{name}", 2
    text = f"{type(error).__name__}: {one_line(str(error))}"
    return f"error: {text} (unexpected; run again with --debug to see where)", 1


def one_line(text: str) -> str:
    """Return `text` with every run of white space, line ends included, made one blank."""
    return " ".join(text.split())


@click.group(
    cls=MainGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `pcdms-bench run`; `pcdms-bench COMMAND --help` shows a command's options.",
)
@click.version_option(package_name="pcdms", message="%(package)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Pose-guided person pictures with PCDMs, and a benchmark that makes methods comparable.

    Exit codes: 0 done; 1 a method or pair failed (its row says why); 2 wrong usage or input.
    """


def main() -> None:
    """Entry point of the console script."""
    cli.main(prog_name="pcdms-bench")
