"""Secrets of callers for tools: they stand in no prompt, log, event or journal. Offline as it stands."""

import asyncio
import logging
from pathlib import Path

from callboard import Agency, Agent, Caller, ChildSpec, Request, ToolCall, ToolContext, tool
from callboard.testing import FunctionModel

JOURNAL = Path("team.db")
VAULT = {("acme", "ann", "github"): "ghp-4711"}


async def credentials(caller: Caller, name: str) -> str | None:
    """Stands for a vault."""
    return VAULT.get((caller.tenant, caller.user, name))


@tool(risk="safe")
async def issues(context: ToolContext, repository: str) -> str:
    """The open issues of a repository."""
    key = await context.credential("github")
    if repository == "private":
        raise PermissionError(f"403 for {key}")
    return f"2 open; asked with {key}"


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model."""
    last = request.messages[-1]
    if last.role == "tool":
        return last.text
    return [ToolCall("1", "issues", f'{{"repository": "{last.text}"}}')]


async def main() -> None:
    logging.disable()
    clerk = Agent("Clerk", tools=[issues])
    spec = ChildSpec(FunctionModel, (model,), name="model")
    async with Agency(clerk, model=spec, journal=JOURNAL, credentials=credentials) as agency:
        ann, bob = Caller("ann", tenant="acme"), Caller("bob", tenant="acme")
        for caller, repository in ((ann, "public"), (ann, "private"), (bob, "public")):
            print((await agency.run(repository, caller=caller, conversation=caller.user)).text)


asyncio.run(main())
print(any(b"ghp-4711" in file.read_bytes() for file in Path().glob("team.db*")))
