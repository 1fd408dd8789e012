"""Runs in the background: follow one, tell it something, end one for a newer message, fetch an answer later."""

import asyncio
import tempfile
from pathlib import Path

from callboard import Agency, Agent, ChildSpec, Request, RunCancelled, ToolCall, tool
from callboard.testing import FunctionModel

printed = asyncio.Event()


@tool(risk="safe")
async def print_report() -> str:
    """Takes its time."""
    await printed.wait()
    return "printed"


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model."""
    last = request.messages[-1]
    if last.role == "user" and last.text.startswith("print"):
        return [ToolCall(f"call-{len(request.messages)}", "print_report", "{}")]
    said = [message.text for message in request.messages if message.role == "user"]
    return f"done: {', '.join(said)}"


def office(journal: Path) -> Agency:
    """The team, on its journal."""
    agent = Agent("Office", "You print.", tools=[print_report])
    return Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model"), journal=journal)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "conversations.db"
        async with office(journal) as agency:
            handle = await agency.start_run("print the report", conversation="ada", run_id="request-31")
            print(await handle.status())
            async for record in handle.events():
                print(record.type)
                if record.type == "tools_started":
                    await agency.steer("ada", "in colour")  # heard before the next completion
                    printed.set()
            print((await handle).text)

            printed.clear()
            old = await agency.start_run("print it again", conversation="ada")
            new = await agency.run("never mind", conversation="ada", when_busy="rollback")
            print(new.text)
            try:
                await old
            except RunCancelled as error:
                print(error)

        async with office(journal) as agency:  # another day, or another process
            print((await (await agency.handle("request-31"))).text)


asyncio.run(main())
