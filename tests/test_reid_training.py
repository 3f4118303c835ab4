"""The re-identification network and its loss: shapes, batches by person, exact continuation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

from pcdms.training.loop import train
from pcdms_bench.reid.losses import ReidLoss, triplet_loss
from pcdms_bench.reid.network import ReidNetwork, embed, make_network
from pcdms_bench.reid.recipe import RECIPES
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = RECIPES["tiny"]
PERSONS = [0, 0, 0, 1, 1, 2, 2, 2, 2, 2]


def pictures(count=10, frame=TINY.frame, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, *frame), generator=generator, dtype=torch.uint8)


def recipe(**settings):
    return replace(TINY, settings=replace(TINY.settings, **settings))


def test_the_trunk_is_torchvisions_resnet50_with_a_finer_last_stage():
    network = ReidNetwork("resnet50", 751).eval()
    own = {name: value.shape for name, value in network.trunk.state_dict().items()}
    theirs = {name: v.shape for name, v in resnet50(weights=None).state_dict().items()}
    assert own == {name: shape for name, shape in theirs.items() if not name.startswith("fc.")}
    assert network.classes.weight.shape == (751, 2048)
    maps = []
    network.trunk.layer4.register_forward_hook(lambda _, __, found: maps.append(found.shape))
    with torch.no_grad():
        network.vectors(pictures(1, (64, 32)))
    assert maps[0][2:] == (4, 2), "a sixteenth of the picture, where the stock network has 1/32"


def test_weights_of_torchvision_are_taken_whole_but_for_the_classes(tmp_path):
    torch.manual_seed(3)
    state = resnet50(weights=None).state_dict()
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "resnet50.pth")
    save_file({k: v for k, v in state.items() if k[:3] != "fc."}, tmp_path / "r.safetensors")
    for name in ("resnet50.pth", "r.safetensors"):
        network = make_network("resnet50", 3, tmp_path / name, 0)
        for key, value in network.trunk.state_dict().items():
            assert torch.equal(value, state[key]), key


def test_weights_of_another_network_are_refused_in_one_line(tmp_path):
    torch.save(resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth")
    with pytest.raises(InputError, match=r"not torchvision's resnet10: \d+ left over") as found:
        make_network("resnet10", 3, tmp_path / "resnet50.pth", 0)
    assert "\n" not in str(found.value)
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(InputError, match="not a checkpoint"):
        make_network("resnet10", 3, tmp_path / "text.pth", 0)


def test_a_start_depends_on_the_seed_alone():
    first, again = (make_network("resnet10", 3, None, 5).state_dict() for _ in range(2))
    other = make_network("resnet10", 3, None, 6).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["trunk.conv1.weight"], other["trunk.conv1.weight"])


def test_vectors_have_length_one_and_do_not_depend_on_the_chunk():
    network = make_network("resnet10", 3, None, 0)
    whole, parts = embed(network, pictures(), 64), embed(network, pictures(), 3)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(whole, parts, atol=1e-5)


def triplets_by_hand(features, labels, margin):
    values = []
    for i, mine in enumerate(labels):
        distance = [float(np.linalg.norm(features[i] - other)) for other in features]
        same = [d for d, label in zip(distance, labels, strict=True) if label == mine]
        others = [d for d, label in zip(distance, labels, strict=True) if label != mine]
        values.append(max(0.0, max(same) - min(others) + margin))
    return np.mean(values)


def test_triplets_equal_plain_loops():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(12, 5)), [0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 0]
    found = triplet_loss(torch.tensor(features), torch.tensor(labels), 0.3)
    assert float(found) == pytest.approx(triplets_by_hand(features, labels, 0.3))
    assert float(found) > 0.1


def test_triplets_of_repeated_pictures_or_one_person_have_finite_gradients():
    features = torch.ones(4, 3, requires_grad=True)
    triplet_loss(features, torch.tensor([0, 0, 1, 1])).backward()
    assert torch.isfinite(features.grad).all()
    alone = triplet_loss(features, torch.tensor([1, 1, 1, 1]))
    assert alone.item() == 0
    alone.backward()


def test_a_batch_shows_each_person_in_as_many_pictures_of_its_own():
    loss = ReidLoss(pictures(), PERSONS, TINY)
    assert len(loss) == 3
    rows = loss.draw(torch.tensor([2, 0, 1]), torch.Generator().manual_seed(0)).tolist()
    assert [PERSONS[row] for row in rows] == [2] * 4 + [0] * 4 + [1] * 4
    assert len(set(rows[:4])) == 4, "enough pictures: none twice"
    draws = Counter()
    for seed in range(200):
        draws.update(loss.draw(torch.tensor([0, 2]), torch.Generator().manual_seed(seed)).tolist())
    assert set(draws) == {0, 1, 2, 5, 6, 7, 8, 9}, "every picture gets its turn"


def test_an_interrupted_training_ends_at_the_same_weights(tmp_path):
    wanted = recipe(steps=6, batch_size=3, warmup=1, save_every=100)
    loss = ReidLoss(pictures(), PERSONS, wanted)

    def interrupt(step, steps, value):
        if step == 3:
            raise KeyboardInterrupt

    whole = make_network("resnet10", 3, None, 0)
    train(whole, loss, len(loss), wanted.settings, tmp_path / "whole")
    halves = make_network("resnet10", 3, None, 0)
    with pytest.raises(KeyboardInterrupt):
        train(halves, loss, len(loss), wanted.settings, tmp_path / "halves", progress=interrupt)
    again = make_network("resnet10", 3, None, 0)
    train(again, loss, len(loss), wanted.settings, tmp_path / "halves")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert float(whole.neck.bias.abs().max()) == 0, "the neck has no shift"


def test_training_brings_pictures_of_one_person_together(tmp_path):
    """Persons wear colours under strong noise; a random start sees the noise first."""
    each, persons = 6, 6
    clothes = pictures(persons, (4, 1), seed=1).float().repeat_interleave(each, 0)
    clothes = torch.nn.functional.interpolate(clothes, TINY.frame)
    noise = pictures(persons * each, (16, 8), seed=2).float()
    noise = torch.nn.functional.interpolate(noise, TINY.frame)
    shown = (0.3 * clothes + 0.7 * noise).byte()
    numbers = [row // each for row in range(persons * each)]
    wanted = recipe(steps=30, batch_size=6, warmup=3, save_every=100)
    network = make_network("resnet10", persons, None, 0)

    def separation():
        """Mean likeness within persons less that between them."""
        vectors = embed(network, shown, 64)
        likeness, same = vectors @ vectors.T, np.equal.outer(numbers, numbers)
        return likeness[same & ~np.eye(len(shown), dtype=bool)].mean() - likeness[~same].mean()

    before = separation()
    loss = ReidLoss(shown, numbers, wanted)
    train(network, loss, len(loss), wanted.settings, tmp_path)
    assert separation() > before + 0.2
