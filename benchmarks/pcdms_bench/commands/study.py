"""`pcdms-bench study`: ask people about the pictures of finished runs, and count their answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.options import debug_option

if TYPE_CHECKING:
    from pcdms_bench.study.server import StudyServer
    from pcdms_bench.study.store import StudyStore

SHOWN = 5
"""Pairs that were left out, named on the screen."""
MAKE_EXAMPLES = """\b
Examples:
  pcdms-bench study make runs --out my-study
  pcdms-bench study make runs/people-test/pcdms/0123abcd runs/people-test/limb-warp/89abcdef \\
      --out my-study --pictures 20
"""
SERVE_EXAMPLES = """\b
Examples:
  pcdms-bench study serve my-study --raters 3
"""

folder_argument = click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False)
)


@click.group()
def study() -> None:
    """Ask people which pictures look real and which method's they prefer (R2G, G2R, Jab)."""


@study.command(epilog=MAKE_EXAMPLES)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder of the study.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    help="Real and generated pictures per method, and cases to choose in "
    "[default: 30, or all where there are fewer].",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the draw."
)
@click.option(
    "--root", type=click.Path(path_type=Path), help="Folder of the runs' dataset, if it moved."
)
@debug_option
def make(
    runs: tuple[Path, ...], out: Path, pictures: int | None, seed: int, root: Path | None
) -> int:
    """Draw the questions of a study from the run folders RUN (or folders that hold runs).

    Takes the last stage of each run. Copies the pictures into DIR under random names. Exit 1 when
    pairs had to be left out because a picture is missing.
    """
    from pcdms_bench.progress import Progress
    from pcdms_bench.study.competitors import find_competitors
    from pcdms_bench.study.making import make_study, picture_count
    from pcdms_bench.study.questions import draw_questions

    competitors, pairs = find_competitors(runs, root)
    drawn = draw_questions(competitors, pairs, pictures, seed)
    with (
        Progress() as progress,
        progress.task("copying pictures", picture_count(drawn, competitors)) as advance,
    ):
        make_study(out, competitors, drawn, seed, advance)
    number = len(drawn.generated)
    click.echo(
        f"{out}: {len(competitors)} methods ({', '.join(one.method for one in competitors)}); per "
        f"rater {2 * number * len(competitors)} pictures to judge, {len(drawn.cases)} cases"
    )
    if drawn.repeated:
        click.echo(
            f"the runs hold too few different targets: of {number * len(competitors)} showings of "
            f"real pictures {drawn.repeated} repeat an earlier one",
            err=True,
        )
    for line in drawn.problems[:SHOWN]:
        click.echo(f"left out: {line}", err=True)
    if len(drawn.problems) > SHOWN:
        click.echo(f"{len(drawn.problems)} pairs were left out in all", err=True)
    click.echo(f"next: pcdms-bench study serve {out} --raters N")
    return int(bool(drawn.problems))


@study.command(epilog=SERVE_EXAMPLES)
@folder_argument
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; the default is reached from this machine only.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port; 0 takes a free one, and links change with it.",
)
@click.option(
    "--raters",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Make sure of this many raters; those there are keep their links and answers.",
)
@debug_option
def serve(folder: Path, host: str, port: int, raters: int) -> int:
    """Serve the study in DIR until Ctrl-C, and print one link for each rater.

    A link is all that a rater needs, and a secret: who has it answers in that rater's name.
    """
    import signal
    from threading import Thread

    from pcdms_bench.study.server import StudyServer
    from pcdms_bench.study.store import StudyStore
    from pcdms_data.types import InputError

    store = StudyStore(folder)
    store.add_raters(raters)
    try:
        server = StudyServer(folder, host, port)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"cannot listen on host {host!r} port {port}: {error}; expected an address of this "
            "machine and a free port"
        ) from None
    # Waited for rather than handled, in no thread: a handler's exception could reach a request that
    # has just begun, or the server before it accepts any. A process in the background ignores the
    # first of them, and is ended by `kill`, which should be as clean as Ctrl-C.
    ways = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ways)
    for way in ways:
        signal.signal(way, signal.SIG_DFL)
    try:
        _print_links(server, store)
        Thread(target=server.serve_forever, daemon=True).start()
        signal.sigwait(ways)
        server.shutdown()
        click.echo("\nstopped")
    finally:
        server.server_close()
    for rater, (done, total) in store.progress().items():
        click.echo(f"{rater}: {done} of {total} answered")
    click.echo(f"next: pcdms-bench study table {folder}")
    return 0


def _print_links(server: StudyServer, store: StudyStore) -> None:
    if not server.local:
        click.echo(
            "answers and links travel unencrypted, and whoever has a link can answer with it",
            err=True,
        )
    progress = store.progress()
    for rater, token in store.tokens().items():
        done, total = progress[rater]
        click.echo(f"{rater}: {server.address(token)}  ({done} of {total} answered)")
    click.echo("Ctrl-C ends the server; the same command goes on from there")


@study.command()
@folder_argument
@click.option(
    "--format",
    "kind",
    type=click.Choice(["md", "csv"]),
    default="md",
    show_default=True,
    help="What is printed: a Markdown table with notes, or the rows of user_study.csv.",
)
@debug_option
def table(folder: Path, kind: str) -> int:
    """Print R2G, G2R and Jab per method with 95 % intervals, and write DIR/user_study.csv.

    Can be called while the study is being served.
    """
    from pcdms_bench.run_folder import write_text
    from pcdms_data.types import InputError
    from pcdms_reports.study_file import read_study
    from pcdms_reports.study_measures import study_rows
    from pcdms_reports.study_results import NAME, study_csv
    from pcdms_reports.study_table import raters_of, study_markdown

    answers = read_study(folder)
    if not raters_of(answers):
        raise InputError(f"{folder} holds no answer yet: `pcdms-bench study serve {folder}` first")
    rows = study_rows(answers)
    write_text(folder / NAME, study_csv(rows))
    click.echo(study_csv(rows) if kind == "csv" else study_markdown(answers, rows), nl=False)
    return 0
