"""Keys, limits, and records of what has a price, of an agency that is served. Offline as it stands."""

import asyncio

import httpx

from callboard import (
    Agency,
    Agent,
    ApiKeys,
    ChildSpec,
    MemoryJournal,
    Payments,
    Request,
    RequestLimit,
    ToolCall,
    pricing,
    serve,
    tool,
    usage_records,
)
from callboard.testing import FunctionModel


@pricing("$0.002")
@tool(risk="safe")
async def draw() -> str:
    """Draw a picture."""
    return "a picture"


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model."""
    return "here it is" if request.messages[-1].role == "tool" else [ToolCall("1", "draw", "{}")]


async def main() -> None:
    keys = ApiKeys(MemoryJournal())  # ApiKeys("team.db"), to be kept
    key = await keys.add(user="ada", tenant="acme", name="laptop")
    print(key[: len("cb_laptop_")])

    poet = pricing("$0.05")(Agent("Poet", tools=[draw]))
    agency = Agency(poet, model=ChildSpec(FunctionModel, (model,), name="model"))
    app = serve(
        agency, authenticate=keys, limits=[RequestLimit("user", requests=2, period="month")], payments=Payments()
    )
    body = {"model": "Poet", "messages": [{"role": "user", "content": "draw"}]}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agency") as client,
    ):
        print((await client.post("/v1/chat/completions", json=body)).status_code)
        headers = {"authorization": f"Bearer {key}"}
        answer = await client.post("/v1/chat/completions", json=body, headers=headers)
        print(answer.json()["choices"][0]["message"]["content"])
        await keys.revoke("laptop")
        print((await client.post("/v1/chat/completions", json=body, headers=headers)).status_code)
        for _ in range(1_000):  # a record is written just behind the answer
            (record,) = await usage_records(agency, user="ada")
            if record.state == "owed":
                break
            await asyncio.sleep(0.01)
        print(record.agent, record.price, dict(record.calls), record.calls_price)


asyncio.run(main())
