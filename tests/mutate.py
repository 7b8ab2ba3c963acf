"""Seeds of many containers and codecs, and files made of them that nobody would write."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import Clips

_SIZE = "64x48"
_FRAMES = 6
_TONE = ("-c:a", "aac")

SEEDS: dict[str, tuple[str, ...]] = {
    "h264.mp4": ("-c:v", "libx264", "-bf", "2", *_TONE),
    "fragmented.mp4": ("-c:v", "libx264", *_TONE, "-movflags", "frag_keyframe+empty_moov"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    "prores.mov": ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s16le"),
    "h264.mkv": ("-c:v", "libx264", "-preset", "ultrafast", *_TONE),
    "ffv1.mkv": ("-c:v", "ffv1", "-c:a", "flac"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-c:a", "mp3"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"),
    "h264.ts": ("-c:v", "libx264", *_TONE),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "mpeg2.mxf": ("-c:v", "mpeg2video", "-an"),
    "flv1.flv": ("-c:v", "flv", *_TONE),
    "raw.nut": ("-c:v", "rawvideo", "-c:a", "pcm_s16le"),
    "raw.y4m": ("-an", "-strict", "-1"),
    "theora.ogg": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "wmv2.asf": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "plain.gif": ("-an",),
    "plain.png": ("-frames:v", "1", "-an", "-update", "1"),
    "h264.h264": ("-c:v", "libx264", "-an"),
}
"""Name of each seed, which tells its container, and how it is encoded."""


def seed(clips: Clips, name: str) -> bytes:
    """One seed: a moving picture of 64x48 and, where the container has it, a tone."""
    path = clips.folder / f"seed-{name}"
    if not path.exists():
        source = [*clips.picture(_SIZE, frames=_FRAMES), *clips.tone(0.25)]
        pix_fmt = () if "-pix_fmt" in SEEDS[name] or "gif" in name else ("-pix_fmt", "yuv420p")
        if name.endswith(".png"):
            pix_fmt = ()
        clips.make(path.name, *pix_fmt, *SEEDS[name], source=source)
    return path.read_bytes()


def mutated(clips: Clips, count: int, *, first: int = 0) -> Iterator[tuple[str, bytes]]:
    """Mutated files, the same for the same number.

    Args:
        clips: Makes the seeds.
        count: How many.
        first: Number of the first; each number is one file, whatever the others.

    Yields:
        A name that tells how the file was made and ends as the seed's does, and its content.
    """
    names = sorted(SEEDS)
    for number in range(first, first + count):
        rng = random.Random(number)
        name = names[number % len(names)]
        kind = _KINDS[number // len(names) % len(_KINDS)]
        other = seed(clips, rng.choice(names))
        yield f"{number:05d}-{kind.__name__.strip('_')}-{name}", kind(seed(clips, name), other, rng)


def _flip(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """A few bits, anywhere."""
    changed = bytearray(content)
    for _bit in range(rng.choice((1, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _head(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Bytes of the first 2 KiB, where sizes, counts and codecs stand."""
    changed = bytearray(content)
    for _byte in range(rng.choice((1, 2, 4, 16))):
        at = rng.randrange(min(len(changed), 2048))
        changed[at] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed)


def _tail(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Likewise of the last 2 KiB, where MP4 has its index."""
    return _head(content[::-1], b"", rng)[::-1]


def _truncate(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """Only the beginning, or all but the beginning."""
    at = rng.randrange(1, len(content))
    return content[:at] if rng.random() < 0.8 else content[at:]


def _splice(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """The head of one file on the body of another."""
    at = rng.randrange(1, min(len(content), 4096))
    return content[:at] + other[rng.randrange(len(other)) :]


def _repeat(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """A piece that comes twice, or is missing."""
    first, last = sorted(rng.randrange(len(content)) for _edge in range(2))
    piece = content[first:last]
    return (
        content[:last] + piece * rng.randrange(3) + content[last:]
        if rng.random() < 0.5
        else (content[:first] + content[last:])
    )


def _sizes(content: bytes, _: bytes, rng: random.Random) -> bytes:
    """A whole number of four bytes in the head or the tail that is as large as can be, or odd."""
    changed = bytearray(content)
    for _number in range(rng.choice((1, 3))):
        reach = min(len(changed) - 4, 1024)
        at = rng.randrange(reach) if rng.random() < 0.5 else len(changed) - 4 - rng.randrange(reach)
        number = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x10000))
        changed[at : at + 4] = number.to_bytes(4, rng.choice(("big", "little")))
    return bytes(changed)


_KINDS = (_flip, _head, _tail, _truncate, _splice, _repeat, _sizes)


def write(folder: Path, name: str, content: bytes) -> Path:
    """Put one into a folder."""
    path = folder / name
    path.write_bytes(content)
    return path
