"""Break the timeline of intact clips at known places, and count what is found again.

    python benchmarks/broken_timeline.py CLIPS... [--seed 0 [--seed 1 ...]] [--frames 600]
        [--width 640] [--crf 23] [--sigma 0] [--hold 1] [--keep FOLDER]

Each clip is encoded by x264 as it is, and broken once per seed. Of every 20 places 10 are drops
(half of them holes in the timestamps, half filled by the frame before), 5 freezes of 2 to 8 frames,
3 corrupt frames (one by damaged bytes, one green, one with a grey band), 2 gaps of 2 to 8 frames. A
clip too short for 20 places gets fewer, and no place lies where nothing moves: there nothing is
lost. A place counts as found if all of its frames are to be made anew, a freeze if at least half of
them are. A false repair is a frame made anew that is intact.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.media.probe import probe
from vidrestore.timing.damage import find_damage

Picture = NDArray[np.uint8]
"""One frame in yuv420p, planes below one another, (H * 3/2, W)."""

KINDS = (*("hole", "repeat") * 5, *("freeze",) * 5, "corrupt", "green", "band", *("gap",) * 2)
FREEZE_SHARE = 0.5
LEAST_SPACING = 16
"""Frames between the starts of two places: the longest run, and intact ones to judge it by."""
LEAST_CELL = 20
LEAST_CHANGE = 1.0
"""8-bit codes between frames, in their busiest twentieth, where something moves."""
MARGIN = 8
LEAST_TICKS = 10_000
"""Of the time base, per second."""


@dataclass(frozen=True)
class Place:
    """A run of broken frames, by index in the intact clip."""

    kind: str
    first: int
    count: int

    @property
    def frames(self) -> range:
        """Indices of its frames."""
        return range(self.first, self.first + self.count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, action="append", help="more than once: as often")
    parser.add_argument("--frames", type=int, default=600, help="most frames of a clip")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--crf", type=int, default=23)
    parser.add_argument("--sigma", type=float, default=0.0, help="noise added first, 8-bit units")
    parser.add_argument("--hold", type=int, default=1, help="show every frame this many times")
    parser.add_argument("--keep", type=Path, help="folder for the clips made")
    options = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        for clip in options.clips:
            for result in measure(clip, folder, options):
                results.append(result)
                print(result, flush=True)
    for seed in seeds(options):
        print(f"seed {seed}: {summary([result for result in results if result.seed == seed])}")
    placed = Counter(place.kind for result in results for place in result.places)
    missed = Counter(place.kind for result in results for place in result.missed)
    for kind, count in placed.items():
        print(f"{kind}: found {count - missed[kind]} of {count}")
    print(f"all: {summary(results)}")
    share = sum(len(result.wrong) for result in results) / sum(result.frames for result in results)
    print(f"false repairs: {1000 * share:.2f} per 1,000 frames of intact clips")


def seeds(options: argparse.Namespace) -> list[int]:
    """What the places are drawn by."""
    return options.seed or [0]


@dataclass(frozen=True)
class Result:
    """One clip: the places, those not found, and the intact frames that would be made anew."""

    clip: str
    seed: int
    frames: int
    places: list[Place]
    missed: list[Place]
    wrong: set[int]
    extra: set[int]

    def __str__(self) -> str:
        found = len(self.places) - len(self.missed)
        lines = [
            f"{self.clip}, seed {self.seed}: found {found} of {len(self.places)}; "
            f"false repairs: {len(self.wrong)} in {self.frames} frames of the intact clip, "
            f"{len(self.extra)} in the broken one",
            *(f"  missed {place}" for place in self.missed),
            *(f"  false, intact: frame {index}" for index in sorted(self.wrong)),
            *(f"  false, broken: frame {index}" for index in sorted(self.extra)),
        ]
        return "\n".join(lines)


def summary(results: Iterable[Result]) -> str:
    """How many places were found."""
    placed = missed = 0
    for result in results:
        placed, missed = placed + len(result.places), missed + len(result.missed)
    return f"found {placed - missed} of {placed} ({(placed - missed) / max(placed, 1):.1%})"


def measure(clip: Path, folder: Path, options: argparse.Namespace) -> Iterator[Result]:
    """Encode a clip intact and, for every seed, broken; look for the damage in all of them."""
    pictures, rate = read(clip, options.frames, options.width)
    pictures = held(with_noise(pictures, options.sigma), options.hold)
    whole, broken = folder / f"{clip.stem}-intact.mp4", folder / f"{clip.stem}-broken.mp4"
    encode(pictures, rate, [], whole, options.crf)
    wrong = repaired(whole, rate)
    for seed in seeds(options):
        places = plan(pictures, seed)
        encode(pictures, rate, places, broken, options.crf)
        again = repaired(broken, rate)
        yield Result(
            clip=clip.stem,
            seed=seed,
            frames=len(pictures),
            places=places,
            missed=[place for place in places if not is_found(place, again)],
            wrong=wrong,
            extra=again - {index for place in places for index in place.frames},
        )


def read(path: Path, most: int, width: int) -> tuple[list[Picture], Fraction]:
    """The first frames of a clip, scaled down to `width`, and its frame rate."""
    pictures: list[Picture] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in islice(container.decode(stream), most):
            across = min(width, frame.width) // 4 * 4
            down = round(frame.height * across / frame.width / 4) * 4
            small = frame.reformat(across, down, format="yuv420p", interpolation="AREA")
            pictures.append(small.to_ndarray().astype(np.uint8))
        rate = stream.average_rate or Fraction(25)
    return pictures, rate.limit_denominator(1001)


def with_noise(pictures: Iterable[Picture], sigma: float) -> list[Picture]:
    """Add fresh noise to the luma of every frame."""
    rng = np.random.default_rng(0)
    noisy = []
    for picture in pictures:
        height = len(picture) * 2 // 3
        grain = rng.normal(0, sigma, (height, picture.shape[1])) if sigma else np.zeros(1)
        luma = np.clip(picture[:height] + grain, 16, 235).round().astype(np.uint8)
        noisy.append(np.vstack([luma, picture[height:]]))
    return noisy


def held(pictures: Sequence[Picture], times: int) -> list[Picture]:
    """Animation on twos or threes: every `times`-th frame, shown that often."""
    return [pictures[index // times * times] for index in range(len(pictures))]


def plan(pictures: Sequence[Picture], seed: int) -> list[Place]:
    """Spread the places evenly, each somewhere in its cell where something moves, if it does."""
    rng = random.Random(seed)
    moving = [False, *(moves(*pair) for pair in pairwise(pictures))]
    count = min(len(KINDS), (len(pictures) - 2 * MARGIN) // LEAST_CELL)
    cell = (len(pictures) - 2 * MARGIN) // max(count, 1)
    places = []
    for index, kind in enumerate(rng.sample(KINDS, count)):
        length = rng.randint(2, 8) if kind in {"freeze", "gap"} else 1
        starts = range(MARGIN + index * cell, MARGIN + (index + 1) * cell - LEAST_SPACING + 1)
        visible = [first for first in starts if all(moving[first : first + length + 1])]
        if visible:
            places.append(Place(kind, rng.choice(visible), length))
    return places


def moves(before: Picture, after: Picture) -> bool:
    """Whether one frame can be told from the other: a still shot has nothing to lose."""
    luma = [picture[: len(picture) * 2 // 3].astype(np.float32) for picture in (before, after)]
    change = cv2.resize(np.abs(luma[1] - luma[0]), (40, 24), interpolation=cv2.INTER_AREA)
    return bool(np.quantile(change, 0.95) >= LEAST_CHANGE)


def encode(
    pictures: Sequence[Picture], rate: Fraction, places: Sequence[Place], path: Path, crf: int
) -> None:
    """Write the clip, broken at the places given."""
    finer = -(-LEAST_TICKS // rate.numerator)
    ticks = rate.denominator * finer
    broken = {index: place for place in places for index in place.frames}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = pictures[0].shape[1], len(pictures[0]) * 2 // 3
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = 1 / (rate * ticks)
        stream.codec_context.options = {"crf": str(crf), "preset": "fast", "threads": "1"}
        hurt = {place.first * ticks for place in places if place.kind == "corrupt"}
        for index in range(len(pictures)):
            picture = shown(pictures, index, broken.get(index))
            if picture is None:
                continue
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index * ticks, stream.time_base
            if {index * ticks, (index - 1) * ticks} & hurt:  # damage ends at the next keyframe
                frame.pict_type = av.video.frame.PictureType.I
            for packet in stream.encode(frame):
                container.mux(damaged(packet) if packet.pts in hurt else packet)
        for packet in stream.encode():
            container.mux(damaged(packet) if packet.pts in hurt else packet)


def shown(pictures: Sequence[Picture], index: int, place: Place | None) -> Picture | None:
    """What the broken clip shows at an index; None for no frame at all."""
    picture = pictures[index]
    height = len(picture) * 2 // 3
    match place.kind if place else "":
        case "hole" | "gap":
            return None
        case "repeat" | "freeze":
            assert place is not None
            return pictures[place.first - 1]
        case "green":
            return np.zeros_like(picture)
        case "band":
            grey = picture.copy()
            rows = slice(height // 2 // 16 * 16, height // 2 // 16 * 16 + 64)
            grey[rows] = 128
            for plane in np.split(grey[height:].reshape(-1, picture.shape[1] // 2), 2):
                plane[rows.start // 2 : rows.stop // 2] = 128
            return grey
    return picture


def damaged(packet: Packet[Any]) -> Packet[Any]:
    """The packet with its second half overwritten."""
    content = bytearray(bytes(packet))
    half = len(content) // 2
    content[half:] = random.Random(len(content)).randbytes(len(content) - half)
    copy: Packet[Any] = Packet(bytes(content))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    copy.duration, copy.stream, copy.is_keyframe = (
        packet.duration,
        packet.stream,
        packet.is_keyframe,
    )
    return copy


def repaired(path: Path, rate: Fraction) -> set[int]:
    """Indices of the frames that would be made anew."""
    info = probe(path)
    damage = find_damage(info, find_ffmpeg())
    return {round((pts - info.start_pts) * info.time_base * rate) for pts in damage.missing}


def is_found(place: Place, again: set[int]) -> bool:
    """Whether the frames to be made anew are those of the place."""
    hits = sum(index in again for index in place.frames)
    return hits >= place.count * (FREEZE_SHARE if place.kind == "freeze" else 1)


if __name__ == "__main__":
    main()
