"""What is sent to a worker of a cluster, and what the worker does with it."""

from __future__ import annotations

import pickle
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vidrestore.errors import FfmpegError, InputError, OutputError, VidrestoreError, WeightsError
from vidrestore.media.decode import Frame
from vidrestore.media.ffmpeg import find_ffmpeg, version
from vidrestore.runs.journal import Landmark
from vidrestore.runs.recipe import Made, Networks, Recipe, make_segment, segment_name

TELL_S = 1.0
"""A worker tells how far it is no more often than this."""

SHARED = "put the input, the output and --weights where every node sees them under the same name"


@dataclass(frozen=True)
class Order:
    """All that the segments of one output have in common.

    Attributes:
        recipe: What they are made from; its device is that of the workers.
        weights: Hashes of the weights.
        ffmpeg: Version of the ffmpeg.
        folder: Takes the files.
        token: Name of an empty file in it, by which workers know that it is the one.
        conditions: What to compute under; None to choose.
    """

    recipe: Recipe
    weights: tuple[str, ...]
    ffmpeg: tuple[int, int]
    folder: Path
    token: str
    conditions: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, recipe: Recipe, networks: Networks, folder: Path, device: str) -> Order:
        """The order for a run.

        Args:
            recipe: Of the run.
            networks: Our own.
            folder: The work folder.
            device: That the workers compute on.
        """
        return cls(
            recipe=_anywhere(recipe, device),
            weights=tuple(networks.sha256),
            ffmpeg=version(recipe.encoding.ffmpeg),
            folder=folder.absolute(),
            token=f"token-{secrets.token_hex(8)}",
        )

    def under(self, recipe: Recipe, conditions: Mapping[str, Any]) -> Order:
        """The same order, once everything is decided.

        Args:
            recipe: Of the run.
            conditions: To compute under.
        """
        recipe = _anywhere(recipe, self.recipe.settings.device)
        return replace(self, recipe=recipe, conditions=dict(conditions))

    def place_token(self) -> None:
        """Put the token into the folder.

        Raises:
            OutputError: If it cannot be written.
        """
        try:
            (self.folder / self.token).touch()
        except OSError as error:
            raise OutputError(
                f"cannot write {self.folder}: {error.strerror}",
                hint="free some space or choose another output folder",
            ) from error


def _anywhere(recipe: Recipe, device: str) -> Recipe:
    """A recipe that does not depend on the folder that a process is in."""
    settings = replace(recipe.settings, device=device)
    if settings.weights is not None:
        settings = replace(settings, weights=settings.weights.absolute())
    if settings.ffmpeg is not None and "/" in settings.ffmpeg:
        settings = replace(settings, ffmpeg=str(Path(settings.ffmpeg).absolute()))
    info = replace(recipe.info, path=recipe.info.path.absolute())
    return replace(recipe, info=info, settings=settings)


def look(order: bytes) -> dict[str, Any] | VidrestoreError:
    """Whether this worker can carry out an order.

    Args:
        order: An `Order`, pickled.

    Returns:
        Under what conditions, as `Networks.conditions` has them, or why not.
    """
    try:
        return _prepared(order)[1].conditions()
    except VidrestoreError as error:
        return _from_here(error)


def make(order: bytes, begin: bytes, tell: Callable[[int, int], None]) -> Made | VidrestoreError:
    """Make a segment.

    Args:
        order: An `Order`, pickled.
        begin: The `Landmark` of where it begins, pickled.
        tell: Called about once a second with the segment's index and the frames of it that are
            done.

    Returns:
        The segment, or why it could not be made. Its file has a name of its own: a worker that was
        given up for lost may still be at the same segment.
    """
    mark: Landmark = pickle.loads(begin)
    try:
        asked, networks = _prepared(order)
        _demand_shared(asked)
        notes: tuple[str, ...] = ()
        if asked.conditions is not None:
            networks.adopt(asked.conditions)
            notes = _differences(asked.conditions, networks.conditions())
        name = Path(segment_name(mark.segment))
        path = asked.folder / f"{name.stem}-{secrets.token_hex(4)}{name.suffix}"
        try:
            made = make_segment(asked.recipe, networks, mark, path, _counting(mark.segment, tell))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except VidrestoreError as error:
        return _from_here(error)
    return replace(made, notes=(*made.notes, *notes))


def _counting(segment: int, tell: Callable[[int, int], None]) -> Callable[[Frame], None]:
    """Counts frames, and tells now and then."""
    done, told_s = 0, time.monotonic()

    def count(_: Frame) -> None:
        nonlocal done, told_s
        done += 1
        if time.monotonic() > told_s + TELL_S:
            told_s = time.monotonic()
            tell(segment, done)

    return count


@lru_cache(maxsize=1)
def _prepared(order: bytes) -> tuple[Order, Networks]:
    """An order whose demands are met here, and the networks that it takes."""
    asked: Order = pickle.loads(order)
    _demand_shared(asked)
    settings, encoding = asked.recipe.settings, asked.recipe.encoding
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    if version(ffmpeg) != asked.ffmpeg:
        ours, theirs = (".".join(map(str, one)) for one in (version(ffmpeg), asked.ffmpeg))
        raise FfmpegError(
            f"has ffmpeg {ours}, the machine that asks has {theirs}",
            hint="install the same on every node, or name it with --ffmpeg",
        )
    networks = Networks(settings)
    if tuple(networks.sha256) != asked.weights:
        raise WeightsError(
            "has other weights than the machine that asks",
            hint="install the same version on every node, or name a shared folder with --weights",
        )
    recipe = replace(asked.recipe, encoding=replace(encoding, ffmpeg=ffmpeg))
    return replace(asked, recipe=recipe), networks


def _demand_shared(order: Order) -> None:
    """Refuse to work if this machine does not see the files of the one that asks."""
    if not (order.folder / order.token).exists():
        raise OutputError(f"does not see the work folder {order.folder}", hint=SHARED)
    if not order.recipe.info.path.exists():
        raise InputError(f"does not see the input {order.recipe.info.path}", hint=SHARED)


def _differences(wanted: Mapping[str, Any], here: Mapping[str, Any]) -> tuple[str, ...]:
    """Where this machine computes otherwise than it should, in a line for each."""
    named = {"device": "device", "processor": "kind of processor"}
    if "encoder_threads" not in wanted:  # then the encoder chooses, by the cores that it sees
        named["cores"] = "number of cores"
    return tuple(
        f"{socket.gethostname()} has another {name} ({here[key]}, not {wanted[key]})"
        for key, name in named.items()
        if here[key] != wanted[key]
    )


def _from_here(error: VidrestoreError) -> VidrestoreError:
    """The same error, which says where it happened."""
    text = str(error)
    joint = " " if text.startswith(("has ", "does ")) else ": "
    return type(error)(f"worker on {socket.gethostname()}{joint}{text}", hint=error.hint)
