"""Protocols: nothing inherited, frames by data set, labels."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from pcdms_bench.metrics.catalog import METRICS
from pcdms_bench.protocol_table import CHOICES, protocol_markdown, protocol_table
from pcdms_bench.protocols import PROTOCOLS, Protocol, protocol_for, protocol_names
from pcdms_data.types import InputError


def test_people_are_scored_in_the_runs_frame_and_the_label_says_so():
    protocol = protocol_for("standard", "people", (96, 64))
    assert protocol.frame == (96, 64)
    assert protocol.label == "standard@96x64"


@pytest.mark.parametrize(
    ("dataset", "resolution", "frame"),
    [
        ("deepfashion", (256, 176), (256, 176)),
        ("deepfashion", (512, 512), (512, 352)),
        ("deepfashion", (96, 64), (256, 176)),
        ("market1501", (128, 64), (128, 64)),
    ],
)
def test_real_data_sets_are_scored_in_their_own_frames(dataset, resolution, frame):
    protocol = protocol_for("standard", dataset, resolution)
    assert (protocol.frame, protocol.label) == (frame, "standard")


def test_an_unknown_name_is_refused_with_choices_and_the_nearest():
    with pytest.raises(InputError, match="did you mean 'standard'") as caught:
        protocol_for("standrad", "people", (96, 64))
    assert all(name in str(caught.value) for name in PROTOCOLS)


def test_a_protocol_has_no_default_but_the_frame_and_cannot_be_changed():
    from dataclasses import MISSING

    free = {f.name for f in fields(Protocol) if f.default is not MISSING}
    assert free == {"frame", "label"}
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS["standard"].psnr_range = 1.0


def test_every_protocol_names_metrics_of_the_catalog():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert set(protocol.metrics) <= set(METRICS)


def test_the_published_protocols_are_all_there():
    published = ("pcdms", "pidm", "gfla", "dptn", "pocold", "cfld", "patn", "market-masked")
    assert tuple(PROTOCOLS) == ("standard", *published)
    assert all(PROTOCOLS[name].source for name in published)
    assert all(protocol.selection == "first" for protocol in PROTOCOLS.values())


def test_only_the_network_of_2015_may_be_called_fid():
    networks = {p.fid_metric: p.fid_network for p in PROTOCOLS.values()}
    assert networks == {"fid": "inception-tf", "fid_paper": "inception-imagenet", "": ""}
    for protocol in PROTOCOLS.values():
        assert (protocol.lpips_metric == "lpips_pcdms") == (protocol.lpips_input == (0.0, 1.0))


def test_a_name_may_carry_its_frame():
    protocol = protocol_for("pcdms@512x352", "folder", (96, 64))
    assert (protocol.frame, protocol.label) == ((512, 352), "pcdms@512x352")
    protocol = protocol_for("pcdms@512x352", "deepfashion", (256, 176))
    assert (protocol.frame, protocol.label) == ((512, 352), "pcdms")
    assert protocol_names("standard, pcdms@256x176,standard") == ("standard", "pcdms@256x176")
    assert protocol_names("all") == tuple(PROTOCOLS)
    for bad in ("pcdms@256", "pcdms@x", "pcdms@0x5", "pcmds@256x176"):
        with pytest.raises(InputError):
            protocol_for(bad, "folder", (1, 1))
        with pytest.raises(InputError):
            protocol_names(bad)


def test_the_table_says_every_choice_of_every_protocol():
    head, rows = protocol_table()
    assert head == ["choice", *PROTOCOLS]
    assert [row[0] for row in rows] == [title for title, _ in CHOICES]
    assert all(len(row) == len(head) and all(row) for row in rows)
    columns = list(zip(*rows, strict=True))[1:]
    assert len(set(columns)) == len(PROTOCOLS)  # no two protocols read alike
    cells = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert cells["LPIPS input"]["pcdms"] == "[0, 1]"
    assert cells["frame of SSIM, PSNR, L1"]["pidm"] == "stretched square"
    assert cells["SSIM range"]["standard"] == "255"


def test_differences_leave_out_what_all_share_and_markdown_is_a_table():
    head, rows = protocol_table(["gfla", "pocold"], only_differences=True)
    assert head == ["choice", "gfla", "pocold"]
    assert rows
    assert all(row[1] != row[2] for row in rows)
    lines = protocol_markdown(["gfla", "pocold"]).splitlines()
    assert lines[0] == "| choice | gfla | pocold |"
    assert len(lines) == len(rows) + 2
    assert {line.count("|") for line in lines} == {4}
