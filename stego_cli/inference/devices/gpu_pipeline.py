"""A batch of photographs on one GPU, from bytes to class indices, with nothing in between going through the host.

(Two exceptions: photographs so large that the network sees them in tiles, and those smaller than an eighth of that.)

A decoder on the GPU gets the bytes of files, if there is one; else decoded photographs are copied up from page-locked
memory. ONNX Runtime reads and writes memory that torch owns. The check for finite
values, the CRF, enlarging and the choice of the class are torch and Triton. Class indices are copied down as bytes.

Two threads may each have a batch in flight on one pipeline: while the host prepares one, the GPU works on the other.
Each call has a torch stream of its own. ONNX Runtime uses streams of its own (given one of ours it would run both
batches on it), so the call waits for its stream before the network, and the network's run returns when it has ended.

With `resample` the only module of this room that imports torch; import it when a session runs on a GPU.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from stego_cli.crf import cuda_engine
from stego_cli.errors import PhotoError, UsageError, setting
from stego_cli.images.decode import Rgb
from stego_cli.images.masks import labels_at
from stego_cli.inference.devices.decoders import DeviceDecoder, Encoded
from stego_cli.inference.devices.resample import resized
from stego_cli.inference.predict import NOT_FINITE
from stego_cli.inference.session import Session, is_out_of_memory
from stego_cli.inference.tiles import MOST_PATCHES, in_tiles
from stego_cli.settings import CrfSettings, Probe

Labels = NDArray[np.uint8]  # (H, W)
_HELD = 256 << 20
_LEAST = 1e-30  # probability whose logarithm is taken
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
        decoder: on the same GPU; None: photographs come decoded.
        held: bytes of probabilities at a photograph's own size that are held at once, or one plane.

    Attributes:
        decodes: whether it takes photographs that are not decoded yet.
        declined: number of photographs that the decoder did not take, and the CPU decoded.

    Raises:
        UsageError: torch or Triton cannot use that device.
    """

    def __init__(
        self,
        session: Session,
        probe: Probe,
        crf: CrfSettings | None,
        decoder: DeviceDecoder | None = None,
        held: int = _HELD,
    ) -> None:
        reason = missing(session, crf)
        if reason is not None:
            raise UsageError(f"{setting('device', session.device)}: {reason}.", f"Give {setting('device', 'cpu')}.")
        self._session, self._probe, self._held = session, probe, held
        self._classes = len(session.info.names(probe))
        self._crf = crf if crf and crf.iterations and self._classes > 1 else None
        self._device = torch.device("cpu") if session.gpu is None else torch.device("cuda", session.gpu)
        self._on_gpu = self._device.type == "cuda"
        self._decoder, self._one_decoder = decoder, threading.Lock()
        self.decodes, self.declined = decoder is not None, 0
        self._one_crf = _CRF[self._device]
        self._idle: list[
            torch.cuda.Stream
        ] = []  # reused, because torch keeps memory for each stream that was ever used

    def labels(self, images: Sequence[Rgb | Encoded], sizes: list[tuple[int, int]]) -> list[Labels | PhotoError]:
        """Return each photograph's class indices at its own size. Several threads may call it at the same time.

        Args:
            images: of one shape, uint8 (H, W, 3), RGB, H and W multiples of the patch; or all of them still encoded.
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
                    if self._on_gpu:
                        torch.cuda.empty_cache()  # memory that torch caches is not available to ONNX Runtime
                raise

    @torch.inference_mode()
    def _labels(self, images: Sequence[Rgb | Encoded], sizes: list[tuple[int, int]]) -> list[Labels | PhotoError]:
        results: list[Labels | PhotoError] = [PhotoError(NOT_FINITE) for _ in sizes]
        failed: dict[int, PhotoError] = {}
        pixels = self._pixels(images, failed)
        large = pixels[0, :, :, 0].numel() > MOST_PATCHES * self._session.info.patch**2
        log_probs = self._infer_in_tiles(pixels) if large else self._infer(pixels)
        finite = log_probs.isfinite().flatten(1).all(1).tolist()
        for index, error in failed.items():
            results[index] = error
        sound = [index for index, good in enumerate(finite) if good and index not in failed]
        if not sound:
            return results
        if len(sound) < len(sizes):
            pixels, log_probs = pixels[sound], log_probs[sound]
        probs, chosen, wins = self._probabilities(pixels, log_probs)
        by_size: dict[tuple[int, int], list[int]] = {}
        for place, index in enumerate(sound):
            by_size.setdefault(sizes[index], []).append(place)
        for size, places in by_size.items():
            whole = len(places) == len(sound)
            parts = (probs, chosen, wins) if whole else (probs[places], chosen[places], wins[places])
            for place, labels in zip(places, _downloaded(_enlarged(*parts, size, self._held)), strict=True):
                results[sound[place]] = labels
        return results

    def _probabilities(self, pixels: Tensor, log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities (B, K, H, W), below 0 for classes that win nowhere, the likeliest class of each pixel,
        uint8 (B, H, W), and which classes win somewhere, bool (B, K).
        """
        if self._crf:
            chosen = torch.empty_like(log_probs[:, 0], dtype=torch.uint8)
            probs = self._refine(pixels, log_probs, self._crf, chosen)
        else:
            chosen = log_probs.argmax(1).to(torch.uint8)
            probs = log_probs.exp_()
        wins = torch.zeros(probs.shape[:2], dtype=torch.bool, device=self._device)
        wins.scatter_(1, chosen.flatten(1).long(), True)
        return probs.masked_fill_(~wins[:, :, None, None], -1), chosen, wins

    def _pixels(self, images: Sequence[Rgb | Encoded], failed: dict[int, PhotoError]) -> Tensor:
        """Return photographs, uint8 (B, H, W, 3), decoded here or copied up; those that cannot be have a reason."""
        arrays = [image for image in images if not isinstance(image, Encoded)]
        if len(arrays) == len(images):
            pinned = torch.empty((len(arrays), *arrays[0].shape), dtype=torch.uint8, pin_memory=self._on_gpu)
            for place, array in zip(pinned.numpy(), arrays, strict=True):
                place[...] = array
            return pinned.to(self._device, non_blocking=True)
        return self._decoded([image for image in images if isinstance(image, Encoded)], failed)

    def _decoded(self, images: list[Encoded], failed: dict[int, PhotoError]) -> Tensor:
        height, width, _ = images[0].shape
        pixels = torch.zeros((len(images), *images[0].shape), dtype=torch.uint8, device=self._device)
        stream = torch.cuda.current_stream(self._device).cuda_stream if self._on_gpu else 0
        assert self._decoder is not None  # without it nothing is left to decode
        with self._one_decoder:
            found = self._decoder.decode([image.content for image in images], stream)
        by_shape: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
        for index, (image, one) in enumerate(zip(images, found, strict=True)):
            tensor = None if one is None else from_dlpack(one)
            if tensor is not None and tensor.shape == (*image.size[::-1], 3) and tensor.dtype == torch.uint8:
                by_shape.setdefault(tuple(tensor.shape), []).append((index, tensor))
                continue
            with self._one_decoder:
                self.declined += 1
            try:
                pixels[index] = torch.tensor(image.by_host(), device=self._device)
            except PhotoError as error:
                failed[index] = error
        for members in by_shape.values():
            places = torch.tensor([index for index, _ in members], device=self._device)
            pixels[places] = resized(torch.stack([tensor for _, tensor in members]), (width, height))
        return pixels

    def _infer(self, pixels: Tensor) -> Tensor:
        """Return log-probabilities, float32 (B, K, H, W)."""
        batch, height, width, _ = pixels.shape
        shape = batch, self._classes, height, width
        log_probs = torch.empty(shape, dtype=torch.float32, device=self._device)
        self._wait()  # the photographs are there, and nobody uses what this memory held before
        self._session.run_in_place(pixels.data_ptr(), log_probs.data_ptr(), shape, self._probe)
        return log_probs

    def _infer_in_tiles(self, pixels: Tensor) -> Tensor:
        """Return the same for photographs of many patches, joined on the host: the network is what takes long there."""
        patch, probes = self._session.info.patch, [self._probe]
        (planes,) = in_tiles(pixels.cpu().numpy(), patch, lambda part: self._session.run(part, probes))
        return torch.from_numpy(planes).to(self._device)

    def _refine(self, pixels: Tensor, log_probs: Tensor, crf: CrfSettings, chosen: Tensor) -> Tensor:
        with self._one_crf:
            refined = cuda_engine.refine_on_device(pixels, log_probs, crf, chosen=chosen)
            self._wait()  # the stencil it may have built is whole for the stream of the next
        return refined

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.current_stream(self._device).synchronize()

    @contextlib.contextmanager
    def _stream(self) -> Iterator[None]:
        """Make a stream current that no other call uses."""
        if not self._on_gpu:
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


def _enlarged(probs: Tensor, chosen: Tensor, wins: Tensor, size: tuple[int, int], held: int) -> Tensor:
    """Return what images.masks.labels_at does, uint8 (B, H, W), for photographs of one size.

    Args:
        probs: float32 (B, K, h, w), below 0 where a class wins nowhere in a photograph.
        chosen: uint8 (B, h, w), the likeliest class of each pixel.
        wins: bool (B, K), whether a class is that somewhere.
        size: width and height.
        held: bytes of enlarged planes at once.
    """
    (width, height), (batch, high, wide) = size, chosen.shape
    if (wide, high) == size:
        return chosen
    if _STRONGEST_SHRINKING * height < high or _STRONGEST_SHRINKING * width < wide:
        log_probs = probs.clamp(min=_LEAST).log().cpu().numpy()
        return torch.from_numpy(np.stack([labels_at(one, size) for one in log_probs]))
    together = max(1, held // (4 * height * width))  # planes
    if batch > together:
        parts = zip(*(torch.split(each, together) for each in (probs, chosen, wins)), strict=True)
        return torch.cat([_enlarged(probs, chosen, wins, size, held) for probs, chosen, wins in parts])
    best = probs.new_full((batch, height, width), -2)
    labels = torch.empty((batch, height, width), dtype=torch.uint8, device=probs.device)
    for part in torch.split(wins.any(0).nonzero()[:, 0], max(1, together // batch)):
        # With antialias it is Pillow's own filter, for shrinking too.
        planes = F.interpolate(probs[:, part], (height, width), mode="bilinear", antialias=True)
        if len(part) == 1:  # perhaps because a plane is large: spare the indices, eight bytes a pixel
            values, winners = planes[:, 0], part.to(torch.uint8)
        else:
            values, places = planes.max(1)
            winners = part.to(torch.uint8)[places]
        labels = torch.where(values > best, winners, labels)
        best = torch.maximum(best, values, out=best)
    return labels


def _downloaded(labels: Tensor) -> NDArray[np.uint8]:
    """Return a tensor's content in the host's memory, page-locked, which the bus reaches without another copy."""
    if labels.device.type == "cpu":
        return labels.numpy()
    return torch.empty(labels.shape, dtype=labels.dtype, pin_memory=True).copy_(labels).numpy()
