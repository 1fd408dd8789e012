"""An actor of one's own that hands tasks to an agent. Offline as it stands."""

import asyncio

from callboard import Actor, Agency, Agent, AgentRequest, ChildSpec, Handoff, HandoffRefused


class Reviewer(Agent):
    """Answers by itself here; yours asks a model."""

    async def answer(self, request: AgentRequest) -> str:
        return f"{request.text} is fine, {request.context.chain[0]}"


class Watcher(Actor[str]):
    """Has each file that it is told of looked at."""

    def __init__(self, agency: Agency) -> None:
        super().__init__()
        self.agency = agency

    async def on_receive(self, message: str) -> str:
        answer = await self.agency.agent_ref("Reviewer").ask(Handoff("Watcher", "Reviewer", message))
        return answer.text


async def main() -> None:
    async with Agency(Reviewer("Reviewer")) as agency:
        assert agency.system is not None
        watcher = agency.system.spawn(ChildSpec(Watcher, (agency,)))
        print(await watcher.ask("main.py"))
        try:
            await agency.agent_ref("Reviewer").ask(Handoff("Watcher", "Somebody", "main.py"))
        except HandoffRefused as error:
            print(error)


asyncio.run(main())
