"""Parts of an exported graph, run on their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
from onnx import helper

from export.builder import FLOAT, Builder


def computed(part: Callable[..., str], *inputs: np.ndarray) -> np.ndarray:
    """Return what `part(build, *names of the inputs)` computes of inputs, float32 or int64; the result is float32."""
    build = Builder()
    kinds = [helper.np_dtype_to_tensor_dtype(values.dtype) for values in inputs]
    names = [f"input_{index}" for index in range(len(inputs))]
    declared = [
        helper.make_tensor_value_info(name, kind, [None] * values.ndim)
        for name, kind, values in zip(names, kinds, inputs, strict=True)
    ]
    result = helper.make_tensor_value_info("result", FLOAT, None)
    model = build.model("part", declared, [(part(build, *names), result)])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["result"], dict(zip(names, inputs, strict=True)))[0]
