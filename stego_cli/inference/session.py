"""An ONNX Runtime session over a model file, on the device asked for: another is never taken without a word."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import ModelError, UsageError, setting
from stego_cli.images.decode import Rgb
from stego_cli.inference.attention import with_fused_attention
from stego_cli.inference.contract import (
    CLUSTER_OUTPUT,
    INPUT,
    LARGEST,
    METADATA_KEY,
    OUTPUTS,
    ModelInfo,
    parse_metadata,
)
from stego_cli.inference.devices import providers
from stego_cli.machine import cores
from stego_cli.model.weights import cache_folder
from stego_cli.regular_file import read_regular
from stego_cli.settings import Probe

if TYPE_CHECKING:
    import onnxruntime as ort

LogProbs = NDArray[np.float32]  # (B, K, H, W)
# The words of numpy, torch, ONNX Runtime, CUDA, its libraries and Triton; their errors share no type.
_OUT_OF_MEMORY = (
    "out of memory",
    "allocate memory",
    "memory for requested buffer",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
    "is smaller than requested bytes",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of inference says that memory, the GPU's or the host's, was not enough."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


class Session:
    """A loaded model. Threads may run it at the same time.

    Attributes:
        name: of its file.
        info: its metadata.
        device: "cpu", "cuda:N" or "tensorrt:N", what it really runs on.
        why: the reason for that device, in words.
        threads: of the CPU, for one run.
        outputs: names of its outputs.
    """

    def __init__(self, content: bytes, name: str, device: str, threads: int | None = None) -> None:
        import onnxruntime as ort

        ort.set_default_logger_severity(4)  # its errors are also raised, and then reported here
        self.name = name
        self.device, self.why = providers.choose(device)
        self.threads = threads or cores()
        self._options = _options(self.threads)
        # TensorRT's options depend on the model's precision, and trying the model there would build an engine for that.
        on_cpu = None if self.device.startswith("cuda") else self._on_cpu(content, name)
        self._session = on_cpu if self.device == "cpu" and on_cpu else self._on_gpu(content, on_cpu, device)
        inputs = {entry.name: entry for entry in self._session.get_inputs()}
        self.outputs = [entry.name for entry in self._session.get_outputs()]
        if set(inputs) != {INPUT} or inputs[INPUT].type != "tensor(uint8)" or CLUSTER_OUTPUT not in self.outputs:
            raise ModelError(
                f"{name} has inputs {sorted(inputs)} and outputs {self.outputs}; a model of this tool has {INPUT!r} "
                f"(uint8) and {CLUSTER_OUTPUT!r}.",
                "Make one with `stego export-onnx`.",
            )
        self.info = _info(self._session, name)
        self._check_declared()
        self._try(on_cpu or self._session)

    @classmethod
    def from_bytes(
        cls, content: bytes, device: str, name: str = "the exported model", threads: int | None = None
    ) -> Session:
        """Load a model from memory; weights kept in other files are thereby out of reach: see `from_file`."""
        return cls(content, name, device, threads)

    @classmethod
    def from_file(cls, file: Path, device: str, threads: int | None = None) -> Session:
        """Load a model file.

        Args:
            file: what `stego export-onnx` wrote.
            device: auto, cpu, cuda, cuda:N or tensorrt:N.
            threads: of the CPU for one run; None for all cores. With 1 a run stays in the thread that asks for it.

        Raises:
            ModelError: missing, unreadable, or not what the contract says.
            UsageError: the device cannot be used.
        """
        try:
            content = read_regular(file, LARGEST)
        except OSError as error:
            remedy = f"Export the run first: `stego export-onnx {file}`." if file.is_dir() else None
            raise ModelError(f"The model {file} cannot be read: {error.strerror or error}.", remedy) from error
        return cls(content, str(file), device, threads)

    def require_probe(self, probe: Probe) -> None:
        """Refuse a probe that the model does not have.

        Raises:
            UsageError: it has none of that name.
        """
        if not self.info.names(probe):
            raise UsageError(
                f"{self.name} has no {probe} probe.",
                f"Train one with {setting('labels')}, or leave out {setting('probe')}.",
            )

    @property
    def gpu(self) -> int | None:
        """The number of the GPU that it runs on, or None."""
        return None if self.device == "cpu" else int(self.device.partition(":")[2])

    @property
    def probes(self) -> list[Probe]:
        """The probes that the model has."""
        return [probe for probe, output in OUTPUTS.items() if output in self.outputs]

    def run(self, images: Rgb, probes: Sequence[Probe] | None = None) -> list[LogProbs]:
        """Return log-probabilities, float32 (B, K, H, W), of each of the probes.

        Args:
            images: uint8 (B, H, W, 3), H and W multiples of the patch.
            probes: some of `self.probes`; None: all of them.

        Raises:
            ModelError: the model gives something else.
        """
        outputs = [OUTPUTS[probe] for probe in probes or self.probes]
        results: list[LogProbs] = self._session.run(outputs, {INPUT: images})
        for probe, result in zip(probes or self.probes, results, strict=True):
            self._check_result(probe, result, images.shape)
        return results

    def log_probs(self, images: Rgb, probe: Probe = "cluster") -> LogProbs:
        """Return one probe's log-probabilities, float32 (B, K, H, W), for images uint8 (B, H, W, 3)."""
        return self.run(images, [probe])[0]

    def run_in_place(self, images: int, log_probs: int, shape: tuple[int, int, int, int], probe: Probe) -> None:
        """Run on memory of the device it is on, and return when the results are there.

        ONNX Runtime works on a CUDA stream of its own: whatever fills `images`, or still uses the memory of
        `log_probs`, must have ended before.

        Args:
            images: address of uint8 (B, H, W, 3).
            log_probs: address of float32 (B, K, H, W), which is written.
            shape: B, K, H and W.
            probe: "cluster" or "linear".
        """
        batch, _, height, width = shape
        place = ("cpu", 0) if self.gpu is None else ("cuda", self.gpu)
        binding = self._session.io_binding()
        binding.bind_input(INPUT, *place, np.uint8, (batch, height, width, 3), images)
        binding.bind_output(OUTPUTS[probe], *place, np.float32, shape, log_probs)
        self._session.run_with_iobinding(binding)

    def _check_declared(self) -> None:
        """Refuse outputs that the file itself declares to be of another kind than the contract's."""
        for entry in self._session.get_outputs():
            probe = next((probe for probe, output in OUTPUTS.items() if output == entry.name), None)
            if probe is None:
                continue
            classes, shape = len(self.info.names(probe)), entry.shape
            # A name in place of a number stands for what the first run shows.
            fits = len(shape or ()) == 4 and (not isinstance(shape[1], int) or shape[1] == classes)
            if entry.type != "tensor(float)" or not fits or not classes:
                raise ModelError(
                    f"{self.name} gives {entry.name!r} of shape {shape}, {entry.type}; its metadata says {classes} "
                    "classes.",
                    "Export it again.",
                )

    def _try(self, session: ort.InferenceSession) -> None:
        """Run the model once on something small, neither square nor alone, to see the shape that it really gives."""
        patch = self.info.patch
        images = np.zeros((2, 2 * patch, 3 * patch, 3), np.uint8)
        try:
            results = session.run([OUTPUTS[probe] for probe in self.probes], {INPUT: images})
        except Exception:  # whatever the reason is, it is reported of each photograph that has it
            return
        for probe, result in zip(self.probes, results, strict=True):
            self._check_result(probe, result, images.shape)

    def _check_result(self, probe: Probe, result: object, images: tuple[int, ...]) -> None:
        """Refuse an output whose shape or type is not the contract's."""
        batch, height, width, _ = images
        wanted = batch, len(self.info.names(probe)), height, width
        if not isinstance(result, np.ndarray) or result.shape != wanted or result.dtype != np.float32:
            got = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
            raise ModelError(
                f"{self.name} gives {OUTPUTS[probe]!r} as {got} for images of shape {images}; it must be float32 "
                f"{wanted}.",
                "Export it again.",
            )

    def _on_cpu(self, content: bytes, name: str) -> ort.InferenceSession:
        try:
            return self._started(with_fused_attention(content), [providers.CPU])
        except Exception as error:
            raise ModelError(f"{name} is not a readable ONNX model: {_first_line(error)}") from error

    def _on_gpu(self, content: bytes, on_cpu: ort.InferenceSession | None, asked: str) -> ort.InferenceSession:
        """Start on a GPU; where that fails, `auto` goes on with the CPU, and anything else is an error."""
        kind = self.device.partition(":")[0]
        half = on_cpu is not None and _info(on_cpu, self.name).precision == "fp16"
        cache = cache_folder() / "tensorrt" / hashlib.sha256(content).hexdigest()[:16]
        providers.preload()
        said = "no reason given"
        try:
            started = self._started(content, providers.options(self.device, half, cache))
            if providers.PROVIDERS[kind] in started.get_providers():
                return started
        except Exception as error:
            said = _first_line(error)
        on_cpu = on_cpu or self._on_cpu(content, self.name)  # shows whether the model is bad, not the GPU
        missing = providers.missing_library(kind)
        trouble, remedy = missing or (f"ONNX Runtime could not start there: {said}", "Check `nvidia-smi`")
        if asked != "auto":
            raise UsageError(
                f"{setting('device', self.device)}: {trouble}.", f"{remedy}, or give {setting('device', 'cpu')}."
            )
        self.device, self.why = "cpu", f"a GPU was found, but {trouble}"
        return on_cpu

    def _started(self, content: bytes, chain: list[Any]) -> ort.InferenceSession:
        import onnxruntime as ort

        # From the second run of a shape on, ONNX Runtime plans one block for all arrays of a run, and keeps it beside
        # the memory of the first run. On the CPU that nearly doubles the memory of large windows, and is no faster.
        self._options.enable_mem_pattern = chain != [providers.CPU]
        # With the fallback it would take other providers without asking, and print that.
        return ort.InferenceSession(content, self._options, providers=chain, enable_fallback=0)


def _options(threads: int) -> ort.SessionOptions:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Idle threads that spin would take the cores from decoding and refining.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights in other files would be read from the current folder, and no hash would cover them: read none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return options


def _info(session: ort.InferenceSession, name: str) -> ModelInfo:
    return parse_metadata(session.get_modelmeta().custom_metadata_map.get(METADATA_KEY), name)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
