"""What makes sampling fast changes no picture: memory of encoders, threads, halved chunks, layout;
and the options that do change pictures act where they should."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from micro_model import FRAME, MICRO, PARTS, make_batch, part, pipeline, rows_of
from tiny_pairs import make_gallery, make_pairs

from pcdms.chunks import Chunks
from pcdms.execution import Execution
from pcdms.guidance import guided_steps, parse_interval
from pcdms.method import PCDMsMethod
from pcdms.overlap import PictureWriter, ahead
from pcdms.picture_memory import PictureMemory
from pcdms.pipeline import PCDMsPipeline
from pcdms.schedulers import sampling_scheduler
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


def fresh(**options):
    """The micro model in a pipeline that has seen nothing yet."""
    return PCDMsPipeline(pipeline().config, **{name: part(name) for name in PARTS}, **options)


@contextmanager
def counted(module, error_at=()):
    """Count the rows of every pass of a module; raise out-of-memory in the passes `error_at`."""
    passes = []

    def note(module, args, kwargs):
        passes.append(len(next(iter([*args, *kwargs.values()]))))
        if len(passes) in error_at:
            raise torch.OutOfMemoryError("made up: no memory left")

    handle = module.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield passes
    finally:
        handle.remove()


def equal(left, right):
    return all(
        np.array_equal(getattr(left, name), getattr(right, name))
        for name in ("embedding", "inpaint", "refine")
    )


def test_each_distinct_picture_is_encoded_once_in_a_run():
    batch = make_batch(6)
    source = batch.source[[0, 1, 0, 2, 1, 0]]
    shared = replace(batch, source=source, target=source[::-1].copy())
    pipe = fresh()
    with counted(pipe.source_encoder) as tokens, counted(pipe.image_encoder) as embeddings:
        out = pipe(shared, chunk=1)
        pipe.embed(shared.target, 1)
        pipe(rows_of(shared, [3, 5]), chunk=1)
    assert len(tokens) == 3, "inpaint and refine share them"
    assert len(embeddings) == 3, "targets among them, which are sources elsewhere"
    one_by_one = fresh()(rows_of(shared, [4]), chunk=1)
    assert np.array_equal(out.refine[4], one_by_one.refine[0])


def test_memory_of_pictures_keeps_the_latest_within_its_limit():
    memory, asked = PictureMemory(limit_bytes=3 * 8), []
    pictures = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)

    def encode(distinct):
        asked.append(distinct.ravel().tolist())
        return torch.from_numpy(distinct.reshape(-1, 1).astype(np.float64) * 10)

    for rows in ([0, 1, 0], [2, 1], [3], [0], [1, 2]):
        found = memory.rows(pictures[rows], encode)
        assert found.ravel().tolist() == [10 * row for row in rows]
    assert asked == [[0, 1], [2], [3], [0], [1]], "0 was unused for longest when 3 came, then 1"
    assert memory.rows(pictures, encode).ravel().tolist() == [0, 10, 20, 30, 40]


def test_out_of_memory_halves_the_chunk_once_and_goes_on():
    batch, lines = make_batch(5), []
    pipe = fresh()
    pipe.chunks = Chunks(lines.append)
    with counted(pipe.inpaint.unet, error_at=(2,)) as passes:
        out = pipe(batch, chunk=4, guidance=1.0)
    assert passes == [4, 4, *[2] * 9], "two of chunk 4, then three chunks of three steps"
    assert pipe.chunks.halved
    assert len(lines) == 1
    assert "going on with 2" in lines[0]
    small = fresh()(batch, chunk=2, guidance=1.0)
    assert np.array_equal(out.inpaint, small.inpaint)
    assert np.array_equal(out.refine, small.refine)


def test_rows_that_were_finished_before_memory_ran_out_are_kept():
    chunks, seen = Chunks(lambda line: None), []

    def compute(index):
        seen.append(index.tolist())
        if len(seen) == 2:
            raise torch.OutOfMemoryError("made up")
        return torch.from_numpy(index * 10)

    assert chunks.run(7, 4, compute).tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 6], [4, 5], [6, 6]]


@pytest.mark.parametrize(("chunk", "passes"), [(4, 2), (1, 1)])
def test_memory_that_does_not_suffice_again_is_one_clear_line(chunk, passes):
    seen = []

    def compute(index):
        seen.append(index)
        raise torch.OutOfMemoryError("made up")

    with pytest.raises(InputError, match=r"out of memory.*--chunk"):
        Chunks(lambda line: None).run(8, chunk, compute)
    assert len(seen) == passes


def test_the_method_names_its_reduced_chunk(tmp_path):
    pairs = make_pairs(make_gallery(tmp_path / "data", count=3))
    method = PCDMsMethod(chunk=4, stages="inpaint", pipeline=fresh())
    method.pipeline.chunks = Chunks(lambda line: None)
    assert method.reduced_chunk is None
    with counted(method.pipeline.inpaint.unet, error_at=(1,)):
        assert method.generate(pairs, tmp_path / "run", seed=0) == {}
    assert method.reduced_chunk == 2


def test_the_next_item_loads_while_one_is_in_use_and_order_is_kept():
    started = [threading.Event() for _ in range(4)]

    def load(number):
        started[number].set()
        return number * 10

    for number, value in enumerate(ahead(range(4), load)):
        assert value == number * 10
        if number < 3:
            assert started[number + 1].wait(10), "it loads without being asked for"
    assert list(ahead([], load)) == []


def test_an_error_while_reading_ahead_reaches_the_loop():
    def load(number):
        if number == 1:
            raise InputError("broken")
        return number

    items = ahead(range(3), load)
    assert next(items) == 0
    with pytest.raises(InputError, match="broken"):
        next(items)


def test_the_writer_leaves_every_picture_and_raises_what_went_wrong(tmp_path):
    planes = np.random.default_rng(0).integers(0, 256, (80, 3, 4, 5)).astype(np.uint8)
    with PictureWriter() as writer:
        for number, picture in enumerate(planes):
            writer.save(tmp_path / f"{number}.png", picture)
    for number, picture in enumerate(planes):
        found = load_picture(Picture("x", tmp_path / f"{number}.png"))
        assert np.array_equal(found.transpose(2, 0, 1), picture)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"), PictureWriter() as writer:
        writer.save(tmp_path / "file" / "0.png", planes[0])
    with pytest.raises(KeyError), PictureWriter() as writer:  # noqa: PT012
        writer.save(tmp_path / "late.png", planes[0])
        raise KeyError
    assert (tmp_path / "late.png").is_file(), "an interrupt loses no finished picture"


def test_guidance_outside_its_interval_is_the_conditional_branch_alone():
    batch = make_batch(2)
    full, pipe = fresh()(batch, chunk=2, steps=5), fresh()
    with counted(pipe.inpaint.unet) as passes:
        part_of = pipe(batch, chunk=2, steps=5, guidance_interval=(0.3, 0.9))
    times = sampling_scheduler(MICRO.pipeline.inpaint_schedule, 5, "sigma_min").timesteps.tolist()
    assert times == [999, 799, 599, 400, 200]
    assert passes == [2, 4, 4, 4, 2]
    assert not np.array_equal(part_of.inpaint, full.inpaint)
    without = pipe(batch, chunk=2, steps=5, guidance=1.0)
    nowhere = pipe(batch, chunk=2, steps=5, guidance_interval=(0.0, 0.1))
    assert equal(nowhere, without), "no step lies that low"
    everywhere = pipe(batch, chunk=2, steps=5, guidance_interval=(0.0, 1.0))
    assert equal(everywhere, full)


def test_intervals_are_shares_of_the_training_time_with_both_ends():
    assert guided_steps([999, 500, 0], 1000, (0.0, 1.0)) == [True, True, True]
    assert guided_steps([999, 500, 0], 1000, (0.2, 0.8)) == [False, True, False]
    assert parse_interval("0.2-0.8") == (0.2, 0.8)


@pytest.mark.parametrize("text", ["0.8-0.2", "0.2", "a-b", "0-1.5", "0.5-0.5", "0.1-0.2-0.3"])
def test_an_impossible_interval_is_refused(text):
    with pytest.raises(InputError, match=r"0\.2-0\.8"):
        parse_interval(text)


def test_the_steps_of_the_prior_are_an_option_of_their_own():
    batch = make_batch(1)
    pipe = fresh()
    with counted(pipe.prior) as passes:
        other = pipe(batch, stages="prior", prior_steps=7)
    assert len(passes) == 7
    assert not np.array_equal(other.embedding, pipe(batch, stages="prior").embedding)


def test_channels_last_reaches_every_convolution_and_keeps_the_pictures(tmp_path):
    pipeline().save_pretrained(tmp_path)
    batch = make_batch(2)
    pipe = PCDMsPipeline.from_pretrained(tmp_path, execution=Execution(channels_last=True))
    for name in ("inpaint", "refine", "vae"):
        weights = [p for p in getattr(pipe, name).parameters() if p.dim() == 4]
        assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    out, plain = pipe(batch, chunk=2), fresh()(batch, chunk=2)
    assert out.refine.flags.c_contiguous
    for name in ("inpaint", "refine"):
        difference = np.abs(getattr(out, name).astype(int) - getattr(plain, name))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01
    again = pipe(rows_of(batch, [1]), chunk=2)
    assert np.array_equal(again.refine[0], out.refine[1]), "still independent of neighbours"


def test_compiled_networks_are_one_graph_each_and_are_not_compiled_again():
    """The compiler proper takes a minute; what it is given is checked with a stand-in for it."""
    torch._dynamo.reset()
    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        return module.forward

    parts = {name: getattr(MICRO, f"build_{name}")().eval() for name in PARTS}
    for name, one in parts.items():
        one.load_state_dict(part(name).state_dict())
    for network in (parts["prior"], parts["inpaint"].unet, parts["refine"].unet):
        network.compile(backend=backend, fullgraph=True, dynamic=False)
    pipe, batch = PCDMsPipeline(MICRO.pipeline, **parts), make_batch(3)
    out = pipe(batch, chunk=2)
    assert len(graphs) == 3, "one per network: steps, chunks and poses are no reason for another"
    assert equal(out, fresh()(batch, chunk=2))
    torch._dynamo.reset()


def test_compilation_wraps_what_runs_in_every_step_and_leaves_the_names_of_weights():
    seen, names = [], list(part("inpaint").state_dict())
    model = MICRO.build_inpaint()
    model.unet.compile = lambda **options: seen.append(options)
    Execution(compile="reduce-overhead").apply("inpaint", model)
    assert seen == [{"mode": "reduce-overhead", "fullgraph": True, "dynamic": False}]
    assert list(model.state_dict()) == names
    with pytest.raises(InputError, match=r"'fast'.*reduce-overhead"):
        PCDMsMethod(compile_mode="fast")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_schedule_guidance_and_embeddings_in_float32(dtype, tmp_path):
    pipeline().save_pretrained(tmp_path)
    pipe = PCDMsPipeline.from_pretrained(tmp_path, dtype=dtype)
    kinds = {p.dtype for name in PARTS for p in getattr(pipe, name).parameters()}
    assert kinds == {dtype}
    batch = make_batch(2)
    out, exact = pipe(batch, chunk=2), fresh()(batch, chunk=2)
    assert out.embedding.dtype == np.float32
    assert pipe.tokens(batch.source).dtype == torch.float32
    assert np.abs(out.embedding - exact.embedding).max() < 0.05
    assert np.abs(out.inpaint.astype(int) - exact.inpaint).mean() < exact.inpaint.std() / 4


def test_attention_is_the_fused_kernel_of_torch_everywhere():
    for name in ("inpaint", "refine"):
        kinds = {type(p).__name__ for p in part(name).unet.attn_processors.values()}
        assert kinds == {"AttnProcessor2_0"}
    for name in ("image_encoder", "source_encoder"):
        assert part(name).config._attn_implementation == "sdpa"


def test_pose_pictures_of_some_rows_are_those_of_all():
    batch, pipe = make_batch(4), fresh()
    rows = np.array([3, 1, 1, 3])
    assert torch.equal(pipe.pose_images(batch, rows), pipe.pose_images(batch)[rows])
    assert pipe.pose_images(batch).shape == (4, 3, FRAME[0], 2 * FRAME[1])
