"""A model file whose clusters labels moved (`fitting`), and the way back: where they were found is in its metadata."""

from __future__ import annotations

import base64

import numpy as np
import onnx

from stego_cli.errors import ModelError
from stego_cli.gallery.centroids import Clusters, with_clusters
from stego_cli.gallery.model_edit import about_of, set_about
from stego_cli.inference.contract import FOUND_CLUSTERS


def moved_model(content: bytes, clusters: Clusters, name: str) -> bytes:
    """Return the model file with other clusters; those that were found stay known.

    Raises:
        ModelError: it is not a model file of this tool, or its clusters are not found.
    """
    model = onnx.load_from_string(content)
    about = about_of(model, name)
    found = with_clusters(model, clusters, name)
    about.setdefault(FOUND_CLUSTERS, as_text(found))
    set_about(model, about)
    moved: bytes = model.SerializeToString()
    return moved


def model_as_found(content: bytes, count: int, name: str) -> bytes:
    """Return the model file with its clusters where they were found; the classes that it has stay.

    Args:
        content: of the model file.
        count: of clusters, K, with the parts of those that were split.
        name: of the model file, for messages.

    Raises:
        ModelError: it is not a model file of this tool, or damaged.
    """
    model = onnx.load_from_string(content)
    about = about_of(model, name)
    text = about.pop(FOUND_CLUSTERS, "")
    if not text:
        return content
    try:
        rows = np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(-1, count)
        with_clusters(model, Clusters(rows[:-1], rows[-1]), name)
    except ValueError as error:  # binascii's is one
        raise ModelError(f"{name} has damaged metadata: {FOUND_CLUSTERS}: {error}.", "Export it again.") from error
    set_about(model, about)
    result: bytes = model.SerializeToString()
    return result


def as_text(clusters: Clusters) -> str:
    """Return clusters as the metadata has them: float32 (D + 1, K), the log-prior last."""
    rows = np.concatenate([clusters.columns, clusters.log_prior[None]]).astype("<f4")
    return base64.b64encode(rows.tobytes()).decode()
