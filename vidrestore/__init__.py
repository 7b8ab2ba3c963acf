"""Video restoration with a small temporal diffusion model."""

__version__ = "0.1.0"
