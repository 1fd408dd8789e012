"""An agent of plain data: tools of one's own, built-in and composite ones, by name. Offline as it stands.

It is asked without an event loop, and prints each thing that happens on stderr.
"""

import json
import tempfile

from pydantic import Field

from callboard import Agency, Agent, BaseTool, ChildSpec, Request, StuckLoop, ToolCall, composite, default_tools
from callboard.testing import FunctionModel


class Price(BaseTool, risk="safe"):
    """What something costs."""

    item: str = Field(description="what it is")

    def run(self) -> float:
        return {"tea": 3.0, "cake": 4.5}[self.item]


DATA = {
    "name": "Clerk",
    "instructions": "You keep the price list.",
    "tools": ["Price", "batch"],
    "limits": {"repeats": 3},
    "settings": {"max_retries": 1},
}


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model; one that does not know when to stop."""
    last = request.messages[-1]
    if request.messages[1].text == "What is tea?":
        return ToolCall(f"call-{len(request.messages)}", "Price", '{"item": "tea"}')
    if last.role == "tool":
        return f"{json.loads(last.text)['results'][1]['result']}; max_retries={request.max_retries}"
    calls = [
        {"name": "Write", "args": {"path": "prices.txt", "content": "tea 3.0"}},
        {"name": "Read", "args": {"path": "prices.txt"}},
    ]
    return ToolCall("call-1", "batch", json.dumps({"calls": calls}))


with tempfile.TemporaryDirectory() as folder:
    batch = composite(tool for tool in default_tools(folder) if tool.name in ("Read", "Write"))
    clerk = Agent.from_config(DATA, tools={"Price": Price, "batch": batch})
    agency = Agency(clerk, model=ChildSpec(FunctionModel, (model,), name="model"), verbose=True)
    print(agency.run_sync("Write it down, and read it out.").text)
    answer = agency.run_sync("What is tea?", raises=False)
    print(isinstance(answer.error, StuckLoop), len(answer.steps))
