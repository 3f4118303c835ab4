"""`weights import`: from published files to a model directory that `run` reads, part by part."""

import csv
import json

import pytest
import torch
from bench_fixture import call
from micro_model import MICRO, make_batch, part, pipeline
from published_files import published_state, save_config, save_parts, save_published

from pcdms.method import PCDMsMethod
from pcdms.model_directory import load_part, missing_parts
from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import load_pipeline_config
from pcdms.presets import PRESETS
from pcdms_data.types import InputError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("PCDMS_DATA_ROOT", raising=False)
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The authors' files, configurations beside them, and the parts that they do not hold."""
    folder = tmp_path_factory.mktemp("files")
    for stage in ("prior", "inpaint", "refine", "demo"):
        save_published(folder / f"{stage}.pt", stage)
        save_config(folder / f"{stage}.json", stage)
    save_parts(folder / "parts")
    return folder


def load(files, stage, out, *words):
    return call(
        "weights", "import", "--stage", stage, files / f"{stage}.pt", "--out", out,
        "--config", files / f"{stage}.json", *words,
    )  # fmt: skip


@pytest.fixture(scope="module")
def imported(files, tmp_path_factory):
    """A directory with the three stages, each imported by its own command."""
    out = tmp_path_factory.mktemp("imported")
    for stage in ("prior", "inpaint", "refine"):
        result = load(files, stage, out, "--frame", "32x16")
        assert result.exit_code == 0, result.output
    return out


def test_each_import_fills_one_folder_and_names_what_is_missing(files, imported, tmp_path):
    first = load(files, "prior", tmp_path / "new")
    assert first.exit_code == 0
    for word in ("tensors", "none missing", "wrote prior", "still missing: vae (--vae"):
        assert word in first.stdout
    assert missing_parts(tmp_path / "new") == [
        "inpaint", "refine", "vae", "image_encoder", "source_encoder"
    ]  # fmt: skip
    assert load_pipeline_config(tmp_path / "new" / "pipeline.json") == PRESETS["paper"].pipeline
    assert missing_parts(imported) == ["vae", "image_encoder", "source_encoder"]
    assert load_pipeline_config(imported / "pipeline.json").frame == (32, 16)
    names = {path.name for path in imported.iterdir()}
    assert names == {"prior", "inpaint", "refine", "pipeline.json"}


@pytest.mark.parametrize("stage", ["prior", "inpaint", "refine"])
def test_stored_weights_keep_their_type_and_load_back(files, imported, stage):
    model = load_part(imported, stage)
    wanted = published_state(stage)
    assert all(torch.equal(v, wanted[k].float()) for k, v in model.state_dict().items())
    size = sum(path.stat().st_size for path in (imported / stage).glob("*.safetensors"))
    assert size < 2.5 * sum(value.numel() for value in wanted.values()) + 60_000


def test_the_method_is_unavailable_until_the_missing_parts_are_given(files, imported):
    reason = PCDMsMethod(imported).unavailable()
    for word in ("lacks vae, image_encoder, source_encoder", "--vae and --encoders"):
        assert word in reason
    given = {name: files / "parts" / name for name in ("vae", "image_encoder", "source_encoder")}
    assert PCDMsMethod(imported, given=given).unavailable() is None
    lone = {"source_encoder": given["source_encoder"], "vae": given["vae"]}
    assert PCDMsMethod(imported, stages="inpaint", given=lone).unavailable() is None
    assert "image_encoder" in PCDMsMethod(imported, "inpaint", null="trained", given=lone).unavailable()  # noqa: E501  # fmt: skip


def test_run_uses_the_imported_stages_with_given_parts(files, imported, tmp_path):
    options = (
        "run", "--size", "smoke", "--limit", 2, "--weights", imported, "--methods", "pcdms",
        "--metrics", "ssim,cosine,parameters", "--device", "cpu", "--steps", 2, "--out", tmp_path,
        "--preset", "paper",
    )  # fmt: skip
    without = call(*options)
    assert without.exit_code == 1
    assert "lacks vae, image_encoder, source_encoder" in without.stderr
    # The encoders were made for 16x16 pictures, the published preprocessing gives 224x224.
    values = json.loads((imported / "pipeline.json").read_text())
    done = call(*options, "--vae", files / "parts" / "vae", "--encoders", files / "parts")
    assert done.exit_code == 1
    assert "16 wide, pipeline.json expects 224" in done.stderr
    values["image_encoder"]["size"] = 16
    (imported / "pipeline.json").write_text(json.dumps(values))
    done = call(*options, "--vae", files / "parts" / "vae", "--encoders", files / "parts")
    assert done.exit_code == 0, done.output
    (folder,) = (
        path.parent for path in tmp_path.glob("people-test/pcdms/*/spec.json")
        if json.loads(path.read_text())["weights"]
        and json.loads((path.parent / "status.json").read_text())["state"] == "complete"
    )  # fmt: skip
    assert len(list((folder / "samples" / "refine").glob("*.png"))) == 2
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["encoder_preprocessing"] == "pillow-bicubic-clip"
    digests = environment["weights_sha256"]
    assert {name.split("/")[0] for name in digests} == {
        "pipeline.json", "prior", "inpaint", "refine", "vae", "image_encoder", "source_encoder"
    }  # fmt: skip
    with (folder / "scores.csv").open(newline="") as file:
        rows = {(row["stage"], row["metric"]): row for row in csv.DictReader(file)}
    assert rows["refine", "ssim"]["status"] == "ok"
    parts = ("refine", "vae", "source_encoder")
    wanted = sum(value.numel() for name in parts for value in part(name).parameters())
    assert float(rows["refine", "parameters"]["value"]) == wanted


def test_given_parts_are_converted_into_the_directory(files, tmp_path):
    out = tmp_path / "model"
    words = ("--vae", files / "parts", "--encoders", files / "parts" / "image_encoder",
             "--encoders", files / "parts" / "source_encoder", "--frame", "32x16")  # fmt: skip
    result = load(files, "inpaint", out, "--json", *words)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["written"] == ["inpaint", "vae", "image_encoder", "source_encoder"]
    assert document["missing"] == ["prior", "refine"]
    assert document["frame"] == [32, 16]
    assert load_pipeline_config(out / "pipeline.json").image_encoder.size == 16
    pipe = PCDMsPipeline.from_pretrained(out, stages="truth+inpaint")
    assert (pipe.prior, pipe.refine) == (None, None)
    assert pipe(make_batch(1), stages="truth+inpaint", steps=2).inpaint.shape == (1, 1, 3, 32, 16)


def test_the_imported_pipeline_makes_the_pictures_of_the_model_it_came_from(tmp_path):
    for stage in ("prior", "inpaint"):
        save_published(tmp_path / "file", stage, torch.float32)
        save_config(tmp_path / "config", stage)
        result = call("weights", "import", "--stage", stage, tmp_path / "file", "--out",
                      tmp_path / "model", "--config", tmp_path / "config")  # fmt: skip
        assert result.exit_code == 0, result.output
    save_parts(tmp_path / "model")
    MICRO.pipeline.save(tmp_path / "model" / "pipeline.json")
    again = PCDMsPipeline.from_pretrained(tmp_path / "model", stages="prior+inpaint")
    batch = make_batch(2)
    out, wanted = again(batch, "prior+inpaint", seed=2), pipeline()(batch, "prior+inpaint", seed=2)
    assert (out.embedding == wanted.embedding).all()
    assert (out.inpaint == wanted.inpaint).all()


def test_the_demo_is_a_directory_of_its_own(files, imported, tmp_path):
    out = tmp_path / "demo"
    words = ("--vae", files / "parts", "--encoders", files / "parts" / "source_encoder")
    result = load(files, "demo", out, "--frame", "32x16", *words)
    assert result.exit_code == 0, result.output
    assert "still missing" not in result.stdout
    config = load_pipeline_config(out / "pipeline.json")
    assert (config.name, config.steps, config.inpaint_schedule.sampler) == ("demo", 50, "ddim")
    assert PCDMsMethod(out, stages="inpaint").unavailable() is None
    pipe = PCDMsPipeline.from_pretrained(out, stages="inpaint")
    assert pipe(make_batch(1), stages="inpaint", steps=3).inpaint.std() > 1
    for stage, place in (("demo", imported), ("inpaint", out)):
        refused = load(files, stage, place)
        assert refused.exit_code == 2
        assert "give another --out" in refused.stderr


def test_nothing_is_written_when_something_does_not_fit(files, tmp_path):
    out = tmp_path / "model"
    state = published_state("prior")
    del state["prd_embedding"]
    torch.save(state, tmp_path / "file")
    result = call("weights", "import", "--stage", "prior", tmp_path / "file", "--out", out,
                  "--config", files / "prior.json")  # fmt: skip
    assert (result.exit_code, out.exists()) == (2, False)
    assert "1 missing: prd_embedding" in result.stderr
    other = part("vae").from_config(dict(part("vae").config) | {"latent_channels": 2})
    other.save_pretrained(tmp_path / "vae")
    result = load(files, "refine", out, "--vae", tmp_path / "vae")
    assert (result.exit_code, out.exists()) == (2, False)
    assert "vae latents are 2 wide, refine expects 4" in result.stderr
    result = load(files, "refine", out, "--frame", "33x16")
    assert (result.exit_code, out.exists()) == (2, False)


def test_a_second_import_replaces_the_first_and_keeps_the_rest(files, tmp_path):
    out = tmp_path / "model"
    for stage in ("prior", "refine", "prior"):
        assert load(files, stage, out, "--frame", "64x32").exit_code == 0
    assert load(files, "refine", out).exit_code == 0
    assert load_pipeline_config(out / "pipeline.json").frame == (64, 32)
    assert sorted(path.name for path in out.iterdir()) == ["pipeline.json", "prior", "refine"]


def test_a_directory_with_another_schedule_is_refused(files, tmp_path):
    MICRO.pipeline.save(tmp_path / "pipeline.json")
    with pytest.raises(InputError, match="not found"):
        load_pipeline_config(tmp_path / "nowhere.json")
    result = load(files, "refine", tmp_path)
    assert result.exit_code == 2
    assert "refine_schedule is not that of the published refine checkpoint" in result.stderr
