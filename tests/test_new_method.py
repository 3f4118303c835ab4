"""A method of one's own: the skeleton works where it is written, and a class runs from its file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench_fixture import call, error_line

from pcdms_baselines.methods import METHODS
from pcdms_bench.new_method import check_name, find_checkout, write_method
from pcdms_data.types import InputError
from pcdms_reports.scores import load_scores

ROOT = Path(__file__).parents[1]
LONGEST = "a-name-of-24-letters-all"


@pytest.fixture(autouse=True)
def registry():
    """Leave the registry of this process as it was."""
    known = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(known)


@pytest.fixture
def checkout(tmp_path):
    """What a checkout has that a new method touches, without its history."""
    home = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "baselines" / "pcdms_baselines", home / "baselines" / "pcdms_baselines",
        ignore=shutil.ignore_patterns("__pycache__", "pretrained", "*.safetensors"),
    )  # fmt: skip
    (home / "tests").mkdir()
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, home / name)
    return home


def inside(home, *words):
    """Run Python with the packages of the copy before those that are installed."""
    quiet = {"PYTHONPATH": str(home / "baselines"), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=home, env=os.environ | quiet, text=True,
        capture_output=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("cache")
def test_a_new_method_of_a_checkout_runs_and_its_test_passes(checkout):
    made = write_method("my-method", checkout, checkout=True)
    assert made.registry == checkout / "baselines" / "pcdms_baselines" / "methods.py"
    words = "run --methods my-method,copy-source --limit 4 --size smoke --metrics ssim --out runs"
    done = inside(checkout, "-m", "pcdms_bench", *words.split())
    assert done.returncode == 0, done.stderr
    frame = load_scores(checkout / "runs" / "scores.csv").set_index("method")
    assert frame.loc["my-method", ["status", "n"]].tolist() == ["ok", 4]
    assert frame.loc["my-method", "value"] != frame.loc["copy-source", "value"]
    done = inside(checkout, "-m", "pytest", "-q", "-n", "0", made.test)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


@pytest.mark.parametrize("name", ["a", "my-method", LONGEST])
def test_what_is_written_is_clean_whatever_the_name(name, checkout):
    made = write_method(name, checkout, checkout=True)
    assert made.row in made.registry.read_text()
    for words in (("check",), ("format", "--check")):
        done = inside(checkout, "-m", "ruff", *words, ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_what_is_written_has_types(checkout):
    made = write_method("my-method", checkout, checkout=True)
    done = inside(
        checkout, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", made.method.parent,
        made.registry,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_two_methods_can_be_added_and_the_old_ones_stay(checkout):
    before = (checkout / "baselines" / "pcdms_baselines" / "methods.py").read_text().splitlines()
    for name in ("first", "second"):
        write_method(name, checkout, checkout=True)
    after = (checkout / "baselines" / "pcdms_baselines" / "methods.py").read_text().splitlines()
    lines = iter(after)
    assert all(line in lines for line in before), "nothing is lost or moved"
    code = "from pcdms_baselines.methods import METHODS; print(*list(METHODS)[-2:])"
    assert inside(checkout, "-c", code).stdout.split() == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My-Method", "joined by -"), ("my_method", "joined by -"), ("../up", "joined by -"),
        ("-x", "joined by -"), ("", "joined by -"), (LONGEST + "x", "at most 24"),
        ("limb-warp", "taken"), ("nearest-pose-group", "taken"), ("pcdms", "taken"),
        ("all", "taken"), ("class", "word of Python"), ("json", "word of Python"),
    ],
)  # fmt: skip
def test_names_that_are_no_good_are_refused(name, words):
    with pytest.raises(InputError, match=words):
        check_name(name)


@pytest.mark.parametrize("taken", ["my_method", "my_method.py", "test"])
def test_nothing_is_overwritten(taken, checkout):
    home = checkout / "baselines" / "pcdms_baselines"
    path = checkout / "tests" / "test_my_method.py" if taken == "test" else home / taken
    path.parent.mkdir(exist_ok=True)
    path.mkdir() if taken == "my_method" else path.write_text("mine")
    before = {p: p.read_bytes() for p in checkout.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="is there already"):
        write_method("my-method", checkout, checkout=True)
    assert before == {p: p.read_bytes() for p in checkout.rglob("*") if p.is_file()}


def test_a_registry_of_another_form_is_left_alone(checkout):
    registry = checkout / "baselines" / "pcdms_baselines" / "methods.py"
    registry.write_text("OTHERS = {}\n")
    with pytest.raises(InputError, match="METHODS was not found"):
        write_method("my-method", checkout, checkout=True)
    assert not (checkout / "tests" / "test_my_method.py").exists()


def test_a_checkout_is_found_from_below(checkout, tmp_path):
    (checkout / "docs" / "deep").mkdir(parents=True)
    assert find_checkout(checkout / "docs" / "deep") == checkout
    (tmp_path / "elsewhere").mkdir()
    assert find_checkout(tmp_path / "elsewhere") is None


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A new method outside of any checkout, by the command."""
    monkeypatch.chdir(tmp_path)
    result = call("new-method", "my-method")
    assert result.exit_code == 0, result.output
    return result


def run(out, *methods, **words):
    options = [word for key, value in words.items() for word in (f"--{key}", value)]
    return call(
        "run", "--size", "smoke", "--limit", 3, "--metrics", "ssim", "--device", "cpu", "--out",
        out, "--methods", ",".join(methods), *options,
    )  # fmt: skip


@pytest.mark.usefixtures("cache")
def test_outside_a_checkout_the_method_runs_from_its_file(own, tmp_path):
    named = "my_method/method.py:MyMethod"
    assert f"--methods {named}" in own.stdout
    assert '"my-method": MethodEntry(' in own.stdout
    result = run("runs", named, "copy-source")
    assert result.exit_code == 0, result.output
    frame = load_scores(tmp_path / "runs" / "scores.csv")
    assert set(frame["method"]) == {"my-method", "copy-source"}
    first = list((tmp_path / "runs").glob("*/my-method/*"))
    pictures = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*.png")}
    assert run("runs", named).exit_code == 0
    assert pictures == {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*.png")}
    file = tmp_path / "my_method" / "method.py"
    file.write_text(
        file.read_text().replace("return np.asarray(moved", "return 255 - np.asarray(moved")
    )
    assert run("runs", named).exit_code == 0
    second = [p for p in (tmp_path / "runs").glob("*/my-method/*") if p not in first]
    assert len(second) == 1, "changed code is another run"
    path = next(second[0].rglob("*.png"))
    assert path.read_bytes() != (first[0] / path.relative_to(second[0])).read_bytes()


def test_the_test_outside_a_checkout_passes_too(own, tmp_path):
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_method"], env=quiet,
        cwd=tmp_path, text=True, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert "5 passed" in done.stdout, done.stdout


@pytest.mark.usefixtures("cache")
def test_the_ten_lines_of_the_readme_are_a_method(tmp_path):
    readme = (ROOT / "README.md").read_text()
    code = next(part for part in readme.split("```python\n")[1:] if "class Mirrored" in part)
    code = code.split("```")[0]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith("from ")]) <= 10
    (tmp_path / "mirrored.py").write_text(code)
    result = run(tmp_path / "runs", f"{tmp_path / 'mirrored.py'}:Mirrored")
    assert result.exit_code == 0, result.output
    frame = load_scores(tmp_path / "runs" / "scores.csv")
    assert frame["n"].tolist() == [3]


def test_a_second_call_is_refused(own, tmp_path):
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    result = call("new-method", "my-method")
    assert result.exit_code == 2
    assert "is there already" in error_line(result)
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


CLASS = """class Own:
    name, stages = "own-one", ("final",)

    def __init__(self, resolution): ...
    def unavailable(self): return None
    def generate(self, pairs, out, seed, samples=1): return {}
"""


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "no file"),
        ("import nothing_of_this_name", "cannot be loaded: ModuleNotFoundError"),
        ("def broken(:", "cannot be loaded: SyntaxError"),
        ("class Other: ...", "has no class 'Own'"),
        ("class Own: ...", "its name is None"),
        (CLASS.replace("own-one", "all"), "its name is 'all'"),
        (CLASS.replace("own-one", "../up"), "its name is '../up'"),
        (CLASS.replace("own-one", "limb-warp"), "the name limb-warp is taken"),
        (CLASS.replace("def generate", "def other"), "lacks generate"),
        (CLASS.replace("self, resolution", "self"), "is called with"),
    ],
)
def test_a_file_that_is_no_method_is_one_clear_line(code, words, tmp_path):
    if code is not None:
        (tmp_path / "own.py").write_text(code)
    result = run(tmp_path / "runs", f"{tmp_path / 'own.py'}:Own")
    assert result.exit_code == 2
    assert words in error_line(result)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("cache")
def test_a_method_that_leaves_nothing_fails_its_pairs(tmp_path):
    (tmp_path / "own.py").write_text(CLASS)
    result = run(tmp_path / "runs", f"{tmp_path / 'own.py'}:Own")
    assert result.exit_code == 1
    assert "stage final left no picture" in result.stderr
