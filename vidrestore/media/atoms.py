"""What ffmpeg leaves out of MP4 and MOV, added to the finished file: free tags and languages.

ffmpeg writes either the tags that music shops use or free ones, and knows few languages in MOV.
Both are in the index, which it puts at the end: that alone is rewritten.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_UTF8 = 1
"""Type of a tag's value."""

_MAC_LANGUAGES_END = 0x400
"""Smaller codes are those of old Macintoshes; from here on they are three letters of 5 bits."""


def add_tags(path: Path, tags: Mapping[str, str], *, quicktime: bool) -> None:
    """Add free tags to a whole file, as cameras do.

    Args:
        path: A file written by ffmpeg, with its index at the end; changed in place.
        tags: Values by key, such as "com.apple.quicktime.make".
        quicktime: Whether it is MOV, where this box has another form than in MP4.
    """
    handler = _box(b"hdlr", struct.pack(">II4s3IB", 0, 0, b"mdta", 0, 0, 0, 0))
    keys = b"".join(_box(b"mdta", key.encode()) for key in tags)
    values = b"".join(
        _box(struct.pack(">I", number), _box(b"data", struct.pack(">II", _UTF8, 0) + text.encode()))
        for number, text in enumerate(tags.values(), start=1)
    )
    content = handler + _box(b"keys", struct.pack(">II", 0, len(tags)) + keys)
    version = b"" if quicktime else bytes(4)
    offset, index = _index(path)
    index += _box(b"meta", version + content + _box(b"ilst", values))
    _write_index(path, offset, index)


def set_languages(path: Path, languages: Sequence[str | None]) -> None:
    """State the languages of tracks, of which ffmpeg's MOV knows only those of old Macintoshes.

    Args:
        path: As in `add_tags`; changed in place.
        languages: ISO 639-2 code of every track; None leaves it as it is.
    """
    offset, index = _index(path)
    tracks = [begin for kind, begin, _ in _boxes(index, 0, len(index)) if kind == b"trak"]
    for track, language in zip(tracks, languages, strict=False):
        if language is None or len(language) != 3 or not language.isascii():
            continue
        place = _language_place(index, track)
        packed = 0
        for letter in language:
            packed = packed << 5 | (ord(letter) - 0x60) & 0x1F
        if place is not None and packed >= _MAC_LANGUAGES_END:
            struct.pack_into(">H", index, place, packed)
    _write_index(path, offset, index)


def _language_place(index: bytearray, track: int) -> int | None:
    """Where in the index the language of a track is."""
    for name in (b"mdia", b"mdhd"):
        end = track - 8 + int.from_bytes(index[track - 8 : track - 4])
        found = [begin for kind, begin, _ in _boxes(index, track, end) if kind == name]
        if not found:
            return None
        track = found[0]
    wide_times = index[track] == 1
    return track + (32 if wide_times else 20)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _boxes(data: bytes | bytearray, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin of the content and end of every box in an interval."""
    while begin + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, begin)
        if size < 8:
            return
        yield kind, begin + 8, begin + size
        begin += size


def _index(path: Path) -> tuple[int, bytearray]:
    """Where the content of the file's last box, `moov`, begins, and that content."""
    with path.open("rb") as file:
        begin = 0
        while True:
            file.seek(begin)
            size, kind = struct.unpack(">I4s", file.read(8))
            if size == 1:
                size = int.from_bytes(file.read(8))
            if kind == b"moov":
                return begin + 8, bytearray(file.read(size - 8))
            begin += size


def _write_index(path: Path, offset: int, index: bytes | bytearray) -> None:
    with path.open("r+b") as file:
        file.seek(offset - 8)
        file.write(_box(b"moov", bytes(index)))
