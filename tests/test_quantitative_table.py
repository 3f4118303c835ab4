"""The quantitative table: sources side by side, protocols marked, ranks, and what is not there."""

from dataclasses import replace

import pytest
from report_fixture import row
from table_fixture import UNKNOWN_WEIGHTS, build, cell, make_fashion, meaning, notes, texts

from pcdms_reports.paper_tables import read_runs
from pcdms_reports.paper_tables.published_cells import agree
from pcdms_reports.published import load_published
from pcdms_reports.records import RecordError
from pcdms_reports.scores import write_scores


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    return read_runs([make_fashion(tmp_path_factory.mktemp("fashion"))])


# Quantitative: published


@pytest.mark.parametrize(
    ("dataset", "resolution", "first", "last"),
    [
        ("deepfashion", "256x176", "Def-GAN", "IMAGPose"),
        ("deepfashion", "512x352", "CoCosNet-v2", "IMAGPose"),
        ("market1501", "128x64", "Def-GAN", "IMAGPose"),
    ],
)
def test_methods_stand_in_the_order_of_the_paper(dataset, resolution, first, last):
    table = build("quantitative", dataset=dataset, resolution=resolution)[0]
    labels = [line.label for line in table.rows]
    printed = [
        value.method
        for value in load_published("quantitative")
        if value.source == "IMAGPose (NeurIPS 2024) Table 1"
        and (value.dataset, value.resolution) == (dataset, resolution)
    ]
    assert labels[0] == first
    assert [label for label in labels if label in printed] == list(dict.fromkeys(printed))
    assert labels.index("PCDMs") < labels.index(last)


def test_sources_that_disagree_stand_in_one_cell_each_with_its_own_mark():
    table = build("quantitative")[0]
    found = cell(table, "GFLA", "LPIPS ↓")
    assert texts(found) == ["0.2341", "0.223"]
    assert [bool(number.mark) for number in found.numbers] == [False, True]
    assert "Leffa (arXiv 2412.08486) Table 3" in meaning(table, found.numbers[1])
    slip = cell(build("quantitative", resolution="512x352")[0], "CFLD", "LPIPS ↓")
    assert texts(slip) == ["0.1819", "0.152"]


def test_a_value_that_another_source_rounds_alike_is_shown_once():
    table = build("quantitative")[0]
    assert texts(cell(table, "PIDM", "LPIPS ↓")) == ["0.1678"]
    assert texts(cell(table, "CASD", "SSIM ↑")) == ["0.7248"]
    assert texts(cell(table, "CFLD", "SSIM ↑"))[:2] == ["0.7378", "0.737"]


def test_rounding_decides_agreement_and_another_protocol_never_agrees():
    ssim = {v.source: v for v in load_published("quantitative") if v.method == "CFLD"
            and v.resolution == "512x352" and v.metric == "SSIM"}  # fmt: skip
    first, second, third = ssim.values()
    assert agree(first, second)
    assert agree(second, third)
    assert not agree(first, replace(second, protocol="cfld"))
    assert not agree(first, replace(second, text="0.747"))
    assert agree(replace(first, text="0.2265"), replace(second, text="0.226"))


def test_values_of_another_protocol_carry_a_mark_that_names_it():
    table = build("quantitative")[0]
    for label, heading, protocol in (
        ("PIDM", "SSIM ↑", "pidm"), ("CFLD", "FID ↓", "cfld"), ("DPTN", "FID ↓", "dptn"),
    ):  # fmt: skip
        last = cell(table, label, heading).numbers[-1]
        assert f"protocol {protocol}" in meaning(table, last)
    for place in range(3):
        makings = {
            (meaning(table, number) == "", number.mark == "")
            for line in table.rows
            for number in line.cells[place].numbers
        }
        assert makings <= {(True, True), (False, False)}


def test_what_nobody_recorded_says_so_and_is_no_number():
    table = build("quantitative")[0]
    found = cell(table, "DiOr-large", "SSIM ↑")
    assert (found.text, found.numbers) == ("not recorded", ())
    assert texts(cell(table, "PATN", "SSIM ↑")) == ["0.671"]
    mcld = build("quantitative", resolution="512x352")[0]
    assert cell(mcld, "MCLD", "LPIPS ↓").text == "not recorded"


def test_best_and_second_best_are_of_one_source_and_follow_the_direction():
    table = build("quantitative")[0]
    ranked = {
        (column.heading, number.rank): line.label
        for line in table.rows
        for column, found in zip(table.columns, line.cells, strict=True)
        for number in found.numbers
        if number.rank
    }
    # Leffa's own LPIPS and FID are lower, but of another source.
    assert ranked == {
        ("SSIM ↑", 1): "IMAGPose", ("SSIM ↑", 2): "PCDMs",
        ("LPIPS ↓", 1): "IMAGPose", ("LPIPS ↓", 2): "PCDMs",
        ("FID ↓", 1): "IMAGPose", ("FID ↓", 2): "PIDM",
    }  # fmt: skip


def test_window_51_and_white_padding_never_stand_in_the_column_of_ssim():
    table, old = build("quantitative")
    values = [n.text for line in table.rows for n in line.cells[0].numbers]
    assert "0.6993" not in values
    assert not any(float(text) > 0.757 for text in values)
    note = notes(table, cell(table, "CFLD", "SSIM ↑").numbers[-1].notes)
    assert "0.6993, uniform window 51" in note
    assert texts(cell(old, "PATN", "SSIM ↑")) == ["0.773"]
    assert "compare with no other table" in old.caption


def test_real_data_bound_the_old_scale_without_a_rank():
    old = build("quantitative", dataset="market1501")[1]
    (real,) = [line for line in old.rows if line.label == "Real data †"]
    assert real.muted
    assert not any(number.rank for found in real.cells for number in found.numbers)


def test_footnotes_and_marks_are_numbered_as_a_reader_meets_them():
    for name in ("quantitative", "ablation", "compute", "reid"):
        for table in build(name):
            met = []
            for line in table.rows:
                met += line.notes
                for found in line.cells:
                    met += [note for number in found.numbers for note in number.notes]
                    met += found.notes
            assert list(dict.fromkeys(met)) == list(range(1, len(table.footnotes) + 1))


# Quantitative: measured


def measured(fashion, **choices):
    (table,) = build("quantitative", dataset="deepfashion", runs=fashion, **choices)
    return table


def lines_of(table, label, protocol):
    place = [column.title for column in table.columns].index("protocol")
    return [
        line for line in table.rows
        if line.label == label and line.cells[place].text == protocol
    ]  # fmt: skip


def test_each_protocol_and_selection_has_a_row_of_its_own_with_the_number_of_pairs(fashion):
    table = measured(fashion)
    for protocol in ("standard", "pcdms", "cfld"):
        (free,) = lines_of(table, "PCDMs", protocol)
        (oracle,) = lines_of(table, "PCDMs, oracle", protocol)
        assert [found.text for found in free.cells[:2]] == [protocol, "first"]
        assert oracle.cells[1].text == "oracle-ssim of 4"
        assert free.cells[2].numbers[0].text == "8570"
        assert oracle.block > free.block


def test_measured_numbers_of_several_makings_are_marked_and_ranked_apart(fashion):
    table = measured(fashion)
    place = [column.title for column in table.columns].index("SSIM ↑ measured")
    ranked: dict[str, list] = {}
    for line in table.rows:
        for number in line.cells[place].numbers:
            assert meaning(table, number).startswith(f"protocol {line.cells[0].text}, selection")
            if not line.muted:
                ranked.setdefault(number.mark, []).append((number.value, number.rank))
    assert len(ranked) == 6
    for numbers in ranked.values():
        best = sorted(numbers, reverse=True)
        expected = [1, 2] if len(numbers) > 1 else [0]
        assert [rank for _, rank in best][:2] == expected
        assert all(rank == 0 for _, rank in best[2:])


def test_the_difference_is_measured_minus_published_and_says_what_it_compares(fashion):
    table = measured(fashion)
    (line,) = lines_of(table, "DPTN", "standard")
    heads = [column.title for column in table.columns]
    gap = line.cells[heads.index("SSIM ↑ difference")].numbers[0]
    assert (gap.text, round(gap.value, 4)) == ("-0.0009", -0.0009)
    assert "published: unknown, measured: standard" in meaning(table, gap)
    assert "scatter" in " ".join(table.legend)


def test_fid_by_another_network_and_lpips_on_other_pixels_have_columns_of_their_own(fashion):
    table = measured(fashion)
    heads = [column.title for column in table.columns]
    (line,) = lines_of(table, "PCDMs", "standard")
    assert line.cells[heads.index("FID ↓ measured")].status == "absent"
    assert line.cells[heads.index("FID ↓ difference")].status == "absent"
    assert line.cells[heads.index("FID (TF Inception) ↓ measured")].numbers
    assert "FID (TF Inception) ↓ published" not in heads
    (line,) = lines_of(table, "PCDMs", "pcdms")
    assert line.cells[heads.index("LPIPS ↓ measured")].status == "absent"
    assert line.cells[heads.index("LPIPS on [0,1] ↓ measured")].numbers


def test_an_oracle_is_compared_with_no_published_number_but_that_of_pcdms(tmp_path):
    common = {"dataset": "deepfashion", "resolution": "256x176", "protocol": "standard",
              "selection": "oracle-ssim", "samples": 4}  # fmt: skip
    rows = [
        row("ssim", 0.75, run="a", method="pcdms", **common),
        row("ssim", 0.75, run="b", method="pidm", stages="final", stage="final", **common),
    ]
    write_scores(rows, tmp_path / "scores.csv")
    (table,) = build("quantitative", runs=read_runs([tmp_path / "scores.csv"]))
    assert cell(table, "PCDMs, oracle", "SSIM ↑ difference").numbers
    found = cell(table, "PIDM, oracle", "SSIM ↑ difference")
    assert not found.numbers
    assert "chosen by the true target" in notes(table, found.notes)
    assert any("Oracle:" in sentence for sentence in table.legend)


def test_a_number_measured_under_the_published_protocol_is_compared_with_that_one(tmp_path):
    common = {"dataset": "deepfashion", "resolution": "256x176", "protocol": "cfld"}
    write_scores([row("ssim", 0.7244, method="cfld", stages="final", stage="final", **common)],
                 tmp_path / "scores.csv")  # fmt: skip
    (table,) = build("quantitative", runs=read_runs([tmp_path / "scores.csv"]))
    gap = cell(table, "CFLD", "SSIM ↑ difference").numbers[0]
    assert gap.text == "+0.0010"
    assert gap.mark == ""


def test_white_padded_ssim_is_measured_in_a_column_of_its_own(tmp_path):
    common = {"dataset": "deepfashion", "resolution": "256x176", "stages": "final",
              "stage": "final"}  # fmt: skip
    rows = [
        row("ssim", 0.80, run="a", method="dptn", protocol="dptn", **common),
        row("ssim", 0.71, run="a", method="dptn", protocol="standard", **common),
        row("ssim", 0.77, run="a", method="dptn", protocol="patn", **common),
    ]
    write_scores(rows, tmp_path / "scores.csv")
    table, old = build("quantitative", runs=read_runs([tmp_path / "scores.csv"]))
    heads = [column.title for column in table.columns]
    found = {line.cells[0].text: line for line in table.rows if line.label == "DPTN"}
    assert set(found) == {"dptn", "standard"}
    assert not found["dptn"].cells[heads.index("SSIM ↑ measured")].numbers
    padded = heads.index("SSIM (white-padded) ↑ measured")
    assert found["dptn"].cells[padded].numbers[0].text == "0.8000"
    assert cell(old, "dptn", "SSIM ↑ measured").numbers[0].text == "0.7700"


def test_fewer_pairs_stand_in_the_row_and_a_metric_of_fewer_says_so(tmp_path):
    common = {"dataset": "deepfashion", "resolution": "256x176", "protocol": "standard",
              "n_expected": 8570}  # fmt: skip
    rows = [row("ssim", 0.7, n=8569, **common), row("lpips", 0.2, n=8512, **common)]
    write_scores(rows, tmp_path / "scores.csv")
    (table,) = build("quantitative", runs=read_runs([tmp_path / "scores.csv"]))
    assert texts(cell(table, "PCDMs", "pairs")) == ["8569 of 8570"]
    number = cell(table, "PCDMs", "LPIPS ↓ measured").numbers[0]
    assert "LPIPS: 8512 pairs" in notes(table, number.notes)


def test_a_metric_without_a_number_shows_why(fashion):
    table = measured(fashion, metrics=("st_lpips",), protocols=("standard",))
    found = cell(table, "PCDMs", "ST-LPIPS ↓ measured")
    assert (found.text, found.status) == ("n/a", "unavailable")
    assert notes(table, found.notes) == f"unavailable: {UNKNOWN_WEIGHTS}"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"dataset": "market1501"}, r"dataset market1501, .* there are deepfashion test 256x176"),
        ({"protocols": ("gfla",)}, r"protocol gfla; there are .* under cfld, pcdms, standard"),
        ({"metrics": ("psnr",)}, r"metric psnr; there are .* \(.*lpips.*ssim.*\)"),
        ({"split": "val"}, r"split val"),
        ({"resolution": "96x64"}, r"resolution '96x64' of deepfashion, expected one of 256x176"),
    ],
)
def test_an_empty_selection_is_refused_with_what_exists(fashion, choices, message):
    with pytest.raises(RecordError, match=message) as caught:
        build("quantitative", runs=fashion, **choices)
    assert "\n" not in str(caught.value)
