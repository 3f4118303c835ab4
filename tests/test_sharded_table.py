"""Tables on disk: built once, by several processes, continued, and made anew for other content."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from pcdms.training import sharded_table
from pcdms.training.sharded_table import ShardedTable, TablePlan, build_table
from pcdms_data.types import InputError

WANTED = torch.randn(23, 2, 3, generator=torch.Generator().manual_seed(0)).half()


def plan(root, rows=23, key="network a", **more):
    return TablePlan(
        root, "tokens", key, (2, 3), [f"picture {row}" for row in range(rows)], 5, **more
    )


class Compute:
    def __init__(self):
        self.asked = []

    def __call__(self, rows):
        self.asked += list(rows)
        return WANTED[rows.start : rows.stop].float()


def test_rows_come_back_by_number_in_any_order(tmp_path):
    build_table(plan(tmp_path), Compute())
    table = ShardedTable(plan(tmp_path))
    rows = torch.tensor([22, 0, 7, 7, 5, 4])
    assert torch.equal(table[rows], WANTED[rows])
    assert torch.equal(table.whole(), WANTED)
    assert (len(table), table.shape) == (23, (23, 2, 3))
    with pytest.raises(IndexError, match="row 23"):
        table[torch.tensor([23])]
    with pytest.raises(IndexError, match="row -1"):
        table[torch.tensor([-1])]


def test_only_missing_and_damaged_shards_are_made_again(tmp_path):
    build_table(plan(tmp_path), Compute())
    files = sorted(plan(tmp_path).folder.iterdir())
    assert len(files) == 5
    files[1].unlink()
    files[3].write_bytes(files[3].read_bytes()[:40])
    with pytest.raises(InputError, match=r"2 of its shards.*00001-\w{8}\.safetensors"):
        ShardedTable(plan(tmp_path))
    again = Compute()
    build_table(plan(tmp_path), again)
    assert again.asked == [*range(5, 10), *range(15, 20)]
    assert torch.equal(ShardedTable(plan(tmp_path)).whole(), WANTED)


def test_an_interrupted_build_keeps_what_it_finished(tmp_path):
    class Interrupted(Compute):
        def __call__(self, rows):
            if rows.start == 15:
                raise KeyboardInterrupt
            return super().__call__(rows)

    with pytest.raises(KeyboardInterrupt):
        build_table(plan(tmp_path), Interrupted())
    rest = Compute()
    build_table(plan(tmp_path), rest)
    assert rest.asked == list(range(15, 23))


@pytest.mark.parametrize("processes", [2, 3, 9])
def test_processes_share_the_shards(processes, tmp_path):
    asked = []
    for process in range(processes):
        mine = Compute()
        build_table(plan(tmp_path), mine, process, processes)
        asked += mine.asked
    assert sorted(asked) == list(range(23)), "each row once, whoever starts first"
    assert torch.equal(ShardedTable(plan(tmp_path)).whole(), WANTED)


def test_other_content_is_made_anew_and_more_rows_keep_the_first_shards(tmp_path):
    build_table(plan(tmp_path, rows=20), Compute())
    more = Compute()
    build_table(plan(tmp_path), more)
    assert more.asked == [20, 21, 22]
    changed = plan(tmp_path)
    changed = replace(changed, made_from=[*changed.made_from[:7], "other", *changed.made_from[8:]])
    other = Compute()
    build_table(changed, other)
    assert other.asked == list(range(5, 10)), "the shard with the changed picture"
    assert ShardedTable(plan(tmp_path)).shape == (23, 2, 3), "the first table stays beside it"
    assert plan(tmp_path, key="network b").folder != plan(tmp_path).folder


def test_sizes_are_those_of_half_precision(tmp_path, monkeypatch):
    """Sizes of the published setting: 2 KB, 0.79 MB and 131 KB a row."""
    for shape, size in (((1024,), 2048), ((257, 1536), 789_504), ((8, 64, 128), 131_072)):
        table = replace(plan(tmp_path), shape=shape)
        assert (table.row_bytes, table.bytes) == (size, 23 * size)
    monkeypatch.setattr(sharded_table, "SHARD_BYTES", 30)
    assert plan(tmp_path).shard_rows == 2
    build_table(plan(tmp_path), Compute())
    first, _, _ = next(plan(tmp_path).shards())
    assert len(load_file(first)["rows"]) == 2


def test_a_wrong_shape_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="computed"):
        build_table(plan(tmp_path), lambda rows: torch.zeros(len(rows), 4))
    assert not plan(tmp_path).folder.exists()
