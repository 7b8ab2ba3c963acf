"""What is decided about the output's encoder, and what comes out of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import media
from tests.conftest import Clips, chosen_ffmpeg, decode_all
from vidrestore.containers.mux import mux
from vidrestore.encoders import planning
from vidrestore.encoders.codecs import Encoder, EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.encoders.hardware import hardware_encoders
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import CheckError, UsageError
from vidrestore.media.decode import Frame
from vidrestore.media.hdr import states_hdr
from vidrestore.media.pixels import nearest
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.picture.convert import FrameConverter

SHIFTED = "colorspace=space=smpte170m:primaries=bt709:trc=bt709:range=pc"
FAST = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "10"}


@pytest.fixture(params=["bundled", "system"])
def each_ffmpeg(request: pytest.FixtureRequest, ffmpeg: str) -> str:
    return chosen_ffmpeg(request.param, ffmpeg)


def settings_for(codec: str, **more: object) -> EncodeSettings:
    return EncodeSettings(codec, preset=FAST.get(codec), **more)  # type: ignore[arg-type]


def encoded(plan: EncodingPlan, frames: list[Frame], output: Path) -> VideoInfo:
    """Encode frames into a finished file of the container that its suffix names."""
    with SegmentEncoder(plan, output.with_suffix(".nut")) as encoder:
        for frame in frames:
            encoder.write(frame)
        segment = encoder.close()
    pts = [frame.pts for frame in frames]
    return probe(mux(plan.video, [segment], pts, output, ffmpeg=plan.ffmpeg).path)


def subjects(plan: EncodingPlan) -> set[str]:
    return {loss.subject for loss in plan.losses}


# Pixel formats


@pytest.mark.parametrize(
    ("native", "takes", "best"),
    [
        ("yuv420p", "yuv444p nv12 yuvj420p yuv420p", "yuv420p"),
        ("yuv420p10le", "nv12 p010le yuv444p10le", "p010le"),
        ("yuv411p", "yuv420p yuv444p yuv422p", "yuv422p"),
        ("gray12le", "gray10le yuv420p12le", "yuv420p12le"),
        ("gbrp", "yuv420p yuv444p", "yuv444p"),
        ("gbrap", "bgr0 bgra", "bgra"),
        ("yuva420p", "yuv420p yuva444p", "yuva444p"),
        ("yuv422p12le", "yuv422p10le yuv420p12le gray12le gbrp12le", None),
    ],
)
def test_the_nearest_format_loses_nothing(native: str, takes: str, best: str | None) -> None:
    found = nearest(native, takes.split(), (96, 64), even=True)
    assert (found and found.name) == best


def test_odd_sizes_need_chroma_for_every_pixel() -> None:
    takes = ["yuv420p", "yuv422p", "yuv444p"]
    even, odd = (nearest("yuv420p", takes, (67, 64), even=even) for even in (False, True))
    assert (even and even.name, odd and odd.name) == ("yuv420p", "yuv444p")


@pytest.mark.parametrize("pix_fmt", ["yuva420p", "yuva444p10le"])
def test_alpha_is_kept_where_it_can_be_and_else_announced(
    clips: Clips, pix_fmt: str, tmp_path: Path
) -> None:
    info = probe(clips.lossless(pix_fmt))
    frames = decode_all(info.path, clips.ffmpeg)[:2]
    plan = plan_encoding(info, settings_for("ffv1"), clips.ffmpeg)
    assert plan.losses == ()
    assert encoded(plan, frames, tmp_path / "a.mkv").alpha
    plan = plan_encoding(info, settings_for("h264", crf=0), clips.ffmpeg)
    slack = 0 if info.bit_depth == 8 else 12  # x264 is lossless at 8 bits only
    assert subjects(plan) == {"alpha", "pixel format"}
    assert str(plan.losses[0]) == "the alpha channel is dropped: h264 cannot hold it"
    encoded(plan, frames, tmp_path / "b.mkv")
    again = decode_all(tmp_path / ".b.partial.mkv", clips.ffmpeg)
    for before, after in zip(frames, again, strict=True):
        for one, other in zip(before.planes, after.planes, strict=False):
            assert np.abs(one.astype(int) - other).max() <= slack


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_twelve_bits_and_gray_are_kept(clips: Clips, codec: str, tmp_path: Path) -> None:
    for pix_fmt in ("yuv420p12le", "gray12le"):
        info = probe(clips.lossless(pix_fmt))
        plan = plan_encoding(info, EncodeSettings(codec), clips.ffmpeg)
        assert plan.losses == ()
        frames = decode_all(info.path, clips.ffmpeg)[:2]
        assert encoded(plan, frames, tmp_path / "out.mkv").plane_format == pix_fmt


def test_coarser_chroma_than_a_codec_has_is_stored_finer(clips: Clips) -> None:
    plan = plan_encoding(probe(clips.lossless("yuv411p")), settings_for("h264"), clips.ffmpeg)
    assert plan.video.plane_format == "yuv422p"
    assert subjects(plan) == {"pixel format"}
    reason = "yuv411p video is stored as yuv422p: h264 cannot hold yuv411p"
    assert str(plan.losses[0]) == reason


@pytest.mark.parametrize("colour_range", ["tv", "pc"])
def test_an_asked_format_keeps_matrix_and_range(
    clips: Clips, colour_range: str, tmp_path: Path
) -> None:
    tags = f"format=yuv420p,setparams=range={colour_range}:colorspace=bt2020nc"
    video = ("-vf", tags, "-c:v", "ffv1", "-color_range", colour_range)
    made = clips.make(f"asked-{colour_range}.mkv", "-y", *video, source=clips.picture(frames=2))
    info, frames = probe(made), decode_all(made, clips.ffmpeg)
    settings = settings_for("ffv1", pix_fmt="yuv420p16le")
    plan = plan_encoding(info, settings, clips.ffmpeg)
    assert plan.losses == ()
    out = encoded(plan, frames, tmp_path / "out.mkv")
    assert (out.plane_format, out.colour) == ("yuv420p16le", info.colour)
    wide = decode_all(out.path, clips.ffmpeg)[1].planes
    for one, other in zip(frames[1].planes, wide, strict=True):
        assert np.abs(one * 256.0 - other).max() <= 255  # full range repeats its bits


def test_an_impossible_format_names_those_that_are_possible(clips: Clips) -> None:
    info = probe(clips.plain)
    with pytest.raises(UsageError, match="there is no pixel format yuv240p") as raised:
        plan_encoding(info, settings_for("h264", pix_fmt="yuv240p"), clips.ffmpeg)
    assert "yuv420p10le" in str(raised.value.hint)
    with pytest.raises(UsageError, match="h264 cannot hold yuv420p12le") as raised:
        plan_encoding(info, settings_for("h264", pix_fmt="yuv420p12le"), clips.ffmpeg)
    assert "yuv420p10le" in str(raised.value.hint)


# Codec, quality and the user's own options


@pytest.mark.parametrize(
    ("codec", "arguments", "suffix"),
    [
        ("h264", ("-c:v", "libx264", "-profile:v", "main", "-pix_fmt", "yuv420p"), ".mp4"),
        ("hevc", ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params",
                  "log-level=error"), ".mp4"),
        ("mpeg2video", ("-c:v", "mpeg2video", "-pix_fmt", "yuv422p"), ".mkv"),
        ("mpeg4", ("-c:v", "mpeg4"), ".mkv"),
        ("vp9", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuv444p"), ".webm"),
        ("prores", ("-c:v", "prores_ks", "-profile:v", "lt", "-pix_fmt", "yuv422p10le"), ".mov"),
        ("mjpeg", ("-c:v", "mjpeg", "-pix_fmt", "yuvj422p"), ".mkv"),
    ],
)  # fmt: skip
def test_like_input_keeps_codec_profile_and_format(
    clips: Clips, codec: str, arguments: tuple[str, ...], suffix: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    name = f"like-{codec}{suffix}"
    source = clips.picture(frames=4)
    info = probe(clips.make(name, *arguments, source=source))
    plan = plan_encoding(info, EncodeSettings("like-input"), clips.ffmpeg)
    assert plan.losses == ()
    frames = decode_all(info.path, clips.ffmpeg)
    out = encoded(plan, frames, tmp_path / f"out{suffix}")
    assert (out.codec, out.profile, out.pix_fmt) == (info.codec, info.profile, info.pix_fmt)
    assert out.codec == codec


def test_like_input_without_an_encoder_says_what_is_used_instead(clips: Clips) -> None:
    info = replace(probe(clips.plain), codec="vc1", profile="Advanced")
    plan = plan_encoding(info, EncodeSettings("like-input"), clips.ffmpeg)
    assert plan.codec == "h264"
    assert subjects(plan) == {"codec", "profile"}
    assert "no encoder for vc1: the video is encoded as h264" in str(plan.losses[0])


def test_like_input_has_about_the_inputs_bitrate(clips: Clips, tmp_path: Path) -> None:
    rates = []
    for asked in ("150k", "600k"):
        video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-b:v", asked)
        info = probe(clips.make(f"rate-{asked}.mp4", *video, source=clips.picture(frames=48)))
        plan = plan_encoding(info, EncodeSettings("like-input"), clips.ffmpeg)
        out = encoded(plan, decode_all(info.path, clips.ffmpeg), tmp_path / f"{asked}.mp4")
        assert info.bitrate_bps is not None
        assert out.bitrate_bps == pytest.approx(info.bitrate_bps, rel=0.5)
        rates.append(out.bitrate_bps)
    assert rates[1] > 2 * rates[0]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_bitrate_decides_the_size(clips: Clips, codec: str, tmp_path: Path) -> None:
    info = probe(clips.plain)
    frames = decode_all(info.path, clips.ffmpeg)
    sizes = []
    for bitrate_bps in (60_000, 600_000):
        plan = plan_encoding(info, settings_for(codec, bitrate_bps=bitrate_bps), clips.ffmpeg)
        sizes.append(encoded(plan, frames, tmp_path / "out.mkv").path.stat().st_size)
    assert sizes[1] > 1.5 * sizes[0]


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="--crf and --bitrate"):
        EncodeSettings("h264", crf=20, bitrate_bps=1_000_000)
    with pytest.raises(UsageError, match="ffv1 has no bitrate"):
        EncodeSettings("ffv1", bitrate_bps=1_000_000)


def test_ffmpeg_args_reach_the_encoder(clips: Clips, each_ffmpeg: str, tmp_path: Path) -> None:
    info = probe(clips.plain)
    extra = ("-bf", "0", "-x264-params", "keyint=3:min-keyint=3:scenecut=0")
    plan = plan_encoding(info, settings_for("h264", extra=extra), each_ffmpeg)
    out = encoded(plan, decode_all(info.path, clips.ffmpeg), tmp_path / "out.mkv")
    with av.open(str(out.path)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [number % 3 == 0 for number in range(len(keys))]


def test_ffmpeg_args_join_what_the_encoder_gets_anyway(clips: Clips, tmp_path: Path) -> None:
    info = probe(clips.plain)
    settings = settings_for("hevc", extra=("-x265-params", "keyint=2:min-keyint=2"))
    plan = plan_encoding(info, settings, clips.ffmpeg)
    assert plan.options["x265-params"].startswith("open-gop=0:")
    out = encoded(plan, decode_all(info.path, clips.ffmpeg), tmp_path / "out.mkv")
    with av.open(str(out.path)) as container:
        assert sum(packet.is_keyframe for packet in container.demux(video=0)) >= 12


@pytest.mark.parametrize(
    ("extra", "message"),
    [(("-tune", "filme"), "filme"), (("-no_such_option", "1"), "no_such_option")],
)
def test_bad_ffmpeg_args_fail_with_ffmpegs_own_words(
    clips: Clips, each_ffmpeg: str, extra: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        plan_encoding(probe(clips.plain), EncodeSettings(extra=extra), each_ffmpeg)
    assert "--ffmpeg-args" in str(raised.value.hint)


def test_ffmpeg_args_may_not_break_the_pipe(clips: Clips) -> None:
    with pytest.raises(UsageError, match="may not hold -vf") as raised:
        plan_encoding(probe(clips.plain), EncodeSettings(extra=("-vf", "hflip")), clips.ffmpeg)
    assert "--post" in str(raised.value.hint)


# Filters after restoration


def test_post_filters_run_after_restoration(clips: Clips, each_ffmpeg: str, tmp_path: Path) -> None:
    info, frames = probe(clips.plain), decode_all(clips.plain, clips.ffmpeg)
    settings = settings_for("ffv1", post="split[a][b];[a]hflip[c];[b]vflip[d];[c][d]hstack")
    plan = plan_encoding(info, settings, each_ffmpeg)
    out = encoded(plan, frames, tmp_path / "out.mkv")
    assert (out.width, out.height) == (2 * info.width, info.height)
    luma = decode_all(out.path, clips.ffmpeg)[3].planes[0]
    expected = frames[3].planes[0]
    np.testing.assert_array_equal(luma[:, : info.width], expected[:, ::-1])
    np.testing.assert_array_equal(luma[:, info.width :], expected[::-1])


def test_post_may_change_size_shape_and_format(clips: Clips, tmp_path: Path) -> None:
    info, frames = probe(clips.anamorphic), decode_all(clips.anamorphic, clips.ffmpeg)
    settings = settings_for("h264", post="scale=64:48,setsar=1,format=yuv444p10le")
    plan = plan_encoding(info, settings, clips.ffmpeg)
    assert plan.losses == ()
    out = encoded(plan, frames, tmp_path / "out.mp4")
    assert (out.width, out.height, out.plane_format) == (64, 48, "yuv444p10le")
    assert out.sar in (None, Fraction(1))
    assert out.colour == replace(info.colour, chroma_location=None)


def test_post_may_change_the_matrix_but_not_the_range(
    clips: Clips, each_ffmpeg: str, tmp_path: Path
) -> None:
    info, frames = probe(clips.plain), decode_all(clips.plain, clips.ffmpeg)
    settings = settings_for("ffv1", post=SHIFTED)
    plan = plan_encoding(info, settings, each_ffmpeg)
    out = encoded(plan, frames, tmp_path / "out.mkv")
    again = decode_all(out.path, clips.ffmpeg)
    assert (info.colour.range, info.colour.matrix) == ("tv", "bt709")
    assert (out.colour.range, out.colour.matrix) == ("tv", "smpte170m")
    wanted = FrameConverter(info).rgb(frames[0])
    right, wrong = (
        np.abs(FrameConverter(one).rgb(again[0]) - wanted).mean() for one in (out, info)
    )
    assert right < wrong / 2


@pytest.mark.parametrize("post", ["fps=48", "framestep=2", "setpts=2*PTS"])
def test_post_may_not_change_time(clips: Clips, post: str) -> None:
    with pytest.raises(UsageError, match="changes the frames in time") as raised:
        plan_encoding(probe(clips.plain), EncodeSettings(post=post), clips.ffmpeg)
    assert "--fps" in str(raised.value.hint)


def test_a_filter_that_drops_frames_later_is_found(clips: Clips, tmp_path: Path) -> None:
    info, frames = probe(clips.plain), decode_all(clips.plain, clips.ffmpeg)
    plan = plan_encoding(info, settings_for("h264", post="select='lt(n,20)'"), clips.ffmpeg)
    with pytest.raises(CheckError, match="does not hold the frames") as raised:
        encoded(plan, frames, tmp_path / "out.mp4")
    assert "--post" in str(raised.value.hint)


def test_a_filter_that_does_not_exist_is_a_usage_error(clips: Clips, each_ffmpeg: str) -> None:
    with pytest.raises(UsageError, match="sharpenn"):
        plan_encoding(probe(clips.plain), EncodeSettings(post="sharpenn=2"), each_ffmpeg)


# High dynamic range


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        *(("hevc", ".mp4"), ("hevc", ".mkv"), ("av1", ".mkv")),
        *(("h264", ".mp4"), ("ffv1", ".mkv"), ("prores", ".mov")),
    ],
)
def test_hdr10_is_stated_as_before(
    clips: Clips, each_ffmpeg: str, codec: str, suffix: str, tmp_path: Path
) -> None:
    info = probe(media.hdr10(clips))
    assert info.hdr is not None
    assert info.hdr.light == (1000, 400)
    plan = plan_encoding(info, settings_for(codec), each_ffmpeg)
    out = encoded(plan, decode_all(info.path, clips.ffmpeg)[:3], tmp_path / f"out{suffix}")
    dropped = {"side data:mastering-display", "side data:content-light"}
    if states_hdr(each_ffmpeg) or codec in {"hevc", "av1", "h264"}:
        assert not dropped & subjects(plan)
        assert out.hdr == info.hdr
    else:
        assert dropped <= subjects(plan)
        assert out.hdr is None
    wanted = info.colour
    assert replace(out.colour, chroma_location=wanted.chroma_location) == wanted


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_hlg_is_stated_as_before(clips: Clips, suffix: str, tmp_path: Path) -> None:
    info = probe(media.hlg(clips))
    plan = plan_encoding(info, settings_for("hevc"), clips.ffmpeg)
    out = encoded(plan, decode_all(info.path, clips.ffmpeg)[:3], tmp_path / f"out{suffix}")
    assert plan.losses == ()
    assert (out.colour, out.hdr) == (info.colour, None)
    assert out.colour.transfer == "arib-std-b67"
    if suffix == ".mp4":  # primaries 9, transfer 18, matrix 9, limited range
        assert b"colrnclx\x00\x09\x00\x12\x00\x09\x00" in out.path.read_bytes()


def test_data_of_single_frames_is_announced(clips: Clips) -> None:
    info = replace(probe(media.hdr10(clips)), per_frame=("dolby-vision", "hdr10+"))
    plan = plan_encoding(info, settings_for("hevc"), clips.ffmpeg)
    assert subjects(plan) == {"side data:dolby-vision", "side data:hdr10+"}


# Fields


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize("codec", ["h264", "ffv1", "prores"])
def test_fields_are_encoded_as_fields(
    clips: Clips, each_ffmpeg: str, codec: str, order: str, tmp_path: Path
) -> None:
    pix_fmt = "yuv422p10le" if codec == "prores" else "yuv420p"
    info = replace(probe(clips.lossless(pix_fmt)), field_order=order)
    plan = plan_encoding(info, settings_for(codec), each_ffmpeg)
    assert plan.losses == ()
    out = encoded(plan, decode_all(info.path, clips.ffmpeg)[:3], tmp_path / "out.mov"
                  if codec == "prores" else tmp_path / "out.mkv")  # fmt: skip
    assert out.field_order == order
    if codec == "h264":
        with av.open(str(out.path)) as container:
            assert next(container.decode(video=0)).interlaced_frame


def test_a_codec_of_whole_frames_says_so(clips: Clips) -> None:
    info = replace(probe(clips.lossless("yuv420p")), field_order="tff")
    plan = plan_encoding(info, settings_for("av1"), clips.ffmpeg)
    assert subjects(plan) == {"field order"}


# Graphics cards


def test_without_a_card_the_processor_encodes_and_says_so(clips: Clips) -> None:
    plan = plan_encoding(probe(clips.plain), settings_for("h264", hardware=True), clips.ffmpeg)
    names = {encoder.name for encoder in hardware_encoders("h264")}
    if plan.encoder.name in names:
        pytest.skip("this machine has such a card")
    assert plan.encoder.name == "libx264"
    assert plan.warnings == ("no graphics card encodes this as h264: the processor does",)


def test_the_first_card_that_works_is_used(
    clips: Clips, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = hardware_encoders("h264")
    works = Encoder("libx264", "h264", 20, "medium", uploads=("nv12",), even=True)
    nv12 = replace(works, uploads=())
    monkeypatch.setattr(planning, "hardware_encoders", lambda codec: (*listed, nv12, works))
    info = probe(clips.plain)
    plan = plan_encoding(info, EncodeSettings(hardware=True), clips.ffmpeg)
    if plan.encoder in listed:
        pytest.skip("this machine has such a card")
    assert (plan.encoder, plan.warnings, plan.losses) == (nv12, (), ())
    frames = decode_all(info.path, clips.ffmpeg)
    assert encoded(plan, frames, tmp_path / "out.mp4").frames == len(frames)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_card_that_opens_keeps_the_video(clips: Clips, codec: str, tmp_path: Path) -> None:
    info = probe(clips.plain)
    plan = plan_encoding(info, EncodeSettings(codec, hardware=True), clips.ffmpeg)
    if plan.warnings:
        pytest.skip("no graphics card here encodes this")
    frames = decode_all(info.path, clips.ffmpeg)
    out = encoded(plan, frames, tmp_path / "out.mkv")
    assert (out.codec, out.plane_format) == (codec, info.plane_format)
