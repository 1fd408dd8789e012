"""An editor in a few lines: it starts an agent by the Agent Client Protocol, shows what comes, and has its user decide.

With an argument, this program is the agent: that is what stands in the settings of an editor of yours.
"""

import asyncio
import sys
from typing import Any

from acp import PROTOCOL_VERSION, spawn_agent_process, text_block
from acp.schema import (
    AllowedOutcome,
    ClientCapabilities,
    FileSystemCapabilities,
    ReadTextFileResponse,
    RequestPermissionResponse,
)

from callboard import Agency, Agent, ChildSpec, Request, ToolCall, tool
from callboard.actors.serving.acp.stdio import talk
from callboard.testing import FunctionModel


@tool(approval="always")
def publish(page: str) -> str:
    """Publish a page."""
    return f"published {page!r}"


def answer(request: Request) -> Any:
    """What the model says: no vendor is asked."""
    results = [message.text for message in request.messages if message.role == "tool"]
    if not results:
        return ToolCall("c1", "read_editor_file", '{"path": "/site/draft.md"}')
    return ToolCall("c2", "publish", f'{{"page": "{results[0]}"}}') if len(results) == 1 else f"Done: {results[1]}."


async def agent() -> None:
    writer = Agent("Writer", "You write pages.", tools=[publish])
    async with Agency(writer, model=ChildSpec(FunctionModel, (answer,), name="model")) as agency:
        await talk(agency, None, "1.0")


class Editor:
    def on_connect(self, conn: Any) -> None:
        """It is connected."""

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        """Show what happens."""
        if update.session_update == "agent_message_chunk":
            print("agent:", update.content.text)
        elif update.session_update == "tool_call":
            print("call:", update.title)

    async def request_permission(
        self, session_id: str, tool_call: Any, options: list[Any], **_: Any
    ) -> RequestPermissionResponse:
        """Ask the user, who allows it."""
        print("allow?", tool_call.title)
        allow = next(option for option in options if option.kind == "allow_once")
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=allow.option_id))

    async def read_text_file(self, session_id: str, path: str, **_: Any) -> ReadTextFileResponse:
        """A file, with what is not saved yet."""
        return ReadTextFileResponse(content="Hello, world")


async def main() -> None:
    editor: Any = Editor()
    offers = ClientCapabilities(fs=FileSystemCapabilities(read_text_file=True))
    patient: Any = {"stderr": None, "shutdown_timeout": 60}
    async with spawn_agent_process(editor, sys.executable, __file__, "agent", transport_kwargs=patient) as (writer, _):
        await writer.initialize(protocol_version=PROTOCOL_VERSION, client_capabilities=offers)
        session = await writer.new_session(cwd="/site")
        done = await writer.prompt(session_id=session.session_id, prompt=[text_block("Publish my draft.")])
        print(done.stop_reason)


asyncio.run(agent() if sys.argv[1:] else main())
