"""Run by the tests in a process of its own: `pcdms-bench run`, killed at its n-th finished picture.

`python run_worker.py N WORDS...` dies without a chance to tidy up when the stage refine is about to
write its picture number N (counted from 1; 0: never).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from pcdms import overlap
from pcdms_bench.cli import cli

if __name__ == "__main__":
    torch.set_num_threads(1)
    fatal, seen, save = int(sys.argv[1]), [], overlap.save_picture

    def counted(path: Path, pixels) -> None:
        if path.parent.name == "refine":
            seen.append(path)
            if len(seen) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        save(path, pixels)

    overlap.save_picture = counted
    cli.main(sys.argv[2:], prog_name="pcdms-bench")
