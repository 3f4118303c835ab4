"""The specification of a run: which fields it has, and what names its folder."""

import hashlib
import json
from dataclasses import fields, replace

import pytest

from pcdms_bench.spec import RunSpec, parse_resolution, read_spec
from pcdms_data.types import InputError

SPEC = RunSpec(
    dataset="people",
    size="mini",
    data_seed=0,
    split="test",
    resolution="96x64",
    method="pcdms",
    stages="prior+inpaint+refine",
    preset="tiny",
    weights="0123abcd",
    seed=0,
    samples=1,
    selection="first",
    steps=10,
    guidance=1.0,
    guidance_rescale=0.0,
    null="published",
    final_sigma="sigma_min",
    dtype="float32",
    chunk=8,
    refine_over="",
)


def test_fields_are_exactly_what_decides_the_pictures():
    expected = {
        "dataset", "size", "data_seed", "split", "resolution", "method", "stages", "preset",
        "weights", "seed", "samples", "selection", "steps", "guidance", "guidance_rescale", "null",
        "final_sigma", "dtype", "chunk", "refine_over", "convention", "guidance_interval",
        "prior_steps", "channels_last", "compile",
    }  # fmt: skip
    assert {field.name for field in fields(RunSpec)} == expected


def test_hash_is_the_sha256_of_the_canonical_json_and_stays_what_it_was():
    text = SPEC.canonical_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert SPEC.hash8 == hashlib.sha256(text.encode()).hexdigest()[:8]
    assert SPEC.hash8 == "034d80c9"


def test_a_field_with_a_default_may_be_absent_and_then_names_the_same_folder():
    values = json.loads(SPEC.to_json())
    assert values.pop("convention") == ""
    assert RunSpec.from_json(json.dumps(values)) == SPEC
    cropped = replace(SPEC, convention="lowres_crop")
    assert cropped.hash8 != SPEC.hash8
    assert RunSpec.from_json(cropped.to_json()) == cropped
    del values["seed"]
    with pytest.raises(InputError, match="lacks seed"):
        RunSpec.from_json(json.dumps(values))


def another(value):
    """Return a value of the same kind that differs."""
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else (value or 0) + 1


def test_every_field_changes_the_hash():
    for field in fields(RunSpec):
        other = another(getattr(SPEC, field.name))
        assert replace(SPEC, **{field.name: other}).hash8 != SPEC.hash8


def test_json_reads_back_equal():
    assert RunSpec.from_json(SPEC.to_json()) == SPEC
    assert RunSpec.from_json(SPEC.canonical_json()).hash8 == SPEC.hash8


def test_whole_number_for_a_real_field_gives_the_same_hash():
    text = SPEC.to_json().replace('"guidance": 1.0', '"guidance": 1')
    assert RunSpec.from_json(text).hash8 == SPEC.hash8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown key 'stepz' in here.json (did you mean 'steps'?)"),
        ({"steps": "ten"}, "here.json: steps is 'ten', expected int | None"),
        ({"seed": True}, "here.json: seed is True, expected int"),
    ],
)
def test_unknown_keys_and_wrong_types_are_refused_by_name(change, message):
    text = json.dumps(json.loads(SPEC.to_json()) | change)
    with pytest.raises(InputError) as caught:
        RunSpec.from_json(text, "here.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_keys_are_listed():
    values = json.loads(SPEC.to_json())
    del values["chunk"], values["seed"]
    with pytest.raises(InputError, match="lacks seed, chunk"):
        RunSpec.from_json(json.dumps(values))


def test_unreadable_spec_names_its_file(tmp_path):
    path = tmp_path / "spec.json"
    path.write_bytes(b"\xff{")
    with pytest.raises(InputError, match=r"spec\.json"):
        read_spec(path)


def test_resolution_is_height_by_width():
    assert parse_resolution("256x176") == (256, 176)
    for text in ("256", "256x", "0x4", "axb", "1x2x3", "-1x5", "99999x1"):
        with pytest.raises(InputError, match="HEIGHTxWIDTH"):
            parse_resolution(text)
