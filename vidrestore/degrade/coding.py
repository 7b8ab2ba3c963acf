"""What compression leaves of a clip, by sending it through real encoders."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from vidrestore.degrade.degradation import Clip, Degradation, Stage
from vidrestore.errors import FfmpegError
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg

if TYPE_CHECKING:
    from vidrestore.picture.colour import PlaneConverter

Codes = npt.NDArray[np.uint8]

RATE = 25
"""Frames per second that the encoders are told."""
PRESET = "medium"
MPEG2_GOP = 12
_ENCODERS = {
    "x264": ("libx264", "crf"),
    "x265": ("libx265", "crf"),
    "mpeg2": ("mpeg2video", "q:v"),
}
_ALWAYS = {
    "x264": {"preset": PRESET},
    "x265": {"preset": PRESET, "x265-params": "log-level=error:pools=1:frame-threads=1"},
    "mpeg2": {"g": str(MPEG2_GOP), "bf": "2"},
}
_PIX_FMT = "yuv420p"
_MATRIX, _RANGE = "bt709", "tv"


@dataclass(frozen=True)
class Jpeg(Degradation):
    """Every frame saved as a JPEG of its own, 4:2:0, by OpenCV's libjpeg.

    Attributes:
        quality: 1 to 100, as libjpeg counts it.
    """

    stage: ClassVar[Stage] = Stage.COMPRESSION
    quality: int

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"jpeg:{self.quality}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Compress each frame; see `Degradation.apply`."""
        import cv2

        settings = [
            *(cv2.IMWRITE_JPEG_QUALITY, self.quality),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
        ]
        compressed = np.empty_like(clip, dtype=np.float32)
        for index, frame in enumerate(clip):
            codes = np.rint(frame.clip(0, 1) * 255).astype(np.uint8)
            _, file = cv2.imencode(".jpg", np.ascontiguousarray(codes[..., ::-1]), settings)
            read = cv2.imdecode(file, cv2.IMREAD_COLOR)
            assert read is not None, "it was just written"
            compressed[index] = read[..., ::-1] / np.float32(255)
        return compressed, None


@dataclass(frozen=True)
class VideoCodec(Degradation):
    """A clip encoded and decoded again by ffmpeg: 8 bits, 4:2:0, BT.709, 25 frames a second.

    x264 and x265 run with preset medium, MPEG-2 with a keyframe every twelve frames; all on one
    thread, since the result depends on their number.

    Attributes:
        kind: The encoder.
        quality: Its constant rate factor; of MPEG-2 the quantiser scale. Lower is better.
        ffmpeg: Path of the executable; None for the one that `find_ffmpeg` finds.
    """

    stage: ClassVar[Stage] = Stage.COMPRESSION
    kind: Literal["x264", "x265", "mpeg2"]
    quality: int
    ffmpeg: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"{self.kind}:{self.quality}"

    @property
    def context_frames(self) -> None:
        """An encoder looks at everything."""
        return None

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Encode and decode the clip, which must be whole; see `Degradation.apply`.

        Raises:
            FfmpegError: ffmpeg lacks the encoder or failed.
        """
        height, width = clip.shape[1:3]
        # 4:2:0 has no odd sizes: the last row and column are repeated.
        even = np.pad(clip, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        ffmpeg = find_ffmpeg(self.ffmpeg)
        codes = _to_codes(even)
        encoded = _run(self._encoding(even, ffmpeg), codes.tobytes())
        decoded = np.frombuffer(_run(_decoding(ffmpeg), encoded), np.uint8)
        if decoded.size != codes.size:
            raise FfmpegError(
                f"{self} returned {decoded.size} bytes instead of {codes.size}",
                hint="use the bundled ffmpeg",
            )
        rgb = _to_rgb(decoded.reshape(codes.shape), *even.shape[1:3])
        return np.ascontiguousarray(rgb[:, :height, :width]), None

    def _encoding(self, clip: Clip, ffmpeg: str) -> list[str]:
        import ffmpeg as compose

        height, width = clip.shape[1:3]
        raw = {"f": "rawvideo", "pix_fmt": _PIX_FMT, "s": f"{width}x{height}", "r": RATE}
        encoder, option = _ENCODERS[self.kind]
        options = {"c:v": encoder, option: self.quality, "threads": 1, **_ALWAYS[self.kind]}
        frames = compose.input("pipe:0", **raw)
        argv: list[str] = frames.output("pipe:1", f="nut", **options).compile(cmd=ffmpeg)
        return argv


def _decoding(ffmpeg: str) -> list[str]:
    import ffmpeg as compose

    raw = {"f": "rawvideo", "pix_fmt": _PIX_FMT, "fps_mode": "passthrough"}
    argv: list[str] = compose.input("pipe:0", f="nut").output("pipe:1", **raw).compile(cmd=ffmpeg)
    return argv


def _run(argv: Sequence[str], given: bytes) -> bytes:
    """What ffmpeg writes when it is given something."""
    with FfmpegProcess(argv, stdin=True, stdout=True) as process:
        feeder = threading.Thread(target=process.feed, args=([given],), daemon=True)
        feeder.start()
        written = process.stdout.read()
        feeder.join()
        process.finish()
    return written


def _to_codes(clip: Clip) -> Codes:
    """RGB (T, H, W, 3), H and W even, as planes one after the other, (T, H * W * 3 / 2)."""
    import torch

    frames, height, width = clip.shape[:3]
    converter = _converter(height, width)
    # Black, to which the clip is added: what is clipped to [0, 1] survives exactly.
    black = [
        torch.full((1, *shape), code, dtype=torch.uint8)
        for shape, code in zip(converter.shapes_px, (16, 128, 128), strict=True)
    ]
    codes = np.empty((frames, height * width * 3 // 2), np.uint8)
    for frame, out in zip(clip, codes, strict=True):
        rgb = torch.from_numpy(np.ascontiguousarray(frame.clip(0, 1).transpose(2, 0, 1)))
        planes = converter.add_residual(black, rgb[None])
        out[:] = np.concatenate([plane.numpy().ravel() for plane in planes])
    return codes


def _to_rgb(codes: Codes, height: int, width: int) -> Clip:
    """Planes as `_to_codes` makes them to RGB (T, H, W, 3), in [0, 1]."""
    import torch

    converter = _converter(height, width)
    clip = np.empty((len(codes), height, width, 3), np.float32)
    ends = np.cumsum([h * w for h, w in converter.shapes_px])[:-1]
    for frame, out in zip(codes, clip, strict=True):
        planes = [
            torch.from_numpy(plane.reshape(1, *shape).copy())
            for plane, shape in zip(np.split(frame, ends), converter.shapes_px, strict=True)
        ]
        out[:] = converter.to_rgb(planes)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    return clip


def _converter(height: int, width: int) -> PlaneConverter:
    from vidrestore.picture.colour import PlaneConverter, PlaneFormat

    return PlaneConverter(
        PlaneFormat.from_name(_PIX_FMT), width, height, matrix=_MATRIX, colour_range=_RANGE
    )
