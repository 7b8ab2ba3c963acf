"""What a run cannot keep of the user's file, said where it is decided."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """Something that is lost or changed without having been asked for, and why.

    Whoever decides it returns one, so that the user is warned and the receipt counts it as
    announced.

    Attributes:
        subject: What it befalls, as the receipt names it: "stream 3", "chapters", "alpha",
            "rotation", "tag:major title", "side data:mastering-display". A stream has the index
            that it has in the source.
        reason: The warning: one line that stands by itself and has no full stop, such as "the
            alpha channel is dropped: prores cannot hold it".
    """

    subject: str
    reason: str

    def __str__(self) -> str:
        """The warning line."""
        return self.reason
