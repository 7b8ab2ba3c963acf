"""What a command line asks of a restoration: options that several commands share, as one value.

Each option is declared once, in `options`. A command that restores has one parameter for all of
them, and `spread` makes its command line:

    @app.command()
    @spread
    def restore(source: options.Input, asked: RestoreOptions, ...) -> None:
        settings = asked.settings(reference=reference)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, get_type_hints

from vidrestore import options
from vidrestore.arguments import (
    parse_bitrate,
    parse_cfr,
    parse_deinterlace,
    parse_ffmpeg_args,
    parse_limits,
    parse_memory,
    parse_rate,
    parse_sigma,
    parse_slow,
    parse_slow_audio,
    parse_tasks,
    parse_time,
)

if TYPE_CHECKING:
    from vidrestore.settings import RestoreSettings


@dataclass(frozen=True)
class RestoreOptions:
    """The options that say how a video is restored, as they were typed; see `options`."""

    task: options.Task = None
    sigma: options.Sigma = "auto"
    strength: options.Strength = 1.0
    steps: options.Steps = None
    seed: options.Seed = 0
    deinterlace: options.Deinterlace = "auto"
    fps: options.Fps = None
    fill: options.Fill = False
    slow: options.Slow = None
    slow_audio: options.SlowAudio = "drop"
    cfr: options.Cfr = None
    device: options.Device = "auto"
    weights: options.WeightsPath = None
    codec: options.Codec = "h264"
    crf: options.Crf = None
    preset: options.Preset = None
    bitrate: options.Bitrate = None
    pix_fmt: options.PixFmt = None
    hardware: options.Hardware = False
    post: options.Post = None
    ffmpeg_args: options.FfmpegArgs = None
    start: options.Start = None
    end: options.End = None
    limits: options.Limits = None
    max_memory: options.MaxMemory = None
    ffmpeg: options.Ffmpeg = None

    def settings(self, **more: Any) -> RestoreSettings:
        """The settings that they make.

        Args:
            more: Fields of `RestoreSettings` that other options decide.

        Returns:
            The settings.

        Raises:
            UsageError: If an option makes no sense.
        """
        from vidrestore.encoders.codecs import EncodeSettings
        from vidrestore.media.timeline import Retiming
        from vidrestore.settings import RestoreSettings

        retiming = Retiming(
            fps=parse_rate(self.fps, "--fps"),
            slow=parse_slow(self.slow),
            cfr=parse_cfr(self.cfr),
        )
        return RestoreSettings(
            tasks=parse_tasks(self.task, timed=self.fill or retiming != Retiming()),
            sigma=parse_sigma(self.sigma),
            strength=self.strength,
            steps=self.steps,
            seed=self.seed,
            device=self.device,
            weights=self.weights,
            encode=EncodeSettings(
                codec=self.codec,
                crf=self.crf,
                preset=self.preset,
                bitrate_bps=parse_bitrate(self.bitrate),
                pix_fmt=self.pix_fmt,
                hardware=self.hardware,
                post=self.post,
                extra=parse_ffmpeg_args(self.ffmpeg_args),
            ),
            start=parse_time(self.start, "--start"),
            end=parse_time(self.end, "--end"),
            ffmpeg=self.ffmpeg,
            retiming=retiming,
            fill=self.fill,
            slow_audio=parse_slow_audio(self.slow_audio),
            deinterlace=parse_deinterlace(self.deinterlace),
            limits=parse_limits(self.limits),
            max_memory_bytes=parse_memory(self.max_memory),
            **more,
        )


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of its parameter of type `RestoreOptions`.

    Args:
        command: A function whose other parameters are options as the parser knows them.

    Returns:
        A function whose parameters are all options.
    """
    hints = get_type_hints(command, include_extras=True)
    shared = get_type_hints(RestoreOptions, include_extras=True)
    parameters: dict[str, inspect.Parameter] = {}
    bundle = ""

    def add(name: str, default: object, annotation: object) -> None:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters[name] = inspect.Parameter(name, kind, default=default, annotation=annotation)

    for name, parameter in inspect.signature(command).parameters.items():
        if hints[name] is not RestoreOptions:
            add(name, parameter.default, hints[name])
            continue
        bundle = name
        for field in fields(RestoreOptions):
            add(field.name, field.default, shared[field.name])

    def called(**given: Any) -> None:
        asked = RestoreOptions(**{name: given.pop(name) for name in shared})
        command(**given, **{bundle: asked})

    update_wrapper(called, command)
    called.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    called.__annotations__ = {name: one.annotation for name, one in parameters.items()}
    return called
