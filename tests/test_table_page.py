"""The tables as a page in a real browser: phone and desk, light and dark, sorting."""

from __future__ import annotations

import pytest
from chromium import measured, needs_chromium
from table_fixture import build, make_fashion

from pcdms_reports.paper_tables import read_runs
from pcdms_reports.table_formats import FORMATS

pytestmark = needs_chromium

WRAPPER = """<!doctype html><meta charset="utf-8">
<iframe id="frame" style="border:0;width:{width}px;height:3000px" src="tables.html"></iframe>
<pre id="result"></pre>
<script>
document.getElementById("frame").addEventListener("load", (event) => {{
  const page = event.target.contentDocument;
  const body = page.documentElement;
  const table = page.querySelector("table.scores");
  const heads = [...table.tHead.rows[0].cells];
  const at = heads.findIndex((head) => head.textContent.includes("measured"));
  const column = (place) => [...table.tBodies[0].rows].map((row) => row.cells[place]);
  const order = () => column(0).map((cell) => cell.textContent).join("|");
  const before = order();
  const click = (place) => heads[place].querySelector("button").click();
  click(at);
  const cells = column(at).map((cell) => cell.dataset.value);
  const sort = heads[at].getAttribute("aria-sort");
  click(at); click(at);
  const restored = order() === before;
  click(1); click(1);
  const protocols = column(1).map((cell) => cell.textContent);
  document.getElementById("result").textContent = JSON.stringify({{
    wide: body.scrollWidth - body.clientWidth,
    outside: [...page.querySelectorAll("body *")]
      .filter((e) => !e.closest(".scroll"))
      .filter((e) => e.getBoundingClientRect().right > body.clientWidth + 1)
      .map((e) => e.tagName),
    cells, sort, restored, protocols,
    first: column(1)[0].getBoundingClientRect().left,
    small: [...page.querySelectorAll("td, th, li, p")]
      .filter((e) => parseFloat(getComputedStyle(e).fontSize) < 12).length,
    requests: page.defaultView.performance.getEntriesByType("resource").length,
  }});
}});
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    tables = build("quantitative", runs=read_runs([make_fashion(out / "runs")]))
    (out / "tables.html").write_text(FORMATS["html"](tables, "Title"), encoding="utf-8")
    return out


@pytest.mark.parametrize("width", [400, 1400])
def test_tables_scroll_inside_the_page_and_sort_by_every_column(folder, width, tmp_path):
    result = measured(WRAPPER, folder, width, tmp_path / "profile")
    assert result["wide"] <= 0
    assert result["outside"] == []
    assert result["small"] == 0
    assert result["requests"] == 0
    numbers = [float(value) for value in result["cells"] if value is not None]
    assert len(numbers) > 10
    assert numbers == sorted(numbers, reverse=True)
    assert result["cells"][: len(numbers)] == [v for v in result["cells"] if v is not None]
    assert result["sort"] == "descending"
    assert result["restored"]
    assert result["protocols"] == sorted(result["protocols"], key=lambda text: (text != "–", text))
    assert result["first"] < 0.6 * width
