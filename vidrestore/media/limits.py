"""How much an unknown file may ask for before anybody has decided to trust it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from vidrestore.errors import InputError, UsageError

if TYPE_CHECKING:
    from av.container import InputContainer

_LEAST = {"pixels": 1, "streams": 1, "seconds": 1, "memory": 256 << 20}


@dataclass(frozen=True)
class Limits:
    """Bounds on what a file may hold and on what it may cost to find that out.

    Attributes:
        pixels: Of a frame; the default lets 16K pass.
        streams: Of a container; subtitles' fonts count.
        seconds: Wall-clock time of looking into a file.
        memory: Address space in bytes of the process that looks into it.
    """

    pixels: int = 1 << 27
    streams: int = 500
    seconds: int = 20
    memory: int = 2 << 30

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could be opened.

        Raises:
            UsageError: If one is too low.
        """
        for field in fields(self):
            value, least = getattr(self, field.name), _LEAST[field.name]
            if not least <= value < 1 << 62:
                raise UsageError(
                    f"--limits {field.name}={value} is out of range",
                    hint=f"use {least} or more",
                )

    @property
    def decoder_options(self) -> dict[str, str]:
        """Options that make a decoder refuse larger frames itself, its own margins left to it."""
        return {"max_pixels": str(min(2 * self.pixels + (1 << 20), (1 << 31) - 1))}

    def demand_pixels(self, name: object, width: int, height: int) -> None:
        """Refuse frames that are too large.

        Args:
            name: Of the file.
            width: Of a frame in pixels, as the file claims.
            height: Likewise.

        Raises:
            InputError: If they are.
        """
        if width * height > self.pixels:
            raise InputError(
                f"{name} claims frames of {width}x{height}, more than {self.pixels} pixels",
                hint=f"--limits pixels={width * height} if you trust the file",
            )

    def demand(self, name: object, container: InputContainer) -> None:
        """Refuse a container of too many streams or too large frames.

        Args:
            name: Of the file.
            container: What has been opened.

        Raises:
            InputError: If it goes beyond a limit.
        """
        count = len(container.streams)
        if count > self.streams:
            raise InputError(
                f"{name} has {count} streams, more than {self.streams}",
                hint=f"--limits streams={count} if you trust the file",
            )
        for video in container.streams.video:
            if video.codec_context is not None:  # else nothing can decode it
                self.demand_pixels(name, video.width, video.height)
