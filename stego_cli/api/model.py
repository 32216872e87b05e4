"""`stego_cli.Model`: a model file for pictures in memory, one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stego_cli.api.prediction import Prediction
from stego_cli.api.reporting import PathName
from stego_cli.errors import ModelError, PhotoError, UsageError
from stego_cli.images.decode import Decoded, decode, decode_whole, to_rgb
from stego_cli.images.discover import STATE
from stego_cli.inference.mask_classes import classes_as_made
from stego_cli.inference.predict import Recipe, at_work_size, choose_refiner, predict
from stego_cli.inference.session import Session
from stego_cli.palette import Colour
from stego_cli.reading import Reading
from stego_cli.settings import Probe, check_choice, check_res
from stego_cli.text import shown

Picture = PathName | Image.Image | NDArray[np.uint8]


class Model:
    """A model file, loaded once.

    Args:
        file: what `stego_cli.export_onnx` wrote, or `segment` discovered (out/.stego/model.onnx).
        device: "auto", "cpu", "cuda", "cuda:N" or "tensorrt:N".
        crf_engine: "auto" or a name in stego_cli.crf.ENGINES.
        bands: those to use, from 1, such as "4,3,2"; "": the model's, else the first three.
        stretch: which range of more than 8 bits becomes black to white: "auto" (the model's, if it was trained on such
            pictures, else from each picture alone), "none", "LOW,HIGH", or a percentage cut off at each end.
        accept_truncated: use what is there of files that are cut short.

    Attributes:
        file: the file.
        device: what it runs on: "cpu", "cuda:N" or "tensorrt:N".
        probes: those it has: "cluster", and "linear" if labels trained one.
        res: shorter side at which it works unless told otherwise, pixels.

    Raises:
        ModelError: the file is missing, or not a model of this tool.
        UsageError: the device cannot be used.
    """

    def __init__(
        self,
        file: PathName,
        device: str = "auto",
        crf_engine: str = "auto",
        *,
        bands: str = "",
        stretch: str = "auto",
        accept_truncated: bool = False,
    ) -> None:
        asked = Reading.parse(bands, stretch, accept_truncated)
        self.file = Path(file)
        if self.file.is_dir():
            discovered = self.file / STATE / "model.onnx"
            remedy = f"Give the file {discovered}." if discovered.is_file() else "Export a run with export_onnx first."
            raise ModelError(f"{self.file} is a folder, not a model file.", remedy)
        self._session = Session.from_file(self.file, device)
        self._crf_engine = crf_engine
        self.device = self._session.device
        self.probes = self._session.probes
        self.res = self._session.info.res
        self._reading = asked.with_model(self._session.info.bands, self._session.info.stretch)

    def names(self, probe: Probe = "cluster") -> tuple[str, ...]:
        """Return the names of a probe's classes, in the order of their labels; labels that no class has have none."""
        return classes_as_made(self._session.info, probe).names

    def colours(self, probe: Probe = "cluster") -> list[Colour]:
        """Return the colours of a probe's classes, RGB of 0 to 255, in the order of their labels."""
        return classes_as_made(self._session.info, probe).colours

    def predict(
        self, image: Picture, *, crf: bool = True, res: int | None = None, probe: Probe = "cluster"
    ) -> Prediction:
        """Label one picture.

        For a path the labels are the pixels of the mask that `stego_cli.segment` writes. A picture in memory is resized
        from its full size, where a large JPEG file is decoded at a smaller one, so borders may differ a little.

        Args:
            image: a path; a picture of Pillow, whose EXIF orientation is applied; or uint8 (H, W, 3), RGB.
            crf: sharpen labels along edges with a dense CRF.
            res: shorter side at which the model works, pixels, at least 16; None: the model's own.
            probe: whose classes: "cluster", or "linear" if labels trained one.

        Raises:
            PhotoError: the picture cannot be decoded, or the model cannot run on it.
            UsageError: an argument makes no sense, the model has no such probe, or there is no such CRF engine.
        """
        check_res(res)
        check_choice("probe", probe, Probe)
        self._session.require_probe(probe)
        on_gpu = self._session.gpu is not None
        recipe = Recipe(res or self.res, probe, choose_refiner(crf, self._crf_engine, on_gpu), self._reading)
        named = f"{shown(Path(image))}: " if isinstance(image, str | os.PathLike) else ""
        try:
            decoded, picture = _loaded(image, recipe, self._session.info.patch)
            labelled = predict(self._session, decoded, recipe)
        except PhotoError as error:
            raise PhotoError(f"{named}{error.message}") from error
        classes = classes_as_made(self._session.info, probe)
        labels = labelled.labels if classes.values is None else classes.values[labelled.labels]
        return Prediction(labels, labelled.log_probs, classes.names, classes.colours, picture)


def _loaded(image: Picture, recipe: Recipe, patch: int) -> tuple[Decoded, Callable[[], Image.Image]]:
    """Return a picture at work size, and what returns it at its own size."""
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        return decode(path, recipe.res, patch, recipe.reading), partial(decode_whole, path, recipe.reading)
    rgb = _in_rgb(image)
    return at_work_size(rgb, recipe.res, patch), rgb.copy


def _in_rgb(image: Image.Image | NDArray[np.uint8]) -> Image.Image:
    if isinstance(image, Image.Image):
        rgb = to_rgb(ImageOps.exif_transpose(image))
    elif isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        rgb = Image.fromarray(image)
    else:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"must be a path, a Pillow image or a uint8 (H, W, 3) array, got {got}", field="image")
    if not rgb.width * rgb.height:
        raise PhotoError(f"a picture without pixels ({rgb.width} x {rgb.height})")
    return rgb
