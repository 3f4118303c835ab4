"""SSIM by separable filters: four filtered maps in float64, equal to scikit-image to 1e-12."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_bench.ssim_variants import SsimVariant
from pcdms_data.types import InputError

Map = NDArray[np.float64]


@lru_cache(maxsize=16)
def _window(kind: str, taps: int, sigma: float) -> Map:
    """Return the one-dimensional window (taps,), summing to 1."""
    if kind == "uniform":
        return np.full(taps, 1.0 / taps)
    offsets = np.arange(taps, dtype=np.float64) - taps // 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def ssim_map(prediction: NDArray[Any], target: NDArray[Any], variant: SsimVariant) -> Map:
    """Return the SSIM of every pixel and channel, float64 (H, W, C), border reflected.

    `prediction` and `target` are (H, W, C) on the scale 0 to 255, uint8 or float (a float picture
    may overshoot); they are brought to the variant's scale here. Raises InputError when the shapes
    differ or the picture is smaller than the window.
    Source: Wang et al. 2004; reflection repeats the edge pixel, as scikit-image's filters do.
    """
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise InputError(
            f"SSIM of pictures {prediction.shape} and {target.shape}, expected two equal (H, W, C)"
        )
    if min(prediction.shape[:2]) < variant.taps:
        height, width = prediction.shape[:2]
        raise InputError(f"SSIM window of {variant.taps} does not fit a {height}x{width} picture")
    scale = variant.scale / 255.0
    span = variant.data_range
    if span is None:
        span = (float(prediction.max()) - float(prediction.min())) * scale
    result = np.empty(prediction.shape)
    for channel in range(prediction.shape[2]):
        x = prediction[:, :, channel] * scale
        y = target[:, :, channel] * scale
        result[:, :, channel] = _plane(x, y, span, variant)
    return result


def _plane(x: Map, y: Map, span: float, variant: SsimVariant) -> Map:
    """Return the SSIM map (H, W) of one channel; overwrites its inputs.

    Single planes and work in place are what makes this fast: a filter over interleaved channels
    costs three times as much.
    """
    count = variant.taps**2
    norm = count / (count - 1) if variant.covariance == "sample" else 1.0
    c1, c2 = (variant.k1 * span) ** 2, (variant.k2 * span) ** 2
    # Variances do not change under a shift; values around zero keep them free of cancellation.
    shift = variant.scale / 2
    x -= shift
    y -= shift
    mean_x, mean_y, products = _filter(x, variant), _filter(y, variant), _filter(x * y, variant)
    x *= x
    y *= y
    x += y
    squares = _filter(x, variant)
    both = mean_x * mean_y
    products -= both
    products *= 2 * norm
    products += c2
    own = mean_x * mean_x
    own += mean_y * mean_y
    squares -= own
    squares *= norm
    squares += c2
    # The means again without the shift s: (a + s)(b + s) = ab + s(a + b) + s^2.
    mean_x += mean_y
    mean_x *= 2 * shift
    both *= 2
    both += mean_x
    both += 2 * shift * shift + c1
    own += mean_x
    own += 2 * shift * shift + c1
    both *= products
    own *= squares
    both /= own
    return both


def _filter(plane: Map, variant: SsimVariant) -> Map:
    """Return the windowed mean (H, W) of a plane; the border repeats the edge pixel."""
    window = _window(variant.window, variant.taps, variant.sigma)
    filtered: Map = cv2.sepFilter2D(
        plane, cv2.CV_64F, window, window, borderType=cv2.BORDER_REFLECT
    )
    return filtered


def ssim_of_map(values: Map, variant: SsimVariant) -> float:
    """Return the mean of a map of `ssim_map` over what the border does not touch, and channels."""
    border = variant.taps // 2
    return float(
        values[border : values.shape[0] - border, border : values.shape[1] - border].mean()
    )


def masked_mean(values: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """Return the mean of (H, W, C) values over the pixels of `mask` (H, W), and channels.

    NaN for an empty mask.
    """
    inside = values[mask]
    return float(inside.mean(dtype=np.float64)) if inside.size else float("nan")
