from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import Clips, decode_all
from vidrestore.containers.mux import MuxResult, mux, output_format, publish
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder, SegmentFile
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import CheckError, FfmpegError, OutputError, UsageError
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.probe import VideoInfo, probe

Packets = list[tuple[Fraction, str]]


def packets_of(path: Path) -> list[Packets]:
    """For every stream: time in seconds and hash of each packet."""
    with av.open(str(path)) as container:
        streams: list[Packets] = [[] for _ in container.streams]
        for packet in container.demux():
            if packet.size and packet.pts is not None and packet.time_base is not None:
                content = bytes(packet)
                if content[:2] == b"\xff\xf1":  # MPEG-TS's own header, which MP4 and MKV drop
                    content = content[7:]
                digest = hashlib.md5(content).hexdigest()
                streams[packet.stream.index].append((packet.pts * packet.time_base, digest))
        return streams


def video_times(path: Path) -> list[Fraction]:
    info = probe(path)
    return sorted(time for time, _ in packets_of(path)[info.stream_index])


def restore_nothing(
    source: Path,
    output: Path,
    clips: Clips,
    *,
    codec: str = "h264",
    lengths: Sequence[int] = (5, 9),
    start: int | Fraction | None = None,
    end: int | Fraction | None = None,
) -> MuxResult:
    """Decode, encode in segments of the lengths given (the last takes the rest), mux, publish."""
    info = probe(source)
    settings = EncodeSettings(codec, preset={"ffv1": None, "av1": "10"}.get(codec, "veryfast"))
    with Decoder(info, ffmpeg=clips.ffmpeg, start=start, end=end) as decoder:
        frames = list(decoder)
    edges = [0, *(int(n) for n in np.cumsum(lengths) if n < len(frames)), len(frames)]
    segments = [
        write_segment(info, frames[a:b], output.with_suffix(f".{a}.nut"), clips, settings)
        for a, b in itertools.pairwise(edges)
    ]
    result = mux(
        info,
        segments,
        [frame.pts for frame in frames],
        output,
        ffmpeg=clips.ffmpeg,
        trim=start is not None or end is not None,
    )
    publish(result.path, output, overwrite=False)
    return result


def write_segment(
    info: VideoInfo, frames: list[Frame], path: Path, clips: Clips, settings: EncodeSettings
) -> SegmentFile:
    with SegmentEncoder(plan_encoding(info, settings, clips.ffmpeg), path) as encoder:
        for frame in frames:
            encoder.write(frame)
        return encoder.close()


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("clip", ["plain", "vfr", "ntsc"])
def test_mp4_keeps_every_timestamp_exactly(
    clips: Clips, clip: str, codec: str, tmp_path: Path
) -> None:
    source, output = getattr(clips, clip), tmp_path / "out.mp4"
    result = restore_nothing(source, output, clips, codec=codec)
    assert result.frames == 24
    assert result.warnings == ()
    assert video_times(output) == video_times(source)
    assert packets_of(output)[1] == packets_of(source)[1]


def test_the_first_sound_of_the_mp4_really_lies_before_zero(clips: Clips) -> None:
    assert packets_of(clips.plain)[1][0][0] < 0
    assert packets_of(clips.ntsc)[1][0][0] > Fraction(3, 10)


@pytest.mark.parametrize("clip", ["plain", "vfr", "ntsc"])
def test_matroska_keeps_timestamps_to_half_a_tick(clips: Clips, clip: str, tmp_path: Path) -> None:
    source, output = getattr(clips, clip), tmp_path / "out.mkv"
    restore_nothing(source, output, clips)
    half = Fraction(1, 2000)
    for found, wanted in zip(video_times(output), video_times(source), strict=True):
        assert abs(found - wanted) <= half
    for sound, original in zip(packets_of(output)[1], packets_of(source)[1], strict=True):
        assert abs(sound[0] - original[0]) <= half
        assert sound[1] == original[1]


def test_decode_times_are_those_of_an_unsegmented_encode(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    restore_nothing(clips.plain, output, clips)
    with av.open(str(output)) as container:
        tick = container.streams.video[0].time_base
        decode = [packet.dts for packet in container.demux(video=0) if packet.size]
    assert tick == Fraction(1, 12288)
    assert decode == [512 * number for number in range(-2, 22)]


def test_the_length_of_the_video_stays(clips: Clips, tmp_path: Path) -> None:
    for clip in (clips.plain, clips.ntsc):
        output = tmp_path / f"{clip.stem}.mp4"
        restore_nothing(clip, output, clips, codec="h264")
        assert probe(output).duration_pts == probe(clip).duration_pts


@pytest.mark.parametrize("frames", [1, 2])
def test_one_and_two_frames(clips: Clips, frames: int, tmp_path: Path) -> None:
    source = clips.make(f"{frames}.mp4", "-c:v", "libx264", source=clips.picture(frames=frames))
    output = tmp_path / "out.mp4"
    restore_nothing(source, output, clips)
    assert video_times(output) == video_times(source)
    assert probe(output).duration_s == probe(source).duration_s


def test_joined_segments_decode_to_what_the_segments_hold(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    restore_nothing(clips.vfr, output, clips, codec="hevc", lengths=(7, 1, 10))
    found = decode_all(output, clips.ffmpeg)
    position = 0
    for path in sorted(tmp_path.glob("*.nut"), key=lambda path: int(path.suffixes[-2][1:])):
        for frame in decode_all(path, clips.ffmpeg):
            for left, right in zip(frame.planes, found[position].planes, strict=True):
                np.testing.assert_array_equal(left, right)
            position += 1
    assert position == len(found) == 24


def test_matroska_carries_everything(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    result = restore_nothing(clips.rich, output, clips, codec="ffv1")
    assert result.warnings == ()
    source, made = probe(clips.rich), probe(output)
    assert [replace(stream, codec=None) for stream in made.streams] == [
        replace(stream, codec=None) for stream in source.streams
    ]
    assert packets_of(output)[1:] == packets_of(clips.rich)[1:]
    with av.open(str(output)) as after, av.open(str(clips.rich)) as before:
        chapters = [(c["start"], c["end"], c["metadata"]) for c in after.chapters()]
        assert chapters == [(c["start"], c["end"], c["metadata"]) for c in before.chapters()]
        assert len(chapters) == 2
        assert after.metadata["title"] == "Holiday"
        assert after.streams[2].metadata["title"] == "Commentary"
        assert after.streams[4].metadata["filename"] == "letters.ttf"
        letters = [file.streams[4].data for file in (after, before)]  # type: ignore[attr-defined]
        assert letters[0] == letters[1] == bytes(range(256)) * 4
        assert "Lavc" not in after.streams[0].metadata.get("ENCODER", "")


def test_mp4_converts_text_and_announces_what_it_drops(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    result = restore_nothing(clips.rich, output, clips)
    assert len(result.warnings) == 2
    assert "converted to mov_text" in result.warnings[0]
    assert "attachment" in result.warnings[1]
    assert "dropped" in result.warnings[1]
    kinds = [(stream.kind, stream.codec) for stream in probe(output).streams[:4]]
    assert kinds[1:] == [("audio", "aac"), ("audio", "aac"), ("subtitle", "mov_text")]
    with av.open(str(output)) as container:
        lines = [bytes(p)[2:].decode() for p in container.demux(subtitles=0) if p.size > 2]
        assert lines == ["first line", "second line"]
        assert len(container.chapters()) == 2
        assert container.streams[2].language == "fra"


def test_chapters_of_a_whole_film_are_not_given_to_a_part(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    result = restore_nothing(clips.rich, output, clips, start=Fraction(1, 4))
    assert [loss.subject for loss in result.losses] == ["chapters"]
    with av.open(str(output)) as container:
        assert not container.chapters()


def test_text_subtitles_of_mp4_go_to_matroska(clips: Clips, tmp_path: Path) -> None:
    restore_nothing(clips.rich, tmp_path / "first.mp4", clips)
    result = restore_nothing(tmp_path / "first.mp4", tmp_path / "second.mkv", clips)
    streams = probe(tmp_path / "second.mkv").streams
    assert [stream.kind for stream in streams] == ["video", "audio", "audio", "subtitle"]
    assert all("converted" in warning for warning in result.warnings), result.warnings


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_streams_keep_their_order(clips: Clips, suffix: str, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    restore_nothing(clips.sound_first, output, clips)
    streams = probe(output).streams
    assert [(stream.kind, stream.language) for stream in streams] == [
        (stream.kind, stream.language if suffix == ".mp4" or stream.kind == "audio" else None)
        for stream in probe(clips.sound_first).streams
    ]
    assert streams[0].language == "jpn"


def test_a_timecode_track_stays_in_mov(clips: Clips, tmp_path: Path) -> None:
    result = restore_nothing(clips.timecode, tmp_path / "out.mov", clips)
    assert result.warnings == ()
    assert packets_of(tmp_path / "out.mov")[1:] == packets_of(clips.timecode)[1:]
    assert [stream.kind for stream in probe(tmp_path / "out.mov").streams] == [
        "video", "audio", "data",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("clip", ["rotated", "mirrored"])
def test_orientation_stays(clips: Clips, clip: str, suffix: str, tmp_path: Path) -> None:
    source, output = getattr(clips, clip), tmp_path / f"out{suffix}"
    restore_nothing(source, output, clips)
    before, after = probe(source), probe(output)
    assert (after.rotation_deg, after.mirrored) == (before.rotation_deg, before.mirrored)
    assert (after.width, after.height) == (before.width, before.height)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "h264"),
        (".mkv", "ffv1"),
        (".mp4", "ffv1"),
        (".mp4", "av1"),
        (".mov", "hevc"),
        (".webm", "av1"),
    ],
)
def test_shape_and_colour_tags_stay(clips: Clips, suffix: str, codec: str, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    restore_nothing(clips.anamorphic, output, clips, codec=codec)
    before, after = probe(clips.anamorphic), probe(output)
    assert after.sar == before.sar == Fraction(4, 3)
    assert before.colour.primaries == "bt709"
    assert replace(after.colour, chroma_location=None) == replace(
        before.colour, chroma_location=None
    )
    if codec in {"h264", "hevc"} or suffix == ".mkv":  # elsewhere there is no place for it
        assert after.colour.chroma_location == "left"


def test_a_broadcast_clock_becomes_zero(clips: Clips, tmp_path: Path) -> None:
    source = packets_of(clips.broadcast)
    first = min(time for stream in source for time, _ in stream)
    assert first > 3600
    for suffix, tolerance in ((".mp4", Fraction(1, 90000)), (".mkv", Fraction(1, 1000))):
        output = tmp_path / f"out{suffix}"
        result = restore_nothing(clips.broadcast, output, clips)
        assert abs(result.shift_s - first) <= tolerance
        for stream in (0, 1):
            found = sorted(time for time, _ in packets_of(output)[stream])
            wanted = sorted(time - result.shift_s for time, _ in source[stream])
            worst = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
            assert packets_of(output)[1][7][1] == source[1][7][1]
            assert worst <= tolerance / 2 + (stream == 1) * tolerance
        assert packets_of(output)[0][0][0] >= 0


@pytest.mark.parametrize("clip", ["ntsc", "broadcast", "rich"])
def test_a_trimmed_part_begins_at_zero_with_its_sound_in_step(
    clips: Clips, clip: str, tmp_path: Path
) -> None:
    source, output = getattr(clips, clip), tmp_path / "out.mp4"
    times = video_times(source)
    restore_nothing(source, output, clips, start=Fraction(1, 4), end=Fraction(3, 4))
    info = probe(source)
    begin = next(t for t in times if t - times[0] >= Fraction(1, 4))
    kept = [t for t in times if begin <= t and t - times[0] < Fraction(3, 4)]
    result_times = video_times(output)
    assert len(result_times) == len(kept) > 5
    shift = kept[0] - result_times[0]
    tick = probe(output).time_base
    assert all(abs(a - shift - b) <= tick for a, b in zip(kept, result_times, strict=True))
    expected = [
        (time - shift, digest)
        for time, digest in packets_of(source)[1]
        if begin <= time < kept[-1] + 1 / info.frame_rate
    ]
    found = packets_of(output)[1]
    assert [digest for _, digest in found] == [digest for _, digest in expected]
    assert len(found) > 10
    assert all(
        abs(a - b) <= Fraction(1, 2000) for (a, _), (b, _) in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "clip", ["truncated", "truncated_mkv", "truncated_ts", "odd", "interlaced"]
)
def test_damaged_and_unusual_sources_are_muxed(
    clips: Clips, clip: str, suffix: str, tmp_path: Path
) -> None:
    source = getattr(clips, clip)
    result = restore_nothing(source, tmp_path / f"out{suffix}", clips)
    assert result.frames == len(decode_all(source, clips.ffmpeg))


def test_images_become_a_video(clips: Clips, tmp_path: Path) -> None:
    restore_nothing(clips.images, tmp_path / "out.mp4", clips)
    assert video_times(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(8)]


def test_awkward_names(clips: Clips, tmp_path: Path) -> None:
    source = tmp_path / "-i %03d 'x':y,[z].mp4"
    source.write_bytes(clips.plain.read_bytes())
    output = tmp_path / "-y %d;$(x).mkv"
    restore_nothing(source, output, clips)
    assert probe(output).frames == 24


def test_an_unfit_suffix_or_codec_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match=r"cannot write \.txt"):
        output_format(Path("out.txt"), "h264")
    with pytest.raises(UsageError, match="cannot write a file without suffix"):
        output_format(Path("out"), "h264")
    with pytest.raises(UsageError, match="webm cannot hold h264"):
        output_format(Path("out.webm"), "h264")
    with pytest.raises(UsageError, match="mp4 cannot hold prores"):
        output_format(Path("out.mp4"), "prores")
    assert output_format(Path("OUT.MKV"), "prores") == "matroska"


def test_a_lost_frame_is_noticed(clips: Clips, tmp_path: Path) -> None:
    info, frames = probe(clips.plain), decode_all(clips.plain, clips.ffmpeg)
    segment = write_segment(info, frames, tmp_path / "s.nut", clips, EncodeSettings())
    pts = [frame.pts for frame in frames]
    with pytest.raises(CheckError, match="24 frames, the plan 23"):
        mux(info, [segment], pts[:-1], tmp_path / "out.mp4", ffmpeg=clips.ffmpeg)
    moved = [*pts[:-1], pts[-1] + 7]
    with pytest.raises(CheckError, match="frame 23 is at"):
        mux(info, [segment], moved, tmp_path / "out.mp4", ffmpeg=clips.ffmpeg)
    assert [path.name for path in tmp_path.iterdir()] == ["s.nut"]


def test_segments_of_different_parameters_are_refused(clips: Clips, tmp_path: Path) -> None:
    info, frames = probe(clips.plain), decode_all(clips.plain, clips.ffmpeg)
    one = write_segment(info, frames[:9], tmp_path / "1.nut", clips, EncodeSettings())
    fast = EncodeSettings(preset="ultrafast")
    two = write_segment(info, frames[9:], tmp_path / "2.nut", clips, fast)
    with pytest.raises(CheckError, match="other parameters"):
        mux(info, [one, two], [f.pts for f in frames], tmp_path / "out.mp4", ffmpeg=clips.ffmpeg)


def test_a_failing_mux_leaves_nothing(clips: Clips, tmp_path: Path) -> None:
    info, frames = probe(clips.plain), decode_all(clips.plain, clips.ffmpeg)
    segment = write_segment(info, frames, tmp_path / "s.nut", clips, EncodeSettings())
    output = tmp_path / "nowhere" / "out.mp4"
    with pytest.raises((FfmpegError, OutputError), match="No such file"):
        mux(info, [segment], [f.pts for f in frames], output, ffmpeg=clips.ffmpeg)
    assert [path.name for path in tmp_path.iterdir()] == ["s.nut"]


def test_a_damaged_segment_is_no_crash(clips: Clips, tmp_path: Path) -> None:
    info, frames = probe(clips.plain), decode_all(clips.plain, clips.ffmpeg)
    segment = write_segment(info, frames, tmp_path / "s.nut", clips, EncodeSettings())
    content = segment.path.read_bytes()
    segment.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckError):
        mux(info, [segment], [f.pts for f in frames], tmp_path / "out.mp4", ffmpeg=clips.ffmpeg)
    assert [path.name for path in tmp_path.iterdir()] == ["s.nut"]


def test_publishing_never_replaces_unasked(tmp_path: Path) -> None:
    temporary, output = tmp_path / ".out.partial.mp4", tmp_path / "out.mp4"
    temporary.write_bytes(b"new")
    output.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        publish(temporary, output, overwrite=False)
    assert output.read_bytes() == b"old"
    publish(temporary, output, overwrite=True)
    assert output.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    temporary.write_bytes(b"other")
    output.unlink()
    publish(temporary, output, overwrite=False)
    assert output.read_bytes() == b"other"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
