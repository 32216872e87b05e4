"""The formats in which masks are handed to other tools: a module and a row here each.

A module has `encode(photo, classes, shaping)`, which is called for many photographs at a time, `write(encoded, classes,
out, shaping)`, and where the format can be read back `read(source)`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        module: its name in this package.
        about: what it is, in a few words.
        reads: whether it can be read back.
        rasters: whether it takes the masks of rasters.
    """

    module: str
    about: str
    reads: bool = True
    rasters: bool = False


FORMATS = {
    "coco": Format("coco", "annotations/instances_default.json, run lengths or polygons"),
    "voc": Format("voc", "palette PNGs with labelmap.txt"),
    "yolo-seg": Format("yolo_seg", "a text file of polygons a photograph, data.yaml"),
    "cvat": Format("cvat", "CVAT for images 1.1, masks or polygons"),
    "labelme": Format("labelme", "a JSON file of polygons a photograph"),
    "geojson": Format("geojson", "a file of polygons with holes each; of rasters in degrees", rasters=True),
    "gpkg": Format("geopackage", "masks.gpkg, polygons of rasters in their own coordinates", reads=False, rasters=True),
    "label-studio": Format("label_studio", "tasks.json with polygons, label_config.xml"),
    "npz": Format("npz", "an array a photograph"),
    "csv": Format("csv_table", "the area of each class in each photograph", reads=False, rasters=True),
}
