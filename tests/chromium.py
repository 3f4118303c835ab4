"""A page of ours in headless Chromium: what a wrapper page measures of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")


def measured(wrapper: str, folder: Path, width: int, profile: Path) -> dict:
    """What `wrapper`, filled with `width` and saved beside the page, writes into its `result`."""
    page = folder / f"wrapper-{width}.html"
    page.write_text(wrapper.format(width=width))
    command = [
        CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--window-size=1500,3200",
        "--allow-file-access-from-files", "--virtual-time-budget=8000", "--dump-dom",
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="result">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(found.group(1))
