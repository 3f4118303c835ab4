"""One table, four formats: the same numbers in each, and nothing that breaks a reader."""

import re
import shutil
import subprocess

import pytest
from table_fixture import UNKNOWN_WEIGHTS, build, make_ablation, make_fashion
from table_parsers import csv_records, html_rows, latex_rows, markdown_rows, numbers

from pcdms_bench.protocol_table import protocol_table
from pcdms_reports.paper_tables import TABLES, TITLES, read_runs
from pcdms_reports.paper_tables.protocols import protocols_table
from pcdms_reports.table_formats import FORMATS
from pcdms_reports.table_formats.latex_text import latex_text
from pcdms_reports.table_model import Cell, Column, Number, Row, Table

NAMES = [*TABLES, "protocols", "market", "large", "fashion", "all-stages"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every table there is: published numbers alone, and with invented runs."""
    fashion = read_runs([make_fashion(tmp_path_factory.mktemp("fashion"))])
    ablation = read_runs([make_ablation(tmp_path_factory.mktemp("ablation"))])
    head, rows = protocol_table()
    return {
        **{name: build(name) for name in TABLES if name != "stages"},
        "stages": build("stages", runs=ablation),
        "protocols": [protocols_table(head, rows, {"pcdms": "a/b:c_d.py"})],
        "market": build("quantitative", dataset="market1501"),
        "large": build("quantitative", resolution="512x352"),
        "fashion": build("quantitative", runs=fashion),
        "all-stages": [*build("ablation", runs=ablation), *build("compute", runs=ablation)],
    }


def expected(tables):
    """The numbers of every cell, in order: value and interval of each number, or those in words."""
    return [
        [
            [n for number in found.numbers for n in (number.text, *numbers(number.spread))]
            if found.numbers and all(numbers(n.text) == [n.text] for n in found.numbers)
            else numbers(" ".join(n.shown for n in found.numbers) or found.text)
            for found in row.cells
        ]
        for table in tables
        for row in table.rows
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("format_name", "read"), [("md", markdown_rows), ("latex", latex_rows), ("html", html_rows)]
)
def test_every_format_shows_the_same_numbers(made, name, format_name, read):
    tables = made[name]
    found = read(FORMATS[format_name](tables, "Title"))
    wanted = expected(tables)
    assert sum(bool(cell) for row in wanted for cell in row) >= 5
    assert found == wanted


@pytest.mark.parametrize("name", NAMES)
def test_csv_holds_the_same_numbers_as_numbers(made, name):
    tables = made[name]
    records = csv_records(FORMATS["csv"](tables, "Title"))
    rows = [(table, row) for table in tables for row in table.rows]
    assert len(records) == len(rows)
    for record, (table, row) in zip(records, rows, strict=True):
        assert (record["table"], record[table.head]) == (table.caption, row.label)
        for column, found in zip(table.columns, row.cells, strict=True):
            written = record[column.title]
            if not found.numbers:
                assert written == found.text
                continue
            first = found.numbers[0]
            shown = record.get(f"{column.title} shown") or written
            assert shown.replace(",", "") == first.text.replace(",", "")
            assert float(written) == pytest.approx(first.value, abs=0.51 * step(written))
            others = record.get(f"{column.title} others", "")
            assert numbers(others) == [number.text for number in found.numbers[1:]]
            if first.low is not None:
                assert float(record[f"{column.title} low"]) == first.low


def step(text):
    return 10.0 ** -len(text.partition(".")[2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("format_name", FORMATS)
def test_every_footnote_and_mark_is_in_every_format(made, name, format_name):
    text = squeezed(FORMATS[format_name](made[name], "Title"), format_name)
    for table in made[name]:
        cells = [cell for row in table.rows for cell in row.cells]
        led_to = {note for cell in cells for note in cell.notes}
        led_to |= {note for cell in cells for number in cell.numbers for note in number.notes}
        for number in led_to:
            assert squeezed(escaped(table.footnotes[number - 1], format_name), format_name) in text
        for _, meaning in table.marks:
            assert squeezed(escaped(meaning, format_name), format_name) in text


def escaped(text, format_name):
    if format_name == "latex":
        return latex_text(text)
    if format_name == "csv":
        return text.replace('"', '""')
    return text.replace("&", "&amp;").replace("<", "&lt;")


def squeezed(text, format_name):
    if format_name == "html":
        text = re.sub(r"</?code>", "", text).replace("&gt;", ">").replace("&#39;", "'")
    return "".join(text.replace("`", "").replace("\\|", "|").replace("&#34;", '"').split())


# LaTeX

HARD = '50 % of {a} & b_c #1 $x$ ~ ^ \\ <tag> | [x] *y* "q" `co_de` ± × · † → – … é Ø 中 ₂'


def hard_table():
    number = Number("-1.5", -1.5, spread="[-2.0, -1.0]", sign="~", rank=1, mark="a", notes=(1,))
    rows = (
        Row(f"[{HARD}", (Cell((number,)), Cell(text=HARD))),
        Row("*", (Cell((number, number)), Cell(text="中" * 60, notes=(1,))), block=1, notes=(1,)),
    )
    columns = (Column("↑ %", group="A_1"), Column("words", numeric=False))
    return Table("hard", HARD, HARD, columns, rows, (("a", HARD),), (HARD,), (HARD + "/x" * 40,))


pdflatex = pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex on this machine")


def compiled(folder, name):
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    log = done.stdout
    assert done.returncode == 0, log[-2000:]
    assert "Missing character" not in (folder / name).with_suffix(".log").read_text("latin-1")
    return log


@pdflatex
def test_every_table_compiles_alone(made, tmp_path):
    tables = [hard_table(), *(table for name in NAMES for table in made[name])]
    (tmp_path / "tables.tex").write_text(FORMATS["latex"](tables, "Title"), encoding="utf-8")
    log = compiled(tmp_path, "tables.tex")
    assert "Output written on tables.pdf" in log
    assert "Overfull" not in log


@pdflatex
def test_latex_can_be_included_in_a_paper_also_as_a_float(made, tmp_path):
    (tmp_path / "one.tex").write_text(FORMATS["latex"](made["reid"], "Title"), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
        "Before.\\input{one}\\begin{table*}\\input{one}\\end{table*}After.\\end{document}\n"
    )
    assert "Output written on paper.pdf" in compiled(tmp_path, "paper.tex")


@pytest.mark.parametrize("sign", [*'%&#_{}$~^\\<>|[*"', "中", "\x07"])
def test_no_sign_reaches_latex_unescaped(sign):
    text = latex_text(f"a{sign}b")
    assert text != f"a{sign}b"
    assert text.isascii()


# Markdown, HTML and CSV


@pytest.mark.parametrize("format_name", FORMATS)
def test_text_that_looks_like_markup_stays_text(format_name):
    text = FORMATS[format_name]([hard_table()], HARD)
    assert "<tag>" not in text or format_name in ("csv", "latex")
    if format_name == "md":
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    if format_name == "csv":
        assert csv_records(text)[0]["words"] == HARD


def test_html_tells_a_screen_reader_what_heads_what(made):
    text = FORMATS["html"](made["fashion"], "Title")
    heads = re.findall(r"<th\b[^>]*>", text)
    assert all('scope="col"' in head or 'scope="row"' in head for head in heads)
    assert text.count("<caption>") == len(made["fashion"]) == text.count("<table")
    assert text.count('role="region" aria-label=') == text.count("<table")
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="(?!#)', text)


def test_html_cells_carry_the_number_that_sorting_needs(made):
    (table,) = made["fashion"]
    text = FORMATS["html"]([table], "Title")
    values = [float(value) for value in re.findall(r'data-value="([^"]+)"', text)]
    wanted = [found.numbers[0].value for row in table.rows for found in row.cells if found.numbers]
    assert values == wanted


def test_a_reason_with_every_special_sign_survives_each_format(tmp_path):
    runs = read_runs([make_fashion(tmp_path)])
    tables = build("quantitative", runs=runs, metrics=("st_lpips",), protocols=("cfld",))
    for format_name, write in FORMATS.items():
        text = squeezed(write(tables, TITLES["quantitative"]), format_name)
        assert squeezed(escaped(UNKNOWN_WEIGHTS, format_name), format_name) in text


@pytest.mark.parametrize(
    "broken",
    [
        {"rows": (Row("a", ()),)},
        {"rows": (Row("a", (Cell(text="x", notes=(1,)),)),)},
        {"rows": (Row("a", (Cell((Number("1", 1.0, mark="b"),)),)),)},
        {"rows": (Row("a", (Cell((Number("1", 1.0),), notes=(1,)),)),), "footnotes": ("x",)},
    ],
)
def test_a_table_that_leads_nowhere_cannot_be_made(broken):
    with pytest.raises(ValueError, match=r"^t: row 'a'"):
        Table("t", "caption", "head", (Column("c"),), **broken)
