"""Frames to one encoded stream that comes out of a pipe while they go in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import IO, TYPE_CHECKING

from vidrestore.encoders.codecs import Encoder, EncodeSettings
from vidrestore.encoders.encoding import EncodingPlan, encode_command
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import OutputError, UsageError
from vidrestore.media.clock import Clock
from vidrestore.media.ffmpeg import FfmpegProcess
from vidrestore.media.rawpipe import RawPipe

if TYPE_CHECKING:
    from vidrestore.media.decode import Frame
    from vidrestore.media.probe import VideoInfo

PROMPT_OPTIONS = {
    "libx264": {"tune": "zerolatency"},
    "libx265": {"tune": "zerolatency"},
    "libsvtav1": {"svtav1-params": "pred-struct=1:lookahead=0"},
}
"""What makes an encoder give out every frame before it takes the next; the others do so anyway."""

_RAW = Encoder("wrapped_avframe", "wrapped_avframe", options={"strict": "-1"})
"""What Y4M is made of; "strict" lets it be more than 8-bit 4:2:0."""

_AT_ONCE = {"flush_packets": "1"}
"""Output option: no part of a packet waits for the next one."""

_UNPROBED = ("-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0")
"""Input options: ffmpeg would hold back twenty frames to measure their rate."""

_GRACE_S = 2
"""How long a dying ffmpeg may take from its last breath to its end."""

_UNEVEN_S = Fraction(1, 500)
"""How far a frame may lie from its place at a constant rate: containers round by a millisecond."""


def plan_for_pipe(
    info: VideoInfo, settings: EncodeSettings, container: str, ffmpeg: str, *, prompt: bool
) -> EncodingPlan:
    """Decide how a stream is encoded, and try it.

    Args:
        info: The frames that come out of restoration.
        settings: What the user asks for; the codec means nothing to Y4M.
        container: "y4m", or whatever else the output is.
        ffmpeg: Path of the ffmpeg executable.
        prompt: Whether every frame is to come out before the next one goes in.

    Raises:
        UsageError: If what is asked for is impossible.
        FfmpegError: If this ffmpeg cannot encode the video.
    """
    if container == "y4m":
        raw = EncodeSettings(codec="ffv1", pix_fmt=settings.pix_fmt, post=settings.post)
        plan = plan_encoding(info, raw, ffmpeg)
        options = {**_RAW.options, **_AT_ONCE, "threads": "1"}
        return replace(plan, encoder=_RAW, options=options, pix_fmt=plan.video.plane_format)
    plan = plan_encoding(info, settings, ffmpeg)
    options = {**plan.options, **_AT_ONCE}
    more = PROMPT_OPTIONS.get(plan.encoder.name, {}) if prompt else {}
    for name, value in more.items():
        before = options.get(name)
        options[name] = value if before is None or name == "tune" else f"{before}:{value}"
    return replace(plan, options=options)


class PipeEncoder:
    """Encodes a stream.

    Args:
        plan: How.
        clock: Of the output.
        container: "y4m", which ffmpeg then writes itself; anything else is written as NUT.
    """

    def __init__(self, plan: EncodingPlan, clock: Clock, container: str) -> None:
        self._even = container == "y4m"
        self._clock = clock
        self._first: int | None = None
        self._count = 0
        # Y4M takes its rate from the ticks: one for each frame.
        ticks = Clock(1 / clock.frame_rate, clock.frame_rate) if self._even else clock
        argv = encode_command(plan, "pipe:1", ticks, "yuv4mpegpipe" if self._even else "nut")
        argv[1:1] = _UNPROBED
        self._process = FfmpegProcess(argv, stdin=True, stdout=True)
        self._raw = RawPipe(self._process.stdin, plan.source, ticks)

    @property
    def encoded(self) -> IO[bytes]:
        """What comes out; a read returns what there is."""
        return self._process.prompt_stdout

    def write(self, frame: Frame) -> None:
        """Encode the next frame.

        Args:
            frame: Planes of the input's shapes and depth, and a PTS in ticks of the output, later
                than the last one's.

        Raises:
            FfmpegError: If the encoder has died.
            UsageError: If frames have no constant rate where that is needed.
        """
        first = self._first = frame.pts if self._first is None else self._first
        pts = frame.pts - first
        if self._even:
            self._check_even(pts)
            pts = self._count
        self._count += 1
        self.explain(lambda: self._raw.write(frame.planes, pts))
        self.explain(self._process.stdin.flush)

    def end(self) -> None:
        """There are no more frames."""
        self.explain(self._raw.close)
        self.explain(self._process.stdin.close)

    def finish(self) -> None:
        """Wait for the end, after all that comes out was read.

        Raises:
            FfmpegError: If the encoder failed.
        """
        self._process.finish()

    def kill(self) -> None:
        """End the encoder now; harmless when called again."""
        self._process.kill()

    def explain(self, step: Callable[[], object]) -> None:
        """Use the pipes; if that fails because ffmpeg has died, its own message says why.

        Raises:
            FfmpegError: If it has died.
            OutputError: If it has not.
        """
        import av

        try:
            step()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            if self._process.died(_GRACE_S):
                self._process.finish()
            raise OutputError(f"cannot write the output: {error}", hint="run again") from error

    def _check_even(self, ticks: int) -> None:
        place_s = self._count / self._clock.frame_rate
        if abs(ticks * self._clock.time_base - place_s) > _UNEVEN_S:
            raise UsageError(
                "Y4M has no timestamps, and these frames come at no constant rate",
                hint=f"--cfr {float(self._clock.frame_rate):.6g}, or --format nut",
            )
