"""Every metric the harness can report: what it says, which way is better and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["pairwise", "set", "stage", "cost"]


@dataclass(frozen=True)
class Metric:
    """One entry of the catalog."""

    name: str
    better: Literal["higher", "lower", "one"]
    """`one`: the closer to 1 the better."""
    kind: Kind
    """`pairwise`: picture against target; `set`: pictures against training pictures; `stage`: an
    embedding; `cost`: what generating took."""
    unit: str
    """Unit, or the range of values."""
    meaning: str
    needs: tuple[str, ...] = ()
    """Any of `mask`, `gallery` (training pictures), `embeddings`, `poses`, `weights:<name>`."""
    on_request: bool = False
    """Computed under any protocol, but only when its name is given: `all` does not mean it."""


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("ssim", "higher", "pairwise", "-1 to 1",
               "structural similarity with the target, Gaussian window"),
        Metric("ssim_win51", "higher", "pairwise", "-1 to 1",
               "structural similarity with the target, uniform window of 51 pixels"),
        Metric("psnr", "higher", "pairwise", "dB", "pixel accuracy against the target"),
        Metric("l1", "lower", "pairwise", "0 to 1", "mean absolute pixel difference"),
        Metric("mae", "lower", "pairwise", "0 to 1",
               "sum of absolute differences over the sum of both pictures (GFLA's MAE)"),
        Metric("masked_ssim", "higher", "pairwise", "-1 to 1",
               "structural similarity over the target person alone", ("mask",)),
        Metric("masked_l1", "lower", "pairwise", "0 to 1",
               "mean absolute pixel difference over the target person alone", ("mask",)),
        Metric("masked_ssim_defgan", "higher", "pairwise", "-1 to 1",
               "structural similarity of both pictures times the key-point mask (Def-GAN)",
               ("mask",)),
        Metric("gradient_ratio", "one", "pairwise", "0 and up",
               "edge energy of the person relative to the target: below 1 blurred, above 1 noisy",
               ("mask",)),
        Metric("lpips", "lower", "pairwise", "0 to about 1",
               "perceptual distance (LPIPS, AlexNet)", ("weights:lpips",)),
        Metric("lpips_pcdms", "lower", "pairwise", "0 to about 1",
               "LPIPS fed with [0, 1] as PCDMs' script does; never beside lpips",
               ("weights:lpips",)),
        Metric("masked_lpips", "lower", "pairwise", "0 to about 1",
               "LPIPS of both pictures times the key-point mask", ("mask", "weights:lpips")),
        Metric("lpips_vgg", "lower", "pairwise", "0 to about 1",
               "perceptual distance (LPIPS, VGG16); never beside lpips", ("weights:lpips_vgg",),
               on_request=True),
        Metric("lpips_squeeze", "lower", "pairwise", "0 to about 1",
               "perceptual distance (LPIPS, SqueezeNet); never beside lpips",
               ("weights:lpips_squeeze",), on_request=True),
        Metric("st_lpips", "lower", "pairwise", "0 to about 1",
               "shift-tolerant perceptual distance (ST-LPIPS, AlexNet); never LPIPS"),
        Metric("pckh50", "higher", "pairwise", "0 to 1",
               "share of target joints that a pose estimator finds within half a head size",
               ("poses", "weights:posenet"), on_request=True),
        Metric("oks", "higher", "pairwise", "0 to 1",
               "COCO key-point similarity of the pose that an estimator finds and the target's",
               ("poses", "weights:posenet"), on_request=True),
        Metric("face_similarity", "higher", "pairwise", "-1 to 1",
               "cosine of the face embeddings of picture and target, by the user's network",
               ("poses", "weights:face"), on_request=True),
        *(
            Metric(f"garment{given}_r{within}", "higher", "pairwise", "0 to 1",
                   f"share of pictures whose clothes find the right garment {rank} all sources', "
                   f"by {network}", needs, on_request=True)
            for given, network, needs in (
                ("", "EfficientNet-Lite0", ("poses",)),
                ("_given", "the user's embedding", ("poses", "weights:garment")),
            )
            for within, rank in ((1, "first among"), (5, "in the first five of"))
        ),
        Metric("fid", "lower", "set", "0 and up",
               "Frechet distance to the training pictures, Inception of 2015",
               ("gallery", "weights:fid")),
        Metric("fid_paper", "lower", "set", "0 and up",
               "Frechet distance to the training pictures, torchvision's Inception as published",
               ("gallery", "weights:fid_paper")),
        Metric("fd_efficientnet_lite0", "lower", "set", "0 and up",
               "Frechet distance to the training pictures, EfficientNet-Lite0; never FID",
               ("gallery",)),
        Metric("fd_squeezenet_caffe", "lower", "set", "0 and up",
               "Frechet distance to the training pictures, SqueezeNet of Caffe; never FID",
               ("gallery", "weights:squeezenet_caffe"), on_request=True),
        Metric("fd_clip", "lower", "set", "0 and up",
               "Frechet distance to the training pictures, a CLIP image encoder; never FID",
               ("gallery", "weights:clip"), on_request=True),
        Metric("fd_dinov2", "lower", "set", "0 and up",
               "Frechet distance to the training pictures, a DINOv2 encoder; never FID",
               ("gallery", "weights:dinov2"), on_request=True),
        Metric("fd_given", "lower", "set", "0 and up",
               "Frechet distance to the training pictures, the user's own network; never FID",
               ("gallery", "weights:extractor"), on_request=True),
        Metric("kid", "lower", "set", "about 0 and up",
               "kernel distance to the training pictures, Inception of 2015; unbiased",
               ("gallery", "weights:fid"), on_request=True),
        Metric("kd_efficientnet_lite0", "lower", "set", "about 0 and up",
               "kernel distance to the training pictures, EfficientNet-Lite0; never KID",
               ("gallery",), on_request=True),
        *(
            Metric(f"{name}{suffix}", "one" if name == "density" else "higher", "set", unit,
                   f"{meaning}, {network}", needs, on_request=True)
            for suffix, network, needs in (
                ("", "Inception of 2015", ("gallery", "weights:fid")),
                ("_efficientnet_lite0", "EfficientNet-Lite0", ("gallery",)),
            )
            for name, unit, meaning in (
                ("precision", "0 to 1", "share of generated pictures near a training picture"),
                ("recall", "0 to 1", "share of training pictures near a generated picture"),
                ("density", "0 and up", "training pictures around a generated one, over k"),
                ("coverage", "0 to 1", "share of training pictures with a generated one nearby"),
            )
        ),
        Metric("is", "higher", "set", "1 and up",
               "inception score: confident and varied classes", ("weights:fid",)),
        Metric("masked_is", "higher", "set", "1 and up",
               "inception score of the pictures times the key-point mask",
               ("mask", "weights:fid")),
        Metric("cosine", "higher", "stage", "-1 to 1",
               "cosine of the predicted and the true target embedding", ("embeddings",)),
        Metric("retrieval_rank", "lower", "stage", "1 and up",
               "mean rank of the true target's embedding among all targets", ("embeddings",)),
        Metric("retrieval_r1", "higher", "stage", "0 to 1",
               "share of pairs whose true target's embedding is the nearest", ("embeddings",)),
        Metric("seconds_per_picture", "lower", "cost", "s", "wall time of generating one picture"),
        Metric("peak_memory_mb", "lower", "cost", "MB", "peak memory while generating"),
        Metric("parameters", "lower", "cost", "count", "weights in the networks that were used"),
    )
}  # fmt: skip
"""Metric name -> entry, in the order of tables."""


def usual_metrics() -> tuple[str, ...]:
    """Return what `all` means: every metric that need not be asked for by name."""
    return tuple(name for name, metric in METRICS.items() if not metric.on_request)


def metric_names(kind: Kind) -> tuple[str, ...]:
    """Return the names of one kind, in the order of the catalog."""
    return tuple(name for name, metric in METRICS.items() if metric.kind == kind)
