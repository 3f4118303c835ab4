"""CFLD's test script with its pictures saved; run by its interpreter, in a folder that shows it.

The script scores its pictures and throws them away. Its metric gets them in table size, in whole
levels and in the order of the pair list; the one put in its place writes them and ends the script
after the last. Nothing else is changed: `--output DIR` aside, the arguments are the script's own.
"""

import csv
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, List, Tuple

import torch
from PIL import Image

PAIRS = "fasion-resize-pairs-test.csv"


class Saving:
    """Stands in for the metric: a call has the targets and the pictures of a batch, in [0, 1]."""

    def __init__(self, output: Path, names: List[str]) -> None:
        self.output = output
        self.names = names
        self.count = 0

    def to(self, device: Any) -> "Saving":
        """Return itself: it computes nothing."""
        return self

    def __call__(self, targets: Any, pictures: Any = None) -> Tuple[Any, ...]:
        """Save the pictures; ends the program when all are there."""
        if pictures is not None:
            levels = (pictures.float() * 255.0).round().clamp(0, 255).to(torch.uint8)
            for picture in levels.permute(0, 2, 3, 1).cpu().numpy():
                Image.fromarray(picture).save(str(self.output / self.names[self.count]))
                self.count += 1
        print(f"{self.count} of {len(self.names)} pictures")
        if self.count >= len(self.names):
            raise SystemExit(0)
        nothing = torch.zeros(len(targets), 1, device=targets.device)
        return nothing, nothing, nothing, nothing, nothing


def main() -> None:
    """Write `<source>_2_<target>_vis.png` of every pair."""
    words = sys.argv[1:]
    output = words[words.index("--output") + 1]
    config = words[words.index("--config_file") + 1]
    taken = ("--output", output, "--config_file", config)
    Path(output).mkdir(parents=True, exist_ok=True)
    script = import_module("pose_transfer_test")
    script.cfg.merge_from_file(config)
    script.cfg.merge_from_list([word for word in words if word not in taken])
    script.cfg.freeze()
    names = listed_names(Path(script.cfg.INPUT.ROOT_DIR) / PAIRS)
    script.build_metric = lambda: Saving(Path(output), names)  # type: ignore[attr-defined]
    script.main(script.cfg)


def listed_names(path: Path) -> List[str]:
    """Return the file name of each pair, in the order of the list."""
    with path.open(newline="") as table:
        rows = [(Path(row["from"]).stem, Path(row["to"]).stem) for row in csv.DictReader(table)]
    return [f"{source}_2_{target}_vis.png" for source, target in rows]


if __name__ == "__main__":
    main()
