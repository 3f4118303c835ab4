"""PCDMs (ICLR 2024, arXiv 2310.06313): three diffusion stages from a photo and a pose to a photo.

`prior` predicts the target's global image embedding, `inpaint` fills the target half of a
source|target canvas, `refine` restores texture. The public names load on first use, so that
importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdms.inpaint import InpaintModel
    from pcdms.pipeline import PCDMsPipeline
    from pcdms.pipeline_settings import StageOutputs
    from pcdms.prior import PriorTransformer
    from pcdms.published.importing import import_published
    from pcdms.refine import RefineModel
    from pcdms.sampling import run_inpaint, run_prior, run_refine

_HOMES = {
    "InpaintModel": "pcdms.inpaint",
    "PCDMsPipeline": "pcdms.pipeline",
    "PriorTransformer": "pcdms.prior",
    "RefineModel": "pcdms.refine",
    "StageOutputs": "pcdms.pipeline_settings",
    "import_published": "pcdms.published.importing",
    "run_inpaint": "pcdms.sampling",
    "run_prior": "pcdms.sampling",
    "run_refine": "pcdms.sampling",
}

__all__ = [
    "InpaintModel",
    "PCDMsPipeline",
    "PriorTransformer",
    "RefineModel",
    "StageOutputs",
    "import_published",
    "run_inpaint",
    "run_prior",
    "run_refine",
]


def __getattr__(name: str) -> object:
    """Return a public name from the module that defines it."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pcdms' has no attribute {name!r}")
