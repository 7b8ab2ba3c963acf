from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import Clips, decode_all
from tests.test_ffmpeg import fake_ffmpeg
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder, SegmentFile
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import (
    ExitCode,
    FfmpegError,
    InputError,
    OutputError,
    Stopped,
    UsageError,
)
from vidrestore.media.clock import Clock
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.probe import VideoInfo, probe


def encode(
    info: VideoInfo, frames: Iterable[Frame], path: Path, ffmpeg: str, settings: EncodeSettings
) -> SegmentFile:
    with SegmentEncoder(plan_encoding(info, settings, ffmpeg), path) as encoder:
        for frame in frames:
            encoder.write(frame)
        return encoder.close()


def assert_same_planes(found: list[Frame], expected: list[Frame]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for left, right in zip(one.planes, other.planes, strict=True):
            np.testing.assert_array_equal(left, right)


def pyav_frames(path: Path) -> tuple[list[int | None], list[list[np.ndarray]]]:
    """Timestamps and planes as PyAV's own decoder gives them: an independent opinion."""
    pts, planes = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pts.append(frame.pts)
            sample = np.dtype("u1" if frame.format.components[0].bits == 8 else "<u2")
            rows = []
            for plane in frame.planes:
                lines = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)
                rows.append(lines[:, : plane.width * sample.itemsize].copy().view(sample))
            planes.append(rows)
    return pts, planes


@pytest.mark.parametrize("clip", ["plain", "vfr", "ntsc", "ten_bit", "full_range", "odd"])
def test_planes_and_timestamps_are_the_sources(clips: Clips, clip: str) -> None:
    path = getattr(clips, clip)
    frames = decode_all(path, clips.ffmpeg)
    pts, planes = pyav_frames(path)
    assert [frame.pts for frame in frames] == pts
    assert [frame.index for frame in frames] == list(range(len(pts)))
    for frame, expected in zip(frames, planes, strict=True):
        for found, wanted in zip(frame.planes, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_the_vfr_clip_is_irregular(clips: Clips) -> None:
    pts = [frame.pts for frame in decode_all(clips.vfr, clips.ffmpeg)]
    assert len(set(np.diff(pts))) > 10


@pytest.mark.parametrize("native", ["nv12", "yuyv422", "yuva420p"])
def test_packed_formats_are_unpacked_exactly(clips: Clips, native: str) -> None:
    with av.open(str(clips.raw(native))) as container:
        packets = [bytes(packet) for packet in container.demux() if packet.size]
    packed = [np.frombuffer(packet, np.uint8) for packet in packets]
    for frame, raw in zip(decode_all(clips.raw(native), clips.ffmpeg), packed, strict=True):
        if native == "nv12":
            chroma = raw[96 * 64 :].reshape(32, 96)
            expected = raw[: 96 * 64].reshape(64, 96), chroma[:, ::2], chroma[:, 1::2]
        elif native == "yuyv422":
            lines = raw.reshape(64, 192)
            expected = lines[:, ::2], lines[:, 1::4], lines[:, 3::4]
        else:
            parts = np.split(raw, np.cumsum([96 * 64, 48 * 32, 48 * 32]))
            shapes = [(64, 96), (32, 48), (32, 48), (64, 96)]
            expected = tuple(map(np.reshape, parts, shapes))
        for found, wanted in zip(frame.planes, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_images_decode_to_their_own_rgb(clips: Clips) -> None:
    frames = decode_all(clips.images, clips.ffmpeg)
    assert [frame.pts for frame in frames] == list(range(8))
    for frame, image in zip(frames, sorted(clips.images.iterdir()), strict=True):
        with av.open(str(image)) as container:
            rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
        np.testing.assert_array_equal(np.stack(frame.planes, -1), rgb[..., [1, 2, 0]])


def test_planes_own_their_memory_and_can_be_written(clips: Clips) -> None:
    first, second = itertools.islice(Decoder(probe(clips.plain), ffmpeg=clips.ffmpeg), 2)
    kept = second.planes[0].copy()
    first.planes[0][:] = 0
    np.testing.assert_array_equal(second.planes[0], kept)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (5, 9, range(5, 9)),
        (None, 3, range(3)),
        (22, None, range(22, 24)),
        (Fraction(5, 24), Fraction(9, 24), range(5, 9)),
        (Fraction(501, 2400), None, range(6, 24)),
        (Fraction(0), Fraction(1, 24), range(1)),
        (30, None, range(0)),
    ],
)
@pytest.mark.parametrize("clip", ["plain", "broadcast"])
def test_start_and_end(
    clips: Clips,
    clip: str,
    start: int | Fraction | None,
    end: int | Fraction | None,
    expected: range,
) -> None:
    whole = decode_all(getattr(clips, clip), clips.ffmpeg)
    info = probe(getattr(clips, clip))
    with Decoder(info, ffmpeg=clips.ffmpeg, start=start, end=end) as decoder:
        part = list(decoder)
    assert [frame.index for frame in part] == list(range(len(expected)))
    assert [frame.pts for frame in part] == [whole[number].pts for number in expected]
    assert_same_planes(part, [whole[number] for number in expected])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_seeking_gives_the_frames_that_decoding_from_the_top_gives(
    clips: Clips, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"long{suffix}"
    source = clips.picture(frames=120)
    video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "30", "-bf", "3")
    made = clips.make(f"long{suffix}", *video, source=source)
    shutil.move(made, path)
    whole = decode_all(path, clips.ffmpeg)
    for frame in (30, 59, 60, 61, 100):
        start = Fraction(frame, 24) - Fraction(1, 100)
        with Decoder(probe(path), ffmpeg=clips.ffmpeg, start=start) as decoder:
            part = list(decoder)
        assert [one.pts for one in part] == [one.pts for one in whole[frame:]]
        assert_same_planes(part, whole[frame:])


@pytest.mark.parametrize("clip", ["truncated", "truncated_mkv"])
def test_a_truncated_tail_is_counted(clips: Clips, clip: str) -> None:
    with Decoder(probe(getattr(clips, clip)), ffmpeg=clips.ffmpeg) as decoder:
        frames = list(decoder)
    assert 4 < len(frames) < 24
    assert f"only {len(frames)} of 24 frames" in decoder.warnings[0]


@pytest.mark.parametrize("clip", ["plain", "vfr", "ntsc", "odd", "rich", "broadcast", "images"])
def test_a_healthy_file_gives_no_warning(clips: Clips, clip: str) -> None:
    with Decoder(probe(getattr(clips, clip)), ffmpeg=clips.ffmpeg) as decoder:
        assert list(decoder)
    assert decoder.warnings == []


def test_an_input_that_vanishes_is_an_input_error(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "gone.mp4"
    shutil.copy(clips.plain, path)
    info = probe(path)
    path.unlink()
    with pytest.raises(InputError, match="no frame could be decoded"):
        list(Decoder(info, ffmpeg=clips.ffmpeg))


def children() -> set[str]:
    """Our child processes, zombies among them."""
    tasks = Path("/proc/self/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text().split()}


def test_closing_early_ends_ffmpeg(clips: Clips) -> None:
    info, processes = probe(clips.plain), children()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with Decoder(info, ffmpeg=clips.ffmpeg) as decoder:
        next(decoder)
        assert children() != processes
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert children() == processes


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv411p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p12le",
        "gray",
        "gray10le",
        "gbrp",
        "gbrp10le",
    ],
)
def test_ffv1_keeps_every_sample(clips: Clips, pix_fmt: str, tmp_path: Path) -> None:
    info = probe(clips.lossless(pix_fmt))
    frames = decode_all(info.path, clips.ffmpeg)
    segment = encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings("ffv1"))
    assert segment.frames == 6
    assert_same_planes(decode_all(segment.path, clips.ffmpeg), frames)


@pytest.mark.parametrize("clip", ["plain", "vfr", "ten_bit", "full_range", "odd", "images"])
def test_ffv1_keeps_planes_and_spacing_of_real_clips(
    clips: Clips, clip: str, tmp_path: Path
) -> None:
    info = probe(getattr(clips, clip))
    frames = decode_all(info.path, clips.ffmpeg)
    segment = encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings("ffv1"))
    again = decode_all(segment.path, clips.ffmpeg)
    assert_same_planes(again, frames)
    scale = probe(segment.path).time_base / info.time_base
    assert [frame.pts * scale for frame in again] == [frame.pts - frames[0].pts for frame in frames]


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("colour_range", ["tv", "pc"])
def test_no_tag_makes_ffmpeg_convert(
    clips: Clips, matrix: str, colour_range: str, tmp_path: Path
) -> None:
    tags = f"format=yuv420p,setparams=range={colour_range}:colorspace={matrix}"
    video = ("-vf", tags, "-c:v", "ffv1", "-color_range", colour_range)
    made = clips.make("tagged.mkv", "-y", *video, source=clips.picture(frames=4))
    info = probe(made.rename(tmp_path / "tagged.mkv"))
    assert (info.colour.range, info.colour.matrix) == (colour_range, matrix)
    frames = decode_all(info.path, clips.ffmpeg)
    segment = encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings("ffv1"))
    assert_same_planes(decode_all(segment.path, clips.ffmpeg), frames)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_lossy_codecs_keep_format_tags_and_times(clips: Clips, codec: str, tmp_path: Path) -> None:
    for clip in (clips.plain, clips.ten_bit, clips.vfr):
        info = probe(clip)
        frames = decode_all(clip, clips.ffmpeg)
        settings = EncodeSettings(codec, preset="10" if codec == "av1" else "veryfast")
        segment = encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, settings)
        coded = probe(segment.path)
        assert coded.pix_fmt == info.pix_fmt
        stated = coded.colour
        if codec == "av1":  # it has no code for "left", which is its default
            assert stated.matrix == info.colour.matrix
        else:
            assert stated == info.colour
        again = decode_all(segment.path, clips.ffmpeg)
        scale = coded.time_base / info.time_base
        assert [f.pts * scale for f in again] == [f.pts - frames[0].pts for f in frames]
        worst = max(
            float(np.mean((a.planes[0].astype(float) - b.planes[0]) ** 2))
            for a, b in zip(again, frames, strict=True)
        )
        peak = 2**info.bit_depth - 1
        assert 10 * np.log10(peak**2 / worst) > 35


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1", "prores"])
@pytest.mark.parametrize(
    ("time_base", "ticks", "nominal"),
    [
        (Fraction(1, 60000), 1000, Fraction(60)),
        (Fraction(1, 25600), 427, Fraction(60)),
        (Fraction(1, 1000), 17, Fraction(60)),
        (Fraction(1001, 60000), 1, Fraction(60000, 1001)),
        (Fraction(1, 90000), 3754, Fraction(24000, 1001)),
        (Fraction(1, 2**31 - 1), 35_791_394, Fraction(60)),
        (Fraction(1, 960), 1, Fraction(240)),
    ],
)
def test_encoders_take_any_clock(
    clips: Clips, codec: str, time_base: Fraction, ticks: int, nominal: Fraction, tmp_path: Path
) -> None:
    info = probe(clips.lossless("yuv422p10le" if codec == "prores" else "yuv420p"))
    frames = [
        Frame(frame.index, 2**40 + frame.index * ticks, frame.planes)
        for frame in decode_all(info.path, clips.ffmpeg)
    ]
    settings = EncodeSettings(codec, preset={"av1": "10", "ffv1": None, "prores": None}.get(codec))
    clock = Clock(time_base, 4 * nominal if nominal == 240 else nominal)
    with SegmentEncoder(
        plan_encoding(info, settings, clips.ffmpeg), tmp_path / "s.nut", clock=clock
    ) as encoder:
        for frame in frames:
            encoder.write(frame)
        assert encoder.close().frames == 6
    with av.open(str(tmp_path / "s.nut")) as container:
        video = container.streams.video[0]
        assert video.average_rate == nominal
        times = sorted(p.pts * p.time_base for p in container.demux(video) if p.size)
    assert times == [number * ticks * time_base for number in range(6)]


def test_prores_takes_ten_bit(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.lossless("yuv422p10le"))
    frames = decode_all(info.path, clips.ffmpeg)
    segment = encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings("prores"))
    assert probe(segment.path).pix_fmt == "yuv422p10le"


def test_segments_begin_with_a_key_frame_and_share_their_headers(
    clips: Clips, tmp_path: Path
) -> None:
    info = probe(clips.vfr)
    frames = decode_all(clips.vfr, clips.ffmpeg)
    for codec in ("h264", "hevc"):
        headers = set()
        settings = EncodeSettings(codec, preset="veryfast")
        for part in (frames[:3], frames[3:11], frames[11:]):
            segment = encode(info, part, tmp_path / "s.nut", clips.ffmpeg, settings)
            with av.open(str(segment.path)) as container:
                headers.add(container.streams.video[0].codec_context.extradata)
                assert next(container.demux(video=0)).is_keyframe
        assert len(headers) == 1


def test_pixel_shape_reaches_the_segment(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.anamorphic)
    frames = decode_all(info.path, clips.ffmpeg)[:3]
    for codec in ("h264", "ffv1"):
        encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings(codec))
        assert probe(tmp_path / "s.nut").sar == Fraction(4, 3)


@pytest.mark.parametrize(
    ("clip", "codec", "expected"),
    [
        ("plain", "h264", "yuv420p"),
        ("ten_bit", "h264", "yuv420p10le"),
        ("odd", "h264", "yuv444p"),
        ("odd", "av1", "yuv420p"),
        ("odd", "ffv1", "yuv420p"),
        ("images", "h264", "yuv444p"),
        ("images", "hevc", "gbrp"),
        ("images", "av1", "gbrp"),
        ("images", "ffv1", "gbrp"),
        ("ten_bit", "prores", "yuv422p10le"),
    ],
)
def test_the_output_keeps_the_inputs_format_where_it_can(
    clips: Clips, clip: str, codec: str, expected: str
) -> None:
    plan = plan_encoding(probe(getattr(clips, clip)), EncodeSettings(codec), clips.ffmpeg)
    assert plan.video.plane_format == expected


@pytest.mark.parametrize(("clip", "codec"), [("odd", "h264"), ("images", "h264"), ("odd", "av1")])
def test_odd_sizes_and_rgb_encode(clips: Clips, clip: str, codec: str, tmp_path: Path) -> None:
    info = probe(getattr(clips, clip))
    frames = decode_all(info.path, clips.ffmpeg)
    encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings(codec, crf=1))
    coded = probe(tmp_path / "s.nut")
    assert (coded.width, coded.height) == (info.width, info.height)
    rgb = frames[2].planes if clip == "images" else None
    if rgb is not None:
        assert (coded.colour.matrix, coded.colour.range) == ("bt709", "tv")
        g, b, r = (plane.astype(float) / 255 for plane in rgb)
        luma = 16 + 219 * (0.2126 * r + 0.7152 * g + 0.0722 * b)
        found = decode_all(tmp_path / "s.nut", clips.ffmpeg)[2].planes[0]
        assert np.abs(found - luma).max() < 4
        assert abs((found - luma).mean()) < 0.2


@pytest.mark.parametrize(("pix_fmt", "codec"), [("yuv420p12le", "prores"), ("gray12le", "h264")])
def test_a_codec_that_cannot_hold_the_video_says_so(clips: Clips, pix_fmt: str, codec: str) -> None:
    with pytest.raises(UsageError, match=f"{codec} cannot hold") as raised:
        plan_encoding(probe(clips.lossless(pix_fmt)), EncodeSettings(codec), clips.ffmpeg)
    assert "ffv1" in str(raised.value.hint)


def test_unknown_codecs_and_options_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="unknown codec vp3") as raised:
        EncodeSettings("vp3")
    assert "h264, hevc, av1, ffv1, prores" in str(raised.value.hint)
    with pytest.raises(UsageError, match="ffv1 has no crf"):
        EncodeSettings("ffv1", crf=20)


def test_crf_zero_is_not_the_default(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.plain)
    frames = decode_all(clips.plain, clips.ffmpeg)
    encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings("h264", crf=0))
    assert_same_planes(decode_all(tmp_path / "s.nut", clips.ffmpeg), frames)


def test_a_bad_preset_raises_ffmpegs_reason_and_never_hangs(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.plain)
    frames = decode_all(clips.plain, clips.ffmpeg) * 20
    for number, frame in enumerate(frames):
        frames[number] = Frame(number, number * 512, frame.planes)
    with pytest.raises(UsageError, match="preset"):
        encode(info, frames, tmp_path / "s.nut", clips.ffmpeg, EncodeSettings(preset="warp9"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_output_error(clips: Clips) -> None:
    info = probe(clips.plain)
    frames = decode_all(clips.plain, clips.ffmpeg)
    with pytest.raises(OutputError, match="disk is full"):
        encode(info, frames, Path("/dev/full"), clips.ffmpeg, EncodeSettings("ffv1"))


def test_an_encoder_that_dies_midway_raises(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.plain)
    frame = decode_all(clips.plain, clips.ffmpeg)[0]
    body = "if '-version' in sys.argv: print('ffmpeg version 9.0'); sys.exit()\n"
    body += "os.read(0, 100_000); sys.stderr.write('[error] boom\\n'); sys.exit(1)"
    dying = fake_ffmpeg(tmp_path, body)
    frames = [Frame(number, number * 512, frame.planes) for number in range(10_000)]
    plan = replace(plan_encoding(info, EncodeSettings(), clips.ffmpeg), ffmpeg=dying)

    def write_all() -> None:
        with SegmentEncoder(plan, tmp_path / "s.nut") as encoder:
            for frame in frames:
                encoder.write(frame)

    with pytest.raises(FfmpegError, match="boom"):
        write_all()


def test_an_exception_while_encoding_leaves_no_process(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.plain)
    frame = decode_all(clips.plain, clips.ffmpeg)[0]
    processes = children()

    def interrupted() -> Iterator[Frame]:
        yield frame
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(info, interrupted(), tmp_path / "s.nut", clips.ffmpeg, EncodeSettings())
    assert children() == processes


def test_a_signal_while_pyav_reads_is_heard(
    clips: Clips, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyAV forgets what a signal's handler raises in the middle of a read."""

    def decode_for_ever(delay_s: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, delay_s)
        while True:
            with Decoder(probe(clips.plain), ffmpeg=ffmpeg) as decoder:
                assert sum(1 for _ in decoder) > 0

    def stop(*_: object) -> None:
        Stopped.by_signal(ExitCode.INTERRUPTED)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for delay_s in np.linspace(0.002, 0.3, 24).tolist():
            monkeypatch.setattr(Stopped, "asked", None)
            with pytest.raises(Stopped):
                decode_for_ever(delay_s)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
