from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from tests.conftest import Clips, run_ffmpeg
from vidrestore.errors import InputError, UsageError
from vidrestore.media.probe import probe
from vidrestore.media.tags import ColourTags


def test_a_plain_file(clips: Clips) -> None:
    info = probe(clips.plain)
    assert (info.codec, info.width, info.height, info.frames) == ("h264", 96, 64, 24)
    assert (info.pix_fmt, info.plane_format, info.bit_depth) == ("yuv420p", "yuv420p", 8)
    assert info.chroma_shift == (1, 1)
    assert info.plane_shapes == ((64, 96), (32, 48), (32, 48))
    assert info.colour == ColourTags("tv", "bt709", "bt709", "bt709", "left")
    assert (info.frame_rate, info.time_base) == (Fraction(24), Fraction(1, 12288))
    assert info.start_pts == 0
    assert info.duration_s == 1.0
    assert [stream.kind for stream in info.streams] == ["video", "audio"]
    assert info.streams[1].sample_rate_hz == 48000
    assert not info.interlaced
    assert (info.rotation_deg, info.mirrored) == (0, False)


def test_ten_bit_and_chroma_siting(clips: Clips) -> None:
    info = probe(clips.ten_bit)
    assert (info.plane_format, info.bit_depth) == ("yuv420p10le", 10)
    assert info.colour.chroma_location == "topleft"


def test_full_range(clips: Clips) -> None:
    info = probe(clips.full_range)
    assert (info.pix_fmt, info.plane_format) == ("yuvj420p", "yuv420p")
    assert (info.colour.range, info.colour.chroma_location) == ("pc", "center")


def test_odd_size_rounds_chroma_up(clips: Clips) -> None:
    assert probe(clips.odd).plane_shapes == ((35, 67), (18, 34), (18, 34))


@pytest.mark.parametrize(
    ("native", "planes", "depth"),
    [
        ("nv12", "yuv420p", 8),
        ("yuyv422", "yuv422p", 8),
        ("gray16be", "gray16le", 16),
        ("rgb24", "gbrp", 8),
        ("rgba", "gbrap", 8),
        ("rgba64le", "gbrap16le", 16),
        ("yuva420p", "yuva420p", 8),
        ("yuva444p10le", "yuva444p10le", 10),
        ("ya8", "ya8", 8),
        ("yuv411p", "yuv411p", 8),
        ("yuv422p12le", "yuv422p12le", 12),
    ],
)
def test_planes_of_equal_depth(clips: Clips, native: str, planes: str, depth: int) -> None:
    info = probe(clips.raw(native))
    assert (info.plane_format, info.bit_depth) == (planes, depth)


def test_orientation_shape_and_fields(clips: Clips) -> None:
    assert (probe(clips.rotated).rotation_deg, probe(clips.rotated).mirrored) == (90, False)
    assert (probe(clips.mirrored).rotation_deg, probe(clips.mirrored).mirrored) == (90, True)
    assert probe(clips.anamorphic).sar == Fraction(4, 3)
    assert probe(clips.interlaced).field_order == "bff"


def test_every_stream_is_listed(clips: Clips) -> None:
    streams = probe(clips.rich).streams
    kinds = [stream.kind for stream in streams]
    assert kinds == ["video", "audio", "audio", "subtitle", "attachment"]
    assert [stream.language for stream in streams[1:4]] == ["eng", "fra", "deu"]
    assert "forced" in streams[3].dispositions


def test_matroska_counts_frames_by_the_video_not_by_the_longest_stream(
    clips: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "long-sound.mkv"
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, *clips.tone(3), "-map", "0:v", "-map", "1", path)
    assert probe(path).frames == 24


def test_a_folder_of_images_is_a_clip(clips: Clips) -> None:
    info = probe(clips.images, Fraction(30000, 1001))
    assert (info.frames, info.image_start) == (8, 5)
    assert (info.plane_format, info.frame_rate) == ("gbrp", Fraction(30000, 1001))
    assert probe(clips.images).frame_rate == 25


@pytest.mark.parametrize(
    ("clip", "cause"),
    [
        ("text", "cannot be read as a video"),
        ("audio_only", "no video stream"),
        ("empty", "zero bytes"),
        ("without_index", "cannot be read as a video"),
    ],
)
def test_what_is_no_video_is_refused(clips: Clips, clip: str, cause: str) -> None:
    with pytest.raises(InputError, match=cause) as raised:
        probe(getattr(clips, clip))
    assert raised.value.hint
    assert "\n" not in str(raised.value)


def test_hints_tell_a_text_from_a_file_without_index(clips: Clips) -> None:
    with pytest.raises(InputError) as text:
        probe(clips.text)
    assert "text" in str(text.value.hint)
    with pytest.raises(InputError) as cut:
        probe(clips.without_index)
    assert "moov" in str(cut.value.hint)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        probe(tmp_path / "nothing.mp4")


def test_a_cover_picture_is_no_video(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    cover = tmp_path / "cover.png"
    run_ffmpeg(clips.ffmpeg, *clips.picture(frames=1), cover)
    copied = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic")
    run_ffmpeg(clips.ffmpeg, "-i", clips.audio_only, "-i", cover, *copied, "-f", "mp4", path)
    with pytest.raises(InputError, match="no video stream"):
        probe(path)


def test_playlists_are_refused(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {clips.plain}\n")
    with pytest.raises(InputError):
        probe(path)


def test_folders_that_are_no_clip(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no numbered images"):
        probe(tmp_path)
    shutil.copy(clips.plain, tmp_path / "1.mp4")
    with pytest.raises(UsageError) as raised:
        probe(tmp_path)
    assert "batch" in str(raised.value.hint)


def test_a_gap_in_the_images_is_named(clips: Clips, tmp_path: Path) -> None:
    for image in clips.images.iterdir():
        shutil.copy(image, tmp_path / image.name)
    (tmp_path / "shot_0008.png").unlink()
    with pytest.raises(InputError, match=r"shot_0008\.png"):
        probe(tmp_path)


def test_unpadded_numbers(clips: Clips, tmp_path: Path) -> None:
    for number, image in enumerate(sorted(clips.images.iterdir()), start=8):
        shutil.copy(image, tmp_path / f"{number}.png")
    info = probe(tmp_path)
    assert (info.frames, info.image_start, info.image_pattern) == (8, 8, "%d.png")
