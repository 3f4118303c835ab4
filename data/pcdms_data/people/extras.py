"""The few shapes that are not part of the body: long hair, a backpack and a hand bag."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcdms_data.people.mesh import BONE, BONES, Floats, Ints


@dataclass(frozen=True, eq=False)
class Piece:
    """A small mesh at rest: `vertices` (V, 3) metres, `faces` (F, 3), `weights` (V, 20)."""

    vertices: Floats
    faces: Ints
    weights: Floats


def grid_faces(rows: int, columns: int) -> Ints:
    """Return the triangles of a grid of rows x columns vertices, in row-major order."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate((np.stack((a, c, b), 1), np.stack((b, c, d), 1)))


def rounded_box(centre: tuple[float, float, float], half: tuple[float, float, float]) -> Piece:
    """Return a closed box with round edges that follows bone 0; `half` its half sides."""
    polar = np.linspace(0.0, np.pi, 9)[:, None]
    around = np.linspace(0.0, 2 * np.pi, 15)[None]
    unit = np.stack(
        (
            np.sin(polar) * np.cos(around),
            np.cos(polar) + 0 * around,
            np.sin(polar) * np.sin(around),
        ),
        -1,
    ).reshape(-1, 3)
    # On the unit ball of the 4-norm a sphere becomes a box with round edges.
    unit = unit / ((unit**4).sum(1, keepdims=True)) ** 0.25
    return _rigid(np.array(centre) + unit * np.array(half), grid_faces(9, 15), 0)


def back_bag(spine: Floats, back: float, scale: float) -> Piece:
    """Return a backpack that lies against the back.

    Args:
        spine: (2, 3) head and tail of spine_03.
        back: rest z of the dressed back at that height.
        scale: height of the person over 1.7 m.
    """
    half = (0.15 * scale, 0.21 * scale, 0.075 * scale)
    middle = float(spine.mean(0)[1])
    piece = rounded_box((0.0, middle - 0.03 * scale, back - 0.62 * half[2]), half)
    return _rigid(piece.vertices, piece.faces, BONE["spine_03"])


def hand_bag(hand: Floats, scale: float) -> Piece:
    """Return a bag with a handle that hangs below the point `hand` (3,); it follows bone 0.

    The caller moves it with the hand without turning it, as gravity would have it.
    """
    x, y, z = (float(c) for c in hand)
    half = (0.05 * scale, 0.11 * scale, 0.14 * scale)
    drop = 0.13 * scale
    box = rounded_box((x, y - drop - half[1], z), half)
    turn = np.linspace(0.0, np.pi, 9)
    arch = np.stack((0 * turn, np.sin(turn) * drop, np.cos(turn) * 0.07 * scale), 1)
    arch += np.array([x, y - drop, z])
    side = np.array([0.012 * scale, 0.0, 0.0])
    strip = np.stack((arch - side, arch + side), 1).reshape(-1, 3)
    faces = np.concatenate((box.faces, grid_faces(len(turn), 2) + len(box.vertices)))
    return _rigid(np.concatenate((box.vertices, strip)), faces, 0)


def long_hair(crown: Floats, neck: Floats, back: float, length: float, scale: float) -> Piece:
    """Return a curtain of hair around the back and sides of the head, down behind the shoulders.

    Args:
        crown: (3,) centre of the skull at ear height, rest metres.
        neck: (3,) head of the neck bone.
        back: rest z of the dressed upper back.
        length: how far the hair reaches below the ears, metres.
        scale: height of the person over 1.7 m.
    """
    rows, columns = 11, 17
    t = np.linspace(0.0, 1.0, rows)[:, None]
    around = np.linspace(-1.0, 1.0, columns)[None]
    opening = np.radians(86.0 + 22.0 * np.sin(np.pi * t))
    angle = around * opening
    below = t * (length + 0.075 * scale) - 0.075 * scale
    y = crown[1] - below + 0 * angle
    y = y + 0.03 * t * length / 0.2 * np.abs(around) ** 2
    wide = (0.080 + 0.034 * np.sin(np.pi * np.clip(t * 0.9, 0, 1)) - 0.008 * t) * scale
    deep = (0.09 - 0.02 * t) * scale
    x = crown[0] + wide * np.sin(angle)
    z = crown[2] - deep * np.cos(angle)
    # Below the nape the curtain must lie outside the back, which comes nearer there.
    outside = back - 0.012 * scale + 0.05 * scale * np.abs(around) ** 2
    blend = np.clip((neck[1] + 0.10 * scale - y) / (0.13 * scale), 0, 1)
    z = z + blend * (np.minimum(z, outside) - z)
    vertices = np.stack((x, y, z), -1).reshape(-1, 3)
    fall = np.clip((neck[1] + 0.07 * scale - vertices[:, 1]) / (0.12 * scale), 0, 1)
    weights = np.zeros((len(vertices), len(BONES)))
    weights[:, BONE["head"]], weights[:, BONE["spine_03"]] = 1 - fall, fall
    return Piece(vertices, grid_faces(rows, columns), weights)


def _rigid(vertices: Floats, faces: Ints, bone: int) -> Piece:
    weights = np.zeros((len(vertices), len(BONES)))
    weights[:, bone] = 1.0
    return Piece(vertices, faces, weights)
