"""Unsupervised semantic segmentation of folders of photographs (STEGO, arXiv 2203.08414)."""

from stego_cli.version import __version__

__all__ = ["__version__"]
