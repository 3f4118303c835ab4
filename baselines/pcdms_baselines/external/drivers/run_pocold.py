"""PoCoLD's script on a list of pairs; run by its interpreter, in a folder that shows it.

The script reads a saved table of pairs that the repository does not have; this writes it with the
`datasets` library of that interpreter, and runs the script as it is.
"""

import argparse
import csv
import runpy
from importlib import import_module
from pathlib import Path

SCRIPT = "inference.py"
TABLE = "datasets/DeepFashionUnify"


def main() -> None:
    """Write the table and run the script, which leaves `gens/final/<source>_2_<target>_vis.png`.

    The script finds a part map by putting `img_dp` for `img_highres`, and .png for .jpg.
    """
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, required=True)
    given = options.parse_args()
    with (given.data / "pairs.csv").open(newline="") as table:
        rows = [(row["from"], row["to"]) for row in csv.DictReader(table)]
    columns = {
        "from_image": [f"{given.data}/img_highres/{source}" for source, _ in rows],
        "to_image": [f"{given.data}/img_highres/{target}" for _, target in rows],
        "org_from_image": [source for source, _ in rows],
        "org_to_image": [target for _, target in rows],
    }
    datasets = import_module("datasets")
    split = datasets.Dataset.from_dict(columns)
    datasets.DatasetDict({"validation": split}).save_to_disk(TABLE)
    runpy.run_path(SCRIPT, run_name="__main__")


if __name__ == "__main__":
    main()
