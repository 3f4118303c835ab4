"""The audit: one choice at a time, each equal to an independent computation of the same choice."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from bench_fixture import call, error_line
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from pcdms_bench.audit.auditing import AuditSettings, audit
from pcdms_bench.audit.choices import CHOICES, choices_for
from pcdms_bench.audit.files import JpegSource, TruncatedSource
from pcdms_bench.audit.subject import AuditedPair, Subject, folder_subject
from pcdms_bench.audit.values import Value, change_interval, kept_pairs
from pcdms_bench.measuring import Measured
from pcdms_bench.picture_content import ArraySource
from pcdms_bench.progress import Progress
from pcdms_bench.protocols import PROTOCOLS, protocol_for
from pcdms_bench.public import score_images
from pcdms_data.images import resize, save_picture
from pcdms_data.types import InputError, Picture
from pcdms_reports.audit_records import COLUMNS

SIZE = (72, 60)
COUNT = 5


@pytest.fixture(autouse=True, scope="module")
def private_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("FID", "LPIPS", "FID_PAPER"):
            patch.delenv(f"PCDMS_WEIGHTS_{name}", raising=False)
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Targets and blurred, noisy pictures of them, with a second sample that is closer."""
    home = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        smooth = gaussian_filter(rng.normal(size=(*SIZE, 3)), (2, 2, 0)) * 400 + 120
        target = np.clip(smooth, 0, 255).astype(np.uint8)
        for kind, noise in (("made", 14), ("closer", 4)):
            made = target + rng.normal(0, noise, target.shape)
            save_picture(home / kind / f"p{i}.png", np.clip(made, 20, 230).astype(np.uint8))
        save_picture(home / "true" / f"p{i}.png", target)
    return home


@pytest.fixture(scope="module")
def pixels(folders):
    return {
        kind: [np.array(Image.open(folders / kind / f"p{i}.png")) for i in range(COUNT)]
        for kind in ("made", "closer", "true")
    }


def subject_of(folders, samples=("made",)):
    pairs = [
        AuditedPair(
            f"p{i}",
            tuple(Picture(f"p{i}.png", folders / kind / f"p{i}.png") for kind in samples),
            Picture(f"p{i}.png", folders / "true" / f"p{i}.png"),
        )
        for i in range(COUNT)
    ]
    return Subject("", "made", "final", "folder", "", SIZE, tuple(pairs), lambda: ())


def audited(subject, **settings):
    settings = {"metrics": ("ssim", "psnr", "l1")} | settings
    rows = audit(subject, AuditSettings(**settings), Progress(silent=True))
    return {(row.choice, row.metric): row for row in rows if row.group != "protocol"}, rows


@pytest.fixture(scope="module")
def found(folders):
    return audited(subject_of(folders, ("made", "closer")))[0]


def mean_ssim(made, true, **settings):
    plain = {"data_range": 255, "gaussian_weights": True, "use_sample_covariance": False,
             "sigma": 1.5, "channel_axis": 2}  # fmt: skip
    return np.mean(
        [structural_similarity(a, b, **(plain | settings)) for a, b in zip(made, true, strict=True)]
    )


def test_the_base_is_what_scoring_says(found, folders):
    scores = score_images(folders / "made", folders / "true").set_index("metric")
    for metric in ("ssim", "psnr", "l1"):
        row = found["standard", metric]
        assert row.value == pytest.approx(scores.loc[metric, "value"], abs=1e-12)
        assert row.change == 0


def test_windows_are_those_of_scikit_image(found, pixels):
    made, true = pixels["made"], pixels["true"]
    for choice, settings in {
        "Gaussian window, sigma 1.2": {"sigma": 1.2},
        "uniform window of 7 pixels": {"gaussian_weights": False, "use_sample_covariance": True},
        "uniform window of 51 pixels": {
            "gaussian_weights": False, "use_sample_covariance": True, "win_size": 51,
        },
        "sample covariance": {"use_sample_covariance": True},
    }.items():  # fmt: skip
        expected = mean_ssim(made, true, **settings)
        assert found[choice, "ssim"].value == pytest.approx(expected, abs=1e-10), choice
        assert (choice, "psnr") not in found


def test_the_range_of_the_prediction_is_taken_picture_by_picture(found, pixels):
    values = [
        mean_ssim([a], [b], data_range=int(a.max()) - int(a.min()))
        for a, b in zip(pixels["made"], pixels["true"], strict=True)
    ]
    row = found["SSIM range max - min of the prediction", "ssim"]
    assert row.value == pytest.approx(np.mean(values), abs=1e-10)


def test_white_columns_are_pasted_in_proportion(found, pixels):
    columns = round(SIZE[1] * 40 / 176)
    margin = ((0, 0), (columns, columns), (0, 0))
    wide = [
        [np.pad(picture, margin, constant_values=255) for picture in pixels[kind]]
        for kind in ("made", "true")
    ]
    row = found["white columns on both sides", "ssim"]
    assert row.value == pytest.approx(mean_ssim(*wide), abs=1e-10)
    assert row.change > 0.02


def test_jpeg_is_what_opencv_writes_and_truncation_lowers_by_half_a_level(found, pixels):
    source = ArraySource(pixels["made"][0])
    jpeg = JpegSource(source, 75).pixels().astype(int)
    assert 0 < np.abs(jpeg - pixels["made"][0]).mean() < 20
    cut = TruncatedSource(source).pixels()
    lowered = pixels["made"][0].astype(int) - cut
    assert set(np.unique(lowered)) == {0, 1}
    assert lowered.mean() == pytest.approx(0.5, abs=0.03)
    for grey in range(1, 200, 40):
        plain = ArraySource(np.full((9, 9, 3), grey, np.uint8))
        assert all(np.ptp(plane) == 0 for plane in TruncatedSource(plain).pixels().T)
    ends = np.zeros((8, 8, 3), np.uint8)
    ends[:4] = 255
    assert np.array_equal(TruncatedSource(ArraySource(ends)).pixels(), ends)
    expected = mean_ssim(
        [JpegSource(ArraySource(p), 75).pixels() for p in pixels["made"]], pixels["true"]
    )
    row = found["prediction as JPEG, quality 75", "ssim"]
    assert row.value == pytest.approx(expected, abs=1e-10)


def test_l1_on_another_scale_is_twice_as_large(found):
    base = found["standard", "l1"].value
    assert found["L1 on [-1, 1]", "l1"].value == pytest.approx(2 * base, abs=1e-12)


def test_choosing_samples_by_the_target_raises_the_score(found, pixels):
    row = found["best sample by SSIM to the target", "ssim"]
    best = [
        max(mean_ssim([a], [c]), mean_ssim([b], [c]))
        for a, b, c in zip(pixels["made"], pixels["closer"], pixels["true"], strict=True)
    ]
    assert row.value == pytest.approx(np.mean(best), abs=1e-10)
    middle = found["mean over all samples", "ssim"].value
    assert found["standard", "ssim"].value < middle < row.value


def test_filters_are_the_named_kernels_and_do_nothing_in_the_metric_frame(found, folders, pixels):
    assert found["cubic filter, not antialiased", "ssim"].change == 0
    small = (SIZE[0] * 3 // 4, SIZE[1] * 3 // 4)
    shrunk, _ = audited(subject_of(folders), frame=small, metrics=("ssim",))
    for choice, kernel in (
        ("cubic filter, not antialiased", "cv2-cubic-f32"),
        ("linear filter, not antialiased", "cv2-linear-f32"),
    ):
        made, true = (
            [resize(picture, small, kernel) for picture in pixels[kind]]
            for kind in ("made", "true")
        )
        expected = np.mean(
            [
                structural_similarity(
                    a.astype(float), b.astype(float), data_range=255, gaussian_weights=True,
                    use_sample_covariance=False, sigma=1.5, channel_axis=2,
                )
                for a, b in zip(made, true, strict=True)
            ]
        )  # fmt: skip
        assert shrunk[choice, "ssim"].value == pytest.approx(expected, abs=1e-6)
    assert shrunk["no resize at all", "ssim"].value == pytest.approx(
        found["standard", "ssim"].value, abs=1e-12
    )


def test_whole_protocols_stand_beside_the_base(folders):
    _, rows = audited(subject_of(folders), metrics=("ssim",))
    values = {row.choice: row.value for row in rows if row.group == "protocol"
              and row.metric == "ssim"}  # fmt: skip
    assert values["patn"] == pytest.approx(values["dptn"], abs=0.02)
    assert len(set(values.values())) > 4
    scores = score_images(folders / "made", folders / "true", "cfld").set_index("metric")
    assert values["cfld"] == pytest.approx(scores.loc["ssim", "value"], abs=1e-12)


def test_set_metrics_feel_reference_and_dropping(folders):
    pairs = subject_of(folders).pairs
    training = [pair.target for pair in pairs[:4]]
    subject = replace(subject_of(folders), training=lambda: training)
    found, _ = audited(subject, metrics=("fd_efficientnet_lite0",))
    name = "fd_efficientnet_lite0"
    assert found["standard", name].status == "indicative"
    assert found["test targets as reference", name].change != 0
    assert found["reference as JPEG, quality 75", name].change != 0
    assert found["last batch of 64 dropped", name].change == 0
    assert found["standard", name].ci_low is None
    absent, _ = audited(subject_of(folders), metrics=("fd_efficientnet_lite0",))
    assert absent["standard", name].value is None
    assert "no training pictures" in absent["standard", name].reason


def test_whole_batches_keep_the_first_names_and_random_orders_others():
    names = [f"p{i:03d}" for i in range(130)][::-1]
    measured = Measured({}, {})
    measured.problems["p000"] = "lost"
    kept = kept_pairs(names, measured, 64)
    assert kept.sum() == 128
    assert [name for name, use in zip(names, kept, strict=True) if not use] == ["p129", "p000"]
    assert kept_pairs(names, measured, 200).sum() == 129
    assert not np.array_equal(kept, kept_pairs(names, measured, 64, order=0))


def test_the_interval_of_a_constant_change_has_no_width():
    values = np.random.default_rng(0).normal(size=50)
    ones = np.ones(50)
    base = Value(float(values.mean()), 50, "", False, values, ones)
    moved = Value(float(values.mean()) + 0.1, 50, "", False, values + 0.1, ones)
    assert change_interval(moved, base, 200) == pytest.approx((0.1, 0.1))
    noisy = values + np.random.default_rng(1).normal(0.1, 1, 50)
    low, high = change_interval(Value(float(noisy.mean()), 50, "", False, noisy, ones), base, 200)
    assert low < noisy.mean() - values.mean() < high
    assert change_interval(Value(1.0, 50), base, 200) is None


def test_what_the_base_does_already_is_no_choice():
    cfld = protocol_for("cfld", "folder", SIZE)
    names = {choice.name for choice in choices_for(cfld, 1, native=False)}
    assert "SSIM range max - min of the prediction" not in names
    assert "best sample by SSIM to the target" not in names
    assert {choice.name for choice in choices_for(cfld, 4, native=True)} >= {
        "best sample by SSIM to the target"
    }
    assert len({(choice.group, choice.name) for choice in CHOICES}) == len(CHOICES)
    for base in PROTOCOLS:
        for choice in choices_for(protocol_for(base, "folder", SIZE), 4, native=False):
            assert choice.change is None or choice.protocol(PROTOCOLS[base]) != PROTOCOLS[base]


def test_the_command_leaves_a_table_a_page_and_plots(folders, tmp_path):
    result = call(
        "audit", folders / "made", "--targets", folders / "true", "--metrics", "ssim,l1",
        "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "more than 0.007" in result.output
    rows = list(csv.DictReader(io.StringIO((tmp_path / "audit.csv").read_text())))
    assert tuple(rows[0]) == COLUMNS
    assert {row["metric"] for row in rows if row["group"] == "window"} == {"ssim"}
    for name in ("audit.html", "audit.md", "audit-ssim.svg", "audit-ssim.png"):
        assert (tmp_path / name).stat().st_size > 500


def test_what_cannot_be_audited_is_refused_in_one_line(folders, tmp_path):
    for words, message in (
        ((folders / "none",), "no such folder"),
        ((folders / "made",), "no run folder"),
        ((folders / "made", "--targets", folders), "holds no pictures"),
        ((folders / "made", "--targets", folders / "true", "--metrics", "lpip"), "metric 'lpip'"),
        ((folders / "made", "--targets", folders / "true", "--base", "x"), "unknown protocol 'x'"),
    ):
        result = call("audit", *words, "--out", tmp_path)
        assert result.exit_code == 2, result.output
        assert message in error_line(result)
    (tmp_path / "some").mkdir()
    save_picture(tmp_path / "some" / "q.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(InputError, match="do not pair up: p0, p1, p2, p3, p4, q"):
        folder_subject(folders / "made", tmp_path / "some", None, None, None)


def test_pictures_of_two_sizes_and_broken_ones_are_refused_not_passed_over(folders, tmp_path):
    for kind in ("sizes", "broken"):
        for i in range(COUNT):
            save_picture(tmp_path / kind / f"p{i}.png", np.full((*SIZE, 3), 9 * i, np.uint8))
    save_picture(tmp_path / "sizes" / "p2.png", np.zeros((SIZE[0] // 2, SIZE[1], 3), np.uint8))
    whole = (tmp_path / "broken" / "p3.png").read_bytes()
    (tmp_path / "broken" / "p3.png").write_bytes(whole[:-20])
    for made, true, message in (
        (tmp_path / "sizes", folders / "true", "of 2 sizes (p0.png 72x60, p2.png 36x60)"),
        (folders / "made", tmp_path / "sizes", "of 2 sizes (p0.png 72x60, p2.png 36x60)"),
        (tmp_path / "broken", folders / "true", "1 pairs of broken cannot be scored"),
        (folders / "made", tmp_path / "broken", "p3.png is cut short"),
    ):
        result = call("audit", made, "--targets", true, "--metrics", "l1", "--out", tmp_path / "a")
        assert result.exit_code == 2, result.output
        assert message in error_line(result)
        assert not (tmp_path / "a").exists()


def test_a_broken_picture_of_a_run_is_a_failed_pair_that_every_number_counts(folders, tmp_path):
    subject = subject_of(folders)
    cut = tmp_path / "p1.png"
    cut.write_bytes((folders / "made" / "p1.png").read_bytes()[:-20])
    pairs = list(subject.pairs)
    pairs[1] = replace(pairs[1], samples=(Picture("p1.png", cut),))
    rows, _ = audited(replace(subject, pairs=tuple(pairs)))
    row = rows["standard", "ssim"]
    assert (row.n, row.pairs) == (COUNT - 1, COUNT)
    assert "1 of 5 pairs without a score" in row.reason
    assert "cut short" in row.reason


def test_equal_pictures_have_no_psnr_and_the_row_says_why(folders):
    subject = subject_of(folders, ("true",))
    row = audited(subject)[0]["standard", "psnr"]
    assert row.value is None
    assert row.reason == "identical to their targets (infinite)"
