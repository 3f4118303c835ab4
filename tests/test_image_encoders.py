"""CLIP and DINOv2 from a user's folder: the library's own features, and reasons where it fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
)

from pcdms_bench.metrics.networks import metric_problem
from pcdms_bench.metrics.user_networks import (
    CLIP_STATISTICS,
    IMAGENET_STATISTICS,
    open_clip,
    open_dinov2,
)
from pcdms_data.images import resize
from pcdms_data.types import InputError

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Tiny random models of both families, saved as the library does."""
    torch.manual_seed(0)
    clip = CLIPVisionModelWithProjection(
        CLIPVisionConfig(**SIZES, intermediate_size=48, projection_dim=24)
    ).eval()
    dinov2 = Dinov2Model(Dinov2Config(**SIZES)).eval()
    folders = {}
    for name, model in (("clip", clip), ("dinov2", dinov2)):
        folders[name] = tmp_path_factory.mktemp("encoders") / name
        model.save_pretrained(folders[name])
    return {"clip": clip, "dinov2": dinov2}, folders


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, 40, 30, 3), np.uint8)


def planes(pictures, statistics):
    mean, deviation = (torch.tensor(s)[:, None, None] for s in statistics)
    square = np.stack([resize(p, (28, 28), "pil-bicubic-u8") for p in pictures])
    return (torch.from_numpy(square).permute(0, 3, 1, 2) / 255 - mean) / deviation


def test_clip_gives_the_projected_embedding(models, pictures, monkeypatch):
    known, folders = models
    monkeypatch.setenv("PCDMS_WEIGHTS_CLIP", str(folders["clip"]))
    opened = open_clip("cpu")
    assert opened.label.startswith("clip-2x32@")
    expected = known["clip"](pixel_values=planes(pictures, CLIP_STATISTICS)).image_embeds
    found = opened.features(pictures)
    assert found.shape == (3, 24) == (3, opened.width)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)


def test_a_full_clip_counts_by_its_vision_part(pictures, monkeypatch, tmp_path, capfd):
    torch.manual_seed(1)
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
    config = CLIPConfig(
        text_config=text, vision_config={**SIZES, "intermediate_size": 48}, projection_dim=20
    )
    model = CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    monkeypatch.setenv("PCDMS_WEIGHTS_CLIP", str(tmp_path))
    opened = open_clip("cpu")
    assert opened.label.startswith("clip-2x32@")
    assert opened.width == 20
    vision = model.vision_model(pixel_values=planes(pictures, CLIP_STATISTICS)).pooler_output
    expected = model.visual_projection(vision).detach().numpy()
    capfd.readouterr()
    np.testing.assert_allclose(opened.features(pictures), expected, atol=1e-5)
    assert capfd.readouterr().err == ""


def test_dinov2_gives_the_normed_class_token(models, pictures, monkeypatch):
    known, folders = models
    monkeypatch.setenv("PCDMS_WEIGHTS_DINOV2", str(folders["dinov2"]))
    opened = open_dinov2("cpu")
    out = known["dinov2"](pixel_values=planes(pictures, IMAGENET_STATISTICS))
    found = opened.features(pictures)
    assert found.shape == (3, 32) == (3, opened.width)
    np.testing.assert_allclose(found, out.last_hidden_state[:, 0].detach().numpy(), atol=1e-5)


def test_a_model_of_the_other_family_and_an_incomplete_one_are_refused(
    models, monkeypatch, tmp_path
):
    _, folders = models
    monkeypatch.setenv("PCDMS_WEIGHTS_CLIP", str(folders["dinov2"]))
    with pytest.raises(InputError, match="model_type 'dinov2', expected clip"):
        open_clip("cpu")
    config = json.loads((folders["dinov2"] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    monkeypatch.setenv("PCDMS_WEIGHTS_DINOV2", str(tmp_path))
    with pytest.raises(InputError, match=r"model\.safetensors not found"):
        open_dinov2("cpu")
    weights = (folders["dinov2"] / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match="missing encoder"):
        open_dinov2("cpu").features(np.zeros((1, 28, 28, 3), np.uint8))


@pytest.mark.parametrize("name", ["clip", "dinov2"])
def test_an_absent_folder_has_a_reason_and_a_next_step(name, monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_WEIGHTS", str(tmp_path))
    monkeypatch.delenv(f"PCDMS_WEIGHTS_{name.upper()}", raising=False)
    assert f"set PCDMS_WEIGHTS_{name.upper()} to the folder" in (metric_problem(f"fd_{name}") or "")
