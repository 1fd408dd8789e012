"""An agency mounted into a service of one's own, which has other routes beside it; the same goes for Starlette."""

from fastapi import FastAPI
from starlette.testclient import TestClient

from callboard import Agency, Agent, serve
from callboard.actors import ChildSpec
from callboard.testing import FunctionModel

agents = serve(
    Agency(Agent("Clerk", "You are brief."), model=ChildSpec(FunctionModel, (lambda _: "Until six.",), name="model"))
)
app = FastAPI(lifespan=lambda _: agents.router.lifespan_context(agents))  # it starts the agency, and stops it
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
