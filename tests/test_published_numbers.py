"""The shipped published numbers, and what a file of them may hold."""

import pytest

from pcdms_reports.published import (
    COLUMNS,
    FOLDER,
    PROTOCOLS,
    UNITS,
    load_published,
    read_published,
)
from pcdms_reports.records import RecordError

GOOD = {
    "method": "PCDMs", "venue": "ICLR", "year": "2024", "dataset": "deepfashion",
    "resolution": "256x176", "metric": "SSIM", "value": "0.7440", "unit": "none", "variant": "",
    "protocol": "unknown", "verified": "re-reported", "source": "IMAGPose Table 1", "note": "",
}  # fmt: skip


def written(path, *records):
    lines = [",".join(COLUMNS), *(",".join(record[name] for name in COLUMNS) for record in records)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_kind_is_shipped_and_nothing_else():
    assert {path.name for path in FOLDER.iterdir()} == {f"{kind}.csv" for kind in UNITS}
    counts = {kind: len(load_published(kind)) for kind in UNITS}
    assert counts == {
        "quantitative": 254, "ablation": 65, "reid": 28, "user_study": 5, "compute": 35,
        "facts": 10,
    }  # fmt: skip


@pytest.mark.parametrize("kind", UNITS)
def test_every_shipped_value_names_its_source_and_keeps_its_digits(kind):
    for value in load_published(kind):
        assert value.source
        assert value.unit == UNITS[kind][value.metric]
        assert float(value.text) == value.value


def test_the_headline_rows_are_the_ones_that_were_read():
    found = {
        (value.resolution, value.metric): value.text
        for value in load_published("quantitative")
        if value.method == "PCDMs"
    }
    assert found == {
        ("256x176", "SSIM"): "0.7444", ("256x176", "LPIPS"): "0.1365", ("256x176", "FID"): "7.4734",
        ("512x352", "SSIM"): "0.7601", ("512x352", "LPIPS"): "0.1475", ("512x352", "FID"): "7.5519",
        ("128x64", "SSIM"): "0.3169", ("128x64", "LPIPS"): "0.2238", ("128x64", "FID"): "13.897",
    }  # fmt: skip


def test_what_nobody_recorded_is_not_shipped():
    methods = {value.method for value in load_published("ablation")}
    assert not any(method.startswith("PCDMs") for method in methods)
    assert "PCDMs" not in {value.method for value in load_published("user_study")}
    assert "reID_100pct_real" not in {value.metric for value in load_published("reid")}


def test_protocols_are_the_ones_that_can_be_run():
    from pcdms_bench.protocols import PROTOCOLS as RUNNABLE

    assert set(PROTOCOLS) == {*RUNNABLE, "unknown"}


def test_digits_stay_as_printed(tmp_path):
    (value,) = read_published(written(tmp_path / "a.csv", GOOD), "quantitative")
    assert (value.text, value.value, value.origin) == ("0.7440", 0.744, "ICLR 2024")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "0,744"}, r"a\.csv:2: 14 fields, expected 13"),
        ({"value": "high"}, r"a\.csv:2: value 'high', expected a finite number"),
        ({"value": "inf"}, r"a\.csv:2: value 'inf', expected a finite number"),
        ({"value": ""}, r"a\.csv:2: value '', expected some text"),
        ({"metric": "ssim"}, r"a\.csv:2: metric 'ssim', expected one of SSIM, "),
        ({"unit": "dB"}, r"a\.csv:2: unit 'dB', expected 'none' for SSIM"),
        ({"dataset": "DeepFashion"}, r"a\.csv:2: dataset 'DeepFashion', expected one of deepfash"),
        ({"resolution": "176x256"}, r"a\.csv:2: resolution '176x256', expected one of 256x176"),
        ({"protocol": "mine"}, r"a\.csv:2: protocol 'mine', expected one of standard"),
        ({"verified": "yes"}, r"a\.csv:2: verified 'yes', expected one of paper"),
        ({"source": ""}, r"a\.csv:2: source '', expected some text"),
    ],
)
def test_a_wrong_value_is_refused_with_line_and_column(tmp_path, change, message):
    path = written(tmp_path / "a.csv", GOOD | change)
    with pytest.raises(RecordError, match=message) as caught:
        read_published(path, "quantitative")
    assert "\n" not in str(caught.value)


def test_wrong_columns_and_repeated_rows_are_refused(tmp_path):
    path = written(tmp_path / "a.csv", GOOD, GOOD)
    with pytest.raises(RecordError, match=r":3: SSIM of PCDMs from IMAGPose .* repeats line 2"):
        read_published(path, "quantitative")
    path.write_text(path.read_text().replace("verified", "checked"))
    with pytest.raises(RecordError, match=r":1: missing column 'verified'"):
        read_published(path, "quantitative")
    path.write_text(",".join((*COLUMNS, "mood")) + "\n")
    with pytest.raises(RecordError, match=r":1: surplus column 'mood'"):
        read_published(path, "quantitative")
    path.write_text(";".join(COLUMNS) + "\n")
    with pytest.raises(RecordError, match=r":1: columns parted by .*expected commas"):
        read_published(path, "quantitative")
