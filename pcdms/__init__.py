"""PCDMs (ICLR 2024, arXiv 2310.06313): three diffusion stages from a photo and a pose to a photo."""
