"""Colours for class masks: distinct, none of them black, and always the same for the same class."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]

# The first classes cover most pixels, so they get colours that have names.
_FIRST: tuple[Colour, ...] = (
    (70, 130, 180),   # steel blue
    (107, 142, 35),   # olive green
    (220, 120, 40),   # orange
    (150, 90, 160),   # purple
    (240, 200, 60),   # yellow
    (190, 50, 60),    # red
    (60, 179, 150),   # sea green
    (160, 110, 70),   # brown
    (240, 150, 180),  # pink
    (150, 150, 150),  # grey
    (40, 70, 140),    # navy
    (200, 220, 120),  # lime
)  # fmt: skip
_GOLDEN_RATIO = 0.618033988749895


def palette(classes: int) -> list[Colour]:
    """Return `classes` distinct RGB colours (0 to 255), none of them black; class i always has the same colour."""
    colours = list(_FIRST[:classes])
    step = 0
    while len(colours) < classes:
        hue = (0.05 + step * _GOLDEN_RATIO) % 1.0
        lightness = (0.45, 0.65, 0.32, 0.78)[step % 4]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, (0.7, 0.5)[step // 4 % 2])
        colour = (round(red * 255), round(green * 255), round(blue * 255))
        if colour not in colours:
            colours.append(colour)
        step += 1
    return colours
