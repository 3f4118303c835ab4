"""A rendering process, started by `rendering.WorkerPool` with a folder as its argument.

The first line of standard input is the plan of the split as JSON, every further line the number of
a chunk to render into the folder. One line answers each: the CPU seconds it took. It ends with its
input.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pcdms_data.people.presets import SplitPlan
from pcdms_data.people.rendering import render_chunk


def main() -> None:
    """Serve chunks until standard input ends."""
    folder = Path(sys.argv[1])
    fields = json.loads(sys.stdin.readline())
    plan = SplitPlan(**{**fields, "resolution": tuple(fields["resolution"])})
    for line in sys.stdin:
        begun = time.process_time()
        render_chunk(plan, folder, int(line))
        sys.stdout.write(f"{time.process_time() - begun}\n")
        sys.stdout.flush()
