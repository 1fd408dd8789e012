"""Handoffs that the model must fill in, hooks that look on, a guardrail, and a picture of it. Offline as it stands."""

import asyncio
import json

from pydantic import BaseModel

from callboard import (
    Agency,
    Agent,
    ChildSpec,
    GuardrailTripped,
    Handoff,
    HookContext,
    Message,
    Request,
    RunEvent,
    ToolCall,
    conversation_diagram,
    guardrail,
    handoff,
    hook,
)
from callboard.testing import FunctionModel


class Bug(BaseModel):
    title: str
    line: int


def without_secrets(messages: tuple[Message, ...]) -> list[Message]:
    return [message for message in messages if "password" not in message.text]


def noted(sent: Handoff) -> None:
    print("handed over:", sent.input)


@hook("request")
def count(context: HookContext) -> None:
    assert context.model_request is not None  # a hook may change it; this one only looks
    print("asked with", len(context.model_request.messages), "messages")


@guardrail("connection")
def polite(context: HookContext) -> None:
    if "now!" in context.messages[-1].text:
        raise ValueError("say please")  # a guardrail refuses by raising


def model(request: Request) -> str | list[ToolCall]:
    said = request.messages[-1]
    if not request.tools:  # the mender's
        return f"mended after {sum(message.role == 'user' for message in request.messages)} messages"
    if said.role == "tool":
        return said.text if said.is_error else f"The mender says: {said.text}"
    line = 7 if len(request.messages) > 2 else "seven"  # at first what does not fit, which is refused
    task = {"message": said.text, "input": {"title": "?", "line": line}}
    return [ToolCall("c1", "delegate_to_Mender", json.dumps(task))]


async def main() -> None:
    mender = Agent("Mender", "Mends bugs.")
    offer = handoff(mender, input_type=Bug, on_handoff=noted, history_filter=without_secrets)
    lead = Agent("Lead", "You hand bugs over.", handoffs=[offer], hooks=[count, polite])
    events: list[RunEvent] = []
    async with Agency(lead, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        agency.subscribe(events.append)
        for text in ("my password is hush", "there is a bug"):
            answer = await agency.run(text, conversation="c")
            print(answer.text.splitlines()[0])
        try:
            await agency.run("now!", conversation="c")
        except GuardrailTripped as refused:
            print(refused)
    print(conversation_diagram(events))


asyncio.run(main())
