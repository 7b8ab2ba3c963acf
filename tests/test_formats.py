"""Every pixel format: decoded exactly, left exactly as it was, and stored exactly."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conftest import Clips, chosen_ffmpeg, run_ffmpeg
from tests.test_colour import Reference
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import InputError
from vidrestore.media.clock import Clock
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.ffmpeg import FfmpegProcess, media_url
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.media.raw import join, pipe_format, split, unpack
from vidrestore.media.rawpipe import RawPipe
from vidrestore.media.tags import ColourTags
from vidrestore.picture.convert import FrameConverter
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings
from vidrestore.timing.cuts import label_shots
from vidrestore.timing.signs import read_signs

Array = NDArray[Any]

WIDTH, HEIGHT, FRAMES = 33, 21, 2

PLANAR = [
    *(f"yuv{ratio}p{depth}" for depth in ("", "10le", "12le") for ratio in (420, 422, 444)),
    *("yuv411p", "yuv440p", "yuv440p10le", "yuv440p12le"),
    *("yuv420p9le", "yuv422p14le", "yuv444p16le"),
    *("gray", "gray10le", "gray12le", "gray16le"),
    *("gbrp9le", "gbrp10le", "gbrp12le", "gbrp14le", "gbrp16le"),
    *("yuva420p", "yuva422p", "yuva444p", "yuva420p10le", "yuva444p10le", "yuva444p16le"),
    *("gbrap10le", "gbrap12le", "gbrap16le", "ya8"),
]
"""Formats that ffv1 stores as they are."""

RANGES = ("tv", "pc")
MATRICES = ("bt709", "smpte170m", "bt2020nc")


@pytest.fixture(params=["bundled", "old"])
def either(request: pytest.FixtureRequest, ffmpeg: str) -> str:
    """Path of the bundled ffmpeg, and of Debian's."""
    return chosen_ffmpeg(request.param, ffmpeg)


@lru_cache
def random_samples(pix_fmt: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Raw frames of a planar format, or of ya8, in which every code may occur."""
    format_ = av.VideoFormat(pix_fmt, width, height)
    depth = max(part.bits for part in format_.components)
    samples = sum(part.width * part.height for part in format_.components)
    codes = np.random.default_rng(5).integers(0, 1 << depth, FRAMES * samples)
    return codes.astype(np.uint8 if depth == 8 else "<u2").tobytes()


def raw_input(pix_fmt: str, folder: Path, data: bytes, width: int = WIDTH) -> list[str]:
    path = folder / f"{pix_fmt}-{width}.raw"
    path.write_bytes(data)
    shape = ("-video_size", f"{width}x{HEIGHT}", "-framerate", "25")
    return ["-f", "rawvideo", "-pixel_format", pix_fmt, *shape, "-i", str(path)]


def stored(
    clips: Clips, pix_fmt: str, colour_range: str | None = None, matrix: str | None = None
) -> Path:
    """Random samples in ffv1, tagged."""
    path = clips.folder / f"{pix_fmt}-{colour_range}-{matrix}.mkv"
    if not path.exists():
        source = raw_input(pix_fmt, clips.folder, random_samples(pix_fmt))
        tags = []
        if colour_range and matrix:
            tags = ["-color_range", colour_range, "-colorspace", matrix]
        ffv1 = ("-c:v", "ffv1", "-level", "3", "-pix_fmt", pix_fmt)
        run_ffmpeg(clips.ffmpeg, *tags, *source, *tags[:2], *ffv1, path)
    return path


def expected_planes(data: bytes, info: VideoInfo) -> list[list[Array]]:
    """Planes of each frame, cut by PyAV's knowledge of the format."""
    dtype = np.dtype(np.uint8 if info.bit_depth == 8 else "<u2")
    frames = np.frombuffer(data, dtype).reshape(FRAMES, -1)
    if info.plane_format == "ya8":
        return [
            [frame[::2].reshape(HEIGHT, -1), frame[1::2].reshape(HEIGHT, -1)] for frame in frames
        ]
    format_ = av.VideoFormat(info.plane_format, info.width, info.height)
    sizes = [(part.height, part.width) for part in format_.components]
    cuts = np.cumsum([height * width for height, width in sizes])[:-1]
    return [
        [part.reshape(size) for part, size in zip(np.split(frame, cuts), sizes, strict=True)]
        for frame in frames
    ]


def decoded(path: Path, ffmpeg: str) -> list[Frame]:
    with Decoder(probe(path), ffmpeg=ffmpeg) as decoder:
        return list(decoder)


def assert_planes(frames: list[Frame], expected: list[list[Array]]) -> None:
    assert len(frames) == len(expected)
    for frame, planes in zip(frames, expected, strict=True):
        assert len(frame.planes) == len(planes)
        for found, wanted in zip(frame.planes, planes, strict=True):
            np.testing.assert_array_equal(found, wanted)


def tags_of(number: int) -> tuple[str, str]:
    """A range and a matrix, another for each format."""
    return RANGES[number % 2], MATRICES[number % 3]


@pytest.mark.parametrize("number", range(len(PLANAR)), ids=PLANAR)
def test_what_is_decoded_and_left_alone_is_stored_bit_by_bit(
    clips: Clips, either: str, number: int, tmp_path: Path
) -> None:
    """Decode, convert to RGB, add nothing on every range and matrix, encode, decode again."""
    pix_fmt, (colour_range, matrix) = PLANAR[number], tags_of(number)
    info = probe(stored(clips, pix_fmt, colour_range, matrix))
    assert (info.plane_format, info.width, info.height) == (pix_fmt, WIDTH, HEIGHT)
    assert (info.colour.range, info.colour.matrix) == (colour_range, matrix)
    frames = decoded(info.path, either)
    assert_planes(frames, expected_planes(random_samples(pix_fmt), info))

    for tags in product(RANGES, MATRICES):
        converter = FrameConverter(replace(info, colour=ColourTags(*tags)))
        rgb = converter.window(frames)
        assert rgb.shape == (FRAMES, 3, HEIGHT, WIDTH)
        assert torch.isfinite(rgb).all()
        same = [converter.add(frame, torch.zeros(3, HEIGHT, WIDTH)) for frame in frames]
        assert_planes(same, [list(frame.planes) for frame in frames])

    plan = plan_encoding(info, EncodeSettings("ffv1"), either)
    assert plan.losses == ()
    with SegmentEncoder(plan, tmp_path / "s.nut") as encoder:
        for frame in frames:
            encoder.write(frame)
        encoder.close()
    assert probe(tmp_path / "s.nut").plane_format == pix_fmt
    assert_planes(decoded(tmp_path / "s.nut", either), [list(frame.planes) for frame in frames])


@pytest.mark.parametrize(("colour_range", "matrix"), list(product(RANGES, MATRICES)))
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le"])
def test_no_range_or_matrix_makes_ffmpeg_convert(
    clips: Clips, ffmpeg: str, tmp_path: Path, pix_fmt: str, colour_range: str, matrix: str
) -> None:
    info = probe(stored(clips, pix_fmt, colour_range, matrix))
    frames = decoded(info.path, ffmpeg)
    with SegmentEncoder(
        plan_encoding(info, EncodeSettings("ffv1"), ffmpeg), tmp_path / "s.nut"
    ) as encoder:
        for frame in frames:
            encoder.write(FrameConverter(info).add(frame, torch.zeros(3, HEIGHT, WIDTH)))
        encoder.close()
    expected = expected_planes(random_samples(pix_fmt), info)
    assert_planes(decoded(tmp_path / "s.nut", ffmpeg), expected)


@pytest.mark.parametrize(("colour_range", "matrix"), [("pc", "smpte170m"), ("tv", "bt2020nc")])
def test_tags_survive_restore(
    clips: Clips, ffmpeg: str, tmp_path: Path, colour_range: str, matrix: str
) -> None:
    source = stored(clips, "yuv422p10le", colour_range, matrix)
    settings = RestoreSettings(strength=0, sigma=5, encode=EncodeSettings("ffv1"))
    result = restore(source, tmp_path / "out.mkv", settings)
    assert result.output.colour == result.info.colour
    assert (result.info.colour.range, result.info.colour.matrix) == (colour_range, matrix)
    expected = [list(frame.planes) for frame in decoded(source, ffmpeg)]
    assert_planes(decoded(tmp_path / "out.mkv", ffmpeg), expected)


PACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv24": "yuv444p",
    "p010le": "yuv420p10le",
    "p016le": "yuv420p16le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj440p": "yuv440p",
    "yuvj411p": "yuv411p",
    "yuv420p10be": "yuv420p10le",
    "gray16be": "gray16le",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgba": "gbrap",
    "rgb48be": "gbrp16le",
    "rgba64le": "gbrap16le",
}
"""Formats that are no planes, or planes by another name, and the planes that hold them."""


def packed_samples(pix_fmt: str) -> tuple[bytes, list[Array]]:
    """One frame of 32 x 21 as bytes of a format, and its planes; put together by hand."""
    planar = PACKED[pix_fmt]
    format_ = av.VideoFormat(planar, 32, HEIGHT)
    depth = format_.components[0].bits
    dtype = np.dtype(np.uint8 if depth == 8 else "<u2")
    random = np.random.default_rng(9)
    planes = [
        random.integers(0, 1 << depth, (part.height, part.width)).astype(dtype)
        for part in format_.components
    ]
    luma, *chroma = planes
    order = {"rgb24": (2, 0, 1), "bgr24": (1, 0, 2), "rgba": (2, 0, 1, 3), "rgb48be": (2, 0, 1)}
    order["rgba64le"] = order["rgba"]
    if pix_fmt in order:
        packed = [np.stack([planes[index] for index in order[pix_fmt]], axis=-1)]
    elif pix_fmt in {"yuyv422", "uyvy422"}:
        u, v = chroma
        parts = [luma[:, ::2], u, luma[:, 1::2], v]
        packed = [np.stack(parts if pix_fmt == "yuyv422" else [u, parts[0], v, parts[2]], axis=-1)]
    elif pix_fmt.startswith(("nv", "p0")):
        pair = chroma[::-1] if pix_fmt == "nv21" else chroma
        shift = 16 - depth if depth > 8 else 0
        packed = [luma << shift, np.stack(pair, axis=-1) << shift]
    else:
        packed = planes
    if pix_fmt.endswith("be"):
        packed = [part.byteswap() for part in packed]
    return b"".join(part.astype(dtype).tobytes() for part in packed), planes


@pytest.mark.parametrize("colour_range", [None, "tv", "pc"])
@pytest.mark.parametrize("pix_fmt", PACKED)
def test_packed_formats_and_full_range_become_planes_exactly(
    clips: Clips, either: str, pix_fmt: str, colour_range: str | None, tmp_path: Path
) -> None:
    """Few containers can hold these formats, so the decoder is told that it is raw video."""
    data, planes = packed_samples(pix_fmt)
    path = tmp_path / "frames.raw"
    path.write_bytes(data)
    native = av.VideoFormat(pix_fmt, 32, HEIGHT)
    shown = probe(stored(clips, PACKED[pix_fmt])) if "gbr" not in PACKED[pix_fmt] else None
    info = shown or replace(
        probe(clips.raw("rgba" if "a" in PACKED[pix_fmt] else "rgb24")),
        plane_format=PACKED[pix_fmt],
        bit_depth=native.components[0].bits,
    )
    info = replace(info, path=path, pix_fmt=pix_fmt, width=32, height=HEIGHT, frames=1)
    decoder = Decoder(info, ffmpeg=either)
    command = decoder._command(None)
    tags = [] if colour_range is None else ["-color_range", colour_range]
    source = raw_input(pix_fmt, tmp_path, data, 32)
    at = command.index("-i")
    options = [word for word in command[1:at] if word not in {"-noautorotate", "-copyts"}]
    assert options[::2] == ["-format_whitelist", "-protocol_whitelist"]
    with FfmpegProcess([command[0], *tags, *source, *command[at + 2 :]], stdout=True) as process:
        with av.open(process.stdout, format="nut") as nut:
            (packet,) = [bytes(packet) for packet in nut.demux() if packet.size]
        process.finish()
    for found, wanted in zip(split(packet, info), planes, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("pix_fmt", ["p010le", "yuvj411p", "yuv440p12le", "ya16be", "rgba64be"])
def test_names_of_planes(pix_fmt: str) -> None:
    from vidrestore.media.probe import _planes

    native = av.VideoFormat(pix_fmt, 64, 64)
    alpha = any(part.is_alpha for part in native.components)
    expected = {
        "p010le": ("yuv420p10le", 10, (1, 1)),
        "yuvj411p": ("yuv411p", 8, (2, 0)),
        "yuv440p12le": ("yuv440p12le", 12, (0, 1)),
        "ya16be": ("ya16le", 16, (0, 0)),
        "rgba64be": ("gbrap16le", 16, (0, 0)),
    }
    assert _planes(native, alpha, Path("clip")) == expected[pix_fmt]


@pytest.mark.parametrize("pix_fmt", ["grayf32le", "gbrpf32be", "bayer_rggb8", "xyz12le"])
def test_what_holds_no_integer_colours_is_refused(pix_fmt: str) -> None:
    from vidrestore.media.probe import _planes

    with pytest.raises(InputError, match=pix_fmt) as raised:
        _planes(av.VideoFormat(pix_fmt, 64, 64), False, Path("clip"))
    assert raised.value.hint


def test_a_palette_has_alpha_if_it_uses_it(clips: Clips, tmp_path: Path) -> None:
    for name, colour, planes in (("a", "red@0.0", "gbrap"), ("b", "red", "gbrp")):
        source = f"color={colour}:size=32x32,format=rgba,trim=end_frame=1"
        graph = f"{source},split[x][y];[x]palettegen=reserve_transparent=0[p];[y][p]paletteuse"
        if planes == "gbrap":
            graph = graph.replace("reserve_transparent=0", "reserve_transparent=1")
        folder = tmp_path / name
        folder.mkdir()
        run_ffmpeg(clips.ffmpeg, "-f", "lavfi", "-i", graph, folder / "image1.png")
        assert probe(folder).plane_format == planes


@pytest.mark.parametrize("colour_range", ["tv", "pc", None])
@pytest.mark.parametrize("pix_fmt", ["ya16le", "yuv440p10le", "yuv440p12le", "ya8", "yuva420p"])
def test_formats_that_nut_has_no_name_for_reach_ffmpeg(
    clips: Clips, either: str, pix_fmt: str, colour_range: str | None, tmp_path: Path
) -> None:
    import ffmpeg as compose

    native = av.VideoFormat(pix_fmt, WIDTH, HEIGHT)
    info = replace(
        probe(stored(clips, "ya8" if pix_fmt == "ya16le" else pix_fmt)),
        plane_format=pix_fmt,
        bit_depth=native.components[0].bits,
        colour=ColourTags(range=colour_range),
    )
    random = np.random.default_rng(2)
    dtype = np.dtype(np.uint8 if info.bit_depth == 8 else "<u2")
    planes = tuple(
        random.integers(0, 1 << info.bit_depth, shape).astype(dtype) for shape in info.plane_shapes
    )
    for plane, again in zip(planes, split(raw_frame(planes, info), info), strict=True):
        np.testing.assert_array_equal(again, plane)
    tags = {} if colour_range is None else {"color_range": colour_range}
    video = unpack(compose.input("pipe:0", f="nut", **tags)["v:0"], info)
    path = tmp_path / "out.raw"
    output = compose.output(video, media_url(path), f="rawvideo", pix_fmt=pix_fmt)
    with FfmpegProcess(output.compile(cmd=either), stdin=True) as process:
        pipe = RawPipe(process.stdin, info, Clock.of(info))
        pipe.write(planes, 0)
        pipe.close()
        process.finish()
    assert path.read_bytes() == raw_frame(planes, info)


def raw_frame(planes: tuple[Array, ...], info: VideoInfo) -> bytes:
    """Bytes as ffmpeg's rawvideo has them."""
    if info.plane_format.startswith("ya"):
        return np.stack(planes, axis=-1).tobytes()
    return b"".join(plane.tobytes() for plane in planes)


def test_a_pipe_frame_has_the_size_that_it_claims(clips: Clips) -> None:
    for pix_fmt in ("yuv440p12le", "ya8", "yuva420p10le", "yuv411p"):
        info = probe(stored(clips, pix_fmt))
        name, height = pipe_format(info)
        planes = [
            np.zeros(shape, "u1" if info.bit_depth == 8 else "u2") for shape in info.plane_shapes
        ]
        claimed = av.VideoFormat(name, WIDTH, height).components
        samples = sum(part.width * part.height for part in claimed)
        assert len(join(planes, info)) == samples * (1 if info.bit_depth == 8 else 2)


@pytest.mark.parametrize("pix_fmt", ["yuva420p", "yuva444p10le", "gbrap12le", "ya8"])
def test_alpha_is_no_colour_and_nothing_changes_it(clips: Clips, ffmpeg: str, pix_fmt: str) -> None:
    info = probe(stored(clips, pix_fmt))
    assert info.alpha
    assert info.plane_shapes[-1] == (HEIGHT, WIDTH)
    frame, other = decoded(info.path, ffmpeg)
    converter = FrameConverter(info)
    changed = converter.add(frame, torch.full((3, HEIGHT, WIDTH), 0.1))
    assert not np.array_equal(changed.planes[0], frame.planes[0])
    np.testing.assert_array_equal(changed.planes[-1], frame.planes[-1])
    veiled = replace(frame, planes=(*frame.planes[:-1], other.planes[-1]))
    np.testing.assert_array_equal(converter.rgb(veiled), converter.rgb(frame))
    for look in (
        lambda f: read_signs([f, frame], info).luma,
        lambda f: list(label_shots([f], info)),
    ):
        look(veiled)


@pytest.mark.parametrize("pix_fmt", ["yuv440p12le", "yuv411p", "yuva444p10le"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("colour_range", RANGES)
def test_a_known_residual_lands_on_the_reference_through_a_lossless_file(
    clips: Clips, ffmpeg: str, tmp_path: Path, pix_fmt: str, matrix: str, colour_range: str
) -> None:
    info = probe(stored(clips, pix_fmt, colour_range, matrix))
    frame = decoded(info.path, ffmpeg)[0]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    residual = 0.2 * np.stack((np.sin(x / 3), np.cos(y / 2), (x > y) - 0.5))
    changed = FrameConverter(info).add(frame, torch.from_numpy(residual).float())
    with SegmentEncoder(
        plan_encoding(info, EncodeSettings("ffv1"), ffmpeg), tmp_path / "s.nut"
    ) as encoder:
        encoder.write(changed)
        encoder.close()
    name = pix_fmt.replace("yuva", "yuv")
    missing = "topleft" if matrix == "bt2020nc" else "left"
    location = info.colour.chroma_location or missing
    reference = Reference(name, matrix, colour_range, location)
    wanted = reference.add_residual([plane.astype(float) for plane in frame.planes[:3]], residual)
    (again,) = decoded(tmp_path / "s.nut", ffmpeg)
    for found, exact in zip(again.planes[:3], wanted, strict=True):
        assert np.abs(found - exact).max() <= 0.55  # rounded once
