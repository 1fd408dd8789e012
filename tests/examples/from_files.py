"""A configuration and a team from files, and what of it an agent can do. Offline as it stands."""

import asyncio
from pathlib import Path

from callboard import Agency, create_agent, load_config, load_team, open_agency, pool_from_config, tool

Path("llm.yaml").write_text(
    """\
providers:
  offline:
    limits: {requests_per_minute: 600}
default_model: offline
"""
)
Path("team.yaml").write_text(
    """\
agents:
  Lead:
    instructions: Delegate.
    tools: [price]
    handoffs: [Clerk]
  Clerk:
    description: Writes an order down.
config: llm.yaml
"""
)


@tool
async def price(item: str) -> float:
    """What it costs."""
    return 3.0


async def main() -> None:
    team = load_team("team.yaml", tools=[price])  # tools of the program's own, by their names
    print(list(team.agents))
    async with open_agency(team) as agency:
        answer = await agency.run("price tea")
        print([step.tool for step in answer.steps if step.tool])

    config = load_config("llm.yaml")  # the models alone
    reviewer = create_agent("reviewer")
    async with Agency(reviewer, pool=pool_from_config(config)) as agency:
        print((await agency.run("Look at this.")).agent, "of", config.default_model)


asyncio.run(main())
