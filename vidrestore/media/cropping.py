"""What a container takes off the sides of the coded picture, which PyAV does not tell by itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

_MASTERS = frozenset(
    {b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"}  # segment, tracks, entry, video
)

_SIDES = {b"\x54\xcc": 0, b"\x54\xdd": 1, b"\x54\xbb": 2, b"\x54\xaa": 3}
"""Position among left, right, top and bottom, by Matroska's element."""


def container_cropping(stream: Any) -> tuple[int, int, int, int] | None:
    """Find the cropping that a container states of a video stream.

    libavformat reads it and PyAV has no name for it, but a header of Matroska written with the
    same parameters holds it, whatever container it came from.

    Args:
        stream: A stream of an input opened with PyAV.

    Returns:
        Pixels to take off at the left, right, top and bottom; None if nothing is stated.
    """
    import av

    file = io.BytesIO()
    try:
        with av.open(file, "w", format="matroska") as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (ValueError, av.error.FFmpegError):  # a codec that Matroska does not hold
        return None
    sides = [0, 0, 0, 0]
    for name, content in _elements(file.getvalue()):
        if name in _SIDES:
            sides[_SIDES[name]] = int.from_bytes(content)
    left, right, top, bottom = sides
    return (left, right, top, bottom) if any(sides) else None


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each element, those inside of the masters on the way among them."""
    at = 0
    while at < len(data):
        name = data[at : at + 9 - data[at].bit_length()]
        at += len(name)
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length]) - (1 << 7 * length)
        unknown = size == (1 << 7 * length) - 1
        at += length
        content = data[at:] if unknown else data[at : at + size]
        at += len(content)
        if name in _MASTERS:
            yield from _elements(content)
        else:
            yield name, content
