"""A plan for encoding, and the ffmpeg command that carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidrestore.encoders.codecs import Encoder
from vidrestore.losses import Loss
from vidrestore.media.clock import Clock
from vidrestore.media.ffmpeg import composable, media_url
from vidrestore.media.hdr import hdr_encoder_options, hdr_input_options
from vidrestore.media.pixels import pixel_format
from vidrestore.media.raw import unpack

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo
    from vidrestore.media.tags import ColourTags

_MACROBLOCK_PX = 16
_SCALER = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


@dataclass(frozen=True)
class EncodingPlan:
    """How every segment of an output is encoded.

    Attributes:
        encoder: The encoder.
        source: The frames that go in.
        video: The video that comes out: the source as it is after `post`, in the format, colours
            and field order that are stored. Streams and timestamps are the source's.
        pix_fmt: Pixel format that the encoder is given.
        ffmpeg: Path of the ffmpeg executable.
        post: Filters before the encoder; None for none.
        options: ffmpeg's options for quality and the like.
        extra: The user's own options.
        losses: What the output cannot keep.
        warnings: What else the user should know.
    """

    encoder: Encoder
    source: VideoInfo
    video: VideoInfo
    pix_fmt: str | None
    ffmpeg: str
    post: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def codec(self) -> str:
        """The codec, as ffmpeg calls it."""
        return self.encoder.codec

    @property
    def identity(self) -> dict[str, object]:
        """Everything that changes an encoded frame, as plain JSON values."""
        return {
            "encoder": self.encoder.name,
            "pix_fmt": self.pix_fmt,
            "post": self.post,
            "options": dict(self.options),
            "extra": list(self.extra),
        }

    def threads(self, cores: int) -> int | None:
        """The number of threads that decides how encoded frames are rounded.

        Args:
            cores: Processors that the encoder may use.

        Returns:
            That number, also where the encoder chooses it; 0 if frames do not depend on it; None
            if it is not known what the encoder chooses.
        """
        if not self.encoder.rate:
            return 0
        if "threads" in self.options:
            return int(self.options["threads"])
        if self.encoder.name != "libx264":
            return None
        rows = -(-self.video.height // _MACROBLOCK_PX)
        return min(cores * 3 // 2, max(1, rows // 2))  # what libx264 does, to the letter

    def with_threads(self, count: int) -> EncodingPlan:
        """The same plan with a number of threads that the encoder is told."""
        return replace(self, options={**self.options, "threads": str(count)})


def encode_command(plan: EncodingPlan, url: str, clock: Clock, container: str = "nut") -> list[str]:
    """Compose the command that encodes raw frames from its standard input.

    Args:
        plan: How.
        url: Where to write, as ffmpeg spells it: a file or "pipe:1".
        clock: Counts the timestamps of the raw frames.
        container: ffmpeg's name of the container.

    Returns:
        Executable and arguments.
    """
    import ffmpeg as compose

    source, ffmpeg = plan.source, plan.ffmpeg
    # Tags given only on the output would make ffmpeg convert the planes to match them.
    before = {**plan.encoder.device, **colour_options(source.colour)}
    if plan.video.hdr is not None:
        before |= hdr_input_options(source.hdr, ffmpeg)
    if plan.options.get("threads") == "1":
        before["thread_queue_size"] = "1"  # of packets, which here are whole frames
    stream = compose.input("pipe:0", f="nut", **before)["v:0"]
    stream = _filtered(unpack(stream, source), plan)
    options: dict[str, Any] = {"f": container, "copyts": None, "fps_mode": "passthrough"}
    options |= {"flags": "+cgop", "avoid_negative_ts": "disabled"}
    # Said outright, because some filters forget what their input counted in.
    tick = 1 / clock.frame_rate if plan.encoder.counts_frames else clock.time_base
    options["enc_time_base:v"] = f"{tick.numerator}/{tick.denominator}"
    options |= {"c:v": plan.encoder.name, **_stored_tags(plan)}
    hdr = (
        {}
        if "mastering_display" in before
        else hdr_encoder_options(plan.video.hdr, plan.encoder.name)
    )
    argv: list[str] = compose.output(
        stream, composable(url), **_merged(_merged(options, plan.options), hdr)
    ).compile(cmd=ffmpeg)
    return [*argv[:-1], *plan.extra, argv[-1]]


def colour_options(colour: ColourTags) -> dict[str, str]:
    """Spell the known colour tags as ffmpeg options."""
    tags = {
        "color_range": colour.range,
        "colorspace": colour.matrix,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
        "chroma_sample_location": colour.chroma_location,
    }
    return {option: tag for option, tag in tags.items() if tag is not None}


def frame_times(path: Path, time_base: Fraction) -> list[int]:
    """Presentation times in a NUT file of one video, sorted, in ticks of the time base given."""
    import av

    with av.open(media_url(path), format="nut") as nut:
        return sorted(
            round(packet.pts * packet.time_base / time_base)
            for packet in nut.demux(video=0)
            if packet.size and packet.pts is not None
        )


def _filtered(stream: Any, plan: EncodingPlan) -> Any:
    """Everything between the raw frames and the encoder."""
    source = plan.source
    if source.field_order is not None:
        stream = stream.filter("setfield", source.field_order)
    if source.sar is not None:
        stream = stream.filter("setsar", f"{source.sar.numerator}/{source.sar.denominator}")
    if plan.post is not None:
        stream = _verbatim(stream, plan.post)
    if plan.pix_fmt is not None and (plan.post or plan.pix_fmt != source.plane_format):
        stream = stream.filter("scale", flags=_SCALER, **_conversion(plan))
    if plan.encoder.uploads:
        stream = stream.filter("format", plan.pix_fmt).filter("hwupload")
    return stream


def _verbatim(stream: Any, filters: str) -> Any:
    """Filters as the user wrote them; ffmpeg-python would escape them."""
    from ffmpeg.nodes import FilterNode

    class Verbatim(FilterNode):  # type: ignore[misc]
        def _get_filter(self, outgoing_edges: object) -> str:
            return filters

    return Verbatim(stream, "verbatim", max_inputs=1, args=[filters]).stream()


def _conversion(plan: EncodingPlan) -> dict[str, str]:
    """Options that keep matrix and range in a change of pixel format."""
    colour = plan.video.colour
    options = {"interl": "-1"}  # as the frames are flagged
    given, stored = (pixel_format(name or "") for name in (plan.source.plane_format, plan.pix_fmt))
    if given and stored and stored.rgb and not given.rgb and plan.source.colour.matrix is None:
        high = plan.source.width >= 1280 or plan.source.height > 576
        options["in_color_matrix"] = "bt709" if high else "smpte170m"
    if colour.matrix is not None and not (stored and stored.rgb):
        options["out_color_matrix"] = colour.matrix
    if colour.range is not None:
        options["out_range"] = colour.range
    elif plan.post is not None and stored and not (stored.rgb or stored.gray):
        options["out_range"] = "tv"  # which is what no tag means
    return options


def _stored_tags(plan: EncodingPlan) -> dict[str, str]:
    """Tags that the encoder must be told again, and the format that it gets."""
    colour = plan.video.colour
    tags = {"pix_fmt": plan.pix_fmt, "color_range": colour.range, "colorspace": colour.matrix}
    if plan.encoder.uploads:
        del tags["pix_fmt"]
    return {option: tag for option, tag in tags.items() if tag is not None}


def _merged(options: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Options with others; what an encoder's own library is given is joined."""
    merged = dict(options)
    for option, value in more.items():
        joined = option.endswith("-params") and option in merged
        merged[option] = f"{merged[option]}:{value}" if joined else value
    return merged
