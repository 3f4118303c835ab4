"""The audit as text and page: what it says of invented changes, and that it fits every screen."""

from __future__ import annotations

import csv
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from chromium import measured, needs_chromium

from pcdms_reports.audit_page import write_audit
from pcdms_reports.audit_plot import audit_figure
from pcdms_reports.audit_records import COLUMNS, AuditRow, audit_rows_text, read_audit
from pcdms_reports.audit_text import audit_markdown, finding, sort_audit
from pcdms_reports.records import RecordError

WRAPPER = """<!doctype html><meta charset="utf-8">
<iframe id="frame" style="border:0;width:{width}px;height:3000px" src="audit.html"></iframe>
<pre id="result"></pre>
<script>
document.getElementById("frame").addEventListener("load", (event) => {{
  const page = event.target.contentDocument;
  const body = page.documentElement;
  document.getElementById("result").textContent = JSON.stringify({{
    wide: body.scrollWidth - body.clientWidth,
    outside: [...page.querySelectorAll("body *")]
      .filter((e) => !e.closest(".scroll") && !e.closest("svg"))
      .filter((e) => e.getBoundingClientRect().right > body.clientWidth + 1)
      .map((e) => e.tagName),
    plots: page.querySelectorAll("figure svg").length,
    requests: page.defaultView.performance.getEntriesByType("resource").length,
  }});
}});
</script>"""


def row(group, choice, metric="ssim", change=0.0, base=0.5, **fields):
    plain = {
        "run": "0123abcd", "method": "limb-warp", "stage": "final", "dataset": "people",
        "split": "test", "frame": "96x64", "base": "standard", "group": group, "choice": choice,
        "used_by": "pcdms", "metric": metric, "base_value": base,
        "value": None if change is None else base + change, "change": change,
        "ci_low": None if change is None else change - 0.001,
        "ci_high": None if change is None else change + 0.002,
        "n": 200, "n_base": 200, "pairs": 200, "status": "ok", "reason": "",
    }  # fmt: skip
    return AuditRow(**(plain | fields))


ROWS = [
    row("base", "standard"),
    row("base", "standard", "l1", base=0.1),
    row("base", "standard", "fid", None, base=None, status="unavailable", reason="no weights <b>"),
    row("window", "sigma <1.2>", change=0.004),
    row("window", "uniform", change=0.21),
    row("range", "own | range", change=-0.014),
    row("filter", "none", change=0.0),
    row("reference", "jpeg", change=None, status="unavailable", reason="needs a pass"),
    row("range", "doubled", "l1", change=0.1, base=0.1),
    row("protocol", "cfld", change=-0.01),
    row("protocol", "patn", change=0.13),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("audit")
    write_rows(place / "audit.csv", ROWS)
    write_audit(place / "audit.csv", place)
    return place


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(audit_rows_text(rows))


def test_rows_read_back_equal(folder):
    assert read_audit(folder / "audit.csv") == ROWS


def test_the_finding_counts_what_exceeds_the_gap_and_names_the_largest():
    text = " ".join(finding(sort_audit(ROWS)))
    assert "On 200 pairs of people (test), SSIM is 0.5000 under the protocol standard" in text
    assert "Of 4 choices in which published scripts differ, 2 alone move it" in text
    assert "The largest: uniform moves it by +0.2100, 30 such gaps." in text
    assert "from 0.4900 (cfld) to 0.6300 (patn)" in text


def test_the_finding_says_of_how_many_pairs_a_number_is():
    few = [replace(one, n=150) if one.metric == "ssim" else one for one in ROWS]
    assert "On 150 of 200 pairs of people" in finding(sort_audit(few))[0]
    one = [replace(one, n=1, pairs=1) for one in ROWS]
    assert "On 1 pair of people" in finding(sort_audit(one))[0]


def test_the_tables_are_sorted_by_size_and_free_text_cannot_break_them(folder):
    text = audit_markdown(sort_audit(ROWS))
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in lines[1:4]] == ["uniform", "own", "sigma"]
    assert "own \\| range" in text
    assert "Without effect: none." in text
    assert "jpeg: needs a pass" in text
    page = (folder / "audit.html").read_text(encoding="utf-8")
    assert "sigma &lt;1.2&gt;" in page
    assert "no weights &lt;b&gt;" in page
    assert "sigma <1.2>" not in page


def test_a_bar_per_choice_points_to_its_side():
    metric = sort_audit(ROWS).metrics[0]
    figure = audit_figure(metric)
    widths = [
        bar.get_width() for bar in figure.axes[0].patches if round(bar.get_height(), 6) == 0.3
    ]
    assert widths == pytest.approx([0.21, -0.014, 0.004])
    low, high = figure.axes[0].get_xlim()
    assert low < -0.015
    assert high > 0.212


def test_plots_are_whole_files_and_name_every_choice(folder):
    svg = (folder / "audit-ssim.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(svg)
    assert (folder / "audit-ssim.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "audit.html").read_text(encoding="utf-8")
    assert "Change of SSIM by each choice alone: uniform +0.2100; own | range -0.0140" in page


def test_damaged_files_are_refused_by_line(tmp_path):
    path = tmp_path / "audit.csv"
    path.write_text("a\n")
    with pytest.raises(RecordError, match=r"audit\.csv:1: missing column 'run', 'method'"):
        read_audit(path)
    path.write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(RecordError, match="holds no row"):
        read_audit(path)
    write_rows(path, ROWS)
    path.write_text(path.read_text().replace("0.21,", "many,"))
    with pytest.raises(RecordError, match=r"audit\.csv:6: change 'many', expected a finite"):
        read_audit(path)
    with pytest.raises(RecordError, match="a missing value needs a reason"):
        row("filter", "x", change=None, status="unavailable")


@needs_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_fits_a_phone_and_a_desk(folder, width, tmp_path):
    result = measured(WRAPPER, folder, width, tmp_path / "profile")
    assert result == {"wide": 0, "outside": [], "plots": 2, "requests": 0}
