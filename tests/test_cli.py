"""The commands beside `run`: what they print, write and return."""

import json

import cv2
import numpy as np
import pytest
from bench_fixture import call, error_line, pose_json, save_noise

from pcdms_bench.cli import COMMANDS
from pcdms_bench.metrics.catalog import METRICS
from pcdms_data.pairs import DATASETS, load_pairs

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("PCDMS_DATA_ROOT", raising=False)
        yield


def test_help_names_every_command():
    result = call("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    result = call(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: cli {name}")


def test_version_is_printed():
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("pcdms ")


def listed(kind, *words):
    result = call("list", kind, "--json", *words)
    assert result.exit_code == 0, result.output
    return {row["name"]: row for row in json.loads(result.stdout)}


def test_lists_hold_every_entry_with_a_reason_where_it_cannot_be_used():
    assert list(listed("datasets")) == list(DATASETS)
    assert list(listed("metrics")) == list(METRICS)
    assert "standard" in listed("protocols")
    assert "folder" in listed("layouts")
    methods = listed("methods")
    assert {"pcdms", "copy-source", "limb-warp", "target-copy"} <= set(methods)
    assert methods["copy-source"]["reason"] is None
    assert "--root" in listed("datasets")["folder"]["reason"]
    assert "weights fetch" in listed("metrics")["fid"]["reason"]
    assert listed("metrics")["ssim"]["reason"] is None


def test_plain_list_shows_the_reason_below_the_name():
    result = call("list", "metrics")
    lines = result.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("fid "))
    assert lines[at + 1].strip().startswith("unavailable: ")


def test_doctor_gives_a_step_for_every_lack():
    result = call("doctor", "--json")
    checks = json.loads(result.stdout)
    assert {"packages", "torch", "device", "cache"} <= {check["what"] for check in checks}
    needed = [check for check in checks if check["needed"] and check["state"] != "ok"]
    assert result.exit_code == int(bool(needed))
    for check in checks:
        if check["state"] != "ok" and not check["what"].startswith("dataset"):
            assert check["step"], check


def test_doctor_recognises_a_torchvision_of_another_torch():
    from pcdms_bench.checks import broken_torch

    check = broken_torch("torch 1", RuntimeError("operator torchvision::nms does not exist"))
    assert check.state == "broken"
    assert "do not belong together" in check.detail
    assert "torch torchvision" in check.step


def test_people_are_exported_as_a_folder_dataset_and_a_sheet(tmp_path):
    out, sheet = tmp_path / "people", tmp_path / "sheet.png"
    result = call("data", "make", "people", "--size", "smoke", "--split", "test", "--out", out,
                  "--sheet", sheet)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "16 pictures" in result.stdout
    assert len(load_pairs("folder", root=out)) == len(load_pairs("people", size="smoke"))
    assert cv2.imread(str(sheet)) is not None


def test_stats_count_what_the_dataset_holds(tmp_path):
    labels = tmp_path / "slices.csv"
    result = call("data", "stats", "--size", "smoke", "--json", "--out", labels)
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)
    pairs = load_pairs("people", size="smoke")
    assert counts["pairs"] == len(pairs)
    assert counts["pictures"] == 16
    assert counts["groups"] == 4
    assert sum(counts["slices"]["view_change"].values()) == len(pairs)
    assert len(labels.read_text().splitlines()) == 1 + len(pairs) * len(counts["slices"])


def test_weights_list_says_where_files_are_and_how_to_get_them():
    result = call("weights", "list", "--json")
    rows = json.loads(result.stdout)
    assert {"fid", "fid_paper", "lpips", "lpips_vgg", "lpips_squeeze"} == {r["name"] for r in rows}
    for row in rows:
        assert row["present"] or f"weights fetch {row['name']}" in row["problem"]
    assert call("weights", "verify").exit_code == 0


def test_wrong_weight_file_fails_verification(tmp_path, monkeypatch):
    path = tmp_path / "alexnet.pth"
    path.write_bytes(b"not it")
    monkeypatch.setenv("PCDMS_WEIGHTS_LPIPS", str(path))
    result = call("weights", "verify", "lpips")
    assert result.exit_code == 1
    assert "alexnet.pth" in result.stdout
    assert path.read_bytes() == b"not it"


def test_startup_speed_reports_measured_times():
    result = call("speed", "startup", "--repeats", 1, "--json")
    figures = json.loads(result.stdout)
    assert 0 < figures["help_best_s"] <= figures["help_median_s"]
    assert figures["heavy_modules_loaded"] == "[]"


def test_pictures_made_elsewhere_are_scored(tmp_path):
    for i, name in enumerate("abc"):
        save_noise(tmp_path / "targets" / f"{name}.png", i)
        save_noise(tmp_path / "made" / f"{name}.png", i)
    table = tmp_path / "scores.csv"
    words = ("score", tmp_path / "made", "--targets", tmp_path / "targets", "--metrics", "ssim,l1")
    result = call(*words, "--json", "--out", table)
    assert result.exit_code == 0, result.output
    rows = {row["metric"]: row for row in json.loads(result.stdout)}
    assert rows["ssim"]["value"] == pytest.approx(1.0)
    assert rows["l1"]["value"] == 0.0
    assert table.is_file()
    (tmp_path / "made" / "b.png").unlink()
    result = call(*words, "--json", "--allow-missing")
    assert result.exit_code == 0
    row = json.loads(result.stdout)[0]
    assert (row["n"], row["n_expected"]) == (2, 3)
    assert "1 of 3 pairs" in row["reason"]


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_generate_writes_one_picture_that_depends_on_the_seed_alone(tmp_path):
    from micro_model import pipeline

    pipeline().save_pretrained(tmp_path / "model")
    source = save_noise(tmp_path / "a.png", size=(32, 16))
    (tmp_path / "a.json").write_text(pose_json())
    (tmp_path / "b.json").write_text(pose_json(3))

    def make(name, seed):
        result = call(
            "generate", "--source", source, "--pose", tmp_path / "b.json", "--out",
            tmp_path / name, "--weights", tmp_path / "model", "--seed", seed, "--device", "cpu",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        return cv2.imread(str(tmp_path / name))

    first, again, other = make("1.png", 1), make("2.png", 1), make("3.png", 2)
    assert first.shape == (32, 16, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_generate_refuses_the_true_target(tmp_path):
    source = save_noise(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(pose_json())
    result = call("generate", "--source", source, "--pose", tmp_path / "a.json", "--out",
                  tmp_path / "c.png", "--stages", "truth+inpaint")  # fmt: skip
    assert result.exit_code == 2
    assert "truth" in error_line(result)


def test_train_hands_its_options_over(tmp_path, monkeypatch):
    from pcdms_bench import training

    seen = []
    monkeypatch.setattr(training, "train_parts", lambda *words: seen.append(words[:2]))
    result = call("train", "--stage", "prior", "--out", tmp_path, "--steps", 7, "--seed", 3,
                  "--device", "cpu")  # fmt: skip
    assert result.exit_code == 0, result.output
    stage, run = seen[0]
    assert stage == "prior"
    assert (run.preset, run.dataset, run.out, run.steps, run.seed, run.device) == (
        "tiny", "people", tmp_path, 7, 3, "cpu",
    )  # fmt: skip
