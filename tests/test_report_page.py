"""The report page in a real browser: it fits a phone and a desk, and its table sorts."""

from __future__ import annotations

import pytest
from chromium import measured, needs_chromium
from report_fixture import make_runs
from test_report_cases import another

from pcdms_reports import write_report

pytestmark = needs_chromium

# Runs in a wrapper page, because the report's own policy forbids foreign scripts. The report is
# framed at the width under test; what is measured is written into the wrapper's body.
WRAPPER = """<!doctype html><meta charset="utf-8">
<iframe id="frame" style="border:0;width:{width}px;height:3000px" src="report.html"></iframe>
<pre id="result"></pre>
<script>
document.getElementById("frame").addEventListener("load", (event) => {{
  const page = event.target.contentDocument;
  const body = page.documentElement;
  const head = page.querySelector("table.scores thead th:nth-child(3)");
  const column = () => [...page.querySelectorAll("table.scores tbody")][0]
    .querySelectorAll("tr td:nth-child(3)");
  const before = [...column()].map((cell) => cell.textContent);
  head.querySelector("button").click();
  const sorted = [...column()].map((cell) => Number(cell.dataset.value));
  head.querySelector("button").click();
  head.querySelector("button").click();
  const after = [...column()].map((cell) => cell.textContent);
  const pictures = [...page.querySelectorAll(".grid img")];
  document.getElementById("result").textContent = JSON.stringify({{
    wide: body.scrollWidth - body.clientWidth,
    outside: [...page.querySelectorAll("body *")]
      .filter((e) => !e.closest(".scroll"))
      .filter((e) => e.getBoundingClientRect().right > body.clientWidth + 1)
      .map((e) => e.tagName),
    broken: pictures.filter((picture) => picture.complete && !picture.naturalWidth).length,
    shown: pictures[0].getBoundingClientRect().width,
    sorted, restored: JSON.stringify(before) === JSON.stringify(after),
    nameless: [...page.querySelectorAll("img, svg[role=img]")]
      .filter((e) => !(e.getAttribute("alt") || e.getAttribute("aria-label"))).length,
    headings: [...page.querySelectorAll("h3")].map((e) => e.textContent),
    requests: page.defaultView.performance.getEntriesByType("resource")
      .filter((entry) => !entry.name.startsWith("data:")).length,
  }});
}});
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = make_runs(tmp_path_factory.mktemp("page"))
    another(out, "b0000001", "inpaint+refine")
    another(out, "b0000002", "prior+inpaint+refine", steps=5)
    another(out, "b0000003", "prior+inpaint+refine", steps=10)
    write_report(out, out / "report.html")
    return out


@pytest.mark.parametrize("width", [400, 1400])
def test_only_tables_scroll_sideways_and_sorting_can_be_undone(folder, width, tmp_path):
    result = measured(WRAPPER, folder, width, tmp_path / "profile")
    assert result["wide"] <= 0
    assert result["outside"] == []
    assert result["broken"] == 0
    assert result["shown"] == 128
    assert result["requests"] == 0
    assert result["nameless"] == 0
    assert {"Ablation", "Sampling options", "Quality and time"} <= set(result["headings"])
    assert result["sorted"] == sorted(result["sorted"], reverse=True)
    assert result["restored"]
