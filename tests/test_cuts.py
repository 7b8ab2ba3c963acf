"""Where shots begin: found in moving pictures, read from lists, written to lists."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from tests.conftest import Clips, decode_all
from vidrestore.degrade import parse
from vidrestore.errors import InputError, OutputError, UsageError
from vidrestore.media.decode import Frame
from vidrestore.media.ffmpeg import FfmpegProcess
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.timing.cuts import Shot, ShotLog, label_shots, read_cuts, write_cuts
from vidrestore.timing.shots import REACH_FRAMES

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 320, 180
FPS = 25
TICKS = 40
"""Milliseconds between frames at that rate."""

NAMES = (
    *("astronaut", "camera", "coffee", "brick", "chelsea", "coins", "rocket", "page"),
    *("immunohistochemistry", "gravel", "retina", "cell", "hubble_deep_field"),
)


@dataclass(frozen=True)
class Camera:
    """A camera that travels over a picture; everything in pixels and frames."""

    name: str = "astronaut"
    left: float = 0.0
    top: float = 0.0
    speed: float = 1.5
    zoom: float = 1.002
    shake: float = 0.7

    def film(self, frames: int, seed: int = 0) -> list[Image]:
        """(HEIGHT, WIDTH, 3) RGB frames."""
        picture = np.asarray(getattr(data, self.name)())
        picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        random = np.random.default_rng(seed)
        shots = []
        for index in range(frames):
            x, y = random.normal((self.left, self.top), self.shake)
            scale = self.zoom**index
            view = np.array([[scale, 0, x + self.speed * index], [0, scale, y]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            border = cv2.BORDER_REFLECT_101
            shots.append(
                cv2.warpAffine(picture, view, (WIDTH, HEIGHT), flags=flags, borderMode=border)
            )
        return [np.asarray(shot, np.uint8) for shot in shots]


def dim(frame: Image, share: float, colour: int = 0) -> Image:
    """A frame with this share of its own, the rest black or white."""
    return np.rint(frame * share + colour * (1 - share)).astype(np.uint8)


def shots_of(count: int) -> Iterator[list[Image]]:
    """Shots of all kinds of pictures and movements, each of 20 to 40 frames."""
    random = np.random.default_rng(4)
    for number in range(count):
        where = random.uniform(0, 100, 2)
        speed, zoom = random.uniform(-6, 6), random.uniform(0.995, 1.005)
        camera = Camera(NAMES[number % len(NAMES)], *where, speed, zoom)
        yield camera.film(int(random.integers(20, 41)), seed=number)


def film_with_transitions() -> tuple[list[Image], list[tuple[int, int]]]:
    """A film of 20 hard cuts and 5 fades, and first and last frame where each may be found."""
    random = np.random.default_rng(9)
    shots = shots_of(26)
    film = next(shots)
    truth = []
    for number, shot in enumerate(shots):
        if number % 5 != 2:
            truth.append((len(film) - 1, len(film) + 1))
            film += shot
            continue
        out, back, hold = (int(n) for n in random.integers((6, 6, 1), (16, 16, 5)))
        colour = 255 * (number % 2)
        first = len(film) - out
        film[-out:] = [dim(f, 1 - (i + 1) / (out + 1), colour) for i, f in enumerate(film[-out:])]
        film += [dim(shot[0], 0, colour)] * hold
        truth.append((first, len(film) + back))
        film += [dim(f, (i + 1) / (back + 1), colour) for i, f in enumerate(shot[:back])]
        film += shot[back:]
    return film, truth


def encode(film: list[Image], path: Path, ffmpeg: str, crf: int) -> None:
    """Write RGB frames as H.264."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS)]
    video = ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p"]
    argv = [ffmpeg, *raw, "-i", "pipe:0", *video, str(path)]
    with FfmpegProcess(argv, stdin=True) as process:
        for frame in film:
            process.stdin.write(frame.tobytes())
        process.finish()


def noisy(film: list[Image], sigma: int) -> list[Image]:
    """With noise as an eight-bit file has it."""
    degradation = parse(f"awgn8:{sigma}")
    clips = (frame[None].astype(np.float32) / np.float32(255) for frame in film)
    noised = (degradation.apply(clip, 1, index)[0][0] for index, clip in enumerate(clips))
    return [np.rint(frame * 255).astype(np.uint8) for frame in noised]


@pytest.fixture(scope="module")
def info(clips: Clips) -> VideoInfo:
    """Of the frames that `frames_of` makes."""
    return replace(
        probe(clips.plain), width=WIDTH, height=HEIGHT, plane_format="yuv420p", bit_depth=8,
        start_pts=0, time_base=Fraction(1, 1000), frame_rate=Fraction(FPS),
    )  # fmt: skip


def frames_of(film: list[Image]) -> list[Frame]:
    """As a decoder hands them out."""
    frames = []
    for index, rgb in enumerate(film):
        planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
        luma, chroma = planes[:HEIGHT], planes[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
        frames.append(Frame(index, index * TICKS, (luma, chroma[0], chroma[1])))
    return frames


def starts_of(frames: list[Frame]) -> list[int]:
    """Positions at which a shot begins, but the first."""
    shots = [frame.shot for frame in frames]
    assert shots[:1] in ([], [0])
    assert all(0 <= after - before <= 1 for before, after in pairwise(shots))
    return [i for i in range(1, len(shots)) if shots[i] != shots[i - 1]]


def starts_in(film: list[Image], info: VideoInfo) -> list[int]:
    return starts_of(list(label_shots(frames_of(film), info)))


@pytest.mark.parametrize(("sigma", "crf"), [(0, 23), (0, 38), (25, 23), (50, 23)])
def test_hard_cuts_and_fades_are_found(sigma: int, crf: int, tmp_path: Path, ffmpeg: str) -> None:
    film, truth = film_with_transitions()
    path = tmp_path / "film.mp4"
    encode(noisy(film, sigma) if sigma else film, path, ffmpeg, crf)
    found = starts_of(list(label_shots(decode_all(path, ffmpeg), probe(path))))
    hits = [any(first <= start <= last for start in found) for first, last in truth]
    assert len(truth) == 25
    assert 2 * sum(hits) / (len(found) + len(truth)) >= 0.95


def still(frames: int = 60) -> list[Image]:
    return Camera(speed=0, zoom=1, shake=0).film(1) * frames


def walk(frames: int = 60) -> list[Image]:
    return Camera().film(frames)


def fast_pan() -> list[Image]:
    return Camera("coffee", speed=32, shake=3).film(40)


def violent_shake() -> list[Image]:
    return Camera("coffee", 40, 40, shake=8).film(60)


def flashes() -> list[Image]:
    film = walk()
    for index in (5, 20, 21, 40, 41, 59):
        film[index] = np.clip(film[index] * 2.5 + 90, 0, 255).astype(np.uint8)
    return film


def flicker() -> list[Image]:
    random = np.random.default_rng(0)
    return [dim(frame, random.uniform(0.5, 1)) for frame in walk()]


def exposure_jump() -> list[Image]:
    return [dim(frame, 0.45 if index > 30 else 1) for index, frame in enumerate(walk())]


def passing_object() -> list[Image]:
    film = walk()
    for step in range(14):
        left = round(-150 + step * 36)
        film[20 + step][20:170, max(0, left) : max(0, left + 150)] = (190, 40, 60)
    return film


def animation_on_twos() -> list[Image]:
    film = Camera(speed=4, shake=0).film(60)
    return [film[index // 2 * 2] for index in range(60)]


def few_frames_a_second() -> list[Image]:
    film = Camera(speed=3, shake=0).film(90)
    return [film[index // 6 * 6] for index in range(90)]


def low_light() -> list[Image]:
    return noisy([dim(frame, 0.06) for frame in walk()], 4)


def heavy_noise() -> list[Image]:
    return noisy(walk(), 50)


def noise_alone() -> list[Image]:
    return noisy([dim(frame, 0, 90) for frame in walk()], 50)


def black() -> list[Image]:
    return [dim(frame, 0) for frame in walk()]


def noisy_black() -> list[Image]:
    return noisy(black(), 20)


def fade_in_from_black() -> list[Image]:
    return [dim(frame, max(0, min(1, (index - 6) / 10))) for index, frame in enumerate(walk())]


def fade_out_to_black() -> list[Image]:
    return [dim(frame, max(0, min(1, (50 - index) / 10))) for index, frame in enumerate(walk())]


def a_few_black_frames() -> list[Image]:
    return [dim(frame, 0) if 20 <= index < 24 else frame for index, frame in enumerate(walk())]


def dissolve() -> list[Image]:
    old, new = walk(), Camera("coffee", 50).film(60)
    share = np.clip((np.arange(60) - 20) / 16, 0, 1)
    pairs = zip(old, new, share, strict=True)
    return [(a * (1 - s) + b * s).astype(np.uint8) for a, b, s in pairs]


def dropped_frames() -> list[Image]:
    keep = np.random.default_rng(2).random(120) > 0.3
    film = Camera(speed=4).film(120)
    return [frame for frame, kept in zip(film, keep, strict=True) if kept]


@pytest.mark.parametrize(
    "film",
    [
        *(still, walk, fast_pan, violent_shake, flashes, flicker, exposure_jump, passing_object),
        *(animation_on_twos, few_frames_a_second, low_light, heavy_noise, noise_alone, black),
        *(noisy_black, fade_in_from_black, fade_out_to_black, a_few_black_frames, dissolve),
        dropped_frames,
    ],
)
def test_what_is_no_cut_raises_no_alarm(film: Callable[[], list[Image]], info: VideoInfo) -> None:
    assert starts_in(film(), info) == []


def two_shots(frames: int = 30) -> list[Image]:
    return walk(frames) + Camera("coffee", 50).film(frames)


@pytest.mark.parametrize("share", [1, 0.15])
@pytest.mark.parametrize("sigma", [0, 50])
def test_a_hard_cut_is_found_to_the_frame(share: float, sigma: int, info: VideoInfo) -> None:
    film = [dim(frame, share) for frame in two_shots()]
    assert starts_in(noisy(film, round(sigma * share)) if sigma else film, info) == [30]


def test_shots_of_few_frames_are_found(info: VideoInfo) -> None:
    film = [frame for shot in islice(shots_of(8), 8) for frame in shot[:7]]
    assert starts_in(film, info) == list(range(7, 56, 7))


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("hold", [1, 6, 60])
def test_a_fade_is_one_boundary_where_nothing_is_seen(
    colour: int, hold: int, info: VideoInfo
) -> None:
    old, new = walk(40), Camera("coffee", 50).film(40)
    ramp = [(i + 1) / 13 for i in range(12)]
    old[-12:] = [dim(f, s, colour) for f, s in zip(old[-12:], ramp[::-1], strict=True)]
    new[:12] = [dim(f, s, colour) for f, s in zip(new[:12], ramp, strict=True)]
    (start,) = starts_in(old + [dim(old[0], 0, colour)] * hold + new, info)
    assert 40 <= start <= 40 + hold


def test_cuts_to_black_and_from_black_are_two(info: VideoInfo) -> None:
    film = two_shots()
    assert starts_in([*film[:30], *black()[:12], *film[30:]], info) == [30, 42]


def test_the_boundary_at_a_flash_between_two_shots_is_one(info: VideoInfo) -> None:
    film = two_shots()
    film[30] = dim(film[30], 0, 255)
    (start,) = starts_in(film, info)
    assert 30 <= start <= 31


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_a_clip_of_a_few_frames_is_one_shot(frames: int, info: VideoInfo) -> None:
    labelled = list(label_shots(frames_of(walk(frames)), info))
    assert [frame.shot for frame in labelled] == [0] * frames


def test_frames_keep_everything_but_their_shot(info: VideoInfo) -> None:
    frames = [replace(frame, index=frame.index + 7) for frame in frames_of(two_shots(5))]
    for before, after in zip(frames, label_shots(frames, info), strict=True):
        assert after.planes is before.planes
        assert (after.index, after.pts) == (before.index, before.pts)


def test_look_ahead_is_bounded(info: VideoInfo) -> None:
    read = 0

    def stream() -> Iterator[Frame]:
        nonlocal read
        for frame in frames_of(walk(50)):
            read += 1
            yield frame

    for given, _ in enumerate(label_shots(stream(), info), start=1):
        assert read <= given + REACH_FRAMES


def test_a_boundary_depends_on_the_frames_around_it_alone(info: VideoInfo) -> None:
    film, _ = film_with_transitions()
    film = film[:300]
    whole = starts_in(film, info)
    part = [start + 100 for start in starts_in(film[100:], info)]
    settled = range(100 + REACH_FRAMES, 300)
    assert [start for start in part if start in settled] == [s for s in whole if s in settled]


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gbrp", "gbrp12le", "yuv444p10le"])
@pytest.mark.parametrize("size", ["320x180", "90x160", "16x16"])
def test_every_plane_format_and_size_will_do(
    pix_fmt: str, size: str, tmp_path: Path, ffmpeg: str
) -> None:
    film = tmp_path / "film.mp4"
    encode(two_shots(12), film, ffmpeg, crf=18)
    path = tmp_path / "film.mkv"
    scaled = ["-vf", f"scale={size.replace('x', ':')}", "-c:v", "ffv1", "-pix_fmt", pix_fmt]
    with FfmpegProcess([ffmpeg, "-i", str(film), *scaled, str(path)]) as process:
        process.finish()
    assert probe(path).plane_format == pix_fmt
    assert starts_of(list(label_shots(decode_all(path, ffmpeg), probe(path)))) == [12]


def given(info: VideoInfo, pts: list[int], *cuts: str) -> list[int]:
    """Shots of frames at these times when the cuts are at these seconds."""
    frames = [replace(frame, pts=at) for frame, at in zip(frames_of(still(len(pts))), pts)]  # noqa: B905
    return [frame.shot for frame in label_shots(frames, info, [Fraction(cut) for cut in cuts])]


def test_given_cuts_replace_the_search(info: VideoInfo) -> None:
    frames = frames_of(two_shots(6))
    assert [f.shot for f in label_shots(frames, info, [])] == [0] * 12
    assert [f.shot for f in label_shots(frames, info, [Fraction("0.08")])] == [0] * 2 + [1] * 10


def test_a_given_cut_is_found_by_its_time(info: VideoInfo) -> None:
    assert given(info, [0, 40, 80, 120], "0.08") == [0, 0, 1, 1]
    assert given(info, [0, 40, 80, 120], "0.0813") == [0, 0, 1, 1]  # rounded in the list
    assert given(info, [0, 40, 120, 160], "0.08") == [0, 0, 1, 1]  # the first frame is missing
    assert given(info, [0, 200, 240], "0.08", "0.12") == [0, 1, 1]  # a whole shot is missing
    assert given(info, [0, 40], "9") == [0, 0]


def test_given_cuts_count_from_the_start_of_the_video(info: VideoInfo) -> None:
    late = replace(info, start_pts=5000)
    assert given(late, [5120, 5160, 5200, 5240], "0.08", "0.2") == [0, 0, 1, 1]


LISTED = """Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,End Timecode,\
End Time (seconds),Length (frames),Length (timecode),Length (seconds)
1,1,00:00:00.000,0.000,100,00:00:03.333,3.333,100,00:00:03.333,3.333
2,101,00:00:03.333,3.333,480,00:00:16.000,16.000,380,00:00:12.667,12.667
3,481,00:00:16.000,16.000,109260,01:00:42.000,3642.000,108780,01:00:26.000,3626.000
"""
TIMECODES = "Timecode List:,00:00:03.333,00:00:16.000\n"


@pytest.mark.parametrize("text", [LISTED, TIMECODES + LISTED, "\ufeff" + LISTED, LISTED + "\n"])
def test_lists_are_read_with_and_without_timecodes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cuts.csv"
    path.write_text(text, encoding="utf-8")
    assert read_cuts(path) == (Fraction("3.333"), Fraction(16))


def test_a_list_of_one_scene_or_none_has_no_cut(tmp_path: Path) -> None:
    path = tmp_path / "cuts.csv"
    for lines in (1, 2):
        path.write_text("Timecode List:\n" + "".join(LISTED.splitlines(True)[:lines]))
        assert read_cuts(path) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: no header"),
        ("Dear diary,\nno scenes today", "line 1: no header"),
        (TIMECODES, "line 1: no header"),
        (TIMECODES + "a,b\n", "line 2: no header"),
        (LISTED + "4,109261\n", "line 5: no number of seconds"),
        (LISTED.replace(",16.000,109260", ",soon,109260"), "line 4: no number of seconds"),
        (LISTED.replace(",16.000,109260", ",-1,109260"), "line 4: no number of seconds"),
        (LISTED.replace(",16.000,109260", ",nan,109260"), "line 4: no number of seconds"),
        (LISTED.replace(",16.000,109260", ",3.333,109260"), "line 4: the scene begins no later"),
        ("\x00\xff\xfe", "not a CSV file"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "cuts.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=complaint) as caught:
        read_cuts(path)
    assert "list-scenes" in str(caught.value.hint)


def test_a_list_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_cuts(tmp_path / "cuts.csv")


def test_a_list_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write_cuts(tmp_path / "nowhere" / "cuts.csv", [])


def test_lists_are_written_as_scenedetect_does(tmp_path: Path) -> None:
    path = tmp_path / "cuts.csv"
    bounds = [Fraction(0), Fraction(100, 30), Fraction(16), Fraction(3642)]
    firsts = [0, 100, 480, 109260]
    write_cuts(
        path,
        [
            Shot(firsts[i], firsts[i + 1] - firsts[i], bounds[i], bounds[i + 1])
            for i in range(len(firsts) - 1)
        ],
    )
    assert path.read_text() == TIMECODES + LISTED


@pytest.mark.parametrize("skipped", [0, 33])
def test_shots_that_were_found_can_be_given(skipped: int, tmp_path: Path, info: VideoInfo) -> None:
    late = replace(info, start_pts=777)
    frames = [
        replace(frame, pts=777 + (skipped + frame.index) * TICKS, index=frame.index)
        for frame in frames_of(two_shots(20))
    ]
    found = list(label_shots(frames, late))
    log = ShotLog(late)
    for frame in found:
        log.add(frame)
    path = tmp_path / "cuts.csv"
    write_cuts(path, log.shots)
    with path.open() as file:
        rows = list(csv.DictReader(file.readlines()[1:]))
    numbers = [(int(row["Start Frame"]), int(row["End Frame"])) for row in rows]
    assert numbers == [(skipped + 1, skipped + 20), (skipped + 21, skipped + 40)]
    again = list(label_shots(frames, late, read_cuts(path)))
    assert [frame.shot for frame in again] == [frame.shot for frame in found]
