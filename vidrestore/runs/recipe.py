"""What segments are made from, as plain data, and how one is made on its own, anywhere."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import torch

from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.media.clock import Clock
from vidrestore.media.decode import Frame
from vidrestore.media.probe import VideoInfo
from vidrestore.media.timeline import Timeline
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.picture.convert import FrameConverter
from vidrestore.runs.footprint import cores
from vidrestore.runs.journal import Landmark
from vidrestore.runs.resume import Source
from vidrestore.runs.segments import Finished, SegmentWriter, WindowRestorer, write_segments
from vidrestore.settings import RestoreSettings
from vidrestore.timing.fill import Filler
from vidrestore.timing.retime import Resumed, Retimer

BODY_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Number formats that a network may run in, by the names that a journal gives them."""


class Networks:
    """The networks that a run takes, on their device.

    Args:
        settings: Of the run.

    Attributes:
        restorers: Applied one after the other.
        filler: Makes frames; None if none are to be made.
    """

    def __init__(self, settings: RestoreSettings) -> None:
        def network(task: str) -> Restorer:
            tile_px = settings.footprint.tile_px
            return Restorer(task, settings.weights, settings.device, tile_px)

        self.restorers = [network(task) for task in settings.restoring]
        self.filler = (
            Filler(network("interpolate"), settings.steps) if settings.makes_frames else None
        )

    @property
    def all(self) -> list[Restorer]:
        """Every network."""
        return [*self.restorers, *([self.filler.restorer] if self.filler else [])]

    @property
    def names(self) -> tuple[str, ...]:
        """File names of their weights."""
        return tuple(found.path.name for network in self.all for found in network.sets)

    @property
    def sha256(self) -> list[str]:
        """Hashes of their weights."""
        return [found.sha256 for network in self.all for found in network.sets]

    @property
    def warnings(self) -> list[str]:
        """What the user should know of them, each line once."""
        return list(dict.fromkeys(line for network in self.all for line in network.warnings))

    def conditions(self) -> dict[str, Any]:
        """What only rounding depends on, as plain JSON values, but for the encoder's threads."""
        return {
            "device": [str(network.device) for network in self.all],
            "dtype": [network.dtype for network in self.all],
            "torch_threads": torch.get_num_threads(),
            "processor": torch.backends.cpu.get_cpu_capability(),
            "cores": cores(),
        }

    def adopt(self, conditions: Mapping[str, Any]) -> None:
        """Compute under such conditions, as far as that is up to us: threads and number format."""
        torch.set_num_threads(conditions["torch_threads"])
        for network, dtype in zip(self.all, conditions["dtype"], strict=True):
            network.adopt(BODY_DTYPES[dtype])


def adopted(conditions: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """Conditions, and where they can be chosen, those of an earlier run.

    Args:
        conditions: As `Networks.conditions` gives them.
        former: Those of the earlier run.
    """
    dtypes = list(conditions["dtype"])
    known = zip(conditions["device"], former["device"], former["dtype"], strict=False)
    for number, (device, before, dtype) in enumerate(known):
        if device == before and dtype in BODY_DTYPES:
            dtypes[number] = dtype
    chosen = {"dtype": dtypes, "torch_threads": former["torch_threads"]}
    if "encoder_threads" in conditions and "encoder_threads" in former:  # then cores change nothing
        chosen |= {name: former[name] for name in ("encoder_threads", "cores") if name in former}
    return {**conditions, **chosen}


@dataclass(frozen=True)
class Recipe:
    """What the segments of an output are made from; no networks, and nothing that is open.

    Attributes:
        info: The video.
        settings: How it is restored.
        encoding: How each segment is encoded.
        levels: What is wrong with the video.
        timeline: Where frames of the output lie.
        clock: Of the output.
        bad: Times of frames to leave out.
        cuts: Where shots begin; None to look for them.
        end_pts: Where the video ends, in its ticks; None if only its frames tell.
    """

    info: VideoInfo
    settings: RestoreSettings
    encoding: EncodingPlan
    levels: Levels
    timeline: Timeline
    clock: Clock
    bad: frozenset[int]
    cuts: tuple[Fraction, ...] | None
    end_pts: int | None

    def frames(
        self, after: Landmark | None, on_warnings: Callable[[list[str]], None] = lambda _: None
    ) -> Iterator[Frame]:
        """The good frames, their shots told, from a segment's context on, or all of them."""
        source = Source(
            info=self.info,
            ffmpeg=self.encoding.ffmpeg,
            start=self.settings.start,
            end=self.settings.end,
            bad=self.bad,
            cuts=self.cuts,
            context_frames=self.settings.plan.context_frames,
            on_warnings=on_warnings,
            threads=self.settings.footprint.decoder_threads,
        )
        return source.frames() if after is None else source.frames_from(after)

    def restorer(self, networks: Networks) -> WindowRestorer:
        """What restores the frames."""
        return WindowRestorer(
            self.info,
            networks.restorers,
            self.levels,
            steps=self.settings.steps,
            strength=self.settings.strength,
            plan=self.settings.plan,
        )

    def retimer(self, networks: Networks, after: Landmark | None, frames: int = 0) -> Retimer:
        """What puts them onto the timeline.

        Args:
            networks: Make what is missing.
            after: Where the frames go on; None if they are all.
            frames: Of the output that come before.
        """
        resumed = None
        if after is not None:
            resumed = Resumed(frames, after.frames[-2][1] if after.opens_shot else None)
        return Retimer(
            self.info,
            self.timeline,
            networks.filler,
            FrameConverter(self.info),
            self.end_pts,
            repairs=self.settings.fill,
            resumed=resumed,
        )


@dataclass(frozen=True)
class Made:
    """A segment that was made on its own.

    Attributes:
        segment: Its index.
        finished: The file; None if the output has no frame of it.
        made_frames: Frames of it that the source has not.
        drift: Where the colours went, as `DriftGuard` notes it.
        end_pts: Where the last frame of the source ends, in its ticks; holds for the last segment.
        model_s: Seconds spent in the networks.
        flow_s: Seconds spent in optical flow and warping.
        notes: Why it is not bit-identical to what another machine makes.
    """

    segment: int
    finished: Finished | None
    made_frames: int
    drift: tuple[Any, ...]
    end_pts: int | None
    model_s: float
    flow_s: float
    notes: tuple[str, ...] = ()


def make_segment(
    recipe: Recipe,
    networks: Networks,
    begin: Landmark,
    path: Path,
    on_frame: Callable[[Frame], None] = lambda _: None,
) -> Made:
    """Make one segment: decode from where it begins, restore, encode, verify.

    Args:
        recipe: What it is made from.
        networks: Of the recipe's settings.
        begin: Where it begins.
        path: File to write.
        on_frame: Called with each finished frame before it is encoded.

    Returns:
        The segment, as it comes out of a run of all segments.

    Raises:
        VidrestoreError: What any of the stages raised.
    """
    after = begin if begin.position else None
    restorer = recipe.restorer(networks)
    retimer = recipe.retimer(networks, after)
    finished: list[Finished] = []
    writer = SegmentWriter(
        recipe.encoding,
        clock=recipe.clock,
        name=lambda _: path,
        on_finished=lambda segment, _: finished.append(segment),
    )

    def frames() -> Generator[Frame, None, None]:
        yield from recipe.frames(after)

    with closing(frames()) as decoded:
        write_segments(
            decoded,
            restorer,
            retimer,
            writer,
            after=after,
            stop=begin.segment + 1,
            on_frame=on_frame,
            queue_frames=recipe.settings.footprint.queue_frames,
        )
    return Made(
        segment=begin.segment,
        finished=finished[0] if finished else None,
        made_frames=retimer.made_in[begin.segment],
        drift=restorer.drift.noted(begin.segment),
        end_pts=retimer.end_pts,
        model_s=restorer.model_s + retimer.model_s,
        flow_s=retimer.flow_s,
        notes=tuple(networks.warnings),
    )


class Crew(Protocol):
    """Others that make segments for us."""

    def conditions(self, recipe: Recipe, networks: Networks, folder: Path) -> dict[str, Any]:
        """What only rounding depends on where they work; see `Networks.conditions`.

        Args:
            recipe: What they will make segments from.
            networks: Our own, of the same weights.
            folder: Will take what they make.

        Raises:
            VidrestoreError: If they cannot make them.
        """
        ...

    def make(
        self,
        recipe: Recipe,
        conditions: Mapping[str, Any],
        folder: Path,
        begins: Iterator[Landmark],
        on_progress: Callable[[int], None],
    ) -> Iterator[tuple[Made, int | None]]:
        """Make segments.

        Args:
            recipe: What from.
            conditions: To compute under.
            folder: Takes their files.
            begins: Where each begins, in order; drawn as there is room for more work.
            on_progress: Called now and then with the number of frames that are done, but not
                yielded yet.

        Yields:
            Each in order, and the index of the next, or None after the last.

        Raises:
            VidrestoreError: What any of them failed with.
        """
        ...


def settled(made: Made, folder: Path) -> Finished | None:
    """Give a segment's file the name that a run of all segments would, in one step."""
    finished = made.finished
    if finished is None:
        return None
    path = folder / segment_name(made.segment)
    finished.file.path.replace(path)
    return replace(finished, file=replace(finished.file, path=path))


def segment_name(segment: int) -> str:
    """Name of a segment's file in the work folder."""
    return f"segment-{segment:06d}.nut"
