"""Tables as LaTeX with booktabs: a file that compiles alone, and that a paper can include."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pcdms_reports.table_formats.latex_text import latex_text
from pcdms_reports.table_model import Cell, Number, Row, Table

WIDE_CELL = 26
"""Words of more characters are set in a paragraph of `PARAGRAPH` em."""
PARAGRAPH = 12
PORTRAIT_MM, LANDSCAPE_MM = 210, 297
_START = r"""% {title}
% Compiles alone (pdflatex), and inside a paper: load booktabs and graphicx, \input this file.
% Each table is no float; put it into a table or table* environment where it should be one.
\expandafter\ifx\csname @nodocument\endcsname\relax
  \def\tablesend{{}}
\else
  \documentclass{{article}}
  \usepackage[paperwidth={width}mm,paperheight={height}mm,margin=12mm]{{geometry}}
  \usepackage{{booktabs,graphicx}}
  \pagestyle{{empty}}
  \begin{{document}}
  \def\tablesend{{\end{{document}}}}
\fi
"""
_TABLE = r"""\begingroup
\makeatletter\def\@captype{{table}}\makeatother
\begin{{center}}
\caption{{{caption}}}\label{{tab:{name}}}\par\medskip
\setbox0\hbox{{\begin{{tabular}}{{{places}}}
\toprule
{body}
\bottomrule
\end{{tabular}}}}%
\ifdim\wd0>\linewidth\resizebox{{\linewidth}}{{!}}{{\usebox0}}\else\usebox0\fi
\end{{center}}
{notes}\endgroup
"""


def to_latex(tables: Sequence[Table], title: str) -> str:
    r"""Return one LaTeX file: `\input` it in a paper, or run `pdflatex` on it.

    Best is bold, second best underlined; marks and footnotes are superscripts with their words
    below the table. A table wider than the line is scaled down to it. Compiled alone, the page is
    as large as the tables need.
    """
    wide = any(len(table.columns) > 6 for table in tables)
    width = LANDSCAPE_MM if wide else PORTRAIT_MM
    height = 30 + sum(_height(table, width) for table in tables)
    start = _START.format(title=" ".join(title.split()), width=width, height=round(height))
    return "\n".join([start, *(_table(table) for table in tables), "\\tablesend\n"])


def _table(table: Table) -> str:
    body = [*_heads(table), r"\midrule"]
    before: Row | None = None
    for row in table.rows:
        if before is not None and row.block != before.block:
            body.append(r"\midrule")
        body.append(_line([_label(row), *map(_cell, row.cells)]))
        before = row
    return _TABLE.format(
        caption=latex_text(table.caption),
        name=table.name,
        places="l" + "".join("r" if column.numeric else "l" for column in table.columns),
        body="\n".join(body),
        notes=_notes(table),
    )


def _heads(table: Table) -> list[str]:
    """Return the head lines: one with groups and their rules where there are any, one without."""
    lines = []
    if any(column.group for column in table.columns):
        heads, rules, place = [""], [], 2
        for group, members in groupby(column.group for column in table.columns):
            count = len(list(members))
            heads.append(
                rf"\multicolumn{{{count}}}{{c}}{{{latex_text(group)}}}"
                if group
                else "&" * (count - 1)
            )
            if group:
                rules.append(rf"\cmidrule(lr){{{place}-{place + count - 1}}}")
            place += count
        lines += [_line(heads), "".join(rules)]
    return [
        *lines,
        _line([latex_text(table.head), *(latex_text(c.heading) for c in table.columns)]),
    ]


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _label(row: Row) -> str:
    return _paragraph(row.label, _raised("", row.notes))


def _cell(cell: Cell) -> str:
    numbers = " / ".join(map(_number, cell.numbers))
    return numbers or _paragraph(cell.text, _raised("", cell.notes))


def _number(number: Number) -> str:
    digits = latex_text(f"{number.sign}{number.text}")
    if digits.startswith("-"):
        digits = f"${digits[0]}${digits[1:]}"
    digits = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}")[number.rank].format(digits)
    spread = rf" {{\scriptsize {latex_text(number.spread)}}}" if number.spread else ""
    return digits + spread + _raised(number.mark, number.notes)


def _paragraph(text: str, raised: str) -> str:
    escaped = latex_text(text) + raised
    if len(text) <= WIDE_CELL:
        return escaped
    return rf"\parbox[t]{{{PARAGRAPH}em}}{{\raggedright\strut {escaped}\strut}}"


def _raised(mark: str, notes: Sequence[int]) -> str:
    signs = ",".join(filter(None, [mark, *map(str, notes)]))
    return rf"\textsuperscript{{{signs}}}" if signs else ""


def _notes(table: Table) -> str:
    lines = [latex_text(sentence) for sentence in table.legend]
    lines += [rf"\textsuperscript{{{letter}}} {latex_text(text)}" for letter, text in table.marks]
    lines += [
        rf"\textsuperscript{{{number}}} {latex_text(text)}"
        for number, text in enumerate(table.footnotes, start=1)
    ]
    if not lines:
        return ""
    # One paragraph each, ragged: long paths would stretch the blanks of a justified line.
    body = "\\par\n".join(lines)
    return f"{{\\footnotesize\\raggedright\\parindent0pt\n{body}\\par}}\n"


def _height(table: Table, width: float) -> float:
    """Return roughly how many millimetres the table takes, for the page of a file on its own."""
    lines = 4.0
    for row in table.rows:
        texts = [row.label, *(cell.text for cell in row.cells)]
        lines += max(1, *(-(-len(text) // 22) if len(text) > WIDE_CELL else 1 for text in texts))
    notes = [*table.legend, *(text for _, text in table.marks), *table.footnotes]
    note_lines = sum(-(-len(text) // round(width * 0.62)) for text in [*notes, table.caption])
    return 22 + 4.5 * lines + 3.5 * note_lines
