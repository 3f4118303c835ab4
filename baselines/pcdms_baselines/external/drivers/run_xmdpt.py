"""X-MDPT's script over a whole list of pairs; run by its interpreter, in a folder that shows it.

The script stops after 10 sheets and reads one size of the network. Here it is read as source, its
stop is taken out, its loader ends with the list, and the size follows the width of the weights. The
last sheet must be full: the list comes filled up to a multiple of 8. Python 3.8 and later.
"""

import argparse
import ast
import itertools
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

SCRIPT = Path("infer_xmdpt.py")
NAME = "XMDPT_S_2"
SIZES = {384: "XMDPT_S_2", 768: "XMDPT_B_2", 1024: "XMDPT_L_2"}
"""Width of the network -> its class. The script uses NAME."""
SHEET = 8


class Adapted(ast.NodeTransformer):
    """The script without its stop, with another size, another file and another output folder."""

    def __init__(self, size: str, weights: str, output: str) -> None:
        self.size = size
        self.texts = {"model_path": weights, "img_saving_dir": output}

    def visit_If(self, node: ast.If) -> Any:
        """Take out `if ...: break`."""
        if len(node.body) == 1 and isinstance(node.body[0], ast.Break):
            return None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        """Put in the class of the wanted size."""
        if node.id == NAME:
            return ast.copy_location(ast.Name(self.size, node.ctx), node)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        """Put in the paths."""
        self.generic_visit(node)
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id in self.texts:
            node.value = ast.copy_location(ast.Constant(self.texts[target.id]), node.value)
        return node


def main() -> None:
    """Write the script's sheets `gen_img_NNN.png`, each of 8 pairs, for the whole list."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--weights", required=True)
    options.add_argument("--output", required=True)
    given = options.parse_args()
    lines = (given.data / "test_pairs.txt").read_text().split()
    sheets = len(lines) // SHEET
    loading = import_module("masked_diffusion.my_dataset")
    endless = loading.load_my_data

    def ended(**words: Any) -> Any:
        return itertools.islice(endless(**words), sheets)

    loading.load_my_data = ended  # type: ignore[attr-defined]
    stored = torch.load(given.weights, map_location="cpu")
    size = SIZES[stored["pos_embed"].shape[-1]]
    tree = ast.parse(SCRIPT.read_text(), str(SCRIPT))
    tree = ast.fix_missing_locations(Adapted(size, given.weights, given.output).visit(tree))
    print(f"{size}, {sheets} sheets")
    exec(compile(tree, str(SCRIPT), "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
