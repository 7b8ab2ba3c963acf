"""Segment files to one stream of packets, with every timestamp taken from the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

from vidrestore.encode import SegmentFile
from vidrestore.errors import CheckError
from vidrestore.ffmpeg import media_url
from vidrestore.probe import VideoInfo


@dataclass(frozen=True)
class Joint:
    """Segments that become one stream.

    Attributes:
        info: The source, whose time base counts the timestamps.
        segments: The segments in order of time.
        pts: PTS of every frame of the segments, in ticks, increasing.
        delay: Frames that the encoder may hold back to reorder them.
    """

    info: VideoInfo
    segments: Sequence[SegmentFile]
    pts: Sequence[int]
    delay: int

    @property
    def last_duration(self) -> int:
        """Ticks for which the last frame is shown: what the source says, else as the one before."""
        info = self.info
        if info.frames == len(self.pts) and info.duration_pts is not None:
            stated = info.start_pts + info.duration_pts - self.pts[-1]
            if stated > 0:
                return stated
        if len(self.pts) > 1:
            return self.pts[-1] - self.pts[-2]
        return max(1, round(1 / (info.frame_rate * info.time_base)))

    @property
    def interval_s(self) -> tuple[Fraction, Fraction]:
        """Source times, in seconds, from the first frame to the end of the last."""
        tick = self.info.time_base
        return self.pts[0] * tick, (self.pts[-1] + self.last_duration) * tick

    @property
    def retiming(self) -> str:
        """Bitstream filter for what NUT does not carry: first decode times, last duration.

        A decoder needs a packet before its frame is shown, so decode times are the sorted
        presentation times moved back by `delay` frames. Those before the first frame would be
        guessed by the demuxer; here they are one usual frame apart.
        """
        info = self.info
        step = max(1, round(1 / (info.frame_rate * info.time_base)))
        if len(self.pts) > 1:
            step = min(step, self.pts[1] - self.pts[0])
        first = self.pts[0] - self.delay * step
        tick = f"{info.time_base.numerator}/{info.time_base.denominator}/TB"
        # The last frame in time ends the stream; the last packet need not hold it.
        ends = f"eq(N,{len(self.pts) - 1})+eq(PTS,round({self.pts[-1]}*{tick}))"
        return (
            f"setts=pts=PTS:dts='if(lt(N,{self.delay}),round(({first}+N*{step})*{tick}),DTS)'"
            f":duration='if({ends},round({self.last_duration}*{tick}),DURATION)'"
        )

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
                options={"avoid_negative_ts": "disabled"},
                buffer_size=1 << 20,
            ) as nut,
        ):
            template = first.streams.video[0]
            stream = nut.add_stream_from_template(template, opaque=True)
            stream.time_base = self.info.time_base
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
                        ticks = packet.pts * packet.time_base / self.info.time_base
                        packet.pts = start + round(ticks)
                        packet.dts = self._decode_time(position)
                        packet.time_base = self.info.time_base
                        packet.stream = stream
                        nut.mux(packet)
                        position += 1

    def _decode_time(self, position: int) -> int:
        if position < self.delay:
            return self.pts[0] - self.delay + position
        return self.pts[position - self.delay]


def joint(info: VideoInfo, segments: Sequence[SegmentFile], pts: Sequence[int]) -> Joint:
    """Prepare segments to be joined.

    Args:
        info: The source.
        segments: Finished segments in order of time, all with the same encoder settings.
        pts: PTS of every frame in ticks of the source's time base, increasing.

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
    return Joint(info, segments, pts, min(delay, len(pts)))
