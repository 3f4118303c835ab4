"""A whole run: what it leaves, that it resumes, and that no picture depends on its neighbours."""

import csv
import json
from hashlib import sha256
from pathlib import Path

import pytest
from bench_fixture import call, save_folder_dataset

from pcdms_bench.methods import needed_names
from pcdms_bench.planning import prepare
from pcdms_bench.progress import Progress
from pcdms_bench.request import DEFAULT_METHODS, RunRequest
from pcdms_bench.run_folder import run_folders
from pcdms_bench.runner import execute
from pcdms_reports.records import COLUMNS
from pcdms_reports.scores import load_scores

FLOOR = "copy-source,mean-image,nearest-pose,limb-warp,target-copy"
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
QUICK = "ssim,masked_l1,cosine,seconds_per_picture,peak_memory_mb,parameters"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("PCDMS_DATA_ROOT", raising=False)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from micro_model import pipeline

    folder = tmp_path_factory.mktemp("weights")
    pipeline().save_pretrained(folder)
    return folder


def run(out, *words, methods=FLOOR, metrics=QUICK):
    return call(
        "run", "--size", "smoke", "--out", out, "--methods", methods, "--metrics", metrics,
        "--device", "cpu", *words,
    )  # fmt: skip


def pictures(out):
    """Return {path below `out`: bytes} of every generated picture."""
    return {p.relative_to(out): p.read_bytes() for p in sorted(out.glob("*/*/*/samples/**/*.png"))}


def files(out):
    """Return {path: (time, bytes)} of everything the run folders hold."""
    found = [path for path in out.glob("*/*/*/**/*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


@pytest.fixture(scope="module")
def floor_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("floor")
    result = run(out, "--limit", 5)
    assert result.exit_code == 0, result.output
    return out, result


def test_run_leaves_the_files_of_the_contract(floor_run):
    out, _ = floor_run
    assert (out / "report.html").is_file()
    assert list((out / "tables").glob("*.md"))
    folders = sorted(out.glob("people-test/*/*/spec.json"))
    assert [p.parent.parent.name for p in folders] == sorted(FLOOR.split(","))
    for spec in folders:
        folder = spec.parent
        for name in ("environment.json", "status.json", "scores.csv", "pairs.csv"):
            assert (folder / name).is_file()
        assert len(list((folder / "samples" / "final").glob("*.png"))) == 5
        status = json.loads((folder / "status.json").read_text())
        assert status["state"] == "complete"
        assert len(status["pair_ids"]) == 5
    for kind in ("source", "pose", "target"):
        assert len(list((out / "people-test" / "examples" / kind).glob("*.png"))) == 5


def test_run_folders_are_found_from_every_folder_above_them(floor_run):
    out, *_ = floor_run
    found = run_folders(out)
    assert len(found) > 1
    for place in found:
        assert run_folders(place) == run_folders(place.parent) == [place]
        assert set(run_folders(place.parents[1])) == set(found)


def test_scores_are_one_typed_table_of_all_run_folders(floor_run):
    out, _ = floor_run
    frame = load_scores(out / "scores.csv")
    assert tuple(frame.columns) == COLUMNS
    assert set(frame["method"]) == set(FLOOR.split(","))
    best = frame[(frame["metric"] == "ssim") & (frame["method"] == "target-copy")]
    assert best["value"].tolist() == [1.0]
    assert set(frame[frame["metric"] == "parameters"]["value"]) == {0.0}
    seconds = frame[frame["metric"] == "seconds_per_picture"]
    assert (seconds["value"] > 0).all()
    assert (seconds["n"] == 5).all()


def test_per_pair_scores_average_to_the_row(floor_run):
    out, _ = floor_run
    folder = next(out.glob("people-test/limb-warp/*"))
    with (folder / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["pair", "stage", "protocol", "metric", "value"]
    values = [float(row["value"]) for row in rows if row["metric"] == "ssim"]
    frame = load_scores(folder / "scores.csv")
    assert sum(values) / 5 == pytest.approx(frame[frame["metric"] == "ssim"]["value"].item())


def test_table_and_paths_are_printed(floor_run):
    out, result = floor_run
    for word in ("limb-warp", "SSIM", str(out / "report.html"), str(out / "scores.csv")):
        assert word in result.stdout


def test_second_run_changes_nothing(floor_run):
    out, _ = floor_run
    before = files(out)
    assert run(out, "--limit", 5).exit_code == 0
    assert files(out) == before


def test_larger_limit_adds_and_keeps(floor_run, tmp_path):
    out, _ = floor_run
    assert run(tmp_path, "--limit", 2, methods="limb-warp").exit_code == 0
    small = pictures(tmp_path)
    assert len(small) == 2
    assert run(tmp_path, "--limit", 5, methods="limb-warp").exit_code == 0
    grown = pictures(tmp_path)
    assert small.items() <= grown.items()
    assert grown == {k: v for k, v in pictures(out).items() if "limb-warp" in k.parts}


def test_missing_picture_is_made_again_and_only_that(floor_run):
    out, _ = floor_run
    before = pictures(out)
    lost = next(path for path in before if "limb-warp" in path.parts)
    (out / lost).unlink()
    others = {p: t for p, t in files(out).items() if p.suffix == ".png"}
    assert run(out, "--limit", 5).exit_code == 0
    assert pictures(out) == before
    assert {p: files(out)[p] for p in others} == others


def test_fresh_makes_the_same_pictures_again(floor_run):
    out, _ = floor_run
    before = pictures(out)
    times = {p: (out / p).stat().st_mtime_ns for p in before}
    assert run(out, "--limit", 5, "--fresh").exit_code == 0
    assert pictures(out) == before
    assert all((out / p).stat().st_mtime_ns > times[p] for p in before)


def test_dry_run_writes_nothing_and_prints_the_specs(tmp_path):
    out = tmp_path / "none"
    result = run(out, "--limit", 3, "--dry-run", "--json")
    assert result.exit_code == 0
    assert not out.exists()
    plan = json.loads(result.stdout)
    assert plan["pairs"] == 3
    assert [one["pictures_to_make"] for one in plan["runs"]] == [3] * 5
    assert plan["runs"][0]["spec"]["resolution"] == "64x32"


def test_json_output_is_one_document(floor_run):
    out, _ = floor_run
    result = run(out, "--limit", 5, "--json")
    document = json.loads(result.stdout)
    assert document["exit_code"] == 0
    assert {one["state"] for one in document["runs"]} == {"complete"}
    assert tuple(document["runs"][0]["scores"][0]) == COLUMNS


def test_rescoring_a_run_gives_the_same_rows(floor_run):
    out, _ = floor_run
    before = load_scores(out / "scores.csv")
    assert call("score", out, "--metrics", QUICK, "--device", "cpu").exit_code == 0
    assert load_scores(out / "scores.csv").equals(before)


def test_report_of_stored_scores_can_be_written_elsewhere(floor_run, tmp_path):
    out, _ = floor_run
    result = call("report", out, "--out", tmp_path)
    assert result.exit_code == 0
    assert (tmp_path / "report.html").is_file()


def test_environment_says_where_with_what_and_how_long(floor_run):
    out, _ = floor_run
    record = json.loads(next(out.glob("people-test/limb-warp/*/environment.json")).read_text())
    assert {"commit", "dirty", "python", "packages", "device", "seed_rule"} <= set(record)
    assert record["packages"]["torch"]
    assert record["stages"]["final"]["pictures"] >= 5
    ids = json.loads(next(out.glob("people-test/limb-warp/*/status.json")).read_text())["pair_ids"]
    assert record["dataset"] == {
        "layout": "",
        "convention": "",
        "pairs": len(ids),
        "list_sha256": sha256("".join(f"{pair_id}\n" for pair_id in ids).encode()).hexdigest(),
    }


def test_three_stages_are_generated_scored_and_costed(weights, tmp_path):
    result = run(tmp_path, "--limit", 3, "--weights", weights, methods="pcdms")
    assert result.exit_code == 0, result.output
    folder = next(tmp_path.glob("people-test/pcdms/*"))
    assert (folder / "embeddings.safetensors").is_file()
    assert not (folder / "samples" / "embeddings.safetensors").exists()
    for stage in ("inpaint", "refine"):
        assert len(list((folder / "samples" / stage).glob("*.png"))) == 3
    spec = json.loads((folder / "spec.json").read_text())
    assert (spec["steps"], spec["guidance"]) == (3, 2.0)
    assert len(spec["weights"]) == 8
    frame = load_scores(tmp_path / "scores.csv")
    stages = {name: set(rows["stage"]) for name, rows in frame.groupby("metric")}
    assert stages["cosine"] == {"prior"}
    assert stages["ssim"] == {"inpaint", "refine"}
    assert stages["seconds_per_picture"] == {"prior", "inpaint", "refine"}
    assert (frame[frame["metric"] == "parameters"]["value"] > 100).all()
    before = files(tmp_path)
    assert run(tmp_path, "--limit", 3, "--weights", weights, methods="pcdms").exit_code == 0
    assert files(tmp_path) == before


def test_pictures_do_not_depend_on_order_limit_or_batch_size(weights, tmp_path):
    def request(out, **more):
        return RunRequest(
            size="smoke", methods="pcdms", metrics="ssim", weights=weights, chunk=3, device="cpu",
            out=out, **more,
        )  # fmt: skip

    with Progress(silent=True) as progress:
        execute(prepare(request(tmp_path / "a", limit=5), progress), progress)
        execute(prepare(request(tmp_path / "b", limit=2), progress), progress)
        execute(prepare(request(tmp_path / "b", limit=5, batch_size=1), progress), progress)
        plan = prepare(request(tmp_path / "c", limit=5, batch_size=2), progress)
        plan.pairs.rows = plan.pairs.rows[[3, 0, 4, 1, 2]]
        execute(plan, progress)
    first = pictures(tmp_path / "a")
    assert len(first) == 10
    assert pictures(tmp_path / "b") == first
    assert pictures(tmp_path / "c") == first


def test_undecodable_picture_fails_its_pairs_and_the_rest_is_scored(tmp_path):
    root = save_folder_dataset(tmp_path / "data")
    (root / "pictures" / "p0v0.png").write_bytes(b"no picture")
    out = tmp_path / "runs"
    result = call(
        "run", "--dataset", "folder", "--root", root, "--methods", "copy-source,limb-warp",
        "--metrics", "ssim", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "p0v0.png" in result.stderr
    assert "Traceback" not in result.output
    frame = load_scores(out / "scores.csv")
    assert frame["n_expected"].tolist() == [12, 12]
    assert frame["n"].tolist() == [8, 8]
    assert frame["status"].tolist() == ["ok", "ok"]
    assert all("p0v0.png" in reason for reason in frame["reason"])
    status = json.loads(next(out.glob("*/copy-source/*/status.json")).read_text())
    assert status["state"] == "partial"
    assert len(status["failed"]) == 4


def test_mended_picture_is_made_and_scored_by_the_same_command(tmp_path):
    root = save_folder_dataset(tmp_path / "data")
    path = root / "pictures" / "p0v0.png"
    good = path.read_bytes()
    path.write_bytes(b"")
    words = ("run", "--dataset", "folder", "--root", root, "--methods", "limb-warp", "--metrics",
             "ssim", "--out", tmp_path / "runs")  # fmt: skip
    assert call(*words).exit_code == 1
    path.write_bytes(good)
    assert call(*words).exit_code == 0
    assert load_scores(tmp_path / "runs" / "scores.csv")["n"].tolist() == [12]


def test_method_that_breaks_is_a_failed_row_and_the_others_go_on(tmp_path, monkeypatch):
    from pcdms_baselines.limb_warp import LimbWarp

    def broken(*arguments):
        raise RuntimeError("out of\nluck")

    monkeypatch.setattr(LimbWarp, "generate", broken)
    result = run(tmp_path, "--limit", 2, methods="limb-warp,target-copy", metrics="ssim")
    assert result.exit_code == 1
    frame = load_scores(tmp_path / "scores.csv").set_index("method")
    assert frame.loc["limb-warp", "status"] == "failed"
    assert frame.loc["limb-warp", "reason"] == "RuntimeError: out of luck"
    assert frame.loc["target-copy", "status"] == "ok"


def test_pairs_made_in_another_way_than_usual_are_counted_in_every_row(tmp_path):
    root = save_folder_dataset(tmp_path / "data")
    head, *lines = (root / "keypoints.csv").read_text().splitlines()
    cells = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
    for row in cells:  # a torso that is no line
        for name in ("left_shoulder", "left_hip"):
            row[f"{name}_x"] = "9"
    cells[0]["right_hip_x"] = cells[0]["right_hip_y"] = ""
    text = "\n".join([head, *(",".join(row.values()) for row in cells)]) + "\n"
    (root / "keypoints.csv").write_text(text)
    views = [f"p0v{view}.png" for view in range(3)]
    listed = [f"{a},{b}" for a in views for b in views if a != b]
    (root / "pairs.csv").write_text("\n".join(["source,target", *listed]) + "\n")
    words = ("run", "--dataset", "folder", "--root", root, "--methods",
             "limb-warp,nearest-pose-group,copy-source", "--metrics", "ssim,masked_l1", "--device",
             "cpu", "--out", tmp_path / "runs")  # fmt: skip
    for _ in range(2):  # and again when nothing is left to generate
        assert call(*words).exit_code == 0
        scored = load_scores(tmp_path / "runs" / "scores.csv").dropna(subset=["value"])
        notes = scored[scored["metric"] == "ssim"].set_index("method")["reason"]
        assert notes["limb-warp"] == (
            "4 of 6 pairs: hips or shoulders are missing: the source unchanged"
        )
        assert notes["nearest-pose-group"] == (
            "2 of 6 pairs: hips or shoulders are missing: placed by the visible joints"
        )
        assert notes["copy-source"] == ""


def test_of_the_default_methods_only_a_learned_baseline_may_be_unavailable(weights, tmp_path):
    """`dptn` comes with weights for 96x64, and these pairs are 64x32."""
    result = run(tmp_path, "--limit", 2, "--weights", weights,
                 methods=DEFAULT_METHODS, metrics="ssim")  # fmt: skip
    assert result.exit_code == 0
    states = load_scores(tmp_path / "scores.csv").groupby("method")["status"].first()
    assert states["dptn"] == "unavailable"
    assert states["pcdms"] == "ok"
    assert run(tmp_path, "--limit", 2, methods="dptn", metrics="ssim").exit_code == 1
    assert needed_names("all,limb-warp") == {"limb-warp"}
    assert "pcdms" in needed_names(DEFAULT_METHODS)


def test_unavailable_method_is_a_row_with_the_reason(tmp_path):
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "runs", "--limit", 2, "--weights", tmp_path / "empty",
                 methods="pcdms,target-copy", metrics="ssim")  # fmt: skip
    assert result.exit_code == 1
    frame = load_scores(tmp_path / "runs" / "scores.csv")
    rows = frame[frame["method"] == "pcdms"]
    assert set(rows["status"]) == {"unavailable"}
    assert all("pipeline.json" in reason for reason in rows["reason"])


def test_interrupt_keeps_finished_pictures_and_the_next_run_completes_them(tmp_path, monkeypatch):
    from pcdms_baselines import writing

    saved = writing.save_picture
    count = 0

    def save_two(path: Path, pixels):
        nonlocal count
        if count == 2:
            raise KeyboardInterrupt
        count += 1
        saved(path, pixels)

    monkeypatch.setattr(writing, "save_picture", save_two)
    result = run(tmp_path, "--limit", 5, methods="limb-warp", metrics="ssim")
    assert result.exit_code == 130
    assert "the same command continues" in result.stderr.strip().splitlines()[-1]
    assert len(pictures(tmp_path)) == 2
    monkeypatch.undo()
    kept = {p: (tmp_path / p).stat().st_mtime_ns for p in pictures(tmp_path)}
    assert run(tmp_path, "--limit", 5, methods="limb-warp", metrics="ssim").exit_code == 0
    assert len(pictures(tmp_path)) == 5
    assert all((tmp_path / p).stat().st_mtime_ns == kept[p] for p in kept)


def test_run_folder_of_another_data_folder_is_not_mixed(tmp_path):
    first = save_folder_dataset(tmp_path / "one")
    second = save_folder_dataset(tmp_path / "two")
    words = ("run", "--dataset", "folder", "--methods", "copy-source", "--metrics", "ssim",
             "--out", tmp_path / "runs", "--root")  # fmt: skip
    assert call(*words, first).exit_code == 0
    result = call(*words, second)
    assert result.exit_code == 2
    assert "--fresh" in result.stderr
    assert call(*words, second, "--fresh").exit_code == 0
