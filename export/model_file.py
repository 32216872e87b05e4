"""The model file of `stego export-onnx`: one ONNX file with all that `segment` needs in its metadata."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from export.graph import graph_of, halved
from export.parity import check_parity
from export.quantized import quantized
from stego_cli.class_edits import ClassEdits
from stego_cli.classes import numbered
from stego_cli.errors import ModelError, setting
from stego_cli.gallery.fitting import clusters_of_probe
from stego_cli.gallery.model_edit import edit_model
from stego_cli.gallery.moves import as_text
from stego_cli.gallery.run_classes import classes_of_run
from stego_cli.images.atomic import require_writable_files, sha256, write_bytes
from stego_cli.inference.contract import LARGEST, METADATA_KEY, PRODUCER, ExportRecord, ModelInfo, metadata_text
from stego_cli.inference.session import Session
from stego_cli.model.checkpoint import MODEL_FILE, Checkpoint, load_checkpoint, segmenter
from stego_cli.progress import Progress
from stego_cli.settings import ExportSettings
from stego_cli.version import __version__


def export_onnx(run: Path, target: Path, settings: ExportSettings, progress: Progress) -> Path:
    """Export the checkpoint in the folder `run` to the file `target`, which appears only if parity holds.

    Raises:
        UsageError: `run` holds no checkpoint, or its classes.toml is wrong.
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
        graph = graph_of(halved(reference) if settings.precision == "fp16" else reference)
        if settings.precision == "int8":
            graph = quantized(graph)
        info, made = _info(checkpoint, settings), _record(checkpoint, sha256(run / MODEL_FILE))
        content = _with_metadata(graph, info, made)
        stage.advance()
        parity = check_parity(reference, Session.from_bytes(content, "cpu"), settings.precision)
        stage.advance()
        content = _with_metadata(graph, info, replace(made, parity=parity))
        edits, _ = classes_of_run(run)
        if edits != ClassEdits(edits.found):
            content = edit_model(content, edits, "the exported model")
        write_bytes(target, content)
        stage.advance()
    progress.note(
        f"Torch and ONNX Runtime agree: log-probabilities within {parity.difference:.1e}, "
        f"classes on {parity.agreement:.2%} of pixels or more."
    )
    return target


def _info(checkpoint: Checkpoint, settings: ExportSettings) -> ModelInfo:
    classes = numbered(len(checkpoint.cluster))
    linear = numbered(0 if checkpoint.linear is None else len(checkpoint.linear[1]))
    return ModelInfo(
        classes=len(classes.names),
        class_names=classes.names,
        palette=classes.colours,
        patch=checkpoint.backbone.patch,
        res=checkpoint.res,
        backbone=checkpoint.backbone.name,
        flip=settings.flip,
        precision=settings.precision,
        linear_class_names=checkpoint.linear_names or linear.names,
        linear_palette=checkpoint.linear_palette or tuple(linear.colours),
        hierarchy=checkpoint.hierarchy,
        bands=checkpoint.provenance.bands,
        stretch=checkpoint.provenance.stretch,
        res_ground=checkpoint.provenance.res_ground,
    )


def _record(checkpoint: Checkpoint, digest: str) -> ExportRecord:
    return ExportRecord(
        stego_version=__version__,
        shares=checkpoint.shares,
        block=checkpoint.block,
        token=checkpoint.token,
        weights_sha256=checkpoint.weights_sha256,
        checkpoint_sha256=digest,
        found_clusters="" if checkpoint.found is None else as_text(clusters_of_probe(checkpoint.found)),
    )


def _with_metadata(graph: onnx.ModelProto, info: ModelInfo, made: ExportRecord) -> bytes:
    """Return the model file's bytes."""
    onnx.helper.set_model_props(graph, {METADATA_KEY: metadata_text(info, made)})
    graph.producer_name, graph.producer_version = PRODUCER, __version__
    if graph.ByteSize() > LARGEST:
        raise ModelError(
            f"The model takes {graph.ByteSize() / 1e9:.1f} GB; one ONNX file holds 2.",
            f"Use {setting('precision', 'fp16')}.",
        )
    content: bytes = graph.SerializeToString()
    return content
