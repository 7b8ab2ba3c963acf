"""Interlaced video: found, made into frames, or restored field by field."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import Clips, chosen_ffmpeg, run_ffmpeg
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import UsageError
from vidrestore.measure.compare import RgbReader
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.windows import WindowPlan
from vidrestore.picture.convert import FrameConverter
from vidrestore.picture.fields import FieldConverter, FieldReport, converter_of, reading
from vidrestore.picture.survey import survey_noise
from vidrestore.runs.pipeline import restore
from vidrestore.runs.segments import WindowRestorer
from vidrestore.settings import RestoreSettings

LINES = {"tff": "top", "bff": "bottom"}


@pytest.fixture(params=["bundled", "old"])
def either(request: pytest.FixtureRequest, ffmpeg: str) -> str:
    """Path of the bundled ffmpeg, and of Debian's."""
    return chosen_ffmpeg(request.param, ffmpeg)


def interlaced(
    clips: Clips,
    name: str,
    order: str,
    *video: str,
    flag: str | None = None,
    size: str = "96x64",
    frames: int = 6,
    rate: str = "50",
) -> Path:
    """A picture that scrolls, whose fields follow each other; flagged as it is, or as `flag`."""
    path = clips.folder / name
    if path.exists():
        return path
    moving = f"testsrc2=size={size}:rate={rate},trim=end_frame={2 * frames},scroll=h=0.03:v=0.01"
    woven = f"tinterlace=interleave_{LINES[order]},setfield={flag or order}"
    run_ffmpeg(clips.ffmpeg, "-f", "lavfi", "-i", f"{moving},{woven}", *video, path)
    return path


def decoded(info: VideoInfo, ffmpeg: str) -> list[Frame]:
    with Decoder(info, ffmpeg=ffmpeg) as decoder:
        frames = list(decoder)
    assert decoder.warnings == []
    return frames


FLAGGED = {
    "ffv1": ("fields-ffv1.mkv", "-c:v", "ffv1"),
    "h264": ("fields-h264.mp4", "-c:v", "libx264", "-flags", "+ilme+ildct"),
    "mpeg2": ("fields-mpeg2.mpg", "-c:v", "mpeg2video", "-flags", "+ilme+ildct"),
    "prores": ("fields-prores.mov", "-c:v", "prores_ks", "-flags", "+ildct"),
}


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize("codec", FLAGGED)
def test_flags_tell_the_field_order(clips: Clips, ffmpeg: str, codec: str, order: str) -> None:
    name, *video = FLAGGED[codec]
    info = probe(interlaced(clips, f"{order}-{name}", order, *video))
    assert (info.field_order, info.interlaced, info.progressive) == (order, True, False)
    frames, report = reading(info, ffmpeg, "auto")
    assert report == FieldReport(order, "flags", "deinterlaced")
    assert (frames.deinterlace, frames.field_order, frames.interlaced) == (order, None, False)
    fields, report = reading(info, ffmpeg, "off")
    assert report == FieldReport(order, "flags", "by field")
    assert fields == info


def test_dv_is_bottom_field_first(clips: Clips) -> None:
    dv = interlaced(clips, "tape.dv", "bff", "-c:v", "dvvideo", size="720x576", frames=3)
    assert probe(dv).field_order == "bff"


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_fields_that_no_flag_tells_of_are_found_at_the_size_of_a_standard(
    clips: Clips, either: str, order: str
) -> None:
    captured = ("-c:v", "huffyuv", "-pix_fmt", "yuv422p")
    path = interlaced(clips, f"{order}-vhs.avi", order, *captured, flag="prog", size="352x576")
    info = probe(path)
    assert info.field_order is None
    frames, report = reading(info, either, "auto")
    assert report == FieldReport(order, "idet", "deinterlaced")
    assert frames.deinterlace == order
    fields, report = reading(info, either, "off")
    assert (fields.field_order, report.done) == (order, "by field")


def test_whole_frames_are_left_alone(clips: Clips, either: str) -> None:
    source = ["-f", "lavfi", "-i", "testsrc2=size=352x576:rate=25,trim=end_frame=6,scroll=h=0.03"]
    path = clips.folder / "whole.avi"
    if not path.exists():
        run_ffmpeg(clips.ffmpeg, *source, "-c:v", "huffyuv", "-pix_fmt", "yuv422p", path)
    for choice in ("auto", "off"):
        assert reading(probe(path), either, choice) == (
            probe(path),
            FieldReport(None, None, "nothing"),
        )


@pytest.mark.parametrize("said", ["another size", "another rate", "flagged as progressive"])
def test_nobody_looks_where_fields_cannot_be(clips: Clips, tmp_path: Path, said: str) -> None:
    captured = ("-c:v", "huffyuv", "-pix_fmt", "yuv422p")
    path = interlaced(clips, "tff-vhs.avi", "tff", *captured, flag="prog", size="352x576")
    info = probe(path)
    info = {
        "another size": replace(info, height=480),
        "another rate": replace(info, frame_rate=Fraction(24)),
        "flagged as progressive": replace(info, progressive=True),
    }[said]
    nowhere = str(tmp_path / "no-ffmpeg")  # would raise
    assert reading(info, nowhere, "auto")[1] == FieldReport(None, None, "nothing")


def test_on_forces_it_with_the_order_that_is_seen(clips: Clips, ffmpeg: str) -> None:
    lying = ("-c:v", "ffv1")
    seen = probe(interlaced(clips, "lying.mkv", "bff", *lying, flag="prog"))
    assert seen.progressive
    frames, report = reading(seen, ffmpeg, "on")
    assert (frames.deinterlace, report) == ("bff", FieldReport("bff", "idet", "deinterlaced"))
    frames, report = reading(probe(clips.plain), ffmpeg, "on")
    assert (frames.deinterlace, report) == ("tff", FieldReport(None, None, "deinterlaced"))


def test_new_frames_between_fields_are_refused(clips: Clips, ffmpeg: str) -> None:
    info = probe(interlaced(clips, "tff-fields-ffv1.mkv", "tff", "-c:v", "ffv1"))
    with pytest.raises(UsageError, match="interlaced") as raised:
        reading(info, ffmpeg, "off", makes_frames=True)
    assert "--fps" in str(raised.value.hint)
    assert reading(info, ffmpeg, "auto", makes_frames=True)[0].deinterlace == "tff"
    assert reading(probe(clips.plain), ffmpeg, "off", makes_frames=True)[0] == probe(clips.plain)


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_deinterlacing_keeps_frames_times_and_the_first_field(
    clips: Clips, either: str, order: str
) -> None:
    """bwdif keeps the lines of the field that is first in time, and makes the others."""
    info = probe(interlaced(clips, f"{order}-fields-ffv1.mkv", order, "-c:v", "ffv1"))
    woven = decoded(info, either)
    frames = decoded(reading(info, either, "auto")[0], either)
    assert [frame.pts for frame in frames] == [frame.pts for frame in woven]
    kept, made = (0, 1) if order == "tff" else (1, 0)
    for old, new in zip(woven, frames, strict=True):
        for before, after in zip(old.planes, new.planes, strict=True):
            np.testing.assert_array_equal(after[kept::2], before[kept::2])
    assert not np.array_equal(frames[2].planes[0][made::2], woven[2].planes[0][made::2])


def test_deinterlacing_keeps_variable_timestamps(clips: Clips, either: str) -> None:
    path = clips.folder / "fields-vfr.mkv"
    if not path.exists():
        times = "settb=1/1000,setpts='N*40+mod(N*N,7)*3'"
        graph = f"testsrc2=size=96x64:rate=50,trim=end_frame=16,tinterlace=interleave_top,{times}"
        timing = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000")
        source = ("-f", "lavfi", "-i", f"{graph},setfield=tff")
        run_ffmpeg(clips.ffmpeg, *source, *timing, "-c:v", "ffv1", path)
    info = probe(path)
    frames = decoded(reading(info, either, "auto")[0], either)
    assert [frame.pts for frame in frames] == [frame.pts for frame in decoded(info, either)]
    assert len({b.pts - a.pts for a, b in pairwise(frames)}) > 3


@pytest.mark.parametrize("pix_fmt", ["yuv411p", "yuv422p10le", "yuva420p", "gray", "gbrp"])
def test_deinterlacing_keeps_every_format(clips: Clips, either: str, pix_fmt: str) -> None:
    """What is kept of the picture is exact: nothing was converted on the way."""
    name = f"fields-{pix_fmt}.mkv"
    info = probe(interlaced(clips, name, "tff", "-c:v", "ffv1", "-pix_fmt", pix_fmt, frames=3))
    frames = decoded(reading(info, either, "auto")[0], either)
    for old, new in zip(decoded(info, either), frames, strict=True):
        for before, after in zip(old.planes, new.planes, strict=True):
            np.testing.assert_array_equal(after[::2], before[::2])


def test_what_bwdif_would_convert_is_restored_by_field(clips: Clips, ffmpeg: str) -> None:
    name = "fields-gray10le.mkv"
    grey = probe(interlaced(clips, name, "tff", "-c:v", "ffv1", "-pix_fmt", "gray10le", frames=3))
    assert reading(grey, ffmpeg, "auto") == (grey, FieldReport("tff", "flags", "by field"))
    with pytest.raises(UsageError, match="gray10le") as raised:
        reading(grey, ffmpeg, "on")
    assert "--deinterlace off" in str(raised.value.hint)


def a_frame(info: VideoInfo) -> Frame:
    random = np.random.default_rng(3)
    sample = np.uint8 if info.bit_depth == 8 else np.uint16
    planes = (
        random.integers(30, 200, shape).astype(sample) << (info.bit_depth - 8)
        for shape in info.plane_shapes
    )
    return Frame(0, 0, tuple(planes))


@pytest.mark.parametrize("height", [64, 62, 37, 35, 34])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray", "yuva420p", "yuv410p"])
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_fields_of_any_height_go_back_to_their_lines(
    clips: Clips, pix_fmt: str, height: int, order: str
) -> None:
    info = replace(probe(clips.raw(pix_fmt)), height=height, field_order=order)
    frame = a_frame(info)
    converter = FieldConverter(info)
    fields = converter.window([frame, frame])
    assert fields.shape == (4, 3, -(-height // 2), 96)

    same = converter.add(frame, torch.zeros(3, height, 96))
    assert all(map(np.array_equal, same.planes, frame.planes))

    change = torch.zeros_like(fields)
    change[0::2] = 8 / 255  # the first field, in time, of each frame
    whole = converter.whole(change)
    assert whole.shape == (2, 3, height, 96)
    brighter = converter.add(frame, whole[0]).planes[0].astype(int) - frame.planes[0]
    first = 0 if order == "tff" else 1
    assert (brighter[first::2] > 0).all()
    assert (brighter[1 - first :: 2] == 0).all()


def test_chroma_of_a_field_stays_in_its_field(clips: Clips) -> None:
    """In 4:2:0 a chroma line belongs to one field, though it lies between lines of both."""
    info = replace(probe(clips.raw("yuv420p")), field_order="tff")
    frame, change = a_frame(info), torch.zeros(3, 64, 96)
    change[0, ::2] = 0.1
    for found, old in zip(
        FieldConverter(info).add(frame, change).planes, frame.planes, strict=True
    ):
        np.testing.assert_array_equal(found[1::2], old[1::2])
        assert not np.array_equal(found[::2], old[::2])


def test_the_matrix_of_a_field_is_that_of_its_frame(clips: Clips) -> None:
    unknown = replace(probe(clips.raw("yuv420p")).colour, matrix=None)
    info = replace(probe(clips.raw("yuv420p")), height=1080, colour=unknown, field_order="tff")
    flat = Frame(0, 0, tuple(np.full(shape, 90, np.uint8) for shape in info.plane_shapes))
    whole = FrameConverter(info).rgb(flat)
    np.testing.assert_array_equal(FieldConverter(info).rgb(flat), whole[:540])


class Watched(Restorer):
    """A network's place, taken by a function; remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def residual(self, window: Tensor, levels: Levels, steps: int | None) -> Tensor:
        self.seen.append(window)
        return torch.zeros_like(window)


def brightening(clips: Clips, order: str) -> Path:
    """Noise on flat grey; each field is brighter than the one before it."""
    path = clips.folder / f"brighter-{order}.mkv"
    if not path.exists():
        graph = "color=black:size=96x64:rate=50,trim=end_frame=12,format=gray,geq=lum=40+15*N"
        woven = f"noise=alls=4:allf=t:all_seed=3,tinterlace=interleave_{LINES[order]}"
        source = ("-f", "lavfi", "-i", f"{graph},{woven},setfield={order}")
        run_ffmpeg(clips.ffmpeg, *source, "-c:v", "ffv1", path)
    return path


def test_the_network_sees_fields_in_order_of_time(clips: Clips, ffmpeg: str) -> None:
    for order in ("tff", "bff"):
        info = probe(brightening(clips, order))
        watched = Watched()
        restorer = WindowRestorer(
            info, [watched], Levels(5, clipped=True), steps=1, strength=1, plan=WindowPlan()
        )
        frames = decoded(info, ffmpeg)
        restored = [item.frame for item in restorer.restore(frames)]
        (window,) = watched.seen
        means = window.mean(dim=(1, 2, 3))
        assert len(means) == 12
        assert (means.diff() > 0).all()
        for old, new in zip(frames, restored, strict=True):
            assert all(map(np.array_equal, old.planes, new.planes))


def test_noise_is_measured_in_fields(clips: Clips, ffmpeg: str) -> None:
    reader = RgbReader(brightening(clips, "tff"), ffmpeg, deinterlace="off")
    assert reader.fields == FieldReport("tff", "flags", "by field")
    assert isinstance(converter_of(reader.info), FieldConverter)
    for sample in survey_noise(reader).samples:
        assert sample.shape[1:] == (32, 96)
        assert sample.std(axis=(1, 2)).max() < 0.025  # with the other lines it is higher


@pytest.mark.parametrize("choice", ["auto", "off"])
def test_restore_reads_the_video_as_chosen(
    clips: Clips, ffmpeg: str, tmp_path: Path, choice: str
) -> None:
    source = interlaced(clips, "tff-fields-ffv1.mkv", "tff", "-c:v", "ffv1")
    lossless = EncodeSettings(codec="ffv1")
    settings = RestoreSettings(strength=0, sigma=5, encode=lossless, deinterlace=choice)
    result = restore(source, tmp_path / "out.mkv", settings)
    expected = decoded(reading(probe(source), ffmpeg, choice)[0], ffmpeg)
    found = decoded(probe(tmp_path / "out.mkv"), ffmpeg)
    for old, new in zip(expected, found, strict=True):
        assert all(map(np.array_equal, old.planes, new.planes))
    assert result.output.field_order == (None if choice == "auto" else "tff")
    assert not any("interlaced" in warning for warning in result.warnings)
