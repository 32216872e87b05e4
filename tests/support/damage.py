"""Damage to pictures as fuzzing needs it: each mutation takes a picture and a generator of random numbers.

It is the structure that is changed, so that most of what comes out still begins as a picture: header fields, sizes of
chunks and boxes, tags, truncations, parts of other pictures.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    4096,
    32767,
    32768,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
Mutation = Callable[[bytes, random.Random], bytes]


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, most of them in the header."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        out[rng.randrange(min(len(out), rng.choice((64, 300, len(out)))))] = rng.randrange(256)
    return bytes(out)


def numbered(content: bytes, rng: random.Random) -> bytes:
    """Put a number that is often mishandled somewhere."""
    size, letter = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    if len(content) < size:
        return content
    at = rng.randrange(min(len(content) - size + 1, rng.choice((64, 400, len(content)))))
    number = struct.pack(rng.choice("<>") + letter, rng.choice(NUMBERS) % (1 << 8 * size))
    return content[:at] + number + content[at + size :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """Take away the end, or a part."""
    if rng.random() < 0.6:
        return content[: rng.randrange(len(content))]
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randrange(1, 200) :]


def repeated(content: bytes, rng: random.Random) -> bytes:
    """Repeat a part somewhere."""
    start, at = rng.randrange(len(content)), rng.randrange(len(content))
    return content[:at] + content[start : start + rng.randrange(1, 400)] * rng.choice((1, 1, 2, 50)) + content[at:]


def change_chunk(parts: list[tuple[bytes, bytes]], index: int, what: int, empty: bytes, rng: random.Random) -> None:
    """Change a chunk's bytes (0; an empty one gets some) or a number in it (1), drop it (2), or repeat it (3)."""
    kind, body = parts[index]
    if what == 0:
        parts[index] = kind, flipped(body, rng) if body else empty
    elif what == 1:
        parts[index] = kind, numbered(body, rng)
    elif what == 2:
        del parts[index]
    else:
        parts.insert(rng.randrange(len(parts)), (kind, body))


def png_chunks(content: bytes, rng: random.Random) -> bytes:
    """Change, drop, repeat or move chunks, or add some, with the checksums right."""
    parts, at = [], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        parts.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    if not parts:
        return flipped(content, rng)
    index = rng.randrange(len(parts))
    what = rng.randrange(6)
    if what < 4:
        change_chunk(parts, index, what, bytes(5), rng)
    elif what == 4:
        added = rng.choice((b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"gAMA"))
        text = b"a\0\0" + zlib.compress(rng.randbytes(9) + bytes(rng.choice((5, 3_000_000))))
        parts.insert(rng.randrange(1, len(parts) + 1), (added, rng.choice((text, rng.randbytes(30), b""))))
    else:
        raw = rng.choice((b"", bytes(10), bytes(2_000_000), rng.randbytes(3000)))
        parts = [(kind, zlib.compress(raw) if kind == b"IDAT" else body) for kind, body in parts]
    return content[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def jpeg_segments(content: bytes, rng: random.Random) -> bytes:
    """Change, drop, repeat or add segments."""
    parts, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        parts.append(content[at:end])
        at = end
        if parts[-1][1] == 0xDA:
            break
    rest = content[at:]
    if not parts:
        return content
    index, what = rng.randrange(len(parts)), rng.randrange(5)
    body = parts[index][4:]
    if what == 0 and body:
        changed = flipped(body, rng) if rng.random() < 0.5 else numbered(body, rng)
        parts[index] = parts[index][:2] + struct.pack(">H", len(changed) + 2) + changed
    elif what == 1:
        parts[index] = parts[index][:2] + struct.pack(">H", rng.choice(NUMBERS) % 65536) + body
    elif what == 2:
        del parts[index]
    elif what == 3:
        parts += [parts[index]] * rng.choice((1, 1, 300))
    else:
        marker, added = rng.choice((0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xDD)), rng.randbytes(rng.choice((2, 20, 3000)))
        start = rng.choice((b"Exif\0\0", b"MPF\0", b"ICC_PROFILE\0\1\1", b"Photoshop 3.0\0", b"Adobe", b""))
        parts.insert(0, bytes([0xFF, marker]) + struct.pack(">H", len(start + added) + 2) + start + added)
    return content[:2] + b"".join(parts) + rest


def tiff_tags(content: bytes, rng: random.Random) -> bytes:
    """Change the entries of the first directory: number, type, count, value."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    offset, entry = ("Q", 20) if big else ("I", 12)
    try:
        (at,) = struct.unpack_from(f"{order}{offset}", content, 8 if big else 4)
        (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", content, at)
    except (struct.error, OverflowError):
        return flipped(content, rng)
    out, at = bytearray(content), at + (8 if big else 2)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = at + rng.randrange(max(1, min(count, 40))) * entry
        value = rng.choice(NUMBERS)
        size = 8 if big else 4
        field, where = rng.choice((("H", 0), ("H", 2), (offset, 4), (offset, 4 + size), ("H", 4 + size)))
        try:
            struct.pack_into(f"{order}{field}", out, place + where, value % (1 << 8 * struct.calcsize(f"={field}")))
        except (struct.error, OverflowError):
            break
    return bytes(out)


def boxes(content: bytes, rng: random.Random) -> bytes:
    """Change, drop or repeat a box of an ISO file (HEIC, AVIF, JPEG 2000), at any depth."""
    found: list[tuple[int, int]] = []

    def walk(start: int, end: int, depth: int) -> None:
        while start + 8 <= end and depth < 8:
            size, kind = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
            if size < 8 or start + size > end or not kind.replace(b" ", b"").isalnum():
                return
            found.append((start, size))
            inner = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"iinf": 14, b"jp2h": 8, b"moov": 8}.get(kind)
            if inner:
                walk(start + inner, start + size, depth + 1)
            start += size

    walk(0, len(content), 0)
    if not found:
        return numbered(content, rng)
    start, size = rng.choice(found)
    body, what = content[start + 8 : start + size], rng.randrange(5)
    if what == 0:
        return content[:start] + struct.pack(">I", rng.choice(NUMBERS)) + content[start + 4 :]
    if what == 1:
        return content[:start] + content[start + size :]
    if what == 2:
        return content[:start] + content[start : start + size] * rng.choice((2, 30)) + content[start + size :]
    changed = body and (flipped(body, rng) if what == 3 else numbered(body, rng))
    return content[: start + 8] + changed + content[start + size :]


def riff_chunks(content: bytes, rng: random.Random) -> bytes:
    """Change, drop or repeat a chunk of a WebP."""
    parts, at = [], 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        parts.append((content[at : at + 4], content[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    if not parts:
        return flipped(content, rng)
    index, what = rng.randrange(len(parts)), rng.randrange(5)
    if what < 4:
        change_chunk(parts, index, what, b"12", rng)
    else:
        parts.append((rng.choice((b"EXIF", b"ICCP", b"XMP ", b"ANMF", b"ALPH")), rng.randbytes(40)))
    out = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in parts
    )
    return b"RIFF" + struct.pack("<I", len(out)) + out


def words(content: bytes, rng: random.Random) -> bytes:
    """Change a number of a header that is text."""
    head, rest = content[:40].split() or [b""], content[40:]
    head[rng.randrange(len(head))] = rng.choice(
        (b"0", b"-1", b"99999", b"65536", b"#", b"1e9", b"", str(2**40).encode())
    )
    return b" ".join(head) + rest


GENERAL: tuple[Mutation, ...] = (flipped, numbered, cut, repeated)
STRUCTURED: dict[bytes, Mutation] = {  # by a picture's first bytes
    b"\x89PNG": png_chunks,
    b"\xff\xd8": jpeg_segments,
    b"II": tiff_tags,
    b"MM": tiff_tags,
    b"RIFF": riff_chunks,
    b"\0\0\0": boxes,
    b"P": words,
}


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return a picture changed once to three times."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not content:
            break
        structured = next((change for head, change in STRUCTURED.items() if content.startswith(head)), None)
        roll = rng.random()
        if structured is not None and roll < 0.6:
            content = structured(content, rng)
        elif roll < 0.95:
            content = rng.choice(GENERAL)(content, rng)
        else:  # another picture's head or tail
            other = rng.choice(others)
            at = rng.randrange(min(len(other), len(content)))
            content = content[:at] + other[at:]
    return content
