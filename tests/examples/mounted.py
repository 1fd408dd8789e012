"""An agency mounted into a service of one's own, which has other routes beside it; the same goes for Starlette."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.testclient import TestClient

from callboard import Agency, Agent, ChildSpec, serve
from callboard.testing import FunctionModel

agents = serve(
    Agency(Agent("Clerk", "You are brief."), model=ChildSpec(FunctionModel, (lambda _: "Until six.",), name="model"))
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Start what the service needs, and stop it: that of the agents is one of it."""
    async with agents.router.lifespan_context(agents):
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/agents", agents)


@app.get("/")
async def home() -> dict[str, str]:
    """A page of the service's own."""
    return {"shop": "open"}


with TestClient(app) as client:  # in place of uvicorn
    print(client.get("/").json())
    print(client.get("/agents/Clerk").json()["endpoints"])
    body = {"messages": [{"role": "user", "content": "Are you open?"}]}
    print(client.post("/agents/Clerk/chat/completions", json=body).json()["choices"][0]["message"]["content"])
