"""How a decoded picture becomes what a metric sees: file frame, metric frame, padding, mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.garments import garment_picture
from pcdms_bench.protocol_type import Frame, Protocol
from pcdms_data.images import resize, to_uint8
from pcdms_data.types import PictureError

Side = Literal["generated", "target", "reference"]
Step = tuple[str, tuple[int, int]]
"""A resize: kernel and size (H, W)."""


@dataclass(frozen=True)
class View:
    """The steps from a decoded picture to the input of a metric, in this order.

    Steps that do nothing to a picture (a resize to the size it has) leave it as it is, so that
    equal inputs of different protocols are equal arrays.
    """

    file: Step | None = None
    """Into the frame of the protocol's files, on uint8."""
    metric: Step | None = None
    """Into the metric frame; the result may be float32 with overshoot."""
    columns: int = 0
    """White columns added on each side."""
    outside: float | None = None
    """Value on the scale 0 to 255 outside the person's mask; None: no mask is applied."""
    cut: Literal["", "garment"] = ""
    """`garment`: the clothed region alone, in a square of its own."""


def view_for(protocol: Protocol, side: Side, frame: Frame, outside: float | None = None) -> View:
    """Return how `protocol` shows the pictures of a side to a metric that looks at `frame`."""
    kernel = {
        "generated": protocol.generated_kernel,
        "target": protocol.target_kernel,
        "reference": protocol.reference_kernel,
    }[side]
    made = protocol.generated_file_kernel
    file_kernel = made if side == "generated" else protocol.target_file_kernel
    size = {"own": None, "square": protocol.square(), "metric": protocol.frame}[protocol.file_frame]
    return View(
        file=(file_kernel, size) if size else None,
        metric=None if frame == "file" else (kernel, protocol.frame),
        columns=protocol.padding() if frame == "padded" else 0,
        outside=outside,
    )


def apply_view(
    view: View, pixels: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None
) -> NDArray[Any]:
    """Return `pixels` (H, W, 3) as the metric sees them, uint8 or float32 on the scale 0 to 255.

    `mask` (H, W), in the metric frame, is needed where `view.outside` is set. Raises PictureError
    when a protocol that does not resize meets another size.
    """
    seen: NDArray[Any] = pixels
    if view.file is not None:
        seen = to_uint8(_resized(seen, view.file))
    if view.metric is not None:
        seen = _resized(seen, view.metric)
    if view.columns:
        margin = ((0, 0), (view.columns, view.columns), (0, 0))
        seen = np.pad(seen, margin, constant_values=255)
    if view.outside is not None:
        if mask is None or mask.shape != seen.shape[:2]:
            raise PictureError(
                f"a mask of {None if mask is None else mask.shape} for a picture of "
                f"{seen.shape[0]}x{seen.shape[1]}, expected equal sizes"
            )
        kind = seen.dtype if view.outside == 0 else np.float32
        seen = np.where(mask[:, :, None], seen, np.array(view.outside, kind)).astype(kind)
    if view.cut == "garment":
        seen = garment_picture(to_uint8(seen), mask)
    return seen


def _resized(pixels: NDArray[Any], step: Step) -> NDArray[Any]:
    """Return `pixels` in the size of `step`; the same array where it has that size already."""
    kernel, size = step
    if pixels.shape[:2] == size:
        return pixels
    if kernel == "none":
        raise PictureError(
            f"a picture of {pixels.shape[0]}x{pixels.shape[1]} was given where "
            f"{size[0]}x{size[1]} is expected and the protocol does not resize"
        )
    return resize(pixels, size, kernel)
