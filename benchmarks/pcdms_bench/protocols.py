"""Named recipes from pictures to numbers: every choice a field, nothing left to a library.

A number without its recipe means little: kernels, windows and ranges move SSIM by more than the
methods of this field differ. Source: protocols specification; section numbers stand at the fields.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pcdms_bench.suggestions import check_choice

Frame = Literal["metric", "square", "padded", "file"]
"""Where a metric looks: the metric frame, the square stretched frame, the metric frame between
white columns, or the size of the file."""


@dataclass(frozen=True)
class SsimVariant:
    """One of the SSIM recipes of section 1.5, applied per channel and averaged over channels."""

    window: Literal["gaussian", "uniform"]
    taps: int
    """Width of the window in pixels, odd; a border of taps // 2 pixels is left out of the mean."""
    sigma: float
    """Standard deviation of the Gaussian window in pixels; 0 for the uniform one."""
    covariance: Literal["population", "sample"]
    data_range: float | None
    """Range of the values; None: maximum minus minimum of the prediction."""
    scale: float
    """What a pixel of 255 is when it enters: 255.0 or 1.0."""
    k1: float = 0.01
    k2: float = 0.03


SSIM_G15 = SsimVariant("gaussian", 11, 1.5, "population", 255.0, 255.0)
"""`ssim_g15` with the fixed range of `standard`: 11 taps, population covariance."""


@dataclass(frozen=True)
class Protocol:
    """A complete recipe. Sizes are (H, W) in pixels."""

    name: str
    summary: str
    frames: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    """Metric frames per data set; other data sets use the run's own resolution."""

    # Files, 2 and 3
    file_format: str
    rounding: Literal["round", "truncate"]
    generated_kernel: str
    target_kernel: str
    reference_kernel: str
    """Named resize kernels of section 1.2, each applied once, from the largest version there is."""

    # Frechet distance, 1.3
    fid_metric: Literal["fid", "fid_paper", ""]
    fid_network: str
    fid_input: Literal["uint8", "shifted"]
    fid_resize: str
    fid_frame: Frame
    fid_batch: int | None
    fid_drop_last: bool
    reference: Literal["train"]

    # LPIPS, 1.4
    lpips_metric: Literal["lpips", "lpips_pcdms", ""]
    lpips_network: str
    lpips_input: tuple[float, float]
    """Values of a black and a white pixel at the entrance of the network."""
    lpips_frame: Frame
    lpips_batch: int | None
    lpips_drop_last: bool

    # SSIM, 1.5; PSNR, L1, 1.6
    ssim: SsimVariant
    second_ssim: SsimVariant | None
    ssim_frame: Frame
    psnr_range: float
    l1_span: float
    """Distance between black and white in L1: 1 on [0, 1], 2 on [-1, 1]."""

    # Masks, 3.8 and 3.9
    masked: Literal["mean-over-mask", "product", ""]
    keypoint_mask_radius: int

    # Pairs and samples, 1.7
    pairing: str
    missing: Literal["failed-pair", "skipped"]
    selection: Literal["first", "mean", "oracle-ssim"]

    # Intervals, 3.9
    resamples: int
    set_resamples: int

    metrics: tuple[str, ...]
    """Metrics this protocol defines for a picture stage, in the order of the rows."""

    frame: tuple[int, int] = (0, 0)
    """The metric frame in use; (0, 0) in the table, filled in by `protocol_for`."""
    label: str = ""
    """What a row's `protocol` says: the name, and `@HxW` where the frame is the run's own."""


PROTOCOLS: dict[str, Protocol] = {
    "standard": Protocol(
        name="standard",
        summary="this project's own: float64 SSIM of range 255, antialiased resize, all pictures",
        frames=(
            ("deepfashion", ((256, 176), (512, 352))),
            ("market1501", ((128, 64),)),
        ),
        file_format="png",
        rounding="round",
        generated_kernel="pil-bicubic-u8",
        target_kernel="pil-bicubic-u8",
        reference_kernel="pil-bicubic-u8",
        fid_metric="fid",
        fid_network="inception-tf",
        fid_input="uint8",
        fid_resize="torch-fidelity",
        fid_frame="metric",
        fid_batch=None,
        fid_drop_last=False,
        reference="train",
        lpips_metric="lpips",
        lpips_network="alex",
        lpips_input=(-1.0, 1.0),
        lpips_frame="metric",
        lpips_batch=None,
        lpips_drop_last=False,
        ssim=SSIM_G15,
        second_ssim=None,
        ssim_frame="metric",
        psnr_range=255.0,
        l1_span=1.0,
        masked="mean-over-mask",
        keypoint_mask_radius=4,
        pairing="pair-id",
        missing="failed-pair",
        selection="first",
        resamples=1000,
        set_resamples=50,
        metrics=(
            "ssim",
            "psnr",
            "l1",
            "masked_ssim",
            "masked_l1",
            "gradient_ratio",
            "lpips",
            "st_lpips",
            "fid",
            "fd_efficientnet_lite0",
        ),
    ),
}
"""The registry: name -> recipe."""


def protocol_for(name: str, dataset: str, resolution: tuple[int, int]) -> Protocol:
    """Return the protocol `name` with its metric frame for `dataset` filled in.

    Where the protocol lists frames for the data set, the one as high as the run's `resolution`
    (H, W) is taken, else the first. Other data sets (the embedded people, a folder) use the run's
    resolution, and the label says so: `standard@96x64`. Raises InputError on an unknown name.
    """
    protocol = PROTOCOLS[check_choice("protocol", name, PROTOCOLS)]
    listed = dict(protocol.frames).get(dataset)
    if listed is None:
        label = f"{name}@{resolution[0]}x{resolution[1]}"
        return replace(protocol, frame=resolution, label=label)
    frame = next((frame for frame in listed if frame[0] == resolution[0]), listed[0])
    return replace(protocol, frame=frame, label=name)
