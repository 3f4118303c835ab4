"""NTED, neural texture extraction and distribution (CVPR 2022, arXiv 2204.06160)."""
