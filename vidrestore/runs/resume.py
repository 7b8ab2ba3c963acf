"""Where each segment begins in the source, and how a later run gets back there.

What comes out of a segment depends on its own frames, on a few of context, and on where shots begin
around it, which frames a little further away decide. So a run that goes on reads from there, and
checks that it is the same place: timestamps and fingerprints of those frames are in the journal.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from vidrestore.errors import InputError
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.probe import VideoInfo
from vidrestore.runs.journal import Landmark
from vidrestore.timing.cuts import label_shots
from vidrestore.timing.shots import REACH_FRAMES

_FINGERPRINT_ROWS = 16
"""Every so manieth row is looked at: damage by a wrong place to start covers more than that."""


class Trail:
    """Remembers the frames that went by, as long as a segment may begin among them.

    Frames are added by one thread, segments begun by another and asked for by a third.

    Args:
        context_frames: Frames on either side that a segment is restored with.
        landmark: Where the stream goes on; None if it begins at its beginning.
    """

    def __init__(self, context_frames: int, landmark: Landmark | None = None) -> None:
        self._reach = context_frames + REACH_FRAMES
        self._steps: deque[tuple[int, int, int]] = deque()
        self._next = 0  # position of the frame after the last of them
        self._shot: int | None = None
        self._shots: dict[int, tuple[int, int, int]] = {}  # by position
        self._landmarks: dict[int, Landmark] = {}
        self._lock = threading.Lock()
        if landmark is not None:
            self._steps.extend(landmark.frames[:-1])
            self._next = landmark.position
            self._shot = None if landmark.opens_shot else landmark.shot

    def add(self, frame: Frame) -> None:
        """Note a frame whose shot is told, the next that is to be restored."""
        step = (frame.index, frame.pts, fingerprint(frame))
        with self._lock:
            if frame.shot != self._shot:
                self._shots[self._next] = (frame.index, frame.pts, frame.shot)
                self._shot = frame.shot
            self._steps.append(step)
            self._next += 1

    def begin(self, segment: int, position: int, shot: int) -> None:
        """Note where a segment begins.

        Args:
            segment: Its index.
            position: How many frames are restored before it; the frame there was added.
            shot: The shot of that frame.
        """
        with self._lock:
            drop = position - self._reach - (self._next - len(self._steps))
            for _ in range(drop):
                self._steps.popleft()
            count = len(self._steps) - (self._next - position) + 1
            frames = tuple(self._steps)[:count]
            opens_shot = position in self._shots
            self._landmarks[segment] = Landmark(segment, position, shot, opens_shot, frames)

    def landmark(self, segment: int) -> Landmark:
        """Where a segment begins that was begun, and that no later one was taken after."""
        with self._lock:
            return self._landmarks[segment]

    def take(self, segment: int | None) -> tuple[Landmark | None, tuple[tuple[int, int, int], ...]]:
        """Where a segment begins, and the shots before it that were not taken yet.

        Args:
            segment: Its index; None for the end of the stream.
        """
        with self._lock:
            landmark = None if segment is None else self._landmarks[segment]
            limit = self._next if landmark is None else landmark.position
            for old in [known for known in self._landmarks if segment is None or known <= segment]:
                del self._landmarks[old]
            places = [position for position in self._shots if position < limit]
            return landmark, tuple(self._shots.pop(position) for position in places)

    @property
    def last(self) -> tuple[int, int, int] | None:
        """Index, PTS and shot of the last frame."""
        with self._lock:
            if not self._steps or self._shot is None:
                return None
            index, pts, _ = self._steps[-1]
            return index, pts, self._shot


def fingerprint(frame: Frame) -> int:
    """A number that tells frames apart, made from a part of the picture."""
    return zlib.crc32(frame.planes[0][::_FINGERPRINT_ROWS].tobytes())


class _ElsewhereError(Exception):
    """The frames are not those that were there before."""


@dataclass(frozen=True)
class Source:
    """The frames to be restored, from any segment on.

    Attributes:
        info: The video.
        ffmpeg: Path of the ffmpeg executable.
        start: First frame wanted, as for `Decoder`.
        end: One past the last frame wanted, likewise.
        bad: Times of frames to leave out.
        cuts: Where shots begin; None to look for them.
        context_frames: Frames before a segment that it is restored with.
        on_warnings: Called at the end with what went wrong.
        threads: Of the decoder; None leaves it to ffmpeg.
    """

    info: VideoInfo
    ffmpeg: str
    start: int | Fraction | None
    end: int | Fraction | None
    bad: frozenset[int]
    cuts: Sequence[Fraction] | None
    context_frames: int
    on_warnings: Callable[[list[str]], None]
    threads: int | None = None

    def frames(self) -> Iterator[Frame]:
        """All frames, their shots told."""
        yield from label_shots(self._decoded(self.start), self.info, self.cuts)

    def frames_from(self, landmark: Landmark) -> Iterator[Frame]:
        """Frames from a segment's context on, as `frames` gives them.

        Raises:
            InputError: If the input does not decode as it did.
        """
        ways = [self._from_top]
        if not isinstance(self.end, int):  # such an end is counted from the top
            ways.insert(0, self._by_seeking)
        for way in ways:
            frames = self._labelled(way(landmark), landmark)
            try:
                first = next(frames)
            except (_ElsewhereError, StopIteration):
                continue
            yield first
            yield from frames
            return
        raise InputError(
            f"{self.info.path} does not decode as it did before",
            hint="start anew with --no-resume",
        )

    def _decoded(self, start: int | Fraction | None) -> Iterator[Frame]:
        """Good frames; those that are left out count in their index."""
        with Decoder(
            self.info, ffmpeg=self.ffmpeg, start=start, end=self.end, threads=self.threads
        ) as decoder:
            yield from (frame for frame in decoder if frame.pts not in self.bad)
        self.on_warnings(decoder.warnings)

    def _by_seeking(self, landmark: Landmark) -> Iterator[Frame]:
        """From the first frame of a landmark on, if seeking leads there."""
        index, pts, _ = landmark.frames[0]
        start = (pts - self.info.start_pts) * self.info.time_base
        frames = (replace(one, index=one.index + index) for one in self._decoded(start))
        yield from _checked(frames, landmark, fully=True)

    def _from_top(self, landmark: Landmark) -> Iterator[Frame]:
        """The same, whatever the container; everything before is decoded as well."""
        first = landmark.frames[0][0]
        frames = (frame for frame in self._decoded(self.start) if frame.index >= first)
        yield from _checked(frames, landmark, fully=False)

    def _labelled(self, frames: Iterator[Frame], landmark: Landmark) -> Iterator[Frame]:
        """Frames from the context on, with the shots that they had."""
        position = landmark.position - len(landmark.frames) + 1
        held: list[Frame] = []
        ahead = 0
        for frame in label_shots(frames, self.info, self.cuts):
            if position < landmark.position - self.context_frames:
                position += 1
                continue
            held.append(frame)
            position += 1
            if position == landmark.position + 1:  # the first that is known to be the right one
                ahead = landmark.shot - frame.shot
            if position > landmark.position:
                yield from (replace(one, shot=one.shot + ahead) for one in held)
                held.clear()


def _checked(frames: Iterator[Frame], landmark: Landmark, *, fully: bool) -> Iterator[Frame]:
    """Frames, compared with those of a landmark as long as it lasts.

    A decoder may conceal damage in one way or another: only where it was led elsewhere must the
    pictures be the same.
    """
    for number, (index, pts, seen) in enumerate(landmark.frames):
        frame = next(frames, None)
        if frame is None or frame.pts != pts or (fully and fingerprint(frame) != seen):
            raise _ElsewhereError(f"frame {index}, number {number} of the landmark")
        yield frame
    yield from frames
