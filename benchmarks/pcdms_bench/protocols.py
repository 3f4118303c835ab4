"""Named recipes from pictures to numbers: every choice a field, nothing left to a library.

A number without its recipe means little: kernels, windows and ranges move SSIM by more than the
methods of this field differ. `standard` is this project's own; the others repeat the scripts that
papers were scored with, so that their numbers can be set beside ours. Each is written as what it
changes of the one before it. Sources: tencent-ailab/PCDMs:metrics.py,
ankanbhunia/PIDM:utils/metrics.py, RenYurui/Global-Flow-Local-Attention:script/metrics.py,
BrandonHanx/PoCoLD:metrics.py,
PangzeCheung/Dual-task-Pose-Transformer-Network:metrics/metrics.py, YanzuoLu/CFLD:models/metrics.py,
tengteng95/Pose-Transfer:tool/getMetrics_fashion.py and getMetrics_market.py.
"""

from __future__ import annotations

from dataclasses import replace

from pcdms_bench.protocol_type import Frames
from pcdms_bench.protocol_type import Protocol as Protocol  # also for callers
from pcdms_bench.ssim_variants import SSIM_G12_OWN, SSIM_G15, SSIM_G15_OWN, SSIM_WIN51
from pcdms_bench.suggestions import check_choice, split_names

_FASHION = ((256, 176), (512, 352))
_BOTH: Frames = (("deepfashion", _FASHION), ("market1501", ((128, 64),)))

STANDARD = Protocol(
    name="standard",
    summary="this project's own: float64 SSIM of range 255, antialiased resize, all pictures",
    source="",
    frames=_BOTH,
    native=("market1501",),
    file_format="png",
    rounding="round",
    file_frame="own",
    generated_file_kernel="none",
    target_file_kernel="none",
    generated_kernel="pil-bicubic-u8",
    target_kernel="pil-bicubic-u8",
    reference_kernel="pil-bicubic-u8",
    fid_metric="fid",
    fid_network="inception-tf",
    fid_input="uint8",
    fid_resize="torch-fidelity",
    fid_frame="metric",
    fid_order="name",
    fid_batch=None,
    fid_drop_last=False,
    fid_divisor="n-1",
    reference="train",
    lpips_metric="lpips",
    lpips_network="alex",
    lpips_package="lpips 0.1.4",
    lpips_input=(-1.0, 1.0),
    lpips_frame="metric",
    lpips_batch=None,
    lpips_drop_last=False,
    ssim=SSIM_G15,
    second_ssim=None,
    pixel_frame="metric",
    ssim_input="uint8",
    psnr_range=255.0,
    l1_span=1.0,
    is_frame="metric",
    is_splits=10,
    masked="mean-over-mask",
    mask_source="exact-or-keypoints",
    keypoint_mask_radius=4,
    pairing="pair-id",
    names="<source>_to_<target>.png",
    missing="failed-pair",
    selection="first",
    published_selection="first",
    resamples=1000,
    set_resamples=50,
    set_intervals=False,
    libraries="",
    metrics=(
        "ssim", "psnr", "l1", "masked_ssim", "masked_l1", "gradient_ratio", "lpips", "st_lpips",
        "fid", "fd_efficientnet_lite0",
    ),
)  # fmt: skip

PIDM = replace(
    STANDARD,
    name="pidm",
    summary="PIDM's script: SSIM in the stretched square, FID and LPIPS by linear resize",
    source="ankanbhunia/PIDM:utils/metrics.py, utils/inception.py",
    frames=(("deepfashion", ((256, 176),)),),
    rounding="truncate",
    file_frame="square",
    generated_file_kernel="pil-bicubic-u8",
    target_file_kernel="pil-bicubic-u8",
    generated_kernel="cv2-linear-f32",
    target_kernel="cv2-linear-f32",
    reference_kernel="cv2-linear-f32",
    fid_metric="fid_paper",
    fid_network="inception-imagenet",
    fid_input="shifted",
    fid_resize="torch-bilinear-299",
    fid_batch=64,
    fid_drop_last=True,
    lpips_batch=64,
    lpips_drop_last=True,
    ssim=SSIM_G12_OWN,
    second_ssim=SSIM_WIN51,
    pixel_frame="file",
    ssim_input="float32",
    psnr_range=1.0,
    masked="",
    mask_source="",
    pairing="last-2-to-vis",
    names="<source>_2_<target>_vis.png",
    missing="skipped",
    libraries="scikit-image 0.17.2, opencv-python 4.5.4.58",
    metrics=("ssim", "ssim_win51", "psnr", "l1", "mae", "lpips", "fid_paper"),
)
"""Section 3.2."""

PCDMS = replace(
    PIDM,
    name="pcdms",
    summary="PCDMs' script: cubic resize without antialiasing, LPIPS on [0, 1]",
    source="tencent-ailab/PCDMs:metrics.py, inception.py, caculate_metrics_256.py, "
    "caculate_metrics_512.py",
    frames=(("deepfashion", _FASHION),),
    rounding="round",
    file_frame="own",
    generated_file_kernel="none",
    target_file_kernel="none",
    generated_kernel="cv2-cubic-f32",
    target_kernel="cv2-cubic-f32",
    reference_kernel="cv2-cubic-f32",
    fid_batch=128,
    lpips_metric="lpips_pcdms",
    lpips_input=(0.0, 1.0),
    pixel_frame="metric",
    pairing="drop-first-character-last-to",
    names="<source>_to_<target>.png",
    published_selection="oracle-ssim of 4 samples, in stages 2 and 3",
    libraries="",
    metrics=("ssim", "ssim_win51", "psnr", "l1", "mae", "lpips_pcdms", "fid_paper"),
)
"""Section 3.1."""

GFLA = replace(
    PIDM,
    name="gfla",
    summary="GFLA's script, ancestor of NTED's line: everything on stretched square JPEG files",
    source="RenYurui/Global-Flow-Local-Attention:script/metrics.py, script/inception.py",
    frames=(("deepfashion", ((256, 176),)), ("market1501", ((128, 64),))),
    file_format="jpg",
    generated_kernel="none",
    target_kernel="none",
    reference_kernel="none",
    fid_frame="file",
    lpips_package="PerceptualSimilarity",
    lpips_frame="file",
    ssim=SSIM_G15_OWN,
    names="<source>_2_<target>_vis.jpg",
    libraries="scikit-image up to 0.17, not pinned",
)
"""Section 3.3."""

DPTN = replace(
    GFLA,
    name="dptn",
    summary="DPTN's script: 256x176 JPEG files, SSIM between white columns",
    source="PangzeCheung/Dual-task-Pose-Transformer-Network:metrics/metrics.py, "
    "metrics/inception.py, scripts/eval_fashion.sh, scripts/eval_market.sh",
    file_frame="metric",
    generated_file_kernel="cv2-linear-u8",
    lpips_batch=1,
    lpips_drop_last=False,
    pixel_frame="padded",
)
"""Section 3.4. The published targets are low-resolution files cropped to columns 40..216; a target
of another size is resized here."""

POCOLD = replace(
    GFLA,
    name="pocold",
    summary="PoCoLD's script: PNG files in the metric frame, SSIM on uint8",
    source="BrandonHanx/PoCoLD:metrics.py, eval/inception.py, eval.sh, inference.py",
    frames=(("deepfashion", _FASHION),),
    file_format="png",
    file_frame="metric",
    ssim_input="uint8",
    names="<source>_2_<target>_vis.png",
    libraries="a scikit-image that honours multichannel (up to 0.25)",
)
"""Section 3.5. How the published targets were resized is unknown; antialiased bicubic here."""

CFLD = replace(
    PIDM,
    name="cfld",
    summary="CFLD's evaluation: antialiased bicubic on both sides, nothing dropped",
    source="YanzuoLu/CFLD:models/metrics.py, pose_transfer_test.py, datasets/deepfashion.py",
    frames=(("deepfashion", _FASHION),),
    file_format="memory",
    file_frame="own",
    generated_file_kernel="none",
    target_file_kernel="none",
    generated_kernel="torch-bicubic-aa",
    target_kernel="pil-bicubic-u8",
    reference_kernel="pil-bicubic-u8",
    fid_batch=16,
    fid_drop_last=False,
    lpips_batch=16,
    lpips_drop_last=False,
    ssim=SSIM_G15_OWN,
    pixel_frame="metric",
    pairing="row",
    names="",
    missing="failed-pair",
    libraries="scikit-image 0.20.0, opencv-python 4.7.0.72, lpips 0.1.4",
    metrics=("ssim", "ssim_win51", "psnr", "lpips", "fid_paper"),
)
"""Section 3.6."""

PATN = replace(
    STANDARD,
    name="patn",
    summary="PATN and Def-GAN: SSIM between white columns, L1 on [-1, 1]",
    source="tengteng95/Pose-Transfer:tool/getMetrics_fashion.py, tool/getMetrics_market.py; "
    "AliaksandrSiarohin/pose-gan:test.py",
    frames=(("deepfashion", ((256, 176),)), ("market1501", ((128, 64),))),
    rounding="truncate",
    file_frame="metric",
    generated_file_kernel="pil-bicubic-u8",
    target_file_kernel="pil-bicubic-u8",
    generated_kernel="none",
    target_kernel="none",
    reference_kernel="none",
    fid_metric="",
    fid_network="",
    fid_resize="",
    lpips_metric="",
    lpips_network="",
    lpips_package="",
    ssim=SSIM_G15_OWN,
    pixel_frame="padded",
    psnr_range=1.0,
    l1_span=2.0,
    is_frame="padded",
    masked="",
    mask_source="",
    pairing="same-sheet",
    names="<source>___<target>_vis.png",
    libraries="scikit-image 0.14.2 (13 taps)",
    metrics=("ssim", "l1", "is"),
)
"""Section 3.7."""

MARKET_MASKED = replace(
    PATN,
    name="market-masked",
    summary="the masked metrics of PATN and Def-GAN: both pictures times a key-point mask",
    source="tengteng95/Pose-Transfer:tool/getMetrics_market.py, tool/pose_utils.py, "
    "tool/inception_score.py; RenYurui/Global-Flow-Local-Attention:script/metrics.py",
    frames=(("market1501", ((128, 64),)),),
    lpips_metric="lpips",
    lpips_network="alex",
    lpips_package="PerceptualSimilarity",
    lpips_batch=64,
    lpips_drop_last=True,
    pixel_frame="metric",
    is_frame="metric",
    masked="product",
    mask_source="keypoints",
    metrics=("masked_ssim_defgan", "masked_lpips", "masked_is"),
)
"""Section 3.8, with the masked LPIPS of 3.3."""

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (STANDARD, PCDMS, PIDM, GFLA, DPTN, POCOLD, CFLD, PATN, MARKET_MASKED)
}
"""The registry: name -> recipe."""


def protocol_for(name: str, dataset: str, resolution: tuple[int, int]) -> Protocol:
    """Return the protocol `name` with its metric frame for `dataset` filled in.

    Where the protocol lists frames for the data set, the one as high as the run's `resolution`
    (H, W) is taken, else the first. Other data sets (the embedded people, a folder) use the run's
    resolution, and the label says so: `standard@96x64`. A name with a frame, `pcdms@256x176`, asks
    for that one. Raises InputError on an unknown name or a frame that is none.
    """
    plain, _, size = name.partition("@")
    protocol = PROTOCOLS[check_choice("protocol", plain, PROTOCOLS)]
    if dataset in protocol.native:
        protocol = unstretched(protocol)
    listed = dict(protocol.frames).get(dataset, ())
    if size:
        resolution = _frame(name, size)
        listed = tuple(frame for frame in listed if frame == resolution)
    if not listed:
        label = f"{plain}@{resolution[0]}x{resolution[1]}"
        return replace(protocol, frame=resolution, label=label)
    frame = next((frame for frame in listed if frame[0] == resolution[0]), listed[0])
    return replace(protocol, frame=frame, label=plain)


def protocol_names(text: str) -> tuple[str, ...]:
    """Return the comma-separated protocols of `text`, each once, in order; `all` means all.

    A name may carry a frame (`pcdms@256x176`). Raises InputError on an unknown name.
    """
    plain = split_names("protocol", ",".join(part.partition("@")[0] for part in text.split(",")),
                        PROTOCOLS)  # fmt: skip
    if "@" not in text:
        return plain
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if "@" in part:
            _frame(part, part.partition("@")[2])
    return tuple(dict.fromkeys(parts))


def _frame(name: str, size: str) -> tuple[int, int]:
    """Return (H, W) of `HxW`."""
    height, _, width = size.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        from pcdms_data.types import InputError

        raise InputError(f"protocol {name!r}: {size!r} is no frame, expected HxW as in 256x176")
    return int(height), int(width)


def unstretched(protocol: Protocol) -> Protocol:
    """Return the protocol as it treats pictures that are neither stretched nor padded."""
    return replace(
        protocol,
        file_frame="metric" if protocol.file_frame == "square" else protocol.file_frame,
        pixel_frame="metric" if protocol.pixel_frame == "padded" else protocol.pixel_frame,
        is_frame="metric" if protocol.is_frame == "padded" else protocol.is_frame,
    )


def reading_files(protocol: Protocol) -> Protocol:
    """Return the protocol for pictures that already are its files, so that none is remade."""
    return replace(protocol, file_frame="own")
