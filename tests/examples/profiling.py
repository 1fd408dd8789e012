"""How long an agent takes, what it costs, how often it fails: as a table and as a picture. Offline as it stands."""

import asyncio
import tempfile
from pathlib import Path

from callboard import Agent, ChildSpec, Completion, Message, Request, Usage, profile
from callboard.testing import FunctionModel


async def model(request: Request) -> Completion:
    """Stands for a vendor's model, which takes its time and sometimes fails."""
    await asyncio.sleep(0.01)
    if request.messages[-1].text == "something impossible":
        raise RuntimeError("overloaded")
    return Completion(Message("assistant", "Good day."), "stop", Usage(12, 3), cost=0.002)


async def main() -> None:
    agent = Agent("Greeter", "You greet.")
    spec = ChildSpec(FunctionModel, (model,), name="model")
    measured = await profile(
        agent, ["hello", "good day", "something impossible"], iterations=10, concurrency=5, model=spec
    )
    print(measured.runs, f"{measured.error_rate:.0%}", dict(measured.errors), f"${measured.cost:.2f}")
    print(measured.percentile(50) <= measured.percentile(99), measured.tokens_per_second > 0)
    print(measured.table().splitlines()[0], sum(each.count for each in measured.histogram()))
    with tempfile.TemporaryDirectory() as folder:
        measured.save(Path(folder) / "greeter.svg")
        print((Path(folder) / "greeter.svg").read_text()[:4])


asyncio.run(main())
