"""Stage tables as Markdown, and the sentences that explain their signs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pcdms_reports.tables import SUPERSCRIPTS, StageTable


def to_markdown(tables: Iterable[StageTable], title: str) -> str:
    """Return the tables as Markdown: best **bold**, second best *italic*, footnotes below."""
    parts = [f"# {title}"]
    for table in tables:
        parts.append(_markdown_table(table))
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: StageTable) -> str:
    heads = ["stage", "n", *(column.heading for column in table.columns)]
    lines = [f"**{table.caption}**", "", _line(heads), "|---|" + "---:|" * (len(heads) - 1)]
    for row in table.rows:
        cells = [row.label + (" †" if row.bound else ""), row.count]
        for cell in row.cells:
            mark = ("", "**", "*")[cell.rank]
            cells.append(f"{mark}{cell.text}{mark} {cell.marks}".strip())
        lines.append(_line(cells))
    legend = legend_of(table)
    lines += ["", *(f"- {text}" for text in legend)]
    for number, text in enumerate(table.footnotes, start=1):
        # A reason is free text: line breaks would end the list, tags would become markup.
        safe = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
        lines.append(f"- {str(number).translate(SUPERSCRIPTS)} {safe}")
    return "\n".join(lines).rstrip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def legend_of(table: StageTable) -> list[str]:
    """Return the sentences that explain the signs used in `table`."""
    cells = [cell for row in table.rows for cell in row.cells]
    sentences = []
    if any(cell.rank for cell in cells):
        sentences.append("Bold: best of the column; italic: second best.")
    if any(cell.low is not None for cell in cells):
        sentences.append("±: half of the 95 % bootstrap interval.")
    if any(row.bound for row in table.rows):
        sentences.append("†: uses the target itself; a bound, not ranked.")
    if any(cell.status == "indicative" for cell in cells):
        sentences.append("~: indicative only, see the footnote.")
    if any(cell.status == "absent" for cell in cells):
        sentences.append("–: not measured for this stage.")
    if any(row.method == "copy-source" for row in table.rows) and any(
        column.name.startswith(("fid", "fd_", "kid")) for column in table.columns
    ):
        sentences.append(
            "copy-source shows real pictures in another order, so set metrics (FID and its kin) "
            "favour it; never read them alone."
        )
    return sentences
