"""Backbones that are not written node by node: torch's own exporter, which takes half a minute."""

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

from export.builder import OPSET
from stego_cli.model.vit import FrozenViT


def traced(backbone: FrozenViT) -> onnx.GraphProto:
    """Return the graph of a backbone, its weights inside: from uint8 (B, H, W, 3) to features (B, h, w, C)."""
    backbone = copy.deepcopy(backbone)
    for module in backbone.vit.modules():
        if hasattr(module, "fused_attn"):
            # timm's own two products: torch's fused attention is exported with a transpose that ONNX Runtime keeps.
            module.fused_attn = False
    patch = backbone.row.patch
    # Unequal sizes, none of them 1 or that of the position table, so that the tracer takes none for a constant.
    example = torch.zeros(2, 5 * patch, 7 * patch, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=4096)
    rows = torch.export.Dim("rows", min=1, max=8192)
    columns = torch.export.Dim("columns", min=1, max=8192)
    with warnings.catch_warnings(), _quiet_exporter():
        warnings.simplefilter("ignore")  # the exporter's own calls raise deprecation warnings that cannot be fixed here
        program = torch.onnx.export(
            backbone,
            (example,),
            dynamo=True,
            dynamic_shapes={"image": {0: batch, 1: patch * rows, 2: patch * columns}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None  # the dynamo exporter always returns one
    model = program.model_proto
    _strip_notes(model)
    return model.graph


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
