"""Raw frames into an ffmpeg's standard input, as NUT."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import IO, TYPE_CHECKING

from vidrestore.media.raw import Plane, join, pipe_format

if TYPE_CHECKING:
    from vidrestore.media.clock import Clock
    from vidrestore.media.probe import VideoInfo

_FASTEST_NOMINAL_RATE = Fraction(240)
"""SVT-AV1 opens for no more. The nominal rate only guides encoders; timestamps tell the time."""


class RawPipe:
    """Writes the frames of one video.

    Args:
        pipe: Where to; it stays open.
        info: The video, whose plane format and size the frames have.
        clock: Counts their timestamps.
    """

    def __init__(self, pipe: IO[bytes], info: VideoInfo, clock: Clock) -> None:
        import av

        self._info = info
        self._time_base = clock.time_base
        prompt = {"flush_packets": "1"}  # a live frame is not to wait for the next one
        self._nut = av.open(pipe, "w", format="nut", options=prompt, buffer_size=1 << 20)
        self._stream = self._nut.add_stream("rawvideo", rate=_nominal(clock.frame_rate))
        self._stream.width = info.width
        self._stream.pix_fmt, self._stream.height = pipe_format(info)
        self._stream.time_base = clock.time_base

    def write(self, planes: Sequence[Plane], pts: int) -> None:
        """Write the next frame.

        Args:
            planes: Its planes, as in `Frame`.
            pts: When it is shown, in ticks of the clock, not negative.

        Raises:
            OSError: If the reader of the pipe is gone.
        """
        import av

        packet = av.Packet(join(planes, self._info))
        packet.pts = packet.dts = pts
        packet.time_base = self._time_base
        packet.stream = self._stream
        packet.is_keyframe = True
        self._nut.mux(packet)

    def close(self) -> None:
        """Write what is still buffered.

        Raises:
            OSError: If the reader of the pipe is gone.
        """
        self._nut.close()


def _nominal(frame_rate: Fraction) -> Fraction:
    """The nearest rate that every encoder takes."""
    return min(frame_rate, _FASTEST_NOMINAL_RATE).limit_denominator(1_000_000)
