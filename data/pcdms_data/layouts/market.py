"""Market-1501 with the PATN lists."""

from pcdms_data.layouts.patn import read, recognise

__all__ = ["read", "recognise"]
