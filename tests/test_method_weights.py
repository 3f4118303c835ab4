"""Weights of other learned methods in a run: where they are given, and what they decide."""

import json
from pathlib import Path

import pytest
from baseline_files import filled
from safetensors.torch import save_file

from pcdms_baselines.dptn.network import DptnGenerator
from pcdms_baselines.learned import shipped_weights
from pcdms_bench.model_files import folder_digest, parse_method_weights
from pcdms_bench.planning import prepare
from pcdms_bench.progress import Progress
from pcdms_bench.request import RunRequest
from pcdms_data.types import InputError


def test_weights_are_given_method_by_method(tmp_path):
    (tmp_path / "g=1.pth").write_bytes(b"x")
    path = tmp_path / "g=1.pth"
    shipped = parse_method_weights([])
    assert all(shipped_weights(name) == folder for name, folder in shipped.items())
    assert parse_method_weights([f"dptn={path}"]) == shipped | {"dptn": path}


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


def test_a_run_takes_the_weights_and_is_named_by_them(cache, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    network = filled(DptnGenerator((4, 8), middle_blocks=1))
    save_file({k: v.clone() for k, v in network.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"frame": [64, 32], "canvas": [64, 32]}))
    request = RunRequest(
        size="smoke", methods="dptn", limit=2, out=tmp_path / "runs", device="cpu",
        method_weights=(f"dptn={folder}",),
    )  # fmt: skip

    def planned():
        plan = prepare(request, Progress(silent=True))
        return plan, plan.runs[0]

    plan, run = planned()
    assert run.unavailable is None
    assert run.method.generate(list(plan.pairs), tmp_path / "made", seed=0) == {}
    assert len(list((tmp_path / "made" / "final").iterdir())) == 2
    (folder / "training").mkdir()
    (folder / "training" / "facts.json").write_text("{}")
    assert planned()[1].spec == run.spec
    (folder / "config.json").write_text(
        json.dumps({"frame": [64, 32], "canvas": [64, 32], "heads": 4})
    )
    assert planned()[1].spec.weights != run.spec.weights
