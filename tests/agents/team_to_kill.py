"""A process with a team on a durable journal, for `test_resume` to kill. Prints each event as a line.

Arguments: the journal's file, a file in which tools and the model leave a line each time they really work, ``ask`` or
``resume``, and the number of the event at which the process kills itself (SIGKILL), 0 for never: killed from outside it
might have finished first.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from callboard import Agency, Agent, ToolContext
from callboard.actors import ChildSpec
from callboard.actors.agents.events import RunEvent
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.messages import Request
from callboard.tools import tool


async def main(journal: str, log: Path, what: str, kill_at: int) -> None:
    shown = 0
    keys = log.with_name("keys")

    def note(line: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @tool
    async def work(part: int) -> str:
        note(f"tool {part}")
        await asyncio.sleep(0.002)
        return f"part {part} done"

    @tool(idempotent=True)
    async def look(context: ToolContext, part: int) -> str:
        with keys.open("a", encoding="utf-8") as file:
            file.write(f"{part} {context.idempotency_key}\n")
        await asyncio.sleep(0.002)
        return f"part {part} seen"

    async def model(request: Request) -> Any:
        results = [m for m in request.messages if m.role == "tool"]
        who = request.messages[0].text
        note(f"{who} {len(results)}")
        await asyncio.sleep(0.002)
        if who == "plan":
            return f"all: {results[-1].text}" if results else call("SendMessage", "h", target_agent="Dev", message="go")
        if len(results) < 4:
            number = len(results)
            return [call("work", f"w{number}", part=number), call("look", f"l{number}", part=number)]
        return "; ".join(m.text for m in results)

    def show(event: RunEvent) -> None:
        nonlocal shown
        print(type(event).__name__, event.agent, flush=True)
        shown += 1
        if shown == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    dev = Agent("Dev", "dev", tools=[work, look])
    async with Agency(
        Agent("Plan", "plan", handoffs=[dev]), model=ChildSpec(FunctionModel, (model,)), journal=journal
    ) as agency:
        agency.subscribe(show)
        if what == "ask":
            answer = await agency.run("go")
        else:
            answers = [await answer for answer in agency.resumed.values()]
            if not answers:
                print("NOTHING", flush=True)
                return
            (answer,) = answers
        print("ANSWER", answer.text, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
