"""A test clip from any video: degraded on purpose, everything else as it was.

Frames are degraded as RGB, and what changes is added to the planes that were decoded, as in a
restoration. They pass through in small blocks, so memory does not grow with the clip. Frames that
get lost are not written, so their timestamps are really missing; frames that are held are the same
planes again. Where the spec ends in a video encoder, that encoder writes the file: its artefacts
are those of a real stream, and are not encoded a second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch

import vidrestore
from vidrestore.containers.check import OutputCheck
from vidrestore.containers.metadata import read_tags
from vidrestore.containers.mux import MuxResult, mux, publish
from vidrestore.containers.sequence import LOSSLESS_CODEC, holds_frames_only, home
from vidrestore.degrade.coding import PRESET, VideoCodec
from vidrestore.degrade.degradation import Degradation
from vidrestore.degrade.mixture import Mixture, parts_of
from vidrestore.degrade.transport import CorruptFrames, HeldFrames, LostFrames, MissingFrames
from vidrestore.encoders.codecs import LIKE_INPUT, EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import InputError, OutputError, UsageError
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.media.inspection import inspect
from vidrestore.media.limits import Limits
from vidrestore.media.probe import VideoInfo
from vidrestore.picture.convert import FrameConverter
from vidrestore.runs.pipeline import check_target
from vidrestore.runs.segments import Progress
from vidrestore.runs.workfolder import WorkFolder
from vidrestore.settings import RestoreSettings

BLOCK_FRAMES = 4
"""Frames that are degraded together where they need neighbours; at least as many as they need."""
NEAR_LOSSLESS_AV1 = 4
_CODEC_OF = {"x264": "h264", "x265": "hevc"}


@dataclass(frozen=True)
class DegradeSettings:
    """How a test clip is made.

    Attributes:
        degradation: What is done to the video.
        seed: Non-negative; decides everything random.
        codec: As in `EncodeSettings`; None keeps what was done to the picture as it is: ffv1 in
            Matroska, x264 at crf 0 in MP4 and MOV.
        crf: Quality of the encoder; None is the codec's own choice, or lossless without a codec.
        overwrite: Replace an existing output.
        framerate: Frames per second of a folder of images.
        limits: What the input may ask for; None for the defaults.
        ffmpeg: Another ffmpeg than the bundled one.
    """

    degradation: Degradation
    seed: int = 0
    codec: str | None = None
    crf: int | None = None
    overwrite: bool = False
    framerate: Fraction | None = None
    limits: Limits | None = None
    ffmpeg: str | None = None


@dataclass(frozen=True)
class DegradeResult:
    """What was done to a video.

    Attributes:
        info: The input.
        output: The finished file.
        degradation: The spec in normal form, in the order in which it was applied.
        seed: Of everything random.
        encoder: ffmpeg's name of the encoder of the video.
        options: What it was told.
        lossless: Whether the file holds exactly what was made.
        frames_in: Frames of the input.
        missing: Indices of those that are not in the output.
        held: Indices of those that show the one before.
        check: The finished file against its plan.
        comment: What the file's comment says.
        wall_s: Seconds that it took.
        warnings: Everything that the user should know.
    """

    info: VideoInfo
    output: Path
    degradation: str
    seed: int
    encoder: str
    options: dict[str, str]
    lossless: bool
    frames_in: int
    missing: tuple[int, ...]
    held: tuple[int, ...]
    check: OutputCheck
    comment: str
    wall_s: float
    warnings: tuple[str, ...]


def degrade_video(
    source: Path,
    output: Path,
    settings: DegradeSettings,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> DegradeResult:
    """Make a test clip.

    Args:
        source: Video file, or folder of numbered images.
        output: File to write; it appears whole and checked, or not at all.
        settings: How.
        on_progress: Called after each frame.

    Returns:
        What was done.

    Raises:
        VidrestoreError: One of its subclasses, each with a remedy.
    """
    start_s = time.monotonic()
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    info = inspect(source, settings.framerate, settings.limits)
    plan = _plan(info, output, settings, ffmpeg)
    check_target(info, output, plan.codec, RestoreSettings(overwrite=settings.overwrite))
    spoiler = Spoiler(FrameConverter(info), settings.degradation, settings.seed)
    comment = _comment(settings)
    with WorkFolder.of(home(output)) as work:
        if any(path.name.startswith("journal") or path == work.search for path in work.contents):
            raise OutputError(
                f"{work.path.name} holds the unfinished work of another run",
                hint="finish that, remove it with `vidrestore clean`, or name another output",
            )
        work.clear()  # what a test clip that was killed has left
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # on planes, threads wait for each other longer than they work
        try:
            with (
                Decoder(info, ffmpeg=ffmpeg) as decoded,
                SegmentEncoder(plan, work.path / "segment-degraded.nut") as encoder,
            ):
                pts = []
                for done, frame in spoiler.frames(decoded):
                    encoder.write(frame)
                    pts.append(frame.pts)
                    on_progress(Progress(done, info.frames))
                if not pts:
                    raise InputError("there is no frame to degrade", hint="name another input")
                segment = encoder.close()
            told = {"comment": _with_former(comment, info)}
            muxed = mux(
                plan.video, [segment], pts, output, ffmpeg=ffmpeg, work=work.path, told=told
            )
            publish(muxed.path, output, overwrite=settings.overwrite)
        finally:
            torch.set_num_threads(threads)
            work.discard()
    return DegradeResult(
        info=info,
        output=output,
        degradation=str(settings.degradation),
        seed=settings.seed,
        encoder=plan.encoder.name,
        options=dict(plan.options),
        lossless=_is_lossless(plan),
        frames_in=spoiler.seen,
        missing=tuple(spoiler.missing),
        held=tuple(spoiler.held),
        check=muxed.check,
        comment=comment,
        wall_s=time.monotonic() - start_s,
        warnings=(*decoded.warnings, *_warnings(plan, muxed, settings.degradation)),
    )


class Spoiler:
    """Degrades the frames of one video as they come.

    Args:
        converter: Of the video's frames.
        degradation: What to do; its encoder, if it has one, is left to the output.
        seed: Of everything random.

    Attributes:
        seen: Frames so far.
        missing: Indices of frames that were left out.
        held: Indices of frames that show the one before.
    """

    def __init__(self, converter: FrameConverter, degradation: Degradation, seed: int) -> None:
        whole = (VideoCodec, MissingFrames, LostFrames, HeldFrames)
        parts = parts_of(degradation)
        self._converter = converter
        self._seed = seed
        self._degradation = degradation
        self._pixels = Mixture(tuple(part for part in parts if not isinstance(part, whole)))
        self._holding = [part for part in parts if isinstance(part, HeldFrames)]
        self.seen = 0
        self.missing: list[int] = []
        self.held: list[int] = []

    def frames(self, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
        """Yield each frame of the output, and how many frames of the input it took."""
        shown: Frame | None = None
        for index, frame in enumerate(self._spoilt(frames)):
            self.seen = index + 1
            if shown is not None and any(part.held(index) for part in self._holding):
                frame = replace(frame, planes=shown.planes)
                self.held.append(index)
            shown = frame
            if self._degradation.known(1, self._seed, index)[0]:
                yield index + 1, frame
            else:
                self.missing.append(index)

    def _spoilt(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """All frames, with what is done to their pixels."""
        if not self._pixels.parts:
            yield from frames
            return
        reach = self._pixels.context_frames
        assert reach is not None, "encoders are left to the output"
        size = max(BLOCK_FRAMES, reach) if reach else 1
        waiting: list[Frame] = []  # up to `reach` that are done, then those that are not
        done = first = 0
        for frame in frames:
            waiting.append(frame)
            if len(waiting) == done + size + reach:
                yield from self._block(waiting, done, done + size, first)
                kept = min(reach, done + size)
                first += done + size - kept
                waiting, done = waiting[done + size - kept :], kept
        yield from self._block(waiting, done, len(waiting), first)

    def _block(self, frames: list[Frame], start: int, stop: int, first: int) -> Iterator[Frame]:
        """Frames start to stop of some neighbours, of which the first has the index `first`."""
        if start == stop:
            return
        rgb = self._converter.window(frames)
        clean = rgb.permute(0, 2, 3, 1).contiguous().numpy()
        spoilt, _ = self._pixels.apply(clean, self._seed, first)
        change = torch.from_numpy(spoilt).permute(0, 3, 1, 2) - rgb
        for index in range(start, stop):
            yield self._converter.add(frames[index], change[index].contiguous())


def _plan(info: VideoInfo, output: Path, settings: DegradeSettings, ffmpeg: str) -> EncodingPlan:
    """How the output is encoded: by the encoder of the spec, as asked for, or without loss."""
    parts = parts_of(settings.degradation)
    encoders = [part for part in parts if isinstance(part, VideoCodec)]
    lost = [part for part in parts if isinstance(part, MissingFrames | LostFrames)]
    if lost and holds_frames_only(output):
        raise UsageError(
            f"{output.suffix} has no timestamps, so {lost[0]} would leave no trace",
            hint="let OUT end in .mkv",
        )
    asked = settings.codec is not None or settings.crf is not None
    if len(encoders) > 1:
        raise UsageError(
            f"a file is encoded once, not by {' and '.join(map(str, encoders))}",
            hint="degrade twice, the second time with the second encoder",
        )
    if encoders and (asked or holds_frames_only(output)):
        what = "--codec and --crf contradict" if asked else f"{output.suffix} cannot hold"
        raise UsageError(f"{what} {encoders[0]}", hint="let OUT end in .mkv, without either option")
    if not encoders:
        return plan_encoding(info, _faithful(output, settings), ffmpeg)
    (encoder,) = encoders
    if encoder.kind == "mpeg2":
        mpeg2 = replace(info, codec="mpeg2video", profile=None, bitrate_bps=None)
        try:
            return plan_encoding(mpeg2, EncodeSettings(LIKE_INPUT, crf=encoder.quality), ffmpeg)
        except UsageError as error:  # it speaks of options that nobody gave
            raise UsageError(
                f"{encoder} cannot encode this video: {error}",
                hint="MPEG-2 knows few frame rates: use x264, or a video of 24, 25, 30, 50 or 60",
            ) from error
    codec = _CODEC_OF[encoder.kind]
    return plan_encoding(info, EncodeSettings(codec, encoder.quality, PRESET), ffmpeg)


def _faithful(output: Path, settings: DegradeSettings) -> EncodeSettings:
    """Settings that keep what was made, unless others are asked for."""
    if holds_frames_only(output):
        return EncodeSettings(LOSSLESS_CODEC)
    if settings.codec is not None:
        return EncodeSettings(settings.codec, settings.crf)
    if settings.crf is not None:
        return EncodeSettings(crf=settings.crf)
    suffix = output.suffix.lower()
    if suffix == ".webm":
        return EncodeSettings("av1", NEAR_LOSSLESS_AV1)
    return EncodeSettings("ffv1") if suffix == ".mkv" else EncodeSettings("h264", 0)


def _is_lossless(plan: EncodingPlan) -> bool:
    kept = plan.pix_fmt == plan.source.plane_format
    crf = plan.encoder.name == "libx264" and plan.options.get("crf") == "0"
    return kept and (plan.encoder.name == "ffv1" or (crf and plan.video.bit_depth == 8))


def _comment(settings: DegradeSettings) -> str:
    version = vidrestore.__version__
    return f"degraded by vidrestore {version}: {settings.degradation}; seed {settings.seed}"


def _with_former(comment: str, info: VideoInfo) -> str:
    """The comment behind that of the source."""
    former = None
    if info.image_pattern is None:
        former = read_tags(*info.source).whole.get("comment")
    return comment if not former else f"{former}; {comment}"


def _warnings(plan: EncodingPlan, muxed: MuxResult, degradation: Degradation) -> Iterator[str]:
    yield from plan.warnings
    yield from dict.fromkeys(map(str, plan.losses))
    yield from muxed.warnings
    parts = parts_of(degradation)
    coded = [part for part in parts if isinstance(part, VideoCodec)]
    damage = [part for part in parts if isinstance(part, CorruptFrames)]
    if coded and damage:
        yield f"{damage[0]} is in the pictures that {coded[0]} was given, not in its stream"
    if plan.source.field_order is not None:
        yield "the video is interlaced: its frames were degraded as they are, both fields together"
