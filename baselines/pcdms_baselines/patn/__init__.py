"""PATN, progressive pose attention transfer (CVPR 2019, arXiv 1904.03349)."""
