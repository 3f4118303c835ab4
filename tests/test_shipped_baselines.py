"""The small learned baselines of the package: they load, stay small and beat copying the source."""

import pytest
from bench_fixture import call

from pcdms_baselines.learned import SHIPPED
from pcdms_reports.scores import load_scores

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("dptn", "cfld", "pidm")


def test_each_comes_with_a_model_card_in_at_most_10_mb():
    assert {folder.name for folder in SHIPPED.iterdir()} == {f"{name}-tiny" for name in NAMES}
    for folder in SHIPPED.iterdir():
        files = {path.name: path.stat().st_size for path in folder.iterdir()}
        assert files.keys() == {"config.json", "model.safetensors", "README.md"}
        assert sum(files.values()) < 10_000_000


def test_each_is_nearer_the_target_than_the_source_on_people_that_none_has_seen(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    result = call(
        "run", "--split", "val", "--limit", 16, "--methods", ",".join((*NAMES, "copy-source")),
        "--metrics", "masked_l1", "--device", "cpu", "--out", tmp_path / "runs",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    error = load_scores(tmp_path / "runs" / "scores.csv").set_index("method")["value"]
    for name in NAMES:
        assert error[name] < 0.8 * error["copy-source"]
