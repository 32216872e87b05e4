"""What is read: which files of a folder, and how pictures of other kinds become RGB of 8 bits."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from stego_cli.errors import UsageError

Ranges = tuple[tuple[str, float, float], ...]  # kind of numbers, and those that become black and white


def check_ranges(ranges: Ranges) -> None:
    """Refuse ranges, as files have them, that make no sense.

    Raises:
        ValueError: one does not.
    """
    for kind, low, high in ranges:
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"the stretch of {kind!r} is {low} to {high}")


BandChoice = tuple[int | str, ...]  # numbers of bands from 1, or their names
LONGEST_NAME = 256  # characters of a band's name in a model file
_NUMBER = re.compile(r"[+-]?[0-9]+")


def check_bands(bands: BandChoice) -> None:
    """Refuse bands that cannot be shown.

    Raises:
        ValueError: they are not one or three, or one is neither a number from 1 nor a name.
    """
    whole = all(bool(band) if isinstance(band, str) else band >= 1 for band in bands)
    if len(bands) not in (1, 3) or not whole:
        raise ValueError(f"must be one or three numbers from 1, or names, got {', '.join(map(str, bands))}")


@dataclass(frozen=True)
class Reading:
    """How pictures become RGB of 8 bits; grey and RGB of 8 bits are that already, and taken as they are."""

    bands: BandChoice = ()  # one (grey) or three (red, green, blue), by number or name; (): the first three or only one
    stretch: str = "auto"  # of more than 8 bits: "auto", "none", "LOW,HIGH", or "PERCENT" cut off at each end
    accept_truncated: bool = False  # take what is there of a file that is cut short
    ranges: Ranges = ()  # as decided for a run: kind of numbers, black, white

    def __post_init__(self) -> None:
        if self.bands:
            try:
                check_bands(self.bands)
            except ValueError as error:
                raise UsageError(str(error), field="bands") from error
        if self.stretch not in ("auto", "none") and self.limits is None and self.percent is None:
            raise UsageError(
                f"must be auto, none, two numbers LOW,HIGH with LOW below HIGH, or a percentage from 0 to below 50, "
                f"got {self.stretch!r}",
                field="stretch",
            )

    @classmethod
    def parse(cls, bands: str, stretch: str, accept_truncated: bool) -> Reading:
        """Return the settings of which `bands` are given as text, such as "4,3,2" or "nir,red,green"; empty: the first.

        Raises:
            UsageError: a setting makes no sense.
        """
        parts = [band.strip() for band in bands.split(",")] if bands else []
        return cls(tuple(int(band) if _NUMBER.fullmatch(band) else band for band in parts), stretch, accept_truncated)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The numbers that become black and white, where `stretch` gives them."""
        try:
            low, high = map(float, self.stretch.split(","))
        except ValueError:
            return None
        return (low, high) if -math.inf < low < high < math.inf else None

    @property
    def percent(self) -> float | None:
        """The share of the numbers that is cut off at each end, in percent, where `stretch` is one."""
        try:
            percent = float(self.stretch.removesuffix("%"))
        except ValueError:
            return None
        return percent if 0 <= percent < 50 else None

    def with_model(self, bands: BandChoice, ranges: Ranges) -> Reading:
        """Return the settings with those of the photographs that a model was trained on, where none were asked for."""
        known = ranges if self.stretch == "auto" else ()
        return replace(self, bands=self.bands or bands, ranges=self.ranges or known)

    @property
    def asked(self) -> Reading:
        """What was asked for, without what was decided."""
        return replace(self, ranges=())

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        return {
            "bands": list(self.bands),
            "stretch": self.stretch,
            "accept_truncated": self.accept_truncated,
            "ranges": [list(one) for one in self.ranges],
        }

    @classmethod
    def from_dict(cls, fields: Any) -> Reading:  # noqa: ANN401  (JSON from outside)
        """Return the settings that `as_dict` gave.

        Raises:
            ValueError: they are something else.
        """
        try:
            return cls(
                tuple(band if isinstance(band, str) else int(band) for band in fields["bands"]),
                str(fields["stretch"]),
                bool(fields["accept_truncated"]),
                tuple((str(kind), float(low), float(high)) for kind, low, high in fields["ranges"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError, UsageError) as error:
            raise ValueError("not settings of reading pictures") from error


@dataclass(frozen=True)
class Walk:
    """Which files of a folder are photographs to work on. Patterns are those of a shell; `*` stands for `/` too.

    A pattern is compared with a file's path below the folder, and with its name alone.
    """

    include: tuple[str, ...] = ()  # only files that match one of these; (): all
    exclude: tuple[str, ...] = ()  # no files and no folders that match one of these
    follow_links: bool = False  # look into folders that are links, each folder once
