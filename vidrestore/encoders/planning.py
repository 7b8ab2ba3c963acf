"""Every decision about the output's encoder and pixel format, made once and tried before use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from vidrestore.encoders.codecs import ENCODERS, LIKE_ENCODERS, LIKE_INPUT, Encoder, EncodeSettings
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.encoders.formats import suited
from vidrestore.encoders.hardware import hardware_encoders
from vidrestore.encoders.post import after_post
from vidrestore.encoders.shortfall import shortfall
from vidrestore.encoders.trial import attempt, taken_formats
from vidrestore.errors import FfmpegError, UsageError, VidrestoreError
from vidrestore.losses import Loss
from vidrestore.media.pixels import PixelFormat, known_format
from vidrestore.media.tags import ColourTags

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

_STAND_IN = "h264"
"""The codec of a like-input output if there is no encoder for the input's."""

_OURS = frozenset(
    {"-i", "-f", "-map", "-vf", "-filter", "-filter:v", "-filter_complex", "-lavfi", "-c", "-c:v"}
    | {"-codec", "-codec:v", "-vcodec", "-vn", "-r", "-s", "-t", "-to", "-ss", "-pix_fmt"}
    | {"-frames:v", "-vframes", "-fps_mode", "-vsync", "-y", "-n", "-enc_time_base", "-copyts"}
)
"""Options that would break the pipe or undo what another option of ours says."""


def plan_encoding(info: VideoInfo, settings: EncodeSettings, ffmpeg: str) -> EncodingPlan:
    """Decide how a video is encoded, and try it.

    Args:
        info: The frames that come out of restoration.
        settings: What the user asks for.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        The plan, with everything that the output will not keep.

    Raises:
        UsageError: If what is asked for is impossible; before any work is done.
        FfmpegError: If this ffmpeg cannot encode the video.
    """
    _check_extra(settings.extra)
    after = after_post(info, settings.post, ffmpeg)
    software, losses = _software(info, settings, ffmpeg)
    warnings: tuple[str, ...] = ()
    if settings.hardware:
        plan = _on_hardware(info, after, settings, software[0].codec, ffmpeg)
        if plan is not None:
            return replace(plan, losses=(*losses, *plan.losses))
        name = software[0].codec
        warnings = (f"no graphics card encodes this as {name}: the processor does",)
    encoder, stored = suited(software, after, settings, ffmpeg)
    settings.check(encoder)
    plan = _tried(_plan(info, after, settings, encoder, stored, ffmpeg), after, settings)
    return replace(plan, losses=(*losses, *plan.losses), warnings=warnings)


def _check_extra(extra: tuple[str, ...]) -> None:
    for word in extra:
        if word in _OURS:
            hint = "leave it out; --post takes filters, --pix-fmt a format, --codec an encoder"
            raise UsageError(f"--ffmpeg-args may not hold {word}", hint=hint)


def _software(
    info: VideoInfo, settings: EncodeSettings, ffmpeg: str
) -> tuple[tuple[Encoder, ...], tuple[Loss, ...]]:
    """The encoders to choose from, and what the choice of the codec loses."""
    like = settings.codec == LIKE_INPUT
    wanted = LIKE_ENCODERS.get(info.codec, ()) if like else ENCODERS[settings.codec]
    there = tuple(one for one in wanted if taken_formats(ffmpeg, one.name) is not None)
    if there:
        return there, ()
    if not like:
        raise FfmpegError(
            f"this ffmpeg has no encoder for {settings.codec}",
            hint="use the bundled one (leave out --ffmpeg), or another --codec",
        )
    reason = f"there is no encoder for {info.codec}: the video is encoded as {_STAND_IN}"
    return ENCODERS[_STAND_IN], (Loss("codec", reason), Loss("profile", reason))


def _on_hardware(
    info: VideoInfo, after: VideoInfo, settings: EncodeSettings, codec: str, ffmpeg: str
) -> EncodingPlan | None:
    """The first plan for a graphics card that works."""
    for encoder in hardware_encoders(codec):
        if taken_formats(ffmpeg, encoder.name) is None:
            continue
        try:
            settings.check(encoder)
            encoder, stored = suited((encoder,), after, settings, ffmpeg)
            return _tried(_plan(info, after, settings, encoder, stored, ffmpeg), after, settings)
        except VidrestoreError:
            continue  # no such card, or it cannot do this
    return None


def _plan(
    info: VideoInfo,
    after: VideoInfo,
    settings: EncodeSettings,
    encoder: Encoder,
    stored: str,
    ffmpeg: str,
) -> EncodingPlan:
    """Put a plan together; nothing is known yet of what comes out."""
    options = dict(encoder.options)
    if info.field_order is not None and encoder.fields is not None:
        options |= encoder.fields
    if settings.codec == LIKE_INPUT:
        options |= encoder.profiles.get(info.profile or "", {})
    options |= dict(_quality(info, settings, encoder))
    preset = settings.preset or encoder.preset
    if preset is not None:
        options[encoder.speed] = preset
    if settings.threads is not None:
        options["threads"] = str(settings.threads)
    if settings.ahead_frames is not None:
        for option, value in encoder.ahead.items():
            text = value.format(settings.ahead_frames)
            options[option] = f"{options[option]}:{text}" if option in options else text
    own, kept = known_format(after.plane_format), known_format(stored)
    extra: list[str] = []
    words = iter(settings.extra)
    for word in words:
        name = word.removeprefix("-")
        more = next(words, None) if name.endswith("-params") and name in options else None
        if more is None:
            extra.append(word)
        else:
            options[name] += f":{more}"
    video = replace(after, codec=encoder.codec, colour=_stored_colour(after.colour, own, kept))
    return EncodingPlan(encoder, info, video, stored, ffmpeg, settings.post, options, tuple(extra))


def _quality(
    info: VideoInfo, settings: EncodeSettings, encoder: Encoder
) -> Iterator[tuple[str, str]]:
    rate_bps = settings.bitrate_bps
    if rate_bps is None and settings.crf is None and settings.codec == LIKE_INPUT:
        rate_bps = info.bitrate_bps
    if rate_bps is not None and encoder.rate:
        yield "b:v", str(rate_bps)
        return
    yield from encoder.constant.items()
    crf = encoder.crf if settings.crf is None else settings.crf
    if crf is not None:
        yield from ((option, str(crf)) for option in encoder.quality)


def _stored_colour(colour: ColourTags, own: PixelFormat, stored: PixelFormat) -> ColourTags:
    """Colour tags after a change of pixel format, which keeps all that it can."""
    if own.rgb and not stored.rgb:
        colour = replace(colour, range="tv", matrix="bt709")
    if stored.rgb and not own.rgb:
        colour = replace(colour, range="pc", matrix="rgb")
    if stored.full:
        colour = replace(colour, range="pc")
    if stored.shift == (0, 0):
        colour = replace(colour, chroma_location=None)
    return colour


def _tried(plan: EncodingPlan, after: VideoInfo, settings: EncodeSettings) -> EncodingPlan:
    """The plan with what it gave when tried."""
    asked = {
        "--ffmpeg-args": bool(plan.extra or settings.extra),
        "--post": settings.post is not None,
        "--preset": settings.preset is not None,
        "--crf": settings.crf is not None,
        "--bitrate": settings.bitrate_bps is not None,
        "--pix-fmt": settings.pix_fmt is not None,
    }
    named = [option for option, given in asked.items() if given]
    try:
        trial = attempt(plan, 1)
    except FfmpegError as error:
        if not named:
            raise
        raise UsageError(str(error), hint=f"correct {' or '.join(named)}") from error
    found = trial.info
    if len(trial.times) != 1 or found.codec != plan.codec:
        raise UsageError("the encoder gave no frame", hint=f"correct {' or '.join(named)}")
    video = replace(
        plan.video,
        profile=found.profile,
        pix_fmt=found.pix_fmt,
        plane_format=found.plane_format,
        bit_depth=found.bit_depth,
        chroma_shift=found.chroma_shift,
        alpha=found.alpha,
        width=found.width,
        height=found.height,
    )
    return replace(plan, video=video, losses=tuple(shortfall(plan, after, found, settings)))
