"""A Ray of this machine, and two actors of it that ask each other: what a raw call costs.

``python -m benchmarks.subjects.ray_head`` starts it, says its address, and reads what to do from stdin, as nodes do.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any, Final

RAYLETS: Final = 2


class Echo:
    """Answers with what it is asked; as the actors that carry our messages do, on an event loop."""

    async def on_receive(self, message: Any) -> Any:
        return message


class Asker:
    """Asks another actor."""

    async def ask(self, echo: Any, n: int, at_once: int) -> list[float]:
        """See `campaigns.cluster_node`."""
        seconds = []
        for number in range(n):
            began = time.perf_counter()
            if at_once == 1:
                await echo.on_receive.remote(number)
            else:
                await asyncio.gather(*[echo.on_receive.remote(number) for _ in range(at_once)])
            seconds.append(time.perf_counter() - began)
        return seconds


class OneAtATime:
    """An actor without an event loop, which takes one call at a time: asked, or asking."""

    def on_receive(self, message: Any) -> Any:
        return message

    def ask(self, echo: Any, n: int) -> list[float]:
        """Ask another one, one after the other; see `Asker`."""
        import ray

        seconds = []
        for number in range(n):
            began = time.perf_counter()
            ray.get(echo.on_receive.remote(number))
            seconds.append(time.perf_counter() - began)
        return seconds


def main() -> None:
    """Until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import ray
    from ray.cluster_utils import Cluster

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    for _ in range(RAYLETS - 1):
        cluster.add_node(num_cpus=2)
    answer(number=0, found=cluster.address)
    asker: Any = None
    for line in sys.stdin:
        wanted = json.loads(line)
        if asker is None:
            ray.init(address=cluster.address, namespace="raw", log_to_driver=False, configure_logging=False)
            options = {"num_cpus": 0, "max_concurrency": 1_000}
            echo = ray.remote(Echo).options(**options).remote()
            asker = ray.remote(Asker).options(**options).remote()
            one_at_a_time: Any = ray.remote(OneAtATime).options(num_cpus=0)
            one, other = one_at_a_time.remote(), one_at_a_time.remote()
        if wanted["do"] == "ask_sync":
            found = ray.get(one.ask.remote(other, wanted["n"]))
        else:
            found = ray.get(asker.ask.remote(echo, wanted["n"], wanted["at_once"]))
        answer(number=wanted["number"], found=found)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
