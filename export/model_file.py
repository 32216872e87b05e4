"""The model file of `stego export-onnx`: one ONNX file with all that `segment` needs in its metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import onnx

from export.graph import halved, trace
from export.parity import Parity, check_parity
from export.quantized import quantized
from stego_cli import __version__
from stego_cli.classes import numbered
from stego_cli.errors import ModelError
from stego_cli.images.atomic import require_writable_files, sha256, write_bytes
from stego_cli.inference.contract import FORMAT, METADATA_KEY
from stego_cli.inference.session import Session
from stego_cli.model.checkpoint import MODEL_FILE, Checkpoint, load_checkpoint, segmenter
from stego_cli.palette import palette
from stego_cli.progress import Progress
from stego_cli.settings import ExportSettings

_LIMIT = 2**31 - 1  # bytes that protobuf holds in one message; a second file is not an option


def export_onnx(run: Path, target: Path, settings: ExportSettings, progress: Progress) -> Path:
    """Export the checkpoint in the folder `run` to the file `target`, which appears only if parity holds.

    Raises:
        UsageError: `run` holds no checkpoint.
        ModelError: the checkpoint is damaged, or the exported graph does not compute the same.
        OutputError: the file cannot be written.
    """
    checkpoint = load_checkpoint(run)
    require_writable_files(target.absolute())
    done = checkpoint.provenance.steps_done
    if done is not None and done < checkpoint.settings.steps:
        progress.warn(
            f"This run stopped after step {done} of {checkpoint.settings.steps} (`stego train --resume` does the rest)."
        )
    with progress.stage("Exporting", 3, unit="steps") as stage:
        reference = segmenter(checkpoint, settings.flip, progress)
        graph = trace(halved(reference) if settings.precision == "fp16" else reference)
        if settings.precision == "int8":
            graph = quantized(graph)
        _describe(graph, checkpoint, settings, sha256(run / MODEL_FILE))
        if graph.ByteSize() > _LIMIT:
            raise ModelError(f"The model takes {graph.ByteSize() / 1e9:.1f} GB; one ONNX file holds 2.", "Use fp16.")
        stage.advance()
        content = graph.SerializeToString()
        parity = check_parity(reference, Session.from_bytes(content, "cpu"), settings.precision)
        content = _with_parity(graph, parity)
        stage.advance()
        write_bytes(target, content)
        stage.advance()
    progress.note(
        f"Torch and ONNX Runtime agree: log-probabilities within {parity.difference:.1e}, "
        f"classes on {parity.agreement:.2%} of pixels or more."
    )
    return target


def _describe(graph: onnx.ModelProto, checkpoint: Checkpoint, settings: ExportSettings, digest: str) -> None:
    classes = len(checkpoint.centroids)
    about = {
        "format": FORMAT,
        "stego_version": __version__,
        "classes": classes,
        "class_names": [f"class {index}" for index in range(classes)],
        "palette": palette(classes),
        "shares": list(checkpoint.shares),
        "patch": checkpoint.backbone.patch,
        "res": checkpoint.res,
        "backbone": checkpoint.backbone.name,
        "block": checkpoint.block,
        "token": checkpoint.token,
        "flip": settings.flip,
        "precision": settings.precision,
        "weights_sha256": checkpoint.weights_sha256,
        "checkpoint_sha256": digest,
    }
    if checkpoint.linear is not None:
        table = numbered(len(checkpoint.linear[1]))
        about["linear_class_names"] = list(checkpoint.linear_names or table.names)
        about["linear_palette"] = list(checkpoint.linear_palette or table.colours)
    onnx.helper.set_model_props(graph, {METADATA_KEY: json.dumps(about)})
    graph.producer_name, graph.producer_version = "stego-cli", __version__


def _with_parity(graph: onnx.ModelProto, parity: Parity) -> bytes:
    """Return the model file, with what the comparison found in its metadata."""
    (entry,) = (entry for entry in graph.metadata_props if entry.key == METADATA_KEY)
    entry.value = json.dumps({**json.loads(entry.value), "parity": asdict(parity)})
    content: bytes = graph.SerializeToString()
    return content
