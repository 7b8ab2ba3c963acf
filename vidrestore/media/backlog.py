"""Packets that wait for the picture: sound is read at once, restoring takes its time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidrestore.errors import InputError

if TYPE_CHECKING:
    import av

LIMIT_BYTES = 256 << 20


class Backlog:
    """Packets in the order they came, between one thread and another.

    Args:
        waits: Whether a writer waits while there is too much. It must not if the picture comes
            through the same pipe, and would then wait for the writer: too much is then an error.
        limit_bytes: How much is too much.
    """

    def __init__(self, *, waits: bool, limit_bytes: int = LIMIT_BYTES) -> None:
        self._waits = waits
        self._limit_bytes = limit_bytes
        self._packets: deque[tuple[Fraction, av.Packet[Any]]] = deque()
        self._bytes = 0
        self._latest_s = Fraction(0)
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, packet: av.Packet[Any]) -> bool:
        """Add a packet.

        Args:
            packet: Of a stream other than the picture.

        Returns:
            False if nobody wants more.

        Raises:
            InputError: If there is too much and the writer cannot wait.
        """
        stamp = packet.dts if packet.dts is not None else packet.pts
        with self._changed:
            if stamp is not None and packet.time_base is not None:
                self._latest_s = stamp * packet.time_base
            if self._bytes > self._limit_bytes and not self._waits:
                raise InputError(
                    f"sound or subtitles run {self._limit_bytes >> 20} MiB ahead of the picture",
                    hint="give a file instead of a pipe, or pipe the picture alone (-map 0:v)",
                )
            while self._bytes > self._limit_bytes and not self._ended:
                self._changed.wait()
            if self._ended:
                return False
            self._packets.append((self._latest_s, packet))
            self._bytes += packet.size
            self._changed.notify_all()
        return True

    def end(self) -> None:
        """No packet comes or is wanted any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Have the reader raise an error."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def first_of(self, index: int) -> av.Packet[Any] | None:
        """The first packet of a stream, left where it is, if one has come already."""
        with self._changed:
            waiting = (packet for _, packet in self._packets if packet.stream_index == index)
            return next(waiting, None)

    def until(self, time_s: Fraction) -> Iterator[av.Packet[Any]]:
        """Take the packets up to a time, in seconds of the source.

        If the writer waits for us, we wait for it: until a later packet is there or the end.
        """
        while True:
            with self._changed:
                while self._waits and not (self._packets or self._ended or self._error):
                    self._changed.wait()
                if self._error is not None:
                    raise self._error
                if not self._packets or self._packets[0][0] > time_s:
                    return
                packet = self._packets.popleft()[1]
                self._bytes -= packet.size
                self._changed.notify_all()
            yield packet

    def rest(self) -> Iterator[av.Packet[Any]]:
        """Take the packets up to the end, waiting for them."""
        while True:
            with self._changed:
                while not (self._packets or self._ended or self._error):
                    self._changed.wait()
                if self._error is not None:
                    raise self._error
                if not self._packets:
                    return
                packet = self._packets.popleft()[1]
                self._bytes -= packet.size
                self._changed.notify_all()
            yield packet
