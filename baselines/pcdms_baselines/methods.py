"""The registry of the baselines: what there is, and how to build one by its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pcdms_data.types import Gallery, InputError

if TYPE_CHECKING:
    from pcdms_baselines.external.clone import Given
    from pcdms_baselines.method import Method
    from pcdms_data.pair_set import PairSet


@dataclass(frozen=True)
class Setting:
    """What a method may be built from; each takes what it needs.

    `resolution` = (H, W) of the run; `gallery` the training split, `split_gallery` the evaluated
    split, both None where there is none; `vae` a diffusers AutoencoderKL directory; `kernel` the
    run's resize kernel; `device` a torch device; `weights` the file or folder of a learned method.
    For methods that draw at random `steps` and `guidance` (None: the weights' own) and `chunk`,
    the pairs of a forward pass. For official repositories `given`, what the user has of one, and
    `dataset`, the evaluated pairs.
    """

    resolution: tuple[int, int]
    gallery: Gallery | None
    split_gallery: Gallery | None
    vae: Path | None
    kernel: str
    device: str
    weights: Path | None = None
    steps: int | None = None
    guidance: float | None = None
    chunk: int = 8
    given: Given | None = None
    dataset: PairSet | None = None


@dataclass(frozen=True)
class MethodEntry:
    """One method: `variants` are further names that build a modified form of it.

    `draws`: pictures depend on the seed, and sampling has steps and a guidance scale. `latent`: it
    works in the latents of an autoencoder.
    """

    name: str
    description: str
    kind: Literal["floor", "ceiling", "learned", "external", "own"]
    build: Callable[[str, Setting], Method]
    variants: tuple[str, ...] = ()
    draws: bool = False
    latent: bool = False


# The modules of the methods are imported where they are built, so that listing them stays light.


def _copy_source(name: str, setting: Setting) -> Method:
    from pcdms_baselines.copying import CopySource

    return CopySource(setting.resolution, setting.kernel, name)


def _target_copy(name: str, setting: Setting) -> Method:
    from pcdms_baselines.copying import TargetCopy

    return TargetCopy(setting.resolution, setting.kernel, name)


def _mean_image(name: str, setting: Setting) -> Method:
    from pcdms_baselines.mean_image import MeanImage

    # An empty training split is none: the method then falls back on the sources.
    gallery = setting.gallery if setting.gallery and setting.gallery.pictures else None
    return MeanImage(setting.resolution, gallery, setting.kernel, name)


def _nearest_pose(name: str, setting: Setting) -> Method:
    from pcdms_baselines.nearest_pose import NearestPose

    same_group = name.startswith("nearest-pose-group")
    gallery = setting.split_gallery if same_group else setting.gallery
    flip = name.endswith("+flip")
    return NearestPose(setting.resolution, gallery, same_group, flip, setting.kernel, name)


def _limb_warp(name: str, setting: Setting) -> Method:
    from pcdms_baselines.limb_warp import VARIANTS, LimbWarp

    return LimbWarp(setting.resolution, VARIANTS[name], setting.kernel, name)


def _dense_warp(name: str, setting: Setting) -> Method:
    from pcdms_baselines.dense_warp import DenseWarp

    return DenseWarp(setting.resolution, setting.split_gallery, setting.kernel, name)


def _vae_roundtrip(name: str, setting: Setting) -> Method:
    from pcdms_baselines.vae_roundtrip import VaeRoundtrip

    square = name != "vae-roundtrip-native"
    return VaeRoundtrip(
        setting.resolution, setting.vae, square, "round", setting.device, setting.kernel, name
    )


def _one_pass(name: str, setting: Setting) -> Method:
    from pcdms_baselines.one_pass import OnePass, recipe_of

    resolution, device = setting.resolution, setting.device
    return OnePass(recipe_of(name), resolution, setting.weights, name, device, setting.kernel)


def _sampled(name: str, setting: Setting) -> Method:
    from pcdms_baselines.sampled import Sampled, sampled_recipe_of

    return Sampled(
        sampled_recipe_of(name), setting.resolution, setting.weights, name, setting.vae,
        setting.steps, setting.guidance, setting.chunk, setting.device, setting.kernel,
    )  # fmt: skip


def _external(name: str, setting: Setting) -> Method:
    from pcdms_baselines.external.clone import Given
    from pcdms_baselines.external.method import External
    from pcdms_baselines.external.recipe import recipe_of

    given = setting.given or Given()
    return External(
        recipe_of(name), setting.resolution, given, setting.dataset, setting.device, setting.kernel
    )


def _official(name: str, description: str) -> MethodEntry:
    """Return the entry of an official repository, run in its own interpreter."""
    return MethodEntry(name, description, "external", _external)


METHODS: dict[str, MethodEntry] = {
    "copy-source": MethodEntry(
        "copy-source", "the source picture itself: floor for pose, ceiling for texture", "floor",
        _copy_source,
    ),
    "mean-image": MethodEntry(
        "mean-image", "the mean of the training pictures, the same for every pair", "floor",
        _mean_image,
    ),
    "nearest-pose": MethodEntry(
        "nearest-pose", "the training picture of another person in the nearest pose", "floor",
        _nearest_pose, ("nearest-pose+flip", "nearest-pose-group", "nearest-pose-group+flip"),
    ),
    "limb-warp": MethodEntry(
        "limb-warp", "the source's body parts moved onto the target pose by affine maps", "floor",
        _limb_warp, ("limb-warp-max", "limb-warp-torso-only", "limb-warp-full"),
    ),
    "target-copy": MethodEntry(
        "target-copy", "the target picture itself: the best value of every metric", "ceiling",
        _target_copy,
    ),
    "dense-warp": MethodEntry(
        "dense-warp", "the source on the target's exact surface (embedded people only)", "ceiling",
        _dense_warp,
    ),
    "vae-roundtrip": MethodEntry(
        "vae-roundtrip", "the target through an autoencoder: ceiling of latent methods", "ceiling",
        _vae_roundtrip, ("vae-roundtrip-native",), latent=True,
    ),
    "dptn": MethodEntry(
        "dptn", "dual-task pose transformer network (CVPR 2022), one pass", "learned",
        _one_pass,
    ),
    "patn": MethodEntry(
        "patn", "progressive pose attention transfer (CVPR 2019), one pass", "learned", _one_pass,
    ),
    "nted": MethodEntry(
        "nted", "neural texture extraction and distribution (CVPR 2022), one pass", "learned",
        _one_pass,
    ),
    "cfld": MethodEntry(
        "cfld", "coarse-to-fine latent diffusion (CVPR 2024), sampled", "learned", _sampled,
        latent=True, draws=True,
    ),
    "pidm": MethodEntry(
        "pidm", "diffusion on pixels, style by cross attention (CVPR 2023), sampled", "learned",
        _sampled, draws=True,
    ),
    "patn-official": _official("patn-official", "the program of tengteng95/Pose-Transfer"),
    "dptn-official": _official(
        "dptn-official", "the program of PangzeCheung/Dual-task-Pose-Transformer-Network"
    ),
    "nted-official": _official(
        "nted-official", "the program of RenYurui/Neural-Texture-Extraction-Distribution"
    ),
    "pidm-official": _official("pidm-official", "the sampler of ankanbhunia/PIDM"),
    "cfld-official": _official("cfld-official", "the test script of YanzuoLu/CFLD"),
    "gfla-official": _official(
        "gfla-official", "the program of RenYurui/Global-Flow-Local-Attention"
    ),
    "adgan-official": _official("adgan-official", "the program of menyifang/ADGAN"),
    "pise-official": _official("pise-official", "the program of Zhangjinso/PISE"),
    "casd-official": _official("casd-official", "the program of xyzhouo/CASD"),
    "pocold-official": _official("pocold-official", "the script of BrandonHanx/PoCoLD"),
    "x-mdpt-official": _official("x-mdpt-official", "the script of trungpx/xmdpt"),
    "leffa-official": _official("leffa-official", "the predictor of franciszzj/Leffa"),
}  # fmt: skip


def learned_names() -> tuple[str, ...]:
    """Return the methods that take weights of their own."""
    return tuple(name for name, entry in METHODS.items() if entry.kind == "learned")


def external_names() -> tuple[str, ...]:
    """Return the methods that are the program of an official repository."""
    return tuple(name for name, entry in METHODS.items() if entry.kind == "external")


def entry_of(name: str) -> MethodEntry | None:
    """Return the entry of a method or variant, None where no baseline is called that."""
    entries = METHODS.values()
    return next((e for e in entries if name == e.name or name in e.variants), None)


def baseline_names() -> tuple[str, ...]:
    """Return every name `make_baseline` accepts, each method followed by its variants."""
    return tuple(name for entry in METHODS.values() for name in (entry.name, *entry.variants))


def make_baseline(
    name: str,
    resolution: tuple[int, int],
    gallery: Gallery | None = None,
    split_gallery: Gallery | None = None,
    vae: Path | None = None,
    kernel: str = "pil-bicubic-u8",
    device: str = "cpu",
    weights: Path | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    chunk: int = 8,
    given: Given | None = None,
    dataset: PairSet | None = None,
) -> Method:
    """Return the method `name` for pictures of `resolution` = (H, W).

    `gallery` is the training split (None where a dataset has none), `split_gallery` the evaluated
    one, `vae` a diffusers AutoencoderKL directory, `weights` the file or folder of a learned
    method; `steps`, `guidance` and `chunk` act on methods that draw at random. `given` is what the
    user has of an official repository, `dataset` the evaluated pairs. Raises InputError on an
    unknown name.
    """
    setting = Setting(
        resolution, gallery, split_gallery, vae, kernel, device, weights, steps, guidance, chunk,
        given, dataset,
    )  # fmt: skip
    entry = entry_of(name)
    if entry is not None:
        return entry.build(name, setting)
    names = baseline_names()
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise InputError(f"unknown method {name!r}, expected one of {', '.join(names)}{hint}")
