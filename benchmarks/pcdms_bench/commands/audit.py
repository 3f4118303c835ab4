"""`pcdms-bench audit`: how far each choice of a protocol alone moves each number."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, device_option

EXAMPLES = """\b
Examples:
  pcdms-bench audit runs/people-test/limb-warp/89abcdef
  pcdms-bench audit my-pictures --targets their-targets --out my-audit
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    help="DIR holds plain pictures: their targets, paired by name without extension.",
)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="With --targets: label maps of the persons (above 0), by the same names.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="With --targets: training pictures for the set metrics.",
)
@click.option("--stage", help="Stage of the run to audit [default: the last one].")
@click.option(
    "--base", default="standard", show_default=True, help="Protocol that every choice starts from."
)
@click.option(
    "--frame", metavar="HxW", help="Metric frame, for people and folders [default: the run's own]."
)
@click.option("--metrics", default="all", show_default=True, help="Comma-separated metrics.")
@click.option("--limit", type=click.IntRange(min=2), help="Take the first pairs only.")
@click.option(
    "--all-references",
    is_flag=True,
    help="Pass large training sets through the networks again where a choice asks for it.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The run's dataset folder, if it moved.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the result [default: DIR/audit, with --targets runs/audit-NAME].",
)
@device_option
@debug_option
def audit(
    folder: Path,
    targets: Path | None,
    masks: Path | None,
    reference: Path | None,
    stage: str | None,
    base: str,
    frame: str | None,
    metrics: str,
    limit: int | None,
    all_references: bool,
    root: Path | None,
    out: Path | None,
    device: str,
) -> int:
    """Score the pictures in DIR again and again, with one choice of the protocol changed at a time.

    DIR is a run folder, or a folder of pictures with --targets. Leaves audit.csv, audit.html,
    audit.md and a plot per metric.
    """
    from pcdms_bench.audit.auditing import AuditSettings
    from pcdms_bench.audit.auditing import audit as run_audit
    from pcdms_bench.audit.subject import folder_subject, run_subject
    from pcdms_bench.device import resolve_device
    from pcdms_bench.progress import Progress
    from pcdms_bench.protocols import PROTOCOLS
    from pcdms_bench.run_folder import table_text, write_text
    from pcdms_bench.spec import parse_resolution
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.types import InputError
    from pcdms_reports.audit_page import write_audit
    from pcdms_reports.audit_records import audit_rows_text

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a run folder or pictures")
    if targets is None and (masks or reference):
        raise click.UsageError("--masks and --reference belong to --targets")
    if targets is not None and (stage or root):
        raise click.UsageError("--stage and --root belong to a run folder, not to --targets")
    names = () if metrics.strip() == "all" else tuple(part.strip() for part in metrics.split(","))
    settings = AuditSettings(
        base=check_choice("protocol", base, PROTOCOLS),
        frame=parse_resolution(frame) if frame else None,
        metrics=names,
        device=resolve_device(device),
        all_references=all_references,
    )
    if targets is None:
        subject = run_subject(folder, stage, root, limit)
        place = out or folder / "audit"
    else:
        subject = folder_subject(folder, targets, masks, reference, limit)
        place = out or Path("runs") / f"audit-{subject.method}"
    with Progress() as progress:
        rows = run_audit(subject, settings, progress)
    header, *cells = audit_rows_text(rows)
    write_text(place / "audit.csv", table_text(header, cells))
    written = write_audit(place / "audit.csv", place)
    click.echo((place / "audit.md").read_text(encoding="utf-8").partition("\n## ")[0].strip())
    for path in (place / "audit.csv", *written):
        click.echo(str(path))
    return 0
