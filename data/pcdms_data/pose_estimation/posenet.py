"""The estimator `posenet`: one person a picture, 17 COCO joints, pure torch.

The picture is scaled so that its longer side is `side` pixels, both sides then rounded to a
multiple of 16 plus 1, as the network's grid wants. Each joint lies where its heat map is highest,
moved by the offset of that cell; its score is the heat map's value.
Source: tensorflow/tfjs-models, posenet/src. It uses 257 for the same network by default, and
people that fill the picture are found better there than at 385.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pcdms_data.images import Pixels
from pcdms_data.pose_estimation.joints import (
    COCO_17,
    DEFAULT_THRESHOLD,
    check_threshold,
    to_keypoints,
)
from pcdms_data.pose_estimation.posenet_graph import Graph, PoseNet, read_graph
from pcdms_data.pose_estimation.weight_files import FoundFiles
from pcdms_data.types import InputError, Keypoints

SIDE = 257
STRIDE = 16


class PoseNetEstimator:
    """Key points of single-person pictures by PoseNet (MobileNetV1 0.75, stride 16)."""

    def __init__(
        self, files: FoundFiles, threshold: float = DEFAULT_THRESHOLD, side: int = SIDE
    ) -> None:
        """Load the network from checked files (`weight_files.find`).

        Raises InputError where a file is not what its name says, on a threshold outside 0 to 1, and
        on a side below 33.
        """
        if side < 2 * STRIDE + 1:
            raise InputError(f"side {side} of PoseNet's input, expected {2 * STRIDE + 1} or more")
        self.extractor = f"posenet@{files.digest[:8]}"
        self._threshold = check_threshold(threshold)
        self._side = side
        graph = read_graph(files.graph)
        self._network = PoseNet(graph, read_arrays(files.arrays, graph)).eval()

    def estimate(self, pixels: Pixels) -> Keypoints:
        """Return the key points of one picture, uint8 RGB (H, W, 3), in its own pixels."""
        return self.estimate_all([pixels])[0]

    def estimate_all(self, pictures: Sequence[Pixels]) -> list[Keypoints]:
        """Return the key points of each picture, in order; pictures may differ in size."""
        shapes: dict[tuple[int, int], list[int]] = {}
        for position, pixels in enumerate(pictures):
            shapes.setdefault(input_shape(pixels, self._side), []).append(position)
        found: dict[int, Keypoints] = {}
        for shape, positions in shapes.items():
            for position, joints in zip(
                positions, self._run([pictures[p] for p in positions], shape), strict=True
            ):
                found[position] = joints
        return [found[position] for position in range(len(pictures))]

    def close(self) -> None:
        """Do nothing: a torch module needs no closing."""

    def _run(self, pictures: Sequence[Pixels], shape: tuple[int, int]) -> list[Keypoints]:
        inputs = np.stack([
            cv2.resize(pixels.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
            for pixels in pictures
        ])  # fmt: skip
        with torch.inference_mode():
            heads = self._network(torch.from_numpy(inputs).permute(0, 3, 1, 2) / 127.5 - 1)
        xy, scores = decode(
            heads["heat"].to(torch.float32).numpy(), heads["offset"].to(torch.float32).numpy()
        )
        results = []
        for pixels, places, certainty in zip(pictures, xy, scores, strict=True):
            size = (pixels.shape[0], pixels.shape[1])
            scale = np.array([size[1] / shape[1], size[0] / shape[0]], dtype=np.float32)
            results.append(to_keypoints(places * scale, certainty, COCO_17, size, self._threshold))
        return results


def input_shape(pixels: Pixels, side: int) -> tuple[int, int]:
    """Return (H, W) of the network's input for a picture: longer side `side`, each 16 n + 1.

    Raises InputError on anything but uint8 (H, W, 3).
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise InputError(
            f"cannot find a pose in an array of {pixels.dtype} {pixels.shape}, "
            "expected a picture, uint8 (H, W, 3)"
        )
    scale = side / max(pixels.shape[:2])
    rows, columns = (
        max(round((length * scale - 1) / STRIDE), 1) * STRIDE + 1 for length in pixels.shape[:2]
    )
    return rows, columns


def decode(
    heat: NDArray[np.float32], offset: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return places (B, 17, 2) in input pixels (x, y) and scores (B, 17) in 0 to 1.

    `heat` (B, 17, h, w) logits, `offset` (B, 34, h, w) pixels, first 17 y, then 17 x.
    """
    batch, joints, rows, columns = heat.shape
    flat = heat.reshape(batch, joints, rows * columns)
    best = flat.argmax(axis=2)
    cell_y, cell_x = np.divmod(best, columns)
    shifts = offset.reshape(batch, 2, joints, rows * columns)
    chosen = np.take_along_axis(shifts, best[:, None, :, None], axis=3)[..., 0]
    y, x = cell_y * STRIDE + chosen[:, 0], cell_x * STRIDE + chosen[:, 1]
    highest = np.take_along_axis(flat, best[..., None], axis=2)[..., 0]
    scores = 0.5 * (1 + np.tanh(highest / 2))  # the sigmoid, without overflow
    return np.stack([x, y], axis=2).astype(np.float32), scores.astype(np.float32)


def read_arrays(path: Path, graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of the graph by name, from an `.npz` or the raw `.bin` of the graph.

    A `.bin` holds little-endian float32 values in the order of the graph's own list.
    Raises InputError on another content.
    """
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as a table of arrays: {error}") from error
    values = np.frombuffer(path.read_bytes(), dtype="<f4")
    counts = [int(np.prod(shape)) for shape in graph.shapes.values()]
    if values.size != sum(counts):
        raise InputError(f"{path} holds {values.size} numbers, expected {sum(counts)}")
    parts = np.split(values, np.cumsum(counts)[:-1])
    return {
        name: part.reshape(shape)
        for (name, shape), part in zip(graph.shapes.items(), parts, strict=True)
    }
