"""Who or what a task may be handed to."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

from ....providers.checks import TEXT
from ....providers.messages import Message
from ....tools.threads import in_thread
from ...core.refs.ref import ActorRef
from ..answer import Answer
from ..context import RequestContext
from ..errors import DefinitionError
from ..wishes import AGENT_NAME, MODEL, check_settings, define
from .handoff import Handoff


class Target(Protocol):
    """Who or what a task may be handed to: an `Agent`, a `Pipeline`, or a `Responder`."""

    name: str
    description: str


class AgentRequest(NamedTuple):
    """What an agent is asked that answers by itself, in place of a model.

    Args:
        messages: the conversation so far; what is asked now is its end.
        context: who asks, for whom, and by which agents it came here.
        handoff: the handoff it comes from; None where a caller asks.
    """

    messages: tuple[Message, ...]
    context: RequestContext
    handoff: Handoff | None = None

    def __repr__(self) -> str:
        """Which run's, never what is said in it: errors and logs show messages."""
        return f"AgentRequest(run={self.context.run!r}, {len(self.messages)} messages)"

    @property
    def text(self) -> str:
        """What is asked: the task, or the last message."""
        if self.handoff is not None and self.handoff.kind == "delegate":
            return self.handoff.task
        return self.messages[-1].text if self.messages else ""


Responds: TypeAlias = Callable[[AgentRequest], Awaitable[Answer | str]]


class Responder(Target, Protocol):
    """An agent of one's own class: it answers by itself, where others ask a model.

    It has conversations, runs and a journal as any agent: what it answered is recorded and not asked for again, and
    cancelling its run cancels it. One that was at work in a process that died is asked again.
    """

    async def answer(self, request: AgentRequest) -> Answer | str:
        """Do what is asked. What it raises ends its run by name: an `AgentError` as it is, others as `RunFailed`."""
        ...


class FunctionStage:
    """A plain function as a stage of a pipeline.

    Args:
        name: unique in an agency.
        function: takes the text that the stage before it answered, and returns the text for the next one, or an
            `Answer`. May be async; otherwise it runs in a thread.
    """

    def __init__(self, name: str, function: Callable[[str], Any]) -> None:
        self.name = name
        self.function = function
        self.description = inspect.getdoc(function) or ""

    def __repr__(self) -> str:
        return f"<FunctionStage {self.name}>"

    async def answer(self, request: AgentRequest) -> Answer | str:
        """What the function makes of a text."""
        text = request.text
        if inspect.iscoroutinefunction(self.function):
            return await self.function(text)  # type: ignore[no-any-return]
        made = await in_thread(lambda: self.function(text))
        return await made if inspect.isawaitable(made) else made  # type: ignore[no-any-return]


class Pipeline:
    """A target of several stages: each is given the answer of the one before, the last one's answer comes back.

    Args:
        name: as the model knows it.
        stages: agents, pipelines, and plain functions of a text, in order; at least one. A function is called
            ``{pipeline}-{function}`` (a lambda ``{pipeline}-lambda``), the second one of that name with ``-2`` behind.
        description: when to use it.

    Raises:
        DefinitionError: there are no stages, one is neither a target nor a function, or the name is none.
    """

    def __init__(self, name: str, *stages: Target | Callable[[str], Any], description: str = "") -> None:
        define("a pipeline", name=(name, AGENT_NAME), description=(description, TEXT))
        if not stages:
            raise DefinitionError(f"pipeline {name!r} needs at least one stage")
        self.name = name
        made: list[Target] = []
        taken: set[str] = set()
        for stage in stages:
            if isinstance(stage, Pipeline):
                made.extend(stage.stages)
            elif inspect.isroutine(stage):
                made.append(FunctionStage(_name_of(stage, name, taken), stage))
            elif isinstance(getattr(stage, "name", None), str):
                made.append(stage)  # type: ignore[arg-type]
            elif callable(stage) and not isinstance(stage, type):
                made.append(FunctionStage(_name_of(stage, name, taken), stage))
            else:
                raise DefinitionError(f"a stage of pipeline {name!r} is an agent or a function, not {stage!r:.80}")
        self.stages: tuple[Target, ...] = tuple(made)
        self.description = description or f"A pipeline: {', '.join(stage.name for stage in self.stages)}."


def _name_of(function: Callable[[str], Any], pipeline: str, taken: set[str]) -> str:
    """What a function is called as a stage: by its own name, numbered from the second one of that name on.

    Args:
        function: what; a partial is called as what it is of.
        pipeline: whose stage it is.
        taken: the names that there are; this one is added.
    """
    while isinstance(function, partial):
        function = function.func
    own = getattr(function, "__name__", type(function).__name__)
    named = name = f"{pipeline}-{re.sub(r'[^A-Za-z0-9_-]+', '', own) or 'stage'}"
    number = 1
    while name in taken:
        number += 1
        name = f"{named}-{number}"
    taken.add(name)
    return name


class ModelTarget:
    """The same agent with another model, or other settings: it sees the conversation, and has the same instructions,
    tools and handoffs, but those to other models.

    Args:
        model: the model's name, or an actor that answers `Request`; empty for the agent's own.
        name: the target is called ``{agent}-{name}``; by default after the model.
        description: when to use it.
        settings: fields of `Request` in place of the agent's: ``temperature``, ``max_tokens``, ``reasoning_effort``…

    Raises:
        DefinitionError: it is another model neither by its name nor by a setting, or nothing to call it by; or an
            argument is of the wrong type.
    """

    def __init__(
        self, model: str | ActorRef[Any] = "", *, name: str = "", description: str = "", **settings: Any
    ) -> None:
        define("a ModelTarget", model=(model, MODEL), name=(name, TEXT), description=(description, TEXT))
        check_settings(settings, f"a ModelTarget {name}".rstrip())
        named = model if isinstance(model, str) else ""
        if not model and not settings:
            raise DefinitionError("a ModelTarget is another model, or the same with other settings: nothing is given")
        self.model = model
        self.name = name or re.sub(r"[^A-Za-z0-9_-]+", "_", named.rpartition("/")[2]).strip("_")
        if not self.name:
            raise DefinitionError("a ModelTarget without the name of a model needs a name")
        define("a ModelTarget", name=(self.name, AGENT_NAME))
        self.description = description or f"The same with {'the model ' + named if named else 'other settings'}."
        self.settings = settings

    def __repr__(self) -> str:
        return f"<ModelTarget {self.name}>"
