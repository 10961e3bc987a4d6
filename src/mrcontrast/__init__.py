"""MRI contrast translation by latent diffusion: from FLAIR to T1w, in 2D and 3D."""

__version__ = "0.1.0"
