"""The output's clock, slow motion, and the check that lets no wrong file pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import Clips, decode_all, run_ffmpeg
from tests.test_mux import packets_of, video_times
from vidrestore.containers.carry import Audio, Carriage, carriage
from vidrestore.containers.check import check_output
from vidrestore.containers.join import Joint, joint
from vidrestore.containers.mux import MuxResult, mux, output_format
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import CheckError, ExitCode
from vidrestore.media.clock import Clock
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.probe import probe

HALF_MS = Fraction(1, 2000)
SAME = "setts=pts=PTS:dts=DTS"


@dataclass(frozen=True)
class Made:
    """An output under its temporary name, and what the check was told about it."""

    joined: Joint
    carried: Carriage
    result: MuxResult
    trim: bool

    def check(self, path: Path) -> None:
        check_output(self.joined, self.carried, self.result.shift_s, path, trim=self.trim)


def make(
    clips: Clips,
    source: Path,
    output: Path,
    *,
    clock: Clock | None = None,
    pts: Sequence[int] | None = None,
    audio: Audio = "copy",
    codec: str = "h264",
    interval: tuple[Fraction | None, Fraction | None] = (None, None),
) -> Made:
    """Mux decoded frames under other timestamps, the last frame repeated if there are more."""
    info = probe(source)
    clock = clock or Clock.of(info)
    start, end = interval
    with Decoder(info, ffmpeg=clips.ffmpeg, start=start, end=end) as decoder:
        frames = list(decoder)
    pts = [frame.pts for frame in frames] if pts is None else pts
    settings = EncodeSettings(codec, preset={"h264": "veryfast", "av1": "10"}.get(codec))
    path = output.with_suffix(".nut")
    with SegmentEncoder(plan_encoding(info, settings, clips.ffmpeg), path, clock=clock) as encoder:
        for number, time in enumerate(pts):
            encoder.write(Frame(number, time, frames[min(number, len(frames) - 1)].planes))
        segment = encoder.close()
    trim = interval != (None, None)
    options = {"ffmpeg": clips.ffmpeg, "trim": trim, "clock": clock, "audio": audio}
    result = mux(info, [segment], pts, output, **options)
    carried = carriage(info, output_format(output, codec), clock.speed, audio)
    return Made(joint(info, clock, [segment], pts), carried, result, trim)


def early_sound(clips: Clips) -> Path:
    """MP4 whose video starts 0.35 s after its sound."""
    path = clips.folder / "early.mp4"
    if path.exists():
        return path
    late = ["-itsoffset", "0.35", *clips.tagged()]
    video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "3")
    return clips.make("early.mp4", *clips.tone(1.4), *video, "-c:a", "aac", source=late)


def ten_hours_late(clips: Clips, suffix: str) -> Path:
    """Both streams start at 10 h; the video counts in 1/90000 s, sound 40 ms after it."""
    path = clips.folder / f"ten-hours{suffix}"
    if path.exists():
        return path
    times = "settb=1/90000,setpts=36000*90000+N*3750+7*mod(N\\,3)"
    picture = [*clips.tagged()[:-1], f"{clips.tagged()[-1]},{times}"]
    sound = f"{clips.tone()[-1]},asetpts=PTS+36000.04/TB"
    timing = ("-copyts", "-fps_mode", "passthrough", "-enc_time_base:v", "1/90000")
    codecs = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac")
    kept = ("-avoid_negative_ts", "disabled", "-video_track_timescale", "90000")
    if suffix == ".mkv":
        kept = kept[:2]
    return clips.make(
        path.name, "-f", "lavfi", "-i", sound, *timing, *codecs, *kept, source=picture
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("clip", ["plain", "vfr", "broadcast", "ntsc", "early"])
def test_a_good_file_passes_and_is_described(
    clips: Clips, clip: str, suffix: str, tmp_path: Path
) -> None:
    source = early_sound(clips) if clip == "early" else getattr(clips, clip)
    check = make(clips, source, tmp_path / f"out{suffix}").result.check
    assert check.frames_planned == check.frames_found == 24
    half = HALF_MS if suffix == ".mkv" else 0
    assert abs(check.first_planned_s - check.first_found_s) <= half
    assert abs(check.last_planned_s - check.last_found_s) <= half
    assert abs(check.duration_planned_s - check.duration_found_s) <= 4 * half
    (sound,) = check.audio
    assert sound.packets_in == sound.packets_out > 40
    assert sound.offset_in_s is not None
    assert sound.offset_out_s is not None
    assert abs(sound.offset_in_s - sound.offset_out_s) <= 2 * half + Fraction(1, 40000)
    if clip in {"ntsc", "early"}:
        sign = 1 if clip == "ntsc" else -1
        assert abs(sound.offset_in_s - sign * Fraction(35, 100)) < Fraction(3, 100)


@pytest.mark.parametrize("clip", ["ntsc", "broadcast", "vfr", "rich", "early"])
def test_a_trimmed_part_passes_with_the_packets_that_belong_to_it(
    clips: Clips, clip: str, tmp_path: Path
) -> None:
    source = early_sound(clips) if clip == "early" else getattr(clips, clip)
    part = (Fraction(1, 4), Fraction(3, 4))
    made = make(clips, source, tmp_path / "out.mkv", interval=part)
    for sound in made.result.check.audio:
        assert 10 < sound.packets_in == sound.packets_out < 30
        assert sound.offset_in_s is not None
        assert 0 <= sound.offset_in_s < Fraction(3, 10)


def test_a_part_up_to_a_time_keeps_the_sound_before_the_first_frame(
    clips: Clips, tmp_path: Path
) -> None:
    part = (None, Fraction(1, 2))
    made = make(clips, early_sound(clips), tmp_path / "out.mp4", interval=part)
    (sound,) = made.result.check.audio
    assert sound.offset_out_s is not None
    assert sound.offset_out_s < -Fraction(35, 100)


def test_raw_samples_may_be_cut_into_other_packets(clips: Clips, tmp_path: Path) -> None:
    frames = ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le")
    tone = [*clips.tone()[:-1], f"{clips.tone()[-1]},asetnsamples=1920"]
    source = clips.make("raw-sound.mkv", *tone, *frames, source=clips.picture())
    made = make(clips, source, tmp_path / "out.mov")
    (sound,) = made.result.check.audio
    assert (sound.packets_in, sound.packets_out) == (25, 50)
    remux(clips, made, tmp_path / "bad.mov", "-bsf:a", "noise=drop='eq(n,20)'")
    with pytest.raises(CheckError, match=r"96000 bytes, 9\d+ came out"):
        made.check(tmp_path / "bad.mov")


def remux(clips: Clips, made: Made, target: Path, *changes: str, sound: Sequence[str] = ()) -> None:
    """Copy the finished file with changes: video from one reading of it, sound from another."""
    path = str(made.result.path)
    inputs = ("-copyts", "-i", path, *sound, "-i", path)
    kept = ["-map", "0:v", "-map", "1:a", "-c", "copy", "-avoid_negative_ts", "disabled"]
    if target.suffix == ".mp4":
        info = probe(made.result.path)
        kept += ["-video_track_timescale", str(info.time_base.denominator)]
        kept += ["-movie_timescale", str(info.time_base.denominator * 48000)]
    run_ffmpeg(clips.ffmpeg, *inputs, *kept, *changes, target)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_faithful_copy_passes(clips: Clips, suffix: str, tmp_path: Path) -> None:
    made = make(clips, clips.plain, tmp_path / f"out{suffix}")
    remux(clips, made, tmp_path / f"copy{suffix}")
    made.check(tmp_path / f"copy{suffix}")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("changes", "sound", "reason"),
    [
        (("-bsf:v", "noise=drop='eq(n,23)'"), (), "24 frames went in, 23 came out"),
        (("-bsf:v", "setts=pts='PTS+0.01/TB*eq(N,5)':dts=DTS"), (), "frame .* is at"),
        (("-bsf:v", "setts=pts='PTS+0.002/TB':dts='DTS+0.002/TB'"), (), "frame 0 is at"),
        ((), ("-itsoffset", "0.002"), "packet 0 of stream 1 .* is at"),
        ((), ("-itsoffset", "-0.1"), "stream 1"),
        (("-bsf:a", "setts=ts='TS+0.003/TB*gte(N,30)'"), (), "packet 30 of stream 1"),
        (("-bsf:a", "noise=drop='gte(pts*tb,0.5)'"), (), "stream 1 .* packets"),
        (("-bsf:a", "noise=drop='eq(n,20)'"), (), "stream 1 .* packets"),
        (("-bsf:v", f"{SAME}:duration='if(eq(N,23),0.2/TB,DURATION)'"), (), "the video lasts"),
        (("-an",), (), "2 streams went in, 1 came out"),
    ],
    ids=[
        "frame dropped", "frame moved", "video late", "sound late", "sound early", "sound drifts",
        "sound cut off", "sound with a hole", "last frame too long", "no sound",
    ],
)  # fmt: skip
def test_a_tampered_file_is_caught(
    clips: Clips,
    changes: tuple[str, ...],
    sound: tuple[str, ...],
    reason: str,
    suffix: str,
    tmp_path: Path,
) -> None:
    made = make(clips, clips.plain, tmp_path / f"out{suffix}")
    remux(clips, made, tmp_path / f"bad{suffix}", *changes, sound=sound)
    with pytest.raises(CheckError, match=reason) as raised:
        made.check(tmp_path / f"bad{suffix}")
    assert raised.value.exit_code == ExitCode.CHECK == 9


def test_a_file_that_fails_its_check_never_stays(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.plain)
    later = replace(Clock.of(info), frame_rate=Fraction(240))
    made = make(clips, clips.plain, tmp_path / "out.mp4", clock=later)
    made.result.path.unlink()
    wrong = [*made.joined.pts[:-1], made.joined.pts[-1] + 100]
    with pytest.raises(CheckError, match="frame 23"):
        mux(info, made.joined.segments, wrong, tmp_path / "out.mp4", ffmpeg=clips.ffmpeg)
    assert [path.suffix for path in tmp_path.iterdir()] == [".nut"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("time_base", "ticks"),
    [
        (Fraction(1, 60000), 1000),
        (Fraction(1, 25600), 427),
        (Fraction(1, 1000), 17),
        (Fraction(1, 25), 1),
        (Fraction(1001, 60000), 1),
        (Fraction(1, 90000), 1502),
        (Fraction(1, 2**31 - 1), 35_791_394),
        (Fraction(1, 2_000_000_000), 33_366_667),
    ],
)
def test_any_clock_is_kept(
    clips: Clips, time_base: Fraction, ticks: int, suffix: str, tmp_path: Path
) -> None:
    pts = [number * ticks for number in range(60)]
    clock = Clock(time_base, 1 / (ticks * time_base), end_pts=60 * ticks)
    made = make(clips, clips.plain, tmp_path / f"out{suffix}", clock=clock, pts=pts)
    found = video_times(made.result.path)
    half = HALF_MS if suffix == ".mkv" else 0
    assert all(abs(a - b * time_base) <= half for a, b in zip(found, pts, strict=True))
    check = made.result.check
    assert abs(check.duration_found_s - 60 * ticks * time_base) <= 4 * half
    assert check.audio[0].packets_in == check.audio[0].packets_out
    nominal = 1 / (ticks * time_base)
    assert abs(probe(made.result.path).frame_rate / nominal - 1) < Fraction(1, 1000)
    if suffix != ".mkv":
        assert probe(made.result.path).duration_s == pytest.approx(float(60 * ticks * time_base))


@pytest.mark.parametrize("rate", [Fraction(1, 10), Fraction(480), Fraction(1000)])
@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_rates_that_encoders_refuse(
    clips: Clips, codec: str, rate: Fraction, tmp_path: Path
) -> None:
    clock = Clock(1 / rate, rate)
    made = make(clips, clips.odd, tmp_path / "out.mkv", clock=clock, pts=range(6), codec=codec)
    found = video_times(made.result.path)
    assert all(abs(time - n / rate) <= HALF_MS for n, time in enumerate(found))


def test_irregular_times_end_where_the_header_says(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.plain)
    pts = list(np.cumsum([0, *([100, 900, 250] * 9)]))
    clock = replace(Clock.of(info), end_pts=int(pts[-1]) + 333)
    made = make(clips, clips.plain, tmp_path / "out.mp4", clock=clock, pts=[*map(int, pts)])
    after = probe(made.result.path)
    assert after.duration_pts is not None
    assert after.duration_pts * after.time_base == clock.end_pts * info.time_base
    still = replace(clock, end_pts=int(pts[-1]) + 12288 * 30)  # a last frame of half a minute
    long = make(clips, clips.plain, tmp_path / "long.mp4", clock=still, pts=[*map(int, pts)])
    assert long.result.check.duration_found_s == still.end_pts * info.time_base


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("origin", [".mp4", ".mkv"])
def test_ten_hours_stay_ten_hours(clips: Clips, origin: str, suffix: str, tmp_path: Path) -> None:
    source = ten_hours_late(clips, origin)
    info = probe(source)
    assert info.start_pts * info.time_base == 36000
    made = make(clips, source, tmp_path / f"out{suffix}")
    assert made.result.shift_s == 0
    before, after = packets_of(source), packets_of(made.result.path)
    for stream in (0, 1):
        slack = HALF_MS * (origin == ".mkv") * stream + HALF_MS * (suffix == ".mkv")
        worst = max(
            abs(a[0] - b[0])
            for a, b in zip(sorted(before[stream]), sorted(after[stream]), strict=True)
        )
        assert worst <= slack + Fraction(stream, 48000)
    if origin == suffix == ".mp4":
        assert max(time for time, _ in after[0]) * 90000 > 2**31


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_timestamps_far_beyond_31_bits(clips: Clips, suffix: str, tmp_path: Path) -> None:
    tick = Fraction(1, 2**31 - 1)
    first = 36000 * (2**31 - 1) + 12345
    pts = [first + 35_791_394 * number for number in range(24)]
    clock = Clock(tick, Fraction(60))
    made = make(clips, clips.plain, tmp_path / f"out{suffix}", clock=clock, pts=pts)
    found = video_times(made.result.path)
    half = HALF_MS if suffix == ".mkv" else 0
    assert all(abs(a - b * tick) <= half for a, b in zip(found, pts, strict=True))


def slow(clips: Clips, source: Path, output: Path, speed: Fraction, **options: object) -> Made:
    """The same frames, each shown longer."""
    info = probe(source)
    clock = replace(Clock.of(info), speed=speed)
    with Decoder(info, ffmpeg=clips.ffmpeg, **options.get("cut", {})) as decoder:  # type: ignore[attr-defined]
        times = [clock.output_time(frame.pts * info.time_base) for frame in decoder]
    pts = [round(time / info.time_base) for time in times]
    cut = options.pop("cut", {})
    interval = (cut.get("start"), cut.get("end"))  # type: ignore[attr-defined]
    return make(clips, source, output, clock=clock, pts=pts, interval=interval, **options)  # type: ignore[arg-type]


def beeps(path: Path) -> list[float]:
    """When each beep begins, in seconds."""
    times, levels = [], []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 48000)
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                level = np.abs(piece.to_ndarray()[0])
                assert frame.pts is not None
                times.append(float(frame.pts * frame.time_base) + np.arange(len(level)) / 48000)
                levels.append(level)
    level, time = np.concatenate(levels), np.concatenate(times)
    loud = time[level > 0.3 * level.max()]
    return [float(loud[0]), *map(float, loud[1:][np.diff(loud) > 0.15])]


def beeping(clips: Clips, name: str, *late: str) -> Path:
    """A clip of three seconds with a beep every half second and a quiet hum."""
    path = clips.folder / name
    if path.exists():
        return path
    wave = "0.8*sin(2*PI*880*t)*lt(mod(t,0.5),0.05)+0.05*sin(2*PI*200*t)"
    sound = ("-f", "lavfi", "-i", f"aevalsrc='{wave}':s=48000:d=3")
    video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac")
    return clips.make(name, *late, *sound, *video, source=clips.picture(frames=72))


@pytest.mark.parametrize("speed", [Fraction(1, 4), Fraction(1, 3), Fraction(4, 5)])
@pytest.mark.parametrize(
    ("suffix", "codec", "sound"),
    [(".mp4", "h264", "aac"), (".mkv", "h264", "flac"), (".webm", "av1", "opus")],
)
def test_stretched_sound_keeps_step_with_the_picture(
    clips: Clips, suffix: str, codec: str, sound: str, speed: Fraction, tmp_path: Path
) -> None:
    source = beeping(clips, "late-beeps.mp4", "-itsoffset", "0.35")
    output = tmp_path / f"out{suffix}"
    made = slow(clips, source, output, speed, audio="stretch", codec=codec)
    path = made.result.path
    assert [stream.codec for stream in probe(path).streams][1] in {sound, f"lib{sound}"}
    assert any("stretched" in warning for warning in made.result.warnings)
    before, after = beeps(source), beeps(path)
    assert len(before) == len(after) == 6
    errors = [b - a / float(speed) for a, b in zip(before, after, strict=True)]
    # atempo itself plays up to a block of 1/24 s early or late for each doubling.
    assert max(map(abs, errors)) < 0.04 * float(1 / speed - 1) + 0.02
    (found,) = made.result.check.audio
    assert found.stretched
    assert found.offset_in_s is not None
    assert found.offset_out_s is not None
    assert abs(found.offset_out_s * speed - found.offset_in_s) < Fraction(1, 20)


def test_stretched_sound_that_starts_first_delays_the_picture(clips: Clips, tmp_path: Path) -> None:
    source = early_sound(clips)
    made = slow(clips, source, tmp_path / "out.mp4", Fraction(1, 4), audio="stretch")
    before = video_times(source)[0]
    assert before > Fraction(3, 10)
    assert made.result.shift_s == -3 * before
    times = packets_of(made.result.path)
    assert min(time for time, _ in times[0]) == 4 * before
    assert -0.03 < float(times[1][0][0]) < 0.1


def test_a_slow_part_takes_its_own_sound(clips: Clips, tmp_path: Path) -> None:
    source = beeping(clips, "beeps.mp4")
    cut = {"start": Fraction(1), "end": Fraction(2)}
    made = slow(clips, source, tmp_path / "out.mp4", Fraction(1, 2), audio="stretch", cut=cut)
    assert probe(made.result.path).duration_s == pytest.approx(2, abs=0.05)
    found = beeps(made.result.path)
    assert found == pytest.approx([0, 1], abs=0.06)


def test_slow_motion_without_sound(clips: Clips, tmp_path: Path) -> None:
    made = slow(clips, clips.plain, tmp_path / "out.mp4", Fraction(1, 4), audio="drop")
    assert made.result.warnings == ()
    assert made.result.check.audio == ()
    assert [stream.kind for stream in probe(made.result.path).streams] == ["video"]
    assert video_times(made.result.path) == [4 * time for time in video_times(clips.plain)]
    assert probe(made.result.path).duration_s == 4


def test_slow_motion_beside_untouched_sound(clips: Clips, tmp_path: Path) -> None:
    made = slow(clips, clips.plain, tmp_path / "out.mkv", Fraction(1, 4))
    assert "keeps its own speed" in made.result.warnings[0]
    assert [p for _, p in packets_of(made.result.path)[1]] == [
        p for _, p in packets_of(clips.plain)[1]
    ]


def test_slow_motion_drops_what_has_times_and_keeps_the_rest(clips: Clips, tmp_path: Path) -> None:
    made = slow(clips, clips.rich, tmp_path / "out.mkv", Fraction(1, 2), audio="stretch")
    kinds = [stream.kind for stream in probe(made.result.path).streams]
    assert kinds == ["video", "audio", "audio", "attachment"]
    dropped = [warning for warning in made.result.warnings if "dropped" in warning]
    assert ["subtitle" in dropped[0], "chapters" in dropped[1]] == [True, True]
    with av.open(str(made.result.path)) as container:
        assert container.chapters() == []
        assert container.metadata["title"] == "Holiday"
        assert container.streams[2].metadata["title"] == "Commentary"
        assert container.streams[2].metadata["language"] == "fra"


def test_slow_motion_has_no_timecode(clips: Clips, tmp_path: Path) -> None:
    made = slow(clips, clips.timecode, tmp_path / "out.mov", Fraction(1, 2), audio="stretch")
    assert [stream.kind for stream in probe(made.result.path).streams] == ["video", "audio"]
    assert any("data" in warning for warning in made.result.warnings)


def test_slow_motion_keeps_cover_art(clips: Clips, tmp_path: Path) -> None:
    source, picture = clips.folder / "covered.mp4", sorted(clips.images.iterdir())[0]
    cover = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:2", "attached_pic")
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, "-i", picture, *cover, source)
    made = slow(clips, source, tmp_path / "out.mp4", Fraction(1, 2), audio="stretch")
    streams = probe(made.result.path).streams
    assert [stream.kind for stream in streams] == ["video", "audio", "video"]
    assert streams[2].dispositions == ("attached_pic",)


def test_the_sources_own_clock(clips: Clips) -> None:
    info = probe(clips.ntsc)
    clock = Clock.of(info)
    assert (clock.time_base, clock.frame_rate) == (info.time_base, info.frame_rate)
    assert (clock.speed, clock.end_pts) == (1, None)
    slower = replace(clock, speed=Fraction(1, 4), start=Fraction(2))
    assert slower.output_time(Fraction(3)) == 6
    assert slower.source_time(Fraction(6)) == 3
    assert slower.output_time(Fraction(2)) == 2
    assert len(decode_all(clips.ntsc, clips.ffmpeg)) == 24
