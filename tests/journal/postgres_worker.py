"""A worker in a process of its own, told what to do by lines of JSON; and the codec of it and the tests."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from callboard.actors.journal import JournalError, StreamOwned
from callboard.actors.journal.codec import Encoded
from callboard.actors.journal.postgres import PostgresJournal


class Plain:
    """JSON as it is."""

    def encode(self, event: Any) -> Encoded:
        return Encoded("plain", 1, json.dumps(event))

    def decode(self, type: str, schema: int, data: str) -> Any:
        if type != "plain":
            raise LookupError(f"no {type}")
        return json.loads(data)


TOGETHER = 200
"""Appends under way in a flood."""


async def flood(stream: Any) -> dict[str, Any]:
    """Append numbers until it is refused. Tells how many are known to be kept, and how many were asked for."""
    kept = 0
    while True:
        under_way = [stream.append([stream.version]) for _ in range(TOGETHER)]
        for done in under_way:
            try:
                await done
                kept += 1
            except JournalError as error:
                await asyncio.gather(*under_way, return_exceptions=True)
                return {"kept": kept, "asked": stream.version, "refused": type(error).__name__}


async def main(url: str, schema: str, lease: str) -> None:
    journal = PostgresJournal(url, Plain(), schema=schema, lease=float(lease))
    loop = asyncio.get_running_loop()
    streams: dict[str, Any] = {}
    floods: dict[str, asyncio.Task[Any]] = {}
    print(json.dumps(journal.worker), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, name, *values = json.loads(line)
        answer: Any = None
        try:
            if command == "open":
                streams[name] = await journal.open(name)
                answer = list(streams[name].events)
            elif command == "take":
                while True:
                    try:
                        streams[name] = await journal.open(name)
                        break
                    except StreamOwned as error:
                        await asyncio.sleep(min(error.seconds, 0.05))
                answer = list(streams[name].events)
            elif command == "append":
                await streams[name].append(values)
                answer = streams[name].version
            elif command == "add":
                answer = await journal.append(name, values)
            elif command == "flood":
                floods[name] = asyncio.create_task(flood(streams[name]))
            elif command == "flooded":
                answer = await floods[name]
            elif command == "close":
                journal.close()
        except JournalError as error:
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
