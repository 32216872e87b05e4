"""Which files of a folder are photographs, and which label belongs to which of them, by names alone.

Folders tell photographs, labels and splits (`places`); beside each other a label has a word more in its name than its
photograph (`a_mask.png`), or a suffix that only labels have (`a.npy`). Labels mirror the folders of photographs; where
they do not, names that occur once are enough.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from stego_cli.datasets.places import Place, place_of
from stego_cli.datasets.source import LABELS, LISTS
from stego_cli.errors import UsageError
from stego_cli.images.discover import DECODED, UNDECODED
from stego_cli.images.label_files import LABEL_READERS, LOSSY_SUFFIXES
from stego_cli.images.label_names import folded, has_number, without_label_word, without_other_word, without_photo_word

PHOTO_SUFFIXES = DECODED | UNDECODED
SHAPES = ".json"  # of a file of polygons for one photograph
_RANK = {suffix: rank for rank, suffix in enumerate((*LABEL_READERS, SHAPES, *sorted(LOSSY_SUFFIXES)))}
_OURS = ("imgs/", "images/")  # folders whose photographs are all that there are, also without labels
_ARRAYS = (".npy", ".npz", ".mat", SHAPES)  # labels even without a word in their names


@dataclass(frozen=True)
class _Key:
    """What the name of a label has in common with that of its photograph; all texts folded."""

    split: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    stem: str


# What has to be equal, strictest first. With the last two, the name must also be unique.
_LEVELS: tuple[Callable[[_Key], object], ...] = (
    lambda key: key,
    lambda key: (key.split, key.below, key.stem),
    lambda key: (key.above, key.below, key.stem),
    lambda key: (key.below, key.stem),
    lambda key: (key.split, key.stem),
    lambda key: key.stem,
)
_MIRRORED = 4  # levels at which labels are in the same folders as their photographs


@dataclass(frozen=True)
class Pairing:
    """Photographs and labels.

    Attributes:
        photos: in the order of their names.
        labels: the labels of each photograph by its name: one, or one for each class.
        classes: names of the folders of labels that are classes; empty if labels mirror the photographs.
        others: files that look like labels and belong to no photograph.
        passed_over: number of pictures that are neither: instances, overlays, pictures in other folders.
        twins: photographs of a lossless format, each with the name of a JPEG beside it but for the suffix; they may be
            labels.
        unread: files in folders of labels that have the name of a photograph without a label, and a suffix that is not
            read.
    """

    photos: list[Place]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    passed_over: int = 0
    twins: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def pair_up(
    names: Iterable[str], pattern: str | None = None, elsewhere: bool = False, twins_are_labels: bool = False
) -> Pairing:
    """Find photographs and their labels.

    Args:
        names: of all files.
        pattern: of the name of a label, with {stem} and optionally {folder} of its photograph; None: the usual ones.
        elsewhere: labels are only below the folder `source.LABELS`.
        twins_are_labels: take `twins` as labels of the photographs beside them.
    """
    names = sorted(names)
    inside = [place_of(name) for name in names if not name.startswith((f"{LABELS}/", f"{LISTS}/"))]
    pictures = [place for place in inside if place.suffix in PHOTO_SUFFIXES]
    photos = _photos(pictures)
    if pattern is not None:
        return _by_pattern(photos, names, pattern)
    beside = _beside(photos)
    if twins_are_labels:
        beside |= dict.fromkeys(_twins(photos), True)
    photos = [place for place in photos if place.name not in beside]
    candidates = _given_labels(names)
    if not elsewhere:
        of_photos = {place.name for place in photos}
        candidates += [place for place in inside if place.name not in of_photos and _may_be_label(place, beside)]
    labels, classes = _matched(photos, candidates)
    if not labels and not any(place.name.lower().startswith(_OURS) for place in photos):
        # Without labels a word such as "photos" is a folder's name like any other.
        photos = [place_of(place.name, roles=False) for place in pictures if _is_photo(place, photos, beside)]
    used = {name for those in labels.values() for name in those}
    stems = {folded(place.stem) for place in photos}
    others = [
        place.name
        for place in candidates
        if place.name not in used
        and place.suffix != SHAPES
        and all(key.stem not in stems for key in _keys_of_label(place))
    ]
    known = {*used, *others, *(place.name for place in photos)}
    passed_over = sum(place.name not in known for place in pictures)
    without = {folded(place.stem) for place in photos if place.name not in labels}
    unread = [place.name for place in inside if _is_unread(place) and folded(place.stem) in without]
    return Pairing(photos, labels, classes, others, passed_over, _twins(photos), unread)


def _given_labels(names: Iterable[str]) -> list[Place]:
    """Return the files below the folder of labels; those in folders that are named as labels, if there are any."""
    mounted = f"{LABELS}/"
    given = [replace(place_of(name.removeprefix(mounted)), name=name) for name in names if name.startswith(mounted)]
    given = [place for place in given if place.suffix in _RANK and place.role != "other"]
    return [place for place in given if place.role == "label"] or given


def _photos(pictures: list[Place]) -> list[Place]:
    """Return the pictures in folders of photographs, or else those in no folder of labels, or else all."""
    for roles in (("photo",), ("",), ("label", "other")):
        found = [place for place in pictures if place.role in roles]
        if found:
            return found
    return []


def _is_photo(place: Place, photos: list[Place], beside: dict[str, bool]) -> bool:
    """Return whether a picture is a photograph where there are no labels: all but those in folders of labels."""
    return place.name not in beside and (place.role in ("photo", "") or photos[0].role in ("label", "other"))


def _beside(photos: list[Place]) -> dict[str, bool]:
    """Return the pictures that are labels of a photograph beside them (True), or overlays and the like (False)."""
    stems = {(place.above, place.with_split, folded(place.stem)) for place in photos}
    stems |= {
        (place.above, place.with_split, shorter) for place in photos if (shorter := without_photo_word(place.stem))
    }
    found = {}
    for place in photos:
        for is_label, shorten in ((True, without_label_word), (False, without_other_word)):
            shorter = shorten(place.stem)
            if shorter and (place.above, place.with_split, shorter) in stems:
                found[place.name] = is_label
    return found


def _twins(photos: list[Place]) -> list[str]:
    """Return the photographs of lossless formats that a JPEG beside them has the name of, but for the suffix."""
    lossy = {(place.above, place.with_split, folded(place.stem)) for place in photos if place.suffix in LOSSY_SUFFIXES}
    return [
        place.name
        for place in photos
        if place.suffix in LABEL_READERS and (place.above, place.with_split, folded(place.stem)) in lossy
    ]


def _may_be_label(place: Place, beside: dict[str, bool]) -> bool:
    if place.role == "label":
        return place.suffix in _RANK and not without_other_word(place.stem)
    return beside.get(place.name, False) or (place.role in ("", "photo") and place.suffix in _ARRAYS)


def _is_unread(place: Place) -> bool:
    return place.role == "label" and place.suffix not in (*_RANK, ".xml")  # the boxes of VOC lie beside its labels


def _keys_of_photo(place: Place) -> list[_Key]:
    stems = [folded(place.stem), folded(place.stem + place.suffix), without_photo_word(place.stem)]
    return [_key(place, stem) for stem in stems if stem]


def _keys_of_label(place: Place) -> list[_Key]:
    own = folded(place.stem)
    stems = [own, without_label_word(place.stem)]
    if place.role == "label" and own.endswith("_l"):  # CamVid's, which says nothing outside of folders of labels
        stems.append(own.removesuffix("_l"))
    return [_key(place, stem) for stem in stems if stem]


def _key(place: Place, stem: str) -> _Key:
    return _Key(place.split, tuple(map(folded, place.above)), tuple(map(folded, place.below)), stem)


def _matched(photos: list[Place], candidates: list[Place]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the labels of each photograph that has any, and the classes if these are folders."""
    found: dict[str, tuple[str, ...]] = {}
    for level in _LEVELS[:_MIRRORED]:
        _match(level, photos, candidates, found)
    if not found:
        of_classes, classes = _class_folders(photos, candidates)
        if len(classes) > 1:
            return of_classes, classes
    for level in _LEVELS[_MIRRORED:]:
        _match(level, photos, candidates, found)
    return found, []


def _match(
    level: Callable[[_Key], object], photos: list[Place], candidates: list[Place], found: dict[str, tuple[str, ...]]
) -> None:
    """Add the labels of photographs that have none yet."""
    missing = [photo for photo in photos if photo.name not in found]
    if not missing:
        return
    used = {name for those in found.values() for name in those}
    by_key: dict[object, list[Place]] = {}
    for place in candidates:
        if place.name not in used:
            for one in _keys_of_label(place):
                by_key.setdefault(level(one), []).append(place)
    own = Counter(each for photo in photos for each in {level(key) for key in _keys_of_photo(photo)})
    for photo in missing:
        for key in map(level, _keys_of_photo(photo)):
            those = by_key.get(key, [])
            if sum(has_number(place.stem) for place in those) > 1:  # of objects: none of them is the label
                those = [place for place in those if not has_number(place.stem)]
            if those and (level is _LEVELS[0] or (own[key] == 1 and len({_folder(place) for place in those}) == 1)):
                found[photo.name] = (min(those, key=lambda place: _preference(place, photo)).name,)
                break


def _folder(place: Place) -> tuple[str, ...]:
    return (place.split, *place.above, *place.below)


def _preference(place: Place, photo: Place) -> tuple[object, ...]:
    other_case = not place.stem.startswith(photo.stem) and not place.stem.endswith(photo.stem)
    return other_case, place.rank, _RANK[place.suffix], "trainids" not in folded(place.stem), place.name


def _class_folders(photos: list[Place], candidates: list[Place]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the labels of each photograph where the first folder of a label is a class, and the classes."""
    by_key: dict[tuple[object, ...], list[tuple[str, str]]] = {}
    for place in candidates:
        if place.below:
            key = _key(place, folded(place.stem))
            by_key.setdefault((key.split, key.below[1:], key.stem), []).append((place.below[0], place.name))
    labels, classes = {}, set()
    for photo in photos:
        key = _keys_of_photo(photo)[0]
        those = by_key.get((key.split, key.below, key.stem)) or by_key.get(("", key.below, key.stem))
        if those:
            labels[photo.name] = tuple(name for _, name in sorted(those))
            classes |= {name for name, _ in those}
    return labels, sorted(classes)


def _by_pattern(photos: list[Place], names: Sequence[str], pattern: str) -> Pairing:
    """Return the labels whose names a pattern gives."""
    if "{stem}" not in pattern or re.sub(r"\{(stem|folder|suffix)\}", "", pattern).count("{"):
        raise UsageError(
            f"must have {{stem}} in it, and nothing else in braces but {{folder}} and {{suffix}}, got {pattern!r}",
            "Such as {stem}_mask.png, or masks/{folder}/{stem}.png.",
            field="label_pattern",
        )
    exact, known = set(names), {folded(name): name for name in names}
    labels: dict[str, tuple[str, ...]] = {}
    for photo in photos:
        folder, _, file = photo.name.rpartition("/")
        below = "/".join(photo.below)
        filled = pattern.format(stem=photo.stem, folder=below, suffix=file[len(photo.stem) :])
        tidy = re.sub(r"/+", "/", filled).strip("/")
        places = (f"{folder}/{tidy}", f"{LABELS}/{folder}/{tidy}", f"{LABELS}/{below}/{tidy}", f"{LABELS}/{tidy}", tidy)
        for place in (re.sub(r"/+", "/", each).strip("/") for each in places):
            name = place if place in exact else known.get(folded(place))
            if name and name != photo.name:
                labels[photo.name] = (name,)
                break
    used = {name for (name,) in labels.values()}
    return Pairing([photo for photo in photos if photo.name not in used], labels)
