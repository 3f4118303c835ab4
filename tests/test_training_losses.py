"""Losses: zero for a perfect network; weights, dropped conditions and noise as documented."""

import math
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from micro_model import MICRO, part
from torch import nn

from pcdms.sampling import to_signed
from pcdms.schedulers import LatentSchedule, prior_training_scheduler, training_scheduler
from pcdms.training.autoencoder_loss import AutoencoderLoss
from pcdms.training.diffusion import draw_latents
from pcdms.training.encoder_loss import EncoderHeads, EncoderLoss, EncoderTargets, contrast_loss
from pcdms.training.losses import InpaintLoss, PairTable, PictureTable, PriorLoss
from pcdms.training.refine_loss import RefineLoss

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ["sample", "epsilon", "v_prediction"]
N, P = 5, 8
CELLS = (4, 2)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


PICTURES = PictureTable(
    tokens=drawn(N, 3, 6, seed=1).half(),
    embedding=drawn(N, 7, seed=2),
    pose=drawn(N, 36, seed=3).sigmoid(),
    pose_image=(drawn(N, 3, 16, 8, seed=4).sigmoid() * 255).to(torch.uint8),
    person=drawn(N, 1, *CELLS, seed=5).sigmoid(),
)
PAIRS = PairTable(torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]), torch.tensor([1, 2, 3, 4, 0, 2, 3, 4]))
ROWS = torch.tensor([6, 0, 3, 3, 7])


def exact(count, width, seed):
    """Moments of `count` pictures whose posterior has no spread."""
    mean = drawn(count, 4, CELLS[0], width, seed=seed)
    return torch.cat([mean, torch.zeros_like(mean)], dim=1)


CANVAS, MASKED = exact(P, 2 * CELLS[1], 6), exact(N, 2 * CELLS[1], 7)
CLEAN, COARSE = exact(N, CELLS[1], 8), exact(P, CELLS[1], 9)


class Knows(nn.Module):
    """A network that knows the clean latents and so predicts without error, plus `error`."""

    def __init__(self, clean, kind, error=0.0):
        super().__init__()
        self.clean, self.kind, self.error = clean, kind, error
        self.bars = training_scheduler(LatentSchedule()).alphas_cumprod.double()
        self.seen = None

    def forward(self, latents, time, *conditions):
        self.seen = (latents, time, *conditions)
        bar = self.bars[time].reshape(-1, 1, 1, 1)
        clean, noisy = self.clean.double(), latents[:, :4].double()
        noise = (noisy - bar.sqrt() * clean) / (1 - bar).sqrt()
        velocity = bar.sqrt() * noise - (1 - bar).sqrt() * clean
        out = {"sample": clean, "epsilon": noise, "v_prediction": velocity}[self.kind]
        return out.float() + self.error


def inpaint_loss(kind="epsilon", **options):
    schedule = LatentSchedule(prediction_type=kind)
    return InpaintLoss(PICTURES, PAIRS, CANVAS, MASKED, schedule, **options)


def refine_loss(kind="epsilon", **options):
    schedule = LatentSchedule(prediction_type=kind)
    return RefineLoss(PICTURES, PAIRS, CLEAN, COARSE, schedule, **options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_network_has_no_loss(kind):
    canvas, clean = CANVAS[ROWS, :4], CLEAN[PAIRS.target[ROWS], :4]
    for seed in range(4):
        value = inpaint_loss(kind)(Knows(canvas, kind), ROWS, generator(seed))
        assert float(value) == pytest.approx(0, abs=1e-8)
        value = refine_loss(kind)(Knows(clean, kind), ROWS, generator(seed))
        assert float(value) == pytest.approx(0, abs=1e-8)
        wrong = Knows(canvas, kind, error=0.5)
        assert float(inpaint_loss(kind)(wrong, ROWS, generator(seed))) == pytest.approx(0.25)


class KnowsEmbedding(nn.Module):
    def __init__(self, clean):
        super().__init__()
        self.clean, self.seen = clean, None

    def forward(self, *inputs):
        self.seen = inputs
        return self.clean


def prior_loss(**options):
    return PriorLoss(PICTURES, PAIRS, -0.1, 0.5, **options)


def test_a_perfect_prior_has_no_loss():
    clean = (PICTURES.embedding[PAIRS.target[ROWS]] + 0.1) / 0.5
    assert float(prior_loss()(KnowsEmbedding(clean), ROWS, generator())) == 0
    wrong = prior_loss()(KnowsEmbedding(clean + 3), ROWS, generator())
    assert float(wrong) == pytest.approx(9, rel=1e-5)


def halves(left, right):
    error = torch.zeros(1, 1, CELLS[0], 2 * CELLS[1])
    error[..., : CELLS[1]], error[..., CELLS[1] :] = left, right
    return error


@pytest.mark.parametrize(("known", "extra"), [(1.0, 0.0), (0.0, 0.0), (0.05, 1.0), (0.3, 4.0)])
def test_the_weights_of_inpaint_are_those_of_known_half_and_person(known, extra):
    canvas = CANVAS[ROWS, :4]
    loss = inpaint_loss(known_weight=known, person_weight=extra)
    person = PICTURES.person[PAIRS.target[ROWS]]
    right = 1 + extra * person
    total = known * person.numel() + float(right.sum())
    for left_error, right_error in [(2.0, 0.0), (0.0, 3.0), (1.0, 1.0)]:
        module = Knows(canvas, "epsilon", halves(left_error, right_error))
        wanted = known * person.numel() * left_error**2 + float(right.sum()) * right_error**2
        value = float(loss(module, ROWS, generator()))
        assert value == pytest.approx(wanted / total, rel=1e-4, abs=1e-8)


def test_the_person_weight_of_refine_acts_on_the_person():
    targets = PAIRS.target[ROWS]
    person, error = PICTURES.person[targets], drawn(len(ROWS), 4, *CELLS, seed=11)
    module = Knows(CLEAN[targets, :4], "epsilon", error)
    weight = (1 + 2.5 * person).expand_as(error)
    wanted = float((error**2 * weight).sum() / weight.sum())
    value = float(refine_loss(person_weight=2.5)(module, ROWS, generator()))
    assert value == pytest.approx(wanted, rel=1e-4)


def test_inpaint_feeds_its_conditions_in_order_and_drops_none_without_dropping():
    module = Knows(CANVAS[ROWS, :4], "epsilon")
    inpaint_loss(drop=0.0)(module, ROWS, generator())
    latents, time, tokens, embedding, pose, null = module.seen
    source, target = PAIRS.source[ROWS], PAIRS.target[ROWS]
    assert latents.shape == (len(ROWS), 9, CELLS[0], 2 * CELLS[1])
    assert torch.equal(latents[:, 4:5], halves(1.0, 0.0).expand(len(ROWS), -1, -1, -1))
    assert torch.equal(latents[:, 5:], MASKED[source, :4])
    assert (time.min() >= 0, time.max() < 1000) == (True, True)
    assert torch.equal(tokens, PICTURES.tokens[source].float())
    assert torch.equal(embedding, PICTURES.embedding[target])
    assert torch.equal(pose[..., :8], to_signed(PICTURES.pose_image[source], torch.float32))
    assert torch.equal(pose[..., 8:], to_signed(PICTURES.pose_image[target], torch.float32))
    assert not null.any()


def test_inpaint_drops_all_but_the_pose_and_latents():
    module = Knows(CANVAS[ROWS, :4], "epsilon")
    inpaint_loss(drop=1.0)(module, ROWS, generator())
    latents, _, _, embedding, pose, null = module.seen
    assert null.all()
    assert not embedding.any()
    assert torch.equal(latents[:, 5:], MASKED[PAIRS.source[ROWS], :4])
    assert pose.abs().amax(dim=(1, 2, 3)).min() > 0.5


def share(values):
    return float(values.float().mean())


def test_inpaint_drops_independently_and_swaps_half_of_the_embeddings():
    rows = torch.arange(P).repeat(400)
    predicted = drawn(P, 7, seed=12)
    module = Knows(CANVAS[rows, :4], "epsilon")
    inpaint_loss(drop=0.2, predicted=predicted)(module, rows, generator())
    embedding, null = module.seen[3], module.seen[5]
    alone = (embedding == 0).all(1)
    swapped = (embedding == predicted[rows]).all(1)
    true = (embedding == PICTURES.embedding[PAIRS.target[rows]]).all(1)
    assert (alone | swapped | true).all()
    assert share(alone) == pytest.approx(0.2, abs=0.03)
    assert share(null) == pytest.approx(0.2, abs=0.03)
    assert share(null & alone) == pytest.approx(0.04, abs=0.02)
    assert share(swapped) == pytest.approx(0.4, abs=0.04)


def test_refine_drops_tokens_and_coarse_latent_together():
    rows = torch.arange(P).repeat(400)
    module = Knows(CLEAN[PAIRS.target[rows], :4], "epsilon")
    refine_loss(drop=0.2)(module, rows, generator())
    latents, _, tokens, null = module.seen
    assert share(null) == pytest.approx(0.2, abs=0.03)
    assert not latents[null, 4:].any()
    assert torch.equal(latents[~null, 4:], COARSE[rows[~null], :4])
    assert torch.equal(tokens, PICTURES.tokens[PAIRS.source[rows]].float())
    refine_loss(drop=0.0)(module, rows, generator())
    assert not module.seen[3].any()
    refine_loss(drop=1.0)(module, rows, generator())
    assert module.seen[3].all()


def test_the_prior_drops_its_three_conditions_independently():
    rows = torch.arange(P).repeat(500)
    module = KnowsEmbedding(torch.zeros(len(rows), 7))
    prior_loss(drop=0.2)(module, rows, generator())
    source, target = PAIRS.source[rows], PAIRS.target[rows]
    given = (PICTURES.embedding[source], PICTURES.pose[source], PICTURES.pose[target])
    dropped = []
    for seen, full in zip(module.seen[2:], given, strict=True):
        gone = (seen == 0).all(1)
        assert torch.equal(seen[~gone], full[~gone])
        assert share(gone) == pytest.approx(0.2, abs=0.03)
        dropped.append(gone)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert share(dropped[one] & dropped[other]) == pytest.approx(0.04, abs=0.02)


def test_the_prior_diffuses_the_normalised_target():
    rows = torch.arange(P).repeat(300)
    module = KnowsEmbedding(torch.zeros(len(rows), 7))
    prior_loss(noise_offset=0.0)(module, rows, generator())
    noisy, time = module.seen[:2]
    bar = prior_training_scheduler().alphas_cumprod[time][:, None]
    clean = (PICTURES.embedding[PAIRS.target[rows]] + 0.1) / 0.5
    noise = (noisy - bar.sqrt() * clean) / (1 - bar).sqrt()
    assert float(noise[time > 100].std()) == pytest.approx(1, abs=0.03)
    assert (time.min() < 20, time.max() > 980) == (True, True)


@pytest.mark.parametrize("offset", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("stage", ["prior", "inpaint", "refine"])
def test_the_noise_offset_shifts_whole_rows(stage, offset):
    """Variance of a row's mean noise: that of the mean of n draws, plus the offset's square."""
    rows = torch.arange(P).repeat(500)
    if stage == "prior":
        module = KnowsEmbedding(torch.zeros(len(rows), 7))
        prior_loss(noise_offset=offset)(module, rows, generator())
        clean = (PICTURES.embedding[PAIRS.target[rows]] + 0.1) / 0.5
        bars, size = prior_training_scheduler().alphas_cumprod, 7
    else:
        clean = CANVAS[rows, :4] if stage == "inpaint" else CLEAN[PAIRS.target[rows], :4]
        module = Knows(clean, "epsilon")
        make = inpaint_loss if stage == "inpaint" else refine_loss
        make(noise_offset=offset)(module, rows, generator())
        bars, size = training_scheduler(LatentSchedule()).alphas_cumprod, clean[0, 0].numel()
    noisy, time = module.seen[:2]
    late = time > 200
    bar = bars[time].reshape(-1, *[1] * (clean.dim() - 1))
    noise = ((noisy[:, : clean.shape[1]] - bar.sqrt() * clean) / (1 - bar).sqrt())[late]
    means = noise.mean(dim=-1) if stage == "prior" else noise.mean(dim=(2, 3))
    assert float(means.var()) == pytest.approx(1 / size + offset**2, rel=0.1)


def test_posterior_draws_have_the_moments_that_are_given():
    moments = torch.cat([torch.full((4000, 4, 1, 1), 3.0), torch.full((4000, 4, 1, 1), 0.5)], dim=1)
    draws = draw_latents(moments, generator())
    assert draws.shape == (4000, 4, 1, 1)
    assert float(draws.mean()) == pytest.approx(3.0, abs=0.02)
    assert float(draws.std()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("stage", ["prior", "inpaint", "refine"])
def test_the_same_generator_gives_the_same_loss(stage):
    loss = {"prior": prior_loss(), "inpaint": inpaint_loss(), "refine": refine_loss()}[stage]

    class NearZero(nn.Module):
        def forward(self, latents, *rest):
            return 0.1 * (latents if stage == "prior" else latents[:, :4])

    first, again = (float(loss(NearZero(), ROWS, generator(3))) for _ in range(2))
    other = float(loss(NearZero(), ROWS, generator(4)))
    assert first == again != other


class CopyingAutoencoder(nn.Module):
    """Latents are the pixels themselves, with next to no spread."""

    def __init__(self, error=0.0):
        super().__init__()
        self.error, self.widths = error, set()

    def encode(self, pixels):
        self.widths.add((len(pixels), pixels.shape[-1]))
        low = torch.full_like(pixels, -30.0)
        posterior = DiagonalGaussianDistribution(torch.cat([pixels, low], dim=1))
        return SimpleNamespace(latent_dist=posterior)

    def decode(self, latents):
        return SimpleNamespace(sample=latents + self.error)


def test_an_exact_autoencoder_has_no_reconstruction_loss_in_any_form():
    pictures = (drawn(6, 3, 8, 4, seed=13).sigmoid() * 255).to(torch.uint8)
    loss = AutoencoderLoss(pictures, kl_weight=0.0)
    module, rows = CopyingAutoencoder(), torch.arange(6)
    for seed in range(12):
        assert float(loss(module, rows, generator(seed))) == pytest.approx(0, abs=1e-4)
    assert module.widths == {(6, 4), (3, 8)}, "pictures alone, and canvases of two"


def test_the_terms_of_the_autoencoder_loss_see_what_they_are_for():
    pictures = (drawn(6, 3, 8, 4, seed=13).sigmoid() * 255).to(torch.uint8)

    def value(error, **weights):
        loss = AutoencoderLoss(pictures, **{"kl_weight": 0.0, "gradient_weight": 0.0} | weights)
        return float(loss(CopyingAutoencoder(error), torch.arange(6), generator()))

    stripes = 0.25 * torch.tensor([1.0, -1.0] * 4)[:, None]
    assert value(0.5) > value(0.25) > value(0.0) + 0.1
    # A constant shift has no gradient, stripes of the same size do.
    assert value(0.25) == pytest.approx(value(stripes), abs=1e-4)
    assert value(0.25, gradient_weight=2.0) == pytest.approx(value(0.25), abs=1e-4)
    assert value(stripes, gradient_weight=2.0) == pytest.approx(value(stripes) + 1.0, abs=1e-3)
    assert value(0.0, kl_weight=1.0) > value(0.0) + 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_pictures_in_a_batch_still_give_a_loss(count):
    pictures = (drawn(3, 3, 8, 4, seed=13).sigmoid() * 255).to(torch.uint8)
    loss = AutoencoderLoss(pictures)
    for seed in range(8):
        value = float(loss(CopyingAutoencoder(), torch.arange(count), generator(seed)))
        assert math.isfinite(value)


def test_the_autoencoder_loss_trains_the_real_one():
    pictures = (drawn(2, 3, 32, 16, seed=14).sigmoid() * 255).to(torch.uint8)
    value = AutoencoderLoss(pictures)(part("vae").train(), torch.arange(2), generator())
    value.backward()
    assert all(p.grad is not None for p in part("vae").parameters())
    part("vae").zero_grad(set_to_none=True)
    part("vae").eval()


def test_contrast_equals_a_plain_loop():
    vectors, identity = drawn(6, 4, seed=15), torch.tensor([0, 0, 1, 1, 1, 2])
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    terms = []
    for i in range(5):  # the last has no second view and does not count
        others = [j for j in range(6) if j != i]
        total = sum(math.exp(float(unit[i] @ unit[j]) / 0.1) for j in others)
        same = [j for j in others if identity[j] == identity[i]]
        shares = [math.log(math.exp(float(unit[i] @ unit[j]) / 0.1) / total) for j in same]
        terms.append(-sum(shares) / len(same))
    assert float(contrast_loss(vectors, identity)) == pytest.approx(sum(terms) / 5, rel=1e-4)


@pytest.mark.parametrize("tokens", [False, True])
def test_the_encoder_loss_falls_when_the_encoder_is_trained(tokens):
    count = 6
    targets = EncoderTargets(
        identity=torch.arange(count) // 2,
        classes=torch.stack([torch.arange(count) // 2, torch.arange(count) % 2], dim=1),
        class_sizes=(3, 2),
        values=drawn(count, 4, seed=16).sigmoid(),
        pose=drawn(count, 36, seed=17).sigmoid(),
        visible=drawn(count, 18, seed=18) > 0,
        thumbnail=drawn(count, 3, 12, 8, seed=19).sigmoid(),
        parts=torch.randint(0, 16, (count, 16, 16), generator=generator(), dtype=torch.uint8),
    )
    pixels = torch.randint(0, 256, (count, 3, 16, 16), generator=generator(), dtype=torch.uint8)
    torch.manual_seed(0)
    encoder = MICRO.build_source_encoder() if tokens else MICRO.build_image_encoder()
    width = 12 if tokens else 16
    module = EncoderHeads(encoder, width, targets, patch=8, tokens=tokens)
    views = torch.arange(count).reshape(3, 2)
    loss = EncoderLoss(pixels, targets, views, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3), patch=8)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    values = []
    for step in range(30):
        value = loss(module, torch.arange(3), generator(step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.6 * values[0]
    assert all(p.grad is not None for p in module.encoder.parameters() if p.requires_grad) or tokens
