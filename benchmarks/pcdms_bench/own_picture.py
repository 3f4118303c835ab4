"""One's own picture: a picture file and a pose file in, a picture file out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcdms_data.types import InputError


def generate(
    source: str | Path,
    pose: str | Path,
    out: str | Path,
    source_pose: str | Path | None = None,
    preset: str = "tiny",
    weights: str | Path | None = None,
    stages: str = "prior+inpaint+refine",
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    device: str = "auto",
    vae: str | Path | None = None,
    encoders: Sequence[str | Path] = (),
) -> Path:
    """Write the person of `source` in the wanted pose to `out` (.png) and return its path.

    `pose` and `source_pose` are .json files of 18 key points or pictures whose key points are known
    (`pcdms_bench.pose_files`); `source_pose` defaults to those known for `source`. `steps` and
    `guidance` default to those of the weights, `weights` to the shipped model directory. `vae` and
    `encoders` are folders or cached hub ids of parts that the weights lack.

    Raises:
        InputError: a file, stage list or weight that cannot be used; the message names it.
    """
    from pcdms.part_sources import given_parts
    from pcdms.stages import parse_stages
    from pcdms_bench.device import resolve_device
    from pcdms_bench.model_files import weights_directory
    from pcdms_bench.pose_files import known_pose
    from pcdms_bench.progress import silence_libraries
    from pcdms_bench.spec import PRESETS
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.images import load_picture, save_picture
    from pcdms_data.types import Picture

    source, pose, out = Path(source), Path(pose), Path(out)
    if "truth" in parse_stages(stages) or stages == "prior":
        raise InputError(f"stages {stages}: expected stages that end in a picture, without truth")
    directory = weights_directory(
        check_choice("preset", preset, PRESETS), None if weights is None else Path(weights)
    )
    if out.suffix.lower() != ".png":
        raise InputError(f"{out}: expected a name ending in .png (pictures are lossless)")
    pixels = load_picture(Picture(source.name, source))
    poses = (
        known_pose(source if source_pose is None else Path(source_pose), "--source-pose"),
        known_pose(pose, "--pose"),
    )
    from pcdms.method import PCDMsMethod  # loads torch: after the cheap checks
    from pcdms.one_picture import generate_picture

    given = given_parts(vae, encoders)
    reason = PCDMsMethod(directory, stages=stages, given=given).unavailable()
    if reason is not None:
        raise InputError(reason)
    silence_libraries()
    made = generate_picture(
        directory,
        pixels,
        *poses,
        seed=seed,
        stages=stages,
        steps=steps,
        guidance=guidance,
        device=resolve_device(device),
        given=given,
    )
    save_picture(out, made)
    return out
