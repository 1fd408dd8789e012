"""One step of a prompt: call the function, run its effects, and put together what the model is shown."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple

from ....providers.messages import Message, ToolSpec
from ....tools.calls.changes import changes
from ....tools.function_tool import Alike, FunctionTool
from ....tools.tool import Tool
from ..context import RequestContext
from ..errors import PromptError, an
from .effects import Effect, EffectContext, StepModifier
from .items import Items
from .parts import Parts
from .prompt import Prompt, end
from .references import Reference, ToolReference
from .spec import PromptSpec
from .state.cells import RENDER, Cells
from .subagents import SubAgent, SubAgents
from .templates.rendered import RenderedTemplate
from .unfinished import Unfinished


class StepFacts(NamedTuple):
    """What is known of a step before it.

    Args:
        messages: the conversation before it.
        step: which completion of the run it is, counted from 1.
        last_tool: whose result came last before it, in this run; empty if none did.
        context: the request context of the run.
        tools: what the agent itself offers its model.
    """

    messages: tuple[Message, ...]
    step: int
    last_tool: str
    context: RequestContext
    tools: tuple[ToolSpec, ...] = ()


class Rendered(NamedTuple):
    """What a prompt function makes of a step.

    Args:
        system: the text of its parts, for behind the agent's instructions; empty if it has none.
        before: messages for before the conversation.
        messages: what stands in place of the conversation; None for itself.
        after: messages for behind the conversation.
        offers: tools that the model may call, besides what the agent itself offers, by name.
        likes: for each of them one that it is like, where that is known and says all that the model is told of it.
        agents: sub-agents that it may call.
        offered: names of those tools and sub-agents, the agent's own included, that are offered; None for all.
        notes: what is told of the step in the answer.
        functions: the agents that programs of the model may call.
    """

    system: str
    before: tuple[Message, ...]
    messages: tuple[Message, ...] | None
    after: tuple[Message, ...]
    offers: Mapping[str, Tool | Alike]
    likes: Sequence[FunctionTool | None]
    agents: tuple[SubAgent | SubAgents, ...]
    offered: frozenset[str] | None
    notes: tuple[str, ...] = ()
    functions: tuple[SubAgent, ...] = ()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools, made."""
        return tuple(one.made() if isinstance(one, Alike) else one for one in self.offers.values())


def render(
    spec: PromptSpec,
    cells: Cells,
    facts: StepFacts,
    *,
    before: Mapping[str, Any] | None = None,
    input: Any = None,
) -> Rendered | Awaitable[Rendered]:
    """Call a prompt function for a step.

    What it sets, initial values and what effects set, stays in the scope `RENDER` of the cells: to be taken when the
    step's completion is recorded.

    Args:
        spec: the function.
        cells: the conversation's state.
        facts: of the step.
        before: the state that the step was rendered from, where a restart finds it in its middle: the function defines
            again what it defined then, no effect runs, and nothing is set.
        input: what a sub-agent is given.

    Returns:
        What it makes of the step; to be awaited where the function, or an effect, is async.

    Raises:
        PromptError: something is used wrongly.
        Exception: what the function, or an effect, raises. Nothing is set then.
    """
    cells.check_untouched()
    cells.drop(RENDER)
    cells.name = spec.name
    parts = Parts(spec.name, spec.file, spec.line, cells, before, facts.context)
    prompt = spec.kind(parts)
    try:
        token = cells.begin()
        try:
            made = spec.fn(prompt) if input is None else spec.fn(prompt, input)
        finally:
            changes.reset(token)
        if made is not None:
            if inspect.isawaitable(made):
                return Unfinished(_awaited(prompt, made, parts, facts), made)
            _check_returned(made, parts)
        end(prompt)
        finished = _finished(parts, facts)
    except BaseException:
        cells.drop(RENDER)
        raise
    return finished if isinstance(finished, Rendered) else Unfinished(_rest(*finished), finished.made)


async def _awaited(prompt: Prompt, made: Awaitable[Any], parts: Parts, facts: StepFacts) -> Rendered:
    try:
        token = parts.cells.begin()
        try:
            returned = await made
        finally:
            changes.reset(token)
        if returned is not None:
            _check_returned(returned, parts)
        end(prompt)
        finished = _finished(parts, facts)
    except BaseException:
        parts.cells.drop(RENDER)
        raise
    return finished if isinstance(finished, Rendered) else await _rest(*finished)


def _check_returned(made: object, parts: Parts) -> None:
    """Nothing that a function returns is looked at; a lambda returns what its one method does.

    Raises:
        PromptError: something else was returned, as if it were told to the model.
    """
    if not isinstance(made, Reference | ToolReference | RenderedTemplate):
        raise PromptError(
            f"{parts.name} returned {an(type(made))}, which nobody reads: a prompt function returns nothing, and tells "
            "the model by prompt.system(name, text) or prompt.user(text)"
        )


class _Rest(NamedTuple):
    """The effects of a step from the first one on that is async, which has been called, and what they see."""

    parts: Parts
    seen: tuple[EffectContext, StepModifier] | tuple[()]
    made: Awaitable[Any]
    due: list[Effect]


def _finished(parts: Parts, facts: StepFacts) -> Rendered | _Rest:
    """Run the effects of a step, and put it together."""
    parts.check(facts.tools)
    if parts.before is not None:
        return _assembled(parts, None)
    cells = parts.cells
    due = _due(parts)
    if not due:
        return _assembled(parts, None)
    seen = _seen(parts, facts) if any(effect.takes for effect in due) else ()  # 3 µs
    with cells.open(RENDER):
        for index, effect in enumerate(due):
            made: Any = effect.callback(*seen[: effect.takes])
            if made is not None and inspect.isawaitable(made):
                return _Rest(parts, seen, made, due[index:])
            if effect.dependencies is not None:
                cells.effect_ran(effect.identity, effect.dependencies)
    return _assembled(parts, seen[1] if seen else None)


async def _rest(
    parts: Parts, seen: tuple[EffectContext, StepModifier] | tuple[()], made: Awaitable[Any], due: list[Effect]
) -> Rendered:
    cells = parts.cells
    try:
        for index, effect in enumerate(due):
            with cells.open(RENDER):
                if index:
                    made = effect.callback(*seen[: effect.takes])
                if inspect.isawaitable(made):
                    await made
            if effect.dependencies is not None:
                cells.effect_ran(effect.identity, effect.dependencies)
        return _assembled(parts, seen[1] if seen else None)
    except BaseException:
        cells.drop(RENDER)
        raise


def _due(parts: Parts) -> list[Effect]:
    """The effects that run in this step; those that were not made are forgotten."""
    kept, made = parts.cells.effects, parts.depending
    if list(kept) != made:  # there may be others that this step did not make
        there = set(made)
        for identity in kept:
            if identity not in there:
                parts.cells.effect_ran(identity, None)
    return parts.effects


def _seen(parts: Parts, facts: StepFacts) -> tuple[EffectContext, StepModifier]:
    def tools() -> Items[ToolSpec]:
        own = (one.spec for one in (*parts.tools.values(), *parts.agents.values()))
        return Items((*facts.tools, *own), "tool")

    context = EffectContext(
        facts.messages,
        facts.step,
        facts.last_tool,
        facts.context,
        Items(parts.systems, "system"),
        Items(parts.variables, "variable"),
        tools,
    )
    return context, StepModifier(context, parts.name)


def _assembled(parts: Parts, step: StepModifier | None) -> Rendered:
    marks = parts.marks
    marks.over = True
    told = parts.systems + parts.variables
    messages, offered = None, None
    if step is not None:
        step.close()
        messages, offered = step.changed
        told = [*step.systems, *step.variables]
    if marks.disabled:
        told = [one for one in told if one.name not in marks.disabled]
    after: tuple[Message, ...] = ()
    if marks.reminded:
        names = {one.name for one in told}
        if reminded := [str(one) for one in marks.reminded.values() if one.name in names]:
            after = (Message("user", f"<reminder>Keep to: {', '.join(reminded)}</reminder>"),)
    return Rendered(
        parts.close(told),
        tuple(parts.messages),
        messages,
        after,
        parts.tools,
        parts.likes,
        tuple(parts.agents.values()),
        offered,
        tuple(parts.notes),
        tuple(parts.functions),
    )
