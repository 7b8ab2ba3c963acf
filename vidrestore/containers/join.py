"""Segment files to one stream of packets, with every timestamp taken from the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

from vidrestore.encoders.encode import SegmentFile
from vidrestore.errors import CheckError
from vidrestore.media.clock import Clock
from vidrestore.media.ffmpeg import media_url
from vidrestore.media.probe import VideoInfo

_GRACE_S = Fraction(1, 1_000_000)
"""A packet this close before a cut counts as after it, however its time was rounded."""

_LONGEST_LEAD_S = 1
"""Players should not have to decode earlier than this, however long the last frames stand."""


@dataclass(frozen=True)
class Joint:
    """Segments that become one stream.

    Attributes:
        info: The source.
        clock: Counts the timestamps.
        segments: The segments in order of time.
        pts: PTS of every frame of the segments, in ticks of the clock, increasing.
        delay: Frames that the encoder may hold back to reorder them.
    """

    info: VideoInfo
    clock: Clock
    segments: Sequence[SegmentFile]
    pts: Sequence[int]
    delay: int

    @property
    def first_s(self) -> Fraction:
        """Time of the first frame, in seconds of the output."""
        return self.pts[0] * self.clock.time_base

    @property
    def end_s(self) -> Fraction:
        """When the last frame ends, in seconds of the output."""
        return (self.pts[-1] + self.last_duration) * self.clock.time_base

    @property
    def last_duration(self) -> int:
        """Ticks for which the last frame is shown: what is known, else as the one before."""
        info, clock = self.info, self.clock
        end = clock.end_pts
        if end is None and info.frames == len(self.pts) and info.duration_pts is not None:
            stated_s = (info.start_pts + info.duration_pts) * info.time_base
            end = round(clock.output_time(stated_s) / clock.time_base)
        if end is not None and end > self.pts[-1]:
            return end - self.pts[-1]
        if len(self.pts) > 1:
            return self.pts[-1] - self.pts[-2]
        return clock.step

    @property
    def kept_s(self) -> tuple[Fraction | None, Fraction]:
        """From when to when, in seconds of the source, other streams belong to these frames.

        None if it is from the beginning, because no frame was cut off there.
        """
        clock, info = self.clock, self.info
        first = clock.source_time(self.first_s) - _GRACE_S
        begins = first < info.start_pts * info.time_base
        return (None if begins else first), clock.source_time(self.end_s) - _GRACE_S

    def retiming(self, tick_s: Fraction | None = None) -> str:
        """Bitstream filter for what NUT does not carry: first decode times, last duration.

        A decoder needs a packet before its frame is shown, so decode times are the sorted
        presentation times moved back by `delay` frames. The demuxer would guess those before
        the first frame.

        Args:
            tick_s: Of the packets that the filter sees, in seconds; None if ffmpeg knows.
        """
        lead = self._lead
        step = "TB" if tick_s is None else f"({tick_s.numerator}/{tick_s.denominator})"
        tick = f"{self.clock.time_base.numerator}/{self.clock.time_base.denominator}/{step}"
        early = f"{self.pts[0] - lead}+floor(N*{lead}/{max(1, self.delay)})"
        # The last frame in time ends the stream; the last packet need not hold it.
        ends = f"eq(N,{len(self.pts) - 1})+eq(PTS,round({self.pts[-1]}*{tick}))"
        return (
            f"setts=pts=PTS:dts='if(lt(N,{self.delay}),round(({early})*{tick}),DTS)'"
            f":duration='if({ends},round({self.last_duration}*{tick}),DURATION)'"
        )

    @property
    def _lead(self) -> int:
        """Ticks from the first decode time to the first frame, at least one for each of `delay`.

        As long as the last `delay` frames: then decoding lasts as long as showing, and so does
        the video by MP4's header, which counts in decode times.
        """
        last = min(self.delay, len(self.pts) - 1)
        if last:
            lead = (self.pts[-1] - self.pts[-1 - last]) * self.delay // last
            if lead * self.clock.time_base <= _LONGEST_LEAD_S:
                return lead
        return self.delay * self.clock.step

    def write(self, pipe: IO[bytes]) -> None:
        """Write all packets as one NUT stream.

        Args:
            pipe: Where to write; it stays open.

        Raises:
            OSError: If the reader of the pipe is gone.
            CheckError: If a segment was encoded with other parameters than the first.
        """
        import av

        position = 0
        with (
            av.open(media_url(self.segments[0].path), format="nut") as first,
            av.open(
                pipe,
                "w",
                format="nut",
                options={"avoid_negative_ts": "disabled", "strict": "experimental"},
                buffer_size=1 << 20,
            ) as nut,
        ):
            template = first.streams.video[0]
            stream = _copy_of(template, nut)
            stream.time_base = self.clock.time_base
            for segment in self.segments:
                start = self.pts[position]
                with av.open(media_url(segment.path), format="nut") as source:
                    video = source.streams.video[0]
                    if video.codec_context.extradata != template.codec_context.extradata:
                        raise CheckError(
                            f"segment {segment.path.name} was encoded with other parameters",
                            hint="delete the work folder and run again",
                        )
                    for packet in source.demux(video):
                        if not packet.size or packet.pts is None:
                            continue
                        ticks = packet.pts * packet.time_base / self.clock.time_base
                        packet.pts = start + round(ticks)
                        packet.dts = self._decode_time(position)
                        packet.time_base = self.clock.time_base
                        packet.stream = stream
                        nut.mux(packet)
                        position += 1

    def _decode_time(self, position: int) -> int:
        if position < self.delay:
            return self.pts[0] - self.delay + position
        return self.pts[position - self.delay]


def _copy_of(template: Any, nut: Any) -> Any:
    """A stream like another."""
    try:
        return nut.add_stream_from_template(template, opaque=True)
    except ValueError:
        # NUT has no code of its own for ProRes. Readers go by the tag, so that is all it takes.
        stream = nut.add_stream("rawvideo")
        stream.width, stream.height, stream.pix_fmt = template.width, template.height, "gray"
        stream.codec_context.codec_tag = template.codec_context.codec_tag
        return stream


def joint(
    info: VideoInfo, clock: Clock, segments: Sequence[SegmentFile], pts: Sequence[int]
) -> Joint:
    """Prepare segments to be joined.

    Args:
        info: The source.
        clock: Of the output.
        segments: Finished segments in order of time, all with the same encoder settings.
        pts: PTS of every frame in ticks of the clock, increasing.

    Returns:
        The joined stream, ready to be written.

    Raises:
        CheckError: If the plan and the segments have different numbers of frames.
    """
    import av

    frames = sum(segment.frames for segment in segments)
    if frames != len(pts) or not segments:
        raise CheckError(
            f"the segments hold {frames} frames, the plan {len(pts)}",
            hint="delete the work folder and run again",
        )
    delay = 0
    for segment in segments:
        with av.open(media_url(segment.path), format="nut") as source:
            delay = max(delay, source.streams.video[0].codec_context.reorder_depth)
    return Joint(info, clock, segments, pts, min(delay, len(pts)))
