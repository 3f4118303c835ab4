"""A contact sheet: several people of the embedded set, one in a row, view by view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcdms_data.images import resize
from pcdms_data.people.identity import Identity
from pcdms_data.people.presets import plan_split
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import InputError, Keypoints

_PAPER = 250
_GAP = 6
_LABEL_WIDTH = 132
_LEAST_HEIGHT = 176  # smaller pictures are enlarged to about this
_SKELETON_GROUND = 0.35  # brightness of the picture under a skeleton


def contact_sheet(
    dataset: str = "people",
    size: str = "mini",
    split: str = "test",
    resolution: tuple[int, int] | None = None,
    seed: int = 0,
    identities: int = 8,
    views: int = 6,
    skeleton: bool = False,
) -> NDArray[np.uint8]:
    """Return a picture of the first people of a split, RGB uint8 (H, W, 3).

    The pictures have the split's own `resolution` = (H, W), small ones are enlarged. With
    `skeleton` every person has a second row with the key points on the dimmed pictures.
    Raises InputError on unknown names and more people or views than the split has.
    """
    from pcdms_data.people.render import render_view

    plan = plan_split(dataset, size, split, resolution, seed)
    if not 1 <= identities <= plan.identities or not 1 <= views <= plan.views:
        raise InputError(
            f"a sheet of {identities} x {views} was asked for, {dataset} {size} {split} has "
            f"{plan.identities} people x {plan.views} views"
        )
    rows = []
    for number in range(identities):
        seen = [
            render_view(seed, plan.first + number, view, plan.look, plan.resolution)
            for view in range(views)
        ]
        cells = [_enlarged(view.pixels) for view in seen]
        rows.append(_row(_label(seen[0].identity, cells[0].shape[0]), cells))
        if skeleton:
            drawn = [
                _with_skeleton(cell, view.keypoints) for cell, view in zip(cells, seen, strict=True)
            ]
            rows.append(_row(_blank(cells[0].shape[0], _LABEL_WIDTH), drawn))
    width = rows[0].shape[1]
    parts = [_blank(_GAP, width)]
    for row in rows:
        parts += [row, _blank(_GAP, width)]
    return np.vstack(parts)


def _row(label: NDArray[np.uint8], cells: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    gap = _blank(cells[0].shape[0], _GAP)
    parts = [gap, label]
    for cell in cells:
        parts += [cell, gap]
    return np.hstack(parts)


def _blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _PAPER, dtype=np.uint8)


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge a small picture by a whole factor."""
    height, width = pixels.shape[:2]
    factor = max(1, round(_LEAST_HEIGHT / height))
    return resize(pixels, (height * factor, width * factor), "pil-bicubic-u8")


def _with_skeleton(cell: NDArray[np.uint8], pose: Keypoints) -> NDArray[np.uint8]:
    drawing = draw_pose(pose.xy, pose.visible, pose.size, (cell.shape[0], cell.shape[1]))
    ground = (cell * _SKELETON_GROUND).astype(np.uint8)
    return np.maximum(ground, drawing)


def _label(identity: Identity, height: int) -> NDArray[np.uint8]:
    """Write who it is beside the row, in PIL's built-in font."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (_LABEL_WIDTH, height), (_PAPER,) * 3)
    pencil = ImageDraw.Draw(picture)
    title = f"{identity.index:08d}"
    pencil.text((4, 4), title, fill=(30, 30, 30), font=ImageFont.load_default(size=14))
    text = "\n".join(_description(identity)).replace("_", " ")
    pencil.multiline_text(
        (4, 26), text, fill=(110, 110, 110), font=ImageFont.load_default(size=12), spacing=4
    )
    return np.array(picture)


def _description(identity: Identity) -> list[str]:
    sleeves = {0.0: "cap sleeves", 2.0: "long sleeves"}.get(identity.sleeve, "short sleeves")
    lines = [
        f"{'woman' if identity.female else 'man'}, {identity.height:.2f} m",
        identity.bottom_kind,
        f"top {identity.top.pattern}",
        sleeves,
    ]
    if identity.back.kind != "none":
        lines.append("back print")
    if identity.bag != "none":
        lines.append(identity.bag)
    return lines
