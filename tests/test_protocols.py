"""Protocols: nothing inherited, frames by data set, labels."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from pcdms_bench.metrics.catalog import METRICS
from pcdms_bench.protocols import PROTOCOLS, Protocol, protocol_for
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
