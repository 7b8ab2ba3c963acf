"""`vidrestore degrade`: frames are degraded as stated, and all else stays as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Clips, chosen_ffmpeg, decode_all
from vidrestore.cli import main
from vidrestore.containers.metadata import read_tags
from vidrestore.degrade import GaussianNoise, LostFrames, parse
from vidrestore.errors import OutputError, UsageError
from vidrestore.measure.compare import RgbReader
from vidrestore.media.decode import Frame
from vidrestore.media.probe import probe
from vidrestore.media.tracks import read_tracks
from vidrestore.picture.convert import FrameConverter
from vidrestore.runs.testclip import BLOCK_FRAMES, DegradeSettings, Spoiler, degrade_video


def degraded(source: Path, output: Path, spec: str, **more: object) -> Path:
    degrade_video(source, output, DegradeSettings(parse(spec), **more))  # type: ignore[arg-type]
    return output


def rgb(path: Path, ffmpeg: str) -> np.ndarray:
    reader = RgbReader(path, ffmpeg)
    return np.stack([reader.rgb(frame, clamp=False) for frame in reader.frames()])


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    return int(exit_info.value.code or 0)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_timestamps_and_streams_stay(clips: Clips, tmp_path: Path, suffix: str) -> None:
    source = clips.vfr
    output = degraded(source, tmp_path / f"out.{suffix}", "grain:8,blur:motion=2-4")
    before, after = (decode_all(path, clips.ffmpeg) for path in (source, output))
    old, new = probe(source), probe(output)
    assert [s.codec for s in new.streams if s.kind == "audio"] == ["aac"]
    assert new.pix_fmt == old.pix_fmt
    assert new.colour == old.colour
    tick = float(new.time_base)  # Matroska counts milliseconds
    np.testing.assert_allclose(
        [frame.pts * float(new.time_base) for frame in after],
        [frame.pts * float(old.time_base) for frame in before],
        atol=0.51 * tick + 1e-9,
    )
    packets = [len(track.pts) for path in (source, output) for track in sound(path)]
    assert packets[0] == packets[1] > 10


def sound(path: Path) -> list:
    return [
        track
        for track, stream in zip(read_tracks(*probe(path).source), probe(path).streams, strict=True)
        if stream.kind == "audio"
    ]


def test_a_video_is_degraded_as_a_clip_in_memory_is(clips: Clips, tmp_path: Path) -> None:
    source = clips.lossless("gbrp")  # full resolution in all channels, so nothing is averaged
    spec = "blur:frames=3,corrupt:40,awgn8:9"
    whole, _ = parse(spec).apply(rgb(source, clips.ffmpeg), seed=4)
    output = degraded(source, tmp_path / "out.mkv", spec, seed=4)
    assert len(whole) > BLOCK_FRAMES  # more than one block
    np.testing.assert_allclose(rgb(output, clips.ffmpeg), whole, atol=0.51 / 255)


def test_frames_pass_through_in_small_blocks(clips: Clips) -> None:
    source = decode_all(clips.plain, clips.ffmpeg)
    pulled = 0

    def counted() -> Iterator[Frame]:
        nonlocal pulled
        for frame in source:
            pulled += 1
            yield frame

    spoiler = Spoiler(FrameConverter(probe(clips.plain)), parse("blur:frames=3,awgn:5"), 0)
    for done, _ in spoiler.frames(counted()):
        assert pulled <= done + BLOCK_FRAMES + 1
    assert spoiler.seen == pulled == 24


@pytest.mark.parametrize("which", ["bundled", "old"])
def test_either_ffmpeg_will_do(clips: Clips, tmp_path: Path, which: str) -> None:
    ffmpeg = chosen_ffmpeg(which, clips.ffmpeg)
    for spec in ("x264:30,drop:2", "grain:5,gap:2"):
        output = tmp_path / f"{spec[:4]}.mkv"
        result = degrade_video(clips.plain, output, DegradeSettings(parse(spec), ffmpeg=ffmpeg))
        assert len(decode_all(output, clips.ffmpeg)) == 24 - len(result.missing) < 24


def test_lossless_is_lossless(clips: Clips, tmp_path: Path) -> None:
    settings = DegradeSettings(GaussianNoise(0))
    for name in ("out.mkv", "out.mp4"):
        result = degrade_video(clips.plain, tmp_path / name, settings)
        assert result.lossless
        for old, new in zip(
            *(decode_all(path, clips.ffmpeg) for path in (clips.plain, result.output)), strict=True
        ):
            for plane, kept in zip(old.planes, new.planes, strict=True):
                np.testing.assert_array_equal(plane, kept)


def test_noise_of_a_file_is_as_strong_as_stated(clips: Clips, tmp_path: Path) -> None:
    source = clips.lossless("yuv444p10le")
    output = degraded(source, tmp_path / "out.mkv", "awgn:4")
    change = rgb(output, clips.ffmpeg) - rgb(source, clips.ffmpeg)
    assert change.std() * 255 == pytest.approx(4, rel=0.05)
    assert probe(output).bit_depth == 10


def test_dropped_frames_are_really_missing(clips: Clips, tmp_path: Path) -> None:
    result = degrade_video(
        clips.plain, tmp_path / "out.mp4", DegradeSettings(parse("drop:3,lose:30"), seed=2)
    )
    lost = LostFrames(30).known(24, seed=2)
    kept = np.flatnonzero(lost & (np.arange(24) % 3 == 0)).tolist()
    source = decode_all(clips.plain, clips.ffmpeg)
    frames = decode_all(result.output, clips.ffmpeg)
    info, old = probe(result.output), probe(clips.plain)
    assert [frame.pts * info.time_base for frame in frames] == [
        source[index].pts * old.time_base for index in kept
    ]
    assert sorted({*kept, *result.missing}) == list(range(24))
    assert 3 < len(kept) < 8


def test_held_frames_are_the_same_planes_again(clips: Clips, tmp_path: Path) -> None:
    result = degrade_video(
        clips.plain, tmp_path / "out.mkv", DegradeSettings(parse("awgn:10,freeze:3"))
    )
    assert result.held == (5, 6, 7, 15, 16, 17)
    frames = decode_all(result.output, clips.ffmpeg)
    same = [
        index
        for index in range(1, 24)
        if all(
            np.array_equal(a, b)
            for a, b in zip(frames[index].planes, frames[index - 1].planes, strict=True)
        )
    ]
    assert tuple(same) == result.held


@pytest.mark.parametrize(
    ("spec", "codec"), [("x264:35", "h264"), ("x265:35", "hevc"), ("mpeg2:12", "mpeg2video")]
)
def test_an_encoder_of_the_spec_writes_the_file(
    clips: Clips, tmp_path: Path, spec: str, codec: str
) -> None:
    result = degrade_video(
        clips.plain, tmp_path / "out.mkv", DegradeSettings(parse(f"{spec},awgn:5"))
    )
    assert probe(result.output).codec == codec
    assert not result.lossless
    assert str(spec.partition(":")[2]) in result.options.values()
    assert len(decode_all(result.output, clips.ffmpeg)) == 24


def test_the_comment_and_the_document_say_what_was_done(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("out.mkv", "out.mp4", "out.mov"):
        output = tmp_path / name
        assert run("degrade", clips.plain, "-o", output, "--with", "drop:2,awgn8:9", "--seed", 7,
                   "--json") == 0  # fmt: skip
        document = json.loads(capsys.readouterr().out)
        assert document["schema"] == "vidrestore.degrade/1"
        assert document["degradation"] == "awgn8:9,drop:2"
        assert document["seed"] == 7
        assert document["output"]["frames"] == 12
        assert document["missing_frames"] == list(range(1, 24, 2))
        assert document["warnings"] == []
        tags = read_tags(*probe(output).source)
        assert tags.whole["comment"] == document["output"]["comment"]
        assert "awgn8:9,drop:2; seed 7" in tags.whole["comment"]


def test_a_comment_of_the_source_stays(clips: Clips, tmp_path: Path) -> None:
    made = tmp_path / "in.mp4"
    picture = ("-c:v", "libx264", "-metadata", "comment=by hand")
    Clips(tmp_path, clips.ffmpeg).make(made.name, *picture, source=clips.picture(frames=3))
    for name in ("out.mkv", "out.mp4"):
        result = degrade_video(made, tmp_path / name, DegradeSettings(parse("awgn:3")))
        said = read_tags(*probe(tmp_path / name).source).whole["comment"]
        assert said == f"by hand; {result.comment}"
        assert result.warnings == ()


def test_images_go_in_and_out(clips: Clips, tmp_path: Path) -> None:
    output = degraded(clips.images, tmp_path / "out" / "%04d.png", "blur:defocus=2")
    assert len(list(output.parent.iterdir())) == 8


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--with", "agwn:25"], 2, "awgn:SIGMA"),
        (["--with", "x264:30,x265:30"], 2, "degrade twice"),
        (["--with", "x264:30", "--crf", "20"], 2, "contradict"),
        (["--with", "awgn:5", "--codec", "vp7"], 2, "unknown codec vp7"),
    ],
)
def test_what_cannot_be_is_one_line(
    clips: Clips,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    assert run("degrade", clips.plain, "-o", tmp_path / "out.mp4", *arguments) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_frames_without_times_cannot_be_missing(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no timestamps"):
        degraded(clips.plain, tmp_path / "out.y4m", "drop:2")
    assert list(tmp_path.iterdir()) == []


def test_mpeg2_says_what_it_cannot_do(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mpeg2:8 cannot encode") as caught:
        degraded(clips.vfr, tmp_path / "out.mkv", "mpeg2:8")
    assert "frame rates" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_is_left_behind(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    output.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        degraded(clips.plain, output, "awgn:5")
    assert output.read_text() == "mine"
    degraded(clips.plain, output, "awgn:5", overwrite=True)
    assert probe(output).frames == 24
    with pytest.raises(UsageError, match="is the input"):
        degraded(output, output, "awgn:5", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_work_that_is_unfinished_is_not_thrown_away(clips: Clips, tmp_path: Path) -> None:
    journal = tmp_path / "out.mkv.vidrestore" / "journal.jsonl"
    journal.parent.mkdir()
    journal.write_text("{}")
    with pytest.raises(OutputError, match="unfinished"):
        degraded(clips.plain, tmp_path / "out.mkv", "awgn:5")
    assert journal.exists()
    journal.unlink()
    (journal.parent / "segment-degraded.nut").write_bytes(b"cut off")
    output = degraded(clips.plain, tmp_path / "out.mkv", "awgn:5")
    assert list(tmp_path.iterdir()) == [output]
