"""What a model makes of one picture, and how a notebook shows it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.images.masks import mask_image, overlay_image
from stego_cli.palette import Colour
from stego_cli.text import displayed

_SHOWN_SIDE = 640  # pixels, the longer side at which a notebook shows a picture


@dataclass(frozen=True, repr=False, eq=False)
class Prediction:
    """The labels of one picture. As the last value of a notebook's cell it shows itself, classes in their colours.

    Attributes:
        labels: uint8 (H, W), class numbers at the picture's own size.
        log_probs: float32 (K, h, w), log-probabilities at work size, after the CRF if there was one.
        names: K names of the classes.
        colours: K colours of the classes, RGB of 0 to 255.
    """

    labels: NDArray[np.uint8]
    log_probs: NDArray[np.float32]
    names: tuple[str, ...]
    colours: list[Colour]
    _picture: Callable[[], Image.Image]

    def mask(self) -> Image.Image:
        """Return the labels as a palette picture, as `segment` writes it."""
        return mask_image(self.labels, self.colours)

    def overlay(self) -> Image.Image:
        """Return the picture in RGB with the classes' colours over it.

        Raises:
            PhotoError: it came from a file that can no longer be read.
        """
        return overlay_image(self._picture(), self.labels, self.colours)

    def shares(self) -> dict[str, float]:
        """Return the share of pixels, 0 to 1, of each class that is in the picture, the largest first."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names)) / self.labels.size
        return {
            self.names[index]: float(counts[index]) for index in np.argsort(-counts, kind="stable") if counts[index]
        }

    def __repr__(self) -> str:
        height, width = self.labels.shape
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.shares().items())
        return f"Prediction({width} x {height}: {shares})"

    def _repr_png_(self) -> bytes:
        overlay = self.overlay()
        overlay.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        stream = io.BytesIO()
        overlay.save(stream, "PNG")
        return stream.getvalue()

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode()
        colours = dict(zip(self.names, self.colours, strict=True))
        legend = "".join(
            f'<span style="white-space: nowrap; margin-right: 1em"><span style="display: inline-block; width: 0.8em; '
            f'height: 0.8em; background: rgb{colours[name]}"></span> {html.escape(displayed(name, 200))} '
            f"{share:.0%}</span> "
            for name, share in self.shares().items()
        )
        return f'<figure><img src="data:image/png;base64,{picture}"><figcaption>{legend}</figcaption></figure>'
