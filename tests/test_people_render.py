"""The pictures of the embedded people: what they show, and that they are always the same."""

import hashlib
import math
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pcdms_data.people import scene
from pcdms_data.people.draws import Draws
from pcdms_data.people.garments import HAIR, dress
from pcdms_data.people.identity import LOOKS, PATTERNS, Identity, sample_identity
from pcdms_data.people.looks import frame_camera, stretch
from pcdms_data.people.mesh import BONE
from pcdms_data.people.patterns import angle, fabric_colour, logo_mask
from pcdms_data.people.poses import Turn, sample_pose
from pcdms_data.people.raster import SUBPIXEL, rasterise
from pcdms_data.people.render import RENDERER_VERSION, render_view, view_side
from pcdms_data.people.surface import BOTTOM, GARMENTS, PARTS, SKIN, TOP, paint
from pcdms_data.types import KEYPOINT_NAMES, InputError

GOLDEN = Path(__file__).with_name("golden") / "people.npz"
GOLDEN_VIEWS = [
    (look, index, view) for look in LOOKS for index in range(4) for view in range(2)
]  # fmt: skip
GOLDEN_SIZE = (48, 33)
POINT = {name: number for number, name in enumerate(KEYPOINT_NAMES)}


def golden_pictures():
    return np.stack([render_view(7, i, v, look, GOLDEN_SIZE).pixels for look, i, v in GOLDEN_VIEWS])


def turned(monkeypatch, yaw, kind="stand"):
    """Let every view be a standing one at this yaw, the head straight."""

    def straight(rng, look):
        pose = sample_pose(rng, look)
        while pose.kind != kind:
            pose = sample_pose(rng, look)
        return replace(pose, yaw=yaw, neck=Turn(), pitch=0.0)

    monkeypatch.setattr(scene, "sample_pose", straight)


def test_golden_pictures():
    with np.load(GOLDEN) as stored:
        assert int(stored["version"]) == RENDERER_VERSION, "run this file to write new pictures"
        expected, digest = stored["pictures"], str(stored["sha256"])
    got = golden_pictures()
    if hashlib.sha256(got.tobytes()).hexdigest() == digest:
        return
    gap = np.abs(got.astype(int) - expected).max(-1)
    assert gap.max() <= 2
    assert (gap > 0).mean() < 1e-4


def test_same_arguments_same_bytes_in_any_order():
    keys = [("fashion", 3, 0), ("street", 3, 1), ("fashion", 9, 4)]
    first = [render_view(1, i, v, look, (48, 33)) for look, i, v in keys]
    second = [render_view(1, i, v, look, (48, 33)) for look, i, v in reversed(keys)][::-1]
    for a, b in zip(first, second, strict=True):
        assert a.pixels.tobytes() == b.pixels.tobytes()
        assert a.parts.tobytes() == b.parts.tobytes()
        assert a.keypoints.xy.tobytes() == b.keypoints.xy.tobytes()


def test_seed_index_view_and_look_each_change_the_picture():
    base = render_view(1, 2, 0, "fashion", (48, 33)).pixels
    for args in ((2, 2, 0, "fashion"), (1, 3, 0, "fashion"), (1, 2, 1, "fashion")):
        assert (render_view(*args, (48, 33)).pixels != base).any()
    assert (render_view(1, 2, 0, "street", (48, 33)).pixels != base).any()


@pytest.mark.parametrize("look", LOOKS)
def test_shapes_types_and_mask_values(look):
    for index in range(6):
        seen = render_view(0, index, 0, look, (64, 32), with_rest=True)
        assert seen.pixels.shape == (64, 32, 3)
        assert seen.pixels.dtype == seen.parts.dtype == seen.garments.dtype == np.uint8
        assert seen.parts.max() < len(PARTS)
        assert seen.garments.max() < len(GARMENTS)
        person = seen.parts > 0
        assert ((seen.garments > 0) == person).all()
        assert 0.05 < person.mean() < 0.95
        assert np.isfinite(seen.rest[person]).all()
        assert np.isnan(seen.rest[~person]).all()
        assert seen.keypoints.size == (64, 32)
        xy = seen.keypoints.xy[seen.keypoints.visible]
        assert ((xy >= 0) & (xy < (32, 64))).all()


def test_rest_map_is_not_computed_unless_asked_for():
    assert render_view(0, 0, 0, "fashion", (32, 22)).rest is None


def test_trunk_is_always_dressed():
    for index in range(60):
        identity = sample_identity(0, index, "fashion")
        outfit = dress(identity)
        rest = outfit.places[0]
        painted = paint(identity, outfit, outfit.region, rest)
        neck = outfit.body.joints[BONE["neck_01"], 0, 1]
        trunk = np.isin(outfit.region, [BONE[f"spine_0{n}"] for n in (1, 2, 3)] + [BONE["pelvis"]])
        trunk &= rest[1] < neck - 0.13
        assert (painted.garment[trunk] >= TOP).all()
        low = trunk & (rest[1] < outfit.waist)
        assert (painted.garment[low] == BOTTOM).all()
        shoulder = outfit.body.joints[BONE["upperarm_l"]]
        arm = shoulder[1] - shoulder[0]
        units = (np.abs(rest[0]) - shoulder[0, 0]) * arm[0] + (rest[1] - shoulder[0, 1]) * arm[1]
        units = (units + (rest[2] - shoulder[0, 2]) * arm[2]) / (arm**2).sum()
        upper = np.isin(outfit.region, (BONE["upperarm_r"], BONE["upperarm_l"])) & (units < 0.12)
        assert (painted.garment[upper] != SKIN).all()


def test_visible_limb_joints_lie_on_their_limb():
    limbs = {
        "right_elbow": (4, 12), "right_wrist": (4, 12),
        "left_elbow": (5, 13), "left_wrist": (5, 13),
        "right_knee": (6, 8, 10), "right_ankle": (6, 8, 10),
        "left_knee": (7, 9, 10), "left_ankle": (7, 9, 10),
    }  # fmt: skip
    seen = on_limb = 0
    for index in range(40):
        for view in range(3):
            picture = render_view(5, index, view, "fashion", (128, 88))
            for name, labels in limbs.items():
                if picture.keypoints.visible[POINT[name]]:
                    column, row = np.floor(picture.keypoints.xy[POINT[name]]).astype(int)
                    seen += 1
                    on_limb += int(picture.parts[row, column]) in labels
    assert seen > 300
    assert on_limb >= 0.95 * seen


def test_from_behind_nose_and_eyes_are_missing_and_sides_swap(monkeypatch):
    turned(monkeypatch, math.pi)
    for index in range(8):
        seen = render_view(0, index, 0, "fashion", (96, 64))
        assert not seen.keypoints.visible[
            [POINT["nose"], POINT["right_eye"], POINT["left_eye"]]
        ].any()
        assert seen.side == "back"
        x = seen.keypoints.xy[:, 0]
        assert x[POINT["right_shoulder"]] > x[POINT["left_shoulder"]]


def test_from_the_front_the_persons_right_is_on_the_left(monkeypatch):
    turned(monkeypatch, 0.0)
    for index in range(8):
        seen = render_view(0, index, 0, "fashion", (96, 64))
        x = seen.keypoints.xy[:, 0]
        for name in ("shoulder", "elbow", "wrist", "hip"):
            assert x[POINT[f"right_{name}"]] < x[POINT[f"left_{name}"]]
        columns = np.nonzero(seen.parts == PARTS.index("right_arm"))[1]
        assert columns.mean() < np.nonzero(seen.parts == PARTS.index("left_arm"))[1].mean()


def test_clothes_keep_their_colour_between_views():
    found = 0
    for index in range(150):
        identity = sample_identity(0, index, "fashion")
        bare = identity.front.kind == identity.back.kind == "none"
        if identity.top.pattern != "plain" or not bare or max(identity.top.first) < 0.3:
            continue
        found += 1
        for view in range(3):
            seen = render_view(0, index, view, "fashion", (96, 64))
            assert seen.identity == identity
            cloth = seen.pixels[seen.garments == TOP]
            if len(cloth) > 100:
                colour, wanted = np.median(cloth, axis=0), np.array(identity.top.first)
                assert np.abs(colour / colour.sum() - wanted / wanted.sum()).max() < 0.03
    assert found >= 5


def test_street_cameras_change_the_background_and_not_the_person():
    views = [render_view(0, 4, view, "street", (64, 32)) for view in range(12)]
    assert len({view.camera for view in views}) >= 3
    assert {view.identity for view in views} == {sample_identity(0, 4, "street")}
    assert sample_identity(0, 4, "street").top == sample_identity(0, 4, "fashion").top


def test_street_keypoints_are_dropped_at_times_but_never_the_trunk():
    visible = np.stack(
        [
            render_view(0, i, v, "street", (64, 32)).keypoints.visible
            for i in range(12)
            for v in (0, 1)
        ]
    )
    trunk = [POINT[n] for n in ("right_shoulder", "left_shoulder", "right_hip", "left_hip")]
    assert visible[:, trunk].all()
    assert 0.05 < 1 - visible[:, [POINT["right_wrist"], POINT["left_wrist"]]].mean() < 0.7


def test_fashion_framing_is_near_the_real_keypoint_rates():
    seen = [
        render_view(0, i, v, "fashion", (32, 22)).keypoints for i in range(70) for v in range(4)
    ]
    visible = np.stack([keypoints.visible for keypoints in seen])
    pair = [POINT[f"{side}_{joint}"] for joint in ("knee", "ankle") for side in ("right", "left")]
    assert visible[:, pair[:2]].any(1).mean() == pytest.approx(0.36, abs=0.07)
    assert visible[:, pair[2:]].any(1).mean() == pytest.approx(0.24, abs=0.07)
    trunk = [POINT[n] for n in ("right_shoulder", "left_shoulder", "right_hip", "left_hip")]
    assert visible[:, trunk].all(1).mean() > 0.9


def test_every_framing_keeps_the_hips_in_the_picture():
    joints = np.zeros((18, 3))
    joints[:, 1] = 1.5
    joints[[8, 11], 1], joints[[9, 12], 1], joints[[10, 13], 1] = 0.9, 0.5, 0.08
    for key in range(200):
        camera = frame_camera(Draws.keyed(key), "fashion", joints, (0.0, 1.8), (256, 176))
        assert 0 <= camera.floor - 0.9 * camera.scale < 256


@pytest.mark.parametrize(
    ("degrees", "side"),
    [
        (0, "front"),
        (-30, "front"),
        (50, "three-quarter"),
        (90, "side"),
        (-170, "back"),
        (340, "front"),
    ],
)
def test_sides(degrees, side):
    assert view_side(math.radians(degrees)) == side


@pytest.mark.parametrize(
    ("change", "word"),
    [({"look": "studio"}, "studio"), ({"index": -1}, "-1"), ({"size": (8, 8)}, "8")],
)
def test_bad_input_is_one_clear_line(change, word):
    arguments = {"dataset_seed": 0, "index": 0, "view": 0, "look": "fashion", "size": (64, 32)}
    with pytest.raises(InputError) as error:
        render_view(**{**arguments, **change})
    assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_identities_follow_the_stated_shares():
    people = [sample_identity(0, index, "fashion") for index in range(600)]
    share = lambda test: sum(map(test, people)) / len(people)  # noqa: E731
    assert share(lambda p: p.female) == pytest.approx(0.6, abs=0.06)
    assert share(lambda p: p.bag != "none") == pytest.approx(0.3, abs=0.06)
    assert share(lambda p: p.front.kind != "none") == pytest.approx(0.6, abs=0.06)
    assert share(lambda p: p.back.kind != "none") == pytest.approx(0.3, abs=0.06)
    assert not any(p.beard and p.female for p in people)
    assert all(
        math.dist(p.hair, p.skin) >= 0.15 and math.dist(p.top.first, (p.backdrop,) * 3) >= 0.15
        for p in people
    )
    assert {p.top.pattern for p in people} == set(PATTERNS)
    assert all(isinstance(p, Identity) and p.hem > 0 for p in people if p.bottom_kind == "dress")


def test_long_hair_is_only_drawn_on_long_haired_people():
    for index in range(12):
        identity = sample_identity(0, index, "fashion")
        assert (dress(identity).region == HAIR).any() == (identity.hair_length > 0)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mix_two_colours_and_repeat_exactly(pattern):
    fabric = replace(sample_identity(0, 0, "fashion").top, pattern=pattern, key=5)
    fabric = replace(fabric, first=(0.1, 0.2, 0.3), second=(0.9, 0.8, 0.7))
    u, v = np.meshgrid(np.linspace(-0.3, 0.3, 60), np.linspace(0, 0.6, 60))
    u, v = u.ravel().astype(np.float32), v.ravel().astype(np.float32)
    colour = fabric_colour(fabric, u, v)
    assert colour.shape == (3600, 3)
    assert colour.min() >= 0.099
    assert colour.max() <= 0.901
    assert (colour.std(0) > 0.01).all() == (pattern != "plain")
    assert (fabric_colour(fabric, u, v) == colour).all()
    # A point's colour must not depend on which other points are asked for.
    some = np.arange(0, 3600, 7)
    assert (fabric_colour(fabric, u[some], v[some]) == colour[some]).all()


def test_bitmap_logos_are_symmetric():
    logo = replace(sample_identity(0, 0, "fashion").front, kind="bitmap", key=0x3A5C96F1)
    x = np.linspace(0.01, 0.99, 40, dtype=np.float32)
    y = np.linspace(-0.95, 0.95, 40, dtype=np.float32)
    assert (logo_mask(logo, x, y) == logo_mask(logo, -x, y)).all()
    assert not logo_mask(logo, x + 1, y).any()


def test_angle_agrees_with_the_arc_tangent():
    x, y = np.random.default_rng(0).normal(size=(2, 4000)).astype(np.float32)
    assert np.abs(angle(y, x) - np.arctan2(y, x)).max() < 5e-4


def test_stretch_keeps_flat_pictures_and_ramps():
    flat = np.full((9, 7, 3), 0.25, dtype=np.float32)
    assert np.allclose(stretch(flat, (20, 5)), 0.25)
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32)[:, None, None], (16, 4, 1))
    assert np.allclose(stretch(ramp, (8, 4))[:, 0, 0], np.arange(8) * 2 + 0.5)


def reference(xy, depth, faces, size, two_sided_from):
    """Winner and depth of every pixel in exact arithmetic, one pixel and triangle at a time."""
    out = {}
    for number, (a, b, c) in enumerate(faces.tolist()):
        (ax, ay), (bx, by), (cx, cy) = xy[a].tolist(), xy[b].tolist(), xy[c].tolist()
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (area > 0 and number < two_sided_from):
            continue
        for row in range(size[0]):
            for column in range(size[1]):
                x, y = column * SUBPIXEL + SUBPIXEL // 2, row * SUBPIXEL + SUBPIXEL // 2
                w1 = Fraction((x - ax) * (cy - ay) - (y - ay) * (cx - ax), area)
                w2 = Fraction((bx - ax) * (y - ay) - (by - ay) * (x - ax), area)
                if w1 < 0 or w2 < 0 or w1 + w2 > 1:
                    continue
                z = (1 - w1 - w2) * int(depth[a]) + w1 * int(depth[b]) + w2 * int(depth[c])
                out.setdefault((row, column), []).append((z, number, w1, w2))
    return out


@pytest.mark.parametrize("seed", range(4))
def test_rasteriser_agrees_with_exact_arithmetic(seed):
    rng = np.random.default_rng(seed)
    size = (14, 11)
    # Corners on a coarse raster make edges meet pixel centres and triangles share corners.
    xy = rng.integers(-6, 34, (30, 2)) * 128
    depth = rng.integers(0, 100_000, 30)
    faces = rng.integers(0, 30, (40, 3))
    got = rasterise(xy, depth, faces, size, 30)
    wanted = reference(xy, depth, faces, size, 30)
    assert set(got.pixel.tolist()) == {row * size[1] + column for row, column in wanted}
    for k, pixel in enumerate(got.pixel.tolist()):
        hits = wanted[divmod(pixel, size[1])]
        best = max(hit[0] for hit in hits)
        mine = next(hit for hit in hits if hit[1] == got.triangle[k])
        assert abs(float(mine[0] - best)) <= 1
        assert abs(int(got.depth[k]) - math.floor(best)) <= 1
        assert (float(got.b1[k]), float(got.b2[k])) == pytest.approx(
            (float(mine[2]), float(mine[3])), abs=1e-5
        )


def test_equal_depth_goes_to_the_lower_triangle():
    square = np.array([[0, 0], [0, 2560], [2560, 2560], [2560, 0]])
    depth = np.full(4, 77)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]])
    assert set(rasterise(square, depth, faces, (10, 10), 4).triangle.tolist()) == {0, 1}
    # The diagonal passes through pixel centres and belongs to both halves: the lower one wins.
    got = rasterise(square, depth, faces[:2], (10, 10), 2)
    diagonal = got.triangle[np.isin(got.pixel, np.arange(10) * 11)]
    assert (diagonal == 0).all()
    assert len(got.pixel) == 100


def test_back_faces_are_drawn_only_where_asked():
    triangle = np.array([[0, 0], [0, 2560], [2560, 0]])
    depth, front = np.zeros(3, dtype=np.int64), np.array([[0, 1, 2]])
    assert len(rasterise(triangle, depth, front, (10, 10), 1).pixel) == 55
    assert len(rasterise(triangle, depth, front[:, ::-1], (10, 10), 1).pixel) == 0
    assert len(rasterise(triangle, depth, front[:, ::-1], (10, 10), 0).pixel) == 55


def test_nothing_in_the_picture_is_no_fragment():
    away = np.array([[90000, 0], [90000, 2560], [99000, 0]])
    assert (
        len(rasterise(away, np.zeros(3, dtype=np.int64), np.array([[0, 1, 2]]), (8, 8), 1).pixel)
        == 0
    )


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    pictures = golden_pictures()
    np.savez_compressed(
        GOLDEN,
        pictures=pictures,
        sha256=hashlib.sha256(pictures.tobytes()).hexdigest(),
        version=RENDERER_VERSION,
    )
    sys.stdout.write(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes\n")
