"""Diagrams in Mermaid's language: who may reach whom, and who said what to whom. Text in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..agent import Agent
from ..events import HandoffFinished, HandoffStarted, RunEvent, RunFinished, RunStarted, ToolFinished, ToolStarted
from ..handoffs.offer import HandoffTool


def team_diagram(agents: Mapping[str, Agent], reachable: Mapping[str, Sequence[str]]) -> str:
    """A flowchart of a team.

    Args:
        agents: by name, the entry point first.
        reachable: whom each may delegate to along the flows.
    """
    ids = {name: f"a{number}" for number, name in enumerate(agents)}
    lines = ["flowchart LR"]
    for name, agent in agents.items():
        entry = next(iter(agents)) == name
        shape = ('(["', '"])') if entry else ('["', '"]')
        lines.append(f"  {ids[name]}{shape[0]}{_label(name)}{shape[1]}")
        for number, tool in enumerate(agent.all_tools):
            lines.append(f"  {ids[name]}t{number}{{{{{_quoted(tool.name)}}}}}")
            lines.append(f"  {ids[name]} -.- {ids[name]}t{number}")
    for name, targets in reachable.items():
        lines.extend(f"  {ids[name]} --> {ids[target]}" for target in targets)
    for name, agent in agents.items():
        for item in agent.all_handoffs:
            if not isinstance(item, HandoffTool):
                continue  # an arrow of the flows
            arrow = "==>" if item.kind == "transfer" else "-->"
            target = ids.get(item.target)
            if target is None:
                target = f"x{len(lines)}"
                lines.append(f"  {target}[/{_quoted(item.target or item.name)}/]")
            lines.append(f"  {ids[name]} {arrow}|{_label(item.name)}| {target}")
    return "\n".join(lines)


def conversation_diagram(events: Iterable[RunEvent], *, width: int = 60) -> str:
    """A sequence diagram of runs, from the events a subscriber was given.

    Args:
        events: in the order they came.
        width: characters of a text that are shown.
    """
    lines: list[str] = []
    people: dict[str, None] = {"Caller": None}
    for event in events:
        agent = event.agent
        match event:
            case RunStarted() if event.run == event.root:
                lines.append(f"  Caller->>{agent}: {_short(event.text, width)}")
            case HandoffStarted():
                arrow = "->>" if event.kind == "delegate" else "-)"
                lines.append(f"  {agent}{arrow}{event.target}: {_short(event.task, width)}")
                people.setdefault(agent)
                people.setdefault(event.target)
            case HandoffFinished() if event.target:
                lines.append(f"  {event.target}-->>{agent}: {_short(event.failed or event.text, width)}")
            case ToolStarted():
                lines.append(f"  Note over {agent}: {_short(f'{event.tool} {event.arguments}', width)}")
            case ToolFinished() if event.is_error:
                lines.append(f"  Note over {agent}: {_short(f'{event.tool} failed, {event.content}', width)}")
            case RunFinished() if event.run == event.root:
                told = str(event.error) if event.error is not None else event.answer.text if event.answer else ""
                lines.append(f"  {agent}-->>Caller: {_short(told, width)}")
            case _:
                continue
        people.setdefault(agent)
    return "\n".join(["sequenceDiagram", *(f"  participant {name}" for name in people), *lines])


def _label(text: str) -> str:
    return text.replace('"', "#quot;")


def _quoted(text: str) -> str:
    return f'"{_label(text)}"'


def _short(text: str, width: int) -> str:
    # Semicolons and line breaks end a statement in Mermaid, a hash begins an entity.
    flat = " ".join(text.split()).replace("#", "#35;").replace(";", "#59;")
    return flat if len(flat) <= width else flat[: width - 1].rstrip("#0123456789") + "…"
