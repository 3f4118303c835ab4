"""PIDM's noise process: both sampling loops and the loss against direct computations."""

import math
from itertools import repeat

import numpy as np
import pytest
import torch
from baseline_files import distance, filled
from diffusers import DDIMScheduler, DDPMScheduler
from torch.distributions import Normal, kl_divergence

from pcdms_baselines.pidm.diffusion import Diffusion, Process, linear_betas
from pcdms_baselines.pidm.loops import ddim_times, guided, run_ddim, run_ddpm
from pcdms_baselines.pidm.losses import PidmLoss, Rows, level_log_likelihood, variational_bits
from pcdms_baselines.pidm.network import PidmDenoiser, Shape

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = 12
"""Times of a short process, so that the whole chain can be walked."""


@pytest.fixture(scope="module")
def network():
    return filled(PidmDenoiser(Shape((8, 8), (False, True), time=16, spare=False)))


@pytest.fixture(scope="module")
def given():
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(3, 3, 8, 8, generator=generator), torch.rand(3, 20, 8, 8, generator=generator)
    )  # fmt: skip


def predictor(network, given, scale=2.0):
    source, pose = given
    return guided(network, pose, source, scale)


def noise(count, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 3, 8, 8, generator=generator) for _ in range(count)]


def test_published_process():
    betas = linear_betas()
    assert (betas.dtype, len(betas)) == (torch.float64, 1000)
    assert np.allclose(betas.numpy(), np.linspace(1e-4, 2e-2, 1000), rtol=1e-15, atol=0)
    assert ddim_times(1000, 50) == list(range(980, -1, -20))
    assert ddim_times(1000, 100)[:2] == [990, 980]
    assert len(ddim_times(1000, 30)) == 31
    assert ddim_times(1000, 1) == [0]


def test_a_shift_divides_signal_by_noise():
    published, shifted = Diffusion().kept, Diffusion(Process(shift=3.0)).kept
    ratios = shifted / (1 - shifted) / (published / (1 - published))
    assert np.allclose(ratios.sqrt().numpy(), 1 / 3, rtol=1e-9)
    tables = Diffusion(Process(shift=3.0))
    assert np.allclose((1 - tables.betas).cumprod(0).numpy(), shifted.numpy(), rtol=1e-9)
    assert np.allclose(Diffusion().betas.numpy(), linear_betas().numpy(), rtol=1e-9)


@torch.inference_mode()
def test_guidance_starts_from_the_same_pose_without_a_source(network, given):
    source, pose = given
    x_t, t = noise(1)[0], torch.tensor([5, 5, 5])
    conditional = network(x_t, t, pose, source)
    null = network(x_t, t, pose, torch.zeros_like(source))
    for scale in (0.0, 1.0, 2.0, 3.5):
        said = predictor(network, given, scale)(x_t, t)
        assert distance(said, null + scale * (conditional - null)) < 1e-5


def test_the_encoder_runs_once_however_many_steps_there_are(network, given):
    calls = []
    hook = network.encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        run_ddim(predictor(network, given), Diffusion(), noise(1)[0], 10)
        assert len(calls) == 2  # the sources, and one picture of zeros
        run_ddim(predictor(network, given, 1.0), Diffusion(), noise(1)[0], 10)
    hook.remove()
    assert len(calls) == 3


@torch.inference_mode()
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_ddim_follows_the_published_recursion(network, given, scale):
    predict, start = predictor(network, given, scale), noise(1)[0]
    kept = np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000))
    x = start.double()
    times = list(range(0, 1000, 100))
    for index in reversed(range(10)):
        now, before = kept[times[index]], kept[times[index - 1]] if index else 1.0
        said = predict(x.float(), torch.full((3,), times[index]))[:, :3].double()
        clean = (x - said * math.sqrt(1 - now)) / math.sqrt(now)
        x = math.sqrt(before) * clean + math.sqrt(1 - before) * said
    assert distance(run_ddim(predict, Diffusion(), start, 10).double(), x) < 1e-4 * float(x.std())


@torch.inference_mode()
def test_ddim_equals_the_scheduler_of_diffusers(network, given):
    predict, x = predictor(network, given), noise(1)[0]
    made = run_ddim(predict, Diffusion(), x, 20)
    scheduler = DDIMScheduler(1000, 1e-4, 2e-2, "linear", clip_sample=False)
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist() == ddim_times(1000, 20)
    for time in scheduler.timesteps:
        said = predict(x, time.expand(3))[:, :3]
        x = scheduler.step(said, time, x).prev_sample
    assert distance(made, x) < 1e-3 * float(x.std())


@torch.inference_mode()
def test_ddpm_equals_the_scheduler_of_diffusers(network, given):
    predict, draws = predictor(network, given), noise(FEW)
    betas = torch.linspace(1e-4, 0.3, FEW, dtype=torch.float64)
    made = run_ddpm(predict, Diffusion(betas=betas), iter(draws))
    scheduler = DDPMScheduler(
        FEW, trained_betas=betas.tolist(), variance_type="learned_range", clip_sample=True
    )
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 3, 8, 8, generator=generator)
    for time in scheduler.timesteps:
        x = scheduler.step(predict(x, time.expand(3)), time, x, generator=generator).prev_sample
    assert distance(made, x) < 1e-4
    assert made.abs().max() <= 1


@torch.inference_mode()
def test_ddpm_follows_the_published_recursion(network, given):
    predict, draws = predictor(network, given), noise(FEW)
    betas = np.linspace(1e-3, 0.2, FEW)
    made = run_ddpm(predict, Diffusion(betas=torch.from_numpy(betas)), iter(draws))
    kept = np.cumprod(1 - betas)
    x = draws[0].double()
    for time in reversed(range(FEW)):
        before = kept[time - 1] if time else 1.0
        said, numbers = predict(x.float(), torch.full((3,), time)).double().chunk(2, 1)
        clean = ((x - math.sqrt(1 - kept[time]) * said) / math.sqrt(kept[time])).clamp(-1, 1)
        x = (
            math.sqrt(before) * betas[time] * clean
            + math.sqrt(1 - betas[time]) * (1 - before) * x
        ) / (1 - kept[time])  # fmt: skip
        if time:
            least = betas[time] * (1 - before) / (1 - kept[time])
            share = (numbers + 1) / 2
            deviation = betas[time] ** (share / 2) * least ** ((1 - share) / 2)
            x = x + deviation * draws[FEW - time].double()
    assert distance(made.double(), x) < 1e-4


@torch.inference_mode()
def test_a_perfect_network_leads_both_loops_to_the_picture():
    clean = torch.rand(2, 3, 4, 4) * 1.8 - 0.9
    for prediction in ("noise", "clean"):
        diffusion = Diffusion(Process(prediction))

        def perfect(x_t, t, diffusion=diffusion):
            if diffusion.prediction == "clean":
                return clean
            kept = diffusion.kept[t[0]]
            return ((x_t - kept.sqrt() * clean) / (1 - kept).sqrt()).float()

        start = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        assert distance(run_ddim(perfect, diffusion, start, 10), clean) < 1e-4
        draws = (torch.randn(2, 3, 4, 4) for _ in repeat(None))
        assert distance(run_ddpm(perfect, diffusion, draws), clean) < 1e-3


@pytest.mark.parametrize("prediction", ["noise", "clean"])
def test_variational_term_is_the_divergence_of_the_two_steps_back(prediction):
    torch.manual_seed(0)
    diffusion = Diffusion(Process(prediction))
    clean, drawn = torch.rand(4, 3, 6, 6) * 2 - 1, torch.randn(4, 3, 6, 6)
    said = torch.randn(4, 6, 6, 6) * 0.3
    t = torch.tensor([1, 20, 500, 999])
    x_t = diffusion.noised(clean, t, drawn)
    bits = variational_bits(diffusion, said, clean, x_t, t)
    betas = np.linspace(1e-4, 2e-2, 1000)
    kept = np.cumprod(1 - betas)
    for row, time in enumerate(t.tolist()):
        now, before, beta = kept[time], kept[time - 1], betas[time]
        width = beta * (1 - before) / (1 - now)

        def mean(picture, row=row, now=now, before=before, beta=beta):
            of_noisy = math.sqrt(1 - beta) * (1 - before) * x_t[row].double()
            return (math.sqrt(before) * beta * picture + of_noisy) / (1 - now)

        guess = said[row, :3].double()
        if prediction == "noise":
            guess = (x_t[row].double() - math.sqrt(1 - now) * guess) / math.sqrt(now)
        share = (said[row, 3:].double() + 1) / 2
        deviation = torch.exp((share * math.log(beta) + (1 - share) * math.log(width)) / 2)
        true = Normal(mean(clean[row].double()), math.sqrt(width))
        expected = kl_divergence(true, Normal(mean(guess), deviation)).mean() / math.log(2)
        assert float(bits[row]) == pytest.approx(float(expected), rel=2e-3)


def test_variational_term_of_time_0_is_the_likelihood_of_grey_levels():
    levels = torch.arange(256)
    values = levels / 127.5 - 1
    for middle, log_deviation in ((0.1, -4.0), (-0.98, -3.0), (0.5, -5.5)):
        mean, log = torch.full((256,), middle), torch.full((256,), log_deviation)
        chances = level_log_likelihood(values, mean, log).exp()
        assert float(chances.sum()) == pytest.approx(1, abs=1e-5)
        exact = Normal(middle, math.exp(log_deviation))
        upper, lower = exact.cdf(values + 1 / 255), exact.cdf(values - 1 / 255)
        upper[-1], lower[0] = 1, 0
        assert distance(chances, upper - lower) < 1e-3
    diffusion, clean = Diffusion(), values.view(1, 1, 16, 16).expand(1, 3, 16, 16)
    said = torch.zeros(1, 6, 16, 16)
    t = torch.tensor([0])
    bits = variational_bits(diffusion, said, clean, clean, t)
    mean = diffusion.posterior_mean(clean / math.sqrt(1 - 1e-4), clean, t)
    log = diffusion.log_variance(said[:, 3:], t, clean) / 2
    expected = -level_log_likelihood(clean, mean, log).mean() / math.log(2)
    assert float(bits) == pytest.approx(float(expected), rel=1e-3)


def test_variational_term_teaches_the_variance_alone():
    diffusion, t = Diffusion(), torch.tensor([0, 400])
    said = torch.randn(2, 6, 4, 4, requires_grad=True)
    clean = torch.rand(2, 3, 4, 4)
    x_t = diffusion.noised(clean, t, torch.randn(2, 3, 4, 4))
    variational_bits(diffusion, said, clean, x_t, t).sum().backward()
    assert not said.grad[:, :3].any()
    assert (said.grad[:, 3:] != 0).flatten(1).all(1).tolist() == [True, True]


class Told(PidmDenoiser):
    """Keeps what it is given, and says a fixed thing."""

    def __init__(self, shape, said):
        super().__init__(shape)
        self.said = said

    def forward(self, x_t, t, target_pose, source):
        self.given = x_t, t, target_pose, source
        return self.said


def rows(count=64):
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, count, 3, 4, 4, generator=generator) + 0.1
    return Rows(pictures[0], pictures[1], torch.rand(count, 20, 4, 4, generator=generator))


SMALLEST = Shape((8,), (False,), time=8, spare=False)


@pytest.mark.parametrize("prediction", ["noise", "clean"])
def test_loss_is_squared_error_and_bound_of_the_drawn_rows(prediction):
    batch, diffusion = rows(), Diffusion(Process(prediction))
    module = Told(SMALLEST, torch.full((64, 6, 4, 4), 0.2))
    value = PidmLoss(diffusion)(module, batch, torch.Generator().manual_seed(5))
    x_t, t, pose, source = module.given
    kept = diffusion.kept[t].float()[:, None, None, None]
    drawn = (x_t - kept.sqrt() * batch.target) / (1 - kept).sqrt()
    wanted = drawn if prediction == "noise" else batch.target
    expected = (0.2 - wanted).square().mean()
    expected += variational_bits(diffusion, module.said, batch.target, x_t, t).mean()
    torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5)
    assert abs(float(drawn.mean())) < 0.1
    assert float(drawn.std()) == pytest.approx(1, abs=0.1)
    assert t.min() < 100
    assert t.max() > 900
    assert torch.equal(pose, batch.pose)
    dropped = (source == 0).flatten(1).all(1)
    assert 1 <= int(dropped.sum()) <= 16
    assert torch.equal(source[~dropped], batch.source[~dropped])
    again = PidmLoss(diffusion)(module, batch, torch.Generator().manual_seed(5))
    assert torch.equal(value, again)


def test_without_numbers_for_the_variance_there_is_no_bound():
    batch, module = rows(), Told(SMALLEST, torch.zeros(64, 3, 4, 4))
    loss = PidmLoss(Diffusion(Process("clean")), drop=0.0)
    value = loss(module, batch, torch.Generator().manual_seed(5))
    torch.testing.assert_close(value, batch.target.square().mean())
    assert torch.equal(module.given[3], batch.source)


def test_mirrored_rows_are_mirrored_as_a_whole():
    batch, module = rows(), Told(SMALLEST, torch.zeros(64, 3, 4, 4))
    loss = PidmLoss(Diffusion(Process("clean")), drop=0.0, mirror=True)
    loss(module, batch, torch.Generator().manual_seed(5))
    _, _, pose, source = module.given
    turned = (source == batch.source.flip(-1)).flatten(1).all(1)
    assert 16 < int(turned.sum()) < 48
    assert torch.equal(source[~turned], batch.source[~turned])
    assert torch.equal(pose[turned], batch.pose[turned].flip(-1))
    assert torch.equal(pose[~turned], batch.pose[~turned])
