"""The skill ``memory`` by its name: a memory that is opened as the agency starts, and closed as it stops."""

from __future__ import annotations

import os
from typing import Any

from .....providers.checks import FLAG, WHOLE
from .....tools.threads import in_thread
from .....tools.tool import Tool
from ....core.base.foreign import awaited
from ...errors import DefinitionError
from ...hooks import Hook, HookContext, hook
from ...memory.memory import Memory
from ...prompts.prompt import Prompt
from ...wishes import define
from ..context import SkillContext
from ..skill import Skill
from .memory import memory_skill


class StoredMemory(Skill):
    """What `memory_skill` gives, of a memory that the skill itself opens and closes.

    Args:
        store: where facts are kept: a path, or an address (``postgresql://…``).
        options: those of `memory_skill`.

    Raises:
        DefinitionError: an argument is of the wrong type.

    Attributes:
        memory: the memory, open while the agency runs: to search, correct, export and erase by code.
    """

    def __init__(self, store: str | os.PathLike[str], *, facts: int = 5, per_agent: bool = False) -> None:
        if not isinstance(store, str | os.PathLike) or not os.fspath(store):
            raise DefinitionError(f"skill memory: store is {store!r:.80}; expected a path or an address")
        define("skill memory", facts=(facts, WHOLE), per_agent=(per_agent, FLAG))
        self._store = os.fspath(store)
        self._options: dict[str, Any] = {"facts": facts, "per_agent": per_agent}
        self._opened: Skill | None = None
        self.memory: Memory | None = None
        super().__init__(
            "memory",
            hooks=[hook("request")(self._tell)],
            prompt=self._offer,
            description="Remembers facts of users over conversations.",
        )

    async def initialize(self, context: SkillContext) -> None:
        """Open the memory."""
        self.memory = await in_thread(lambda: Memory(self._store))
        self._opened = memory_skill(self.memory, **self._options)

    async def close(self) -> None:
        """Close the memory."""
        memory, self.memory, self._opened = self.memory, None, None
        if memory is not None:
            await in_thread(memory.close)

    def _offer(self, prompt: Prompt) -> None:
        if self._opened is None:
            return
        prompt.system("memory", self._opened.instructions)
        for each in self._opened.tools:
            if isinstance(each, Tool):
                prompt.tool(each)

    async def _tell(self, context: HookContext) -> HookContext:
        for each in self._opened.hooks if self._opened is not None else ():
            if isinstance(each, Hook) and each.event == context.event:
                changed = await awaited(f"hook {each.name}", each.function, context)
                context = changed if isinstance(changed, HookContext) else context
        return context
