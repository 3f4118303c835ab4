"""Bundles: the same bytes for the same runs, every change found, every number scored again."""

import csv
import hashlib
import io
import json
import zipfile
from shutil import copytree

import pytest
from bench_fixture import call, error_line, save_folder_dataset

from pcdms_bench.bundle import reading
from pcdms_bench.bundle.manifest import NAME
from pcdms_bench.bundle.shortening import shortened, shortened_json, shortened_table
from pcdms_bench.generation import stored_embeddings
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread", "cache")
METRICS = "ssim,psnr,masked_l1,fd_efficientnet_lite0,seconds_per_picture"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("runs")
    words = ("--size", "smoke", "--limit", 4, "--methods", "copy-source,target-copy")
    result = call("run", *words, "--metrics", METRICS, "--device", "cpu", "--out", out)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def full(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "full.zip"
    result = call("report", runs, "--bundle", path, "--pictures")
    assert result.exit_code == 0, result.output
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def listed(contents):
    """Return the members with a manifest that fits them again, as a forger would leave it."""
    manifest = json.loads(contents[NAME])
    manifest["files"] = [
        {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
        if name != NAME
    ]
    return contents | {NAME: json.dumps(manifest).encode()}


def edited(table, change):
    """Return a CSV with `change` (a function of one row, as a dict) done to every row."""
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    for row in rows:
        change(row)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def test_equal_runs_in_another_place_give_equal_bytes(runs, full, tmp_path):
    copytree(runs, tmp_path / "elsewhere")
    again = tmp_path / "again.zip"
    assert call("report", tmp_path / "elsewhere", "--bundle", again, "--pictures").exit_code == 0
    assert again.read_bytes() == full.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["again.zip"]


def test_the_files_of_a_run_are_in_as_they_are_with_their_hashes(runs, full):
    held = members(full)
    manifest = json.loads(held[NAME])
    assert [each["path"] for each in manifest["files"]] == [name for name in held if name != NAME]
    for each in manifest["files"]:
        content = (runs / each["path"]).read_bytes()
        assert held[each["path"]] == content
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
    assert sum(name.endswith(".png") for name in held) == 8
    assert {name.rpartition("/")[2] for name in held if not name.endswith(".png")} == {
        NAME, "spec.json", "environment.json", "status.json", "scores.csv", "pairs.csv",
        "slices.csv",
    }  # fmt: skip


def test_every_number_of_the_pictures_is_confirmed(full):
    result = call("score", full, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "confirmed: 7 numbers and 24 values per pair agree" in result.stdout
    shown = json.loads(call("score", full, "--json", "--device", "cpu").stdout)
    assert shown["confirmed"] is True
    numbers = [number for run in shown["runs"] for number in run["numbers"]]
    assert {number["verdict"] for number in numbers} == {"agrees", "empty as stored"}
    assert {number["metric"] for number in numbers} == set(METRICS.split(",")[:4])
    assert all(sum(run["left_out"].values()) == 1 for run in shown["runs"])  # the seconds
    assert all(run["slices"][0] == run["slices"][1] > 0 for run in shown["runs"])


def test_a_single_run_without_pictures_has_its_hashes_confirmed_and_says_so(runs, tmp_path):
    folder = next(runs.glob("*/copy-source/*"))
    path = tmp_path / "plain.zip"
    assert call("report", folder, "--bundle", path).exit_code == 0
    result = call("score", path)
    assert result.exit_code == 0
    assert "hashes: all 6 files" in result.stdout
    assert "no number can be confirmed: the bundle holds no pictures" in result.stdout


def test_a_number_that_was_made_up_is_found_although_its_hash_fits(full, tmp_path):
    held = members(full)
    scores = next(name for name in held if "copy-source" in name and name.endswith("scores.csv"))

    def better(row):
        if row["metric"] == "ssim":
            row["value"] = repr(float(row["value"]) + 0.001)

    forged = listed(held | {scores: edited(held[scores], better)})
    result = call("score", write(tmp_path / "forged.zip", forged), "--device", "cpu")
    assert result.exit_code == 1
    assert "NOT confirmed" in result.stdout
    assert "numbers that differ: 1" in result.stdout
    lines = [line for line in result.stdout.splitlines() if "differs" in line]
    assert len(lines) == 1
    assert "SSIM" in lines[0]
    wide = call("score", tmp_path / "forged.zip", "--device", "cpu", "--tolerance", "0.1")
    assert wide.exit_code == 0


def test_a_value_of_one_pair_and_a_picture_that_lacks_are_found(full, tmp_path):
    held = members(full)
    pairs = next(name for name in held if "copy-source" in name and name.endswith("pairs.csv"))
    first = []

    def change(row):
        if row["metric"] == "masked_l1" and not first:
            first.append(row["pair"])
            row["value"] = "0.5"

    result = call(
        "score",
        write(tmp_path / "a.zip", listed(held | {pairs: edited(held[pairs], change)})),
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "1 of 4 values per pair differ" in " ".join(result.stdout.split())
    gone = next(name for name in held if "copy-source" in name and name.endswith(".png"))
    less = listed({name: content for name, content in held.items() if name != gone})
    result = call("score", write(tmp_path / "b.zip", less), "--device", "cpu", "--json")
    assert result.exit_code == 1
    verdicts = {n["metric"]: n["verdict"] for n in json.loads(result.stdout)["runs"][0]["numbers"]}
    assert set(verdicts.values()) == {"differs"}


def test_a_sample_chosen_otherwise_and_damaged_embeddings_are_found(tmp_path):
    words = ("--size", "smoke", "--limit", 2, "--methods", "copy-source", "--metrics", "ssim")
    oracle = ("--samples", 2, "--selection", "oracle-ssim", "--device", "cpu")
    assert call("run", *words, *oracle, "--out", tmp_path / "runs").exit_code == 0
    path = tmp_path / "a.zip"
    assert call("report", tmp_path / "runs", "--bundle", path, "--pictures").exit_code == 0
    assert "chosen samples: 2 of 2 agree" in call("score", path, "--device", "cpu").stdout
    held = members(path)
    name = next(name for name in held if name.endswith("selection.csv"))
    forged = edited(held[name], lambda row: row.update(sample="1"))
    result = call("score", write(path, listed(held | {name: forged})), "--device", "cpu")
    assert result.exit_code == 1
    assert "chosen samples that differ: 2" in result.stdout
    (tmp_path / "embeddings.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="not readable as stored embeddings"):
        stored_embeddings(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held, name: held | {name: held[name] + b" "}, "has another size"),
        (lambda held, name: held | {name: b"x" + held[name][1:]}, "was changed (SHA-256"),
        (lambda held, name: {k: v for k, v in held.items() if k != name}, "is missing"),
        (lambda held, name: held | {"more.txt": b"x"}, "is not in the manifest"),
        (lambda held, name: held | {"../more.txt": b"x"}, "leads out of its folder"),
        (lambda held, name: {k: v for k, v in held.items() if k != NAME}, "holds no manifest.json"),
        (lambda held, name: held | {NAME: b"{"}, "is no JSON"),
        (
            lambda held, name: (
                held | {NAME: held[NAME].replace(b'"version": 1', b'"version": 9', 1)}
            ),
            "a bundle of version 9, expected 1",
        ),
        (lambda held, name: listed(held | {"run.pkl": b"x"}), "is no file of one of its runs"),
        (
            lambda held, name: listed(held | {name.replace("spec.json", "samples/x.png"): b"x"}),
            "is no file of one of its runs",
        ),
        (
            lambda held, name: listed(
                held | {name: held[name].replace(b'"seed": 0', b'"seed": 1')}
            ),
            "is the specification of",
        ),
    ],
)
def test_what_was_changed_is_refused_in_one_line_with_exit_code_2(full, tmp_path, change, words):
    held = members(full)
    name = next(name for name in held if name.endswith("spec.json"))
    result = call("score", write(tmp_path / "bad.zip", change(held, name)))
    assert result.exit_code == 2
    line = error_line(result)
    assert words in line
    assert str(tmp_path / "bad.zip") in line


def test_a_link_in_a_bundle_is_refused(full, tmp_path):
    held = members(full)
    name = next(name for name in held if name.endswith(".png"))
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        for each, content in held.items():
            entry = zipfile.ZipInfo(each)
            entry.external_attr = (0o120777 if each == name else 0o100644) << 16
            archive.writestr(entry, content)
    assert "is a link" in error_line(call("score", tmp_path / "link.zip"))


def test_a_bomb_is_refused_before_anything_is_read(full, tmp_path, monkeypatch):
    held = members(full)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (held | {"zeros": bytes(1 << 26)}).items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match=r"unpack to .*, expected 200 times as many at most"):
        reading.check_bundle(tmp_path / "bomb.zip")
    monkeypatch.setattr(reading, "MOST_FILES", 5)
    with pytest.raises(InputError, match="files, expected 5 at most"):
        reading.check_bundle(full)
    monkeypatch.setattr(reading, "MOST_FILES", 500)
    monkeypatch.setattr(reading, "LARGEST_BUNDLE", 100)
    with pytest.raises(InputError, match="bytes, expected 100 at most"):
        reading.check_bundle(full)


def test_paths_of_the_machine_stay_out_and_another_machine_gives_its_root(tmp_path):
    data = save_folder_dataset(tmp_path / "secret" / "data")
    out = tmp_path / "runs"
    words = ("--dataset", "folder", "--root", data, "--metrics", "ssim,psnr", "--device", "cpu")
    assert call("run", *words, "--methods", "copy-source", "--out", out).exit_code == 0
    path = tmp_path / "bundle.zip"
    result = call("report", out, "--bundle", path, "--pictures")
    assert "status.json: paths of this machine were cut" in result.stderr
    assert not any(str(tmp_path).encode() in content for content in members(path).values())
    data.rename(tmp_path / "moved")
    result = call("score", path, "--device", "cpu")
    assert result.exit_code == 2
    assert "give --root DIR" in error_line(result)
    result = call("score", path, "--root", tmp_path / "moved", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "confirmed: 2 numbers" in result.stdout


def test_only_absolute_paths_are_cut():
    assert shortened("picture /home/a/x.png cannot be read") == "picture …/x.png cannot be read"
    assert shortened("'/data/sets/' and C:\\Users\\me\\w.pth") == "'…/sets' and …/w.pth"
    for text in ("6 pictures/s", "ssim/psnr", "see https://a.org/b/c", "runs/people-test/x", "1/2"):
        assert shortened(text) == text
    assert shortened_json(b'{"a": ["b", {"c": 1}]}') == b'{"a": ["b", {"c": 1}]}'
    assert json.loads(shortened_json(b'{"a": ["/b/c/d", 1]}')) == {"a": ["…/d", 1]}
    table = shortened_table(b"x,reason\n/a/b,/a/b: no\n", "reason")
    assert table.decode() == "x,reason\n/a/b,…/b: no\n"


def test_what_cannot_be_bundled_or_chosen_is_said_in_one_line(runs, full, tmp_path):
    unscored = tmp_path / "unscored"
    folder = next(runs.glob("*/copy-source/*"))
    copytree(folder, unscored)
    (unscored / "scores.csv").unlink()
    copytree(folder, tmp_path / "copy")
    zipped = tmp_path / "a.zip"
    for words, message in (
        (("report", unscored, "--bundle", zipped), "no scores.csv, expected a run that was scored"),
        (("report", runs, tmp_path / "copy", "--bundle", zipped), "are the same run"),
        (("report", runs, "--bundle", tmp_path / "a.tar"), "ends in .zip"),
        (("report", runs, "--pictures"), "only with --bundle"),
        (("report", runs, "--bundle", zipped, "--out", tmp_path), "holds no page"),
        (("score", full, "--metrics", "ssim"), "--metrics: a bundle is scored as it was"),
        (("score", runs, "--tolerance", "0.1"), "only with a bundle"),
    ):
        result = call(*words)
        assert result.exit_code == 2, words
        assert message in error_line(result)
    assert not zipped.exists()
