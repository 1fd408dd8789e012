"""Three providers, one of which goes wrong, or all of them: how many requests are lost, and what it costs in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Sample

from .pool_load import CONNECTIONS, Make, Servers, Subject, drive, settle

AT_ONCE = 24
LATENCY = [0.03, 0.05]
"""Median and 99 % quantile of a healthy answer, in seconds."""
ONE = {
    "reset": "reset",
    "500": "500",
    "429": "429:2",
    "hang": "hang",
    "slow": "trickle:0.3",
    "html": "html",
    "malformed": "malformed",
    "401": "401",
    "flaky": "500",
}
ALL = {"all_503": "503", "all_429": "429:1"}
OUTAGE = 3.0


def faults(make: Make) -> dict[str, Callable[[int], list[Sample]]]:
    """The fault scenarios, for subjects that fail over from one provider to another."""
    found: dict[str, Callable[[int], list[Sample]]] = {}
    for name, fault in ONE.items():
        rate = 0.3 if name == "flaky" else 1.0
        found[f"fault_{name}"] = lambda n, fault=fault, rate=rate: asyncio.run(_one(make, n, fault, rate))  # type: ignore[misc]
    for name, fault in ALL.items():
        found[f"fault_{name}"] = lambda n, fault=fault: asyncio.run(_all(make, n, fault))  # type: ignore[misc]
    found["fault_model"] = lambda n: asyncio.run(_model(make, n))
    found["fault_limits"] = lambda n: asyncio.run(_limits(make, n))
    found["fault_second"] = lambda n: asyncio.run(_second(make, n))
    found["fault_bucket"] = lambda n: asyncio.run(_bucket(make, n))
    found["fault_window"] = lambda n: asyncio.run(_window(make, n))
    found["fault_tokens"] = lambda n: asyncio.run(_tokens(make, n))
    found["fault_cut"] = lambda n: asyncio.run(_cut(make, n))
    found["fault_kill"] = lambda n: asyncio.run(_kill(make))
    return found


def _most_at_once(arrivals: list[float], span: float) -> int:
    """The largest number of arrivals within ``span`` seconds."""
    most = start = 0
    for end, at in enumerate(arrivals):
        while arrivals[start] < at - span:
            start += 1
        most = max(most, end - start + 1)
    return most


async def _warm(subject: Subject) -> None:
    """Let imports and connections be made, and what they have slowed down be forgotten."""
    for _ in range(3):
        await drive(subject.call, 200, AT_ONCE)
        await asyncio.sleep(0.7)
    settle()


async def _one(make: Make, count: int, fault: str, rate: float) -> list[Sample]:
    with Servers(3) as servers:
        for index in range(3):
            servers.order(set=index, latency=LATENCY)
        async with make(servers.urls, CONNECTIONS) as subject:
            await _warm(subject)
            healthy = await drive(subject.call, max(count // 2, 300), AT_ONCE)
            servers.order(arrivals=0)
            servers.order(set=0, fault=fault, rate=rate)
            during = await drive(subject.call, count, AT_ONCE)
            bad = len(servers.order(arrivals=0))
            probes = await subject.probes() if hasattr(subject, "probes") else 0
            servers.order(set=0)
            # The return: the first second in which it is asked again.
            back = await drive(subject.call, count // 2, AT_ONCE)
            arrivals = servers.order(arrivals=0)
            lost = len(during.errors) + len(back.errors) + len(healthy.errors)
            samples = [
                Sample(lost, "lost"),
                Sample(during.p99() / healthy.p99(), "× healthy p99", "_p99"),
                Sample(bad - probes, "requests", "_bad"),
            ]
            if arrivals:
                first = [at for at in arrivals if at <= arrivals[0] + LATENCY[0] / 2]
                samples.append(Sample(len(first), "at once", "_return"))
            return samples


async def _all(make: Make, count: int, fault: str) -> list[Sample]:
    with Servers(3) as servers:
        for index in range(3):
            servers.order(set=index, latency=LATENCY)
        async with make(servers.urls, CONNECTIONS) as subject:
            await _warm(subject)
            for index in range(3):
                servers.order(set=index, fault=fault)
                servers.order(arrivals=index)
            began = time.perf_counter()
            work = asyncio.ensure_future(drive(subject.call, count, count))
            await asyncio.sleep(OUTAGE)
            healed = [servers.order(set=index) for index in range(3)]
            load = await work
            took = time.perf_counter() - began - OUTAGE
            herd = 0
            for index in range(3):
                after = [at for at in servers.order(arrivals=index) if at >= healed[index]]
                if after:
                    herd = max(herd, _most_at_once([at for at in after if at < after[0] + 0.02], 0.02))
            return [
                Sample(len(load.errors), "lost"),
                Sample(herd, "at once", "_herd"),
                Sample(took, "s to recover", "_recovery"),
            ]


async def _limits(make: Make, count: int) -> list[Sample]:
    """Four times the load that the limits allow; the subject is told the limits."""
    requests, tokens = 600, 90_000
    seconds = 20.0 if count >= 1_000 else 6.0
    offered = int(4 * requests / 60 * seconds)
    with Servers(1) as servers:
        servers.order(set=0, latency=LATENCY, limits={"requests": requests, "tokens": tokens})
        async with make([*servers.urls, f"limits={requests},{tokens},0,"], CONNECTIONS) as subject:
            ends: dict[int, float] = {}
            lost = 0

            async def one(number: int) -> None:
                nonlocal lost
                try:
                    await subject.call(number)
                except Exception:
                    lost += 1
                else:
                    ends[number] = time.perf_counter() - began

            began = time.perf_counter()
            tasks = []
            for number in range(offered):
                tasks.append(asyncio.ensure_future(one(number)))
                await asyncio.sleep(max(0.0, began + number * seconds / offered - time.perf_counter()))
            await asyncio.gather(*tasks)
            took = time.perf_counter() - began
            statuses = servers.order(stats=0)["statuses"]
            in_turn = sorted(ends.values())
            late = max((end - in_turn[place] for place, (_, end) in enumerate(sorted(ends.items()))), default=0.0)
            return [
                Sample(lost, "lost"),
                Sample(statuses.get("429", 0), "answers 429", "_429"),
                Sample(len(ends) / (requests / 60 * took), "of the limit", "_throughput"),
                Sample(late, "s later than in turn", "_late"),
            ]


async def _model(make: Make, count: int) -> list[Sample]:
    """Two models at one endpoint, the better one overloaded: its requests fall back, the other's do not notice."""
    with Servers(1) as servers:
        servers.order(set=0, latency=LATENCY)
        async with make(servers.urls, CONNECTIONS) as made:
            subject: Any = made
            await _warm(subject)
            healthy = await drive(lambda number: subject.call_model(number, 1), max(count // 2, 300), AT_ONCE)
            servers.order(set=0, fault="529", model="gpt-4o")
            before = servers.order(stats=0)["statuses"].get("529", 0)
            both = await asyncio.gather(
                drive(lambda number: subject.call_model(number, 0), count // 2, AT_ONCE // 2),
                drive(lambda number: subject.call_model(number, 1), count // 2, AT_ONCE // 2),
            )
            bad = servers.order(stats=0)["statuses"].get("529", 0) - before
            return [
                Sample(sum(len(load.errors) for load in both), "lost"),
                Sample(both[1].p99() / healthy.p99(), "× healthy p99 of the other model", "_p99"),
                Sample(bad, "requests for the model that is out", "_bad"),
            ]


async def _paced(make: Make, servers: Servers, count: int, limits: str, ideal: float) -> list[Sample]:
    """All at once, more than the limits allow."""
    async with make([*servers.urls, f"limits={limits}"], CONNECTIONS) as subject:
        began = time.perf_counter()
        load = await drive(subject.call, count, count)
        took = time.perf_counter() - began
        refused = sum(servers.order(stats=index)["statuses"].get("429", 0) for index in range(len(servers.urls)))
        return [
            Sample(len(load.errors), "lost"),
            Sample(refused, "answers 429", "_429"),
            Sample(took / ideal, "× the limit's ideal", "_time"),
        ]


async def _second(make: Make, count: int) -> list[Sample]:
    """120 requests a minute, kept by the vendor as 2 a second."""
    offered = 40 if count >= 1_000 else 20
    with Servers(1) as servers:
        servers.order(set=0, latency=LATENCY, limits={"requests": 2, "window": 1.0})
        return await _paced(make, servers, offered, "120,1000000,2,", (offered - 2) / 2)


async def _bucket(make: Make, count: int) -> list[Sample]:
    """20 requests a minute at each of three, kept as buckets; the subject is told so where it can be."""
    offered = 90 if count >= 1_000 else 70
    with Servers(3) as servers:
        for index in range(3):
            servers.order(set=index, latency=LATENCY, limits={"requests": 20})
        return await _paced(make, servers, offered, "20,1000000,0,bucket", float(offered - 60))


async def _window(make: Make, count: int) -> list[Sample]:
    """20 requests a minute at each of three, counted over the last minute: what does not fit waits for the next."""
    offered = 90 if count >= 1_000 else 70
    with Servers(3) as servers:
        for index in range(3):
            servers.order(set=index, latency=LATENCY, limits={"requests": 20, "rule": "window"})
        return await _paced(make, servers, offered, "20,1000000,0,window", 60.0)


async def _tokens(make: Make, count: int) -> list[Sample]:
    """6,000 tokens a minute at each of three, kept as buckets; an answer takes 150, what was asked for more."""
    offered = 146 if count >= 1_000 else 130
    with Servers(3) as servers:
        for index in range(3):
            servers.order(set=index, latency=LATENCY, limits={"tokens": 6_000})
        return await _paced(make, servers, offered, "100000,6000,0,bucket", (offered * 150 - 18_000) / 300)


async def _terminal(subject: Subject, number: int) -> str:
    try:
        async for _ in subject.stream(number):
            pass
    except Exception:
        return "error"
    return "whole"


async def _cut(make: Make, count: int) -> list[Sample]:
    """Every stream is cut in the middle: none may be taken for an answer."""
    with Servers(3) as servers:
        for index in range(3):
            servers.order(set=index, fault="cut:3")
        async with make(servers.urls, CONNECTIONS) as subject:
            ends = await asyncio.gather(*(_terminal(subject, number) for number in range(min(count, 200))))
            return [Sample(ends.count("whole"), "cut streams taken for answers")]


async def _kill(make: Make) -> list[Sample]:
    """``kill -9`` in the middle of 200 streams: each must end, in exactly one way."""
    with Servers(3) as spare:  # so that failover has somewhere to go for what had not begun
        servers = Servers(1)
        servers.order(set=0, chunk_delay=0.05)
        async with make([*servers.urls, *spare.urls[1:]], CONNECTIONS) as subject:
            streams = [asyncio.ensure_future(_terminal(subject, number)) for number in range(200)]
            await asyncio.sleep(0.3)
            servers.kill()
            _, pending = await asyncio.wait(streams, timeout=30)
            for stream in pending:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            return [Sample(len(pending), "streams without an end")]
