"""A conversation's prompt without a run: steps are rendered, tools called, and what is recorded goes through JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from callboard import Message, ToolResult
from callboard.actors.agents.caller import NOBODY
from callboard.actors.agents.context import RequestContext
from callboard.actors.agents.prompts.prompt import as_prompt
from callboard.actors.agents.prompts.rendering import Rendered, StepFacts, render
from callboard.actors.agents.prompts.state.cells import RENDER, Cells
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.agents.turns.records import PromptChanged
from callboard.providers.messages import ToolSpec

CODEC = RunCodec()
CONTEXT = RequestContext("r", "r", "A", "c", ("A",), NOBODY, {}, [])


class Conversation:
    """What a prompt function finds from step to step."""

    def __init__(self) -> None:
        self.records: list[PromptChanged] = []
        self.cells = Cells({}, {})
        self.steps = 0

    def restart(self) -> None:
        """Go on from what was recorded, in another process."""
        state: dict[str, Any] = {}
        effects: dict[str, str | None] = {}
        for record in self.records:
            kept = CODEC.encode(record)
            read = CODEC.decode(kept.type, kept.schema, kept.data)
            state |= read.state
            effects |= read.effects
        self.cells = Cells(state, {name: on for name, on in effects.items() if on is not None})

    def record(self, changed: PromptChanged | None) -> None:
        """Keep what has changed."""
        if changed is not None:
            self.records.append(changed)

    def rendered(
        self,
        fn: Callable[..., object],
        plugins: Any = (),
        *,
        messages: Sequence[Message] = (),
        tools: tuple[ToolSpec, ...] = (),
        last_tool: str = "",
    ) -> Any:
        """Render a step; whether a completion comes of it is not known yet. To be awaited where the function is."""
        facts = StepFacts(tuple(messages), self.steps + 1, last_tool, CONTEXT, tools)
        return render(as_prompt(fn, plugins, "agent 'A'"), self.cells, facts)

    def step(self, fn: Callable[..., object], plugins: Any = (), **facts: Any) -> Rendered:
        """Render a step of which a completion comes."""
        made = self.rendered(fn, plugins, **facts)
        assert isinstance(made, Rendered)
        self.steps += 1
        self.record(self.cells.take(RENDER))
        return made

    async def call(self, step: Rendered, name: str, **arguments: Any) -> ToolResult:
        """Call a tool of a step; what it sets is recorded with its result."""
        (tool,) = (one for one in step.tools if one.name == name)
        with self.cells.open(name):
            result = await tool.run(arguments)
        if result.is_error:
            self.cells.drop(name)
        else:
            self.record(self.cells.take(name))
        return result


async def settled(made: Any) -> Rendered:
    """A step whose function may be async."""
    result = await made if inspect.isawaitable(made) else made
    assert isinstance(result, Rendered)
    return result
