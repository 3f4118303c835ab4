"""Score files, per-stage tables, plots and the report page, on a synthetic output folder."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_fixture import FEW, IDENTICAL, NO_WEIGHTS, PAIRS, make_runs, row, save

from pcdms_reports import load_scores, merge_scores, stage_table, stage_tables, write_report
from pcdms_reports.metric_words import METRIC_WORDS, words_of
from pcdms_reports.nearest import nearest_targets
from pcdms_reports.pictures import picture_uri
from pcdms_reports.plots import metric_figure, metric_svg
from pcdms_reports.records import COLUMNS, RecordError
from pcdms_reports.scores import to_frame, to_rows, write_scores
from pcdms_reports.stage_model import stage_model
from pcdms_reports.table_formats import to_markdown


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def page(out):
    write_report(out, out / "report.html")
    return (out / "report.html").read_text(encoding="utf-8")


def ranks(frame, metric):
    table = stage_table(frame, [metric])
    return {line.label: line.cells[0].rank for line in table.rows}


def baseline(method, metric, value, **changes):
    fields = {"run": f"run-{method}", "method": method, "stages": "final", "stage": "final"}
    return row(metric, value, **(fields | changes))


# Score files


def test_written_rows_read_back_equal(tmp_path):
    rows = [
        row("ssim", 0.1 + 0.2, ci_low=1e-17, ci_high=1 / 3, reason='comma, "quote"\nand line'),
        row("lpips", None, status="unavailable", reason="no weights"),
        row("fid", -0.0, seed=-1, status="indicative", reason="ä few"),
    ]
    write_scores(rows, tmp_path / "scores.csv")
    assert to_rows(load_scores(tmp_path / "scores.csv")) == rows


def test_a_loaded_frame_written_again_is_the_same_file(out, tmp_path):
    write_scores(load_scores(out / "scores.csv"), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (out / "scores.csv").read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["again.csv"]


def test_columns_are_typed(out):
    frame = load_scores(out / "scores.csv")
    assert tuple(frame.columns) == COLUMNS
    assert all(frame[name].dtype == "int64" for name in ("n", "n_expected", "samples", "seed"))
    assert all(frame[name].dtype == "float64" for name in ("value", "ci_low", "ci_high"))
    assert all(isinstance(frame[name].dtype, pd.StringDtype) for name in ("run", "reason"))
    assert not frame["extractor"].isna().any()


def test_a_file_of_a_header_alone_is_an_empty_typed_frame(tmp_path):
    write_scores([], tmp_path / "scores.csv")
    frame = load_scores(tmp_path / "scores.csv")
    assert len(frame) == 0
    assert frame["n"].dtype == "int64"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [lines[0].replace(",seed", ""), *lines[1:]], ":1: missing column 'seed'"),
        (lambda lines: [lines[0] + ",mood", *lines[1:]], ":1: surplus column 'mood'"),
        (lambda lines: [*lines, lines[1]], ":3: ssim of pcdms .* repeats line 2"),
        (lambda lines: [lines[0], lines[1].replace(",ok,", ",fine,")], ":2: status 'fine'"),
        (lambda lines: [lines[0], lines[1].replace("0.5", "half")], ":2: value 'half'"),
        (lambda lines: [lines[0], lines[1].replace("0.5", "nan")], ":2: value 'nan'"),
        (lambda lines: [lines[0], lines[1].replace("0.5", "")], ":2: ssim: status ok with value"),
        (lambda lines: [lines[0], lines[1].replace(",5,5,", ",5,many,")], ":2: n_expected 'many'"),
        (lambda lines: [lines[0], lines[1].replace(",refine,", ",polish,")], ":2: stage 'polish'"),
        (
            lambda lines: [lines[0], lines[1].replace(",first,", ",best,")],
            ":2: selection 'best', exp",
        ),
        (
            lambda lines: [lines[0], lines[1].replace(",0.5,,,", ",0.5,0.9,0.1,")],
            ":2: ci_low 0.9, expected at most ci_high 0.1",
        ),
        (
            lambda lines: [line.replace(",", ";") for line in lines],
            ":1: columns parted by 'run;meth",
        ),
        (lambda lines: [lines[0].replace(",seed", ",draw"), lines[1]], "a score file of schema 1"),
        (lambda lines: [lines[0], lines[1] + ",more"], ":2: 23 fields, expected 22"),
        (lambda lines: [], "empty file"),
    ],
)
def test_a_damaged_file_is_refused_with_file_and_line(tmp_path, change, message):
    path = tmp_path / "scores.csv"
    write_scores([row("ssim", 0.5)], path)
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(RecordError, match=message) as caught:
        load_scores(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_that_holds_nothing_is_no_row(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores([row("ssim", 0.5)], path)
    path.write_text(path.read_text() + "\n\n")
    assert len(load_scores(path)) == 1


def test_a_missing_file_and_bytes_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(RecordError, match="expected a score file"):
        load_scores(tmp_path / "none.csv")
    (tmp_path / "scores.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="not readable as a CSV file"):
        load_scores(tmp_path / "scores.csv")


def test_merging_keeps_every_row_and_refuses_a_row_in_two_files(out, tmp_path):
    paths = sorted(out.glob("*/*/*/scores.csv"))
    merged = merge_scores(paths)
    assert len(merged) == sum(len(load_scores(path)) for path in paths)
    with pytest.raises(RecordError, match="stands in"):
        merge_scores([paths[0], paths[0]])


def test_nothing_is_written_when_a_row_is_given_twice(tmp_path):
    with pytest.raises(RecordError, match="given twice"):
        write_scores([row(), row()], tmp_path / "scores.csv")
    with pytest.raises(RecordError, match="finite"):
        write_scores([row("psnr", float("inf"))], tmp_path / "scores.csv")
    assert not list(tmp_path.iterdir())


def test_records_are_imported_without_anything_heavy():
    code = (
        "import sys, pcdms_reports, pcdms_reports.records;"
        "print([m for m in ('pandas', 'numpy', 'matplotlib', 'jinja2', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Tables


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("ssim", {"pcdms · refine": 0.7, "a": 0.6, "b": 0.8}, ["b", "pcdms · refine"]),
        ("masked_l1", {"pcdms · refine": 0.07, "a": 0.06, "b": 0.08}, ["a", "pcdms · refine"]),
        ("fd_anything", {"pcdms · refine": 7.0, "a": 6.0, "b": 8.0}, ["a", "pcdms · refine"]),
        ("gradient_ratio", {"pcdms · refine": 0.9, "a": 1.05, "b": 2.0}, ["a", "pcdms · refine"]),
    ],
)
def test_ranks_follow_the_direction_of_the_metric(metric, values, best):
    rows = [row(metric, values["pcdms · refine"])]
    rows += [baseline(name, metric, values[name]) for name in ("a", "b")]
    found = ranks(to_frame(rows), metric)
    assert [found[name] for name in best] == [1, 2]
    assert sorted(found.values()) == [0, 1, 2]


def test_equal_numbers_share_a_rank_and_counts_have_none():
    rows = [baseline("a", "ssim", 0.5), baseline("b", "ssim", 0.5), baseline("c", "ssim", 0.4)]
    assert ranks(to_frame(rows), "ssim") == {"a": 1, "b": 1, "c": 2}
    rows = [baseline("a", "ssim", 0.50001), baseline("b", "ssim", 0.50002)]
    assert ranks(to_frame(rows), "ssim") == {"a": 1, "b": 1}
    rows = [baseline("a", "parameters", 5.0), baseline("b", "parameters", 6.0)]
    assert ranks(to_frame(rows), "parameters") == {"a": 0, "b": 0}


def test_rows_that_use_the_target_are_shown_last_and_never_ranked():
    rows = [
        baseline("target-copy", "ssim", 1.0),
        row("ssim", 0.9, run="truthrun", stages="truth+inpaint", stage="inpaint"),
        row("ssim", 0.7),
        baseline("a", "ssim", 0.6),
    ]
    table = stage_table(to_frame(rows))
    assert [line.bound for line in table.rows] == [False, False, True, True]
    assert [line.cells[0].rank for line in table.rows] == [1, 2, 0, 0]


def test_a_refined_method_stands_below_its_method_under_one_name():
    refined = {"stages": "final+refine", "stage": "refine"}
    rows = [
        baseline("target-copy", "ssim", 1.0),
        baseline("a", "ssim", 0.5),
        baseline("a+flip", "ssim", 0.6),
        baseline("a+refine", "ssim", 0.7, run="over", **refined),
        baseline("target-copy+refine", "ssim", 0.8, run="top", **refined),
    ]
    table = stage_table(to_frame(rows))
    assert [(line.label, line.bound) for line in table.rows] == [
        ("a", False), ("a+refine", False), ("a+flip", False), ("target-copy", True),
        ("target-copy+refine", True),
    ]  # fmt: skip
    assert [line.cells[0].rank for line in table.rows] == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(
    ("column", "other"),
    [("dataset", "deepfashion"), ("split", "val"), ("protocol", "pcdms"), ("resolution", "256x176"),
     ("selection", "oracle-ssim")],
)  # fmt: skip
def test_numbers_that_do_not_compare_never_share_a_table(column, other):
    frame = to_frame([row(), row(run="other", **{column: other})])
    with pytest.raises(RecordError, match=column) as caught:
        stage_table(frame)
    assert other in str(caught.value)
    assert len(stage_tables(frame)) == 2


def test_two_numbers_for_one_cell_are_refused():
    with pytest.raises(RecordError, match="two numbers"):
        stage_table(to_frame([row(), row(samples=4)]))


def test_rows_without_a_protocol_join_the_table_of_their_dataset():
    frame = to_frame([row(), row("parameters", 5.0, protocol="", resolution="")])
    groups = [table.columns[0].group for table in stage_tables(frame)]
    assert groups == ["pictures", "cost"]


@pytest.mark.parametrize(
    "change", [{"n": 9, "n_expected": 9}, {"extractor": "x@1"}, {"reference": "train:7"}]
)
def test_a_column_of_unlike_numbers_is_not_ranked_and_says_why(change):
    table = stage_table(to_frame([baseline("a", "fid", 5.0), baseline("b", "fid", 4.0, **change)]))
    assert all(line.cells[0].rank == 0 for line in table.rows)
    assert any("not ranked" in note for note in table.footnotes)


def test_a_missing_number_is_never_zero_and_carries_its_reason(out):
    table = stage_tables(load_scores(out / "scores.csv"))[0]
    index = [words.name for words in table.columns].index("lpips")
    for line in table.rows:
        cell = line.cells[index]
        assert (cell.text, cell.value, cell.status) == ("n/a", None, "unavailable")
        assert NO_WEIGHTS in table.footnotes[cell.notes[0] - 1]


def test_fewer_pairs_than_expected_show_in_the_row():
    table = stage_table(to_frame([row(n=4, reason="a.png cannot be decoded")]))
    assert table.rows[0].count == "4 of 5"
    assert "a.png" in table.footnotes[0]


def test_runs_of_one_method_keep_distinct_labels():
    rows = [row(run="aaaa"), row(run="bbbb"), row(run="cccc", stages="inpaint", stage="inpaint")]
    labels = [line.label for line in stage_table(to_frame(rows)).rows]
    assert len(set(labels)) == 3
    assert any("bbbb" in label for label in labels)


def test_the_compact_table_drops_empty_columns_but_not_their_reason(out):
    table = stage_tables(load_scores(out / "scores.csv"))[0].compact()
    assert "lpips" not in [words.name for words in table.columns]
    assert any("LPIPS" in note and NO_WEIGHTS in note for note in table.footnotes)
    for line in table.rows:
        for cell in line.cells:
            assert all(1 <= note <= len(table.footnotes) for note in cell.notes)


def test_markdown_names_the_dataset_and_marks_best_and_second(out):
    tables = stage_tables(load_scores(out / "scores.csv"))
    text = to_markdown([stage_model(table) for table in tables], "Title")
    assert "**people, test split, protocol standard@96x64" in text
    assert "**0.7400 ± 0.0110**" in text
    assert "*0.7000 ± 0.0110*" in text
    assert "<script>" not in text
    widths = {line.count("|") for line in text.split("\n\n")[2].splitlines()}
    assert len(widths) == 1


def test_a_folder_of_pictures_has_no_split_and_one_pair_is_a_pair():
    plain = {"dataset": "folder", "split": "", "n": 1, "n_expected": 1}
    caption = stage_table(to_frame([row(**plain)])).caption
    assert caption.startswith("folder, protocol standard@96x64, frame ")
    assert ", 1 pair, " in caption


def test_every_metric_of_the_contract_has_words():
    named = {
        "ssim", "ssim_win51", "psnr", "l1", "mae", "lpips", "lpips_pcdms", "fid", "fid_paper",
        "kid", "precision", "recall", "density", "coverage", "masked_ssim", "masked_l1",
        "masked_ssim_defgan", "masked_lpips", "is", "masked_is", "st_lpips", "gradient_ratio",
        "pckh50", "oks", "cosine", "retrieval_rank", "retrieval_r1", "seconds_per_picture",
        "peak_memory_mb", "parameters", "lpips_vgg", "lpips_squeeze", "garment_r1", "garment_r5",
        "garment_given_r1", "garment_given_r5", "face_similarity",
    }  # fmt: skip
    assert set(METRIC_WORDS) == named
    assert words_of("fd_dinov2").direction == "down"


# Plots


def test_the_plot_shows_every_number_with_its_interval(out):
    table = stage_tables(load_scores(out / "scores.csv"))[0]
    axes = metric_figure(table, "ssim").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        line.label for line in table.rows
    ]
    drawn = {tuple(np.round(line.get_xdata(), 6)) for line in axes.lines}
    for line in table.rows:
        cell = line.cells[0]
        if not line.bound:
            assert (round(cell.value, 6),) in drawn
            assert (round(cell.low, 6), round(cell.high, 6)) in drawn


def test_the_inline_svg_is_xml_with_own_ids_and_css_colours(out):
    table = stage_tables(load_scores(out / "scores.csv"))[0]
    svg = str(metric_svg(table, "masked_l1", prefix="one"))
    root = ElementTree.fromstring(svg)
    assert all(e.attrib["id"].startswith("one-") for e in root.iter() if "id" in e.attrib)
    assert "http" not in svg
    assert "var(--plot-stage" in svg
    assert "pcdms · refine 0.0867" in root.attrib["aria-label"]
    assert svg == str(metric_svg(table, "masked_l1", prefix="one"))


def test_a_metric_without_numbers_cannot_be_plotted(out):
    table = stage_tables(load_scores(out / "scores.csv"))[0]
    with pytest.raises(RecordError, match="no row"):
        metric_figure(table, "lpips")
    with pytest.raises(RecordError, match="expected one of ssim"):
        metric_figure(table, "mood")


# The page


class Outline(HTMLParser):
    """Collects what the page would load, its headings and its pictures."""

    def __init__(self):
        super().__init__()
        self.links, self.headings, self.pictures, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.links += [values[name] for name in ("src", "href", "data") if name in values]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.pictures.append(values)


@pytest.fixture(scope="module")
def outline(page):
    parser = Outline()
    parser.feed(page)
    return parser


def test_the_page_loads_nothing_from_anywhere(page, outline):
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in outline.links)
    assert "link" not in outline.tags
    assert "iframe" not in outline.tags
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_text_from_files_is_escaped(page, outline):
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert outline.tags.count("script") == 1


def test_every_reason_stands_on_the_page(page):
    for reason in (NO_WEIGHTS, FEW, IDENTICAL):
        first = reason.split("`")[0].replace("<", "&lt;").replace(">", "&gt;")
        assert first in page


def test_headings_descend_by_one_and_pictures_have_texts(outline):
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    steps = np.diff(outline.headings)
    assert steps.max() <= 1
    assert all(len(picture["alt"]) > 10 for picture in outline.pictures)
    assert all(int(picture["width"]) == 64 for picture in outline.pictures)


def test_text_stands_out_in_light_and_dark(page):
    def luminance(colour):
        values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    modes = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    assert len(modes) == 2
    for mode in modes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", mode))
        texts = ["ink", "muted", "accent", "warn", "bad", "plot-ink", "plot-muted"]
        pairs = [(text, ground) for text in texts for ground in ("ground", "panel")]
        pairs += [("ink", "mark"), ("muted", "mark")]
        for text, ground in pairs:
            low, high = sorted(luminance(colours[name]) for name in (text, ground))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_the_grid_shows_each_pair_in_the_agreed_order(page, outline):
    heads = re.search(r'<table class="grid">\s*<thead>(.*?)</thead>', page, re.DOTALL).group(1)
    assert re.findall(r"<span>(.*?)</span>", heads) == [
        "source", "target pose", "pcdms · prior", "pcdms · inpaint", "pcdms · refine", "target",
        "copy-source", "limb-warp", "mean-image", "target-copy",
    ]  # fmt: skip
    cases = 2 * 3 * 3  # best, median and worst of two metrics, each with source, result, target
    assert len(outline.pictures) == 10 * len(PAIRS) + cases


def test_pictures_are_embedded_byte_for_byte_unless_they_are_large(tmp_path):
    draw = np.random.default_rng(1)
    save(tmp_path / "a.png", draw)
    uri, width, height = picture_uri(tmp_path / "a.png")
    assert base64.b64decode(uri.partition(",")[2]) == (tmp_path / "a.png").read_bytes()
    assert (width, height) == (64, 96)
    Image.open(tmp_path / "a.png").resize((352, 512)).save(tmp_path / "b.png")
    assert picture_uri(tmp_path / "b.png")[1:] == (176, 256)


def test_the_prior_points_to_the_nearest_of_the_shown_targets(out):
    path = next(out.glob("*/pcdms/*/embeddings.safetensors"))
    found = nearest_targets(path, PAIRS)
    assert {pair: near for pair, (near, _) in found.items()} == dict(
        zip(PAIRS, PAIRS[1:] + PAIRS[:1], strict=True)
    )
    fewer = nearest_targets(path, PAIRS[:2])
    assert {near for near, _ in fewer.values()} <= set(PAIRS[:2])
    assert nearest_targets(path.with_name("none.safetensors"), PAIRS) == {}


def test_the_summary_states_the_outcome_in_words(page):
    text = " ".join(re.search(r'<p class="summary">(.*?)</p>', page, re.DOTALL).group(1).split())
    assert "On 5 pairs of people (test split), pcdms · refine has a masked L1 of 0.0867" in text
    assert "that is better than limb-warp, the best other method" in text
    assert "pair by pair the difference is -0.0" in text
    assert "7 of 38 numbers (2 metrics) are missing" in text


def test_tables_are_written_beside_the_page(out, page):
    (path,) = (out / "tables").glob("*.md")
    assert "pcdms · refine" in path.read_text(encoding="utf-8")


def test_missing_and_damaged_pieces_leave_notices_not_errors(tmp_path):
    out = make_runs(tmp_path)
    pcdms = next(out.glob("*/pcdms/*"))
    (pcdms / "embeddings.safetensors").write_bytes(b"no embeddings")
    (pcdms / "spec.json").write_text("{broken")
    (pcdms / "samples" / "refine" / f"{PAIRS[0]}.png").unlink()
    (pcdms / "samples" / "refine" / f"{PAIRS[1]}.png").write_bytes(b"no picture")
    failed = {"state": "partial", "failed": {PAIRS[0]: "source <b>cut</b> short"}}
    (pcdms / "status.json").write_text(json.dumps(failed))
    limb = next(out.glob("*/limb-warp/*"))
    (limb / "pairs.csv").unlink()
    (limb / "environment.json").unlink()
    (next(out.glob("*/mean-image/*")) / "scores.csv").unlink()
    write_report(out, out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "source &lt;b&gt;cut&lt;/b&gt; short" in page
    assert "picture not readable" in page
    assert "not readable as stored embeddings" in page
    assert "spec.json is not readable" in page
    assert "this run was not scored" in page


def test_a_page_without_pictures_still_has_its_tables(tmp_path):
    write_scores([row()], tmp_path / "people-test" / "pcdms" / "a1b2c3d4" / "scores.csv")
    write_report(tmp_path, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0.5000" in page
    assert '<table class="grid">' not in page


def test_sizes_of_a_dataset_get_sections_of_their_own(tmp_path):
    for size, run in (("mini", "aaaaaaaa"), ("full", "bbbbbbbb")):
        folder = tmp_path / "people-test" / "pcdms" / run
        write_scores([row(run=run)], folder / "scores.csv")
        (folder / "spec.json").write_text(json.dumps({"size": size, "data_seed": 0}))
    written = write_report(tmp_path, tmp_path / "report.html")
    assert len(written) == 3
    assert len({path.name for path in written}) == 3


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RecordError, match="holds no run folder"):
        write_report(tmp_path, tmp_path / "report.html")
    with pytest.raises(RecordError, match="no such folder"):
        write_report(tmp_path / "none", tmp_path / "report.html")


def test_the_same_runs_give_the_same_page(out, page, tmp_path):
    write_report(out, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
