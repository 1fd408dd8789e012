"""The developer team as it comes: a planner hands over to a developer on a folder, and a person is asked first."""

import asyncio
import tempfile
from pathlib import Path

from callboard import Agency, ChildSpec, Request, ToolCall, create_developer_agent, create_planner_agent
from callboard.testing import FunctionModel


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model: it plays the planner and the developer."""
    done = sum(message.role == "tool" for message in request.messages)
    if request.messages[0].text.startswith("You are a planner"):
        task = '{"target_agent": "Developer", "message": "Have sum.py print 3."}'
        return "It prints 3 now." if done else [ToolCall("task", "SendMessage", task)]
    steps = [
        ToolCall("1", "Read", '{"path": "sum.py"}'),
        ToolCall("2", "Edit", '{"path": "sum.py", "old_string": "1 + 1", "new_string": "1 + 2"}'),
        ToolCall("3", "Bash", '{"command": "python3 sum.py"}'),
    ]
    return [steps[done]] if done < len(steps) else "Changed line 1 of sum.py."


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "sum.py"
        program.write_text("print(1 + 1)\n")
        developer = create_developer_agent(folder, autonomy="supervised")
        planner = create_planner_agent(developer)
        async with Agency(planner, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
            handle = await agency.start_run("Why does sum.py not print 3?")
            answer = asyncio.ensure_future(handle.answer())
            while not answer.done():
                for asked in agency.approvals:
                    print(f"may {asked.agent} use {asked.tool}? yes")
                    agency.approve(asked)
                await asyncio.wait({answer}, timeout=0.01)
            print(answer.result().text)
        print(program.read_text().strip())


if __name__ == "__main__":
    asyncio.run(main())
