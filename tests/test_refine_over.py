"""`--refine-over`: another method's pictures through the stage refine, in a run of its own."""

import json
import shutil

import numpy as np
import pytest
from bench_fixture import call, error_line
from micro_model import FRAME, pipeline
from tiny_pairs import make_gallery, make_pairs

from pcdms.method import PCDMsMethod
from pcdms_bench.planning import prepare
from pcdms_bench.progress import Progress
from pcdms_bench.request import RunRequest
from pcdms_bench.runner import execute
from pcdms_data.images import load_batch, load_picture, save_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError, Picture
from pcdms_reports.scores import load_scores

pytestmark = [
    pytest.mark.usefixtures("one_thread", "cache"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    pipeline().save_pretrained(folder)
    return folder


def run(out, weights, *words, over="limb-warp", methods="target-copy"):
    return call(
        "run", "--size", "smoke", "--out", out, "--methods", methods, "--metrics",
        "ssim,seconds_per_picture,parameters", "--device", "cpu", "--weights", weights, "--chunk",
        "4", "--refine-over", over, *words,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(weights, cache, one_thread, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    result = run(out, weights, "--limit", 5, "--seed", 3, over="limb-warp,copy-source")
    assert result.exit_code == 0, result.output
    return out


def read(path):
    return load_picture(Picture(path.name, path))


def files(out):
    """Return {path: (time, bytes)} of everything the run folders hold."""
    found = [path for path in out.glob("*/*/*/**/*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def refined(out, method="limb-warp"):
    """Return {name: bytes} of the refined pictures of a method."""
    return {p.name: p.read_bytes() for p in out.glob(f"*/{method}+refine/*/samples/refine/*.png")}


def test_the_method_and_its_refined_form_have_rows_and_folders_of_their_own(finished):
    frame = load_scores(finished / "scores.csv")
    rows = frame[frame["metric"] == "ssim"].set_index("method")
    assert set(rows.index) == {
        "target-copy", "limb-warp", "limb-warp+refine", "copy-source", "copy-source+refine",
    }  # fmt: skip
    assert rows.loc["limb-warp", ["stages", "stage"]].tolist() == ["final", "final"]
    assert rows.loc["limb-warp+refine", ["stages", "stage"]].tolist() == ["final+refine", "refine"]
    assert (rows["status"] == "ok").all()
    assert rows.loc["limb-warp+refine", "seed"] == 3
    assert rows.loc["limb-warp", "value"] != rows.loc["limb-warp+refine", "value"]
    folder = next(finished.glob("*/limb-warp+refine/*"))
    assert [p.name for p in (folder / "samples").iterdir()] == ["refine"]
    coarse = next(finished.glob("*/limb-warp/*"))
    spec = json.loads((folder / "spec.json").read_text())
    assert spec["refine_over"] == f"limb-warp@{coarse.name}"
    counts = frame[frame["metric"] == "parameters"].set_index("method")["value"]
    assert counts["limb-warp"] == 0
    assert counts["limb-warp+refine"] > 100


def test_refined_pictures_are_those_of_the_pipeline_over_the_methods_pictures(finished, one_thread):
    pairs = list(load_pairs("people", size="smoke", limit=5))
    coarse = next(finished.glob("*/limb-warp/*")) / "samples" / "final"
    small = np.stack(
        [
            load_picture(Picture(p.pair_id, coarse / f"{p.pair_id}.png"), FRAME).transpose(2, 0, 1)
            for p in pairs
        ]
    )
    batch = load_batch(pairs, FRAME)
    made = pipeline()(batch, stages="final+refine", coarse=small, seed=3, chunk=4).refine
    stored = next(finished.glob("*/limb-warp+refine/*")) / "samples" / "refine"
    for row, pair in enumerate(pairs):
        assert np.array_equal(read(stored / f"{pair.pair_id}.png").transpose(2, 0, 1), made[row, 0])
    other = pipeline()(batch, stages="final+refine", coarse=255 - small, seed=3, chunk=4).refine
    assert not np.array_equal(made, other)


def test_the_method_itself_runs_as_without_being_refined(finished, weights, tmp_path):
    assert run(tmp_path, weights, "--limit", 5, over="", methods="limb-warp").exit_code == 0
    folder = next(tmp_path.glob("*/limb-warp/*"))
    same = next(finished.glob("*/limb-warp/*"))
    assert folder.name == same.name
    for path in folder.glob("samples/final/*.png"):
        assert path.read_bytes() == (same / "samples" / "final" / path.name).read_bytes()


def test_a_second_run_changes_nothing(finished, weights):
    before = files(finished)
    result = run(finished, weights, "--limit", 5, "--seed", 3, over="limb-warp,copy-source")
    assert result.exit_code == 0
    assert files(finished) == before


def test_growth_batches_and_order_change_no_picture(finished, weights, tmp_path):
    def request(**more):
        return RunRequest(
            size="smoke", methods="copy-source", refine_over="limb-warp", metrics="ssim", seed=3,
            weights=weights, chunk=4, device="cpu", out=tmp_path, **more,
        )  # fmt: skip

    with Progress(silent=True) as progress:
        execute(prepare(request(limit=2), progress), progress)
        first = refined(tmp_path)
        plan = prepare(request(limit=5, batch_size=1), progress)
        plan.pairs.rows = plan.pairs.rows[[3, 0, 4, 1, 2]]
        execute(plan, progress)
    assert len(first) == 2
    assert refined(tmp_path) == refined(finished)
    assert first.items() <= refined(finished).items()


def test_a_missing_picture_is_refined_again_and_only_that(finished, weights, tmp_path):
    out = shutil.copytree(finished, tmp_path / "runs")
    before = files(out)
    lost = sorted(out.glob("*/limb-warp+refine/*/samples/refine/*.png"))[0]
    lost.unlink()
    result = run(out, weights, "--limit", 5, "--seed", 3, over="limb-warp,copy-source")
    assert result.exit_code == 0
    assert refined(out) == refined(finished)
    kept = {path: state for path, state in before.items() if path.suffix == ".png" and path != lost}
    assert kept.items() <= files(out).items()


def test_each_sample_starts_from_the_methods_one_picture(weights, tmp_path):
    words = ("--limit", 2, "--samples", 2)
    assert run(tmp_path, weights, *words, "--selection", "oracle-ssim").exit_code == 0
    folder = next(tmp_path.glob("*/limb-warp+refine/*"))
    names = sorted(path.name for path in (folder / "samples" / "refine").iterdir())
    assert len(names) == 4
    assert not np.array_equal(*(read(folder / "samples" / "refine" / n) for n in names[:2]))
    frame = load_scores(folder / "scores.csv")
    assert set(frame["selection"]) == {"oracle-ssim"}
    chosen = (folder / "selection.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in chosen[1:]] == ["final"] * 2 + ["refine"] * 2
    assert run(tmp_path, weights, *words, "--selection", "mean").exit_code == 0
    folders = list(tmp_path.glob("*/limb-warp+refine/*"))
    assert len(folders) == 2
    kept = [sorted(p.read_bytes() for p in f.glob("samples/refine/*.png")) for f in folders]
    assert kept[0] == kept[1]


def test_several_seeds_refine_the_one_run_of_a_method_that_draws_nothing(weights, tmp_path):
    assert run(tmp_path, weights, "--limit", 2, "--repeat-seeds", 2).exit_code == 0
    assert len(list(tmp_path.glob("*/limb-warp/*"))) == 1
    seeds = {
        json.loads(path.read_text())["seed"]
        for path in tmp_path.glob("*/limb-warp+refine/*/spec.json")
    }
    assert seeds == {0, 1}


def test_a_pair_that_the_method_lost_is_lost_with_its_reason(weights, tmp_path, monkeypatch):
    from pcdms_baselines.limb_warp import LimbWarp

    whole = LimbWarp.generate

    def without_first(self, pairs, out, seed, samples=1):
        return whole(self, pairs[1:], out, seed, samples) | {pairs[0].pair_id: "no torso"}

    monkeypatch.setattr(LimbWarp, "generate", without_first)
    result = run(tmp_path, weights, "--limit", 3)
    assert result.exit_code == 1
    status = json.loads(next(tmp_path.glob("*/limb-warp+refine/*/status.json")).read_text())
    assert list(status["failed"].values()) == ["limb-warp: no torso"]
    frame = load_scores(tmp_path / "scores.csv")
    rows = frame[(frame["metric"] == "ssim") & (frame["method"] == "limb-warp+refine")]
    assert rows[["n", "n_expected"]].values.tolist() == [[2, 3]]
    monkeypatch.undo()
    assert run(tmp_path, weights, "--limit", 3).exit_code == 0
    assert len(refined(tmp_path)) == 3


def test_a_method_that_breaks_leaves_rows_with_its_reason(weights, tmp_path, monkeypatch):
    from pcdms_baselines.limb_warp import LimbWarp

    def broken(*arguments):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(LimbWarp, "generate", broken)
    assert run(tmp_path, weights, "--limit", 2).exit_code == 1
    frame = load_scores(tmp_path / "scores.csv")
    rows = frame[(frame["method"] == "limb-warp+refine") & (frame["metric"] == "ssim")]
    assert rows["n"].tolist() == [0]
    assert "limb-warp: RuntimeError: out of luck" in rows["reason"].item()


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ("pcdms", "--refine-over pcdms: pcdms refines its own pictures"),
        ("limb-wrap", "did you mean 'limb-warp'?"),
        ("dptn", "--refine-over dptn: "),
        (" , ", "no method of --refine-over given"),
    ],
)
def test_what_cannot_be_refined_is_one_clear_line(over, words, weights, tmp_path):
    result = run(tmp_path / "none", weights, "--limit", 2, over=over)
    assert result.exit_code == 2
    assert words in error_line(result)
    assert not (tmp_path / "none").exists()


def test_weights_without_refine_are_named(weights, tmp_path):
    lame = shutil.copytree(weights, tmp_path / "lame")
    shutil.rmtree(lame / "refine")
    result = run(tmp_path / "none", lame, "--limit", 2)
    assert result.exit_code == 2
    assert "the stage refine is not available: " in error_line(result)
    assert "lacks refine" in result.stderr


def test_the_other_stages_are_not_needed(finished, weights, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(weights, bare, ignore=lambda at, names: {"prior", "inpaint"} & set(names))
    assert run(tmp_path / "runs", bare, "--limit", 5, "--seed", 3).exit_code == 0
    assert refined(tmp_path / "runs") == refined(finished)


def test_a_picture_that_depends_on_the_list_of_pairs_is_refused(weights, tmp_path):
    from bench_fixture import save_folder_dataset

    root = save_folder_dataset(tmp_path / "data")
    result = call(
        "run", "--dataset", "folder", "--root", root, "--methods", "copy-source", "--weights",
        weights, "--refine-over", "mean-image", "--out", tmp_path / "none",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "depends on which pairs are run" in error_line(result)


def test_the_pictures_of_an_official_repository_are_refined(weights, tmp_path):
    """A program of its own makes them; `--weights` is the model directory of refine."""
    import stand_in

    python = stand_in.make_interpreter(tmp_path / "env")
    root = stand_in.make_market(tmp_path / "market")
    clone = stand_in.make_repository(tmp_path / "Pose-Transfer")
    result = call(
        "run", "--dataset", "market1501", "--root", root, "--methods", "patn-official", "--repo",
        clone, "--interpreter", python, "--refine-over", "patn-official", "--weights", weights,
        "--metrics", "ssim", "--device", "cpu", "--out", tmp_path / "runs",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = load_scores(tmp_path / "runs" / "scores.csv").set_index("method")
    assert rows.loc[["patn-official", "patn-official+refine"], "status"].tolist() == ["ok", "ok"]
    assert rows.loc["patn-official+refine", "n"] == len(refined(tmp_path / "runs", "patn-official"))


def test_the_stage_list_is_no_option_of_pcdms(weights, tmp_path):
    result = run(tmp_path, weights, "--stages", "final+refine", over="")
    assert result.exit_code == 2
    assert "unknown stage list 'final+refine'" in error_line(result)


def test_a_rescoring_keeps_the_rows(finished):
    before = load_scores(finished / "scores.csv")
    metrics = "ssim,seconds_per_picture,parameters"
    assert call("score", finished, "--metrics", metrics, "--device", "cpu").exit_code == 0
    assert load_scores(finished / "scores.csv").equals(before)


def test_a_refined_run_can_be_compared_with_its_method(finished):
    folders = [next(finished.glob(f"*/{name}/*")) for name in ("limb-warp+refine", "limb-warp")]
    result = call("compare", *folders, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["metric"] == "ssim"


def test_pictures_of_any_size_beside_the_results_are_refined(weights, tmp_path, one_thread):
    """In Python: what lies in `final` is refined, stretched to the model's frame."""
    pairs = make_pairs(make_gallery(tmp_path / "data", count=2))
    for number, pair in enumerate(pairs):
        noise = np.random.default_rng(number).integers(0, 256, (50, 40, 3), dtype=np.uint8)
        save_picture(tmp_path / "out" / "final" / f"{pair.pair_id}.png", noise)
    method = PCDMsMethod(weights, "final+refine", chunk=4)
    assert method.stages == ("refine",)
    assert method.generate(pairs, tmp_path / "out", seed=1) == {}
    assert read(tmp_path / "out" / "refine" / f"{pairs[0].pair_id}.png").shape == (*FRAME, 3)
    method.release()
    assert method._pipeline is None


def test_coarse_pictures_of_another_form_are_refused(one_thread):
    from micro_model import make_batch

    batch = make_batch(2)
    with pytest.raises(InputError, match=r"float64 \(2, 3, 8, 8\), expected uint8 \(2, 3, H, W\)"):
        pipeline()(batch, stages="final+refine", coarse=np.zeros((2, 3, 8, 8)))
    with pytest.raises(InputError, match="expected one of final\\+refine"):
        pipeline()(batch, stages="prior", coarse=batch.source)
    with pytest.raises(InputError, match="unknown stage list"):
        pipeline()(batch, stages="final+refine")
