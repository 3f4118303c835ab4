"""The train command on small data: every part, caches, options that cannot act, processes."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bench_fixture import call, error_line, save_folder_dataset

from pcdms.method import PRETRAINED
from pcdms.model_directory import load_part
from pcdms.training.recipes import RECIPES
from pcdms_bench.training import TrainingRun, check_options, planned_stages, train_parts
from pcdms_bench.training_pictures import read_pictures
from pcdms_bench.training_workplace import Workplace
from pcdms_data.types import InputError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # numpy asks for an argument that torch's arrays do not take yet.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
GIVEN = tuple((name, PRETRAINED / name) for name in ("vae", "image_encoder", "source_encoder"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder data set whose pictures are all of split train and of split val."""
    root = tmp_path_factory.mktemp("folder")
    save_folder_dataset(root)
    lines = (root / "keypoints.csv").read_text().splitlines()
    rows = [f"{lines[0]},split"]
    rows += [f"{line},{'train' if number < 3 else 'val'}" for number, line in enumerate(lines[1:])]
    (root / "keypoints.csv").write_text("\n".join(rows) + "\n")
    return root


def run(out, data, **changes):
    fields = {
        "preset": "tiny", "dataset": "folder", "root": data, "steps": 2, "batch_size": 3,
        "given": GIVEN,
    } | changes  # fmt: skip
    return TrainingRun(out=out, **fields)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data, one_thread):
    """The three stages on a folder data set with the shipped encoders and autoencoder."""
    out, lines = tmp_path_factory.mktemp("model"), []
    train_parts("all", run(out, data, validate_every=2, validation_pairs=2), None, lines.append)
    return out, lines


def facts(out, part):
    return json.loads((out / "training" / part / "facts.json").read_text())


def test_all_stages_train_on_a_folder_with_given_parts(trained):
    out, _ = trained
    for part in ("prior", "inpaint", "refine"):
        assert sum(p.numel() for p in load_part(out, part).parameters()) > 1e5
        assert facts(out, part)["steps"] == 2
        assert facts(out, part)["pairs"] == 6
        assert (out / "training" / part / "checkpoint.pt").is_file()
    assert not (out / "vae").exists(), "what is given is not copied"
    assert not (out / "training" / "vae").exists()


def test_validation_leaves_scores_and_pictures(trained):
    out, _ = trained
    for part, score in (("prior", "cosine"), ("inpaint", "ssim"), ("refine", "l1")):
        with (out / "training" / part / "validation.csv").open() as file:
            rows = {row["score"]: row for row in csv.DictReader(file)}
        assert rows[score]["step"] == "2"
    for part in ("inpaint", "refine"):
        pictures = list((out / "training" / part / "validation").iterdir())
        assert [path.name for path in pictures] == ["step-0000002.png"]


def test_cache_sizes_are_told_before_they_are_made_and_caches_are_kept(trained, data):
    out, lines = trained
    text = "\n".join(lines)
    for kind in ("embedding", "tokens", "canvas", "masked", "clean", "coarse-prior"):
        assert kind in text
    assert "3 rows x" in text
    cache = out / "training" / "cache"
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    assert len(before) == 7
    again = []
    train_parts("inpaint", run(out, data, fresh=True), None, again.append)
    assert again == [], "nothing is left to make"
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")} == before


def test_the_same_training_again_continues_where_it_ended(trained, data):
    out, _ = trained
    steps = []
    train_parts("prior", run(out, data), lambda *words: steps.append(words))
    assert steps == []
    with pytest.raises(InputError, match=r"other settings \(batch_size\).*start afresh"):
        train_parts("prior", run(out, data, batch_size=2))


def test_coarse_pictures_come_from_the_true_or_the_predicted_embedding(trained, data, tmp_path):
    out, _ = trained
    shown = out / "training"
    train_parts("refine", run(out, data, coarse="truth", cache_only=True))
    names = [sorted(path.name for path in (shown / f"coarse-{kind}").iterdir())
             for kind in ("prior", "truth")]  # fmt: skip
    assert names[0] == names[1]
    assert len(names[0]) == 6
    folders = [path.name for path in (shown / "cache").iterdir() if path.name.startswith("coarse")]
    assert sorted(name.rsplit("-", 1)[0] for name in folders) == ["coarse-prior", "coarse-truth"]
    assert facts(out, "refine")["coarse"] == "prior", "nothing was trained"


def test_large_sets_are_decoded_when_needed(data, monkeypatch, tmp_path):
    from pcdms_bench import training_pictures
    from pcdms_data.pairs import load_pairs

    pairs = list(load_pairs("folder", root=data, split="train", resolution=(32, 16)))
    rows = torch.tensor([2, 0])
    small = read_pictures(pairs, (32, 16))
    monkeypatch.setattr(training_pictures, "IN_MEMORY_BYTES", 100)
    large = read_pictures(pairs, (32, 16))
    assert isinstance(small.pixels, torch.Tensor)
    assert not isinstance(large.pixels, torch.Tensor)
    assert torch.equal(large.pixels[rows], small.pixels[rows])
    drawn = training_pictures.drawn_poses(large)
    assert torch.equal(drawn[rows], training_pictures.drawn_poses(small)[rows])


def test_a_preset_without_training_of_encoders_says_what_to_give(data, tmp_path):
    result = call("train", "--stage", "all", "--dataset", "folder", "--root", data, "--out",
                  tmp_path, "--device", "cpu")  # fmt: skip
    assert result.exit_code == 2
    assert "--encoders shipped" in error_line(result)
    result = call("train", "--stage", "prior", "--dataset", "folder", "--root", data, "--out",
                  tmp_path, "--device", "cpu")  # fmt: skip
    assert result.exit_code == 2
    assert "parts image_encoder are missing" in error_line(result)


@pytest.mark.parametrize(
    ("stage", "words", "named"),
    [
        ("prior", ["--known-weight", "0.1"], "--known-weight acts in stage inpaint"),
        ("prior", ["--coarse", "truth"], "--coarse acts in stage refine"),
        ("encoders", ["--validate-every", "5"], "--validate-every"),
        ("inpaint", ["--drop", "1"], "--drop 1.0: expected 0 or more and below 1"),
        ("inpaint", ["--min-snr", "0"], "--min-snr 0.0"),
        ("inpaint", ["--validation-pairs", "3"], "need --validate-every"),
        ("inpaint", ["--root", "."], "--root acts on datasets on disk"),
        ("inpaint", ["--schedule", "step"], "cosine, linear, constant"),
        ("inpaint", ["--tracker", "paper"], "unknown tracker 'paper'"),
        ("inpaint", ["--cache-only", "--validate-every", "3"], "--cache-only trains nothing"),
        ("autoencoder", ["--vae", "shipped"], "given and to be trained"),
        ("all", ["--start-from", "x"], "--start-from acts on one stage"),
    ],
)
def test_options_that_could_not_act_are_refused(stage, words, named, tmp_path):
    result = call("train", "--stage", stage, "--out", tmp_path, "--device", "cpu", *words)
    assert result.exit_code == 2
    assert named in error_line(result)
    assert list(tmp_path.iterdir()) == []


def test_a_person_weight_needs_masks(data, tmp_path):
    with pytest.raises(InputError, match="no person masks"):
        train_parts("inpaint", run(tmp_path, data, person_weight=1.0))


def test_the_published_recipe_is_the_default_of_preset_paper(tmp_path):
    recipe = RECIPES["paper"]
    assert (recipe.null, recipe.drop, recipe.noise_offset) == ("trained", 0.1, 0.1)
    assert (recipe.known_weight, recipe.person_weight, recipe.min_snr) == (1.0, 0.0, None)
    assert recipe.coarse == "truth"
    published = {
        "prior": (1e-5, 1024, 100_000, 10.0),
        "inpaint": (1e-4, 64, 1_000_000, 1.0),
        "refine": (1e-5, 128, 1_000_000, 1.0),
    }
    for name, values in published.items():
        settings = TrainingRun("paper", "deepfashion", tmp_path).settings(name)
        assert values == (
            settings.learning_rate, settings.batch_size, settings.steps, settings.max_grad_norm,
        )  # fmt: skip
        assert (settings.schedule, settings.warmup, settings.ema_decay) == ("constant", 0, 0.0)
        assert (settings.weight_decay, settings.seed) == (0.01, 42)
        settings.check(processes=8)


def test_options_change_the_recipe_and_nothing_else(tmp_path):
    plain = TrainingRun("tiny", "people", tmp_path)
    assert plain.recipe() == RECIPES["tiny"]
    assert plain.settings("inpaint") == RECIPES["tiny"].settings["inpaint"]
    changed = replace(plain, drop=0.2, min_snr=5.0, null="trained", coarse="truth", steps=50)
    assert changed.recipe() == replace(
        RECIPES["tiny"], drop=0.2, min_snr=5.0, null="trained", coarse="truth"
    )
    assert (changed.settings("vae").steps, changed.settings("vae").warmup) == (50, 5)


def test_given_parts_are_not_trained():
    assert planned_stages("all", TrainingRun("tiny", "people", Path("x"))) == [
        "encoders", "autoencoder", "prior", "inpaint", "refine",
    ]  # fmt: skip
    given = TrainingRun("tiny", "people", Path("x"), given=GIVEN)
    assert planned_stages("all", given) == ["prior", "inpaint", "refine"]
    check_options(["prior"], given)


def test_the_null_conditions_are_those_of_zero_pixels(trained, data):
    out, _ = trained
    place = Workplace(run(out, data))
    null = place.maker("vae", "image_encoder", "source_encoder").null()
    encoder = load_part(PRETRAINED, "image_encoder")
    with torch.inference_mode():
        expected = encoder(pixel_values=torch.zeros(1, 3, 64, 64)).image_embeds[0]
    torch.testing.assert_close(null.embedding, expected.clone(), atol=1e-5, rtol=1e-5)
    assert null.tokens.shape == (145, 160)
    assert null.coarse.shape == (16, 24, 16)


def test_every_stage_trains_with_the_published_null_conditions(trained, data):
    out, _ = trained
    for stage in ("prior", "inpaint", "refine"):
        train_parts(stage, run(out, data, null="trained", min_snr=5.0, fresh=True))
        assert (facts(out, stage)["null"], facts(out, stage)["min_snr"]) == ("trained", 5.0)


def test_a_training_starts_at_a_pretrained_network(data, tmp_path):
    lines, changes = [], {"start_from": str(PRETRAINED), "learning_rate": 1e-12, "steps": 1}
    train_parts("prior", run(tmp_path, data, **changes), None, lines.append)
    assert any("0 of another shape, 0 new" in line for line in lines)
    shipped, started = load_part(PRETRAINED, "prior"), load_part(tmp_path, "prior")
    for left, right in zip(shipped.parameters(), started.parameters(), strict=True):
        torch.testing.assert_close(left, right, atol=1e-3, rtol=1e-3)


def test_two_processes_build_one_cache_and_train_one_model(data, tmp_path):
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
        "--main_process_port", "0", "-m", "pcdms_bench", "train", "--stage", "prior",
        "--dataset", "folder", "--root", data, "--out", tmp_path, "--encoders", "shipped",
        "--steps", "2", "--batch-size", "3", "--device", "cpu",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [str(word) for word in command],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert facts(tmp_path, "prior")["processes"] == 2
    assert done.stderr.count("embedding") == 1, "one process tells"
    assert torch.load(tmp_path / "training/prior/checkpoint.pt", weights_only=True)["step"] == 2
    load_part(tmp_path, "prior")
