"""Leffa's predictor over a list of pairs; run by its interpreter, in a folder that shows it.

The repository has a web page only. Importing it fetches all weights from a hub; here the folder
`ckpts/` counts as fetched, so that nothing is loaded from the network. Of its arguments `src` is
the person in the target pose, `ref` gives the appearance.
"""

import argparse
import csv
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

STEPS, SCALE, SEED = 50, 2.5, 42
"""The defaults of its predictor."""


def fetched(*words: Any, **named: Any) -> Any:
    """Stand in for `snapshot_download`: return the folder to which it would have fetched."""
    return named.get("local_dir")


def main() -> None:
    """Write `<source>_2_<target>_vis.png`, 1024x768, of every pair."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--output", type=Path, required=True)
    given = options.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    import_module("huggingface_hub").snapshot_download = fetched  # type: ignore[attr-defined]
    predictor = import_module("app").LeffaPredictor()
    with (given.data / "pairs.csv").open(newline="") as table:
        rows = [(Path(row["from"]).stem, Path(row["to"]).stem) for row in csv.DictReader(table)]
    for number, (source, target) in enumerate(rows):
        pose, look = (given.data / "pictures" / f"{name}.png" for name in (target, source))
        made = predictor.leffa_predict_pt(str(pose), str(look), False, STEPS, SCALE, SEED)
        picture = made[0] if isinstance(made, tuple) else made
        name = f"{source}_2_{target}_vis.png"
        Image.fromarray(picture).save(str(given.output / name))
        print(f"{number + 1} of {len(rows)}: {name}")


if __name__ == "__main__":
    main()
