"""Unsupervised semantic segmentation of folders of photographs (STEGO, arXiv 2203.08414)."""

__version__ = "0.1.0"
