"""How much memory a run needs, and how it is made to need no more than it may.

The sum is made of what is known: frames that wait, the picture as numbers, what the network makes
of a tile, and what ffmpeg holds to decode and to encode. Constants are measured; see
`benchmarks/plan.py`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from math import ceil

from vidrestore.encoders.codecs import ENCODERS, LIKE_INPUT, EncodeSettings
from vidrestore.errors import UsageError
from vidrestore.media.probe import VideoInfo
from vidrestore.network import looks
from vidrestore.network.diffuse import AVERAGED_FROM, USUAL_STEPS, tile_spans
from vidrestore.network.model import MULTIPLE_PX
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.footprint import Footprint, cores
from vidrestore.settings import RestoreSettings
from vidrestore.timing.fill import CANDIDATES, LONGEST_WINDOW_FRAMES, WINDOW_PIXELS
from vidrestore.timing.shots import REACH_FRAMES

MB = 1 << 20

PYTHON_BYTES = 380 * MB
"""This program and its libraries at work, without any frame; and the process that opens files."""

NETWORK_BYTES_PER_PX = 432
"""Of a tile of one frame, in float32: seven times the features at half the resolution."""

CANDIDATE_BYTES_PER_PX = 12 * 4
"""Of a tile of one frame more, for each image to choose from: as they are made, and told."""

DECONVOLUTION_BYTES_PER_PX = 1200
"""Spectra of a frame and its neighbours, by tiles that overlap."""

FUSION_BYTES_PER_PX = 200
"""A frame and a neighbour, its motion, and what both are averaged into."""

RGB_BYTES_PER_PX = 12
FRAME_WORK_BYTES_PER_PX = 24
"""To turn one frame into RGB and back."""

SURVEY_BYTES_PER_PX = 140
"""Of the look at the noise: two frames at a time, and the luma of all."""

FILL_BYTES_PER_PX = 500
"""A missing frame with its candidates, and the motion that it is guessed along."""

FFMPEG_BYTES = 45 * MB
DECODER_FRAMES = 22
"""Frames inside the decoding ffmpeg: references, and its own queues."""

QUEUED_PACKETS = 7
"""Frames fewer that it holds if its queue of packets is made as short as can be."""

THREAD_FRAMES = 10
"""More frames in an ffmpeg that encodes, for each of several threads."""

MARGIN = 1.05
"""What a limit leaves above the sum."""

HANDED_FRAMES = 4
"""Frames in hand between two queues, and in pipes."""


@dataclass(frozen=True)
class Rung:
    """One choice of sizes.

    Attributes:
        window_frames: Frames that the network sees at once.
        overlap_frames: Frames that windows share.
        tile_px: Longest side that it sees at once.
        queue_frames: Frames that may wait before and after the network.
        threads: Of the decoder and of the encoder; None leaves it to them.
        ahead_frames: Frames that the encoder looks ahead; None leaves it to it.
        steps: Of the network, where they are not asked for; None for as many as are worth it.
    """

    window_frames: int
    overlap_frames: int
    tile_px: int
    queue_frames: int
    threads: int | None
    ahead_frames: int | None
    steps: int | None = None


LADDER = (
    Rung(24, 4, 640, 32, None, None),
    Rung(24, 4, 640, 8, None, None),
    Rung(24, 4, 320, 8, None, None),
    Rung(16, 4, 320, 8, 2, 20),
    Rung(12, 3, 320, 4, 2, 20),
    Rung(12, 3, 320, 4, 1, 10),
    Rung(8, 2, 320, 4, 1, 10),
    Rung(6, 1, 320, 2, 1, 8),
    Rung(4, 1, 320, 2, 1, 6),
    Rung(3, 1, 320, 1, 1, 5),
    Rung(2, 1, 320, 1, 1, 5),
    Rung(2, 1, 224, 1, 1, 5),
    Rung(2, 1, 160, 1, 1, 5),
    Rung(2, 1, 160, 1, 1, 5, steps=1),
)
"""From what is fastest to what needs least."""


def within(settings: RestoreSettings, info: VideoInfo) -> RestoreSettings:
    """Choose sizes with which a run keeps its limit.

    Args:
        settings: How the video is restored; without a limit, nothing changes.
        info: The video.

    Returns:
        The settings, with windows, tiles, queues, threads and look-ahead chosen.

    Raises:
        UsageError: If no sizes keep the limit; it names the least that some do.
    """
    limit = settings.max_memory_bytes
    if limit is None:
        return settings
    choices = [applied(settings, rung) for rung in LADDER]
    for choice in choices:
        if peak_bytes(choice, info) * MARGIN <= limit:
            return choice
    least_bytes = MARGIN * min(peak_bytes(choice, info) for choice in choices)
    least = ceil(least_bytes / (MB * 100)) * 100
    raise UsageError(
        f"--max-memory {limit // MB}M is too little for {info.width}x{info.height} video",
        hint=f"--max-memory {least}M or more",
    )


def applied(settings: RestoreSettings, rung: Rung) -> RestoreSettings:
    """Settings with the sizes of a rung, where those that were asked for are not smaller."""
    plan, encode = settings.plan, settings.encode
    windows = plan
    if rung.window_frames < plan.window_frames:
        windows = replace(
            plan,
            window_frames=rung.window_frames,
            overlap_frames=min(plan.overlap_frames, rung.overlap_frames),
        )
    given = settings.footprint
    footprint = Footprint(
        tile_px=min(given.tile_px, rung.tile_px),
        queue_frames=min(given.queue_frames, rung.queue_frames),
        decoder_threads=given.decoder_threads or rung.threads,
    )
    encode = replace(
        encode,
        threads=encode.threads or rung.threads,
        ahead_frames=encode.ahead_frames or rung.ahead_frames,
    )
    steps = settings.steps or rung.steps
    fewer = steps != settings.steps
    footprint = replace(footprint, note=_note(windows, footprint, encode, fewer=fewer))
    return replace(settings, plan=windows, footprint=footprint, encode=encode, steps=steps)


def _note(
    windows: WindowPlan, footprint: Footprint, encode: EncodeSettings, *, fewer: bool
) -> str | None:
    """What the limit has changed; `fewer` if there is but one step."""
    usual = WindowPlan(), Footprint(), EncodeSettings()
    sizes = {
        f"windows of {windows.window_frames} frames": windows != usual[0],
        f"tiles of {footprint.tile_px} pixels": footprint.tile_px != usual[1].tile_px,
        f"queues of {footprint.queue_frames} frames": footprint.queue_frames
        != usual[1].queue_frames,
        f"decoder threads: {footprint.decoder_threads}": footprint.decoder_threads is not None,
        f"encoder threads: {encode.threads}": encode.threads is not None,
        f"an encoder that looks {encode.ahead_frames} frames ahead": encode.ahead_frames
        is not None,
        "a single step": fewer,
    }
    changed = [size for size, differs in sizes.items() if differs]
    return f"to keep --max-memory: {', '.join(changed)}" if changed else None


def peak_bytes(
    settings: RestoreSettings,
    info: VideoInfo,
    frames: int | None = None,
    dtype: str = "float32",
) -> int:
    """The most that a run holds, ffmpeg's processes included; of a GPU's memory nothing.

    Args:
        settings: How the video is restored.
        info: The video.
        frames: Frames that are restored; None for very many.
        dtype: Number format of the network's body.
    """
    parts = (own_bytes, decoder_bytes, encoder_bytes)
    run = sum(part(settings, info, frames, dtype) for part in parts)
    return max(run, survey_bytes(info))


def frame_bytes(info: VideoInfo) -> int:
    """Size of a decoded frame."""
    samples = sum(height * width for height, width in info.plane_shapes)
    return samples * (1 if info.bit_depth == 8 else 2)


def survey_bytes(info: VideoInfo) -> int:
    """The most that looking at the noise takes."""
    px = info.width * info.height
    return (
        PYTHON_BYTES
        + px * SURVEY_BYTES_PER_PX
        + FFMPEG_BYTES
        + _decoder_frames(None) * frame_bytes(info)
    )


def own_bytes(
    settings: RestoreSettings,
    info: VideoInfo,
    frames: int | None = None,
    dtype: str = "float32",
) -> int:
    """The most that this process holds; arguments as for `peak_bytes`."""
    windows, footprint = settings.plan, settings.footprint
    length, px = min(windows.window_frames, frames or sys.maxsize), info.width * info.height
    waiting = 2 * footprint.queue_frames + REACH_FRAMES + 2 * windows.context_frames
    waiting = min(waiting + length + HANDED_FRAMES, frames or sys.maxsize)
    held = waiting * frame_bytes(info)
    copies = 2 * length + windows.overlap_frames  # the picture, the residual, and what overlaps
    steps = [(task, settings.steps or USUAL_STEPS.get(task, 1)) for task in settings.restoring]
    # What has been made so far; weights of the user's own may have no second look, but steps.
    if len(steps) > 1 or settings.weights is not None:
        copies += 2 * length
    elif any(count > 1 for _, count in steps):
        copies += length
    if any(count > AVERAGED_FROM.get(task, count) for task, count in steps):
        copies += length
    if info.interlaced:
        copies += 2 * length
    if info.width % MULTIPLE_PX or info.height % MULTIPLE_PX:
        copies += length
    tile_px = 1
    for side_px in (_padded(info.width), _padded(info.height)):
        tile_px *= max(stop - start for start, stop in tile_spans(side_px, footprint.tile_px))
    if max(info.width, info.height) > footprint.tile_px:
        tile_px += tile_px // 8  # its residual, weighed
    network_px_bytes = NETWORK_BYTES_PER_PX // (1 if dtype == "float32" else 2)
    on_host = settings.device in ("auto", "cpu")
    network = length * tile_px * network_px_bytes if on_host else 0
    network += tile_px * max((_shown_bytes(*each, length) for each in steps), default=0)
    rgb = copies * px * RGB_BYTES_PER_PX
    work = length * frame_bytes(info) + FRAME_WORK_BYTES_PER_PX * px
    if settings.makes_frames:
        made = max(1, min(LONGEST_WINDOW_FRAMES, WINDOW_PIXELS // px))
        channels = 4 * CANDIDATES
        rgb += made * px * (FILL_BYTES_PER_PX + 4 * channels)
        network = max(network, made * tile_px * (network_px_bytes + 16 * channels))
    return PYTHON_BYTES + held + rgb + max(network, work)


def _shown_bytes(task: str, steps: int, frames: int) -> int:
    """For each pixel of a tile: what the network is shown beside a window, and how it is made."""
    if task not in looks.CANDIDATES or (steps == 1 and task != "deblur"):
        return 0
    shown = (looks.CANDIDATES[task] + 1) * CANDIDATE_BYTES_PER_PX  # and what it begins with
    made = FUSION_BYTES_PER_PX if task in ("denoise", "deblock") else DECONVOLUTION_BYTES_PER_PX
    return frames * shown + made


def decoder_bytes(
    settings: RestoreSettings,
    info: VideoInfo,
    frames: int | None = None,
    dtype: str = "float32",
) -> int:
    """The most that the decoding ffmpeg holds; arguments as for `peak_bytes`."""
    threads = settings.footprint.decoder_threads
    held = min(_decoder_frames(threads), frames or sys.maxsize)
    return FFMPEG_BYTES + held * frame_bytes(info)


def encoder_bytes(
    settings: RestoreSettings,
    info: VideoInfo,
    frames: int | None = None,
    dtype: str = "float32",
) -> int:
    """The most that the encoding ffmpeg holds; arguments as for `peak_bytes`."""
    encode = settings.encode
    codec = info.codec if encode.codec == LIKE_INPUT else encode.codec
    name = ENCODERS[codec][0].name if codec in ENCODERS else codec
    own, per_ahead, ahead = _ENCODER_FRAMES.get(name, (30, 0.0, 0))
    if encode.ahead_frames is not None:
        ahead = min(ahead, encode.ahead_frames)
    threads = encode.threads or cores()
    if threads > 1:
        own += THREAD_FRAMES * threads
    if encode.threads == 1:
        own -= QUEUED_PACKETS
    ahead = min(ahead, frames or sys.maxsize)
    held = round((own + per_ahead * ahead) * frame_bytes(info))
    return FFMPEG_BYTES + _ENCODER_BYTES.get(name, 0) + held


_ENCODER_FRAMES = {
    "libx264": (40, 2.2, 40),
    "libx265": (75, 2.5, 20),
    "libsvtav1": (130, 2.3, 40),
}
"""Frames that an encoder holds by itself and for each that it looks ahead; how many that are."""

_ENCODER_BYTES = {"libsvtav1": 35 * MB}
"""What an encoder holds for pictures of any size."""


def _padded(length_px: int) -> int:
    return length_px + -length_px % MULTIPLE_PX


def _decoder_frames(threads: int | None) -> int:
    """One thread for each core, and one frame for each thread."""
    if threads is None:
        return DECODER_FRAMES + 2 * min(16, cores())
    return DECODER_FRAMES - QUEUED_PACKETS + 2 * (threads - 1)
