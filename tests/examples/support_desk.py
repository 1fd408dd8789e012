"""A support desk: triage finds out who can help, a refund waits for a person, all in one conversation. Offline."""

import asyncio
import re
from typing import Literal

from pydantic import BaseModel

from callboard import Agency, Agent, ApprovalRequested, Caller, ChildSpec, Request, RunEvent, ToolContext, handoff, tool
from callboard.testing import FunctionModel, call

ANN = Caller("ann", tenant="acme")
LEAD = Caller("olga", tenant="acme", scopes=frozenset({"refunds"}))
INVOICES = {"R7": 40, "R8": 900}
BANK: dict[str, int] = {}  # stands for a bank, which pays once for a key, however often it is asked


class Ticket(BaseModel):
    """What triage has to say of a request before anybody works on it."""

    about: str
    urgency: Literal["low", "high"]


@tool(risk="safe", idempotent=True)
def find_invoice(number: str) -> str:
    """What an invoice is over."""
    return f"{number} is over {INVOICES[number]} €" if number in INVOICES else f"there is no invoice {number}"


@tool(approval="always", approved_by="refunds", idempotent=True)  # after a crash it is begun again, under its key
def refund(context: ToolContext, number: str, amount: int) -> str:
    """Give money back. Somebody with the scope `refunds` is asked first."""
    BANK.setdefault(context.idempotency_key, amount)
    return f"{amount} € of {number} are on their way"


def model(request: Request) -> object:
    """Stands for a vendor's model, of all three."""
    told, last = request.messages[0].text, request.messages[-1].text
    if "Technician" in told:
        return "Switch it off, and on again."
    if "Billing" in told:
        if over := re.match(r"(R\d) is over (\d+)", last):
            return call("refund", number=over[1], amount=int(over[2]))
        number = re.search(r"R\d", last)
        return call("find_invoice", number=number[0]) if number and "€" not in last else last
    if request.messages[-1].role == "tool":
        return last
    to = "Billing" if "back" in last else "Technician"
    return call(f"delegate_to_{to}", message=last, input={"about": to, "urgency": "high" if "!" in last else "low"})


billing = Agent("Billing", "You are Billing: you look invoices up, and pay back.", tools=[find_invoice, refund])
technician = Agent("Technician", "You are the Technician.")
offers = [handoff(each, input_type=Ticket, on_handoff=lambda sent: print(sent.input)) for each in (billing, technician)]
triage = Agent("Triage", "You find out what it is about, and hand it over.", handoffs=offers)


async def main() -> None:
    # journal="desk.db" has conversations, and what waits for a person, outlive the process
    async with Agency(triage, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:

        def decide(event: RunEvent) -> None:
            """A person, who has a page of it: `GET /agency/approvals`, the dashboard, or ``callboard approvals``."""
            if isinstance(event, ApprovalRequested):
                print(f"may {event.agent} call {event.tool}({event.arguments})?")
                if "R7" in event.arguments:
                    agency.approve(event, caller=LEAD)
                else:
                    agency.deny(event, "too much", caller=LEAD)

        agency.subscribe(decide)
        for asked in ("Nothing works!", "I want my money back for R7", "I want my money back for R8"):
            answer = await agency.run(asked, caller=ANN, conversation="ann-1")
            print(answer.chain, answer.text)
        print(len((await agency.conversation("ann-1")).messages), "messages are kept")


asyncio.run(main())
