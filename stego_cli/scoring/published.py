"""Published results, shown beside measured ones. Percent; None where a paper gives no number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published result, after the CRF where the method has one."""

    method: str
    backbone: str
    probe: str
    accuracy: float | None
    miou: float


_CLUSTER, _LINEAR = "cluster", "linear"
# By data set, as `stego score --classes` names it.
PUBLISHED: dict[str, tuple[Published, ...]] = {
    "cocostuff27": (
        Published("STEGO", "DINO ViT-B/8", _CLUSTER, 56.9, 28.2),
        Published("STEGO", "DINO ViT-B/8", _LINEAR, 76.1, 41.1),
        Published("EAGLE", "DINO ViT-S/8", _CLUSTER, 64.2, 27.2),
        Published("CAUSE-TR", "DINO ViT-B/8", _CLUSTER, 74.9, 41.9),
        Published("CAUSE-TR", "DINOv2 ViT-B/14", _CLUSTER, 78.0, 45.3),
    ),
    "cityscapes": (Published("STEGO", "DINO ViT-B/8", _CLUSTER, 73.2, 21.0),),
    "potsdam3": (Published("STEGO", "DINO ViT-S/8", _CLUSTER, 77.0, 62.6),),
    "voc2012": (
        Published("CAUSE-TR", "DINO ViT-S/8", _CLUSTER, None, 50.0),
        Published("Leopart", "DINO ViT-B/8", _CLUSTER, None, 47.2),
        Published("MaskDistill", "", _CLUSTER, None, 45.8),
    ),
}
