"""What the user's own filters make of a video, found by running them on a few frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vidrestore.encoders.codecs import ENCODERS
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.encoders.trial import attempt
from vidrestore.errors import FfmpegError, UsageError
from vidrestore.media.tags import ColourTags

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

_FRAMES = 12
"""Enough for a filter that drops or doubles frames to show it."""

_PICTURE = ("width", "height", "sar", "plane_format", "bit_depth", "chroma_shift", "alpha")


def after_post(info: VideoInfo, post: str | None, ffmpeg: str) -> VideoInfo:
    """Find out what a video is once the user's filters have run.

    Args:
        info: The frames that come out of restoration.
        post: ffmpeg filters; None for none.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        The video with its new size, pixel format and colours, where they change. The range of
        YUV never does.

    Raises:
        UsageError: If ffmpeg refuses the filters, or they add, drop or move frames in time.
    """
    if post is None:
        return info
    encoder = ENCODERS["ffv1"][0]
    # Tags for the encoder would make ffmpeg undo what the filters do to them.
    free = replace(info, colour=ColourTags())
    bare = EncodingPlan(encoder, info, free, None, ffmpeg, options=encoder.options)
    filtered = replace(bare, post=post)
    try:
        times = attempt(filtered, _FRAMES).times
        found = attempt(filtered, 1, "matroska").info
    except FfmpegError as error:
        raise UsageError(f"--post {post}: {error}", hint="correct the filters") from error
    if times != list(range(_FRAMES)):
        raise UsageError(
            f"--post {post} changes the frames in time: {_FRAMES} went in, {len(times)} came out",
            hint="use --fps, --cfr or --slow for that",
        )
    before = attempt(bare, 1, "matroska").info  # what the container alone changes is no news
    changes = {
        name: getattr(found, name)
        for name in _PICTURE
        if getattr(found, name) != getattr(before, name)
    }
    tags = {
        name: tag if tag != getattr(before.colour, name) else getattr(info.colour, name)
        for name, tag in vars(found.colour).items()
    }
    # ffmpeg turns the range back for the encoder, or would tag it wrongly, so it stays.
    tags["range"] = "pc" if changes.get("plane_format", "").startswith("gbr") else info.colour.range
    graded = info.hdr if tags["transfer"] == info.colour.transfer else None
    return replace(info, **changes, colour=ColourTags(**tags), hdr=graded)
