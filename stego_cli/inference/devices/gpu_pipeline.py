"""A batch of photographs on one GPU, from bytes to class indices, with nothing in between going through the host.

(Two exceptions: photographs so large that the network sees them in tiles, and those smaller than an eighth of that.)

Bytes are copied up from page-locked memory. ONNX Runtime reads and writes memory that torch owns. The check for finite
values, the CRF, enlarging and the choice of the class are torch and Triton. Class indices are copied down as bytes.

Two threads may each have a batch in flight on one pipeline: while the host prepares one, the GPU works on the other.
Each call has a torch stream of its own. ONNX Runtime uses streams of its own (given one of ours it would run both
batches on it), so the call waits for its stream before the network, and the network's run returns when it has ended.

The only module of this room that imports torch; import it when a session runs on a GPU.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.crf import cuda_engine
from stego_cli.errors import PhotoError, UsageError, setting
from stego_cli.images.decode import Rgb
from stego_cli.images.masks import labels_at
from stego_cli.inference.predict import NOT_FINITE
from stego_cli.inference.session import Session, is_out_of_memory
from stego_cli.inference.tiles import MOST_PATCHES, in_tiles
from stego_cli.settings import CrfSettings, Probe

Labels = NDArray[np.uint8]  # (H, W)
_HELD = 256 << 20
_STRONGEST_SHRINKING = 8  # beyond it a GPU's block cannot hold the filter's rows; such photographs are tiny
# One CRF at a time on a device: calls share the lattice of the spatial kernel, whichever stream has built it.
_CRF: defaultdict[torch.device, threading.Lock] = defaultdict(threading.Lock)


def missing(session: Session, crf: CrfSettings | None) -> str | None:
    """Return why a session's GPU cannot be used by this module, or None; a pipeline on the CPU serves tests alone."""
    if session.gpu is not None and session.gpu >= torch.cuda.device_count():
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        return f"PyTorch {torch.__version__} (built for {built}) cannot use GPU {session.gpu}"
    return cuda_engine.missing() if crf else None


class DevicePipeline:
    """Everything between decoded photographs and class indices, on a session's device.

    Args:
        session: the model.
        probe: which of its outputs.
        crf: how it is refined; None: not at all.
        held: bytes of probabilities at a photograph's own size that are held at once, or one plane.

    Raises:
        UsageError: torch or Triton cannot use that device.
    """

    def __init__(self, session: Session, probe: Probe, crf: CrfSettings | None, held: int = _HELD) -> None:
        reason = missing(session, crf)
        if reason is not None:
            raise UsageError(f"{setting('device', session.device)}: {reason}.", f"Give {setting('device', 'cpu')}.")
        self._session, self._probe, self._held = session, probe, held
        self._classes = len(session.info.names(probe))
        self._crf = crf if crf and crf.iterations and self._classes > 1 else None
        self._device = torch.device("cpu") if session.gpu is None else torch.device("cuda", session.gpu)
        self._one_crf = _CRF[self._device]
        self._idle: list[
            torch.cuda.Stream
        ] = []  # reused, because torch keeps memory for each stream that was ever used

    def labels(self, images: Rgb, sizes: list[tuple[int, int]]) -> list[Labels | PhotoError]:
        """Return each photograph's class indices at its own size. Several threads may call it at the same time.

        Args:
            images: uint8 (B, H, W, 3), RGB, H and W multiples of the patch.
            sizes: each photograph's own width and height.

        Returns:
            uint8 (H_i, W_i) each, or why a photograph has none.

        Raises:
            Exception: whatever torch or ONNX Runtime raise. Where `is_out_of_memory` is true of it, fewer photographs
                may fit, and nothing of the failed call is left in the GPU's memory.
        """
        with self._stream():
            try:
                return self._labels(images, sizes)
            except Exception as error:
                if is_out_of_memory(error):
                    traceback.clear_frames(error.__traceback__)  # the error would keep the call's tensors alive
                    if self._device.type == "cuda":
                        torch.cuda.empty_cache()  # memory that torch caches is not available to ONNX Runtime
                raise

    @torch.inference_mode()
    def _labels(self, images: Rgb, sizes: list[tuple[int, int]]) -> list[Labels | PhotoError]:
        pixels = self._upload(images)
        large = images[0, :, :, 0].size > MOST_PATCHES * self._session.info.patch**2
        log_probs = self._infer_in_tiles(images) if large else self._infer(pixels)
        finite = log_probs.isfinite().flatten(1).all(1).tolist()
        sound = [index for index, good in enumerate(finite) if good]
        results: list[Labels | PhotoError] = [PhotoError(NOT_FINITE) for _ in sizes]
        if not sound:
            return results
        if len(sound) < len(sizes):
            pixels, log_probs = pixels[sound], log_probs[sound]
        if self._crf:
            log_probs = self._refine(pixels, log_probs, self._crf)
        chosen = log_probs.argmax(1)  # (B, H, W)
        wins = torch.zeros(log_probs.shape[:2], dtype=torch.bool, device=self._device)
        wins = wins.scatter_(1, chosen.flatten(1), True).cpu()
        for place, index in enumerate(sound):
            classes = wins[place].nonzero().flatten().tolist()
            results[index] = _enlarged(log_probs[place], chosen[place], classes, sizes[index], self._held)
        return results

    def _upload(self, images: Rgb) -> Tensor:
        pinned = torch.empty(images.shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        pinned.numpy()[...] = images
        return pinned.to(self._device, non_blocking=True)

    def _infer(self, pixels: Tensor) -> Tensor:
        """Return log-probabilities, float32 (B, K, H, W)."""
        batch, height, width, _ = pixels.shape
        shape = batch, self._classes, height, width
        log_probs = torch.empty(shape, dtype=torch.float32, device=self._device)
        self._wait()  # the photographs are there, and nobody uses what this memory held before
        self._session.run_in_place(pixels.data_ptr(), log_probs.data_ptr(), shape, self._probe)
        return log_probs

    def _infer_in_tiles(self, images: Rgb) -> Tensor:
        """Return the same for photographs of many patches, joined on the host: the network is what takes long there."""
        patch, probes = self._session.info.patch, [self._probe]
        (planes,) = in_tiles(images, patch, lambda part: self._session.run(part, probes))
        return torch.from_numpy(planes).to(self._device)

    def _refine(self, pixels: Tensor, log_probs: Tensor, crf: CrfSettings) -> Tensor:
        with self._one_crf:
            refined = cuda_engine.refine_on_device(pixels, log_probs, crf)
            self._wait()  # the lattice it may have built is whole for the stream of the next
        return refined

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

    @contextlib.contextmanager
    def _stream(self) -> Iterator[None]:
        """Make a stream current that no other call uses."""
        if self._device.type == "cpu":
            yield
            return
        try:
            stream = self._idle.pop()
        except IndexError:
            stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            self._idle.append(stream)


def _enlarged(log_probs: Tensor, chosen: Tensor, classes: list[int], size: tuple[int, int], held: int) -> Labels:
    """Return what images.masks.labels_at does, from planes on a device.

    Args:
        log_probs: float32 (K, h, w).
        chosen: int64 (h, w), the likeliest class of each pixel.
        classes: those that are the likeliest somewhere, ascending.
        size: width and height.
        held: bytes of enlarged planes at once.
    """
    (width, height), (high, wide) = size, chosen.shape
    if (wide, high) == size:
        return chosen.to(torch.uint8).cpu().numpy()
    if len(classes) == 1:
        return np.full((height, width), classes[0], np.uint8)
    if _STRONGEST_SHRINKING * height < high or _STRONGEST_SHRINKING * width < wide:
        return labels_at(log_probs.cpu().numpy(), size)
    best = log_probs.new_full((height, width), -1)
    labels = torch.empty((height, width), dtype=torch.uint8, device=best.device)
    ids = torch.tensor(classes, device=best.device)
    for part in torch.split(ids, max(1, held // (4 * height * width))):
        planes = log_probs[part].exp()[None]
        # With antialias it is Pillow's own filter, for shrinking too.
        planes = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)[0]
        if len(part) == 1:  # perhaps because a plane is large: spare the indices, eight bytes a pixel
            values, winners = planes[0], part.to(torch.uint8)
        else:
            values, places = planes.max(0)
            winners = part.to(torch.uint8)[places]
        labels = torch.where(values > best, winners, labels)
        best = torch.maximum(best, values, out=best)
    return labels.cpu().numpy()
