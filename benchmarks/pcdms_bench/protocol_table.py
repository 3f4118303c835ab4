"""The protocols side by side, in words: one row per choice, one column per protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pcdms_bench.protocol_type import Frame
from pcdms_bench.protocols import PROTOCOLS, Protocol
from pcdms_bench.ssim_variants import SsimVariant

_NETWORKS = {
    "inception-tf": "Inception 2015-12-05 (torch-fidelity)",
    "inception-imagenet": "Inception ImageNet (torchvision)",
}
_NONE = "-"


def protocol_table(
    names: Sequence[str] | None = None, only_differences: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Return the head (`choice` and the protocols) and the rows of the table.

    `names` picks protocols and their order, all by default; `only_differences` leaves out choices
    that all of them share.
    """
    protocols = [PROTOCOLS[name] for name in names or PROTOCOLS]
    rows = [[title, *(words(protocol) for protocol in protocols)] for title, words in CHOICES]
    if only_differences:
        rows = [row for row in rows if len(set(row[1:])) > 1]
    return ["choice", *(protocol.name for protocol in protocols)], rows


def protocol_markdown(names: Sequence[str] | None = None, only_differences: bool = True) -> str:
    """Return the table as Markdown, ending with a line break."""
    head, rows = protocol_table(names, only_differences)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _frames(protocol: Protocol) -> str:
    sizes = dict.fromkeys(size for _, listed in protocol.frames for size in listed)
    return ", ".join(_size(size) for size in sizes)


def _files(protocol: Protocol) -> str:
    kind = {"png": "PNG", "jpg": "JPEG", "memory": "in memory"}[protocol.file_format]
    frame = {"own": "any size", "square": "stretched square", "metric": "metric frame"}
    levels = {"round": "rounded", "truncate": "truncated"}[protocol.rounding]
    return f"{kind}, {frame[protocol.file_frame]}, {levels}"


def _resize(protocol: Protocol) -> str:
    kernels = dict.fromkeys((protocol.generated_kernel, protocol.target_kernel))
    if len(kernels) == 1:
        return next(iter(kernels))
    return f"generated {protocol.generated_kernel}, target {protocol.target_kernel}"


def _frame(protocol: Protocol, frame: Frame) -> str:
    """Return where a metric looks; a file is named by the frame it is in."""
    if frame == "padded":
        return "metric frame between white columns"
    if frame == "file" and protocol.file_frame == "square":
        return "stretched square"
    return "metric frame"


def _batch(batch: int | None, dropped: bool) -> str:
    if batch is None:
        return "nothing dropped"
    return f"last incomplete {batch} dropped" if dropped else f"{batch}, nothing dropped"


def _fid(words: Callable[[Protocol], str]) -> Callable[[Protocol], str]:
    return lambda protocol: words(protocol) if protocol.fid_metric else _NONE


def _lpips(words: Callable[[Protocol], str]) -> Callable[[Protocol], str]:
    return lambda protocol: words(protocol) if protocol.lpips_metric else _NONE


def _window(variant: SsimVariant | None) -> str:
    if variant is None:
        return _NONE
    covariance = f"{variant.covariance} covariance"
    if variant.window == "uniform":
        return f"uniform {variant.taps}, {covariance}"
    return f"Gaussian {variant.sigma}, {variant.taps} taps, {covariance}"


def _range(protocol: Protocol) -> str:
    span = protocol.ssim.data_range
    return "max - min of the prediction" if span is None else f"{span:g}"


def _masks(protocol: Protocol) -> str:
    if not protocol.masked:
        return _NONE
    source = {"exact-or-keypoints": "exact, else key points", "keypoints": "key points"}
    use = {"mean-over-mask": "mean over the mask", "product": "both pictures times the mask"}
    return f"{use[protocol.masked]} ({source[protocol.mask_source or 'keypoints']})"


def _input(protocol: Protocol) -> str:
    low, high = protocol.lpips_input
    return f"[{low:g}, {high:g}]"


CHOICES: tuple[tuple[str, Callable[[Protocol], str]], ...] = (
    ("metric frames", _frames),
    ("files", _files),
    ("resize to the metric frame", _resize),
    ("FID metric", _fid(lambda p: p.fid_metric)),
    ("FID network", _fid(lambda p: _NETWORKS[p.fid_network])),
    ("FID resize", _fid(lambda p: p.fid_resize)),
    ("FID frame", _fid(lambda p: _frame(p, p.fid_frame))),
    ("FID batch", _fid(lambda p: _batch(p.fid_batch, p.fid_drop_last))),
    ("FID reference", _fid(lambda p: f"all {p.reference} pictures")),
    ("LPIPS metric", _lpips(lambda p: p.lpips_metric)),
    ("LPIPS package", _lpips(lambda p: p.lpips_package)),
    ("LPIPS input", _lpips(_input)),
    ("LPIPS frame", _lpips(lambda p: _frame(p, p.lpips_frame))),
    ("LPIPS batch", _lpips(lambda p: _batch(p.lpips_batch, p.lpips_drop_last))),
    ("SSIM window", lambda p: _window(p.ssim)),
    ("SSIM range", _range),
    ("SSIM input", lambda p: p.ssim_input),
    ("second SSIM", lambda p: _window(p.second_ssim)),
    ("frame of SSIM, PSNR, L1", lambda p: _frame(p, p.pixel_frame)),
    ("L1 from black to white", lambda p: f"{p.l1_span:g}"),
    ("masks", _masks),
    ("pairing", lambda p: p.pairing),
    ("file names", lambda p: p.names.replace("<", "").replace(">", "") or _NONE),
    ("missing pictures", lambda p: p.missing),
    ("published selection", lambda p: p.published_selection),
    ("metrics", lambda p: ", ".join(p.metrics)),
    ("pinned libraries", lambda p: p.libraries or _NONE),
)
"""Title of a row -> what it says of a protocol."""
