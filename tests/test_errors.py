"""Bad input: exit code 2, one line that names the value, what was expected and where."""

import subprocess
import sys

import pytest
from bench_fixture import call, error_line, pose_json, save_folder_dataset, save_noise

from pcdms_bench.run_folder import write_json


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    monkeypatch.delenv("PCDMS_DATA_ROOT", raising=False)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["rum"], ["'rum'", "did you mean 'run'", "doctor"]),
        (["run", "--dataset", "peple"], ["'peple'", "people", "market1501"]),
        (["run", "--methods", "limbwarp"], ["'limbwarp'", "did you mean 'limb-warp'", "pcdms"]),
        (["run", "--methods", ""], ["no method given", "pcdms"]),
        (["run", "--stages", "prior+refine"], ["'prior+refine'", "prior+inpaint+refine"]),
        (["run", "--metrics", "ssmi"], ["'ssmi'", "did you mean 'ssim'", "psnr"]),
        (["run", "--protocol", "standart"], ["'standart'", "standard"]),
        (["run", "--size", "big"], ["'big'", "smoke, mini, full"]),
        (["run", "--split", "dev"], ["'dev'", "test, val, train"]),
        (["run", "--preset", "small"], ["'small'", "tiny, paper"]),
        (["run", "--selection", "best"], ["'best'", "first, mean"]),
        (["run", "--null", "zero"], ["'zero'", "published, trained"]),
        (["run", "--dtype", "float64"], ["'float64'", "float32"]),
        (["run", "--device", "gpu"], ["'gpu'", "cpu, cuda"]),
        (["run", "--resolution", "96"], ["'96'", "HEIGHTxWIDTH"]),
        (["run", "--limit", "0"], ["--limit", "0"]),
        (["run", "--steps", "many"], ["--steps", "many"]),
        (["run", "--no-such-option"], ["--no-such-option"]),
        (["run", "--root", "somewhere"], ["people", "--root"]),
        (["run", "--weights", "nowhere"], ["nowhere", "model directory"]),
        (["run", "--dataset", "folder"], ["folder", "--root", "PCDMS_DATA_ROOT"]),
        (["run", "--dataset", "market1501", "--root", "nowhere"], ["nowhere", "market1501"]),
        (["list", "method"], ["'method'", "did you mean 'methods'"]),
        (["score", "nowhere"], ["nowhere"]),
        (["report", "nowhere"], ["nowhere"]),
        (["train", "--stage", "stage1", "--out", "x"], ["'stage1'", "prior", "all"]),
        (["weights", "fetch", "lpisp"], ["'lpisp'", "lpips"]),
        (["data", "make", "people"], ["--out", "--sheet"]),
        (["data", "stats", "--dataset", "peoples"], ["'peoples'", "people"]),
    ],
)
def test_wrong_value_is_one_line_and_exit_code_2(words, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert result.exit_code == 2, result.output
    line = error_line(result)
    for word in named:
        assert word in line
    assert not list(tmp_path.iterdir())


def test_folder_without_its_table_names_the_file(tmp_path):
    result = call("run", "--dataset", "folder", "--root", tmp_path, "--out", tmp_path / "runs")
    assert result.exit_code == 2
    assert "keypoints.csv" in error_line(result)


def test_pictures_that_do_not_pair_up_are_listed(tmp_path):
    for name in ("a", "b"):
        save_noise(tmp_path / "targets" / f"{name}.png")
    save_noise(tmp_path / "made" / "a.png", 1)
    save_noise(tmp_path / "made" / "c.png", 1)
    result = call("score", tmp_path / "made", "--targets", tmp_path / "targets")
    assert result.exit_code == 2
    line = error_line(result)
    for word in ("1 missing: b", "1 without a pair: c.png", "--allow-missing"):
        assert word in line


def test_undecodable_picture_to_score_is_named(tmp_path):
    save_noise(tmp_path / "targets" / "a.png")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.png").write_bytes(b"nothing")
    result = call("score", tmp_path / "made", "--targets", tmp_path / "targets")
    assert result.exit_code == 2
    assert "a.png cannot be decoded" in error_line(result)


def test_folder_without_runs_says_how_to_score_pictures(tmp_path):
    save_noise(tmp_path / "a.png")
    result = call("score", tmp_path)
    assert result.exit_code == 2
    assert "--targets" in error_line(result)


def test_damaged_spec_names_file_and_key(tmp_path):
    write_json(tmp_path / "spec.json", {"method": "pcdms", "colour": 1})
    result = call("score", tmp_path)
    assert result.exit_code == 2
    line = error_line(result)
    assert "spec.json" in line
    assert "'colour'" in line


def test_picture_without_known_key_points_says_what_is_needed(tmp_path):
    source = save_noise(tmp_path / "a.png")
    pose = tmp_path / "b.json"
    pose.write_text(pose_json())
    (tmp_path / "model").mkdir()
    result = call("generate", "--source", source, "--pose", pose, "--out", tmp_path / "c.png",
                  "--weights", tmp_path / "model")  # fmt: skip
    assert result.exit_code == 2
    line = error_line(result)
    assert "--source-pose" in line
    assert "a.json" in line


@pytest.mark.parametrize("text", ["", "{}", '{"size": [64, 32], "xy": [[1, 2]], "visible": [1]}'])
def test_pose_file_of_another_form_is_refused(tmp_path, text):
    pose = tmp_path / "b.json"
    pose.write_text(text)
    source = save_noise(tmp_path / "a.png")
    result = call("generate", "--source", source, "--source-pose", pose, "--pose", pose, "--out",
                  tmp_path / "c.png")  # fmt: skip
    assert result.exit_code == 2
    line = error_line(result)
    assert "b.json is not a pose file" in line
    assert '"visible"' in line


def test_picture_lies_in_a_folder_dataset_gives_its_key_points(tmp_path):
    from pcdms_bench.pose_files import known_pose

    root = save_folder_dataset(tmp_path)
    pose = known_pose(root / "pictures" / "p1v2.png", "--pose")
    assert pose.size == (64, 32)
    assert pose.xy[1].tolist() == [18.0, 9.0]
    assert pose.visible.all()


def test_traceback_appears_with_debug_only(tmp_path):
    write_json(tmp_path / "spec.json", {})
    assert "Traceback" not in call("score", tmp_path).output
    result = call("score", tmp_path, "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.output


def test_closed_pipe_leaves_no_traceback():
    code = "from pcdms_bench.cli import main; main()"
    done = subprocess.run(
        f'"{sys.executable}" -c "{code}" list protocols --json | head -c 10',
        shell=True,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
