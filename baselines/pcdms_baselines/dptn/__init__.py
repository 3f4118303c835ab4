"""DPTN, a dual-task pose transformer network (CVPR 2022, arXiv 2203.07910)."""
