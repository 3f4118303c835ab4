"""Operation counts of the published sizes, within 1 % of the measured table."""

from functools import cache

import pytest
import torch

from pcdms.flops import count_flops, pair_flops, piece_flops
from pcdms.presets import PRESETS


@cache
def pieces(height, width):
    return piece_flops(PRESETS["paper"], (height, width))


def near(gflop):
    return pytest.approx(gflop * 1e9, rel=0.01)


def test_a_multiplication_with_its_addition_counts_as_two():
    layer = torch.nn.Linear(5, 7, device="meta")
    assert count_flops(lambda: layer(torch.empty(3, 5, device="meta"))) == 2 * 3 * 5 * 7


def test_conditions_cost_what_was_measured():
    found = pieces(512, 512)
    assert found.prior == near(12.125)
    assert found.image_encoder == near(334.6)
    assert found.source_encoder == near(598.8)
    assert found.projection == near(1.01)


@pytest.mark.parametrize(
    ("frame", "pose", "inpaint", "refine", "encode_wide", "decode_wide", "encode", "decode"),
    [
        ((512, 512), 29.44, 1875.7, 821.9, 2302.0, 5097.8, 1116.7, 2514.5),
        ((512, 352), 20.24, 1188.4, 545.3, 1553.1, 3475.2, 760.3, 1721.3),
        ((256, 256), None, 387.0, 192.4, 549.7, 1248.7, 272.7, 622.2),
        ((256, 176), 5.06, 264.9, 138.4, 376.1, 856.6, 187.0, 427.3),
    ],
)
def test_pictures_cost_what_was_measured(
    frame, pose, inpaint, refine, encode_wide, decode_wide, encode, decode
):
    found = pieces(*frame)
    assert pose is None or found.pose == near(pose)
    assert found.inpaint == near(inpaint)
    assert found.refine == near(refine)
    assert found.encode_wide == near(encode_wide)
    assert found.decode_wide == near(decode_wide)
    assert found.encode == near(encode)
    assert found.decode == near(decode)


def test_the_smallest_listed_frame():
    found = pieces(128, 64)
    assert found.inpaint == near(56.6)
    assert found.refine == near(34.8)


@pytest.mark.parametrize(
    ("frame", "samples", "inpaint", "refine"),
    [
        ((512, 512), 4, 323.44, 143.27), ((512, 512), 1, 83.06, 37.11),
        ((512, 352), 4, 206.22, 95.50), ((256, 256), 4, 68.07, 34.14),
        ((256, 176), 4, 46.78, 24.63),
    ],
)  # fmt: skip
def test_a_pair_costs_the_sum_of_its_pieces(frame, samples, inpaint, refine):
    found = pair_flops(pieces(*frame), samples=samples)
    assert found == {
        "prior": near(577), "inpaint": near(1000 * inpaint), "refine": near(1000 * refine)
    }  # fmt: skip


def test_stage_lists_and_guidance_decide_what_is_counted():
    found = pieces(128, 64)
    assert set(pair_flops(found, "truth+inpaint")) == {"truth", "inpaint"}
    guided, plain = (pair_flops(found, "inpaint", guided=g)["inpaint"] for g in (True, False))
    assert guided - plain == 20 * found.inpaint
