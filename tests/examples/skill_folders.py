"""A public skill folder: the model sees its name, loads it, and runs its script once a person has agreed. Offline."""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from callboard import Agency, Agent, ApprovalRequested, ChildSpec, Request, RunEvent, ToolCall, skills_from
from callboard.testing import FunctionModel

SKILL = """---
name: word-count
description: Counts the words of a text. Use it when somebody asks how long a text is.
---

Run scripts/count.py with the text as its argument.
"""
SCRIPT = "import sys\nprint(len(sys.argv[1].split()), 'words')\n"
TEXT = "to be or not to be"


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model: it loads the skill, does as it says, and tells the result."""
    said = [message.text for message in request.messages if message.role == "tool"]
    if not said:
        return [ToolCall("call-1", "load_skill", '{"skill": "word-count"}')]
    if len(said) == 1:
        arguments = {"skill": "word-count", "path": "scripts/count.py", "arguments": [TEXT]}
        return [ToolCall("call-2", "run_skill_script", json.dumps(arguments))]
    return said[-1]


async def main(folder: Path) -> None:
    for name, text in {"SKILL.md": SKILL, "scripts/count.py": SCRIPT}.items():
        path = folder / "skills/word-count" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "skills/broken").mkdir()
    (folder / "skills/broken/SKILL.md").write_text("---\nname: broken\n---\n")

    skills = skills_from(folder / "skills", trust=folder / "trust.json")
    for problem in skills.broken:
        print(str(problem).rpartition("/")[2])
    print(skills.instructions.splitlines()[-1])
    agent = Agent("Clerk", skills=[skills])
    async with Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:

        def person(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                print("a person approves:", event.tool, json.loads(event.arguments)["path"])
                agency.approve(event)

        agency.subscribe(person)
        print((await agency.run("How long is this text?")).text)
        print((await agency.run("And once more?")).text)


with TemporaryDirectory() as made:
    asyncio.run(main(Path(made)))
