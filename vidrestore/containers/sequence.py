"""Joined segments to what holds nothing but frames: numbered images and Y4M."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidrestore.containers.carry import name_of
from vidrestore.containers.check import OutputCheck
from vidrestore.containers.join import Joint
from vidrestore.containers.metadata import REWRITTEN_TAGS, read_tags
from vidrestore.encoders.encoding import colour_options
from vidrestore.errors import CheckError, OutputError, UsageError
from vidrestore.losses import Loss
from vidrestore.media.ffmpeg import composable, media_url
from vidrestore.media.images import find_sequences
from vidrestore.media.probe import VideoInfo
from vidrestore.media.tracks import read_tracks

LOSSLESS_CODEC = "ffv1"
"""What segments are encoded with on their way to frames."""

_DEEP_RGB = {8: "rgb24", 16: "rgb48"}

IMAGE_FORMATS = {
    ".png": _DEEP_RGB,
    ".tif": _DEEP_RGB,
    ".tiff": _DEEP_RGB,
    ".dpx": {8: "rgb24", 10: "gbrp10be", 12: "gbrp12be", 16: "rgb48be"},
    ".bmp": {8: "bgr24"},
    ".jpg": {8: "yuvj444p"},
    ".jpeg": {8: "yuvj444p"},
}
"""Pixel formats of each kind of image that can be written, by depth."""

_RANGED = frozenset({".png", ".jpg", ".jpeg"})
"""Images that are read as what they are, full range."""

_SCALE = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"

_SCALE_MATRICES = {"bt2020nc": "bt2020", "bt2020c": "bt2020"}
"""Spellings of ffmpeg's scale that differ."""

_Y4M_FORMATS = r"gray(9|10|12|16)?|yuv(420|422|444)p(9|10|12|14|16)?|yuv411p"


def is_numbered(output: Path) -> bool:
    """Whether an output is a folder of numbered images, such as out/frame%05d.png."""
    return output.suffix.lower() in IMAGE_FORMATS


def holds_frames_only(output: Path) -> bool:
    """Whether an output has no place for sound, tags or irregular times."""
    return is_numbered(output) or output.suffix.lower() == ".y4m"


def home(output: Path) -> Path:
    """What appears on the disk: the file, or the folder of numbered images."""
    return output.parent if is_numbered(output) else output


def check_numbered(output: Path, *, overwrite: bool) -> None:
    """Refuse a folder of images that cannot or must not be written.

    Args:
        output: Folder and pattern.
        overwrite: Whether images of that pattern may be replaced.

    Raises:
        UsageError: If the pattern is none.
        OutputError: If the folder holds such images already, or others, which would be taken for
            a part of the clip.
    """
    if not re.fullmatch(r"(|[^%]*[^%\d])%(0\d+)?d\.\w+", output.name):
        raise UsageError(
            f"{output.name} does not number the images",
            hint=f"write {output.with_name('frame%05d' + output.suffix.lower())}",
        )
    if output.absolute().parent == output.absolute().parent.parent or not output.parent.name:
        raise UsageError("images need a folder of their own", hint=f"write -o frames/{output.name}")
    if not home(output).is_dir():
        return
    images = [path for path in home(output).iterdir() if _is_image(path)]
    matching = [path for path in images if _matches(output, path.name)]
    if len(matching) < len(images):
        raise OutputError(
            f"{home(output)} holds other images", hint="write into a folder of its own"
        )
    if matching and not overwrite:
        raise OutputError(f"{output} exists already", hint="-y replaces the images")


def _is_image(path: Path) -> bool:
    return path.is_file() and re.search(r"\d$", path.stem) is not None and is_numbered(path)


def _matches(output: Path, name: str) -> bool:
    prefix, _, suffix = re.split(r"(%0?\d*d)", output.name, maxsplit=1)
    return re.fullmatch(re.escape(prefix) + r"\d+" + re.escape(suffix), name) is not None


def demand_constant_rate(times_s: Sequence[Fraction], rate: Fraction, tick_s: Fraction) -> None:
    """Refuse irregular times, for which frames alone have no place.

    Args:
        times_s: Time of every frame in seconds, increasing.
        rate: Nominal frames per second.
        tick_s: How coarse the times are.

    Raises:
        UsageError: If they are not one frame apart.
    """
    for number, time_s in enumerate(times_s):
        if abs(time_s - times_s[0] - number / rate) > tick_s:
            raise UsageError(
                f"frame {number} is at {float(time_s - times_s[0]):.3f} s instead of "
                f"{float(number / rate):.3f} s, and images and Y4M have one rate only",
                hint=f"add --cfr {rate.numerator}/{rate.denominator}".removesuffix("/1"),
            )


def source_times(info: VideoInfo) -> list[Fraction]:
    """Time of every frame of a source, in seconds, read without decoding."""
    if info.image_pattern is not None:
        return []
    track = read_tracks(*info.source)[info.stream_index]
    return [pts * track.tick for pts in track.shown()]


def frames_command(joined: Joint, target: Path, ffmpeg: str) -> list[str]:
    """Compose the command that writes the frames, which takes the joined video from its input.

    Args:
        joined: The video, in a lossless codec.
        target: Y4M file, or folder and pattern of the images.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        Executable and arguments.

    Raises:
        UsageError: If frames of this kind cannot hold the video's colours.
    """
    import ffmpeg as compose

    info, rate = joined.info, joined.clock.frame_rate
    text = f"{rate.numerator}/{rate.denominator}"
    colour = info.colour
    if not is_numbered(target) and info.chroma_shift == (1, 1):  # Y4M cannot say nothing
        colour = replace(colour, chroma_location=colour.chroma_location or "left")
    video = compose.input("pipe:0", f="nut", **colour_options(colour))["v:0"]
    video = video.filter("settb", f"1/({text})").filter("setpts", "N")
    options: dict[str, Any] = {"r": text, "fps_mode": "cfr", "map_metadata": "-1"}
    if info.field_order is not None:
        video = video.filter("setfield", info.field_order)
    if is_numbered(target):
        pix_fmt = _image_format(info, target)
        url = f"{media_url(target.parent).replace('%', '%%')}/{target.name}"
        options |= {"f": "image2", "start_number": str(info.image_start or 1)}
        options |= {"qmin": "1", "q:v": "1"} if pix_fmt.startswith("yuvj") else {}
        video = video.filter("scale", flags=_SCALE, **_rgb(info))
    else:
        pix_fmt, url = _y4m_format(info), media_url(target)
        options |= {"f": "yuv4mpegpipe", "strict": "-1", "color_range": colour.range or "tv"}
        if colour.chroma_location is not None:
            options["chroma_sample_location"] = colour.chroma_location
    if info.sar is not None:
        video = video.filter("setsar", f"{info.sar.numerator}/{info.sar.denominator}")
    argv: list[str] = compose.output(video, composable(url), pix_fmt=pix_fmt, **options).compile(
        cmd=ffmpeg
    )
    return argv


def _rgb(info: VideoInfo) -> dict[str, str]:
    """How YUV becomes RGB; players guess an unknown matrix by the size."""
    if info.plane_format.startswith(("gbr", "gray")):
        return {}
    matrix = info.colour.matrix or (
        "bt601" if info.width < 1280 and info.height <= 576 else "bt709"
    )
    return {"in_color_matrix": _SCALE_MATRICES.get(matrix, matrix)}


def _image_format(info: VideoInfo, target: Path) -> str:
    """The shallowest format of the kind of image that holds the depth of the video."""
    suffix = target.suffix.lower()
    depths = IMAGE_FORMATS[suffix]
    if info.plane_format.startswith("gray") and suffix in {".png", ".tif", ".tiff"}:
        return "gray" if info.bit_depth == 8 else "gray16be" if suffix == ".png" else "gray16le"
    depth = min((depth for depth in depths if depth >= info.bit_depth), default=max(depths))
    name = depths[depth]
    if name == "rgb48":
        name += "be" if suffix == ".png" else "le"
    if info.alpha and suffix in {".png", ".tif", ".tiff"}:
        return name.replace("rgb24", "rgba").replace("rgb48", "rgba64")
    return name


def _y4m_format(info: VideoInfo) -> str:
    plain = info.plane_format.replace("yuva", "yuv")
    if not re.fullmatch(_Y4M_FORMATS, plain.removesuffix("le")):
        raise UsageError(
            f"Y4M cannot hold {info.plane_format} video", hint="use an .mkv output and --codec ffv1"
        )
    return plain


def check_frames(joined: Joint, target: Path) -> OutputCheck:
    """Compare what was written with what must be there.

    Args:
        joined: The video that went in.
        target: Y4M file, or folder and pattern of the images.

    Returns:
        What was planned and what was found, which agree.

    Raises:
        CheckError: If frames are missing.
    """
    rate, planned = joined.clock.frame_rate, len(joined.pts)
    if is_numbered(target):
        ((_, _, found),) = find_sequences(target.parent)
    else:
        found = len(read_tracks(media_url(target), {})[0].pts)
    if found != planned:
        raise CheckError(f"{planned} frames went in, {found} came out", hint="run again")
    last_s, end_s = (planned - 1) / rate, planned / rate
    zero = Fraction(0)
    return OutputCheck(planned, found, zero, zero, last_s, last_s, end_s, end_s, ())


def frames_losses(info: VideoInfo, output: Path) -> list[Loss]:
    """Name everything that frames alone cannot hold.

    Args:
        info: The video that is written; its streams are the source's.
        output: The final path.

    Returns:
        One loss for each stream, tag and property.
    """
    what = f"{output.suffix.lower().removeprefix('.')} holds frames only"
    losses = [
        Loss(f"stream {stream.index}", f"{name_of(stream)} is dropped: {what}")
        for stream in info.streams
        if stream.index != info.stream_index
    ]
    subjects = [f"stream {info.stream_index} disposition", f"stream {info.stream_index} tag"]
    if info.image_pattern is None:
        tags = read_tags(*info.source)
        named = sorted(tags.whole.keys() - REWRITTEN_TAGS)
        losses += [Loss(f"tag:{key}", f"the tag {key} is dropped: {what}") for key in named]
    losses += [Loss(subject, f"the tags of the video are dropped: {what}") for subject in subjects]
    losses.append(Loss("chapters", f"chapters are dropped: {what}"))
    return losses + _lost_properties(info, output, what)


def _lost_properties(info: VideoInfo, output: Path, what: str) -> list[Loss]:
    """What is known of the picture and cannot be said, or is said otherwise."""
    colour = info.colour
    images = is_numbered(output)
    stated = {
        "rotation": info.rotation_deg or info.mirrored,
        "colour matrix": colour.matrix,
        "colour primaries": colour.primaries,
        "colour transfer": colour.transfer,
        # Y4M has a place for it in 4:2:0 of 8 bits alone.
        "chroma location": (images or info.plane_format != "yuv420p")
        and colour.chroma_location not in (None, "left"),
        "field order": images and info.field_order,
        "side data": info.hdr is not None or info.per_frame,
    }
    losses = [Loss(name, f"{name} is dropped: {what}") for name, value in stated.items() if value]
    if info.alpha and not (images and _image_format(info, output).startswith("rgba")):
        losses.append(Loss("alpha", f"the alpha channel is dropped: {what}"))
    if images and colour.range and output.suffix.lower() not in _RANGED:
        losses.append(Loss("colour range", f"the colour range is dropped: {what}"))
    depths = IMAGE_FORMATS.get(output.suffix.lower(), {info.bit_depth: ""})
    if images and (info.plane_format.startswith("yuv") or info.bit_depth not in depths):
        reason = f"the samples become those of {output.suffix.lower()} images"
        losses += [Loss("pixel format", reason), Loss("colour range", reason)]
    return losses


def publish_images(temporary: Path, output: Path, *, overwrite: bool) -> None:
    """Give a folder of images its final name.

    Args:
        temporary: The folder, beside the final one.
        output: The final folder and the pattern.
        overwrite: Whether images of that pattern may be replaced.

    Raises:
        OutputError: If the folder holds such images, or cannot be written.
    """
    check_numbered(output, overwrite=overwrite)
    folder = home(output)
    try:
        if not folder.exists() or not any(folder.iterdir()):
            temporary.replace(folder)
            return
        for path in folder.iterdir():
            if _matches(output, path.name):
                path.unlink()
        for path in sorted(temporary.iterdir()):
            path.replace(folder / path.name)
        temporary.rmdir()
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror}", hint="choose another output folder"
        ) from error


def discard_output(path: Path) -> None:
    """Delete an unfinished file or folder of images."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
