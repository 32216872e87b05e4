"""GPUs: what the driver offers, which ONNX Runtime provider runs there, and a pipeline that stays in their memory."""
