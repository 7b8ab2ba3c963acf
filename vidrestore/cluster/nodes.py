"""A Ray cluster as a crew: its nodes checked, kept busy, and done without where they are lost."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vidrestore import __version__
from vidrestore.cluster.orders import SHARED, Order
from vidrestore.errors import DeviceError, OutputError, UsageError, VidrestoreError
from vidrestore.runs.journal import Landmark
from vidrestore.runs.recipe import Made, Networks, Recipe

POLL_S = 0.5
LOOK_S = 180.0
"""How long a node may take to say whether it can do the work."""
ALONE_S = 60.0
"""How long a run waits if no node is left that can do the work."""
RETRIES = 3
"""How often a segment is begun again elsewhere after its worker was lost."""
AHEAD = 2
"""Segments under way, or waiting for the one before them, per place of work. What is finished out
of order is not in the journal yet, and lost if the run is stopped."""


class Cluster:
    """The Ray cluster that we are connected to; a `Crew`.

    Args:
        ray: The library.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._orders: dict[Path, Order] = {}
        self._task = ray.remote(_by_value())

    def conditions(self, recipe: Recipe, networks: Networks, folder: Path) -> dict[str, Any]:
        """What only rounding depends on, once every node has said that it can do the work.

        Raises:
            DeviceError: If there is no node for it, or one does not answer.
            VidrestoreError: What is wrong with a node.
        """
        device = recipe.settings.device
        if device == "mps":
            raise UsageError("--ray has no use for MPS", hint="--device auto, cpu or cuda")
        if device == "auto":
            device = "cuda" if self._nodes("cuda") else "cpu"
        nodes = self._nodes(device)
        if not nodes:
            kind = "GPU" if device == "cuda" else "processor"
            raise DeviceError(
                f"the Ray cluster has no node with a {kind}", hint="see `ray status`, or --device"
            )
        order = Order.of(recipe, networks, folder, device)
        self._orders[folder] = order
        try:
            seen = self._looked(order, nodes)
        except SystemError as error:  # as in `make`
            raise error.__cause__ or error from None
        formats = zip(*(one["dtype"] for one in seen), strict=True)
        return {
            **seen[0],
            "dtype": [found[0] if len(set(found)) == 1 else "float32" for found in formats],
            "torch_threads": min(torch.get_num_threads(), max(node.cores for node in nodes)),
            "cores": networks.conditions()["cores"],
        }

    def make(
        self,
        recipe: Recipe,
        conditions: Mapping[str, Any],
        folder: Path,
        begins: Iterator[Landmark],
        on_progress: Callable[[int], None],
    ) -> Iterator[tuple[Made, int | None]]:
        """Make segments; see `Crew.make`.

        Raises:
            DeviceError: If a segment is lost again and again, or no node is left.
            VidrestoreError: What went wrong with a segment.
        """
        order = self._orders.pop(folder).under(recipe, conditions)
        order.place_token()
        packed = self._ray.put(pickle.dumps(order))
        device = order.recipe.settings.device
        widest = max((node.cores for node in self._nodes(device)), default=1)
        # An earlier run may have had more threads than there are cores here: it only takes longer.
        threads = min(conditions["torch_threads"], widest)
        task = self._task.options(
            max_retries=RETRIES, scheduling_strategy="SPREAD", **_needs(device, threads)
        )
        tally = self._counted()
        ahead: deque[int] = deque()  # begun, and not handed on yet
        under_way: dict[Any, int] = {}
        done: dict[int, Made] = {}
        more, seen_s = True, time.monotonic()
        try:
            while True:
                nodes = self._nodes(device)
                if nodes:
                    seen_s = time.monotonic()
                elif time.monotonic() > seen_s + ALONE_S:
                    raise DeviceError(
                        "the Ray cluster has lost all nodes that could do the work",
                        hint="see `ray status`; the same command goes on where this one ended",
                    )
                places = sum(node.places(threads) for node in nodes)
                while more and len(ahead) < max(2, AHEAD * places):
                    begin = next(begins, None)
                    if begin is None:
                        more = False
                        break
                    sent = pickle.dumps(begin)
                    ref = task.remote(__version__, "make", packed, sent, tally)
                    ahead.append(begin.segment)
                    under_way[ref] = begin.segment
                while ahead and ahead[0] in done and (len(ahead) > 1 or not more):
                    made = done.pop(ahead.popleft())
                    yield made, ahead[0] if ahead else None
                told = self._told(tally)
                on_progress(sum(told.get(segment, 0) for segment in ahead))
                if not (ahead or more):
                    return
                for ref in self._ready(under_way):
                    segment = under_way.pop(ref)
                    done[segment] = _whole(self._answer(ref, f"segment {segment}"))
        except SystemError as error:  # of Ray's C code, where a signal asked us to end
            raise error.__cause__ or error from None
        finally:
            for ref in under_way:
                self._ray.cancel(ref, force=True)
            self._ray.kill(tally)

    def _counted(self) -> Any:
        """Someone on this machine whom workers tell how far they are."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(
            self._ray.get_runtime_context().get_node_id(), soft=True
        )
        return self._ray.remote(num_cpus=0, scheduling_strategy=here)(_tally()).remote()

    def _told(self, tally: Any) -> dict[int, int]:
        """Frames of segments that are done; nothing if the one who counts them is lost."""
        try:
            told: dict[int, int] = self._ray.get(tally.told.remote(), timeout=POLL_S)
        except self._ray.exceptions.RayError:
            return {}
        return told

    def _ready(self, under_way: dict[Any, int]) -> list[Any]:
        """Tasks that have ended, after waiting for one a moment."""
        if not under_way:
            time.sleep(POLL_S)
            return []
        ready: list[Any] = self._ray.wait(list(under_way), timeout=POLL_S)[0]
        return ready

    def _looked(self, order: Order, nodes: list[_Node]) -> list[dict[str, Any]]:
        """What every node says of an order."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        order.place_token()
        packed = self._ray.put(pickle.dumps(order))
        needs = {**_needs(order.recipe.settings.device, 0), "num_cpus": 0}
        asked = {
            self._task.options(
                max_retries=RETRIES,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
                **needs,
            ).remote(__version__, "look", packed): node
            for node in nodes
        }
        pending, until_s = list(asked), time.monotonic() + LOOK_S
        while pending and time.monotonic() < until_s:
            ready, pending = self._ray.wait(pending, timeout=POLL_S)
            for ref in ready:  # at once: others may take long
                self._answer(ref, f"the worker on {asked[ref].name}")
        if pending:
            for ref in pending:
                self._ray.cancel(ref, force=True)
            raise DeviceError(
                f"no worker on {asked[pending[0]].name} has begun within {LOOK_S:.0f} s",
                hint="see `ray status`: it may be busy with other work, or broken",
            )
        return [self._answer(ref, asked[ref].name) for ref in asked]

    def _answer(self, ref: Any, what: str) -> Any:
        """What a task gave.

        Raises:
            VidrestoreError: What it failed with.
        """
        failed = self._ray.exceptions
        try:
            answer = self._ray.get(ref)
        except failed.RayTaskError as error:
            cause = str(error).strip().splitlines()[-1]
            raise RuntimeError(f"{what} failed on the Ray cluster: {cause}") from error
        except failed.RayError as error:
            raise DeviceError(
                f"{what} was lost {RETRIES + 1} times with its worker ({type(error).__name__})",
                hint="see the logs of Ray on the nodes; for want of memory, --max-memory",
            ) from error
        if isinstance(answer, str):
            raise DeviceError(answer, hint="install the same version of vidrestore on every node")
        if isinstance(answer, VidrestoreError):
            raise answer
        return answer

    def _nodes(self, device: str) -> list[_Node]:
        """The nodes that have such a device, in a fixed order."""
        alive = [
            _Node(
                id=one["NodeID"],
                name=one["NodeManagerHostname"],
                cores=int(one["Resources"].get("CPU", 0)),
                devices=None if device == "cpu" else int(one["Resources"].get("GPU", 0)),
            )
            for one in self._ray.nodes()
            if one["Alive"]
        ]
        return sorted((node for node in alive if node.places(1)), key=lambda node: node.id)


@dataclass(frozen=True)
class _Node:
    """A machine of the cluster.

    Attributes:
        id: As Ray calls it.
        name: As people do.
        cores: That it lends.
        devices: Graphics cards; None if they do not matter.
    """

    id: str
    name: str
    cores: int
    devices: int | None

    def places(self, threads: int) -> int:
        """Segments that it can make at the same time."""
        return self.cores // threads if self.devices is None else min(self.devices, self.cores)


def _needs(device: str, threads: int) -> dict[str, float]:
    """What a task asks of Ray."""
    return {"num_cpus": threads} if device == "cpu" else {"num_cpus": 1, "num_gpus": 1}


def _whole(made: Made) -> Made:
    """A segment whose file is here as it was written there."""
    if made.finished is not None:
        file = made.finished.file
        try:
            with file.path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError:
            digest = ""
        if digest != file.sha256:
            raise OutputError(
                f"segment {made.segment} is not here as a worker wrote it: {file.path}", hint=SHARED
            )
    return made


def _tally() -> type:
    """What counts the frames of segments under way, sent as it is, like the function below."""

    class Tally:
        def __init__(self) -> None:
            self._done: dict[int, int] = {}

        def tell(self, segment: int, frames: int) -> None:
            self._done[segment] = frames

        def told(self) -> dict[int, int]:
            return self._done

    return Tally


def _by_value() -> Callable[..., Any]:
    """The function that runs on workers, sent as it is: nothing of ours need be there."""

    def work(version: str, name: str, order: bytes, *segment: Any) -> Any:
        import socket

        where = f"worker on {socket.gethostname()}"
        try:
            import vidrestore

            if vidrestore.__version__ != version:
                return f"{where} has vidrestore {vidrestore.__version__}, not {version}"
            from vidrestore.cluster import orders
        except ImportError as error:
            return f"{where} has no vidrestore that works: {error}"
        if name == "look":
            return orders.look(order)
        begin, tally = segment
        return orders.make(order, begin, tally.tell.remote)

    return work
