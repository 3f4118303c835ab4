"""Equal threads for both sides of a measured comparison."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def pin_threads(count: int) -> None:
    """Let every numeric library of this process use `count` threads.

    NumPy and SciPy read their number once, when they are loaded: call this before. PyTorch and
    OpenCV take it at any time.
    """
    for name in _VARIABLES:
        os.environ[name] = str(count)
    import cv2
    import torch

    cv2.setNumThreads(count)
    torch.set_num_threads(count)
