"""`pcdms-bench ablate`: the stage subsets of pcdms on the same pairs, and refine behind others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcdms_bench.commands.options import debug_wanted
from pcdms_bench.commands.run import run

if TYPE_CHECKING:
    from pcdms_bench.request import RunRequest
    from pcdms_bench.runner import RunResult

EXAMPLES = """\b
Examples:
  pcdms-bench ablate --out runs/ablation
  pcdms-bench ablate --variants inpaint,prior+inpaint --refine-over limb-warp,dptn --limit 400
"""

_FIXED = ("methods", "stages")
"""Options of `run` that the ablation sets itself."""


@click.command(epilog=EXAMPLES, params=[p for p in run.params if p.name not in _FIXED])
@click.option(
    "--variants",
    default="all",
    show_default=True,
    help="Comma-separated stage subsets; all are inpaint, prior+inpaint, truth+inpaint, and each "
    "with refine.",
)
def ablate(variants: str, dry_run: bool, as_json: bool, **options: Any) -> int:
    """Run pcdms with and without its stages on the same pairs, and print the ablation table.

    Subsets that share pictures share a run: prior+inpaint is part of prior+inpaint+refine. With
    --refine-over METHOD, the stage refine also runs behind METHOD. All other options are those of
    `run`, and so is what is left in --out; the table lies there as tables/ablation.md, and
    `table ablation --runs OUT` writes it in other formats.
    """
    from pcdms_bench.ablation import VARIANTS, covering_runs
    from pcdms_bench.commands.outcome import print_end, print_run
    from pcdms_bench.commands.run import carry_out
    from pcdms_bench.request import RunRequest
    from pcdms_bench.suggestions import split_names

    chosen = split_names("variant", variants, VARIANTS)
    request = RunRequest(
        **options, methods="pcdms", stages=",".join(covering_runs(chosen)), debug=debug_wanted()
    )
    result = carry_out(request, dry_run, as_json)
    if result is None:
        return 0
    text = _table(request, result)
    if as_json:
        print_run(result, as_json)
        return result.exit_code
    if text:
        click.echo(text)
    print_end(result)
    return result.exit_code


def _table(request: RunRequest, result: RunResult) -> str:
    """Write the ablation table of these runs alone and return it; "" where nothing was scored."""
    from pcdms_bench.run_folder import write_text
    from pcdms_reports.paper_tables import TABLES, TITLES, TableRequest, read_runs
    from pcdms_reports.records import RecordError
    from pcdms_reports.table_formats import FORMATS

    folders: list[Path] = [
        one.folder for one in result.outcomes if any(row.value is not None for row in one.rows)
    ]
    try:
        asked = TableRequest(request.dataset, split=request.split, runs=read_runs(folders))
        tables = TABLES["ablation"](asked)
    except RecordError:  # every run failed, which is told otherwise
        return ""
    text = FORMATS["md"](tables, TITLES["ablation"])
    write_text(result.out / "tables" / "ablation.md", text)
    return text
