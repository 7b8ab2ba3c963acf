"""What a decoded frame says about its colours, its orientation and its fields."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidrestore.media.sidedata import side_data

if TYPE_CHECKING:
    import av

# ffmpeg's spelling of the code points of ITU-T H.273; 2 is "unspecified", hence absent.
_RANGES = {1: "tv", 2: "pc"}
_MATRICES = {
    **{0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco"},
    **{9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc"},
    **{13: "chroma-derived-c", 14: "ictcp"},
}
_PRIMARIES = {
    **{1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film"},
    **{9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "jedec-p22"},
}
_TRANSFERS = {
    **{1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear"},
    **{9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1"},
    **{14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"},
}
_PROGRESSIVE = 1
_INTERLACED_ORDERS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}


@dataclass(frozen=True)
class ColourTags:
    """Colour description in ffmpeg's option spellings; None where the file says nothing."""

    range: str | None = None
    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    chroma_location: str | None = None


def colour_tags(frame: av.VideoFrame, stream: av.VideoStream, *, subsampled: bool) -> ColourTags:
    """Read the colour description of a decoded frame.

    Args:
        frame: A frame of the stream.
        stream: The stream.
        subsampled: Whether chroma has fewer samples than luma, so that their place matters.

    Returns:
        What the file states.
    """
    return ColourTags(
        range=_RANGES.get(int(frame.color_range)),
        matrix=_MATRICES.get(int(frame.colorspace)),
        primaries=_PRIMARIES.get(int(frame.color_primaries)),
        transfer=_TRANSFERS.get(int(frame.color_trc)),
        chroma_location=_chroma_location(frame, stream) if subsampled else None,
    )


def _chroma_location(frame: av.VideoFrame, stream: av.VideoStream) -> str | None:
    location = _shown("cl", frame, stream)
    return None if location in {"unspecified", "unknown"} else location


def _shown(key: str, frame: av.VideoFrame, stream: av.VideoStream) -> str | None:
    """Ask the showinfo filter about a frame, where PyAV has no attribute for it."""
    import av.filter
    import av.logging

    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as messages:
            graph = av.filter.Graph()
            graph.link_nodes(
                graph.add_buffer(template=stream),
                graph.add("sidedata", "mode=delete"),  # it would be printed byte by byte
                graph.add("showinfo", "checksum=0"),
                graph.add("buffersink"),
            ).configure()
            graph.push(frame)
            graph.pull()
    finally:
        av.logging.set_level(level)
    words = " ".join(text for _, _, text in messages).split()
    found = [word.removeprefix(f"{key}:") for word in words if word.startswith(f"{key}:")]
    return found[0] if found else None


def orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Read how a player turns the picture.

    Args:
        frame: A decoded frame with its side data.

    Returns:
        Counter-clockwise rotation in degrees, a multiple of 1 in [0, 360), and whether the
        picture is mirrored left to right before it.
    """
    matrix = side_data(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("<9i", matrix)
    mirrored = a * d - b * c < 0
    return round(math.degrees(-math.atan2(b, -a if mirrored else a))) % 360, mirrored


def field_order(frame: av.VideoFrame, stream: av.VideoStream) -> str | None:
    """Read which field of an interlaced picture comes first.

    Args:
        frame: A frame of the stream.
        stream: The stream.

    Returns:
        "tff" or "bff" (top or bottom field first); None if nothing says that there are fields.
    """
    if frame.interlaced_frame:  # it knows better than its container, or a parser
        return "bff" if _shown("i", frame, stream) == "B" else "tff"
    # "Top coded first" is the top field first in practice, in QuickTime and in ffmpeg's encoders.
    return _INTERLACED_ORDERS.get(int(stream.codec_context.field_order))


def states_progressive(stream: av.VideoStream) -> bool:
    """Whether a stream says that its frames are whole, rather than nothing."""
    return int(stream.codec_context.field_order) == _PROGRESSIVE
