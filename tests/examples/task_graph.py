"""A research team: its lead plans a graph of tasks, and workers work off what is ready side by side. Offline.

The graph is the conversation's: it lasts as long as its messages, over turns, crashes and restarts.
"""

import json
import re

from callboard import Agency, Agent, ChildSpec, Prompt, Request, TaskGraph, TaskInput, TaskWorker, ToolCall
from callboard.testing import FunctionModel

PLAN = [
    {"id": "papers", "title": "read what is written on tea", "required_capabilities": ["library"]},
    {"id": "prices", "title": "find out what tea costs"},
    {"id": "report", "title": "write it up", "dependencies": ["papers", "prices"], "input_context": "in a sentence"},
]
FOUND = {"papers": "it keeps one awake [Li 2019]", "prices": "100 g cost 6 € [shop.example]"}


def researcher(prompt: Prompt, task: TaskInput) -> None:
    """The prompt function of a worker, for one task."""
    prompt.system("task", str(task))


WORKERS = [
    TaskWorker("reader", "Reads papers.", researcher, ["library"]),
    TaskWorker("helper", "Writes.", researcher),
]


def lead(prompt: TaskGraph) -> None:
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
        if task["id"] in FOUND:
            return FOUND[task["id"]]
        return f"{task['input']['given']}: {', and '.join(task['input']['results'].values())}"
    if "Everything is done" in told:
        return str(json.loads(request.messages[-1].text)["results"][0]["response"])
    if "(no tasks)" in told:
        return ToolCall("plan", "generate_task_graph", json.dumps({"tasks": PLAN}))
    print(re.findall("<task_graph>\n(.*)", told)[0])
    workers = {"papers": "reader"}
    ready = re.findall(r"\] (\w+): .*\(ready", told)
    calls = [{"name": workers.get(task, "helper"), "args": {"task_id": task}} for task in ready]
    return ToolCall("-".join(ready), "work_on_tasks", json.dumps({"calls": calls}))  # all at once


agent = Agent("Lead", prompt=lead, plugins=TaskGraph)
agency = Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model"))
answer = agency.run_sync("What is known about tea, and what does it cost?")
for made in answer.steps[1].calls:
    print(made.output)
print(answer.text)
