"""The notebook below `reports/` runs from top to bottom on the results of a tiny run."""

import ast
import json
from pathlib import Path

import pytest
from bench_fixture import call
from matplotlib.figure import Figure
from micro_model import pipeline

from pcdms_reports.paired import PairedDifference

pytestmark = [
    pytest.mark.usefixtures("one_thread", "cache"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
NOTEBOOK = Path(__file__).parents[1] / "reports" / "scores.ipynb"


def shown(code, names):
    """Run a cell in `names`; returns the value of its last line, as a notebook would show it."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    pipeline().save_pretrained(folder / "weights")
    result = call(
        "run", "--size", "smoke", "--limit", 4, "--methods", "pcdms,copy-source", "--device", "cpu",
        "--weights", folder / "weights", "--metrics", "ssim,masked_l1,fid,peak_memory_mb",
        "--out", folder / "runs",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_RUNS", str(folder / "runs"))
        cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
        return [shown("".join(cell["source"]), names) for cell in cells]


def test_every_cell_runs_and_shows_scores_a_figure_and_a_paired_difference(values):
    head, missing, _, wide, figure, difference, _ = values
    assert {"method", "stage", "metric", "value"} <= set(head.columns)
    assert all(reason for _, reason in missing.index)
    assert {"SSIM", "masked L1"} <= set(wide.columns)
    assert isinstance(figure, Figure)
    assert isinstance(difference, PairedDifference)
    assert difference.n == 4
