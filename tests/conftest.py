"""Settings that several test files share; nothing heavy is imported before a test asks for it."""

import pytest


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
