"""Model files over photograph trees, with ONNX Runtime: decode, infer, refine, write. Never imports torch."""
