"""Metrics of one picture against its target: what each looks at, and what decides its value.

Adding a metric is one entry here and one in `metrics/catalog.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.pixels import absolute_error, gradient_energy, mae, psnr
from pcdms_bench.metrics.ssim import masked_mean, ssim_map, ssim_of_map
from pcdms_bench.pose_metrics import POSE_METRICS, PoseMetric
from pcdms_bench.protocol_type import Frame, Protocol
from pcdms_bench.ssim_variants import SsimVariant

Mask = NDArray[np.bool_]


@dataclass(eq=False)
class PixelPair:
    """A picture and its target as metrics see them; what several metrics need is computed once."""

    made: NDArray[Any]
    true: NDArray[Any]
    _maps: dict[object, NDArray[Any]] = field(default_factory=dict, repr=False)

    def similarity(self, variant: SsimVariant) -> NDArray[Any]:
        """Return the SSIM map (H, W, C) of a variant."""
        if variant not in self._maps:
            self._maps[variant] = ssim_map(self.made, self.true, variant)
        return self._maps[variant]

    def error(self, span: float) -> NDArray[np.float64]:
        """Return |made - true| (H, W, C) on a scale where white is `span`."""
        key = ("error", span)
        if key not in self._maps:
            self._maps[key] = absolute_error(self.made, self.true, span)
        return self._maps[key]


@dataclass(frozen=True)
class PixelMetric:
    """A metric that needs no network."""

    compute: Callable[[PixelPair, Protocol, Mask | None], tuple[float, ...]]
    """One value, or a numerator and a denominator whose sums over pairs make the ratio."""
    settings: Callable[[Protocol], object]
    """What of the protocol, beside frames and kernels, decides the value."""
    frame: Callable[[Protocol], Frame] = field(default=lambda protocol: protocol.pixel_frame)
    mask: bool = False
    """Whether `compute` gets the target's mask."""
    outside: float | None = None
    """Value on 0 to 255 that both pictures take outside the mask, where they are masked."""


@dataclass(frozen=True)
class NetworkMetric:
    """A perceptual distance: `network` of `metrics/networks.py` on both pictures."""

    network: str
    black: float | None = None
    """What a black pixel is at the entrance; None: as the protocol's LPIPS says."""
    outside: float | None = None


def _ssim(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    return (ssim_of_map(pair.similarity(protocol.ssim), protocol.ssim),)


def _psnr(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    return (psnr(pair.made, pair.true),)


def _l1(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    return (float(pair.error(protocol.l1_span).mean()),)


def _mae(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    return (mae(pair.made, pair.true),)


def _second_ssim(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    assert protocol.second_ssim is not None
    return (ssim_of_map(pair.similarity(protocol.second_ssim), protocol.second_ssim),)


def _masked_ssim(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    assert mask is not None
    return (masked_mean(pair.similarity(protocol.ssim), mask),)


def _masked_l1(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    assert mask is not None
    return (masked_mean(pair.error(protocol.l1_span), mask),)


def _gradients(pair: PixelPair, protocol: Protocol, mask: Mask | None) -> tuple[float, ...]:
    assert mask is not None
    return (gradient_energy(pair.made, mask), gradient_energy(pair.true, mask))


def _metric_frame(protocol: Protocol) -> Frame:
    """Masks are drawn in the metric frame."""
    return "metric"


PIXEL_METRICS: dict[str, PixelMetric] = {
    "ssim": PixelMetric(_ssim, lambda p: p.ssim),
    "ssim_win51": PixelMetric(_second_ssim, lambda p: p.second_ssim),
    "psnr": PixelMetric(_psnr, lambda p: None),
    "l1": PixelMetric(_l1, lambda p: p.l1_span),
    "mae": PixelMetric(_mae, lambda p: None),
    "masked_ssim": PixelMetric(_masked_ssim, lambda p: p.ssim, _metric_frame, mask=True),
    "masked_l1": PixelMetric(_masked_l1, lambda p: p.l1_span, _metric_frame, mask=True),
    "masked_ssim_defgan": PixelMetric(_ssim, lambda p: p.ssim, _metric_frame, outside=0.0),
    "gradient_ratio": PixelMetric(_gradients, lambda p: None, _metric_frame, mask=True),
}
"""Metric -> how it is computed."""

NETWORK_METRICS: dict[str, NetworkMetric] = {
    "lpips": NetworkMetric("lpips"),
    "lpips_pcdms": NetworkMetric("lpips"),
    "lpips_vgg": NetworkMetric("lpips_vgg"),
    "lpips_squeeze": NetworkMetric("lpips_squeeze"),
    "masked_lpips": NetworkMetric("lpips", outside=127.5),
    "st_lpips": NetworkMetric("st_lpips", black=-1.0),
}
"""Metric -> the network that measures it. Mid grey is 0 at the entrance of these networks."""

PairMetric = PixelMetric | NetworkMetric | PoseMetric
RATIOS = ("gradient_ratio", "pckh50")
"""Metrics whose value is a ratio of sums over the pairs."""


def pair_metric(name: str) -> PairMetric | None:
    """Return how a metric of one picture and its target is computed; None for other kinds."""
    return PIXEL_METRICS.get(name) or NETWORK_METRICS.get(name) or POSE_METRICS.get(name)


def takes_mask(name: str) -> bool:
    """Whether a metric needs the target person's mask."""
    metric = pair_metric(name)
    if isinstance(metric, PixelMetric) and metric.mask:
        return True
    if metric is None:
        from pcdms_bench.set_metrics import SET_METRICS

        return name in SET_METRICS and SET_METRICS[name].outside is not None
    return metric.outside is not None


def frame_of(name: str, protocol: Protocol) -> Frame:
    """Return where a pairwise metric looks under a protocol."""
    metric = pair_metric(name)
    if isinstance(metric, PixelMetric):
        return metric.frame(protocol)
    if isinstance(metric, PoseMetric):
        return "metric"
    return protocol.lpips_frame
