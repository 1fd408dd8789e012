"""The skills that an agency has initialized: each once, what it requires before it, and closed the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from ...core.base.foreign import awaited, is_ours
from ...core.base.log import logger_of
from ...core.base.send_context import active as active_context
from ..errors import SkillFailed, named
from .context import SkillContext
from .skill import Skill

logger = logger_of()

OPENING: Final = 60.0
"""Seconds that initializing a skill may take."""

CLOSING: Final = 10.0
"""Seconds that closing one may take."""


class OpenSkills:
    """Those of one agency; all on its event loop.

    Args:
        context: makes what a skill is given, of the skills that it requires.
    """

    def __init__(self, context: Callable[[Mapping[str, Skill]], SkillContext]) -> None:
        self._context = context
        self._open: dict[Skill, None] = {}
        self._at_it: dict[Skill, asyncio.Task[None]] = {}

    def __bool__(self) -> bool:
        """Whether there is one to be closed."""
        return bool(self._open or self._at_it)

    def __contains__(self, skill: Skill) -> bool:
        return skill in self._open or not skill.opens

    def have(self, skills: Iterable[Skill]) -> bool:
        """Whether nothing of these is still to be initialized."""
        return all(skill in self for skill in skills)

    async def open(self, skills: Sequence[Skill]) -> None:
        """Initialize those of some skills that are not yet. Several may want the same at once.

        Args:
            skills: what is required comes before what requires it.

        Raises:
            SkillFailed: one could not be initialized; the next who asks tries again.
        """
        by_name = {skill.name: skill for skill in skills}
        for skill in skills:
            if skill in self:
                continue
            task = self._at_it.get(skill)
            if task is None:
                required = {name: by_name[name] for name in skill.required}
                task = asyncio.get_running_loop().create_task(self._initialize(skill, required), name=skill.name)
                self._at_it[skill] = task
                task.add_done_callback(partial(self._ended, skill))
            await asyncio.shield(task)  # whoever waits may give up; others may want it

    async def _initialize(self, skill: Skill, required: Mapping[str, Skill]) -> None:
        if skill.held:
            raise SkillFailed(f"skill {skill.name} is at work in another agency; make one for each of them")
        skill.held = True
        active_context.set(None)  # not the deadline, nor the caller, of the run that happened to come first
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(OPENING):
                await awaited(f"skill {skill.name}", skill.initialize, self._context(required))
        except BaseException as error:
            skill.held = False
            if is_ours(error, task):
                raise
            why = f"it took longer than {OPENING:g} seconds" if isinstance(error, TimeoutError) else named(error)
            raise SkillFailed(f"skill {skill.name} could not be initialized: {why}") from error
        self._open[skill] = None

    def _ended(self, skill: Skill, task: asyncio.Task[None]) -> None:
        del self._at_it[skill]
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; perhaps nobody does any more

    async def close(self) -> None:
        """Close all of them, the last first. One that fails, or takes too long, is logged and passed over."""
        at_it = list(self._at_it.values())
        for task in at_it:
            task.cancel()
        await asyncio.gather(*at_it, return_exceptions=True)
        current = asyncio.current_task()
        while self._open:
            skill, _ = self._open.popitem()
            try:
                async with asyncio.timeout(CLOSING):
                    await awaited(f"skill {skill.name}", skill.close)
            except BaseException as error:
                if is_ours(error, current):
                    raise
                logger.warning("skill %s could not be closed", skill.name, exc_info=error)
            finally:
                skill.held = False
