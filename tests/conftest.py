"""Settings that several test files share; nothing heavy is imported before a test asks for it."""

import pytest

LONGEST = ("test_training_processes.py", "test_run_processes.py", "test_study_browser.py")
"""Few but long tests: begun last, they would leave one worker alone at the end."""


def pytest_collection_modifyitems(items):
    """Begin with the longest files; `loadfile` hands files out in this order."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def one_thread():
    """Torch on one thread: small networks are fastest so, and sums keep one order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """A cache folder of this test process: people are rendered once for all files that share it."""
    return tmp_path_factory.mktemp("rendered")


@pytest.fixture(scope="module")
def cache(rendered):
    """Take the shared cache folder, and no data root from outside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(rendered))
        patch.delenv("PCDMS_DATA_ROOT", raising=False)
        yield rendered
