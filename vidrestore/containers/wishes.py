"""What a user asked to have changed, by the subjects of the receipt."""

from __future__ import annotations

from pathlib import Path

from vidrestore.containers.sequence import holds_frames_only
from vidrestore.media.probe import VideoInfo
from vidrestore.media.timeline import Retiming
from vidrestore.settings import RestoreSettings

_PICTURE = (
    *("pixel format", "alpha", "chroma location", "colour range", "colour matrix"),
    *("colour primaries", "colour transfer"),
)
"""What follows from the pixel format or may be overridden with it."""


def wishes(settings: RestoreSettings, info: VideoInfo, output: Path) -> dict[str, str]:
    """Name everything that may differ from the source because the user wanted it so.

    Args:
        settings: How the video was restored.
        info: The source.
        output: The output, whose name may say what its frames are stored as.

    Returns:
        Each subject, and the option that asked for it. A subject covers all that begins with it.
    """
    encode = settings.encode
    asked: dict[str, str] = {}
    if settings.wanted != Retiming() or settings.fill:
        asked["frame rate"] = "the frames were retimed"
    if holds_frames_only(output):
        asked |= dict.fromkeys(("codec", "profile"), f"-o {output.name}")
    elif encode.codec != "like-input":
        asked |= dict.fromkeys(("codec", "profile"), f"--codec {encode.codec}")
    if info.deinterlace is not None:
        asked["field order"] = f"--deinterlace {settings.deinterlace}"
    if encode.pix_fmt is not None:
        asked |= dict.fromkeys(_PICTURE, f"--pix-fmt {encode.pix_fmt}")
    if encode.extra:
        asked |= dict.fromkeys((*_PICTURE, "profile", "side data", "field order"), "--ffmpeg-args")
    if encode.post is not None:
        changed = (*_PICTURE, "size", "sample aspect ratio", "field order", "rotation")
        asked |= dict.fromkeys(changed, "--post")
    if settings.start is not None or settings.end is not None:
        asked |= _of_others(info, ("content", "text", "begins", "last packet", "timecode"), _CUT)
    if settings.wanted.slow != 1:
        times = ("begins", "last packet", "timecode", "tag:timecode")
        asked |= _of_others(info, times, "--slow")
        if settings.slow_audio == "drop":
            sounds = [stream.index for stream in info.streams if stream.kind == "audio"]
            asked |= dict.fromkeys((f"stream {index}" for index in sounds), "--slow-audio drop")
    return asked


_CUT = "--start and --end"


def _of_others(info: VideoInfo, facts: tuple[str, ...], how: str) -> dict[str, str]:
    """The same facts of every stream."""
    return {f"stream {stream.index} {fact}": how for stream in info.streams for fact in facts}
