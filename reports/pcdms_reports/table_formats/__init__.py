"""The formats a table can be written in: one model in, the same numbers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pcdms_reports.table_formats.csv_file import to_csv
from pcdms_reports.table_formats.html import to_html
from pcdms_reports.table_formats.latex import to_latex
from pcdms_reports.table_formats.markdown import to_markdown
from pcdms_reports.table_model import Table

FORMATS: dict[str, Callable[[Sequence[Table], str], str]] = {
    "md": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "html": to_html,
}
"""Name of a format -> (tables, title of the document) to text."""

__all__ = ["FORMATS", "to_csv", "to_html", "to_latex", "to_markdown"]
