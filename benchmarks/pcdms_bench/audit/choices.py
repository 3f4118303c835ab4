"""The choices of the field, each as one change of a base protocol or of the files it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pcdms_bench.protocol_type import Protocol
from pcdms_bench.ssim_variants import SSIM_WIN51, SsimVariant

Files = Literal["stored", "jpeg75", "jpeg95", "both-jpeg75", "truncated"]
"""What happened to the picture files before they were read; see `audit/files.py`."""
ReferenceSet = Literal["train", "targets", "part", "jpeg75"]
"""All training pictures, the targets of the test pairs, `PART` of the training pictures, or all of
them saved as JPEG."""
PART = 37_016 / 48_674
"""Pictures that occur in DeepFashion's training pairs, of all training pictures."""
ORDERS = 5
"""Random file orders that are tried where the order decides which pictures are dropped."""


@dataclass(frozen=True)
class Choice:
    """One decision, and what it is instead of in the base; everything else stays as it is."""

    group: str
    """What kind of decision it is: `filter`, `frame`, `window`, `range`, ..."""
    name: str
    used_by: str
    """Published protocols that decide so, or who else does."""
    change: Callable[[Protocol], Protocol] | None = None
    files: Files = "stored"
    selection: Literal["first", "mean", "oracle-ssim"] = "first"
    reference: ReferenceSet = "train"
    batch: int | None = None
    """Only whole batches of this many pictures count, in LPIPS and in Frechet distances."""
    metrics: tuple[str, ...] = ()
    """Metrics that can feel it; empty: all of them."""
    orders: int = 0
    """The largest change among so many random orders, from which the last batch is dropped."""

    def protocol(self, base: Protocol) -> Protocol:
        """Return the base with this one change."""
        return self.change(base) if self.change else base


def _kernels(kernel: str) -> Callable[[Protocol], Protocol]:
    """All pictures come into the metric frame by `kernel`."""
    return lambda p: replace(
        p, generated_kernel=kernel, target_kernel=kernel, reference_kernel=kernel
    )


def _generated_kernel(kernel: str) -> Callable[[Protocol], Protocol]:
    return lambda p: replace(p, generated_kernel=kernel)


def _square(protocol: Protocol) -> Protocol:
    """Pixel metrics look at files that were stretched to a square."""
    kernel = "pil-bicubic-u8"
    return replace(
        protocol, file_frame="square", generated_file_kernel=kernel, target_file_kernel=kernel,
        pixel_frame="file",
    )  # fmt: skip


def _window(variant: SsimVariant) -> Callable[[Protocol], Protocol]:
    """Another window; the range stays that of the base."""
    return lambda p: replace(
        p, ssim=replace(variant, data_range=p.ssim.data_range, scale=p.ssim.scale)
    )


def _ssim(**changes: object) -> Callable[[Protocol], Protocol]:
    return lambda p: replace(p, ssim=replace(p.ssim, **changes))  # type: ignore[arg-type]


_SSIM = ("ssim", "masked_ssim")
_WHOLE = ("ssim", "psnr", "l1", "mae")
_MASKED = ("masked_ssim", "masked_l1", "gradient_ratio")
_LPIPS = ("lpips", "lpips_pcdms", "st_lpips")
_SETS = ("fid", "fid_paper", "fd_efficientnet_lite0")

CHOICES: tuple[Choice, ...] = (
    Choice("filter", "cubic filter, not antialiased", "pcdms", _kernels("cv2-cubic-f32")),
    Choice("filter", "linear filter, not antialiased", "pidm", _kernels("cv2-linear-f32")),
    Choice("filter", "linear filter for the prediction only", "dptn",
           _generated_kernel("cv2-linear-u8")),
    Choice("filter", "torch's bicubic for the prediction only", "cfld",
           _generated_kernel("torch-bicubic-aa")),
    Choice("filter", "no resize at all", "gfla", lambda p: replace(p, pixel_frame="file"),
           metrics=_WHOLE),
    Choice("frame", "stretched to a square", "pidm, gfla", _square),
    Choice("frame", "white columns on both sides", "patn, dptn",
           lambda p: replace(p, pixel_frame="padded"), metrics=_WHOLE),
    Choice("window", "Gaussian window, sigma 1.2", "pcdms, pidm",
           _window(SsimVariant("gaussian", 9, 1.2, "population", 255.0, 255.0)), metrics=_SSIM),
    Choice("window", "uniform window of 7 pixels", "scikit-image's default",
           _window(SsimVariant("uniform", 7, 0.0, "sample", 255.0, 255.0)), metrics=_SSIM),
    Choice("window", "uniform window of 51 pixels", "second SSIM of gfla, pidm, cfld, ...",
           _window(SSIM_WIN51), metrics=_SSIM),
    Choice("window", "sample covariance", "scikit-image's default", _ssim(covariance="sample"),
           metrics=_SSIM),
    Choice("range", "SSIM range max - min of the prediction", "all published scripts",
           _ssim(data_range=None), metrics=_SSIM),
    Choice("range", "LPIPS input on [0, 1]", "pcdms",
           lambda p: replace(p, lpips_input=(0.0, 1.0)), metrics=_LPIPS[:2]),
    Choice("range", "L1 on [-1, 1]", "patn", lambda p: replace(p, l1_span=2.0),
           metrics=("l1", "masked_l1")),
    Choice("mask", "person mask drawn from key points", "patn, market-masked",
           lambda p: replace(p, mask_source="keypoints"), metrics=_MASKED),
    Choice("files", "prediction as JPEG, quality 75", "PIL's default", files="jpeg75"),
    Choice("files", "prediction as JPEG, quality 95", "OpenCV's default", files="jpeg95"),
    Choice("files", "prediction and target as JPEG, quality 75", "gfla, dptn", files="both-jpeg75"),
    Choice("files", "truncated instead of rounded", "pidm, gfla, cfld, patn", files="truncated"),
    Choice("reference", "test targets as reference", "the CoCosNet family", reference="targets",
           metrics=_SETS),
    Choice("reference", "76 % of the training pictures as reference",
           "pictures of training pairs", reference="part", metrics=_SETS),
    Choice("reference", "reference as JPEG, quality 75", "a PIDM issue thread",
           reference="jpeg75", metrics=_SETS),
    Choice("dropped", "last batch of 64 dropped", "pidm, gfla, pocold", batch=64,
           metrics=(*_LPIPS, *_SETS)),
    Choice("dropped", "last batch of 128 dropped", "pcdms", batch=128,
           metrics=(*_LPIPS, *_SETS)),
    Choice("order", f"unsorted, last 64 dropped (worst of {ORDERS})",
           "gfla, pidm, pcdms", batch=64, orders=ORDERS, metrics=(*_LPIPS, *_SETS)),
    Choice("sample", "mean over all samples", "", selection="mean"),
    Choice("sample", "best sample by SSIM to the target", "pcdms as released",
           selection="oracle-ssim"),
)  # fmt: skip
"""Every choice that is audited, by kind."""

FRAMES_OF_FASHION = ("frame",)
"""Groups that make no sense for pictures that no published protocol stretches or pads."""


def choices_for(base: Protocol, samples: int, native: bool) -> Sequence[Choice]:
    """Return the choices that differ from the base and can be made with these pictures.

    `samples` is how many pictures each pair has; `native`: the data set is never stretched.
    """
    chosen = []
    for choice in CHOICES:
        if choice.change is not None and choice.protocol(base) == base:
            continue
        if choice.selection != "first" and samples < 2:
            continue
        if native and choice.group in FRAMES_OF_FASHION:
            continue
        if choice.batch is not None and not choice.orders and base.fid_batch == choice.batch:
            continue
        chosen.append(choice)
    return chosen
