"""Check what a built wheel holds: `check_wheel.py dist/*.whl`, exit 1 with a line per fault.

With `--constraints` it prints the exact versions of the tested set instead, one a line, for an
environment in which the wheel is tried alone.
"""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
LIMIT_MB = 75
"""40 MB for the checkpoint of PCDMs, 10 for each of three baselines, 5 for all else."""
PARTS = ("prior", "inpaint", "refine", "vae", "image_encoder", "source_encoder")
CHECKPOINT = "pcdms/pretrained/people-tiny"
NEEDED = (
    f"{CHECKPOINT}/pipeline.json",
    *(f"{CHECKPOINT}/{part}/config.json" for part in PARTS),
    *(
        f"pcdms_baselines/pretrained/{name}-tiny/{file}"
        for name in ("dptn", "cfld", "pidm")
        for file in ("config.json", "model.safetensors")
    ),
    "pcdms/py.typed",
    "pcdms_data/py.typed",
    "pcdms_baselines/py.typed",
    "pcdms_reports/py.typed",
    "pcdms_bench/py.typed",
    "pcdms_data/people/mesh.npz",
    "pcdms_data/people/MESH-LICENSE.md",
    "pcdms_reports/templates/report.html.j2",
    "pcdms_reports/templates/report.css",
    "pcdms_reports/templates/report.js",
    "pcdms_reports/templates/table.html.j2",
    "pcdms_reports/published/quantitative.csv",
    *(f"pcdms_bench/skeleton/{name}.txt" for name in ("package", "method", "test")),
    *(
        f"pcdms_bench/study/templates/{name}"
        for name in (
            "page.html.j2",
            "start.html.j2",
            "question.html.j2",
            "end.html.j2",
            "problem.html.j2",
            "study.css",
            "study.js",
        )
    ),
    "pcdms_bench/weights/stlpips_alex.safetensors",
    "pcdms_bench/weights/LICENSE-stlpips.txt",
)


def settings() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package_folders() -> dict[str, str]:
    """Folder in the repository -> name of the package, of every package in the wheel."""
    folders = settings()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return {folder: PurePosixPath(folder).name for folder in folders}


def tracked_files() -> set[str]:
    """Every tracked file of the packages, by the path it must have in the wheel."""
    expected = set()
    for folder, package in package_folders().items():
        listed = subprocess.run(
            ["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            expected.add(f"{package}/{PurePosixPath(name).relative_to(folder)}")
    return expected


def faults(wheel: Path) -> list[str]:
    """What is wrong with the wheel, a line each."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
        size_mb = wheel.stat().st_size / 1e6
    content = {name for name in held if ".dist-info/" not in name}
    expected = tracked_files()
    found = [f"tracked, but not in the wheel: {name}" for name in sorted(expected - content)]
    found += [f"in the wheel, but not tracked: {name}" for name in sorted(content - expected)]
    found += [f"needed, but not in the wheel: {name}" for name in NEEDED if name not in content]
    for part in PARTS:
        folder = f"{CHECKPOINT}/{part}/"
        if not any(n.startswith(folder) and n.endswith(".safetensors") for n in content):
            found.append(f"needed, but not in the wheel: {folder}*.safetensors")
    top = {name.split("/")[0] for name in content}
    found += [f"top-level folder in the wheel: {name}" for name in top - {*tops()}]
    if not any(name.endswith("/licenses/LICENSE") for name in held):
        found.append("the licence is not in the wheel")
    if size_mb > LIMIT_MB:
        found.append(f"the wheel has {size_mb:.1f} MB, expected at most {LIMIT_MB}")
    return found


def tops() -> set[str]:
    return set(package_folders().values())


def main(words: list[str]) -> int:
    if words == ["--constraints"]:
        sys.stdout.write("\n".join(settings()["tool"]["uv"]["constraint-dependencies"]) + "\n")
        return 0
    if len(words) != 1:
        sys.stderr.write("usage: check_wheel.py WHEEL | --constraints\n")
        return 2
    wheel = Path(words[0])
    found = faults(wheel)
    for line in found:
        sys.stderr.write(f"{line}\n")
    if not found:
        sys.stdout.write(f"{wheel.name}: complete, {wheel.stat().st_size / 1e6:.1f} MB\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
