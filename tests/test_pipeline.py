"""The pipeline: a picture depends on its pair, the seed and the settings, on nothing else."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from micro_model import CELLS, FRAME, PARTS, WIDTH, make_batch, part, pipeline, rows_of
from transformers import Dinov2Config, Dinov2Model

from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_settings import Sampling, draw_noise, in_frame
from pcdms.sampling import decode_latents, run_inpaint, run_prior, run_refine
from pcdms_data.seeds import pair_seed
from pcdms_data.types import Batch, InputError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
CHUNK = 4


@pytest.fixture(scope="module")
def batch():
    return make_batch(5)


@pytest.fixture(scope="module")
def whole(batch, one_thread):
    return pipeline()(batch, chunk=CHUNK, seed=3)


def fresh_pipeline():
    """The micro model in a pipeline that has seen no picture yet."""
    return PCDMsPipeline(pipeline().config, **{name: part(name) for name in PARTS})


def same(left, right):
    assert np.array_equal(left.embedding, right.embedding)
    assert np.array_equal(left.inpaint, right.inpaint)
    assert np.array_equal(left.refine, right.refine)


class Rows:
    """The outputs of some rows, to compare with another call's."""

    def __init__(self, out, rows, samples=slice(None)):
        self.embedding = out.embedding[rows][:, samples]
        self.inpaint = out.inpaint[rows][:, samples]
        self.refine = out.refine[rows][:, samples]


def test_outputs_have_the_documented_shapes_and_types(whole):
    assert whole.embedding.shape == (5, 1, WIDTH)
    assert whole.embedding.dtype == np.float32
    assert whole.inpaint.shape == whole.refine.shape == (5, 1, 3, *FRAME)
    assert whole.inpaint.dtype == whole.refine.dtype == np.uint8
    assert whole.refine.std() > 1, "the micro model's pictures are not flat"
    assert len({picture.tobytes() for picture in whole.refine}) == 5


def test_order_of_the_pairs_does_not_matter(batch, whole):
    order = [3, 0, 4, 1, 2]
    same(pipeline()(rows_of(batch, order), chunk=CHUNK, seed=3), Rows(whole, order))


@pytest.mark.parametrize("rows", [[2], [4, 1], [0, 1, 2, 3]])
def test_neighbours_and_batch_split_do_not_matter(batch, whole, rows):
    same(pipeline()(rows_of(batch, rows), chunk=CHUNK, seed=3), Rows(whole, rows))


def test_many_pairs_with_many_samples_equal_one_by_one(batch, whole):
    rows = rows_of(batch, [0, 1, 2])
    many = pipeline()(rows, chunk=CHUNK, seed=3, samples=3)
    assert many.refine.shape == (3, 3, 3, *FRAME)
    same(Rows(many, slice(None), slice(0, 1)), Rows(whole, [0, 1, 2]))
    for row in range(3):
        one = pipeline()(rows_of(batch, [row]), chunk=CHUNK, seed=3, samples=3)
        same(Rows(many, [row]), one)
    assert len({picture.tobytes() for picture in many.refine.reshape(9, -1)}) == 9


def test_another_chunk_changes_at_most_single_levels(batch, whole):
    other = pipeline()(batch, chunk=1, seed=3)
    np.testing.assert_allclose(other.embedding, whole.embedding, atol=1e-5)
    assert np.abs(other.inpaint.astype(int) - whole.inpaint).max() <= 1


def test_the_seed_decides_the_pictures(batch, whole):
    first = rows_of(batch, [0])
    same(pipeline()(first, chunk=CHUNK, seed=3), Rows(whole, [0]))
    assert not np.array_equal(pipeline()(first, chunk=CHUNK, seed=4).refine, whole.refine[:1])


def test_noise_comes_from_one_generator_per_pair_stage_and_sample():
    settings = Sampling(seed=9, samples=2)
    shapes = [(3, 4), (5,)]
    first, second = draw_noise(["a", "b"], np.array([3, 0]), "refine", settings, shapes)
    for row, (pair, sample) in enumerate([("b", 1), ("a", 0)]):
        generator = torch.Generator().manual_seed(pair_seed(9, pair, "refine", sample))
        assert torch.equal(first[row], torch.randn(3, 4, generator=generator))
        assert torch.equal(second[row], torch.randn(5, generator=generator))


def test_stages_equal_the_sampling_functions_on_hand_made_inputs(batch, whole):
    """One pair through the pure functions, every input made here from its description."""
    pipe, row = pipeline(), rows_of(batch, [2])

    def noise(stage, *shapes):
        return draw_noise(row.pair_ids, np.array([0]), stage, Sampling(seed=3), shapes)

    height, width = FRAME
    poses = [
        torch.from_numpy(
            (xy / [width, height] * visible[..., None]).reshape(1, 36).astype(np.float32)
        )
        for xy, visible in (
            (row.source_xy, row.source_visible),
            (row.target_xy, row.target_visible),
        )
    ]
    source = torch.from_numpy(pipe.embed(row.source))
    steps = noise("prior", (4, WIDTH))[0].transpose(0, 1)
    embedding = run_prior(part("prior"), source, *poses, steps, steps=4)
    np.testing.assert_allclose(embedding.numpy(), whole.embedding[2], atol=1e-5)
    wide, tokens = (4, CELLS[0], 2 * CELLS[1]), pipe.tokens(row.source)
    latents = run_inpaint(
        part("inpaint"), part("vae"), torch.from_numpy(row.source), tokens, embedding,
        pipe.pose_images(row), *noise("inpaint", wide, wide), steps=3, guidance=2.0,
    )  # fmt: skip
    with torch.inference_mode():
        coarse = decode_latents(part("vae"), latents)[..., width:]
    assert (coarse.int() - torch.from_numpy(whole.inpaint[2]).int()).abs().max() <= 1
    latents = run_refine(
        part("refine"), part("vae"), torch.from_numpy(whole.inpaint[2]), tokens,
        *noise("refine", (4, *CELLS), (4, *CELLS)), steps=3, guidance=2.0,
        schedule=pipe.config.refine_schedule,
    )  # fmt: skip
    with torch.inference_mode():
        picture = decode_latents(part("vae"), latents)
    assert (picture.int() - torch.from_numpy(whole.refine[2]).int()).abs().max() <= 1


def test_the_pose_picture_shows_source_then_target(batch):
    pictures = pipeline().pose_images(batch)
    assert pictures.shape == (5, 3, FRAME[0], 2 * FRAME[1])
    assert (pictures.min(), pictures.max()) == (-1, pictures.max())
    swapped = Batch(
        batch.pair_ids, batch.source, batch.target, batch.target_xy, batch.source_xy,
        batch.target_visible, batch.source_visible,
    )  # fmt: skip
    other = pipeline().pose_images(swapped)
    assert torch.equal(other[..., : FRAME[1]], pictures[..., FRAME[1] :])
    assert torch.equal(other[..., FRAME[1] :], pictures[..., : FRAME[1]])


def test_missing_joints_are_zero_in_the_pose_vector(batch):
    vectors = pipeline().pose_vectors(batch.source_xy, batch.source_visible).reshape(5, 18, 2)
    visible = torch.from_numpy(batch.source_visible)
    assert not vectors[~visible].any()
    wanted = torch.from_numpy(batch.source_xy)[visible] / torch.tensor([16.0, 32.0])
    torch.testing.assert_close(vectors[visible], wanted)


def test_stage_lists_run_what_they_name(batch, whole):
    row, options = rows_of(batch, [0]), {"chunk": CHUNK, "seed": 3}
    pipe = pipeline()
    prior = pipe(row, stages="prior", **options)
    assert (prior.inpaint, prior.refine) == (None, None)
    assert np.array_equal(prior.embedding, whole.embedding[:1])
    two = pipe(row, stages="prior+inpaint", **options)
    assert two.refine is None
    assert np.array_equal(two.inpaint, whole.inpaint[:1])
    truth = pipe(row, stages="truth+inpaint", **options)
    np.testing.assert_allclose(truth.embedding[:, 0], pipe.embed(row.target), atol=1e-6)
    blind = pipe(row, stages="inpaint", **options)
    assert blind.embedding is None
    trained = pipe(row, stages="inpaint", null="trained", **options)
    pictures = [two.inpaint, truth.inpaint, blind.inpaint, trained.inpaint]
    assert len({picture.tobytes() for picture in pictures}) == 4
    with pytest.raises(InputError, match=r"'prior\+refine'.*inpaint"):
        pipe(row, stages="prior+refine")


def test_the_memory_layout_of_pictures_does_not_matter(batch, whole):
    """Files give one layout, the stage before another; kernels must not notice."""
    assert whole.inpaint.flags.c_contiguous
    assert whole.refine.flags.c_contiguous
    settings = Sampling(seed=3, chunk=CHUNK)
    last = np.ascontiguousarray(whole.inpaint.transpose(0, 1, 3, 4, 2)).transpose(0, 1, 4, 2, 3)
    assert np.array_equal(pipeline().run_refine_stage(batch, last, settings), whole.refine)
    source = np.ascontiguousarray(batch.source.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    other = replace(batch, source=source)
    same(pipeline()(other, chunk=CHUNK, seed=3), whole)


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": 1.0}, {"steps": 5}, {"guidance_rescale": 2.0}, {"null": "trained"},
        {"final_sigma": "zero"},
    ],
)  # fmt: skip
def test_every_setting_reaches_the_sampler(batch, whole, options):
    out = pipeline()(rows_of(batch, [0]), chunk=CHUNK, seed=3, **options)
    assert np.array_equal(out.embedding, whole.embedding[:1])
    assert not np.array_equal(out.refine, whole.refine[:1])


@pytest.mark.parametrize("stage", ["inpaint", "refine"])
@torch.inference_mode()
def test_the_trained_null_branch_is_the_zero_picture_and_is_made_once(batch, stage, monkeypatch):
    """What training drops: a zero pixel tensor in front of the encoders, mid-grey for the VAE."""
    import pcdms.pipeline as home

    pipe, run, calls = fresh_pipeline(), getattr(home, f"run_{stage}"), []

    def spy(*args, **options):
        calls.append([*args, *options.values()])
        return run(*args, **options)

    monkeypatch.setattr(home, f"run_{stage}", spy)
    counts = {"tokens": 0}
    handle = pipe.source_encoder.register_forward_hook(
        lambda *_: counts.__setitem__("tokens", counts["tokens"] + 1)
    )
    settings = Sampling(seed=3, chunk=2, null="trained")
    try:
        if stage == "inpaint":
            pipe.run_inpaint_stage(batch, None, settings)
        else:
            pipe.run_refine_stage(batch, batch.source[:, None], settings)
    finally:
        handle.remove()
    assert len(calls) == 3, "five pairs in chunks of two"
    assert counts["tokens"] == 3 + 1, "each chunk's sources once, the zero picture once"
    zeros = torch.zeros(1, 3, 16, 16)
    tokens = pipe.source_encoder(pixel_values=zeros).last_hidden_state
    embedding = pipe.image_encoder(pixel_values=zeros).image_embeds
    grey = pipe.vae.encode(torch.zeros(1, 3, *FRAME)).latent_dist.mean * 0.18215
    for args in calls:
        passed = [value for value in args if torch.is_tensor(value)]
        wanted = [tokens, embedding] if stage == "inpaint" else [tokens, grey]
        for value, expected in zip(passed[-2:], wanted, strict=True):
            torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-5)


def test_another_frame_is_stretched_with_its_key_points(batch):
    doubled = Batch(
        batch.pair_ids,
        batch.source.repeat(2, axis=2).repeat(2, axis=3),
        batch.target.repeat(2, axis=2).repeat(2, axis=3),
        batch.source_xy * 2,
        batch.target_xy * 2,
        batch.source_visible,
        batch.target_visible,
    )
    back = in_frame(doubled, FRAME)
    assert back.source.shape == batch.source.shape
    np.testing.assert_allclose(back.source_xy, batch.source_xy, rtol=1e-6)
    assert in_frame(batch, FRAME) is batch
    assert pipeline()(doubled, stages="prior+inpaint").inpaint.shape == (5, 1, 3, *FRAME)


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_half_precision_runs_every_stage_and_stays_near(batch, whole, dtype, tmp_path):
    pipeline().save_pretrained(tmp_path)
    half = PCDMsPipeline.from_pretrained(tmp_path, dtype=dtype)
    out = half(rows_of(batch, [0, 1]), chunk=CHUNK, seed=3)
    trained = half(rows_of(batch, [0, 1]), chunk=CHUNK, seed=3, null="trained")
    assert out.refine.dtype == trained.refine.dtype == np.uint8
    error = np.abs(out.inpaint.astype(int) - whole.inpaint[:2]).mean()
    assert error < whole.inpaint.std() / 4


def test_only_the_parts_that_the_stages_need_are_loaded(batch, whole, tmp_path):
    pipeline().save_pretrained(tmp_path)
    for name in ("prior", "refine", "image_encoder"):
        shutil.rmtree(tmp_path / name)
    alone = PCDMsPipeline.from_pretrained(tmp_path, stages="inpaint")
    assert (alone.prior, alone.refine, alone.image_encoder) == (None, None, None)
    wanted = pipeline()(rows_of(batch, [0]), stages="inpaint", seed=1)
    assert np.array_equal(alone(rows_of(batch, [0]), stages="inpaint", seed=1).inpaint,
                          wanted.inpaint)  # fmt: skip
    with pytest.raises(InputError, match="'prior'"):
        PCDMsPipeline.from_pretrained(tmp_path)
    with pytest.raises(InputError, match="'image_encoder'"):
        PCDMsPipeline.from_pretrained(tmp_path, stages="inpaint", null="trained")


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    pipeline().save_pretrained(tmp_path)
    other = part("source_encoder").config.to_dict() | {"hidden_size": 8}
    Dinov2Model(Dinov2Config(**other)).save_pretrained(tmp_path / "given")
    given = {"source_encoder": tmp_path / "given"}
    with pytest.raises(InputError, match="tokens are 8 wide, inpaint expects 12"):
        PCDMsPipeline.from_pretrained(tmp_path, given=given)


def test_a_missing_part_is_named(batch):
    parts = {n: part(n) for n in ("inpaint", "refine", "vae", "image_encoder", "source_encoder")}
    pipe = PCDMsPipeline(pipeline().config, prior=None, **parts)
    with pytest.raises(InputError, match="'prior'"):
        pipe(batch)
    assert pipe(rows_of(batch, [0]), stages="inpaint").inpaint is not None
    everything = sum(p.numel() for p in part("prior").parameters()) + pipe.parameters
    assert everything == pipeline().parameters
