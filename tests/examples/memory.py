"""An agent that remembers its users beyond a conversation. Offline as it stands: a script stands for the model."""

import asyncio
from typing import Any

from callboard import Agency, Agent, Caller, ChildSpec, Memory, Owner, Request, memory_skill
from callboard.testing import FunctionModel, call


def model(request: Request) -> Any:
    """What a model does, in the place of one."""
    last = request.messages[-1]
    if last.role == "tool":
        return "Noted."
    if "allergic" in last.text:
        return call("remember", text="Ann is allergic to nuts")
    known = [message.text for message in request.messages[1:] if message.role == "system"]
    return "What I know: " + ("".join(known).splitlines()[2] if known else "nothing")


async def main() -> None:
    with Memory() as memory:  # or a file, or postgresql://…
        clerk = Agent("Clerk", "You take orders.", skills=[memory_skill(memory)])
        async with Agency(clerk, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
            await agency.run("I am allergic to nuts.", conversation="monday", caller=Caller("ann", "acme"))
            for user in ("ann", "bob"):
                answer = await agency.run("Which cake, if I am no friend of nuts?", caller=Caller(user, "acme"))
                print(user, "-", answer.text.partition(" (")[0])

        ann = Owner("ann", "acme")
        (found,) = await memory.search("nuts", owner=ann)
        print(found.fact.text, "-", found.fact.source)
        await memory.correct(found.fact.id, "Ann is allergic to peanuts only", owner=ann, source="her doctor")
        print([(fact["text"], fact["valid_to"] is None) for fact in await memory.export(owner=ann)])
        print(await memory.erase(owner=ann), "erased,", len(await memory.export(owner=ann)), "left")


asyncio.run(main())
