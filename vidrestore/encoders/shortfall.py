"""What an output will not keep of its video, as the first frame encoded shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from vidrestore.encoders.codecs import LIKE_INPUT, EncodeSettings
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.losses import Loss
from vidrestore.media.hdr import states_hdr
from vidrestore.media.pixels import known_format, same_samples

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

_UNSAID = {"range": "tv", "chroma_location": "left"}
"""What a video without tags means: a codec that can only state it changes nothing."""

_SUBJECTS = {
    "range": "colour range",
    "matrix": "colour matrix",
    "primaries": "colour primaries",
    "transfer": "colour transfer",
    "chroma_location": "chroma location",
}


def shortfall(
    plan: EncodingPlan, after: VideoInfo, found: VideoInfo, settings: EncodeSettings
) -> Iterator[Loss]:
    """Name what differs between a video and its encoding without having been asked for.

    Args:
        plan: How it is encoded.
        after: The video as it should be: the source after `--post`.
        found: The encoded video.
        settings: What the user asked for.

    Yields:
        One loss for each difference.
    """
    if not settings.extra and settings.pix_fmt is None:
        yield from _format(plan, after, found)
    if not settings.extra:
        yield from _colour(plan, after, found)
    if after.field_order is not None and found.field_order is None:
        yield Loss("field order", f"{plan.codec} is encoded as whole frames here, not as fields")
    if _is_copy(plan, settings) and None is not after.profile != found.profile:
        yield Loss("profile", f"the profile becomes {found.profile} instead of {after.profile}")
    yield from _side_data(plan, after, found)


def _is_copy(plan: EncodingPlan, settings: EncodeSettings) -> bool:
    """Whether the input's profile was to be kept."""
    unasked = not settings.extra and settings.pix_fmt is None
    return unasked and settings.codec == LIKE_INPUT and plan.source.codec == plan.codec


def _format(plan: EncodingPlan, after: VideoInfo, found: VideoInfo) -> Iterator[Loss]:
    """Differences of the samples: depth, chroma, alpha."""
    codec, name = plan.codec, after.plane_format
    own, read = known_format(name), known_format(found.plane_format)
    dropped = f"the alpha channel is dropped: {codec} cannot hold it"
    if own.alpha and not read.alpha:
        yield Loss("alpha", dropped)
    if same_samples(own, read):
        return
    if same_samples(replace(own, alpha=False), read):
        yield Loss("pixel format", dropped)
    elif plan.pix_fmt is not None and same_samples(own, known_format(plan.pix_fmt)):
        yield Loss("pixel format", f"{codec} hands {name} back as {found.plane_format}")
    else:
        reason = f"{name} video is stored as {plan.pix_fmt}: {codec} cannot hold {name}"
        yield Loss("pixel format", reason)


def _colour(plan: EncodingPlan, after: VideoInfo, found: VideoInfo) -> Iterator[Loss]:
    """Tags that the codec states otherwise; what it leaves out the container can state."""
    for name, subject in _SUBJECTS.items():
        had, stored, stated = (getattr(info.colour, name) for info in (after, plan.video, found))
        if stated is None and stored != had:  # a format of another kind brings its own tags
            stated = stored
        if stated is None or stated == (had or _UNSAID.get(name)):
            continue
        yield Loss(subject, f"{plan.codec} states {stated} as the {subject}")


def _side_data(plan: EncodingPlan, after: VideoInfo, found: VideoInfo) -> Iterator[Loss]:
    if after.hdr is not None and not states_hdr(plan.ffmpeg):
        for name, part in (("mastering-display", "mastering"), ("content-light", "light")):
            had = getattr(after.hdr, part)
            if had is not None and had != getattr(found.hdr, part, None):
                reason = f"the {name} data is dropped: {plan.encoder.name} cannot write it here"
                yield Loss(f"side data:{name}", reason)
    for name in after.per_frame:
        yield Loss(f"side data:{name}", f"the {name} data is dropped: it fits the old frames alone")
