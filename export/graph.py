"""Torch to ONNX: one graph with dynamic batch, height and width, from bytes to log-probabilities."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import onnx
import torch

from export.pixels import PixelGraph
from stego_cli.inference.contract import CLUSTER_OUTPUT, INPUT, LINEAR_OUTPUT
from stego_cli.model.segmenter import Segmenter

_OPSET = 20  # the first with GELU as one operator


def halved(model: Segmenter) -> Segmenter:
    """Return a copy of `model` with backbone and head in float16; normalisation and probes stay float32."""
    model = copy.deepcopy(model)
    model.backbone.vit.half()
    model.head.half()
    return model


def trace(model: Segmenter) -> onnx.ModelProto:
    """Return the graph of `model`, its weights inside.

    Input `image` is uint8 (B, H, W, 3); H and W are multiples of the patch, which the graph does not check.
    """
    model = copy.deepcopy(model)
    for module in model.backbone.vit.modules():
        if hasattr(module, "fused_attn"):
            # timm's own two products: torch's fused attention is exported with a transpose that ONNX Runtime keeps.
            module.fused_attn = False
    patch = model.backbone.row.patch
    # Unequal sizes, none of them 1 or that of the position table, so that the tracer takes none for a constant.
    example = torch.zeros(2, 5 * patch, 7 * patch, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=4096)
    rows = torch.export.Dim("rows", min=1, max=8192)
    columns = torch.export.Dim("columns", min=1, max=8192)
    outputs = [CLUSTER_OUTPUT, LINEAR_OUTPUT] if model.has_linear else [CLUSTER_OUTPUT]
    with warnings.catch_warnings(), _quiet_exporter():
        warnings.simplefilter("ignore")  # the exporter's own calls raise deprecation warnings that cannot be fixed here
        program = torch.onnx.export(
            PixelGraph(model),
            (example,),
            dynamo=True,
            dynamic_shapes={INPUT: {0: batch, 1: patch * rows, 2: patch * columns}},
            input_names=[INPUT],
            output_names=outputs,
            opset_version=_OPSET,
            verbose=False,
        )
    assert program is not None  # the dynamo exporter always returns one
    graph = program.model_proto
    _strip_notes(graph)
    return graph


def _strip_notes(model: onnx.ModelProto) -> None:
    """Delete what the exporter notes for debugging: stack traces, with the paths of this machine, and names of modules.

    Exports from two installations are thereby equal.
    """
    pending: list[Any] = [model]
    while pending:
        message = pending.pop()
        for field, value in message.ListFields():
            if field.name in ("metadata_props", "doc_string"):
                message.ClearField(field.name)
            elif field.message_type is not None:
                pending.extend(value if isinstance(value, Iterable) else [value])


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep what the exporter prints from standard output, which is for machines."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
