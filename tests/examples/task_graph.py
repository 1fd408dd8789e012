"""An agent plans its work as a graph of tasks, and works off what is ready. Offline as it stands.

The graph is the conversation's: it lasts as long as its messages, over turns, crashes and restarts.
"""

import json
import re

from callboard import Agency, Agent, ChildSpec, Request, TaskGraph, ToolCall
from callboard.testing import FunctionModel

PLAN = [
    {"id": "bake", "title": "bake the bases"},
    {"id": "whip", "title": "whip the cream"},
    {"id": "fill", "title": "fill the cake", "dependencies": ["bake", "whip"], "input_context": "for eight"},
]
MADE = {"bake": "3 bases", "whip": {"cream": "500 g"}, "fill": "a cake"}


def confectioner(prompt: TaskGraph) -> None:
    """Runs before each step; the model sees how far the graph is in `<task_graph>`."""
    prompt.system("role", "You plan with generate_task_graph, and work off what is ready.")
    graph, _ = prompt.task_graph()
    if graph and all(task.status == "completed" for task in graph):
        prompt.system("now", "Everything is done: say so.")


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model: plans, takes all that is ready, and ends what is in progress."""
    told = request.messages[0].text
    if "Everything is done" in told:
        return f"made: {json.loads(request.messages[-1].text)['task_id']}"
    if "(no tasks)" in told:
        return [ToolCall("plan", "generate_task_graph", json.dumps({"tasks": PLAN}))]
    print(re.findall("<task_graph>\n(.*)", told)[0])
    calls = []
    for task, state in re.findall(r"\] (\w+): .*\((ready|in_progress)", told):
        arguments = {"task_id": task, "status": "in_progress"}
        if state == "in_progress":
            arguments = {"task_id": task, "status": "completed", "output_result": MADE[task]}
        calls.append(ToolCall(f"{task}-{state}", "update_task_status", json.dumps(arguments)))
    return calls


agent = Agent("Confectioner", prompt=confectioner, plugins=TaskGraph)
agency = Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model"))
answer = agency.run_sync("A cake for eight, please.")
unblocked = json.loads(answer.steps[2].calls[-1].output)["unblocked"]
print(json.dumps(unblocked[0]["input_context"]))
print(answer.text)
