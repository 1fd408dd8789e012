"""Who may do what: scopes of tools, an agent's owner, who approves, whose conversation it is. Offline as it stands."""

import asyncio

from callboard import Agency, Agent, Caller, ChildSpec, NotAllowed, Request, ToolCall, tool
from callboard.testing import FunctionModel

ANN = Caller("ann", tenant="acme", scopes=frozenset({"sales"}))
BOB = Caller("bob", tenant="acme")
CFO = Caller("carla", tenant="acme", scopes=frozenset({"finance"}))


@tool(risk="safe")
async def opening_hours() -> str:
    """When the shop is open."""
    return "nine to five"


@tool(scope=("sales", "owner"), approval="always", approved_by="finance")
async def refund(amount: int) -> str:
    """Give money back."""
    return f"{amount} refunded"


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model; it does what it is told, whether it is offered that or not."""
    last = request.messages[-1]
    if last.role == "tool":
        return last.text
    if last.text.startswith("refund"):
        return [ToolCall("1", "refund", '{"amount": 20}')]
    return f"I have {', '.join(spec.name for spec in request.tools)}."


async def main() -> None:
    shop = Agent("Shop", tools=[opening_hours, refund], owner=Caller("olga", tenant="acme"))
    async with Agency(shop, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        for caller in (ANN, BOB, Caller("olga", tenant="acme"), Caller("olga", tenant="other")):
            print(caller.user, caller.tenant, (await agency.run("What have you?", caller=caller)).text)
        print((await agency.run("refund 20", caller=BOB)).text)

        handle = await agency.start_run("refund 20", caller=ANN, conversation="ann-1")
        async for record in handle.events():
            if record.type == "approval_asked":
                break
        for by in (ANN, CFO):
            try:
                agency.approve(agency.approvals[0], caller=by)
            except NotAllowed as error:
                print(error)
        print((await handle).text)

        try:
            await agency.run("What did she get?", caller=BOB, conversation="ann-1")
        except NotAllowed as error:
            print(error)


asyncio.run(main())
