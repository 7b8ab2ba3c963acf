"""What a decoder attaches to a frame besides its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

_NAMED = "ICC_PROFILE"
"""Side data that has a name of its own, which PyAV frees a second time, crashing."""


def side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """Read the side data of a frame.

    Args:
        frame: A decoded frame.

    Returns:
        The content of each item, by PyAV's name of its kind; of an ICC profile only that there is
        one. Nothing if there is a kind that PyAV does not know, such as the EXIF data of images.
    """
    profiled = _filtered(frame, f"mode=select:type={_NAMED}") is not None
    if profiled:
        frame = _filtered(frame, f"mode=delete:type={_NAMED}") or frame
    try:
        items: Any = frame.side_data  # a mapping to PyAV's types, a sequence of items in truth
    except ValueError:
        return {}
    found = {item.type.name: bytes(item) for item in items}
    return {**found, _NAMED: b""} if profiled else found


def _filtered(frame: av.VideoFrame, options: str) -> av.VideoFrame | None:
    """A frame after the sidedata filter; None if that drops it."""
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add("sidedata", options), graph.add("buffersink")).configure()
    graph.push(frame)
    try:
        kept: Any = graph.pull()
        passed: av.VideoFrame = kept
    except (av.error.BlockingIOError, av.error.EOFError):
        return None
    return passed
