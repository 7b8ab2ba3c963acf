"""How a video is to be restored: everything that a user can ask for, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vidrestore.containers.carry import Audio
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import UsageError
from vidrestore.media.limits import Limits
from vidrestore.media.timeline import Rate, Retiming
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.footprint import Footprint


@dataclass(frozen=True)
class RestoreSettings:
    """How a video is restored.

    Attributes:
        tasks: What to do, in order; each needs weights. "auto" chooses. "interpolate" alone asks
            for twice the frames; it is implied by whatever needs frames that are not there.
        sigma: Noise level in 8-bit units; None to estimate it.
        strength: Share of the model's residual that is applied, 0 to 1.
        steps: Reverse diffusion steps K; None for as many as are worth it.
        seed: Seeds every random draw.
        device: "auto", "cpu", "cuda" or "mps".
        weights: File or folder of weights; None for those of the package.
        encode: Codec and quality of the output.
        start: First frame, as an index or in seconds; None for the beginning.
        end: One past the last frame, likewise; None for the end.
        framerate: Frames per second of a folder of images.
        overwrite: Replace an existing output.
        resume: Go on with what an earlier run of the same kind has left unfinished.
        keep_work: Keep the finished parts after success, too.
        ffmpeg: Path of the ffmpeg executable; None for the default.
        reference: The clean version of the video, to score against.
        compare: Also write a video with the input on the left and the result on the right.
        self_test: Degrade the result again, restore that, and score it against the result.
        retiming: The output's frame rate and speed.
        fill: Find what is broken in time and make the missing frames.
        cuts: List of cuts (CSV of PySceneDetect) to use instead of looking for them.
        write_cuts: File to write such a list into.
        slow_audio: "drop" or "stretch" the sound in slow motion.
        deinterlace: Whether fields become frames: "auto" (if the video is interlaced), "on", or
            "off", which restores interlaced video field by field.
        latency: How many frames a pipe looks ahead, "normal" or "low".
        limits: What an input may hold and cost before it is trusted.
        max_memory_bytes: The most main memory that the run and its ffmpegs may hold; None for no
            limit.
        footprint: Sizes that such a limit changes; see `memory`.
        plan: How the stream is cut into segments and windows.
    """

    tasks: tuple[str, ...] = ("auto",)
    sigma: float | None = None
    strength: float = 1.0
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    weights: Path | None = None
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    start: int | Fraction | None = None
    end: int | Fraction | None = None
    framerate: Fraction | None = None
    overwrite: bool = False
    resume: bool = True
    keep_work: bool = False
    ffmpeg: str | None = None
    reference: Path | None = None
    compare: Path | None = None
    self_test: bool = False
    retiming: Retiming = field(default_factory=Retiming)
    fill: bool = False
    cuts: Path | None = None
    write_cuts: Path | None = None
    slow_audio: Audio = "drop"
    deinterlace: Literal["auto", "on", "off"] = "auto"
    latency: Literal["normal", "low"] = "normal"
    limits: Limits = field(default_factory=Limits)
    max_memory_bytes: int | None = None
    footprint: Footprint = field(default_factory=Footprint)
    plan: WindowPlan = field(default_factory=WindowPlan)

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            UsageError: If one is out of range.
        """
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"--steps {self.steps} is too few", hint="use 1 or more")
        if not 0 <= self.strength <= 1:
            raise UsageError(f"--strength {self.strength} is out of range", hint="use 0 to 1")
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"--sigma {self.sigma:g} is out of range",
                hint="use auto, or 0 to 255 in 8-bit units",
            )

    @property
    def restoring(self) -> tuple[str, ...]:
        """Tasks that restore frames that are there, by the names of their weights."""
        named = [task for task in self.tasks if task != "interpolate"]
        return tuple("denoise" if task == "auto" else task for task in named)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the weights that a run takes, unless "auto" chooses others."""
        return (*self.restoring, *(("interpolate",) if self.makes_frames else ()))

    @property
    def wanted(self) -> Retiming:
        """What is asked of time, with what `tasks` implies."""
        if "interpolate" in self.tasks and self.retiming == Retiming() and not self.fill:
            return Retiming(fps=Rate(Fraction(2), relative=True))
        return self.retiming

    @property
    def makes_frames(self) -> bool:
        """Whether frames may be needed that the source has not."""
        asked = self.wanted
        return self.fill or asked.fps is not None or (asked.slow != 1 and asked.cfr is None)
