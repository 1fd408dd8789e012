"""Skills that come with the library, by name: a database to read, files of each user, other agents. Offline."""

import asyncio
import json
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from callboard import Agency, Agent, ChildSpec, Request, ToolCall, find_skill
from callboard.testing import FunctionModel

SELECT = "SELECT name FROM tea WHERE price < :most ORDER BY price"
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("database_query", {"statement": SELECT, "parameters": {"most": 5}}),
    ("database_query", {"statement": "DELETE FROM tea"}),
    ("storage_write", {"path": "wishes.md", "content": "green tea"}),
    ("storage_list", {}),
    ("find_agents", {"query": "translate a letter"}),
    ("message_agent", {"agent": "Translator", "message": "green tea"}),
]


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model: it takes one step after the other; the translator translates one."""
    if not request.tools:
        return "thé vert"
    done = [message.text for message in request.messages if message.role == "tool"]
    if len(done) == len(STEPS):
        return "\n".join(done)
    name, arguments = STEPS[len(done)]
    return [ToolCall(f"call-{len(done)}", name, json.dumps(arguments))]


async def main(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as shop:
        shop.execute("CREATE TABLE tea (name text, price integer)")
        shop.execute("INSERT INTO tea VALUES ('green', 3), ('white', 4), ('aged', 90)")
    shop.close()
    (folder / "files").mkdir()
    clerk = Agent(
        "Clerk",
        skills=[
            find_skill("database", url=f"sqlite:///{folder / 'shop.db'}"),
            find_skill("storage", folder=folder / "files"),
            find_skill("agents"),
        ],
    )
    translator = Agent("Translator", description="Translates letters into French.")
    async with Agency(clerk, translator, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        print((await agency.run("What tea is there?", user="ada")).text)


with TemporaryDirectory() as made:
    asyncio.run(main(Path(made)))
