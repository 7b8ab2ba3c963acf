"""Shots of a stream of frames, found or given, and lists of them in PySceneDetect's CSV.

A frame of a list is known by its time after the first frame of the whole video: that holds
wherever a run starts, whereas frame numbers count from there.
"""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vidrestore.errors import InputError, OutputError, UsageError
from vidrestore.media.decode import Frame
from vidrestore.media.probe import VideoInfo
from vidrestore.timing.shots import REACH_FRAMES, Look, is_boundary, look_at

START_COLUMN = "Start Time (seconds)"
COLUMNS = (
    *("Scene Number", "Start Frame", "Start Timecode", START_COLUMN),
    *("End Frame", "End Timecode", "End Time (seconds)"),
    *("Length (frames)", "Length (timecode)", "Length (seconds)"),
)
TIMECODES = "Timecode List:"


def label_shots(
    frames: Iterable[Frame],
    info: VideoInfo,
    cuts: Sequence[Fraction] | None = None,
    *,
    ahead_frames: int = REACH_FRAMES,
) -> Iterator[Frame]:
    """Number the shots of a stream from 0.

    Args:
        frames: In order; at most `ahead_frames` of them are held.
        info: The video that they are of.
        cuts: Where shots begin, in seconds after the first frame of the video, ascending; None to
            look for hard cuts and fades.
        ahead_frames: Frames after one that decide whether a shot begins there: REACH_FRAMES, or
            fewer, which finds hard cuts all the same from FLASH_FRAMES on, but misses fades.

    Yields:
        The frames with `shot` set.
    """
    if cuts is not None:
        return _look_up(frames, info, cuts)
    return _find(frames, info, min(ahead_frames, REACH_FRAMES))


def _look_up(frames: Iterable[Frame], info: VideoInfo, cuts: Sequence[Fraction]) -> Iterator[Frame]:
    # Lists round times, and the frame at a cut may be missing: half an interval decides.
    slack_s = 1 / (2 * info.frame_rate)
    passed = 0
    shot = -1
    for frame in frames:
        already = passed
        while passed < len(cuts) and _time_s(frame, info) + slack_s >= cuts[passed]:
            passed += 1
        if shot < 0 or passed > already:
            shot += 1
        yield replace(frame, shot=shot)


def _find(frames: Iterable[Frame], info: VideoInfo, ahead_frames: int) -> Iterator[Frame]:
    waiting: deque[Frame] = deque()
    looks: list[Look] = []  # of frames before, and of those that wait
    shot = 0

    def settle() -> Frame:
        nonlocal shot
        at = len(looks) - len(waiting)
        shot += is_boundary(looks, at)
        if at == REACH_FRAMES:
            del looks[0]
        return replace(waiting.popleft(), shot=shot)

    for frame in frames:
        waiting.append(frame)
        looks.append(look_at(frame.planes, info, looks[-1] if looks else None))
        if len(waiting) > ahead_frames:
            yield settle()
    while waiting:
        yield settle()


def _time_s(frame: Frame, info: VideoInfo) -> Fraction:
    """Seconds after the first frame of the whole video."""
    return (frame.pts - info.start_pts) * info.time_base


@dataclass(frozen=True)
class Shot:
    """A shot of a list.

    Attributes:
        first_frame: Number of its first frame, from 0, in the whole video.
        frames: How many it has.
        start_s: Time of its first frame after the first of the whole video.
        end_s: When the next one begins.
    """

    first_frame: int
    frames: int
    start_s: Fraction
    end_s: Fraction


class ShotLog:
    """Keeps the shots of the frames that go by; no frame is held.

    Args:
        info: The video that the frames are of.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._first: list[tuple[int, Fraction]] = []  # frame number and time
        self._shot: int | None = None
        self._next = (0, Fraction(0))
        self._skipped = 0

    def add(self, frame: Frame) -> None:
        """Note a frame, the next of those that `label_shots` gave."""
        self.note(frame.index, frame.pts, frame.shot)

    def note(self, index: int, pts: int, shot: int) -> None:
        """Note a frame that another run has seen; one for each shot is enough, and the last."""
        time_s = (pts - self._info.start_pts) * self._info.time_base
        if self._shot is None:  # a run may start later; how many frames before is not known
            self._skipped = round(time_s * self._info.frame_rate) - index
        number = self._skipped + index
        if shot != self._shot:
            self._first.append((number, time_s))
            self._shot = shot
        self._next = number + 1, time_s + 1 / self._info.frame_rate

    @property
    def shots(self) -> list[Shot]:
        """The shots so far."""
        stops = [*self._first[1:], self._next]
        return [
            Shot(first, stop - first, start_s, end_s)
            for (first, start_s), (stop, end_s) in zip(self._first, stops, strict=True)
        ]


def write_cuts(path: Path, shots: Sequence[Shot]) -> None:
    """Write shots as PySceneDetect's `list-scenes` does.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([TIMECODES, *(_timecode(shot.start_s) for shot in shots[1:])])
            writer.writerow(COLUMNS)
            for number, shot in enumerate(shots, start=1):
                start = shot.first_frame + 1, *_both(shot.start_s)
                end = shot.first_frame + shot.frames, *_both(shot.end_s)
                length = shot.frames, *_both(shot.end_s - shot.start_s)
                writer.writerow([number, *start, *end, *length])
    except OSError as error:
        raise OutputError(
            f"{path}: {error.strerror}", hint="give a file in a folder that can be written to"
        ) from error


def _both(time_s: Fraction) -> tuple[str, str]:
    return _timecode(time_s), f"{float(time_s):.3f}"


def _timecode(time_s: Fraction) -> str:
    minutes, ms = divmod(round(time_s * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


def read_cuts(path: Path) -> tuple[Fraction, ...]:
    """Read where shots begin from a CSV file of PySceneDetect's `list-scenes`.

    Args:
        path: The file; its first line may be the list of timecodes.

    Returns:
        Where each scene but the first begins, in seconds after the first frame of the video.

    Raises:
        InputError: If the file cannot be read.
        UsageError: If it is no such list.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if any(row)]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="check the path of --cuts") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _malformed(f"{path} is not a CSV file") from error
    if rows and rows[0][1][0].strip() == TIMECODES:
        del rows[0]
    if not rows or START_COLUMN not in rows[0][1]:
        line = rows[0][0] if rows else 1
        raise _malformed(f'{path}, line {line}: no header with a column "{START_COLUMN}"')
    column = rows[0][1].index(START_COLUMN)
    starts: list[Fraction] = []
    for line, row in rows[1:]:
        start_s = _seconds(row[column]) if column < len(row) else None
        if start_s is None:
            raise _malformed(f'{path}, line {line}: no number of seconds in "{START_COLUMN}"')
        if starts and start_s <= starts[-1]:
            raise _malformed(f"{path}, line {line}: the scene begins no later than the one before")
        starts.append(start_s)
    return tuple(starts[1:])


def _seconds(text: str) -> Fraction | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return Fraction(text.strip()) if math.isfinite(value) and value >= 0 else None


def _malformed(message: str) -> UsageError:
    return UsageError(
        message, hint="write the list with `scenedetect -i VIDEO list-scenes` or --write-cuts"
    )
