"""The critic: balanced gradients, one backward pass for both, and what is trained and kept."""

from copy import deepcopy

import pytest
import torch
from diffusers import DDIMScheduler
from micro_model import part
from test_training_losses import COARSE, PICTURES, ROWS, generator, refine_loss
from torch import nn

from pcdms.encoders import encoder_pixels
from pcdms.pipeline_config import EncoderInput
from pcdms.schedulers import LatentSchedule, training_scheduler
from pcdms.training.autoencoder_loss import DecoderLoss
from pcdms.training.critic import Balance, Critic, WithCritic, critic_loss
from pcdms.training.decoded_critic import DecodedCritic
from pcdms.training.diffusion import renoised
from pcdms.training.encoder_features import EncoderFeatures

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small_critic(inputs=4):
    torch.manual_seed(0)
    return Critic(inputs, (8, 8), (1, 2))


def squared(wanted):
    return lambda out: ((out - wanted) ** 2).mean()


def direction(critic, balance):
    """The gradient at the output, and that of the error alone."""
    wanted = drawn(2, 4, 8, 6, seed=1)
    out = drawn(2, 4, 8, 6, seed=2).requires_grad_(True)
    loss = critic_loss(critic, out, wanted, squared(wanted), balance=balance)
    loss.backward()
    alone = out.detach().requires_grad_(True)
    squared(wanted)(alone).backward()
    return out.grad, alone.grad


def test_without_shares_the_output_follows_the_error_alone():
    both, alone = direction(small_critic(), Balance(0.0, 0.0))
    torch.testing.assert_close(both, alone)


@pytest.mark.parametrize("balance", [Balance(0.5, 0.0), Balance(0.0, 2.0)])
def test_each_share_is_one_of_the_errors_own_gradient(balance):
    both, alone = direction(small_critic(), balance)
    share = (both - alone).norm() / alone.norm()
    assert float(share) == pytest.approx(balance.realism + balance.likeness, rel=1e-3)


def test_features_of_a_frozen_network_have_their_share_too():
    critic, wanted = small_critic(), drawn(2, 4, 8, 6, seed=1)
    out = drawn(2, 4, 8, 6, seed=2).requires_grad_(True)
    asked = []

    def features(values):
        asked.append(values)
        return [values.mean(dim=(2, 3)), values[:, :2].tanh()]

    def gradient(balance):
        out.grad = None
        critic_loss(critic, out, wanted, squared(wanted), None, balance, features).backward()
        return out.grad.clone()

    alone = gradient(Balance(0.0, 0.0))
    assert not asked, "no share, no work"
    both = gradient(Balance(0.0, 0.0, 1.5))
    assert float((both - alone).norm() / alone.norm()) == pytest.approx(1.5, rel=1e-3)
    with torch.no_grad():
        nearer = out - 0.1 * (both - alone)
        distances = [
            sum(
                float((a - b).abs().mean())
                for a, b in zip(features(x), features(wanted), strict=True)
            )
            for x in (out, nearer)
        ]
    assert distances[1] < distances[0]


def test_the_source_encoder_sees_what_it_is_fed_in_use():
    encoder = part("source_encoder").requires_grad_(False)
    side = encoder.config.image_size
    settings = EncoderInput(first_resize=None, size=side)
    coarse = torch.randint(0, 256, (2, 3, 6, 4), generator=generator()).float()
    pictures = torch.nn.functional.interpolate(coarse, (24, 16), mode="bilinear").to(torch.uint8)
    signed = (pictures.float() / 127.5 - 1).requires_grad_(True)
    found = EncoderFeatures(encoder, settings)(signed)
    states = encoder(encoder_pixels(pictures.numpy(), settings), output_hidden_states=True)
    last = states.hidden_states[-1]
    wanted = torch.nn.functional.layer_norm(last, last.shape[-1:])
    difference = (found[-1] - wanted).detach()
    assert float(difference.abs().mean()) < 0.02 * float(wanted.detach().abs().mean())
    sum(value.sum() for value in found).backward()
    assert signed.grad.abs().sum() > 0
    assert all(p.grad is None for p in encoder.parameters())


def test_the_value_is_the_error_and_the_critics_hinge():
    critic = small_critic().eval()
    wanted, out = drawn(2, 4, 8, 6, seed=1), drawn(2, 4, 8, 6, seed=2)
    with torch.no_grad():
        real, made = critic(wanted)[0], critic(out)[0]
        hinge = (1 - real).clamp(min=0).mean() + (1 + made).clamp(min=0).mean()
        expected = squared(wanted)(out) + hinge
    loss = critic_loss(critic, out.requires_grad_(True), wanted, squared(wanted)).detach()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_the_critic_learns_only_to_tell_apart():
    """Its gradient is that of the hinge loss: the network's wish to please does not reach it."""
    gradients = []
    for balance in (Balance(0.0, 0.0), Balance(5.0, 5.0)):
        critic = small_critic().eval()
        wanted = drawn(2, 4, 8, 6, seed=1)
        out = drawn(2, 4, 8, 6, seed=2).requires_grad_(True)
        critic_loss(critic, out, wanted, squared(wanted), balance=balance).backward()
        gradients.append([p.grad.clone() for p in critic.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


def test_a_network_that_is_stuck_at_the_mean_becomes_sharp():
    """Targets are +1 or -1 by chance: the error alone ends at 0, with a critic at either."""

    class Offsets(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(0.1))

        def forward(self, noise):
            return self.gain * noise

    def train(balance):
        network, critic = Offsets(), small_critic(1)
        optimiser = torch.optim.Adam([*network.parameters(), *critic.parameters()], lr=0.02)
        draws = generator()
        for _ in range(150):
            wanted = torch.randint(0, 2, (8, 1, 8, 8), generator=draws).float() * 2 - 1
            noise = torch.randint(0, 2, (8, 1, 8, 8), generator=draws).float() * 2 - 1
            out = network(noise)
            critic_loss(critic, out, wanted, squared(wanted), balance=balance).backward()
            optimiser.step()
            optimiser.zero_grad()
        return abs(float(network.gain.detach()))

    assert train(Balance(0.0, 0.0)) < 0.1
    assert train(Balance(4.0, 0.0)) > 0.3


class OneConvolution(nn.Module):
    """The least that stands in for the network of stage `refine`."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(8, 4, 1)

    def forward(self, latents, time, tokens, null):
        return self.convolution(latents)


def decoded_critic():
    """The decoder of the smallest model and true pictures."""
    vae = deepcopy(part("vae")).requires_grad_(False)
    pixels = torch.randint(0, 256, (len(PICTURES.tokens), 3, 16, 8), generator=generator())
    return DecodedCritic(vae, pixels.byte())


def test_a_critic_reaches_the_network_of_refine_through_the_decoder():
    torch.manual_seed(0)
    module, decoded = WithCritic(OneConvolution(), small_critic(6)), decoded_critic()
    gradients = {}
    for realism in (0.0, 2.0):
        module.zero_grad()
        loss = refine_loss("sample", balance=Balance(realism, 0.0), decoded=decoded)
        loss(module, ROWS, generator()).backward()
        gradients[realism] = module.network.convolution.weight.grad.clone()
    assert not torch.allclose(gradients[0.0], gradients[2.0])
    weights = [p for name, p in module.critic.named_parameters() if not name.endswith("bias")]
    assert len(weights) == 3
    assert all(p.grad.abs().sum() > 0 for p in weights)
    assert all(p.grad is None for p in decoded.vae.parameters())


def test_a_critic_of_refine_without_the_decoder_is_refused():
    module = WithCritic(OneConvolution(), small_critic(6))
    with pytest.raises(ValueError, match="needs the decoder"):
        refine_loss("sample", balance=Balance())(module, ROWS, generator())


class Fixed(nn.Module):
    """Predicts 3 at time step 999 and what it is given elsewhere; remembers what it met."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.met = []

    def forward(self, latents, time, tokens, null):
        self.met.append((latents, time, null))
        first = (time == 999).float()[:, None, None, None]
        return (first * 3 + (1 - first) * latents[:, :4]) * self.weight


def test_simulated_rows_hold_the_networks_own_first_prediction():
    network = Fixed()
    options = {"shares": {999: 0.4, 500: 0.4}, "simulated_from": 999, "drop": 0.9}
    refine_loss("sample", noise_offset=0.0, **options)(network, ROWS.repeat(8), generator())
    (first, first_time, _), (met, time, null) = network.met
    own = time == 500
    assert own.any()
    assert not own.all()
    assert len(first) == int(own.sum()), "only they need a first step"
    assert (first_time == 999).all()
    bar = training_scheduler(LatentSchedule()).alphas_cumprod[500]
    noise = first[:, :4]
    torch.testing.assert_close(met[own, :4], bar.sqrt() * 3 + (1 - bar).sqrt() * noise)
    assert not null[own].any(), "they keep their conditions"
    coarse = COARSE[ROWS.repeat(8)][own, :4]
    torch.testing.assert_close(first[:, 4:], coarse.float())
    torch.testing.assert_close(met[own, 4:], coarse.float())
    assert null[~own].float().mean() > 0.5


def test_the_step_that_is_simulated_is_that_of_the_librarys_sampler():
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        prediction_type="sample", timestep_spacing="trailing",
    )  # fmt: skip
    scheduler.set_timesteps(2)
    assert scheduler.timesteps.tolist() == [999, 499]
    clean, noise = drawn(2, 4, 8, 6, seed=1), drawn(2, 4, 8, 6, seed=2)
    # At the first step the latents are noise and what little of the prediction they hold.
    start = renoised(clean, noise, torch.tensor([999, 999]), scheduler)
    stepped = scheduler.step(clean, 999, start).prev_sample
    ours = renoised(clean, noise, torch.tensor([499, 499]), scheduler)
    torch.testing.assert_close(ours, stepped, rtol=1e-4, atol=1e-4)


def test_the_critic_sees_simulated_rows_alone():
    options = {"shares": {999: 0.5, 500: 0.5}, "simulated_from": 999, "balance": Balance()}
    torch.manual_seed(0)
    module = WithCritic(Fixed(), small_critic(6))
    decoded, seen = decoded_critic(), []
    hook = module.critic.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    rows = ROWS.repeat(3)
    refine_loss("sample", decoded=decoded, **options)(module, rows, generator()).backward()
    own = int((module.network.met[-1][1] == 500).sum())
    assert 0 < own < len(rows)
    assert set(seen) == {own}
    hook.remove()
    module.zero_grad(set_to_none=True)
    options["shares"] = {999: 1.0, 500: 0.0}
    refine_loss("sample", decoded=decoded, **options)(module, rows, generator()).backward()
    assert all(p.grad is not None for p in module.critic.parameters()), "processes agree"
    assert all(float(p.grad.abs().sum()) == 0 for p in module.critic.parameters())


def test_the_error_of_simulated_rows_has_its_weight():
    values = {}
    for weight in (1.0, 0.5, 0.0):
        options = {"shares": {500: 1.0, 999: 0.0}, "simulated_from": 999, "drop": 0.0}
        loss = refine_loss("sample", simulated_weight=weight, **options)
        values[weight] = float(loss(Fixed(), ROWS, generator()).detach())
    assert values[0.5] == pytest.approx(values[1.0] / 2)
    assert values[0.0] == 0


def test_preferred_time_steps_have_their_share():
    times = []

    class Network(nn.Module):
        def forward(self, latents, time, tokens, null):
            times.append(time)
            return latents[:, :4]

    loss = refine_loss("sample", shares={999: 0.5, 500: 0.3})
    for seed in range(60):
        loss(Network(), ROWS.repeat(8), generator(seed))
    drawn_times = torch.cat(times)
    assert float((drawn_times == 999).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert float((drawn_times == 500).float().mean()) == pytest.approx(0.3, abs=0.05)
    rest = drawn_times[(drawn_times != 999) & (drawn_times != 500)]
    assert rest.min() < 100
    assert rest.max() > 900


def test_the_decoder_is_trained_and_the_encoder_is_not():
    vae = deepcopy(part("vae"))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    pictures = (drawn(6, 3, 32, 16).sigmoid() * 255).to(torch.uint8)
    module = WithCritic(vae, Critic(3, (8, 8), (2, 1)))
    loss = DecoderLoss(pictures)
    for seed in range(4):  # alone and as canvases
        loss(module, torch.arange(4), generator(seed)).backward()
    assert all(p.grad is None for p in vae.encoder.parameters())
    assert all(p.grad is not None for p in vae.decoder.parameters())
