"""PIDM, diffusion on pixels with the source by cross attention (CVPR 2023, arXiv 2211.12500)."""
