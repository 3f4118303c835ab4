"""`pcdms-bench report`: page and tables of stored scores, or a bundle; nothing is computed."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of report.html and tables/ [default: the first RUN].",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the runs to this .zip instead: specification, environment, hashes and scores, for "
    "`pcdms-bench score FILE.zip` on another machine.",
)
@click.option("--pictures", is_flag=True, help="With --bundle: the generated pictures too.")
@click.option("--embeddings", is_flag=True, help="With --bundle: the prior's embeddings too.")
@debug_option
def report(
    runs: tuple[Path, ...],
    out: Path | None,
    bundle: Path | None,
    pictures: bool,
    embeddings: bool,
) -> int:
    """Write report.html and tables/*.md of the run folders RUN (or folders that hold runs).

    Runs on the same pairs of the same data under one protocol are compared pair by pair; what must
    not be merged gets a section of its own, and the reason. With --bundle, write one archive that
    others can verify and score again.
    """
    if bundle is not None:
        if out is not None:
            raise click.UsageError("--out: a bundle holds no page, leave it out")
        return _bundle(runs, bundle, pictures, embeddings)
    if pictures or embeddings:
        raise click.UsageError("--pictures and --embeddings: only with --bundle")
    from pcdms_reports.merging import merging_notices
    from pcdms_reports.page import write_report

    for line in merging_notices(runs):
        click.echo(line, err=True)
    for path in write_report(list(runs), (out or runs[0]) / "report.html"):
        click.echo(str(path))
    return 0


def _bundle(runs: tuple[Path, ...], path: Path, pictures: bool, embeddings: bool) -> int:
    """Write a bundle and say what it holds."""
    from pcdms_bench.bundle.making import write_bundle

    made = write_bundle(runs, path, pictures, embeddings)
    for name in made.manifest.shortened:
        click.echo(f"{name}: paths of this machine were cut to their last name", err=True)
    click.echo(f"{path}: {len(made.manifest.runs)} runs, {len(made.manifest.files)} files")
    click.echo(f"SHA-256 of the manifest: {made.sha256}")
    return 0
