"""An ONNX Runtime session over a model file, on a device that is chosen openly and never silently replaced."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import ModelError, UsageError
from stego_cli.images.decode import Rgb
from stego_cli.inference.contract import CLUSTER_OUTPUT, INPUT, LINEAR_OUTPUT, METADATA_KEY, ModelInfo, parse_metadata
from stego_cli.machine import cores

LogProbs = NDArray[np.float32]  # (B, K, H, W)
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Session:
    """A loaded model.

    Attributes:
        info: its metadata.
        device: "cpu" or "cuda:N", what it really runs on.
        why: how "auto" came to that device, in words.
        outputs: names of its outputs.
    """

    def __init__(self, content: bytes, name: str, device: str, threads: int | None = None) -> None:
        import onnxruntime as ort

        ort.set_default_logger_severity(4)  # its errors are raised as well, and reported in our words
        self.device, self.why = _choose(device)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        # Idle threads spinning for work would take the cores from decoding and refining.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Weights in other files would be looked for in the current folder, and no hash would cover them: look nowhere.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        try:
            self._session = ort.InferenceSession(content, options, providers=_providers(self.device))
        except Exception as error:
            raise ModelError(f"{name} is not a readable ONNX model: {_first_line(error)}") from error
        if self.device != "cpu" and _CUDA not in self._session.get_providers():
            if device == "auto":
                self.device, self.why = "cpu", "a GPU was found, but CUDA's libraries could not be loaded"
            else:
                raise UsageError(
                    f"ONNX Runtime could not start CUDA for --device {self.device}.",
                    "Check the driver and `pip install onnxruntime-gpu[cuda,cudnn]`, or give --device cpu.",
                )
        inputs = {entry.name: entry for entry in self._session.get_inputs()}
        self.outputs = [entry.name for entry in self._session.get_outputs()]
        if set(inputs) != {INPUT} or inputs[INPUT].type != "tensor(uint8)" or CLUSTER_OUTPUT not in self.outputs:
            raise ModelError(
                f"{name} has inputs {sorted(inputs)} and outputs {self.outputs}; a model of this tool has {INPUT!r} "
                f"(uint8) and {CLUSTER_OUTPUT!r}.",
                "Make one with `stego export-onnx`.",
            )
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.info: ModelInfo = parse_metadata(metadata.get(METADATA_KEY), name)
        shape = next(entry.shape for entry in self._session.get_outputs() if entry.name == CLUSTER_OUTPUT)
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != self.info.classes):
            raise ModelError(
                f"{name} gives {CLUSTER_OUTPUT!r} of shape {shape}; its metadata says {self.info.classes} classes.",
                "Export it again.",
            )

    @classmethod
    def from_bytes(cls, content: bytes, device: str, name: str = "the exported model") -> Session:
        """Load a model from memory; weights kept in other files are thereby out of reach.

        Raises:
            ModelError: unreadable, or not what the contract says.
            UsageError: the device cannot be used.
        """
        return cls(content, name, device)

    @classmethod
    def from_file(cls, file: Path, device: str, threads: int | None = None) -> Session:
        """Load a model file, to run a batch on `threads` threads of the CPU (all cores).

        Raises:
            ModelError: missing, unreadable, or not what the contract says.
            UsageError: the device cannot be used.
        """
        try:
            content = file.read_bytes()
        except OSError as error:
            remedy = f"Export the run first: `stego export-onnx {file}`." if file.is_dir() else None
            raise ModelError(f"The model {file} cannot be read: {error.strerror or error}.", remedy) from error
        return cls(content, str(file), device, threads)

    def run(self, images: Rgb) -> list[LogProbs]:
        """Return all outputs for `images`, uint8 (B, H, W, 3), H and W multiples of the patch."""
        results: list[LogProbs] = self._session.run(None, {INPUT: images})
        return results

    def log_probs(self, images: Rgb, probe: str = "cluster") -> LogProbs:
        """Return one probe's log-probabilities, float32 (B, K, H, W)."""
        output = CLUSTER_OUTPUT if probe == "cluster" else LINEAR_OUTPUT
        results: list[LogProbs] = self._session.run([output], {INPUT: images})
        return results[0]


def _choose(device: str) -> tuple[str, str]:
    import onnxruntime as ort

    if device == "cpu":
        return "cpu", "asked for"
    has_cuda = _CUDA in ort.get_available_providers()
    gpus = _cuda_devices() if has_cuda else 0
    if device == "auto":
        if gpus:
            return "cuda:0", f"{gpus} GPU{'s' if gpus > 1 else ''} found"
        return "cpu", "no usable NVIDIA GPU found" if has_cuda else "this onnxruntime has no CUDA"
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise UsageError(f"--device is {device!r}; it is auto, cpu, cuda or cuda:N.")
    if not has_cuda:
        raise UsageError(
            f"--device {device}: the installed onnxruntime has no CUDA.",
            "`pip uninstall onnxruntime && pip install onnxruntime-gpu`, or give --device cpu.",
        )
    if int(number or 0) >= gpus:
        raise UsageError(
            f"--device {device}: {gpus} NVIDIA GPUs are usable here.", "Check `nvidia-smi`, or --device cpu."
        )
    return f"cuda:{int(number or 0)}", "asked for"


def _cuda_devices() -> int:
    """Count the GPUs that the CUDA driver offers to this process, without loading torch."""
    import ctypes
    import sys

    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return [_CPU]
    import onnxruntime as ort

    ort.preload_dlls()  # CUDA's libraries out of the nvidia wheels, without any LD_LIBRARY_PATH
    # Full float32 and one fixed choice of algorithms: results that do not change from run to run.
    exact = {"use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"}
    return [(_CUDA, {"device_id": device.partition(":")[2], **exact}), _CPU]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
