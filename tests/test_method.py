"""PCDMs as a method: files between stages, what is kept, what fails, and how samples are named."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from micro_model import FRAME, WIDTH, pipeline
from safetensors import safe_open
from tiny_pairs import make_gallery, make_pairs

from pcdms.embedding_file import read_embeddings, write_embeddings
from pcdms.method import PCDMsMethod, sampling_defaults
from pcdms.one_picture import generate_picture
from pcdms.pipeline_settings import Sampling
from pcdms_data.images import load_batch, load_picture, save_picture
from pcdms_data.types import InputError, Picture

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return make_pairs(make_gallery(tmp_path_factory.mktemp("data"), count=4))


@pytest.fixture
def build(weights):
    return lambda stages="prior+inpaint+refine", **options: PCDMsMethod(
        weights, stages, chunk=4, **options
    )


@pytest.fixture(scope="module")
def finished(weights, pairs, tmp_path_factory):
    """A run of all pairs with all stages."""
    out = tmp_path_factory.mktemp("run")
    assert PCDMsMethod(weights, chunk=4).generate(pairs, out, seed=1) == {}
    return out


def read(path):
    return load_picture(Picture(path.name, path))


def contents(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*.png")}


def test_each_stage_leaves_one_picture_per_pair_in_the_models_frame(finished, pairs):
    wanted = {f"{stage}/{pair.pair_id}.png" for stage in ("inpaint", "refine") for pair in pairs}
    assert set(contents(finished)) == wanted
    assert {read(finished / name).shape for name in wanted} == {(*FRAME, 3)}
    assert sorted(p.name for p in finished.iterdir()) == [
        "embeddings.safetensors", "inpaint", "refine",
    ]  # fmt: skip


def test_pictures_equal_the_pipelines_own(finished, pairs):
    batch = load_batch(pairs, FRAME)
    out = pipeline()(batch, seed=1, chunk=4)
    for row, pair in enumerate(pairs):
        for stage in ("inpaint", "refine"):
            picture = read(finished / stage / f"{pair.pair_id}.png").transpose(2, 0, 1)
            assert np.array_equal(picture, getattr(out, stage)[row, 0])


def test_the_embedding_file_has_the_documented_form(finished, pairs):
    with safe_open(finished / "embeddings.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["pair_ids"]) == [pair.pair_id for pair in pairs]
        assert sorted(file.keys()) == ["predicted", "target"]
        predicted, target = file.get_tensor("predicted"), file.get_tensor("target")
    assert predicted.shape == target.shape == (len(pairs), WIDTH)
    assert predicted.dtype == target.dtype == np.float32
    truth = pipeline().embed(load_batch(pairs, FRAME).target, 4)
    np.testing.assert_array_equal(target, truth)


@pytest.mark.parametrize("samples", [1, 3])
def test_embeddings_survive_the_file(samples, tmp_path):
    rng = np.random.default_rng(0)
    rows = {
        f"a_to_b{i}": (
            rng.normal(size=(samples, 5)).astype(np.float32),
            rng.normal(size=5).astype(np.float32),
        )
        for i in range(4)
    }
    path = tmp_path / "deep" / "embeddings.safetensors"
    write_embeddings(path, rows)
    again = read_embeddings(path)
    assert list(again) == list(rows)
    for key, (predicted, target) in rows.items():
        np.testing.assert_array_equal(again[key][0], predicted)
        np.testing.assert_array_equal(again[key][1], target)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_broken_embedding_file_is_an_input_error(tmp_path):
    path = tmp_path / "embeddings.safetensors"
    assert read_embeddings(path) == {}
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(InputError, match=r"embeddings\.safetensors"):
        read_embeddings(path)


def test_a_second_run_changes_nothing_and_loads_no_network(finished, pairs, build):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.*")}
    method = build()
    assert method.generate(pairs, finished, seed=1) == {}
    assert method._pipeline is None
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*.*")}


def test_an_interrupted_run_continues_to_the_same_pictures(finished, pairs, build, tmp_path):
    out = tmp_path / "run"
    build().generate(pairs[:1], out, seed=1)
    shuffled = [pairs[i] for i in (2, 0, 3, 1)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build().generate_stage("prior", shuffled, out, 1, progress=stop)
    build().generate(shuffled, out, seed=1)
    assert contents(out) == contents(finished)


def test_existing_pictures_are_kept_and_read_by_the_next_stage(finished, pairs, build, tmp_path):
    out = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(out / "refine")
    grey = np.full((*FRAME, 3), 128, dtype=np.uint8)
    first = out / "inpaint" / f"{pairs[0].pair_id}.png"
    save_picture(first, grey)
    build().generate(pairs, out, seed=1)
    assert (read(first) == 128).all()
    old, new = contents(finished), contents(out)
    name = f"refine/{pairs[0].pair_id}.png"
    assert {key for key in old if old[key] != new[key]} == {f"inpaint/{first.name}", name}
    batch = load_batch(pairs[:1], FRAME)
    coarse = grey.transpose(2, 0, 1)[None, None]
    wanted = pipeline().run_refine_stage(batch, coarse, Sampling(seed=1, chunk=4))
    assert np.array_equal(read(out / name).transpose(2, 0, 1), wanted[0, 0])


def test_samples_are_numbered_and_the_first_is_the_single_one(finished, pairs, build, tmp_path):
    assert build().generate(pairs[:2], tmp_path, seed=1, samples=3) == {}
    names = {path.name for path in (tmp_path / "refine").iterdir()}
    ids = [pair.pair_id for pair in pairs[:2]]
    assert names == {f"{i}{suffix}.png" for i in ids for suffix in ("", ".1", ".2")}
    old, new = contents(finished), contents(tmp_path)
    for name in new.keys() & old.keys():
        assert new[name] == old[name]
    assert len(set(new.values())) == len(new)
    predicted = read_embeddings(tmp_path / "embeddings.safetensors")[ids[0]][0]
    assert predicted.shape == (3, WIDTH)


def test_more_samples_are_added_to_a_run_without_changing_it(finished, pairs, build, tmp_path):
    out = shutil.copytree(finished, tmp_path / "run")
    build().generate(pairs, out, seed=1, samples=2)
    old, new = contents(finished), contents(out)
    assert len(new) == 2 * len(old)
    assert all(new[name] == old[name] for name in old)
    build().generate(pairs, tmp_path / "at once", seed=1, samples=2)
    assert contents(tmp_path / "at once") == new


def test_a_picture_that_cannot_be_decoded_fails_its_pair_only(finished, pairs, build, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG but nothing more")
    spoiled = [replace(pairs[0], source=Picture("broken.png", broken)), *pairs[1:]]
    failures = build().generate(spoiled, tmp_path / "run", seed=1)
    assert list(failures) == [pairs[0].pair_id]
    assert "broken.png" in failures[pairs[0].pair_id]
    old, new = contents(finished), contents(tmp_path / "run")
    assert len(new) == len(old) - 2
    assert all(new[name] == old[name] for name in new)
    assert pairs[0].pair_id not in read_embeddings(tmp_path / "run" / "embeddings.safetensors")


def test_a_coarse_picture_that_cannot_be_read_fails_its_pair_only(finished, pairs, build, tmp_path):
    out = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(out / "refine")
    (out / "inpaint" / f"{pairs[1].pair_id}.png").write_bytes(b"cut")
    (out / "inpaint" / f"{pairs[2].pair_id}.png").unlink()
    failures = build().generate_stage("refine", pairs, out, seed=1)
    assert sorted(failures) == sorted(pair.pair_id for pair in pairs[1:3])
    assert all(pair_id in reason for pair_id, reason in failures.items())
    assert len(list((out / "refine").iterdir())) == len(pairs) - 2
    for pair in (pairs[0], pairs[3]):
        name = f"{pair.pair_id}.png"
        assert (out / "refine" / name).read_bytes() == (finished / "refine" / name).read_bytes()


def test_stage_lists_decide_which_files_appear(pairs, build, tmp_path):
    found = {}
    for stages in ("prior", "inpaint", "truth+inpaint", "inpaint+refine"):
        method = build(stages)
        assert method.generate(pairs[:1], tmp_path / stages, seed=1) == {}
        found[stages] = sorted(
            path.relative_to(tmp_path / stages).parts[0]
            for path in (tmp_path / stages).rglob("*.*")
        )
        assert "truth" not in method.stages
    assert found == {
        "prior": ["embeddings.safetensors"],
        "inpaint": ["inpaint"],
        "truth+inpaint": ["inpaint"],
        "inpaint+refine": ["inpaint", "refine"],
    }
    name = f"inpaint/{pairs[0].pair_id}.png"
    without = (tmp_path / "inpaint" / name).read_bytes()
    assert without == (tmp_path / "inpaint+refine" / name).read_bytes()
    assert without != (tmp_path / "truth+inpaint" / name).read_bytes()


def test_inpaint_without_its_embeddings_says_what_is_missing(pairs, build, tmp_path):
    with pytest.raises(InputError, match="stage prior left no embedding"):
        build().generate_stage("inpaint", pairs[:1], tmp_path, seed=1)


def test_wrong_settings_are_input_errors(weights, build, tmp_path):
    with pytest.raises(InputError, match=r"'prior\+refine'.*prior\+inpaint"):
        PCDMsMethod(weights, stages="prior+refine")
    with pytest.raises(InputError, match=r"did you mean prior\+inpaint\+refine\?"):
        PCDMsMethod(weights, stages="prior+inpaint+refin")
    with pytest.raises(InputError, match=r"'float8'.*float32"):
        PCDMsMethod(weights, dtype="float8")
    with pytest.raises(InputError, match="'refine'"):
        build("prior+inpaint").generate_stage("refine", [], tmp_path, seed=0)


def test_availability_names_what_is_missing(weights, tmp_path):
    assert PCDMsMethod(weights).unavailable() is None
    assert "pipeline.json" in PCDMsMethod(tmp_path / "nowhere").unavailable()
    copy = shutil.copytree(weights, tmp_path / "copy")
    shutil.rmtree(copy / "vae")
    (copy / "prior" / "config.json").unlink()
    reason = PCDMsMethod(copy).unavailable()
    assert "prior" in reason
    assert "vae" in reason
    assert "refine" not in reason


def test_the_method_reports_its_weights(weights, build):
    method = build()
    assert method.parameters == pipeline().parameters
    assert len(method.weights_digest) == 8
    assert sampling_defaults(weights) == {"steps": 3, "guidance": 2.0}


def test_a_single_picture_comes_back_in_the_models_frame(weights, pairs):
    pair = pairs[0]
    source = load_picture(pair.source)
    picture = generate_picture(weights, source, pair.source_pose, pair.target_pose, seed=4)
    again = generate_picture(weights, source, pair.source_pose, pair.target_pose, seed=4)
    other = generate_picture(weights, source, pair.source_pose, pairs[1].target_pose, seed=4)
    assert picture.shape == (*FRAME, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, again)
    assert not np.array_equal(picture, other)
    for stages in ("prior", "truth+inpaint"):
        with pytest.raises(InputError, match=stages.replace("+", r"\+")):
            generate_picture(weights, source, pair.source_pose, pair.target_pose, stages=stages)


def test_progress_counts_pairs_of_a_stage(pairs, build, tmp_path):
    seen = []
    build("inpaint").generate(pairs, tmp_path, 1, progress=lambda done, total: seen.append(
        (done, total)))  # fmt: skip
    assert seen == [(len(pairs), len(pairs))]
