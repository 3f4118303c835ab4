"""Methods that PCDMs is compared with. `import_published` loads on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdms_baselines.published import import_published

__all__ = ["import_published"]


def __getattr__(name: str) -> object:
    """Return a public name from the module that defines it."""
    if name == "import_published":
        from pcdms_baselines.published import import_published

        return import_published
    raise AttributeError(f"module 'pcdms_baselines' has no attribute {name!r}")
