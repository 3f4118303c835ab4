"""Weights of other learned methods in a run: where they are given, and what they decide."""

from pathlib import Path

import pytest

from pcdms_bench.methods import folder_digest, parse_method_weights
from pcdms_data.types import InputError


def test_weights_are_given_method_by_method(tmp_path):
    (tmp_path / "g=1.pth").write_bytes(b"x")
    path = tmp_path / "g=1.pth"
    assert parse_method_weights([f"dptn={path}"]) == {"dptn": path}
    assert parse_method_weights([]) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("latest_net_G.pth", "expected METHOD=FILE"),
        ("dptn=", "expected METHOD=FILE"),
        ("dptm=x.pth", "did you mean .dptn."),
        ("copy-source=x.pth", "unknown method with weights"),
        ("dptn=absent.pth", "no such file or folder"),
    ],
)
def test_what_cannot_be_given_is_refused(text, reason):
    with pytest.raises(InputError, match=reason):
        parse_method_weights([text])


def test_digest_of_a_file_follows_its_content_alone(tmp_path):
    for name, content in (("a.pth", b"one"), ("b.pt", b"one"), ("c.pth", b"two")):
        (tmp_path / name).write_bytes(content)
    one, same, other = (folder_digest(tmp_path / name) for name in ("a.pth", "b.pt", "c.pth"))
    assert one == same != other
    assert len(one) == 8
    assert folder_digest(None) == ""
    assert folder_digest(Path(tmp_path / "absent")) != one
