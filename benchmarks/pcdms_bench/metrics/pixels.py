"""Metrics that look at pixels alone: PSNR, L1, MAE and the sharpness ratio.

Pictures are (H, W, 3) on the scale 0 to 255, uint8 or float32; a float picture may overshoot.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError

Pixels = NDArray[Any]
Mask = NDArray[np.bool_]

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of R, G, B in the luma (ITU-R BT.601)."""


def psnr(prediction: Pixels, target: Pixels) -> float:
    """Return 10 log10(255^2 / MSE) in dB over all pixels and channels.

    With range 1 on [0, 1] the number is the same. Infinite for identical pictures.
    """
    error = float(np.square(_difference(prediction, target)).mean())
    return math.inf if error == 0 else 10 * math.log10(255.0 * 255.0 / error)


def _difference(prediction: Pixels, target: Pixels) -> NDArray[np.float64]:
    """Return prediction - target in float64. Raises InputError on unequal shapes."""
    if prediction.shape != target.shape:
        raise InputError(f"pictures {prediction.shape} and {target.shape}, expected equal shapes")
    return np.subtract(prediction, target, dtype=np.float64)


def absolute_error(prediction: Pixels, target: Pixels, span: float = 1.0) -> NDArray[np.float64]:
    """Return |prediction - target| of every pixel and channel, (H, W, 3); white is `span`."""
    difference: NDArray[np.float64]
    if prediction.dtype == target.dtype == np.uint8 and prediction.shape == target.shape:
        difference = cv2.absdiff(prediction, target) * (span / 255.0)
    else:
        difference = np.abs(_difference(prediction, target)) * (span / 255.0)
    return difference


def mae(prediction: Pixels, target: Pixels) -> float:
    """Return sum |prediction - target| / sum (prediction + target), over pixels and channels.

    The "MAE" of the GFLA family, a relative error. NaN for two black pictures. Source:
    RenYurui/Global-Flow-Local-Attention:script/metrics.py.
    """
    total = float(prediction.sum(dtype=np.float64) + target.sum(dtype=np.float64))
    error = float(np.abs(_difference(prediction, target)).sum())
    return error / total if total else math.nan


def l1(prediction: Pixels, target: Pixels, span: float = 1.0) -> float:
    """Return the mean absolute error over all pixels and channels; 0 to `span`."""
    return float(absolute_error(prediction, target, span).mean())


def masked_l1(prediction: Pixels, target: Pixels, mask: Mask, span: float = 1.0) -> float:
    """Return the mean absolute error over the pixels of `mask` (H, W) and all channels.

    NaN for an empty mask.
    """
    if not mask.any():
        return math.nan
    return float(absolute_error(prediction, target, span)[mask].mean())


def gradient_energy(picture: Pixels, mask: Mask) -> float:
    """Return the sum of dx^2 + dy^2 of the luma in [0, 1] over `mask` eroded by one pixel.

    Forward differences; eroding keeps both ends of each of them inside the mask. What lies outside
    the picture counts as outside the mask.
    """
    luma = picture.astype(np.float64) @ (LUMA / 255.0)
    inside = cv2.erode(
        mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )  # fmt: skip
    right = np.diff(luma, axis=1, append=luma[:, -1:])
    down = np.diff(luma, axis=0, append=luma[-1:])
    return float((right**2 + down**2)[inside > 0].sum())


def gradient_ratio(predictions: list[Pixels], targets: list[Pixels], masks: list[Mask]) -> float:
    """Return how much edge energy the predictions have for each unit their targets have.

    Sum of `gradient_energy` over all predictions divided by the sum over their targets: below 1 is
    blurred, above 1 is noisy. NaN when the targets have no edge at all.
    """
    made = sum(gradient_energy(p, m) for p, m in zip(predictions, masks, strict=True))
    true = sum(gradient_energy(t, m) for t, m in zip(targets, masks, strict=True))
    return made / true if true > 0 else math.nan
