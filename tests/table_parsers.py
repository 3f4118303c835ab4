"""Readers of written tables, one per format: rows of cells, each cell the numbers in it."""

import csv
import io
import re
from html.parser import HTMLParser

NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
Rows = list[list[list[str]]]


def numbers(text: str) -> list[str]:
    """Every number of a text, as it is written."""
    return NUMBER.findall(text)


def markdown_rows(text: str) -> Rows:
    """Body rows of all tables, without marks and footnote numbers (which are superscripts)."""
    rows = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("| ")]
        for line in lines[1:]:
            cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
            rows.append([numbers(cell) for cell in cells[1:]])
    return rows


def latex_rows(text: str) -> Rows:
    """Body rows of all tables; commands are taken away, superscripts with what they raise."""
    rows = []
    for body in re.findall(r"\\midrule\n(.*?)\n\\bottomrule", text, re.DOTALL):
        for line in body.splitlines():
            if not line.endswith(r"\\"):
                continue
            plain = re.sub(r"\\textsuperscript\{[^}]*\}", "", line.removesuffix(r"\\"))
            plain = plain.replace("$-$", "-").replace("{[}", "[")
            plain = re.sub(r"\\parbox\[t\]\{\d+em\}", "", plain)
            cells = re.split(r"(?<!\\)&", plain)
            rows.append([numbers(re.sub(r"\\[a-z]+", "", cell)) for cell in cells[1:]])
    return rows


class _Cells(HTMLParser):
    """Collects the text of body cells; superscripts are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attributes):
        if tag in ("meta", "br"):
            return
        self.tags.append(tag)
        if tag == "tr" and "tbody" in self.tags:
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self.tags and self.tags.pop() != tag:
            pass

    def handle_data(self, data):
        if "td" in self.tags and "sup" not in self.tags:
            self.rows[-1][-1] += f" {data}"


def html_rows(text: str) -> Rows:
    """Body rows of all tables."""
    parser = _Cells()
    parser.feed(text)
    return [[numbers(cell) for cell in row] for row in parser.rows]


def csv_records(text: str) -> list[dict[str, str]]:
    """Rows as a spreadsheet reads them."""
    return list(csv.DictReader(io.StringIO(text)))
