"""The oracle: the published SSIM of each stage, what it hands on, what is scored, and its label."""

import csv
import json

import numpy as np
import pytest
from bench_fixture import call
from micro_model import GOLDEN, MICRO, part
from skimage.metrics import structural_similarity

from pcdms_bench.metrics.ssim import ssim_map, ssim_of_map
from pcdms_bench.selection import ORACLES
from pcdms_data.images import load_picture, save_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.types import Picture

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
SAMPLES = 3


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("PCDMS_DATA_ROOT", raising=False)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from micro_model import PARTS

    folder = tmp_path_factory.mktemp("weights")
    for name in PARTS:
        part(name).save_pretrained(folder / name)
    MICRO.pipeline.save(folder / "pipeline.json")
    return folder


def run(out, weights, *words):
    return call(
        "run", "--size", "smoke", "--limit", 4, "--weights", weights, "--methods", "pcdms",
        "--metrics", "ssim,cosine", "--device", "cpu", "--out", out, *words,
    )  # fmt: skip


@pytest.fixture(scope="module")
def chosen(weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("oracle")
    result = run(out, weights, "--samples", SAMPLES, "--selection", "oracle-ssim")
    assert result.exit_code == 0, result.output
    (spec,) = out.glob("people-test/pcdms/*/spec.json")
    return spec.parent, result


def published_ssim(stage, picture, target):
    """The call of the test scripts; the second one's misspelt range leaves the library's 255."""
    options = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.2}
    if stage == "refine":
        return structural_similarity(picture, target, data_range=255, **options)
    span = float(picture.max()) - float(picture.min())
    return structural_similarity(
        picture.astype(float), target.astype(float), data_range=span,
        use_sample_covariance=False, **options,
    )  # fmt: skip


@pytest.mark.parametrize("stage", ["inpaint", "refine"])
def test_the_choice_is_made_by_the_published_ssim(stage):
    rng = np.random.default_rng(1)
    for _ in range(3):
        target = rng.integers(0, 256, (40, 30, 3)).astype(np.uint8)
        noise = rng.normal(0, 40, target.shape)
        picture = np.clip(0.6 * target + 30 + noise, 5, 240).astype(np.uint8)
        variant = ORACLES[stage]
        found = ssim_of_map(ssim_map(picture, target, variant), variant)
        assert found == pytest.approx(published_ssim(stage, picture, target), abs=1e-9)


def selection(folder):
    with (folder / "selection.csv").open(newline="") as file:
        return {(row["stage"], row["pair"]): row for row in csv.DictReader(file)}


def picture(folder, stage, pair_id, sample):
    name = f"{pair_id}.{sample}.png" if sample else f"{pair_id}.png"
    return load_picture(Picture(name, folder / "samples" / stage / name))


def pairs():
    return load_pairs("people", size="smoke", limit=4)


def test_the_best_sample_of_each_stage_is_chosen(chosen):
    folder, _ = chosen
    rows, picks = selection(folder), set()
    assert len(rows) == 8
    for pair in pairs():
        for stage in ("inpaint", "refine"):
            made = [picture(folder, stage, pair.pair_id, k) for k in range(SAMPLES)]
            target = load_picture(pair.target, made[0].shape[:2])
            scores = [published_ssim(stage, each, target) for each in made]
            row = rows[stage, pair.pair_id]
            assert int(row["sample"]) == int(np.argmax(scores))
            assert float(row["ssim"]) == pytest.approx(max(scores), abs=1e-9)
            picks.add(row["sample"])
    assert len(picks) > 1, "the first sample is not always the best"


def test_refine_starts_every_sample_from_the_chosen_one(chosen, weights, tmp_path):
    """Refining a run whose every coarse sample is the winner gives the same pictures."""
    from pcdms.method import PCDMsMethod

    folder, _ = chosen
    rows = selection(folder)
    for pair in pairs():
        best = int(rows["inpaint", pair.pair_id]["sample"])
        for k in range(SAMPLES):
            name = f"{pair.pair_id}.{k}.png" if k else f"{pair.pair_id}.png"
            save_picture(
                tmp_path / "inpaint" / name, picture(folder, "inpaint", pair.pair_id, best)
            )
    method = PCDMsMethod(weights)
    assert method.generate_stage("refine", list(pairs()), tmp_path, 0, SAMPLES) == {}
    for path in (tmp_path / "refine").iterdir():
        assert path.read_bytes() == (folder / "samples" / "refine" / path.name).read_bytes()


def test_all_samples_share_the_single_embedding_of_prior(chosen, weights, tmp_path):
    from pcdms.embedding_file import read_embeddings

    folder, _ = chosen
    rows = read_embeddings(folder / "embeddings.safetensors")
    assert {predicted.shape[0] for predicted, _ in rows.values()} == {1}
    assert run(tmp_path, weights).exit_code == 0
    (spec,) = tmp_path.glob("people-test/pcdms/*/spec.json")
    for pair in pairs():
        first = picture(spec.parent, "inpaint", pair.pair_id, 0)
        assert (first == picture(folder, "inpaint", pair.pair_id, 0)).all()


def test_the_chosen_pictures_are_scored_and_labelled(chosen, tmp_path):
    folder, result = chosen
    rows = selection(folder)
    kept, targets = tmp_path / "kept", tmp_path / "targets"
    for pair in pairs():
        best = int(rows["refine", pair.pair_id]["sample"])
        save_picture(kept / f"{pair.pair_id}.png", picture(folder, "refine", pair.pair_id, best))
        save_picture(targets / f"{pair.pair_id}.png", load_picture(pair.target))
    from pcdms_bench import score_images

    wanted = score_images(
        np.stack([load_picture(Picture(p.name, p), (64, 32)) for p in sorted(kept.iterdir())]),
        np.stack([load_picture(Picture(p.name, p)) for p in sorted(targets.iterdir())]),
    ).set_index("metric")["value"]["ssim"]
    with (folder / "scores.csv").open(newline="") as file:
        found = {(row["stage"], row["metric"]): row for row in csv.DictReader(file)}
    row = found["refine", "ssim"]
    assert float(row["value"]) == pytest.approx(wanted, abs=1e-9)
    assert {(r["selection"], r["samples"]) for r in found.values()} == {("oracle-ssim", "3")}
    assert json.loads((folder / "spec.json").read_text())["selection"] == "oracle-ssim"
    assert "best of 3 samples by SSIM to the true target" in result.stdout


def test_a_second_run_and_a_rescoring_change_nothing(chosen, weights):
    folder, _ = chosen
    names = ("selection.csv", "scores.csv", "pairs.csv", "status.json")
    before = {name: (folder / name).read_bytes() for name in names}
    out = folder.parents[2]
    assert run(out, weights, "--samples", SAMPLES, "--selection", "oracle-ssim").exit_code == 0
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert call("score", out, "--metrics", "ssim,cosine", "--device", "cpu").exit_code == 0
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_the_picture_grid_shows_the_chosen_sample(chosen):
    from pcdms_reports.pictures import picture_uri

    folder, _ = chosen
    page = (folder.parents[2] / "report.html").read_text()
    for (stage, pair), row in selection(folder).items():
        sample = int(row["sample"])
        name = f"{pair}.{sample}.png" if sample else f"{pair}.png"
        uri, _, _ = picture_uri(folder / "samples" / stage / name)
        assert uri in page


def test_first_stays_the_default(weights, tmp_path):
    assert run(tmp_path, weights, "--samples", 2).exit_code == 0
    (spec,) = tmp_path.glob("people-test/pcdms/*/spec.json")
    assert json.loads(spec.read_text())["selection"] == "first"
    assert not (spec.parent / "selection.csv").exists()


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no reference data: set PCDMS_GOLDEN to its folder")
def test_the_oracle_equals_the_official_scripts_on_a_picture():
    folder = GOLDEN / "metrics"
    wanted = json.loads((folder / "pcdms_values.json").read_text())["oracle_ssim_512x512"]["p06"]
    made, target = (
        load_picture(Picture(name, folder / name))
        for name in ("generated/p06_a_to_p06_b.png", "target/p06_b.png")
    )
    for stage, name in (("inpaint", "stage2"), ("refine", "stage3")):
        found = ssim_of_map(ssim_map(made, target, ORACLES[stage]), ORACLES[stage])
        assert found == pytest.approx(wanted[name], abs=2e-5)
