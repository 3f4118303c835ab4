"""SqueezeNet of Caffe: the user's file classifies, other files are refused, and it has a label."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from pcdms_bench.metrics.networks import FEATURE_NETWORKS, metric_problem
from pcdms_bench.metrics.squeezenet_caffe import load_squeezenet_caffe
from pcdms_bench.metrics.user_networks import SQUEEZENET_MEAN_BGR, SQUEEZENET_SIDE
from pcdms_data.images import resize
from pcdms_data.types import InputError

FILE = Path(os.environ.get("PCDMS_WEIGHTS", "../shared/weights")) / "squeezenet1_1_caffe.npz"
METRIC = "fd_squeezenet_caffe"
with_file = pytest.mark.skipif(not FILE.is_file(), reason="SqueezeNet absent (PCDMS_WEIGHTS)")


def square(name):
    picture = getattr(data, name)()
    picture = np.stack([picture] * 3, -1) if picture.ndim == 2 else picture
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


@with_file
@pytest.mark.parametrize(
    ("name", "label", "least"),
    [("chelsea", 285, 0.3), ("coffee", 967, 0.9), ("camera", 872, 0.9)],
)
def test_known_pictures_get_their_imagenet_class(name, label, least):
    network = load_squeezenet_caffe(FILE)
    pixels = resize(square(name), (SQUEEZENET_SIDE, SQUEEZENET_SIDE), "pil-bicubic-u8")[
        :, :, ::-1
    ].astype(np.float32)
    planes = torch.from_numpy(pixels - np.float32(SQUEEZENET_MEAN_BGR)).permute(2, 0, 1)[None]
    probabilities = network(planes).softmax(1)[0]
    assert int(probabilities.argmax()) == label
    assert float(probabilities.max()) > least


@with_file
def test_the_opened_network_gives_the_same_features(monkeypatch):
    monkeypatch.setenv("PCDMS_WEIGHTS_SQUEEZENET_CAFFE", str(FILE))
    assert metric_problem(METRIC) is None
    opened = FEATURE_NETWORKS[METRIC]("cpu")
    assert opened.label == "squeezenet_caffe@0b1ff879"
    picture = square("coffee")
    found = opened.features(picture[None])
    assert (found.shape, found.dtype) == ((1, opened.width), np.float32)
    pixels = resize(picture, (SQUEEZENET_SIDE, SQUEEZENET_SIDE), "pil-bicubic-u8")[
        :, :, ::-1
    ].astype(np.float32)
    planes = torch.from_numpy(pixels - np.float32(SQUEEZENET_MEAN_BGR)).permute(2, 0, 1)[None]
    expected = load_squeezenet_caffe(FILE).features(planes).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


@with_file
def test_packing_does_not_matter_but_values_do(tmp_path):
    with np.load(FILE, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in reversed(stored.files)}
    np.savez_compressed(tmp_path / "again.npz", **arrays)
    load_squeezenet_caffe(tmp_path / "again.npz")
    arrays["conv10.bias"] = arrays["conv10.bias"] + 1
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(InputError, match="not SqueezeNet"):
        load_squeezenet_caffe(tmp_path / "other.npz")


def test_a_file_that_is_no_archive_and_a_missing_one_have_reasons(tmp_path, monkeypatch):
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a NumPy archive"):
        load_squeezenet_caffe(tmp_path / "x.npz")
    monkeypatch.setenv("PCDMS_WEIGHTS", str(tmp_path))
    monkeypatch.delenv("PCDMS_WEIGHTS_SQUEEZENET_CAFFE", raising=False)
    reason = metric_problem(METRIC)
    assert reason is not None
    assert "set PCDMS_WEIGHTS_SQUEEZENET_CAFFE to the file" in reason
