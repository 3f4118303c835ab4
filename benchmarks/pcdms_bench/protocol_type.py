"""What a protocol has to say: every choice between picture files and numbers, one field each.

`protocols.py` names the scripts that the values are read from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pcdms_bench.ssim_variants import SsimVariant

Frame = Literal["metric", "padded", "file"]
"""Where a metric looks: the metric frame, the metric frame between white columns, or the file."""
FileFrame = Literal["own", "square", "metric"]
"""Size of the files that metrics read: each picture's own, the square stretched frame, or the
metric frame."""

STRETCH = (256, 176)
"""The square frame is this much wider than the metric frame: 256x176 becomes 256x256."""
PADDING = (40, 176)
"""White columns on each side per columns of the metric frame: 256x176 becomes 256x256."""

Frames = tuple[tuple[str, tuple[tuple[int, int], ...]], ...]


@dataclass(frozen=True)
class Protocol:
    """A complete recipe. Sizes are (H, W) in pixels."""

    name: str
    summary: str
    source: str
    """Repositories and files of the published script."""
    frames: Frames
    """Metric frames per data set; other data sets use the run's own resolution."""
    native: tuple[str, ...]
    """Data sets whose pictures are neither stretched nor padded."""

    # Files, 2 and 3
    file_format: Literal["png", "jpg", "memory"]
    """How the published script's pictures reach it; ours are read as they lie on disk."""
    rounding: Literal["round", "truncate"]
    """How a float picture became uint8; stored pictures of this project are rounded."""
    file_frame: FileFrame
    generated_file_kernel: str
    target_file_kernel: str
    """Resize kernels that make such a file from a picture of another size; the reference
    pictures take the target's."""
    generated_kernel: str
    target_kernel: str
    reference_kernel: str
    """Kernels that bring a file into the metric frame."""

    # Frechet distance
    fid_metric: Literal["fid", "fid_paper", ""]
    fid_network: Literal["inception-tf", "inception-imagenet", ""]
    fid_input: Literal["uint8", "shifted"]
    """`shifted`: [0, 1] through the formula meant for ImageNet-normalised input."""
    fid_resize: Literal["torch-fidelity", "torch-bilinear-299", ""]
    fid_frame: Frame
    fid_order: Literal["name"]
    """Order that decides which pictures a dropped batch holds; published: directory order."""
    fid_batch: int | None
    fid_drop_last: bool
    fid_divisor: Literal["n-1"]
    reference: Literal["train"]

    # LPIPS
    lpips_metric: Literal["lpips", "lpips_pcdms", ""]
    lpips_network: Literal["alex", ""]
    lpips_package: Literal["lpips 0.1.4", "PerceptualSimilarity", ""]
    lpips_input: tuple[float, float]
    """Values of a black and a white pixel at the entrance of the network."""
    lpips_frame: Frame
    lpips_batch: int | None
    lpips_drop_last: bool

    # SSIM, PSNR, L1, MAE
    ssim: SsimVariant
    second_ssim: SsimVariant | None
    pixel_frame: Frame
    """Frame of SSIM, PSNR, L1 and MAE."""
    ssim_input: Literal["uint8", "float32"]
    """Type of the pixels in the published script; ours computes in float64 from either."""
    psnr_range: float
    l1_span: float
    """Distance between black and white in L1: 1 on [0, 1], 2 on [-1, 1]."""

    # Inception score
    is_frame: Frame
    is_splits: int

    # Masks
    masked: Literal["mean-over-mask", "product", ""]
    """Mean of a map over the mask, or both pictures multiplied by it."""
    mask_source: Literal["exact-or-keypoints", "keypoints", ""]
    keypoint_mask_radius: int

    # Pairs and samples
    pairing: str
    names: str
    missing: Literal["failed-pair", "skipped"]
    selection: Literal["first", "mean", "oracle-ssim"]
    """What is scored here unless another selection is asked for."""
    published_selection: str
    """What the published scripts score."""

    # Intervals
    resamples: int
    set_resamples: int
    set_intervals: bool
    """Whether set metrics get intervals also where that takes long; asked for when scoring."""

    libraries: str
    """Versions that the published script pins."""
    metrics: tuple[str, ...]
    """Metrics this protocol defines for a picture stage, in the order of the rows."""

    frame: tuple[int, int] = (0, 0)
    """The metric frame in use; (0, 0) in the table, filled in by `protocol_for`."""
    label: str = ""
    """What a row's `protocol` says: the name, and `@HxW` where the frame is the run's own."""

    def square(self) -> tuple[int, int]:
        """Return the size of the stretched frame that belongs to `frame`."""
        height, width = self.frame
        return height, round(width * STRETCH[0] / STRETCH[1])

    def padding(self) -> int:
        """Return the white columns on each side of the padded frame."""
        return round(self.frame[1] * PADDING[0] / PADDING[1])
