"""Make the example: a short clip with sound, and its noisy twin.

    python examples/make_clip.py [FOLDER [FRAMES]]

A hand-held camera travels along a brick wall with two photographs on it while a ball bounces past.
The pictures ship with scikit-image (see examples/README.md for their licences); the ball, the
frames of the pictures and the melody are made here. Everything is seeded: the same versions of the
libraries make the same files. FRAMES is for a look at the first few.
"""

from __future__ import annotations

import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import cv2
import ffmpeg
import numpy as np
from numpy.typing import NDArray
from skimage import data

from vidrestore.degrade import GaussianNoise
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url

Image = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX = 320, 240
FPS = 25
FRAMES = 70
SAMPLE_RATE_HZ = 48_000

SUPERSAMPLING = 3
"""Frames are drawn this many times larger and averaged down, so that all motion is sub-pixel."""

NOISE = GaussianNoise(20, eight_bit=True)
SEED = 7

CLEAN_CRF = 16
NOISY_CRF = 24
"""As low as two megabytes for both clips allow. Noise coded coarsely would no longer be noise."""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else FRAMES
    clean = film(wall(), frames)
    # One frame at a time: the noise belongs to the frame index, so this is the clip's noise.
    noisy = [degrade(frame, index) for index, frame in enumerate(clean)]
    with tempfile.TemporaryDirectory() as temporary:
        sound = Path(temporary) / "melody.wav"
        write_sound(sound, melody()[: frames * SAMPLE_RATE_HZ // FPS])
        encode(clean, sound, folder / "clean.mp4", CLEAN_CRF)
        encode(noisy, sound, folder / "noisy.mp4", NOISY_CRF)
    for name in ("clean.mp4", "noisy.mp4"):
        print(f"{folder / name}: {(folder / name).stat().st_size / 1e6:.2f} MB")


def wall() -> Image:
    """A brick wall with two framed photographs, (512, 1024, 3) uint8 RGB."""
    bricks = picture("brick")
    bricks = np.hstack([bricks[:, ::-1], bricks])
    tint = np.array([1.0, 0.78, 0.66])  # the bricks are grey
    image: Image = (bricks[..., None] * tint).astype(np.uint8)
    hang(image, picture("astronaut")[:420], left=70, top=70, height=340)
    hang(image, picture("chelsea"), left=490, top=130, height=260)
    return image


def picture(name: str) -> Image:
    """A picture that ships with scikit-image."""
    return np.asarray(getattr(data, name)(), np.uint8)


def hang(image: Image, photo: Image, *, left: int, top: int, height: int) -> None:
    """Draw a framed photograph and its shadow into `image`."""
    width = round(photo.shape[1] * height / photo.shape[0])
    photo = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    shadow = np.ones(image.shape[:2], np.float32)
    cv2.rectangle(shadow, (left + 2, top + 4), (left + width + 22, top + height + 24), 0.35, -1)
    image[:] = image * cv2.GaussianBlur(shadow, (0, 0), 7)[..., None]
    cv2.rectangle(
        image, (left - 14, top - 14), (left + width + 13, top + height + 13), (58, 36, 24), -1
    )
    cv2.rectangle(
        image, (left - 5, top - 5), (left + width + 4, top + height + 4), (236, 230, 214), -1
    )
    image[top : top + height, left : left + width] = photo


def film(scene: Image, count: int) -> list[Image]:
    """The camera's view of the scene with the ball in front, (240, 320, 3) uint8 RGB frames."""
    size_px = (WIDTH_PX * SUPERSAMPLING, HEIGHT_PX * SUPERSAMPLING)
    frames = []
    for index in range(count):
        t = index / (FRAMES - 1)
        view = np.asarray(
            cv2.warpAffine(
                scene,
                camera(t),
                size_px,
                flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            np.uint8,
        )
        draw_ball(view, t)
        frame = cv2.resize(view, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
        frames.append(frame.astype(np.uint8))
    return frames


def camera(t: float) -> NDArray[np.float64]:
    """Where each pixel of the view looks in the scene, as a 2x3 matrix, at time t in [0, 1]."""
    eased = t * t * (3 - 2 * t)
    x_px = 250 + 430 * eased + 4 * np.sin(9 * t)  # the sines are the hand that holds the camera
    y_px = 235 + 20 * np.sin(3 * t) + 3 * np.sin(14 * t + 1)
    scale = (1.45 - 0.35 * np.sin(np.pi * t)) / SUPERSAMPLING
    angle = np.deg2rad(2.5 * np.sin(5 * t) + 1.5 * t)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = SUPERSAMPLING * np.array([WIDTH_PX, HEIGHT_PX]) / 2
    return np.hstack([turn, (np.array([x_px, y_px]) - turn @ middle)[:, None]])


def draw_ball(view: Image, t: float) -> None:
    """Draw a beach ball that bounces from the right to the left, at time t in [0, 1]."""
    radius_px = 24.0
    x_px = 350 - 390 * t
    y_px = 212 - 120 * abs(np.sin(3 * np.pi * t))
    colours = [(222, 52, 44), (245, 242, 235), (38, 96, 190), (245, 242, 235)] * 2
    bits = 6  # cv2 takes sub-pixel positions as fixed-point integers
    unit = SUPERSAMPLING << bits
    centre = (round(x_px * unit), round(y_px * unit))
    axes = (round(radius_px * unit), round(radius_px * unit))
    for sector, colour in enumerate(colours):
        start_deg = 45 * sector - 400 * t
        cv2.ellipse(view, centre, axes, 0, start_deg, start_deg + 46, colour, -1, cv2.LINE_AA, bits)
    cv2.circle(view, centre, round(0.22 * radius_px * unit), (250, 205, 60), -1, cv2.LINE_AA, bits)
    cv2.circle(view, centre, axes[0], (60, 50, 46), 2, cv2.LINE_AA, bits)


def degrade(frame: Image, index: int) -> Image:
    """Add noise to one frame, clipped and rounded to 8 bits."""
    clip = frame[None].astype(np.float32) / np.float32(255)
    noisy, _ = NOISE.apply(clip, SEED, first_frame=index)
    eight_bit: Image = np.rint(noisy[0] * 255).astype(np.uint8)
    return eight_bit


def melody() -> NDArray[np.int16]:
    """Plucked notes for as long as the clip, mono 16-bit samples."""
    samples = np.arange(FRAMES * SAMPLE_RATE_HZ // FPS)
    sound = np.zeros(len(samples))
    for beat, note in enumerate([0, 4, 7, 12, 9, 7, 4, 5, 7, 4, 2, 0]):  # semitones above C5
        time_s = samples / SAMPLE_RATE_HZ - beat / 4
        pitch_hz = 523.25 * 2 ** (note / 12)
        tone = sum(np.sin(2 * np.pi * k * pitch_hz * time_s) / k**2 for k in (1, 2, 3))
        sound += np.where(time_s >= 0, tone * np.exp(-6 * np.maximum(time_s, 0)), 0)
    loudest = np.abs(sound).max()
    return np.asarray(0.6 * 32767 * sound / loudest, np.int16)


def write_sound(path: Path, samples: NDArray[np.int16]) -> None:
    """Write mono samples as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.tobytes())


def encode(frames: list[Image], sound: Path, path: Path, crf: int) -> None:
    """Encode RGB frames and a WAV file as H.264 and AAC."""
    executable = find_ffmpeg()
    video = ffmpeg.input(
        "pipe:0", f="rawvideo", pix_fmt="rgb24", s=f"{WIDTH_PX}x{HEIGHT_PX}", r=FPS
    )
    video = video.filter(
        "scale",
        out_color_matrix="bt709",
        out_range="tv",
        flags="bicubic+accurate_rnd+full_chroma_int",
    )
    colour = {
        "colorspace": "bt709",
        "color_primaries": "bt709",
        "color_trc": "bt709",
        "color_range": "tv",
    }
    options: dict[str, Any] = {
        "c:v": "libx264",
        "pix_fmt": "yuv420p",
        "crf": crf,
        "preset": "veryslow",
        "tune": "grain",
        "c:a": "aac",
        "b:a": "64k",
        "movflags": "+faststart",
        **colour,
        # One thread and no version strings, so that every machine writes the same bytes.
        "threads": 1,
        "flags": "+bitexact",
        "fflags": "+bitexact",
        "map_metadata": -1,
    }
    argv = ffmpeg.output(video, ffmpeg.input(media_url(sound)), media_url(path), **options)
    with FfmpegProcess(argv.compile(cmd=executable), stdin=True) as process:
        for frame in frames:
            process.stdin.write(frame.tobytes())
        process.finish()


if __name__ == "__main__":
    main()
