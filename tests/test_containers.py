"""Everything in a container besides the picture, and outputs that hold nothing but frames."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import media
from tests.conftest import Clips, chosen_ffmpeg, decode_all
from tests.test_mux import packets_of, restore_nothing
from vidrestore.containers.metadata import read_tags, same_text
from vidrestore.containers.mux import MuxResult, output_format, suggest_output
from vidrestore.containers.sequence import check_numbered
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import ExitCode, OutputError, UsageError
from vidrestore.losses import Loss
from vidrestore.media.atoms import add_tags, set_languages
from vidrestore.media.probe import probe
from vidrestore.media.timeline import Retiming
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings


@pytest.fixture(params=["bundled", "system"])
def muxer(request: pytest.FixtureRequest, clips: Clips) -> Clips:
    """The same clips, handled by the bundled ffmpeg and by the system's."""
    chosen = chosen_ffmpeg(request.param, clips.ffmpeg)
    return clips if chosen == clips.ffmpeg else replace(clips, ffmpeg=chosen)  # with its clips made


def carried(
    source: Callable[[Clips], Path], clips: Clips, muxer: Clips, output: Path
) -> tuple[Path, MuxResult]:
    """A source made by the bundled ffmpeg and its restoration by `muxer`."""
    path = source(clips)
    codec = {".mkv": "ffv1", ".webm": "av1"}.get(output.suffix, "h264")
    return path, restore_nothing(path, output, muxer, codec=codec)


def subjects(result: MuxResult) -> set[str]:
    return {loss.subject for loss in result.losses}


def text_of(path: Path) -> list[str]:
    """The words of the first text subtitle."""
    words = []
    with av.open(str(path)) as container:
        for packet in container.demux(subtitles=0):
            for rect in packet.decode():
                text = rect.ass.decode().split(",", 8)[-1]  # type: ignore[attr-defined]
                words.append(re.sub(r"\{[^}]*\}", "", text))
    return [line for line in words if line]


def picture_of(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(video=1))


def attachments(path: Path) -> dict[str, bytes]:
    with av.open(str(path)) as container:
        return {s.name or "": s.data for s in container.streams if s.type == "attachment"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_phone_keeps_its_place_time_and_make(
    clips: Clips, muxer: Clips, suffix: str, tmp_path: Path
) -> None:
    source, result = carried(media.phone, clips, muxer, tmp_path / f"out{suffix}")
    before, after = (read_tags(str(path), {}).whole for path in (source, tmp_path / f"out{suffix}"))
    wanted = {key: value for key, value in before.items() if key.startswith("com.apple")}
    assert len(wanted) == 4
    assert {key: after.get(key) for key in wanted} == wanted
    assert same_text(after["creation_time"], before["creation_time"])
    assert subjects(result) == (set() if muxer is clips else {"rotation"})


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_all_eight_orientations(
    clips: Clips, rotation_deg: int, mirrored: bool, suffix: str, tmp_path: Path
) -> None:
    source = media.turned(clips, rotation_deg, mirrored=mirrored)
    restore_nothing(source, tmp_path / f"out{suffix}", clips)
    before, after = probe(source), probe(tmp_path / f"out{suffix}")
    assert (before.rotation_deg, before.mirrored) == (rotation_deg, mirrored)
    assert (after.rotation_deg, after.mirrored) == (rotation_deg, mirrored)


@pytest.mark.parametrize("source", [media.cropped, media.cropped_mp4])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_the_container_crops_is_gone_from_the_picture(
    clips: Clips, muxer: Clips, source: Callable[[Clips], Path], suffix: str, tmp_path: Path
) -> None:
    path, output = source(clips), tmp_path / f"out{suffix}"
    before = probe(path)
    assert (before.crop, before.width, before.height) == ((11, 2, 8, 5), 83, 51)
    settings = nothing(ffmpeg=muxer.ffmpeg, encode=EncodeSettings("ffv1"))
    if suffix == ".mp4":
        settings = replace(settings, encode=EncodeSettings("h264", crf=0, pix_fmt="yuv444p"))
    result = restore(path, output, settings)
    assert result.receipt.lost == ()
    after = probe(output)
    assert (after.crop, after.width, after.height) == (None, 83, 51)
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray()[8:59, 11:94] for frame in container.decode(video=0)]
    for shown, frame in zip(whole, decode_all(output, clips.ffmpeg), strict=True):
        np.testing.assert_array_equal(frame.planes[0], shown)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_every_language_title_and_sound_stays(
    clips: Clips, muxer: Clips, suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    source, result = carried(media.surround, clips, muxer, output)
    tags = read_tags(str(output), {})
    assert [tags.streams[n]["language"] for n in (1, 2)] == ["eng", "fra"]
    assert [tags.streams[n]["title"] for n in (1, 2)] == ["Main", "Commentary"]
    sounds = [[digest for _, digest in packets] for packets in packets_of(output)[1:]]
    assert sounds == [[digest for _, digest in packets] for packets in packets_of(source)[1:]]
    marked = "comment" in probe(output).streams[2].dispositions
    assert marked or subjects(result) == {"stream 2 disposition:comment"}
    assert marked == (suffix != ".mov")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_text_subtitles_are_kept_or_converted(
    clips: Clips, muxer: Clips, suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    _, result = carried(media.plain_subtitles, clips, muxer, output)
    assert text_of(output) == ["first line", "second line"]
    assert [s.language for s in probe(output).streams[1:]] == ["deu", "eng"]
    converted = {"stream 1", "stream 2"}
    assert subjects(result) & converted == (set() if suffix == ".mkv" else converted)
    forced = "forced" in probe(output).streams[2].dispositions
    assert forced != ("stream 2 disposition:forced" in subjects(result))


def test_styled_subtitles_keep_style_and_font_in_matroska(
    clips: Clips, muxer: Clips, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    source, result = carried(media.styled_subtitles, clips, muxer, output)
    assert result.losses == ()
    assert packets_of(output)[1] == packets_of(source)[1]
    assert attachments(output) == attachments(source) == {"letters.ttf": media.FONT}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
def test_style_and_font_are_announced_as_lost_elsewhere(
    clips: Clips, muxer: Clips, suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    _, result = carried(media.styled_subtitles, clips, muxer, output)
    assert subjects(result) == {"stream 1", "stream 2"}
    assert "without its styling" in result.warnings[0]
    assert text_of(output) == ["first line", "second line"]


@pytest.mark.parametrize("source", [media.pgs_subtitles, media.dvb_subtitles])
def test_subtitles_that_are_pictures(
    clips: Clips, muxer: Clips, source: Callable[[Clips], Path], tmp_path: Path
) -> None:
    path, result = carried(source, clips, muxer, tmp_path / "out.mkv")
    assert result.losses == ()
    digests = [[d for _, d in packets_of(file)[1]] for file in (path, tmp_path / "out.mkv")]
    assert digests[0] == digests[1] != []
    _, result = carried(source, clips, muxer, tmp_path / "out.mp4")
    assert subjects(result) == {"stream 1"}


@pytest.mark.parametrize("source", [media.cover, media.cover_in_matroska])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_cover_stays_the_cover(
    clips: Clips, muxer: Clips, source: Callable[[Clips], Path], suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    path, _ = carried(source, clips, muxer, output)
    assert probe(output).streams[1].dispositions == ("attached_pic",)
    assert picture_of(output) == picture_of(path) != b""


@pytest.mark.parametrize("suffix", [".mov", ".webm"])
def test_a_cover_without_a_place_is_announced(clips: Clips, suffix: str, tmp_path: Path) -> None:
    _, result = carried(media.cover, clips, clips, tmp_path / f"out{suffix}")
    assert "stream 1" in subjects(result)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_tags_of_a_music_shop_stay(
    clips: Clips, muxer: Clips, suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    source, result = carried(media.cover, clips, muxer, output)
    before, after = (read_tags(str(path), {}).whole for path in (source, output))
    for key in ("title", "artist", "album", "date", "genre", "comment", "copyright"):
        assert after[key] == before[key]
    assert not any(subject.startswith("tag:") for subject in subjects(result))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_chapters_stay(clips: Clips, muxer: Clips, suffix: str, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    source, result = carried(media.chapters, clips, muxer, output)
    found = []
    for path in (source, output):
        with av.open(str(path)) as file:
            found.append(
                [
                    (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
                    for c in file.chapters()
                ]
            )
    assert found[0] == found[1] != []
    assert result.losses == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_measurements_and_timecode_stay(
    clips: Clips, muxer: Clips, suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    source, result = carried(media.telemetry, clips, muxer, output)
    assert result.losses == ()
    assert packets_of(output)[1] == packets_of(source)[1]
    assert {tags.get("timecode") for tags in read_tags(str(output), {}).streams} >= {"01:00:00:00"}


def test_measurements_have_no_place_in_matroska(clips: Clips, tmp_path: Path) -> None:
    _, result = carried(media.telemetry, clips, clips, tmp_path / "out.mkv")
    assert subjects(result) == {"stream 1"}
    assert read_tags(str(tmp_path / "out.mkv"), {}).streams[0]["timecode"] == "01:00:00:00"


def test_quicktime_gets_languages_that_old_macintoshes_had_not(
    clips: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "copy.mov"
    shutil.copy(clips.timecode, path)
    set_languages(path, [None, "swe"])
    assert [s.language for s in probe(path).streams][:2] == [None, "swe"]
    add_tags(path, {"Some.Key": "ä value", "other": ""}, quicktime=True)
    with av.open(str(path)) as container:
        assert container.metadata["Some.Key"] == "ä value"
    assert len(decode_all(path, clips.ffmpeg)) == 24


def test_a_loss_is_its_warning() -> None:
    assert str(Loss("alpha", "the alpha channel is dropped")) == "the alpha channel is dropped"


def test_without_an_output_name_the_container_is_one_that_carries_all(clips: Clips) -> None:
    info = probe(media.web(clips))
    assert suggest_output(info, Path("a.restored.webm")) == (Path("a.restored.webm"), None)
    output, note = suggest_output(info, Path("a.restored.mov"))  # no place for Opus
    assert output == Path("a.restored.mkv")
    assert note is not None
    assert "mov cannot carry every stream" in note
    assert suggest_output(probe(clips.plain), Path("a.mp4")) == (Path("a.mp4"), None)


def nothing(**changes: object) -> RestoreSettings:
    """Settings that change no frame."""
    return replace(RestoreSettings(strength=0, sigma=0), **changes)  # type: ignore[arg-type]


def same_frames(one: Path, other: Path, ffmpeg: str) -> int:
    pairs = list(zip(decode_all(one, ffmpeg), decode_all(other, ffmpeg), strict=True))
    for before, after in pairs:
        for left, right in zip(before.planes, after.planes, strict=True):
            np.testing.assert_array_equal(left, right)
    return len(pairs)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray10le"])
def test_y4m_holds_the_same_frames(
    clips: Clips, muxer: Clips, pix_fmt: str, tmp_path: Path
) -> None:
    source = clips.lossless(pix_fmt)
    result = restore(source, tmp_path / "out.y4m", nothing(ffmpeg=muxer.ffmpeg))
    assert same_frames(source, tmp_path / "out.y4m", clips.ffmpeg) == result.frames == 6
    after = probe(tmp_path / "out.y4m")
    assert (after.frame_rate, after.plane_format) == (24, pix_fmt)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".dpx"])
def test_images_hold_the_same_frames(clips: Clips, suffix: str, tmp_path: Path) -> None:
    output = tmp_path / "frames" / f"shot_%04d{suffix}"
    result = restore(clips.images, output, nothing())
    names = sorted(path.name for path in output.parent.iterdir())
    assert names == [f"shot_{number:04d}{suffix}" for number in range(5, 13)]
    assert same_frames(clips.images, output.parent, clips.ffmpeg) == result.frames == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames"]


def test_deep_colours_stay_deep_in_images(clips: Clips, tmp_path: Path) -> None:
    source = clips.lossless("gbrp10le")
    restore(source, tmp_path / "frames" / "%d.dpx", nothing())
    assert same_frames(source, tmp_path / "frames", clips.ffmpeg) == 6
    restore(source, tmp_path / "deep" / "%d.png", nothing())
    assert probe(tmp_path / "deep").pix_fmt == "rgb48be"


def test_images_name_what_they_cannot_hold(clips: Clips, tmp_path: Path) -> None:
    result = restore(media.chapters(clips), tmp_path / "frames" / "%03d.png", nothing())
    assert any("chapters" in warning for warning in result.warnings)
    assert result.receipt.lost == ()


def test_irregular_times_need_a_constant_rate(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "frames" / "%03d.png"
    with pytest.raises(UsageError, match="one rate only") as raised:
        restore(clips.vfr, output, nothing())
    assert "--cfr" in (raised.value.hint or "")
    assert list(tmp_path.iterdir()) == []
    settings = nothing(tasks=(), retiming=Retiming(cfr=Fraction(24)))
    result = restore(clips.vfr, output, settings)
    assert len(list(output.parent.iterdir())) == result.frames > 20


def test_images_replace_nothing_unasked(clips: Clips, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep me")
    output = folder / "%03d.png"
    restore(clips.lossless("gbrp"), output, nothing())
    assert len(list(folder.iterdir())) == 7
    with pytest.raises(OutputError, match="exists already") as raised:
        restore(clips.lossless("gbrp"), output, nothing())
    assert raised.value.exit_code == ExitCode.OUTPUT
    (folder / "099.png").write_bytes(b"old")
    restore(clips.lossless("gbrp"), output, nothing(overwrite=True))
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"{number:03d}.png" for number in range(1, 7)),
        "notes.txt",
    ]
    with pytest.raises(OutputError, match="holds other images"):
        check_numbered(folder / "shot%d.png", overwrite=True)


@pytest.mark.parametrize("name", ["frame.png", "x2%03d.png", "%03d-%d.png", "frame%s.png"])
def test_a_pattern_that_numbers_nothing_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="number"):
        check_numbered(tmp_path / "frames" / name, overwrite=False)


def test_frames_only_outputs_are_known() -> None:
    assert output_format(Path("out.y4m"), "ffv1") == "yuv4mpegpipe"
    assert output_format(Path("out/%d.PNG"), "ffv1") == "image2"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_part_keeps_its_sound_and_its_lines(
    clips: Clips, muxer: Clips, suffix: str, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    part = {"start": Fraction(1, 4), "end": Fraction(3, 4)}
    restore(clips.rich, output, nothing(ffmpeg=muxer.ffmpeg, **part))
    sounds = [[digest for _, digest in packets] for packets in packets_of(output)[1:3]]
    whole = [[digest for _, digest in packets] for packets in packets_of(clips.rich)[1:3]]
    for found, before in zip(sounds, whole, strict=True):
        assert 20 < len(found) < 30
        first = before.index(found[0])
        assert before[first : first + len(found)] == found
    assert text_of(output) == ["second line"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_fields_stay_in_their_order(clips: Clips, suffix: str, tmp_path: Path) -> None:
    """These containers say nothing of the fields of H.264: each frame does."""
    output = tmp_path / f"out{suffix}"
    result = restore(media.interlaced_h264(clips), output, nothing(deinterlace="off"))
    assert probe(output).field_order == "bff"
    kept = {entry.subject: entry.status for entry in result.receipt.entries}
    assert kept["field order"] == "kept"
    assert b"fiel" not in output.read_bytes()
