"""Settings that several test files share; nothing heavy is imported before a test asks for it."""

import pytest


@pytest.fixture(scope="session")
def one_thread():
    """Torch on one thread: small networks are fastest so, and sums keep one order."""
    import torch

    torch.set_num_threads(1)
