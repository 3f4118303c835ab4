"""The measured comparisons of sampling and training: what is counted, and what both sides do."""

import json

import pytest
import torch
from bench_fixture import call, error_line
from micro_model import FRAME, MICRO, PARTS, part, pipeline

from pcdms import presets
from pcdms_bench.official_style import OfficialStyle
from pcdms_bench.speed_sampling import pairs_with_files
from pcdms_data.images import load_picture
from pcdms_data.types import Picture

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def micro_preset(monkeypatch):
    """The micro model under the name of a preset: the commands at a size made for tests."""
    monkeypatch.setitem(presets.PRESETS, "tiny", MICRO)


def test_the_official_style_runs_every_stage_for_one_pair_at_a_time(tmp_path):
    pairs = pairs_with_files(3, tmp_path / "pictures")
    assert len({pair.pair_id for pair in pairs}) == 3
    assert all(pair.source.path.suffix == ".png" for pair in pairs)
    rows = []
    parts = {name: part(name) for name in PARTS}
    style = OfficialStyle(parts, MICRO.pipeline, torch.float32, steps=3, guidance=2.0)
    handle = style.inpaint.unet.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(args[0])), with_kwargs=True
    )
    asked = []
    encoder = style.source_encoder.register_forward_hook(lambda *_: asked.append(1))
    seconds = style.generate(pairs, tmp_path / "out")
    handle.remove()
    encoder.remove()
    assert rows == [2] * 3 * len(pairs), "one pair, doubled for guidance, three steps"
    assert len(asked) == 2 * len(pairs), "again in each stage"
    assert set(seconds) == {"prior", "inpaint", "refine"}
    for stage in ("inpaint", "refine"):
        for pair in pairs:
            path = tmp_path / "out" / stage / f"{pair.pair_id}.png"
            assert load_picture(Picture("x", path)).shape == (*FRAME, 3)


def test_speed_sampling_gives_both_sides_of_one_run(micro_preset):
    result = call(
        "speed", "sampling", "--random-weights", "--pairs", 3, "--official-pairs", 2, "--chunk", 2,
        "--chunk", 3, "--device", "cpu", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    official, best = measured["official_style"], measured["best"]
    assert [side["chunk"] for side in measured["ours"]] == [2, 3]
    assert best in measured["ours"]
    assert measured["weights"] == "random"
    assert measured["ratio"] == pytest.approx(
        official["seconds_per_pair"] / best["seconds_per_pair"]
    )
    work = sum(measured["tflop_per_pair"].values())
    for side in (official, *measured["ours"]):
        assert sum(side["stages"].values()) == pytest.approx(side["seconds_per_pair"])
        assert side["tflops"] == pytest.approx(work / side["seconds_per_pair"])
        floor = measured["floor_seconds_per_pair"] / side["seconds_per_pair"]
        assert side["share_of_floor"] == pytest.approx(floor)
    assert "float32 everywhere" in official["precision"]
    assert measured["peak"]["source"].startswith("measured here")
    assert torch.__version__.startswith(measured["versions"]["torch"])


def test_weights_of_another_size_are_refused(tmp_path):
    pipeline().save_pretrained(tmp_path)
    result = call("speed", "sampling", "--weights", tmp_path, "--device", "cpu")
    assert result.exit_code == 2
    assert "not of the size of preset 'tiny'" in error_line(result)


def test_speed_training_gives_both_sides_of_one_run(micro_preset):
    words = ("speed", "training", "--batch-size", 2, "--steps", 2, "--device", "cpu")
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    for side in (measured["official_style"], measured["ours"]):
        assert side["steps"] == 2
        assert side["tflops"] == pytest.approx(
            measured["tflop_per_step"] / side["seconds_per_step"]
        )
    assert measured["tflop_per_step_uncached"] > measured["tflop_per_step"]
    text = call(*words).stdout
    for word in ("official style", "ours", "TFLOP/s", "% of the peak", "ratio", "float32"):
        assert word in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sampling", "--preset", "papr"), "paper"),
        (("sampling", "--preset", "paper"), "--random-weights"),
        (("sampling", "--compile", "fast"), "reduce-overhead"),
        (("sampling", "--dtype", "float8", "--random-weights"), "float16"),
        (("training", "--mixed-precision", "fp8"), "bf16"),
    ],
)
def test_a_wrong_choice_is_one_clear_line(words, expected):
    result = call("speed", *words, "--device", "cpu")
    assert result.exit_code == 2
    assert expected in error_line(result)
