"""Run by the tests in a process of its own: one external method, to be interrupted."""

import sys
from pathlib import Path

from pcdms_baselines.external.clone import Given
from pcdms_baselines.external.method import External
from pcdms_baselines.external.recipe import recipe_of
from pcdms_data import load_pairs

if __name__ == "__main__":
    clone, python, root, out = sys.argv[1:]
    method = External(recipe_of("patn-official"), (128, 64), Given(Path(clone), python))
    method.generate(load_pairs("market1501", root), Path(out), seed=0)
