"""A prompt function run by itself: its text as it comes, its steps as they end, and how it is aborted."""

import asyncio

from callboard import ChildSpec, Prompt, Request, RunCancelled, Step, ToolCall, run_prompt
from callboard.testing import FunctionModel


def shopping(prompt: Prompt) -> None:
    """Says everything itself: nobody else asks anything."""
    basket, set_basket = prompt.state("basket", ["bread"])
    prompt.define_data("basket", basket)
    prompt.user("Put milk into the basket, and tell me what is in it.")

    @prompt.tool(risk="safe", idempotent=True)
    async def put(item: str) -> str:
        """Put something into the basket."""
        set_basket(lambda before: [*before, item])
        return f"{item} is in the basket"


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model."""
    if request.messages[-1].role == "user":
        return ToolCall("put-1", "put", '{"item": "milk"}')
    return "In the basket: " + ", ".join(request.messages[0].text.splitlines()[1:-1])


def finished(step: Step) -> None:
    print(f"step {step.number}:", [f"{call.tool} -> {call.output}" for call in step.calls])


async def main() -> None:
    vendor = ChildSpec(FunctionModel, (model,), name="model")
    run = run_prompt(shopping, model=vendor, on_step_finish=finished)
    async for text in run.text_stream:
        print(text)
    answer = await run
    print(len(run.steps), "steps,", len(run.tool_calls), "call,", answer.usage.total_tokens, "tokens")

    run = run_prompt(shopping, model=vendor)
    run.abort("the shop has closed")
    try:
        await run
    except RunCancelled as error:
        print("aborted:", error)


asyncio.run(main())
