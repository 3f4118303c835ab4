"""Stage prior: published sizes, names and token order, attention in both directions, parity."""

import numpy as np
import pytest
import torch
from diffusers import UnCLIPScheduler
from micro_model import GOLDEN, WIDTH, part

from pcdms import import_published
from pcdms.presets import PRESETS
from pcdms.prior import PriorTransformer
from pcdms.sampling import run_prior
from pcdms.schedulers import unclip_steps

pytestmark = pytest.mark.usefixtures("one_thread")
needs_golden = pytest.mark.skipif(
    not (GOLDEN / "prior").is_dir(), reason="no reference data: set PCDMS_GOLDEN to its folder"
)
TIMES = [999, 946, 894, 841, 789, 736, 684, 631, 578, 526, 473, 421, 368, 315, 263, 210, 158, 105, 53, 0]  # fmt: skip  # noqa: E501


def inputs(batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {
        "noisy_embedding": draw(batch, WIDTH),
        "timestep": torch.tensor([7, 800, 333, 50][:batch]),
        "source_embedding": draw(batch, WIDTH),
        "source_pose": draw(batch, 36).sigmoid(),
        "target_pose": draw(batch, 36).sigmoid(),
    }


@pytest.fixture(scope="module")
def published():
    if not (GOLDEN / "prior").is_dir():
        pytest.skip("no reference data: set PCDMS_GOLDEN to its folder")
    file = GOLDEN / "prior" / "mp_rank_00_model_states.pt"
    return import_published(file, "prior", GOLDEN / "prior" / "config.json")


def arrays(name):
    with np.load(GOLDEN / "prior" / name, allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@torch.inference_mode()
def test_forward_equals_the_published_network(published):
    data = arrays("forward.npz")
    conditions = [data[k][:, 0] for k in ("proj_embedding", "source_pose", "target_pose")]
    noisy = data["hidden_states"][:, 0]
    out = published(noisy, data["timestep"], *conditions)
    torch.testing.assert_close(out, data["output"], atol=2e-5, rtol=0)
    out = published(noisy, data["scalar_timestep"], *conditions)
    torch.testing.assert_close(out, data["output_scalar_timestep"], atol=2e-5, rtol=0)


def test_loop_equals_the_published_one(published):
    data = arrays("sample.npz")
    assert [step.timestep for step in unclip_steps(20)] == data["timesteps"].tolist()
    noise = torch.cat([data["initial_latent"][None], data["step_noise"]])
    conditions = [data[k][:, 0] for k in ("source_embedding", "source_pose", "target_pose")]
    out = run_prior(published, *conditions, noise)
    torch.testing.assert_close(out, data["embedding"], atol=1e-5, rtol=0)


def test_paper_preset_has_the_published_tensors_and_parameters():
    with torch.device("meta"):
        model = PRESETS["paper"].build_prior()
    state = model.state_dict()
    assert len(state) == 354
    assert sum(value.numel() for value in state.values()) == 1_027_166_208
    assert state["pose_encoder1.net.4.weight"].shape == (1024, 512)
    assert state["positional_embedding"].shape == (1, 6, 2048)
    assert state["transformer_blocks.19.ff.net.0.proj.weight"].shape == (8192, 2048)
    assert not [key for key in state if "norm2" in key or "attn2" in key]


@torch.inference_mode()
def test_tokens_stand_in_the_published_order():
    model, seen = part("prior"), []
    values = inputs()
    handle = model.transformer_blocks[0].register_forward_pre_hook(
        lambda _, args: seen.append(args[0].clone())
    )
    try:
        model(**values)
        for changed in ("source_pose", "target_pose", "source_embedding", "noisy_embedding"):
            model(**values | {changed: values[changed] + 1})
        model(**values | {"timestep": values["timestep"] + 50})
    finally:
        handle.remove()
    moved = [(tokens != seen[0]).any(-1).all(0).nonzero()[:, 0].tolist() for tokens in seen[1:]]
    assert moved == [[0], [1], [2], [4], [3]]
    last = model.prd_embedding[0, 0] + model.positional_embedding[0, 5]
    torch.testing.assert_close(seen[0][0, 5], last)


@torch.inference_mode()
def test_a_later_token_changes_earlier_ones():
    model, seen = part("prior"), []
    values = inputs()
    handle = model.transformer_blocks[0].register_forward_hook(
        lambda _, args, out: seen.append(out.clone())
    )
    try:
        model(**values)
        model(**values | {"noisy_embedding": values["noisy_embedding"] + 1})
    finally:
        handle.remove()
    assert (seen[0] != seen[1]).any(-1).all(), "each of the six tokens sees the noisy embedding"


@torch.inference_mode()
def test_rows_do_not_see_each_other():
    model, values = part("prior"), inputs(4)
    together = model(**values)
    alone = [model(**{k: v[i : i + 1] for k, v in values.items()}) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=1e-5)


def test_twenty_sampling_steps_are_the_published_ones():
    assert [step.timestep for step in unclip_steps(20)] == TIMES
    assert unclip_steps(20)[-1].noise_scale == 0


def stock_loop(model, values, noise_seed, steps, predict):
    """The library's scheduler with its own draws, one batch of one pair."""
    scheduler = UnCLIPScheduler(
        variance_type="fixed_small_log", clip_sample=True, clip_sample_range=10.0,
        prediction_type="sample", beta_schedule="squaredcos_cap_v2",
    )  # fmt: skip
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(noise_seed)
    latents = torch.randn(1, WIDTH, generator=generator)
    times = scheduler.timesteps
    for i, time in enumerate(times):
        previous = times[i + 1] if i + 1 < len(times) else None
        clean = predict(latents, time)
        latents = scheduler.step(
            clean, time, latents, prev_timestep=previous, generator=generator, return_dict=False
        )[0]
    return latents * 0.415 - 0.016


@pytest.mark.parametrize(
    ("steps", "guidance", "null"),
    [(20, 0.0, False), (7, 1.0, False), (7, 3.0, False), (7, 3.0, True)],
)
@torch.inference_mode()
def test_loop_of_many_pairs_equals_the_library_one_by_one(steps, guidance, null):
    model, values = part("prior"), inputs(3, seed=5)
    values = {k: v for k, v in values.items() if k not in ("noisy_embedding", "timestep")}
    noise = [torch.Generator().manual_seed(100 + row) for row in range(3)]
    noise = torch.stack(
        [torch.stack([torch.randn(WIDTH, generator=g) for g in noise]) for _ in range(steps)]
    )
    null_embedding = torch.linspace(-1, 1, WIDTH)[None] if null else None
    out = run_prior(model, **values, noise=noise, steps=steps, guidance=guidance,
                    null_embedding=null_embedding)  # fmt: skip
    for row in range(3):
        one = {k: v[row : row + 1] for k, v in values.items()}

        def predict(latents, time, one=one):
            clean = model(latents, time[None], **one)
            if guidance <= 1:
                return clean
            empty = torch.zeros(1, WIDTH) if null_embedding is None else null_embedding
            blind = model(latents, time[None], **one | {"source_embedding": empty})
            return blind + guidance * (clean - blind)

        wanted = stock_loop(model, one, 100 + row, steps, predict)
        torch.testing.assert_close(out[row : row + 1], wanted, atol=1e-5, rtol=1e-5)


def test_save_and_load_keep_every_weight_and_setting(tmp_path):
    part("prior").save_pretrained(tmp_path)
    again = PriorTransformer.from_pretrained(tmp_path)
    assert dict(again.config)["embedding_dim"] == WIDTH
    state = part("prior").state_dict()
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())


def test_normalise_is_undone_by_denormalise():
    values = torch.linspace(-2, 2, 9)
    model = part("prior")
    torch.testing.assert_close(model.normalise(values), (values + 0.016) / 0.415)
    torch.testing.assert_close(model.denormalise(model.normalise(values)), values)
