"""What the tools at hand are for, by the words of their names and descriptions and the shape of their schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..messages import ToolSpec
from . import text

Job: TypeAlias = Literal["search", "glob", "list", "read", "write", "edit"]
"""The six things file tools do, whatever they are called."""

_HANDOFF_NAME = re.compile(
    r"^(handoff|hand_off|delegate|transfer|escalate|send_?message|ask_agent|assign)", re.IGNORECASE
)
_HANDOFF_TEXT = re.compile(
    r"\b(another|other) agent\b|\bhand(s|ing)? (off|a task|over)|\bgive the conversation\b", re.I
)
_MESSAGE = ("message", "task", "request", "instructions", "prompt", "input")
_TARGET = ("target_agent", "target", "agent", "recipient", "to")

PATH_WORDS = frozenset(["path", "file", "folder", "dir", "directory", "filename", "filepath", "root", "cwd"])
_PATTERN_WORDS = frozenset(["pattern", "regex", "regexp", "query", "search", "term", "keyword", "glob"])
_CONTENT_WORDS = frozenset(["content", "contents", "text", "body", "data", "source"])


@dataclass(frozen=True, slots=True)
class Handoff:
    """One agent that work can be handed to.

    Args:
        tool: the name of the tool that does it.
        agent: the agent's name.
        about: what is said of it.
        message: the property that takes the task.
        target: the property that takes the agent's name, or empty if the tool leads to one agent only.
        context: the property that takes what it should know besides, or empty.
    """

    tool: str
    agent: str
    about: str
    message: str
    target: str = ""
    context: str = ""

    def arguments(self, task: str, context: str = "") -> dict[str, Any]:
        """The arguments that hand `task` over."""
        arguments: dict[str, Any] = {self.target: self.agent} if self.target else {}
        arguments[self.message] = task
        if context and self.context:
            arguments[self.context] = context
        elif context:
            arguments[self.message] = f"{task}\n\n{context}"
        return arguments


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of one request.

    Args:
        tools: those that are no handoffs, by name.
        jobs: for each job the tool that does it.
        handoffs: the agents that can be reached.
    """

    tools: Mapping[str, ToolSpec]
    jobs: Mapping[Job, ToolSpec] = field(default_factory=dict)
    handoffs: Sequence[Handoff] = ()

    def has(self, *jobs: Job) -> bool:
        """Whether there is a tool for each of these jobs."""
        return all(job in self.jobs for job in jobs)


def open_toolbox(specs: Iterable[ToolSpec]) -> Toolbox:
    """Sort the tools of a request."""
    tools: dict[str, ToolSpec] = {}
    handoffs: list[Handoff] = []
    for spec in specs:
        found = _handoffs(spec)
        if found:
            handoffs += found
        else:
            tools[spec.name] = spec
    jobs: dict[Job, ToolSpec] = {}
    for job in ("search", "glob", "list", "read", "write", "edit"):
        able = [spec for spec in tools.values() if _can_be_called(spec, job)]
        scored = [(_fitness(spec, job), -place, spec) for place, spec in enumerate(able)]
        best = max(scored, default=(0, 0, None), key=lambda one: one[:2])
        if best[2] is not None and best[0] > 0:
            jobs[job] = best[2]
    return Toolbox(tools, jobs, tuple(handoffs))


_FILLED: Mapping[Job, tuple[tuple[str, ...], ...]] = {
    "search": (("pattern",), ("path",)),
    "glob": (("pattern", "glob"), ("path",), ("limit",)),
    "list": (("pattern", "glob"), ("path",), ("limit",)),
    "read": (("path",),),
    "write": (("path",), ("content",)),
    "edit": (("path",), ("old",), ("new",)),
}
"""For each job the parameters that `steps` and `rules` have a value for, by role."""


def _can_be_called(spec: ToolSpec, job: Job) -> bool:
    """Whether there is a value for all that a tool wants to be given in a job."""
    return required(spec) <= {parameter(spec, *roles) for roles in _FILLED[job]}


def properties(spec: ToolSpec) -> Mapping[str, Mapping[str, Any]]:
    """The tool's parameters, references within the schema resolved."""
    found = spec.parameters.get("properties") or {}
    return {name: resolved(schema, spec.parameters) for name, schema in found.items()}


def required(spec: ToolSpec) -> frozenset[str]:
    """The names of the parameters that must be given."""
    return frozenset(spec.parameters.get("required") or ())


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its reference followed and, of alternatives, the first that is not null."""
    for _ in range(8):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        options = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(reference, str):
            target: Any = root
            for step in reference.lstrip("#/").split("/"):
                target = target.get(step, {}) if isinstance(target, Mapping) else {}
            schema = target
        elif options:
            rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
            first: Any = next((o for o in options if not (isinstance(o, Mapping) and o.get("type") == "null")), {})
            schema = {**rest, **first}
        else:
            return schema
    return {}


def parameter(spec: ToolSpec, *roles: str) -> str:
    """The name of the parameter that plays the first of some roles it can: ``path``, ``pattern``, ``content``,
    ``limit``, ``glob``, ``old``, ``new``; empty if there is none."""
    names = properties(spec)
    for role in roles:
        for name in names:
            parts = set(re.split(r"[_\W]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
            if (
                (role == "path" and parts & PATH_WORDS)
                or (role == "pattern" and parts & _PATTERN_WORDS and parts != {"glob"})
                or (role == "content" and parts & _CONTENT_WORDS)
                or (role == "limit" and parts & {"limit", "max", "count", "head"})
                or (role == "glob" and parts & {"glob", "include"})
                or (role == "old" and parts & {"old", "search", "find", "before", "original"})
                or (role == "new" and parts & {"new", "replacement", "replace", "after"})
            ):
                return name
    return ""


def likeness(spec: ToolSpec, wanted: Sequence[str]) -> float:
    """How well a tool fits some stems: its name counts three times what its description counts."""
    found = set(wanted)
    name, about = text.stems(spec.name), text.stems(spec.description)
    params = text.stems(" ".join(properties(spec)))
    return 3.0 * len(found & name) + 1.0 * len(found & about - name) + 0.5 * len(found & params - about - name)


def _fitness(spec: ToolSpec, job: Job) -> float:
    name, about = text.stems(spec.name), text.stems(spec.description.partition("\n")[0])
    path, pattern = bool(parameter(spec, "path")), bool(parameter(spec, "pattern"))
    content = bool(parameter(spec, "content"))
    edits = bool(parameter(spec, "old") and parameter(spec, "new"))
    files = path or bool({"fil", "folder", "directory"} & about)

    def said(*stems: str) -> float:
        return 3.0 * bool(name & set(stems)) + 1.0 * bool(about & set(stems))

    if job == "search" and pattern and files and not content:
        return said("grep", "search", "rg", "ripgrep") - 3.0 * bool(name & {"glob"}) - 2.0 * bool(edits)
    if job == "glob" and pattern and files and not content:
        return said("glob") + 1.0 * ("find" in name) - 3.0 * bool(name & {"grep", "search"})
    if job == "list" and files and not pattern and not content:
        return said("ls", "list", "dir", "tree") - 2.0 * bool(name & {"read", "delet", "remov"})
    if job == "read" and path and not content and not pattern and not edits:
        return said("read", "cat", "open", "view") - 3.0 * bool(name & {"list", "ls", "delet", "remov"})
    if job == "write" and path and content and not edits:
        return said("writ", "sav", "creat", "stor") - 3.0 * bool(name & {"edit", "append"})
    if job == "edit" and path and edits:
        return 1.0 + said("edit", "replac", "chang")
    return 0.0


def _handoffs(spec: ToolSpec) -> list[Handoff]:
    found = properties(spec)
    message = next((name for name in _MESSAGE if name in found), "")
    if not message or not (_HANDOFF_NAME.search(spec.name) or _HANDOFF_TEXT.search(spec.description)):
        return []
    context = next((name for name in ("context", "summary", "background") if name in found), "")
    target = next((name for name in _TARGET if name in found), "")
    if not target:
        agent = re.sub(r"^.*?_to_|^(ask|tell)_", "", spec.name)
        return [Handoff(spec.name, agent, f"{agent} {spec.description}", message, context=context)]
    agents = [str(name) for name in found[target].get("enum") or _const(found[target])]
    about = _about(spec.description, agents)
    return [Handoff(spec.name, agent, f"{agent} {about[agent]}", message, target, context) for agent in agents]


def _const(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else []


def _about(description: str, agents: Sequence[str]) -> dict[str, str]:
    """What a description says of each agent: the text from its name, followed by a colon, to the next one's."""
    about = dict.fromkeys(agents, "")
    marks = "|".join(re.escape(agent) for agent in sorted(agents, key=len, reverse=True))
    if not marks:
        return about
    pieces = re.split(rf"(?<!\w)({marks})\s*[:(—-]", description)
    for agent, said in zip(pieces[1::2], pieces[2::2], strict=True):
        about[agent] = said
    return about
