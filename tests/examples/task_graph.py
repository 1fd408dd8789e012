"""An agent plans its work as a graph of tasks, and workers work off what is ready side by side. Offline as it stands.

The graph is the conversation's: it lasts as long as its messages, over turns, crashes and restarts.
"""

import json
import re

from callboard import Agency, Agent, ChildSpec, Prompt, Request, TaskGraph, TaskInput, TaskWorker, ToolCall
from callboard.testing import FunctionModel

PLAN = [
    {"id": "bake", "title": "bake the bases", "required_capabilities": ["oven"]},
    {"id": "whip", "title": "whip the cream"},
    {"id": "fill", "title": "fill the cake", "dependencies": ["bake", "whip"], "input_context": "for eight"},
]
MADE = {"bake": "3 bases", "whip": "500 g of cream"}


def cook(prompt: Prompt, task: TaskInput) -> None:
    """The prompt function of a worker, for one task."""
    prompt.system("task", str(task))


WORKERS = [TaskWorker("baker", "Bakes.", cook, ["oven"]), TaskWorker("helper", "Helps.", cook)]


def confectioner(prompt: TaskGraph) -> None:
    """Runs before each step; the model sees how far the graph is in `<task_graph>`."""
    prompt.system("role", "You plan with generate_task_graph, and hand what is ready to workers.")
    graph, _ = prompt.task_graph(workers=WORKERS)
    if graph and all(task.status == "completed" for task in graph):
        prompt.system("now", "Everything is done: say so.")


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model, of the planner and of its workers."""
    told = request.messages[0].text
    if "<task>" in told:
        task = json.loads(re.findall("<task>\n(.*)\n</task>", told)[0])
        if task["id"] in MADE:
            return MADE[task["id"]]
        return f"a cake {task['input']['given']} of {' and '.join(task['input']['results'].values())}"
    if "Everything is done" in told:
        return str(json.loads(request.messages[-1].text)["results"][0]["response"])
    if "(no tasks)" in told:
        return ToolCall("plan", "generate_task_graph", json.dumps({"tasks": PLAN}))
    print(re.findall("<task_graph>\n(.*)", told)[0])
    workers = {"bake": "baker"}
    ready = re.findall(r"\] (\w+): .*\(ready", told)
    calls = [{"name": workers.get(task, "helper"), "args": {"task_id": task}} for task in ready]
    return ToolCall("-".join(ready), "work_on_tasks", json.dumps({"calls": calls}))  # all at once


agent = Agent("Confectioner", prompt=confectioner, plugins=TaskGraph)
agency = Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model"))
answer = agency.run_sync("A cake for eight, please.")
for made in answer.steps[1].calls:
    print(made.output)
print(answer.text)
