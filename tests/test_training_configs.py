"""The ready-made configurations of accelerate load, agree with their names, and ship."""

from importlib.resources import files

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType

EXPECTED = {
    "one-gpu": (DistributedType.NO, 1, 1),
    "eight-gpus": (DistributedType.MULTI_GPU, 1, 8),
    "eight-gpus-fsdp": (DistributedType.FSDP, 1, 8),
    "two-nodes": (DistributedType.MULTI_GPU, 2, 16),
}
FOLDER = files("pcdms") / "configs"


@pytest.mark.parametrize("name", EXPECTED)
def test_a_configuration_loads_and_the_launcher_accepts_it(name):
    path = str(FOLDER / f"{name}.yaml")
    config = load_config_from_file(path)
    kind = DistributedType(config.distributed_type)
    assert (kind, config.num_machines, config.num_processes) == EXPECTED[name]
    assert config.mixed_precision == "bf16"
    words = ["--config_file", path, "-m", "pcdms_bench", "train", "--stage", "prior"]
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert (arguments.num_machines, arguments.num_processes) == EXPECTED[name][1:]
    assert arguments.use_fsdp == (kind == DistributedType.FSDP)
    assert arguments.module
    assert arguments.training_script == "pcdms_bench"


def test_every_configuration_is_checked_here():
    shipped = {path.name.removesuffix(".yaml") for path in FOLDER.iterdir()} - {"README.md"}
    assert shipped == set(EXPECTED)
