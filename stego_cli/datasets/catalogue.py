"""The data sets that `stego prepare` can make: a row for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stego_cli.datasets import cityscapes, cocostuff27, folder, potsdam3, voc2012
from stego_cli.datasets.download import Download
from stego_cli.datasets.inventory import Inventory
from stego_cli.datasets.source import Files
from stego_cli.errors import setting
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        find: finds its photographs and labels in a source.
        downloads: archives that can be downloaded freely; none if an account is needed.
        where: what to get and from where, if it cannot be downloaded.
        archives: archives in the folders of a source count as unpacked.
    """

    find: Callable[[Files, PrepareSettings, Progress], Inventory]
    downloads: tuple[Download, ...] = ()
    where: str = ""
    archives: bool = True


_COCO = "http://images.cocodataset.org/zips/"

DATASETS: dict[str, DataSet] = {
    "voc2012": DataSet(
        voc2012.find,
        (
            Download(
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                1_999_639_040,
                "6cd6e144f989b92b3379bac3b3de84fd",
            ),
        ),
    ),
    "cocostuff27": DataSet(
        cocostuff27.find,
        (
            Download(f"{_COCO}val2017.zip", 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
            # Its size and hash are not published; the zip has checksums of its own.
            Download(
                "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip",
                about=690_000_000,
            ),
            Download(f"{_COCO}train2017.zip", 19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
        ),
    ),
    "cityscapes": DataSet(
        cityscapes.find,
        where="Register at https://www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip (11 GB) and "
        f"gtFine_trainvaltest.zip (241 MB) into one folder, and give that folder as {setting('source')}.",
    ),
    "potsdam3": DataSet(
        potsdam3.find,
        where="Ask the ISPRS for access (https://www.isprs.org, benchmark on semantic labelling, Potsdam), download "
        f"2_Ortho_RGB.zip and 5_Labels_all.zip into one folder, and give that folder as {setting('source')}; or give "
        "the potsdam.zip that the authors of STEGO published.",
    ),
    "folder": DataSet(folder.find, where=f"Give a folder of photographs as {setting('source')}.", archives=False),
}
