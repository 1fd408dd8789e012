"""A prompt function with state and an effect: what it remembers outlives the program, in the conversation's journal."""

import asyncio
import tempfile
from pathlib import Path

from callboard import Agency, Agent, ChildSpec, EffectContext, Prompt, Request, StepModifier, ToolCall
from callboard.testing import FunctionModel


def counter(prompt: Prompt) -> None:
    """Runs before each completion, like a component that renders."""
    count, set_count = prompt.state("count", 0)
    tens, set_tens = prompt.state("tens", 0)
    prompt.system("task", f"You count. The counter stands at {count}; it has passed {tens} tens.")

    @prompt.tool(risk="safe", idempotent=True)
    async def add(by: int) -> str:
        """Add to the counter."""
        set_count(lambda before: before + by)
        return f"added {by}"

    def enough(context: EffectContext, step: StepModifier) -> None:
        if count >= 10:
            step.tools = [tool for tool in context.tools if tool.name != "add"]  # the model has to answer now

    prompt.effect(enough)  # before each completion
    prompt.effect(lambda: set_tens(count // 10), [count])  # when the count is another than it last was


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model: it adds as long as it may."""
    if not request.tools:
        return request.messages[0].text.splitlines()[1]
    return ToolCall(f"call-{len(request.messages)}", "add", '{"by": 4}')


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for question in ("Count to ten.", "Go on."):
            agent = Agent("Counter", prompt=counter)
            by = ChildSpec(FunctionModel, (model,), name="model")
            # A new agency each time, as after a restart.
            async with Agency(agent, model=by, journal=Path(folder) / "runs.db") as agency:
                answer = await agency.run(question, conversation="c")
                print(len(answer.steps), "steps:", answer.text)


if __name__ == "__main__":
    asyncio.run(main())
