"""The critic: balanced gradients, one backward pass for both, and what is trained and kept."""

from copy import deepcopy

import pytest
import torch
from micro_model import part
from test_training_losses import PICTURES, ROWS, generator, refine_loss
from torch import nn

from pcdms.training.autoencoder_loss import DecoderLoss
from pcdms.training.critic import Balance, Critic, WithCritic, critic_loss
from pcdms.training.decoded_critic import DecodedCritic

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


def test_refine_with_a_critic_trains_both_networks():
    module = WithCritic(OneConvolution(), small_critic(8))
    loss = refine_loss("sample", balance=Balance())
    loss(module, ROWS, generator()).backward()
    assert all(p.grad.abs().sum() > 0 for p in module.network.parameters())
    weights = [p for name, p in module.critic.named_parameters() if not name.endswith("bias")]
    assert len(weights) == 3
    assert all(p.grad.abs().sum() > 0 for p in weights)


def test_a_critic_of_pictures_reaches_the_network_through_the_decoder_alone():
    vae = deepcopy(part("vae")).requires_grad_(False)
    pixels = torch.randint(0, 256, (len(PICTURES.tokens), 3, 16, 8), generator=generator())
    gradients = {}
    for name, decoded in (("latents", None), ("pictures", DecodedCritic(vae, pixels.byte()))):
        torch.manual_seed(0)
        module = WithCritic(OneConvolution(), small_critic(6 if decoded else 8))
        loss = refine_loss("sample", balance=Balance(), decoded=decoded)
        loss(module, ROWS, generator()).backward()
        gradients[name] = module.network.convolution.weight.grad
        scored = module.critic.score.parametrizations.weight.original.grad
        assert scored.abs().sum() > 0
    assert all(p.grad is None for p in vae.parameters())
    assert not torch.allclose(gradients["latents"], gradients["pictures"])


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
