"""The colour conversion against a float64 reference written sample by sample from H.273."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.picture.colour import PlaneConverter, PlaneFormat

Array = NDArray[Any]

DEPTHS = ("", "9le", "10le", "12le", "14le", "16le")
YUV = [f"yuv{ratio}p{depth}" for ratio in (420, 422, 444, 440, 411) for depth in DEPTHS]
YUVJ = [f"yuvj{ratio}p" for ratio in (420, 422, 444, 440, 411)]
PLAIN = [f"{name}{depth}" for name in ("gray", "gbrp") for depth in DEPTHS]
ALL_FORMATS = YUV + YUVJ + PLAIN

LUMA_WEIGHTS = {
    "smpte170m": (0.299, 0.587, 0.114),
    "bt709": (0.2126, 0.7152, 0.0722),
    "bt2020nc": (0.2627, 0.678, 0.0593),
}
SITES = {  # chroma_location: where the footprint's site is, across and down, in 0..1
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
    "bottomleft": (0.0, 1.0),
    "bottom": (0.5, 1.0),
}
FACTORS = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2), "411": (4, 1)}


class Reference:
    """The same conversions for one frame, in float64 and by definition."""

    def __init__(self, name: str, matrix: str, colour_range: str, location: str) -> None:
        red, green, blue = LUMA_WEIGHTS[matrix]
        luma = np.array([red, green, blue])
        cb = (np.array([0, 0, 1]) - luma) / (2 - 2 * blue)
        cr = (np.array([1, 0, 0]) - luma) / (2 - 2 * red)
        self.rgb_to_yuv = np.stack([luma, cb, cr])
        digits = name.split("p")[1].removesuffix("le")
        self.depth = int(digits or 8)
        unit = 2 ** (self.depth - 8)
        self.middle = 128 * unit
        self.black: int
        self.luma_span: int
        self.chroma_span: int
        self.black, self.luma_span, self.chroma_span = (
            (16 * unit, 219 * unit, 224 * unit)
            if colour_range == "tv"
            else (0, 2**self.depth - 1, 2**self.depth - 1)
        )
        self.factor_x, self.factor_y = FACTORS[name.removeprefix("yuv")[:3]]
        across, down = SITES[location]
        self.site_x = across * (self.factor_x - 1)
        self.site_y = down * (self.factor_y - 1)

    def to_rgb(self, planes: Sequence[Array]) -> Array:
        luma = (planes[0] - float(self.black)) / self.luma_span
        chroma = [
            (self._upsampled(plane, *luma.shape) - self.middle) / self.chroma_span
            for plane in planes[1:]
        ]
        yuv_to_rgb = np.linalg.inv(self.rgb_to_yuv)
        rgb: Array = np.einsum("ij,jyx->iyx", yuv_to_rgb, np.stack([luma, *chroma]))
        return rgb

    def _upsampled(self, plane: Array, height: int, width: int) -> Array:
        """Read the plane where each luma sample sits; np.interp repeats the edges."""
        across = (np.arange(width) - self.site_x) / self.factor_x
        down = (np.arange(height) - self.site_y) / self.factor_y
        rows, columns = (np.arange(n) for n in plane.shape)
        wide = np.stack([np.interp(across, columns, row) for row in plane])
        return np.stack([np.interp(down, rows, column) for column in wide.T], axis=1)

    def add_residual(self, planes: Sequence[Array], residual: Array) -> list[Array]:
        """Return the wanted planes before rounding, clipped to the depth."""
        yuv = np.einsum("ij,jyx->iyx", self.rgb_to_yuv, residual)
        sums = [planes[0] + self.luma_span * yuv[0]]
        for plane, delta in zip(planes[1:], yuv[1:], strict=True):
            mean = np.zeros(plane.shape)
            for row, column in np.ndindex(*plane.shape):
                mean[row, column] = sum(
                    weight_y * weight_x * _clamped(delta, y, x)
                    for y, weight_y in _footprint(row, self.factor_y, self.site_y)
                    for x, weight_x in _footprint(column, self.factor_x, self.site_x)
                )
            sums.append(plane + self.chroma_span * mean)
        return [np.clip(total, 0, 2**self.depth - 1) for total in sums]


def _footprint(index: int, factor: int, site: float) -> list[tuple[int, float]]:
    start = factor * index
    if factor == 1:
        return [(start, 1.0)]
    if site == (factor - 1) / 2:
        return [(start + tap, 1 / factor) for tap in range(factor)]
    centre, half = start + int(site), factor // 2
    kernel = {2: [0.25, 0.5, 0.25], 4: [0.125, 0.25, 0.25, 0.25, 0.125]}[factor]
    return [(centre + tap - half, weight) for tap, weight in enumerate(kernel)]


def _clamped(plane: Array, y: int, x: int) -> float:
    height, width = plane.shape
    return float(plane[min(max(y, 0), height - 1), min(max(x, 0), width - 1)])


def random_planes(
    format_name: str, width: int, height: int, frames: int = 1, dtype: torch.dtype | None = None
) -> list[torch.Tensor]:
    """Codes over the whole depth, those below black and above white included."""
    plane_format = PlaneFormat.from_name(format_name)
    dtype = dtype or (torch.uint8 if plane_format.bit_depth == 8 else torch.uint16)
    rng = np.random.default_rng(7)
    largest = 2**plane_format.bit_depth - 1
    planes = []
    for shape in plane_format.plane_shapes_px(width, height):
        codes = rng.integers(0, largest + 1, (frames, *shape))
        codes.flat[0], codes.flat[-1] = 0, largest
        planes.append(torch.from_numpy(codes).to(dtype))
    return planes


def numpy_frame(planes: Sequence[torch.Tensor]) -> list[Array]:
    return [plane[0].to(torch.int32).numpy() for plane in planes]


def only_code(plane: torch.Tensor) -> int:
    (code,) = set(plane.flatten().tolist())
    return int(code)


def assert_lands(planes: Sequence[torch.Tensor], wanted: Sequence[Array]) -> None:
    """Rounded once: half a code from the exact sum, and a little for float32."""
    for plane, exact in zip(numpy_frame(planes), wanted, strict=True):
        assert np.abs(plane - exact).max() <= 0.5 + 0.01


@pytest.mark.parametrize("dtype", [None, torch.int32])
@pytest.mark.parametrize("name", ALL_FORMATS)
def test_zero_residual_changes_no_code(name: str, dtype: torch.dtype | None) -> None:
    planes = random_planes(name, 17, 11, frames=2, dtype=dtype)
    for colour_range, location in (("tv", "left"), ("pc", "topleft"), ("tv", "center")):
        converter = PlaneConverter(
            PlaneFormat.from_name(name),
            17,
            11,
            matrix="bt2020nc",
            colour_range=colour_range,
            chroma_location=location,
        )
        restored = converter.add_residual(planes, torch.zeros(2, 3, 11, 17))
        for before, after in zip(planes, restored, strict=True):
            assert after.dtype == before.dtype
            assert torch.equal(after.to(torch.int32), before.to(torch.int32))


def residuals(rgb: Array) -> dict[str, Array]:
    _, height, width = rgb.shape
    red = np.zeros_like(rgb)
    red[0] = 8 / 255
    edge = np.zeros_like(rgb)
    edge[0, :, width // 2 :] = 0.3
    edge[2, height // 2 :] = -0.3
    return {"darker": -0.1 * rgb, "red": red, "chroma edge": edge}


@pytest.mark.parametrize("size_px", [(12, 8), (11, 7)])
@pytest.mark.parametrize("location", ["left", "topleft", "center"])
@pytest.mark.parametrize("depth", ["", "10le"])
@pytest.mark.parametrize("ratio", ["420", "422", "444"])
@pytest.mark.parametrize("colour_range", ["tv", "pc"])
@pytest.mark.parametrize("matrix", LUMA_WEIGHTS)
def test_known_residuals_land_on_the_reference(
    matrix: str, colour_range: str, ratio: str, depth: str, location: str, size_px: tuple[int, int]
) -> None:
    name = f"yuv{ratio}p{depth}"
    planes = random_planes(name, *size_px)
    converter = PlaneConverter(
        PlaneFormat.from_name(name),
        *size_px,
        matrix=matrix,
        colour_range=colour_range,
        chroma_location=location,
    )
    reference = Reference(name, matrix, colour_range, location)
    rgb = reference.to_rgb(numpy_frame(planes))

    np.testing.assert_allclose(converter.to_rgb(planes)[0].numpy(), rgb, atol=1e-5)
    for residual in residuals(rgb).values():
        restored = converter.add_residual(planes, torch.from_numpy(residual)[None].float())
        assert_lands(restored, reference.add_residual(numpy_frame(planes), residual))


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(YUV),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    matrix=st.sampled_from(sorted(LUMA_WEIGHTS)),
    colour_range=st.sampled_from(["tv", "pc"]),
    location=st.sampled_from(sorted(SITES)),
    seed=st.integers(0, 99),
)
def test_any_stream_matches_the_reference(
    name: str, width: int, height: int, matrix: str, colour_range: str, location: str, seed: int
) -> None:
    planes = random_planes(name, width, height)
    converter = PlaneConverter(
        PlaneFormat.from_name(name),
        width,
        height,
        matrix=matrix,
        colour_range=colour_range,
        chroma_location=location,
    )
    reference = Reference(name, matrix, colour_range, location)
    residual = np.random.default_rng(seed).normal(0, 0.2, (3, height, width)).astype(np.float32)
    expected_rgb = reference.to_rgb(numpy_frame(planes))

    np.testing.assert_allclose(converter.to_rgb(planes)[0].numpy(), expected_rgb, atol=1e-5)
    restored = converter.add_residual(planes, torch.from_numpy(residual)[None])
    wanted = reference.add_residual(numpy_frame(planes), residual)
    # At 16 bits float32 itself is worth some hundredths of a code.
    for plane, exact in zip(numpy_frame(restored), wanted, strict=True):
        assert np.abs(plane - exact).max() <= 0.55


@pytest.mark.parametrize(
    ("name", "matrix", "colour_range", "rgb", "codes"),
    [
        ("yuv420p", "bt709", "tv", (1, 0, 0), (63, 102, 240)),
        ("yuv420p", "bt709", "tv", (0, 1, 0), (173, 42, 26)),
        ("yuv420p", "bt709", "tv", (0, 0, 1), (32, 240, 118)),
        ("yuv420p", "bt709", "tv", (0.75, 0.75, 0), (168, 44, 136)),
        ("yuv422p", "smpte170m", "tv", (1, 0, 0), (81, 90, 240)),
        ("yuv422p", "bt470bg", "tv", (0, 1, 0), (145, 54, 34)),
        ("yuv422p", "smpte170m", "tv", (0, 0, 1), (41, 240, 110)),
        ("yuvj420p", "bt470bg", "pc", (1, 0, 0), (76, 85, 255)),
        ("yuv420p10le", "bt2020nc", "tv", (1, 0, 0), (294, 387, 960)),
        ("yuv444p", "ycgco", "tv", (1, 0, 0), (71, 72, 240)),
        ("yuv444p", "bt709", "tv", (1, 1, 1), (235, 128, 128)),
    ],
)
def test_textbook_colours(
    name: str,
    matrix: str,
    colour_range: str,
    rgb: tuple[float, float, float],
    codes: tuple[int, int, int],
) -> None:
    converter = PlaneConverter(
        PlaneFormat.from_name(name), 6, 4, matrix=matrix, colour_range=colour_range
    )
    black = random_planes(name, 6, 4)
    depth = converter.format.bit_depth
    for plane, code in zip(black, (16 if colour_range == "tv" else 0, 128, 128), strict=True):
        plane.copy_(torch.full(plane.shape, code << depth - 8))
    colour = torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, 4, 6)

    assert converter.to_rgb(black).abs().max() < 1e-6
    restored = converter.add_residual(black, colour)
    assert tuple(only_code(plane) for plane in restored) == codes
    # Half a code of rounding in Y and C is at most this much in RGB.
    assert (converter.to_rgb(restored) - colour).abs().max() < 1.6 / 219


@pytest.mark.parametrize("name", [*YUV, *YUVJ])
def test_grey_stays_grey(name: str) -> None:
    planes = random_planes(name, 9, 7)
    neutral = 1 << PlaneFormat.from_name(name).bit_depth - 1
    for plane in planes[1:]:
        plane.copy_(torch.full(plane.shape, neutral))
    converter = PlaneConverter(PlaneFormat.from_name(name), 9, 7, matrix="bt709")

    rgb = converter.to_rgb(planes)
    assert torch.equal(rgb[:, 0], rgb[:, 1])
    assert torch.equal(rgb[:, 1], rgb[:, 2])
    restored = converter.add_residual(planes, -0.1 * rgb)
    for plane in restored[1:]:
        assert (plane.to(torch.int32) == neutral).all()


def test_darkening_a_flat_colour_moves_it_towards_black() -> None:
    """The round trip as the pipeline does it: residual from to_rgb's own output."""
    converter = PlaneConverter(PlaneFormat.from_name("yuv420p"), 8, 6, matrix="bt709")
    planes = [
        torch.full((1, *shape), code, dtype=torch.uint8)
        for shape, code in zip(converter.shapes_px, (120, 90, 200), strict=True)
    ]
    restored = converter.add_residual(planes, -0.1 * converter.to_rgb(planes))
    wanted = (16 + 0.9 * (120 - 16), 128 + 0.9 * (90 - 128), 128 + 0.9 * (200 - 128))
    assert [only_code(plane) for plane in restored] == [round(code) for code in wanted]


@pytest.mark.parametrize("colour_range", ["tv", "pc", None])
def test_gbr_takes_the_residual_as_it_is(colour_range: str | None) -> None:
    converter = PlaneConverter(
        PlaneFormat.from_name("gbrp10le"), 5, 3, matrix="gbr", colour_range=colour_range
    )
    black, span = (64, 876) if colour_range == "tv" else (0, 1023)
    green, blue, red = (torch.full((1, 3, 5), code, dtype=torch.uint16) for code in (300, 500, 700))
    rgb = converter.to_rgb([green, blue, red])
    wanted = torch.tensor([(code - black) / span for code in (700, 300, 500)])
    torch.testing.assert_close(rgb[0, :, 1, 2], wanted)
    residual = torch.tensor([10.0, -20.0, 30.0]).view(1, 3, 1, 1).expand(1, 3, 3, 5) / span
    restored = converter.add_residual([green, blue, red], residual)
    assert [only_code(p) for p in restored] == [280, 530, 710]


def test_gray_takes_the_residuals_luma() -> None:
    converter = PlaneConverter(PlaneFormat.from_name("gray"), 5, 3, matrix="bt709")
    planes = [torch.full((1, 3, 5), 100, dtype=torch.uint8)]
    assert torch.allclose(converter.to_rgb(planes), torch.tensor(100 / 255))
    green = torch.tensor([0.0, 0.1, 0.0]).view(1, 3, 1, 1).expand(1, 3, 3, 5)
    (restored,) = converter.add_residual(planes, green)
    assert only_code(restored) == round(100 + 255 * 0.1 * 0.7152)


def test_codes_are_clipped_to_the_depth_and_rgb_is_not_clamped() -> None:
    converter = PlaneConverter(PlaneFormat.from_name("yuv420p10le"), 8, 6, matrix="bt709")
    planes = random_planes("yuv420p10le", 8, 6)
    rgb = converter.to_rgb(planes)
    assert rgb.min() < 0
    assert rgb.max() > 1
    for gain, luma in ((50.0, 1023), (-50.0, 0)):
        restored = converter.add_residual(planes, torch.full((1, 3, 6, 8), gain))
        assert (restored[0].to(torch.int32) == luma).all()


def test_frames_are_independent_and_arguments_are_not_modified() -> None:
    converter = PlaneConverter(PlaneFormat.from_name("yuv420p"), 9, 7)
    planes = random_planes("yuv420p", 9, 7, frames=3)
    residual = torch.randn(3, 3, 7, 9, generator=torch.Generator().manual_seed(0)) * 0.1
    copies, residual_copy = [plane.clone() for plane in planes], residual.clone()

    rgb, restored = converter.to_rgb(planes), converter.add_residual(planes, residual)

    assert all(map(torch.equal, planes, copies))
    assert torch.equal(residual, residual_copy)
    last = [plane[2:] for plane in planes]
    assert torch.equal(converter.to_rgb(last), rgb[2:])
    alone = converter.add_residual(last, residual[2:])
    assert all(map(torch.equal, alone, [plane[2:] for plane in restored]))


@pytest.mark.parametrize(
    ("name", "width", "height", "matrix", "in_use"),
    [
        ("yuv420p", 720, 576, None, "smpte170m"),
        ("yuv420p", 640, 360, "unknown", "smpte170m"),
        ("yuv420p", 1280, 720, None, "bt709"),
        ("yuv420p", 720, 1280, None, "bt709"),
        ("yuv420p", 720, 576, "bt709", "bt709"),
        ("yuv420p", 1920, 1080, "smpte2085", "bt709"),
    ],
)
def test_a_missing_matrix_follows_the_size(
    name: str, width: int, height: int, matrix: str | None, in_use: str
) -> None:
    assert (
        PlaneConverter(PlaneFormat.from_name(name), width, height, matrix=matrix).matrix == in_use
    )


@pytest.mark.parametrize(
    ("name", "colour_range", "is_full"),
    [
        ("yuv420p", None, False),
        ("yuv420p", "unknown", False),
        ("yuvj420p", None, True),
        ("gray10le", None, True),
        ("gbrp", None, True),
        ("yuv420p", "pc", True),
        ("gbrp", "limited", False),
    ],
)
def test_a_missing_range_follows_the_format(
    name: str, colour_range: str | None, is_full: bool
) -> None:
    converter = PlaneConverter(PlaneFormat.from_name(name), 64, 48, colour_range=colour_range)
    assert converter.is_full_range == is_full


def test_a_missing_chroma_location_is_left_and_topleft_for_bt2020() -> None:
    plane_format = PlaneFormat.from_name("yuv420p10le")
    assert PlaneConverter(plane_format, 64, 48).chroma_location == "left"
    assert PlaneConverter(plane_format, 64, 48, matrix="bt2020nc").chroma_location == "topleft"


def test_format_is_read_from_its_name() -> None:
    plane_format = PlaneFormat.from_name("yuv411p")
    assert (plane_format.bit_depth, plane_format.log2_chroma_w, plane_format.log2_chroma_h) == (
        8,
        2,
        0,
    )
    assert plane_format.plane_shapes_px(721, 5) == ((5, 721), (5, 181), (5, 181))
    assert PlaneFormat.from_name("gray12le").is_gray
    assert PlaneFormat.from_name("gbrp12le").is_rgb


@pytest.mark.parametrize("name", ["nv12", "rgb24", "yuv420p10be", "yuv420p11le", "yuvja420p", ""])
def test_other_formats_are_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(InputError) as caught:
        PlaneFormat.from_name(name)
    assert caught.value.hint


def test_planes_of_another_size_are_refused() -> None:
    converter = PlaneConverter(PlaneFormat.from_name("yuv420p"), 64, 48)
    with pytest.raises(ValueError, match="48, 64"):
        converter.to_rgb(random_planes("yuv420p", 62, 48))
