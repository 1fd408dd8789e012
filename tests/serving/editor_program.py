"""An agent for an editor, whose model does what its prompt says; to be started, and killed, by tests."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from callboard import Agency, Agent, tool
from callboard.actors import Actor, ChildSpec
from callboard.actors.serving.acp.stdio import talk
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall, Usage


@tool(approval="always")
def pay(amount: int) -> str:
    """Pay."""
    print("this must not get between the lines of the protocol")
    return f"paid {amount}"


class Obedient(Actor):
    """Calls what it is told to: ``call NAME ARGUMENTS``. ``wait`` has it wait, and ``fail`` fail; anything else
    is said again."""

    def on_receive(self, message: Request) -> Any:
        return self._pieces(message) if self.expects == "stream" else self._whole(message)

    async def _whole(self, request: Request) -> Completion:
        completion = [delta async for delta in self._pieces(request)][-1].completion
        assert completion is not None
        return completion

    async def _pieces(self, request: Request) -> AsyncIterator[Delta]:
        last = request.messages[-1]
        told_to = last.text[last.text.find("call ") :] if "call pay" in last.text else last.text
        word, _, rest = told_to.splitlines()[0].partition(" ")
        said = ""
        calls: tuple[ToolCall, ...] = ()
        if last.role == "tool":
            said = f"it said: {last.text}"
        elif word == "call":
            name, _, arguments = rest.partition(" ")
            calls = (ToolCall(f"c{len(request.messages)}", name, arguments),)
        elif word == "hand":
            told = {"target_agent": "Payer", "message": 'call pay {"amount": 7}'}
            calls = (ToolCall("h", "SendMessage", json.dumps(told)),)
        elif word == "fail":
            raise ValueError("the secret is 42")
        else:
            said = f"you said: {last.text}"
        for piece in said.split(" ") if said else ():
            yield Delta(piece + " ")
            if word == "wait":
                await asyncio.Event().wait()
        text = "".join(f"{piece} " for piece in said.split(" ")) if said else ""
        reason: Any = "tool_calls" if calls else "stop"
        yield Delta(completion=Completion(Message("assistant", text, calls), reason, Usage(7, 5)))


async def main() -> None:
    front = Agent("A", tools=[pay], handoffs=[Agent("Payer", tools=[pay])])
    journal = os.environ.get("JOURNAL")
    async with Agency(front, model=ChildSpec(Obedient, (), name="model"), journal=journal) as agency:
        await talk(agency, None, "1.0")


if __name__ == "__main__":
    asyncio.run(main())
