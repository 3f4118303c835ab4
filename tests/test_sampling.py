"""Sampling loops: canvas, mask, channel order, schedules, and equality with plain loops."""

import pytest
import torch
from diffusers import DDIMScheduler, UniPCMultistepScheduler
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from micro_model import CELLS, FRAME, TOKEN_WIDTH, WIDTH, part

from pcdms.inpaint import InpaintModel
from pcdms.sampling import (
    decode_latents,
    encode_latents,
    guide,
    known_mask,
    masked_canvas,
    run_inpaint,
    run_refine,
    to_signed,
)
from pcdms.schedulers import (
    LatentSchedule,
    prior_training_scheduler,
    sampling_scheduler,
    training_scheduler,
)
from pcdms_data.types import InputError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]

# What the public configuration of the published base model says; the stock class fills the rest.
BASE_CONFIG = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000, "prediction_type": "epsilon", "steps_offset": 1,
}  # fmt: skip
TIMES = [999, 949, 899, 849, 799, 749, 699, 649, 599, 549, 500, 450, 400, 350, 300, 250, 200, 150, 100, 50]  # fmt: skip  # noqa: E501


def stock_scheduler(steps, final_sigma="sigma_min", prediction_type="epsilon"):
    config = BASE_CONFIG | {"prediction_type": prediction_type, "final_sigmas_type": final_sigma}
    scheduler = UniPCMultistepScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize(("final_sigma", "last"), [("sigma_min", 0.0292), ("zero", 0.0)])
def test_twenty_steps_end_at_the_named_sigma(final_sigma, last):
    scheduler = sampling_scheduler(LatentSchedule(), 20, final_sigma)
    assert scheduler.timesteps.tolist() == TIMES
    assert scheduler.config["solver_order"] == 2
    assert float(scheduler.sigmas[-1]) == pytest.approx(last, abs=5e-5)


def test_training_schedules_are_the_published_ones():
    latent, prior = training_scheduler(LatentSchedule()), prior_training_scheduler()
    assert float(latent.betas[0]) == pytest.approx(0.00085)
    assert float(latent.betas[-1]) == pytest.approx(0.012)
    assert float(latent.betas[500]) == pytest.approx(
        (0.00085**0.5 + 500 / 999 * (0.012**0.5 - 0.00085**0.5)) ** 2, rel=1e-5
    )
    assert latent.config["prediction_type"] == "epsilon"
    assert prior.config["prediction_type"] == "sample"
    assert float(prior.alphas_cumprod[-1]) < 1e-6


def test_the_known_half_is_left_and_the_right_half_is_black():
    picture = to_signed(torch.full((2, 3, 4, 6), 255, dtype=torch.uint8), torch.float32)
    canvas = masked_canvas(picture)
    assert canvas.shape == (2, 3, 4, 12)
    assert (canvas[..., :6] == 1).all()
    assert (canvas[..., 6:] == -1).all()
    mask = known_mask(torch.randn(2, 4, 3, 8))
    assert mask.shape == (2, 1, 3, 8)
    assert (mask[..., :4] == 1).all()
    assert (mask[..., 4:] == 0).all()


def test_pixels_survive_the_signed_scale():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    signed = to_signed(pixels, torch.float32)
    assert (signed.min(), signed.max()) == (-1, 1)
    assert torch.equal(((signed + 1) * 127.5).round().to(torch.uint8), pixels)


@torch.inference_mode()
def test_encoding_draws_the_posterior_with_the_given_noise():
    vae = part("vae")
    picture, noise = torch.randn(2, 3, 16, 16), torch.randn(2, 4, 4, 4)
    posterior = vae.encode(picture).latent_dist
    wanted = (posterior.mean + noise * torch.exp(0.5 * posterior.logvar)) * 0.18215
    torch.testing.assert_close(encode_latents(vae, picture, noise), wanted)
    torch.testing.assert_close(encode_latents(vae, picture, None), posterior.mode() * 0.18215)
    decoded = decode_latents(vae, 0.18215 * posterior.mode())
    wanted = ((vae.decode(posterior.mode()).sample + 1) * 127.5).round().clamp(0, 255)
    assert decoded.dtype == torch.uint8
    assert (decoded.float() - wanted).abs().max() <= 1


@pytest.mark.parametrize("rescale", [0.0, 0.7, 2.0])
def test_guidance_equals_the_formula_and_the_library_rescale(rescale):
    blind, seen = torch.randn(3, 4, 5, 6), torch.randn(3, 4, 5, 6)
    wanted = blind + 2.5 * (seen - blind)
    if rescale:
        wanted = rescale_noise_cfg(wanted, seen, guidance_rescale=rescale)
    torch.testing.assert_close(guide(torch.cat([blind, seen]), 2.5, rescale), wanted)


def inpaint_inputs(batch=3, seed=2):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    wide = (4, CELLS[0], 2 * CELLS[1])
    return {
        "source": torch.randint(0, 256, (batch, 3, *FRAME), generator=generator, dtype=torch.uint8),
        "source_tokens": draw(batch, 5, TOKEN_WIDTH),
        "target_embedding": draw(batch, WIDTH),
        "pose_image": draw(batch, 3, FRAME[0], 2 * FRAME[1]).clamp(-1, 1),
        "posterior_noise": draw(batch, *wide),
        "start_latents": draw(batch, *wide),
    }


NULL_TOKENS = torch.linspace(-2, 2, 5 * TOKEN_WIDTH).reshape(1, 5, TOKEN_WIDTH)
NULL_EMBEDDING = torch.linspace(1, -1, WIDTH)[None]
NULL_LATENTS = torch.linspace(-1, 1, 4 * 8 * 4).reshape(1, 4, 8, 4)


def plain_inpaint(one, steps, guidance, null, final_sigma):
    """One sample, written from the description: two network calls a step, nothing batched."""
    model, vae = part("inpaint"), part("vae")
    left = one["source"].float() / 127.5 - 1
    posterior = vae.encode(torch.cat([left, -torch.ones_like(left)], dim=3)).latent_dist
    masked = (posterior.mean + posterior.std * one["posterior_noise"]) * 0.18215
    mask = torch.tensor([1.0] * 4 + [0.0] * 4).expand(1, 1, 8, 8)
    pose = model.pose_proj(one["pose_image"])

    def predict(latents, time, context, label):
        features = model.unet.conv_in(torch.cat([latents, mask, masked], dim=1)) + pose
        first, model.unet.conv_in = model.unet.conv_in, torch.nn.Identity()
        try:
            return model.unet(features, time, context, class_labels=label).sample
        finally:
            model.unet.conv_in = first

    def conditions(tokens, embedding):
        return torch.cat([model.image_proj_model_p(tokens), embedding[:, None]], dim=1), embedding

    seen = conditions(one["source_tokens"], one["target_embedding"])
    if null == "published":
        blind = torch.zeros(1, 6, WIDTH), torch.zeros(1, WIDTH)
    else:
        blind = conditions(NULL_TOKENS, NULL_EMBEDDING)
    scheduler, latents = stock_scheduler(steps, final_sigma), one["start_latents"]
    for time in scheduler.timesteps:
        out = predict(latents, time, *seen)
        if guidance > 1:
            empty = predict(latents, time, *blind)
            out = empty + guidance * (out - empty)
        latents = scheduler.step(out, time, latents).prev_sample
    return latents


@pytest.mark.parametrize(
    ("steps", "guidance", "null", "final_sigma"),
    [
        (20, 2.0, "published", "sigma_min"),
        (4, 1.0, "published", "sigma_min"),
        (4, 2.0, "trained", "sigma_min"),
        (4, 3.5, "published", "zero"),
    ],
)
@torch.inference_mode()
def test_inpaint_loop_equals_a_plain_loop_over_single_samples(steps, guidance, null, final_sigma):
    values = inpaint_inputs()
    out = run_inpaint(
        part("inpaint"), part("vae"), **values, steps=steps, guidance=guidance, null=null,
        null_tokens=NULL_TOKENS if null == "trained" else None,
        null_embedding=NULL_EMBEDDING if null == "trained" else None, final_sigma=final_sigma,
    )  # fmt: skip
    rows = [{key: value[i : i + 1] for key, value in values.items()} for i in range(3)]
    wanted = torch.cat([plain_inpaint(one, steps, guidance, null, final_sigma) for one in rows])
    torch.testing.assert_close(out, wanted, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_the_network_sees_noisy_latent_then_mask_then_masked_latent():
    values, seen = inpaint_inputs(), []
    model, vae = part("inpaint"), part("vae")
    handle = model.unet.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    try:
        run_inpaint(model, vae, **values, steps=2)
    finally:
        handle.remove()
    first = seen[0]
    assert first.shape == (6, 9, 8, 8)
    assert torch.equal(first[:3], first[3:]), "pose, mask and masked latent stay in both branches"
    assert torch.equal(first[:3, :4], values["start_latents"])
    assert torch.equal(first[:3, 4:5], known_mask(values["start_latents"]))
    canvas = masked_canvas(to_signed(values["source"], torch.float32))
    masked = encode_latents(vae, canvas, values["posterior_noise"])
    torch.testing.assert_close(first[:3, 5:], masked)
    assert torch.equal(seen[1][:, 4:], first[:, 4:])


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@torch.inference_mode()
def test_the_demo_equals_a_plain_ddim_loop_with_projected_zeros(guidance):
    """No label, no embedding token; the null context is the projection of zero tokens."""
    torch.manual_seed(0)
    stock = part("inpaint")
    config = {k: v for k, v in stock.config["unet_config"].items() if "class" not in k}
    model = InpaintModel(config, (4, 6, 8), TOKEN_WIDTH, 10, embedding_token=False).eval()
    model.pose_proj, model.image_proj_model_p = stock.pose_proj, stock.image_proj_model_p
    values = inpaint_inputs(2)
    out = run_inpaint(
        model, part("vae"), **values, steps=5, guidance=guidance,
        schedule=LatentSchedule(sampler="ddim"),
    )  # fmt: skip
    scheduler = DDIMScheduler.from_config(
        BASE_CONFIG | {"clip_sample": False, "set_alpha_to_one": False}
    )
    scheduler.set_timesteps(5)
    canvas = masked_canvas(to_signed(values["source"], torch.float32))
    masked = encode_latents(part("vae"), canvas, values["posterior_noise"])
    latents, pose = values["start_latents"], model.pose_proj(values["pose_image"])
    context = model.image_proj_model_p(values["source_tokens"])
    empty = model.image_proj_model_p(torch.zeros_like(values["source_tokens"]))
    for time in scheduler.timesteps:
        inputs = torch.cat([latents, known_mask(latents), masked], dim=1)
        seen = model.denoise(inputs, time, context, None, pose)
        if guidance > 1:
            blind = model.denoise(inputs, time, empty, None, pose)
            seen = blind + guidance * (seen - blind)
        latents = scheduler.step(seen, time, latents).prev_sample
    torch.testing.assert_close(out, latents, atol=2e-4, rtol=1e-4)
    other = values | {"target_embedding": values["target_embedding"] + 1}
    again = run_inpaint(
        model, part("vae"), **other, steps=5, guidance=guidance,
        schedule=LatentSchedule(sampler="ddim"),
    )  # fmt: skip
    assert torch.equal(again, out)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(InputError, match="unknown sampler 'euler', expected unipc or ddim"):
        sampling_scheduler(LatentSchedule(sampler="euler"), 5, "zero")


def refine_inputs(batch=3, seed=3):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {
        "coarse": torch.randint(0, 256, (batch, 3, *FRAME), generator=generator, dtype=torch.uint8),
        "source_tokens": draw(batch, 5, TOKEN_WIDTH),
        "posterior_noise": draw(batch, 4, *CELLS),
        "start_latents": draw(batch, 4, *CELLS),
    }


def plain_refine(one, steps, guidance, rescale, null, kind):
    model, vae = part("refine"), part("vae")
    posterior = vae.encode(one["coarse"].float() / 127.5 - 1).latent_dist
    coarse = (posterior.mean + posterior.std * one["posterior_noise"]) * 0.18215
    context = model.image_proj_model_p(one["source_tokens"])
    if null == "published":
        blind, blind_coarse = torch.zeros_like(context), torch.zeros_like(coarse)
    else:
        blind, blind_coarse = model.image_proj_model_p(NULL_TOKENS), NULL_LATENTS
    scheduler = stock_scheduler(steps, prediction_type=kind)
    latents = one["start_latents"]
    for time in scheduler.timesteps:
        out = model.unet(torch.cat([latents, coarse], dim=1), time, context).sample
        if guidance > 1:
            empty = model.unet(torch.cat([latents, blind_coarse], dim=1), time, blind).sample
            seen, out = out, empty + guidance * (out - empty)
            if rescale:
                out = rescale_noise_cfg(out, seen, guidance_rescale=rescale)
        latents = scheduler.step(out, time, latents).prev_sample
    return latents


@pytest.mark.parametrize(
    ("steps", "guidance", "rescale", "null", "kind"),
    [
        (20, 2.0, 0.0, "published", "epsilon"),
        (4, 1.0, 2.0, "published", "epsilon"),
        (4, 2.0, 2.0, "published", "epsilon"),
        (4, 2.0, 0.7, "trained", "epsilon"),
        (4, 2.0, 0.0, "published", "sample"),
        (4, 1.0, 0.0, "published", "v_prediction"),
    ],
)
@torch.inference_mode()
def test_refine_loop_equals_a_plain_loop_over_single_samples(steps, guidance, rescale, null, kind):
    values = refine_inputs()
    out = run_refine(
        part("refine"), part("vae"), **values, steps=steps, guidance=guidance,
        guidance_rescale=rescale, null=null,
        null_tokens=NULL_TOKENS if null == "trained" else None,
        null_coarse_latents=NULL_LATENTS if null == "trained" else None,
        schedule=LatentSchedule(prediction_type=kind),
    )  # fmt: skip
    rows = [{key: value[i : i + 1] for key, value in values.items()} for i in range(3)]
    wanted = [plain_refine(one, steps, guidance, rescale, null, kind) for one in rows]
    torch.testing.assert_close(out, torch.cat(wanted), atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_each_choice_of_the_null_branch_and_the_end_changes_the_latents():
    values = inpaint_inputs()
    run = lambda **options: run_inpaint(part("inpaint"), part("vae"), **values, steps=3, **options)  # noqa: E731
    plain = run()
    trained = run(null="trained", null_tokens=NULL_TOKENS, null_embedding=NULL_EMBEDDING)
    for other in (trained, run(final_sigma="zero"), run(guidance=1.0)):
        assert (plain - other).abs().max() > 1e-3
    assert torch.equal(run(guidance=1.0), run(guidance=0.0)), "guidance acts above 1 only"


def test_the_trained_null_branch_asks_for_its_conditions():
    with pytest.raises(ValueError, match="null_embedding"):
        run_inpaint(part("inpaint"), part("vae"), **inpaint_inputs(), steps=2, null="trained")
    with pytest.raises(ValueError, match="null_coarse_latents"):
        run_refine(part("refine"), part("vae"), **refine_inputs(), steps=2, null="trained")
