"""The search for damage: what is broken is found, what merely looks so is left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from skimage import data

from tests.conftest import Clips
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.probe import probe
from vidrestore.timing.damage import Damage, find_damage, judge
from vidrestore.timing.holes import find_holes
from vidrestore.timing.signs import read_signs

WIDTH, HEIGHT = 240, 136
FPS = 25
TICKS = 512

Picture = np.ndarray
"""yuv420p, planes below one another."""


def colour(y: int, u: int, v: int) -> Picture:
    picture = np.full((HEIGHT * 3 // 2, WIDTH), y, np.uint8)
    picture[HEIGHT : HEIGHT * 5 // 4] = u
    picture[HEIGHT * 5 // 4 :] = v
    return picture


BLACK, GREEN, GREY = colour(16, 128, 128), colour(0, 0, 0), colour(128, 128, 128)


@cache
def scene(name: str) -> np.ndarray:
    return cv2.resize(getattr(data, name)(), (640, 480), interpolation=cv2.INTER_AREA)


def view(name: str, x_px: float, y_px: float = 40.0, gain: float = 1.0) -> Picture:
    """A camera's view of a picture that ships with scikit-image."""
    matrix = np.array([[1.4, 0, x_px], [0, 1.4, y_px]])
    shown = cv2.warpAffine(
        scene(name),
        matrix,
        (WIDTH, HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    scaled = np.clip(shown * gain, 0, 255).astype(np.uint8)
    return cv2.cvtColor(scaled, cv2.COLOR_RGB2YUV_I420)


def pan(frames: int, speed_px: float = 2.5, name: str = "astronaut") -> list[Picture]:
    """A camera that travels, not quite evenly."""
    way = np.arange(frames) * speed_px + 2 * np.sin(np.arange(frames) / 5)
    return [view(name, float(x)) for x in way]


def shaky(frames: int, seed: int = 0) -> list[Picture]:
    """A camera held by hand: no two steps are alike."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(rng.normal(0, 0.4, frames))
    steps = rng.uniform(1.5, 6, frames) * np.exp(1j * turns)
    way = np.cumsum(steps)
    return [view("astronaut", place.real, 60 + place.imag) for place in way.tolist()]


def grain(pictures: Sequence[Picture], sigma: float = 8.0) -> list[Picture]:
    """Fresh noise on every frame's luma."""
    rng = np.random.default_rng(1)
    noisy = []
    for picture in pictures:
        copy = picture.astype(np.float64)
        copy[:HEIGHT] += rng.normal(0, sigma, (HEIGHT, WIDTH))
        noisy.append(np.clip(copy, 0, 255).round().astype(np.uint8))
    return noisy


def look(pictures: Sequence[Picture], times: Sequence[int] | None = None) -> Damage:
    """Judge frames without a file around them."""
    info = SimpleNamespace(bit_depth=8, plane_format="yuv420p", alpha=False)
    times = times or [index * TICKS for index in range(len(pictures))]
    frames = [
        Frame(index, pts, tuple(split(picture)))
        for index, (pts, picture) in enumerate(zip(times, pictures, strict=True))
    ]
    return judge(read_signs(frames, info))  # type: ignore[arg-type]


def split(picture: Picture) -> list[np.ndarray]:
    chroma = picture[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    return [picture[:HEIGHT], *chroma]


def encode(
    path: Path, pictures: Sequence[Picture], times: Sequence[int] | None = None, crf: int = 23
) -> Path:
    """Write frames with x264, at the times given in ticks."""
    times = times or [index * TICKS for index in range(len(pictures))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, FPS * TICKS)
        stream.codec_context.options = {"crf": str(crf), "preset": "fast", "threads": "1"}
        for pts, picture in zip(times, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = pts, stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def missing(damage: Damage) -> set[int]:
    return {pts // TICKS for pts in damage.missing}


def kinds(damage: Damage) -> list[str]:
    return [interval.kind for interval in damage.intervals]


def frozen(pictures: Sequence[Picture], first: int, count: int) -> list[Picture]:
    """The frames with some replaced by the one before them."""
    return [*pictures[:first], *(pictures[first - 1],) * count, *pictures[first + count :]]


# What is broken


@pytest.mark.parametrize("sigma", [0, 8])
@pytest.mark.parametrize(("first", "count"), [(20, 1), (20, 2), (20, 8), (1, 3)])
def test_repeats_are_found_in_an_encoded_clip(
    tmp_path: Path, ffmpeg: str, sigma: float, first: int, count: int
) -> None:
    pictures = grain(pan(60), sigma) if sigma else pan(60)
    path = encode(tmp_path / "frozen.mp4", frozen(pictures, first, count))
    damage = find_damage(probe(path), ffmpeg)
    assert missing(damage) == set(range(first, first + count))
    assert kinds(damage) == ["repeat" if count == 1 else "freeze"]
    assert len(damage.times) == 60
    assert 0.5 <= damage.intervals[0].confidence <= 1


def test_a_repeat_in_slow_motion_is_told_from_what_an_encoder_leaves(
    tmp_path: Path, ffmpeg: str
) -> None:
    slow = [view("astronaut", 0.8 * index) for index in range(90)]
    path = encode(tmp_path / "slow.mp4", frozen(slow, 40, 1), crf=28)
    assert missing(find_damage(probe(path), ffmpeg)) == {40}


@pytest.mark.parametrize("seed", range(4))
def test_repeats_in_uneven_motion_are_found(seed: int) -> None:
    pictures = shaky(100, seed)
    for first, count in ((20, 1), (45, 1), (70, 3)):
        pictures = frozen(pictures, first, count)
    assert missing(look(pictures)) == {20, 45, 70, 71, 72}


def test_a_repeat_soon_after_a_cut_is_found() -> None:
    pictures = [*pan(30, 6.0, "coffee"), *pan(40)]
    assert missing(look(frozen(pictures, 32, 1))) == {32}


def test_a_repeat_while_motion_gathers_speed_is_found() -> None:
    pictures = [view("astronaut", 0.08 * index**2) for index in range(50)]
    assert missing(look(frozen(pictures, 25, 1))) == {25}


@pytest.mark.parametrize("sigma", [0, 8])
def test_the_way_covered_tells_a_repeat_under_noise(sigma: float) -> None:
    noise = np.random.default_rng(0).normal(0, sigma, (60, HEIGHT, WIDTH))
    luma = np.stack([picture[:HEIGHT] for picture in frozen(pan(60), 30, 1)]) + noise
    info = SimpleNamespace(bit_depth=8, plane_format="gray", alpha=False)
    levels = np.clip(luma, 0, 255).round().astype(np.uint8)
    frames = [Frame(index, index, (plane,)) for index, plane in enumerate(levels)]
    signs = read_signs(frames, info)  # type: ignore[arg-type]
    assert np.argmin(signs.covered) == 31
    assert np.median(signs.covered) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_holes_in_the_timestamps_are_found(tmp_path: Path, ffmpeg: str, count: int) -> None:
    kept = [index for index in range(60) if not 30 <= index < 30 + count]
    pictures = pan(60)
    path = encode(tmp_path / "gap.mp4", [pictures[k] for k in kept], [k * TICKS for k in kept])
    damage = find_damage(probe(path), ffmpeg)
    assert damage.times == tuple(index * TICKS for index in range(60))
    assert damage.added == {index * TICKS for index in range(30, 30 + count)}
    assert not damage.bad
    assert kinds(damage) == ["drop" if count == 1 else "gap"]


def test_milliseconds_do_not_hide_a_hole_nor_make_one() -> None:
    times = np.round(np.arange(100) * 1001 / 30).astype(np.int64)
    assert not list(find_holes(times))
    [(pts, confidence)] = find_holes(np.delete(times, 40))
    assert abs(pts - times[40]) <= 1
    assert confidence > 0.9


def test_a_rate_that_varies_has_no_holes() -> None:
    rng = np.random.default_rng(0)
    shaky = np.cumsum(rng.normal(3000, 300, 300)).astype(np.int64)
    screen = np.cumsum(rng.choice([1, 1, 1, 2, 5, 30], 300) * 1500)
    growing = np.array([n * 3000 + n * n * 37 + n % 3 * 411 for n in range(48)])
    switched = np.cumsum([3000] * 50 + [1500] * 50 + [3000] * 50)
    for times in (shaky, screen, growing, switched):
        assert not list(find_holes(times))
    [(pts, _)] = find_holes(np.delete(shaky, 150))
    assert shaky[149] < pts < shaky[151]


@pytest.mark.parametrize("colour", [BLACK, GREEN, GREY])
@pytest.mark.parametrize("count", [1, 8])
def test_frames_of_one_colour_are_found(colour: Picture, count: int) -> None:
    pictures = pan(60)
    pictures[30 : 30 + count] = [colour] * count
    damage = look(pictures)
    assert missing(damage) == set(range(30, 30 + count))
    assert len(kinds(damage)) == 1


def test_a_band_of_damaged_macroblocks_is_found(tmp_path: Path, ffmpeg: str) -> None:
    pictures = pan(60)
    for index in (30, 31):
        banded = split(pictures[index].copy())
        banded[0][48:80] = 128
        banded[1][24:40] = banded[2][24:40] = 128
        pictures[index] = np.vstack([banded[0], *(c.reshape(-1, WIDTH) for c in banded[1:])])
    damage = find_damage(probe(encode(tmp_path / "band.mp4", pictures)), ffmpeg)
    assert missing(damage) == {30, 31}
    assert kinds(damage) == ["grey"]


def test_bad_frames_at_the_ends_are_found() -> None:
    damage = look([GREEN, GREEN, *pan(40), GREY])
    assert missing(damage) == {0, 1, 42}
    assert len(damage.times) == 43


def test_frames_that_the_decoder_reports_are_found(tmp_path: Path, ffmpeg: str) -> None:
    whole = encode(tmp_path / "whole.mp4", pan(40))
    path, hurt = tmp_path / "hurt.mp4", []
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        # Half of the largest is gone: whatever bytes there are, they may decode to something.
        largest = max(range(15, 25), key=lambda number: packets[number].size)
        for number, packet in enumerate(packets):
            if number == largest:
                part = bytes(packet)[4 : packet.size // 2]  # behind its length
                hurt.append(packet.pts)
                damaged = av.Packet(len(part).to_bytes(4, "big") + part)
                damaged.pts, damaged.dts = packet.pts, packet.dts
                damaged.time_base, damaged.duration = packet.time_base, packet.duration
                packet = damaged
            packet.stream = stream
            target.mux(packet)
    info = probe(path)
    damage = find_damage(info, ffmpeg)
    assert damage.bad >= set(hurt)
    assert "corrupt" in kinds(damage)
    with Decoder(info, ffmpeg=ffmpeg) as decoder:
        assert damage.bad <= {frame.pts for frame in decoder}
    part = find_damage(info, ffmpeg, start=Fraction(1, 5), end=Fraction(6, 5))
    assert part.bad == damage.bad


def test_a_long_run_is_reported_and_left_alone() -> None:
    kept = [index for index in range(80) if not 30 <= index < 42]
    pictures = pan(80, speed_px=1.5)
    holed = look([pictures[k] for k in kept], [k * TICKS for k in kept])
    stuck = look(frozen(pictures, 30, 12))
    for damage, kind in ((holed, "gap"), (stuck, "freeze")):
        [interval] = damage.intervals
        assert (interval.kind, interval.frames, interval.repaired) == (kind, 12, False)
        assert not damage.missing
    assert len(holed.times) == 68
    assert len(stuck.times) == 80


def test_faults_that_touch_count_as_one_run() -> None:
    pictures = pan(60)
    pictures[30:35] = [GREEN] * 5
    kept = [index for index in range(60) if not 35 <= index < 40]
    damage = look([pictures[k] for k in kept], [k * TICKS for k in kept])
    assert kinds(damage) == ["green", "gap"]
    assert not any(interval.repaired for interval in damage.intervals)
    assert not damage.missing


# What merely looks so


def still() -> list[Picture]:
    return [view("astronaut", 50)] * 60


def slides() -> list[Picture]:
    return [view("astronaut", 60.0 * (index // 12)) for index in range(60)]


def held_each(times: int) -> list[Picture]:
    drawn = pan(80)
    return [drawn[index // times * times] for index in range(80)]


def telecine() -> list[Picture]:
    """24 frames per second shown at 60: three times, twice, and so on."""
    return [picture for index, picture in enumerate(pan(32)) for _ in range(3 - index % 2)]


def one_in_five() -> list[Picture]:
    """24 frames per second shown at 30."""
    return [picture for index, picture in enumerate(pan(64)) for _ in range(1 + (index % 4 == 3))]


def one_in_twenty_five() -> list[Picture]:
    """24 frames per second shown at 25."""
    return [picture for index, picture in enumerate(pan(72)) for _ in range(1 + (index % 24 == 12))]


def limping() -> list[Picture]:
    """A rate that was changed by a filter that blends: short steps and long ones."""
    return [view("astronaut", 3.0 * (index + 0.35 * (index % 2))) for index in range(60)]


def pose(count: int) -> list[Picture]:
    """Motion that stops, and goes on from where it stood."""
    moving = pan(60)
    return [*moving[:30], *(moving[29],) * count, *moving[30:]]


def flash() -> list[Picture]:
    pictures = pan(60)
    pictures[30] = view("astronaut", 75, gain=2.2)
    pictures[45] = np.vstack([np.full((HEIGHT, WIDTH), 235, np.uint8), pictures[45][HEIGHT:]])
    return pictures


def cuts() -> list[Picture]:
    return [*pan(25), *pan(7, name="chelsea"), *pan(25, name="coffee"), *pan(25, 0.0, "rocket")]


def held_before_a_cut() -> list[Picture]:
    moving = pan(30)
    return [*moving, *(moving[-1],) * 4, *pan(30, name="coffee")]


def fade_to_black() -> list[Picture]:
    gains = np.abs(np.linspace(-1, 1, 61)).clip(0.03) ** 1.5
    return [view("astronaut", 2.0 * index, gain=float(g)) for index, g in enumerate(gains)]


def black_between_scenes() -> list[Picture]:
    return [*(BLACK,) * 5, *pan(30), *(BLACK,) * 6, *pan(30, name="coffee"), *(BLACK,) * 5]


def brightening() -> list[Picture]:
    """A flat sky that passes through grey on its way from black to white."""
    pictures = pan(60)
    for index, picture in enumerate(pictures):
        picture[:64] = np.clip(16 + 28 * (index - 20), 16, 235)
        for plane in split(picture)[1:]:
            plane[:32] = 128
    return pictures


def slow_pan() -> list[Picture]:
    return pan(60, speed_px=0.05)


@pytest.mark.parametrize(
    "make",
    [
        *(still, slides, telecine, one_in_five, flash, cuts, held_before_a_cut, fade_to_black),
        *(black_between_scenes, brightening, slow_pan, lambda: held_each(2), lambda: held_each(3)),
        *(one_in_twenty_five, limping, lambda: shaky(60)),
        *(lambda: pose(1), lambda: pose(4), lambda: pose(20), lambda: pan(80)),
        *(lambda: grain(still()), lambda: grain(cuts()), lambda: grain(flash())),
    ],
)
@pytest.mark.parametrize("coded", [False, True])
def test_intact_clips_are_left_alone(
    make: Callable[[], list[Picture]], tmp_path: Path, ffmpeg: str, *, coded: bool
) -> None:
    pictures = make()
    if coded:
        damage = find_damage(probe(encode(tmp_path / "intact.mp4", pictures, crf=28)), ffmpeg)
    else:
        damage = look(pictures)
    assert not damage.intervals
    assert not damage.missing
    assert len(damage.times) == len(pictures)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_frames_are_no_damage(count: int) -> None:
    damage = look(pan(count))
    assert not damage.intervals
    assert len(damage.times) == count


def test_an_interval_is_kept_to(tmp_path: Path, ffmpeg: str) -> None:
    path = encode(tmp_path / "frozen.mp4", frozen(pan(60), 40, 2))
    info = probe(path)
    assert not find_damage(info, ffmpeg, end=30).intervals
    damage = find_damage(info, ffmpeg, start=20)
    assert damage.times[0] == 20 * TICKS
    assert missing(damage) == {40, 41}


@pytest.mark.parametrize(
    "name",
    [
        *("plain", "ntsc", "vfr", "ten_bit", "full_range", "odd", "rich", "rotated", "broadcast"),
        *("interlaced", "images", "sound_first"),
    ],
)
def test_every_kind_of_file_can_be_looked_at(clips: Clips, ffmpeg: str, name: str) -> None:
    info = probe(getattr(clips, name))
    with Decoder(info, ffmpeg=ffmpeg) as decoder:
        times = tuple(frame.pts for frame in decoder)
    damage = find_damage(info, ffmpeg)
    assert damage.times == times
    assert not damage.intervals


@pytest.mark.parametrize("pix_fmt", ["gray", "gbrp", "yuv444p", "yuv422p10le", "gray16le"])
def test_every_pixel_format_can_be_looked_at(clips: Clips, ffmpeg: str, pix_fmt: str) -> None:
    assert not find_damage(probe(clips.lossless(pix_fmt)), ffmpeg).intervals


@pytest.mark.parametrize("name", ["truncated", "truncated_mkv", "truncated_ts"])
def test_what_was_cut_off_is_not_made_up(clips: Clips, ffmpeg: str, name: str) -> None:
    info = probe(getattr(clips, name))
    with Decoder(info, ffmpeg=ffmpeg) as decoder:
        times = [frame.pts for frame in decoder]
    damage = find_damage(info, ffmpeg)
    assert set(damage.times) >= set(times)
    assert max(damage.times) == max(times)
