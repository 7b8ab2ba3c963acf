"""Which of a codec's encoders, and which pixel format of it, a video gets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vidrestore.encoders.codecs import LIKE_INPUT, Encoder, EncodeSettings
from vidrestore.encoders.trial import taken_formats
from vidrestore.errors import UsageError
from vidrestore.media.pixels import closest_below, nearest, pixel_format, same_samples

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo


def suited(
    encoders: tuple[Encoder, ...], after: VideoInfo, settings: EncodeSettings, ffmpeg: str
) -> tuple[Encoder, str]:
    """Find the encoder whose pixel format is most like the video's, and that format.

    Args:
        encoders: To choose from, the preferred first.
        after: The video to encode.
        settings: `pix_fmt` names the format wanted, if not the video's own.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        The encoder and the format that it is given.

    Raises:
        UsageError: If none holds the video, or the format asked for.
    """
    if settings.pix_fmt is not None:
        return _asked(encoders, after, settings.pix_fmt, ffmpeg)
    size = (after.width, after.height)
    own = pixel_format(after.plane_format)
    second: tuple[Encoder, str] | None = None
    for encoder in encoders:
        takes = _takes(encoder, ffmpeg) or (after.plane_format,)
        best = nearest(after.plane_format, takes, size, even=encoder.even)
        if best is None:
            continue
        if own is not None and same_samples(replace(own, alpha=best.alpha), best):
            return encoder, best.name
        second = second or (encoder, best.name)
    if second is not None:
        return second
    codec = encoders[0].codec
    near = closest_below(
        after.plane_format, _takes(encoders[0], ffmpeg), size, even=encoders[0].even
    )
    if near is not None and settings.codec == LIKE_INPUT:
        return encoders[0], near  # ProRes is decoded to more bits than its encoder takes
    other = f", or --pix-fmt {near}" if near else ""
    raise UsageError(
        f"{codec} cannot hold {after.plane_format} video of {after.width}x{after.height}",
        hint=f"use --codec ffv1, which is lossless and takes every pixel format{other}",
    )


def _asked(
    encoders: tuple[Encoder, ...], after: VideoInfo, pix_fmt: str, ffmpeg: str
) -> tuple[Encoder, str]:
    """The first encoder that takes the format that the user wants."""
    wanted = pixel_format(pix_fmt)
    codec = encoders[0].codec
    if wanted is None:
        raise UsageError(
            f"there is no pixel format {pix_fmt}", hint=_listed(encoders, after, ffmpeg)
        )
    for encoder in encoders:
        takes = _takes(encoder, ffmpeg)
        odd = encoder.even and not wanted.fits(after.width, after.height)
        if not odd and (not takes or pix_fmt in takes):
            return encoder, pix_fmt
        same = nearest(pix_fmt, takes, (after.width, after.height), even=encoder.even)
        if same is not None and same_samples(wanted, same):  # gbrp, which ffv1 calls bgr0
            return encoder, same.name
    raise UsageError(
        f"{codec} cannot hold {pix_fmt} video of {after.width}x{after.height}",
        hint=_listed(encoders, after, ffmpeg),
    )


def _listed(encoders: tuple[Encoder, ...], after: VideoInfo, ffmpeg: str) -> str:
    formats: list[str] = []
    for encoder in encoders:
        for name in _takes(encoder, ffmpeg):
            known = pixel_format(name)
            odd = known is None or (encoder.even and not known.fits(after.width, after.height))
            if not odd and name not in formats:
                formats.append(name)
    return f"{encoders[0].codec} takes {', '.join(formats)}"


def _takes(encoder: Encoder, ffmpeg: str) -> tuple[str, ...]:
    takes = encoder.uploads or taken_formats(ffmpeg, encoder.name) or ()
    if encoder.alpha:
        return takes
    known = [(name, pixel_format(name)) for name in takes]
    return tuple(name for name, held in known if held is not None and not held.alpha)
