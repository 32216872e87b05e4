"""Checkpoint to model file: the graph, its metadata, its precision, and the check that it computes the same."""

from export.model_file import export_onnx

__all__ = ["export_onnx"]
