"""Face identity: faces land in the layout of their networks, by a user's network or not at all."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from skimage.transform import SimilarityTransform

from pcdms_bench.metrics.faces import (
    LEFT_EYE,
    NOSE,
    RIGHT_EYE,
    SIDE,
    TEMPLATE,
    cosines,
    face_input,
    face_transform,
)
from pcdms_bench.metrics.given_network import load_given
from pcdms_data.types import InputError, Keypoints

PLACES = {NOSE: (40, 50), RIGHT_EYE: (33, 41), LEFT_EYE: (48, 43)}


def pose(places=PLACES):
    xy, visible = np.zeros((18, 2), np.float32), np.zeros(18, bool)
    for joint, place in places.items():
        xy[joint], visible[joint] = place, True
    return Keypoints(xy, visible, (128, 96))


def test_the_transform_is_the_least_squares_similarity():
    found = face_transform(pose())
    source = np.array([PLACES[j] for j in (NOSE, RIGHT_EYE, LEFT_EYE)], float)
    expected = SimilarityTransform.from_estimate(source, TEMPLATE)
    np.testing.assert_allclose(found, expected.params[:2], atol=1e-6)


def test_eyes_and_nose_land_where_face_networks_expect_them():
    picture = np.zeros((128, 96, 3), np.uint8)
    joints = (NOSE, RIGHT_EYE, LEFT_EYE)
    for channel, joint in enumerate(joints):
        x, y = PLACES[joint]
        picture[y - 1 : y + 2, x - 1 : x + 2, channel] = 255
    face = face_input(picture, face_transform(pose()))
    assert face.shape == (3, SIDE, SIDE)
    assert (face.min(), face.max()) == (-1, 1)
    for channel, (x, y) in enumerate(TEMPLATE):
        rows, columns = np.nonzero(face[channel] > 0)
        assert abs(columns.mean() - x) < 4
        assert abs(rows.mean() - y) < 4


def test_a_hidden_or_tiny_face_is_no_face():
    assert face_transform(pose({j: p for j, p in PLACES.items() if j != LEFT_EYE})) is None
    assert face_transform(pose({j: (x / 4, y / 4) for j, (x, y) in PLACES.items()})) is None


def test_cosines_equal_the_definition_and_a_zero_embedding_scores_zero():
    a = np.array([[1, 0], [1, 1], [0, 0]], np.float32)
    b = np.array([[2, 0], [1, -1], [1, 0]], np.float32)
    np.testing.assert_allclose(cosines(a, b), [1, 0, 0], atol=1e-12)


class Means(torch.nn.Module):
    """A network anybody can check: channel means and their squares."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, 6)."""
        means = x.mean((2, 3))
        return torch.cat([means, means * means], 1)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "means.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Means(), torch.zeros(1, 3, 8, 8)).save(str(path))
    return path


def test_a_torchscript_file_runs_without_its_code(script):
    embed = load_given(script, 8)
    pictures = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    means = pictures.mean((2, 3))
    np.testing.assert_allclose(embed(pictures), np.concatenate([means, means**2], 1), atol=1e-6)


def test_other_files_are_refused_in_one_line(tmp_path, script):
    (tmp_path / "net.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"expected \.onnx or TorchScript"):
        load_given(tmp_path / "net.bin", 8)
    (tmp_path / "net.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="no TorchScript"):
        load_given(tmp_path / "net.pt", 8)
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt")
    with pytest.raises(InputError, match="no TorchScript"):
        load_given(tmp_path / "state.pt", 8)


def test_a_network_that_makes_no_embedding_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(torch.nn.Identity(), torch.zeros(1, 3, 8, 8)).save(str(tmp_path / "i.pt"))
        torch.jit.trace(torch.nn.Conv2d(4, 1, 1), torch.zeros(1, 4, 8, 8)).save(
            str(tmp_path / "c.pt")
        )
    with pytest.raises(InputError, match=r"expected finite \(B, D\)"):
        load_given(tmp_path / "i.pt", 8)
    with pytest.raises(InputError, match="fails on float32"):
        load_given(tmp_path / "c.pt", 8)
