"""Ray's driver for one program: starts the gateway beside it, and ends when either is gone.

It is a process of its own, because Ray ends a driver's process when its head is away for long, and a service must
outlive that. ``python -m callboard.actors.cluster.ray.launcher``: reads what to do from stdin, as JSON, and then waits
for its end there.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Any, Final

from .gateway import AT_ONCE, NAME, Gateway

READY: Final = "ready"
LOOK: Final = 5.0
"""Seconds for Ray's head to take a connection."""

LOOK_AFTER: Final = 1.0
"""Seconds between two looks whether the program is there."""


def main() -> None:
    """Start the gateway; return once it, or the program, is gone."""
    wanted: dict[str, Any] = json.loads(sys.stdin.readline())
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray writes to stdout what is meant for people
    folder = os.path.dirname(wanted["socket"])
    threading.Thread(target=_until_the_program_ends, args=(os.getppid(), folder), daemon=True).start()
    _stay()
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        _check_there(wanted["address"])
        ray.init(
            address=wanted["address"],
            namespace=wanted["namespace"],
            log_to_driver=False,
            include_dashboard=False,
            ignore_reinit_error=True,
        )
        _stay()  # Ray has a way of its own to take SIGTERM
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"name": NAME + wanted["node"], "num_cpus": 0, "max_concurrency": AT_ONCE, "max_restarts": 0}
        gateway: Any = ray.remote(Gateway).options(scheduling_strategy=here, **options).remote(wanted["node"])
        ray.get(gateway.connect.remote(wanted["socket"], wanted["word"]), timeout=wanted["seconds"])
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " ")[:2_000], file=said, flush=True)
        return
    print(READY, file=said, flush=True)
    with suppress(Exception):  # whatever Ray says of a gateway that is gone
        ray.get(gateway.ended.remote())


def _check_there(address: str) -> None:
    """Raise at once where nobody listens at an address: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=LOOK).close()


def _until_the_program_ends(program: int, folder: str) -> None:
    """End with it, and remove its folder: stdin is at its end then, unless a fork of the program's holds it open."""
    while os.getppid() == program and not select.select([0], [], [], LOOK_AFTER)[0]:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # Ray ends what this driver has started


def _stay() -> None:
    """Have signals end nothing here: a service manager sends them to all processes of a service, and the program has
    things to finish."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)


if __name__ == "__main__":
    main()
