"""What each metric is called, which way is better, and what it means in one line."""

from __future__ import annotations

from dataclasses import dataclass, replace

ARROWS = {"up": "↑", "down": "↓", "one": "→ 1", "none": ""}
PHRASES = {
    "up": "higher is better",
    "down": "lower is better",
    "one": "closer to 1 is better",
    "none": "no better side",
}


@dataclass(frozen=True)
class MetricWords:
    """How a metric is shown: `direction` is `up|down|one|none`, `digits` the decimals printed.

    `group` is `pictures` (quality of generated pictures), `prior` (the predicted embedding) or
    `cost`; each group has a table of its own.
    """

    name: str
    title: str
    direction: str
    digits: int
    group: str
    meaning: str

    @property
    def arrow(self) -> str:
        """Return the direction as a sign: an arrow up or down, `→ 1`, or nothing."""
        return ARROWS[self.direction]

    @property
    def phrase(self) -> str:
        """Return the direction in words."""
        return PHRASES[self.direction]

    @property
    def heading(self) -> str:
        """Return the column heading: title and arrow."""
        return f"{self.title} {self.arrow}".strip()

    def format(self, value: float) -> str:
        """Return `value` with the metric's decimals; parameter counts in thousands or millions."""
        if self.name == "parameters":
            return _count(value)
        return f"{value:,.{self.digits}f}"


def _count(value: float) -> str:
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


_ROWS = (
    MetricWords("ssim", "SSIM", "up", 4, "pictures",
                "Structural similarity to the target over the whole frame; 1 is identical."),
    MetricWords("ssim_win51", "SSIM (window 51)", "up", 4, "pictures",
                "SSIM with a uniform 51 x 51 window; never beside the Gaussian SSIM."),
    MetricWords("psnr", "PSNR (dB)", "up", 2, "pictures",
                "Peak signal-to-noise ratio against the target; identical pictures are left out."),
    MetricWords("l1", "L1", "down", 4, "pictures",
                "Mean absolute difference to the target, pixels on 0 to 1, the whole frame."),
    MetricWords("mae", "MAE (relative)", "down", 4, "pictures",
                "Sum of absolute differences over the sum of both pictures; a relative error."),
    MetricWords("masked_ssim", "masked SSIM", "up", 4, "pictures",
                "SSIM averaged over the target's person mask only."),
    MetricWords("masked_l1", "masked L1", "down", 4, "pictures",
                "Mean absolute difference over the target's person mask only, pixels on 0 to 1."),
    MetricWords("masked_ssim_defgan", "M-SSIM (Def-GAN)", "up", 4, "pictures",
                "SSIM of pictures blacked out outside a key-point mask; not the masked SSIM."),
    MetricWords("lpips", "LPIPS", "down", 4, "pictures",
                "Distance of deep features to the target (LPIPS 0.1, AlexNet, own weights)."),
    MetricWords("lpips_vgg", "LPIPS (VGG)", "down", 4, "pictures",
                "LPIPS 0.1 on VGG16; on another scale than LPIPS on AlexNet."),
    MetricWords("lpips_squeeze", "LPIPS (SqueezeNet)", "down", 4, "pictures",
                "LPIPS 0.1 on SqueezeNet; on another scale than LPIPS on AlexNet."),
    MetricWords("lpips_pcdms", "LPIPS on [0,1]", "down", 4, "pictures",
                "LPIPS fed with pixels on 0 to 1, as one published script does."),
    MetricWords("masked_lpips", "masked LPIPS", "down", 4, "pictures",
                "LPIPS of pictures blacked out outside the key-point mask."),
    MetricWords("st_lpips", "ST-LPIPS", "down", 4, "pictures",
                "Distance of deep features that tolerates small shifts; LPIPS' offline stand-in."),
    MetricWords("fid", "FID", "down", 2, "pictures",
                "Fréchet distance of TF-Inception features to the training pictures; looks at the "
                "set of pictures, not at pairs."),
    MetricWords("fid_paper", "FID (paper network)", "down", 2, "pictures",
                "Fréchet distance with the ImageNet Inception of published scripts; not FID."),
    MetricWords("kid", "KID", "down", 4, "pictures",
                "Kernel distance of Inception features to the training pictures; unbiased."),
    MetricWords("precision", "precision", "up", 3, "pictures",
                "Share of generated pictures that lie among the real ones in feature space."),
    MetricWords("recall", "recall", "up", 3, "pictures",
                "Share of real pictures that lie among the generated ones in feature space."),
    MetricWords("density", "density", "one", 3, "pictures",
                "How densely real pictures surround the generated ones; may exceed 1."),
    MetricWords("coverage", "coverage", "up", 3, "pictures",
                "Share of real pictures with a generated one nearby in feature space."),
    MetricWords("is", "IS", "up", 3, "pictures",
                "Inception score: confident and varied classes; ignores the target."),
    MetricWords("masked_is", "masked IS", "up", 3, "pictures",
                "Inception score of pictures blacked out outside the key-point mask."),
    MetricWords("gradient_ratio", "gradient ratio", "one", 3, "pictures",
                "Sharpness inside the person against the targets: below 1 blurred, above noisy."),
    MetricWords("pckh50", "PCKh@0.5", "up", 3, "pictures",
                "Share of target joints found within half a head size in the generated picture."),
    MetricWords("oks", "OKS", "up", 3, "pictures",
                "Key-point similarity of the pose found in the picture and the target pose."),
    MetricWords("garment_r1", "garment R-1", "up", 3, "pictures",
                "Share of pictures whose clothes find the right garment among all sources."),
    MetricWords("garment_r5", "garment R-5", "up", 3, "pictures",
                "Share of pictures whose clothes have the right garment among the five nearest."),
    MetricWords("garment_given_r1", "garment R-1 (given)", "up", 3, "pictures",
                "Garment R-1 by an embedding that the user supplied."),
    MetricWords("garment_given_r5", "garment R-5 (given)", "up", 3, "pictures",
                "Garment R-5 by an embedding that the user supplied."),
    MetricWords("face_similarity", "face similarity", "up", 3, "pictures",
                "Cosine of the face embeddings of picture and target, where a face can be seen."),
    MetricWords("cosine", "cosine", "up", 4, "prior",
                "Cosine of the predicted and the true embedding of the target picture."),
    MetricWords("retrieval_rank", "retrieval rank", "down", 2, "prior",
                "Mean rank of the true target when all targets are sorted by closeness to the "
                "predicted embedding; 1 is best."),
    MetricWords("retrieval_r1", "retrieval R-1", "up", 4, "prior",
                "Share of pairs whose true target is the nearest to the predicted embedding."),
    MetricWords("seconds_per_picture", "seconds per picture", "down", 3, "cost",
                "Time to generate one picture on the machine named under the run."),
    MetricWords("peak_memory_mb", "peak memory (MB)", "down", 0, "cost",
                "Largest memory in use while generating."),
    MetricWords("parameters", "parameters", "none", 0, "cost",
                "Number of learned parameters the stage uses."),
)  # fmt: skip

METRIC_WORDS = {row.name: row for row in _ROWS}
_OFFLINE = "_efficientnet_lite0"
"""End of the name of a set metric that is also there on the small offline network."""
_FRECHET = MetricWords(
    "fd_", "FD", "down", 2, "pictures",
    "Fréchet distance of this network's features to the training pictures; a set metric like "
    "FID, on its own scale.",
)  # fmt: skip


def words_of(metric: str) -> MetricWords:
    """Return the words of `metric`; an unknown name gets itself as title and no direction."""
    if metric in METRIC_WORDS:
        return METRIC_WORDS[metric]
    if metric.startswith("fd_"):
        title = f"FD ({metric.removeprefix('fd_').replace('_', '-')})"
        return replace(_FRECHET, name=metric, title=title)
    base = "kid" if metric == f"kd{_OFFLINE}" else metric.removesuffix(_OFFLINE)
    if base in METRIC_WORDS and base != metric:
        known = METRIC_WORDS[base]
        title = f"{'KD' if base == 'kid' else known.title} (efficientnet-lite0)"
        meaning = known.meaning.replace("Inception", "EfficientNet-Lite0")
        return replace(known, name=metric, title=title, meaning=meaning)
    return MetricWords(metric, metric, "none", 4, "pictures", "No description is recorded.")


def metric_order(metric: str) -> tuple[int, str]:
    """Return a sort key: the order of this table, `fd_*` after `fid_paper`, unknown names last."""
    names = [row.name for row in _ROWS]
    if metric in METRIC_WORDS:
        return names.index(metric) * 2, metric
    return (
        names.index("fid_paper") * 2 + 1 if metric.startswith("fd_") else len(names) * 2
    ), metric
