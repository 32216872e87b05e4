"""One picture of a folder of masks: overlays of some of its photographs, and what the colours mean."""

from __future__ import annotations

from pathlib import Path

from stego_cli.datasets.contact_sheet import OURS, overlay_sheet
from stego_cli.errors import StegoError
from stego_cli.gallery.mask_tree import done_entries, open_masks
from stego_cli.images.atomic import write_bytes
from stego_cli.images.discover import STATE
from stego_cli.images.ownership import require_ours_or_absent
from stego_cli.inference.outputs import place
from stego_cli.progress import Progress
from stego_cli.text import shown, visible

FILE = "contact_sheet.jpg"
_MOST = 48  # photographs, chosen evenly


def write_contact_sheet(masks: Path, overwrite: bool, progress: Progress) -> Path | None:
    """Write MASKS/contact_sheet.jpg; None: there is no overlay, or another file has that name, which is left.

    Args:
        masks: the folder.
        overwrite: replace another file of that name.
        progress: told where it is, or why it is not.

    Raises:
        OutputError: it cannot be written.
    """
    if not done_entries(masks):
        return None  # every photograph failed
    file, tree = masks / FILE, open_masks(masks)
    overlays = [masks / place(entry.mask or "", "overlay") for entry in tree.entries]
    overlays = [each for each in overlays if each.is_file()]
    if not overlays:
        return None
    try:
        require_ours_or_absent(file, OURS, overwrite)
    except StegoError as error:
        progress.warn(f"No contact sheet: {error.message}")
        return None
    count = min(len(overlays), _MOST)
    chosen = [overlays[index * len(overlays) // count] for index in range(count)]
    legend = sorted((entry for entry in tree.edits.legend if tree.pixels[entry.value]), key=lambda each: each.number)
    write_bytes(file, overlay_sheet(chosen, [(visible(each.name), each.colour) for each in legend]), masks / STATE)
    progress.note(f"{shown(file)} shows {count} of {len(overlays)} photographs.")
    return file
