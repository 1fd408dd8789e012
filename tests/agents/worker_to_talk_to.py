"""A process that works on runs: python -m tests.agents.worker_to_talk_to JOURNAL. It is told what to do on its input.

``start RUN TEXT`` starts a run in conversation ``c``, ``go`` lets the tool return, ``end`` ends the process in order.
It prints ``BEGUN`` whenever the tool has begun, and for each run how it ended.
"""

from __future__ import annotations

import asyncio
import sys

from callboard.actors.agents.errors import AgentError
from callboard.actors.agents.runs.handle import RunHandle

from .held import Held


async def report(handle: RunHandle) -> None:
    try:
        print("ANSWER", handle.id, (await handle).text, flush=True)
    except AgentError as error:
        print("ERROR", handle.id, type(error).__name__, flush=True)


async def tell_of(held: Held) -> None:
    while True:
        await held.begun.wait()
        held.begun.clear()
        print("BEGUN", flush=True)


async def main(journal: str) -> None:
    held = Held()
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with held.agency(journal) as agency, asyncio.TaskGroup() as group:
        telling = group.create_task(tell_of(held))
        print("READY", flush=True)
        async for line in commands:
            command, _, rest = line.decode().strip().partition(" ")
            if command == "start":
                run_id, _, text = rest.partition(" ")
                group.create_task(report(await agency.start_run(text, conversation="c", run_id=run_id)))
                print("STARTED", run_id, flush=True)
            elif command == "go":
                held.go.set()
            else:
                break
        telling.cancel()


asyncio.run(main(sys.argv[1]))
