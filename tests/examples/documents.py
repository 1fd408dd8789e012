"""Documents in a memory: an agent finds passages in them and cites them; what it cites can be looked up."""

import asyncio
import tempfile
from pathlib import Path

from callboard import Agency, Agent, ChildSpec, Documents, Memory, Owner, ToolCall, documents_skill
from callboard.testing import ScriptedModel

HANDBOOK = """# Handbook

## Refunds

Money comes back within a week.

### Abroad

Refunds to Norway take a month, because of customs.
"""
ACME = Owner(tenant="acme")  # the whole company's


async def main(folder: Path) -> None:
    (folder / "handbook.md").write_text(HANDBOOK, "utf-8")
    with Memory(folder / "memory.db") as memory:  # extras: pip install 'callboard[memory,documents]'
        documents = Documents(memory, characters=80)
        kept = await documents.index(folder / "handbook.md", owner=ACME, name="handbook.md")
        print(kept.name, kept.passages)
        for passage in await documents.search("how long do refunds to Norway take?", owner=ACME, limit=1):
            print(passage.citation, passage.heading)

        clerk = Agent("Clerk", "You help customers.", skills=[documents_skill(documents, owner=ACME)])
        script = [
            ToolCall("c1", "search_documents", '{"query": "refunds to Norway"}'),
            "It takes a month [handbook.md, lines 7-9], and is free [handbook.md, line 70].",
        ]
        async with Agency(clerk, model=ChildSpec(ScriptedModel, (script,), name="model")) as agency:
            answer = await agency.run("How long does a refund to Norway take?")
        for citation in await documents.cited(answer.text, owner=ACME):
            print(citation.place, [passage.text for passage in citation.passages])

        (folder / "handbook.md").write_text("# Handbook\n\nAll refunds take a day.\n", "utf-8")
        await documents.index(folder / "handbook.md", owner=ACME, name="handbook.md")
        print([passage.text for passage in await documents.search("refunds to Norway", owner=ACME)])
        print(await documents.remove("handbook.md", owner=ACME), await documents.indexed(owner=ACME))


with tempfile.TemporaryDirectory() as name:
    asyncio.run(main(Path(name)))
