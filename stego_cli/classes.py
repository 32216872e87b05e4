"""Names, colours and void values of the classes of the known data sets.

Class i is the i-th name. Label files of these data sets must have these numbers, and `void` for pixels of no class;
other numbers are changed to these with a remapping (see docs/how-to/score.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from stego_cli.palette import Colour, palette

VOID = 255  # value of pixels of no class in nearly all data sets
MOST_CLASSES = 4096  # a confusion matrix of so many classes takes 134 MB
LARGEST_ID = 65535  # of a 16-bit PNG


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set.

    Attributes:
        names: one for each class, in the order of their ids.
        own_colours: RGB, 0 to 255, one for each class, if the data set has its own; else empty.
        void: label value of pixels without a class.
    """

    names: tuple[str, ...]
    own_colours: tuple[Colour, ...] = ()
    void: int = VOID

    @property
    def colours(self) -> list[Colour]:
        """One RGB colour for each class, 0 to 255."""
        return list(self.own_colours) or palette(len(self.names))


# Twelve groups of things, then fifteen of stuff; food and furniture are in both.
_COCOSTUFF27 = ClassTable(
    (
        "electronic", "appliance", "food", "furniture", "indoor", "kitchen", "accessory", "animal", "outdoor",
        "person", "sports", "vehicle", "ceiling", "floor", "food-stuff", "furniture-stuff", "raw material", "textile",
        "wall", "window", "building", "ground", "plant", "sky", "solid", "structural", "water",
    )
)  # fmt: skip

# The label ids 7 to 33 of gtFine, minus 7.
_CITYSCAPES = ClassTable(
    (
        "road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel",
        "pole", "pole group", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider",
        "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
    ),
    (
        (128, 64, 128), (244, 35, 232), (250, 170, 160), (230, 150, 140), (70, 70, 70), (102, 102, 156),
        (190, 153, 153), (180, 165, 180), (150, 100, 100), (150, 120, 90), (153, 153, 153), (125, 125, 125),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
        (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 0, 90), (0, 0, 110), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip

_VOC2012 = ClassTable(
    (
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
    ),
    (
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
        (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128),
        (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
    ),
)  # fmt: skip

# Six classes merged in pairs: {0, 4}, {1, 5}, {2, 3}.
_POTSDAM3 = ClassTable(
    ("roads and cars", "buildings and clutter", "trees and vegetation"), ((128, 64, 128), (70, 70, 70), (107, 142, 35))
)

TABLES: dict[str, ClassTable] = {
    "cocostuff27": _COCOSTUFF27,
    "cityscapes": _CITYSCAPES,
    "voc2012": _VOC2012,
    "potsdam3": _POTSDAM3,
}


def numbered(count: int) -> ClassTable:
    """Return `count` classes with numbers as names."""
    return ClassTable(tuple(f"class {index}" for index in range(count)))
