"""The way to a Ray cluster, if there is one."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vidrestore.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from vidrestore.cluster.nodes import Cluster

CONNECT_S = 10.0
"""How long a cluster's address may take to answer at all."""
JOIN_S = 60.0
"""How long it may take to let us in."""

AUTO = "auto"


@contextmanager
def connect(address: str | None = AUTO) -> Iterator[Cluster | None]:
    """Connect to a Ray cluster for as long as the context lasts.

    A process that is connected already keeps its connection.

    Args:
        address: HOST:PORT of the cluster's head; "auto" for the cluster that this machine is part
            of, or that `$RAY_ADDRESS` names; None for no cluster.

    Yields:
        The cluster, which makes segments; None without one.

    Raises:
        UsageError: If Ray is not installed, or the address is none.
        DeviceError: If there is no such cluster, or it does not answer.
    """
    if address is None:
        yield None
        return
    # What is wrong is ours to say: Ray would tell of every lost worker on standard output.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--ray needs Ray, which is not installed", hint="pip install 'vidrestore[ray]'"
        ) from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    named = os.environ.get("RAY_ADDRESS") if address == AUTO else address
    if named:
        _demand_answer(named)
    joined = ray.is_initialized()
    if not joined:
        _join(ray, address)
    from vidrestore.cluster.nodes import Cluster  # heavy, and of no use without a cluster

    try:
        yield Cluster(ray)
    finally:
        if not joined:
            ray.shutdown()


def _join(ray: Any, address: str) -> None:
    failed: list[BaseException] = []

    def join() -> None:
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except BaseException as error:
            failed.append(error)

    # Ray tries for minutes, and then ends the process; here, that is only a thread. It would also
    # answer signals itself if it were the main one.
    thread = threading.Thread(target=join, name="ray", daemon=True)
    thread.start()
    thread.join(JOIN_S)
    if thread.is_alive():
        raise DeviceError(
            f"the Ray cluster at {address} did not let us in within {JOIN_S:.0f} s",
            hint="see `ray status` there",
        )
    if failed and isinstance(failed[0], ConnectionError) and address == AUTO:
        raise DeviceError(
            "this machine is part of no Ray cluster",
            hint="ray start --head, or ray start --address HOST:PORT, or --ray HOST:PORT",
        ) from failed[0]
    if failed:
        cause = " ".join(str(failed[0]).split())[:200] or type(failed[0]).__name__
        raise DeviceError(
            f"cannot join the Ray cluster at {address}: {cause}",
            hint="first run `ray start --address HOST:PORT` here, with the same Ray and Python",
        ) from failed[0]


def _demand_answer(address: str) -> None:
    """Refuse an address where nothing listens, in seconds."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise UsageError(
            f"--ray {address} is no address",
            hint="--ray auto, or --ray HOST:PORT, such as 10.0.0.1:6379",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise DeviceError(
            f"no Ray cluster answers at {address}: {cause}",
            hint="ray start --head starts one, and says its address",
        ) from error
