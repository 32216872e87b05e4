"""`stego_cli.evaluate`."""

from __future__ import annotations

from pathlib import Path

from stego_cli.api.reporting import PathName, Reporting, reporter
from stego_cli.class_files import parse_classes
from stego_cli.reading import Reading
from stego_cli.scoring.evaluate import Evaluation
from stego_cli.settings import EvaluateSettings, Protocol
from stego_cli.tasks import evaluate as task


def evaluate(
    data: PathName,
    *,
    split: str = "val",
    model: PathName | None = None,
    res: int | None = None,
    protocol: Protocol = "stego",
    classes: int | PathName | None = None,
    crf: bool = True,
    device: str = "auto",
    crf_engine: str = "auto",
    workers: int | None = None,
    bands: str = "",
    stretch: str = "auto",
    accept_truncated: bool = False,
    progress: Reporting = None,
) -> Evaluation:
    """Score a model on a labelled data set, as `stego evaluate` does.

    Args:
        data: folder with photographs in imgs/SPLIT and PNGs of class numbers in labels/SPLIT, 255 for void.
        split: name of the split.
        model: a run, or a file that `export_onnx` wrote; None: the newest run here, else ./stego.onnx, else one is
            trained on data/imgs/train and kept as DATA-run.
        res: shorter side at which the model works with protocol "full", pixels; None: the model's own.
        protocol: "stego": the paper's (320 x 320 centre crops, flip-averaged); "full": the masks that `segment` writes.
        classes: a number, a file with one name a line, or "cocostuff27", "cityscapes", "voc2012", "potsdam3"; None:
            those of the data set, else as many as the labels use.
        crf: also score after the dense CRF.
        device: "auto", "cpu", "cuda", "cuda:N" or "tensorrt:N".
        crf_engine: "auto" or a name in stego_cli.crf.ENGINES.
        workers: photographs refined at the same time; None: one a core.
        bands: those to use, from 1, such as "4,3,2"; "": the model's, else the first three.
        stretch: which range of more than 8 bits becomes black to white: "auto" (the model's, if it was trained on such
            pictures, else found on a sample), "none", "LOW,HIGH", or a percentage cut off at each end.
        accept_truncated: use what is there of files that are cut short.
        progress: what the call reports to; None: the console or notebook; False: nothing.

    Returns:
        `scores` by variant, such as scores["cluster", True] for the clusters after the CRF, each with `miou`,
        `accuracy` (percent) and more; `failures`: path and reason of each photograph that could not be used.

    Raises:
        UsageError: settings make no sense, or the protocol needs a model that was exported with flip averaging.
        NoInputError: there is no such split, or no photograph of it can be used.
        ModelError: the model cannot be used.
    """
    settings = EvaluateSettings(
        data=Path(data),
        split=split,
        model=None if model is None else Path(model),
        res=res,
        protocol=protocol,
        classes=None if classes is None else parse_classes(str(classes)),
        crf=crf,
        device=device,
        crf_engine=crf_engine,
        workers=workers,
        reading=Reading.parse(bands, stretch, accept_truncated),
    )
    return task.evaluate(settings, reporter(progress))
