"""What led to an answer, a condition that ends a run, and a plan for its first step. Offline as it stands."""

import asyncio
import json
from typing import Any

from callboard import (
    AfterSteps,
    AfterTool,
    Agency,
    Agent,
    ChildSpec,
    PartialAnswer,
    Request,
    RunSoFar,
    StepPlan,
    ToolCall,
    tool,
)
from callboard.testing import FunctionModel


@tool
async def price(item: str) -> float:
    """What it costs."""
    return {"tea": 3.0, "cake": 4.5}.get(item, 0.0)


@tool
async def submit(total: float) -> str:
    """Hand in the total."""
    return f"noted: {total}"


def plan(run: RunSoFar) -> StepPlan | None:
    return StepPlan(tools=["price"]) if run.last is None else None


def call(name: str, id: str, **arguments: Any) -> ToolCall:
    return ToolCall(id, name, json.dumps(arguments))


def model(request: Request) -> Any:
    results = [message.text for message in request.messages if message.role == "tool"]
    if request.response_schema is not None:
        return '{"drink": "tea", "sizes": ["small", "large"]}'
    if not results:
        return [call("price", "c1", item="tea"), call("price", "c2", item="cake")]
    return call("submit", "c3", total=sum(map(float, results)))


async def main() -> None:
    clerk = Agent(
        "Clerk",
        "Add up what is asked for.",
        tools=[price, submit],
        prepare_step=plan,
        stop_when=AfterTool("submit") | AfterSteps(5),
    )
    async with Agency(clerk, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        answer = await agency.run([{"role": "user", "content": "Tea and cake, please."}])
        for step in answer.steps:
            print(step.number, step.action, [(one.tool, one.input, one.output) for one in step.calls])
        print(answer.notes[0])
        last = None
        async for event in agency.run_streaming("What is there?", output_type=dict[str, str | list[str]]):
            if isinstance(event, PartialAnswer):
                last = event.value
        print(last)


asyncio.run(main())
