"""CFLD: coarse-to-fine latent diffusion, a Stable Diffusion UNet with its own conditions."""
