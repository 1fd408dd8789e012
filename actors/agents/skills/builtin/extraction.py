"""Taking facts out of runs that have ended, beside everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from .....providers.messages import Labels, Message
from ....core.base.log import logger_of
from ....core.refs.ref import ActorRef
from ...context import RequestContext, model_at_work
from ...errors import GuardrailTripped
from ...hooks import before_remembering
from ...memory.errors import UnknownFact, WrongFact
from ...memory.facts.extraction import DUE, asked, facts_in, record_of
from ...memory.facts.fact import Fact, NewFact, Owner
from ...memory.facts.labelling import as_texts
from ...memory.memory import Memory

logger = logger_of()

_SOURCE: Final = "extraction of run "

ENDING: Final = 5.0
"""Seconds for which an agency that stops waits for facts to be taken out: half of what a skill may take to close."""

MOST_FAILURES: Final = 3
"""Runs that cannot be worked on one after the other, after which it is left for another time: it is not the run's fault
then. Of fewer, the others' facts are taken out all the same."""


class Extraction:
    """Has a model take facts out of runs.

    What was said in a run is kept in the memory itself until that has been done, so a crash in between loses nothing:
    it is done when the user's next run ends. The facts of a run are added all at once, in place of what was said: where
    that has been erased meanwhile, nothing is added.

    Args:
        model: who is asked.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._noted: set[Owner] = set()  # of whom something was noted that nobody has looked for yet
        self._owners: set[Owner] = set()  # for whom somebody is at work
        self._tasks: set[asyncio.Task[None]] = set()

    async def note(
        self, memory: Memory, request: RequestContext, owner: Owner, messages: Sequence[Message], labels: Labels
    ) -> None:
        """Keep what was said in a run, and begin to take facts out of it.

        Args:
            memory: where facts are kept.
            request: of the run.
            owner: whose facts they are.
            messages: the run's.
            labels: the conversation's.
        """
        record = record_of(messages)
        if not record:
            return
        await memory.add(
            record,
            owner=owner,
            source=_SOURCE + request.run,
            key=_SOURCE + request.run,
            metadata={"source": f"{request.agent}, conversation {request.conversation}"},
            labels=as_texts(labels),
            kind=DUE,
        )
        pool = model_at_work()
        if pool is None:
            logger.warning("no facts can be taken out of runs of %s: the agency has no pool to ask", request.agent)
            return
        self._noted.add(owner)
        if owner not in self._owners:
            self._owners.add(owner)
            task = asyncio.create_task(self._work(memory, owner, pool))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """Wait until nothing is due any more, but not for long: what is left is done when the user's next run ends."""
        tasks = [*self._tasks]
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=ENDING)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _work(self, memory: Memory, owner: Owner, pool: ActorRef[Any]) -> None:
        try:
            while owner in self._noted:
                self._noted.discard(owner)
                await self._take_all_out(memory, owner, pool)
        except Exception as error:
            self._noted.discard(owner)
            logger.warning(
                "facts cannot be taken out of runs now; it is tried again when the user's next one ends", exc_info=error
            )
        finally:
            self._owners.discard(owner)

    async def _take_all_out(self, memory: Memory, owner: Owner, pool: ActorRef[Any]) -> None:
        failures: list[Exception] = []
        for one in await memory.facts(owner=owner, kind=DUE):
            try:
                await self._take_out(memory, one, pool)
            except Exception as error:
                failures.append(error)
                if len(failures) == MOST_FAILURES:
                    break
        if failures:
            raise failures[0]

    async def _take_out(self, memory: Memory, due: Fact, pool: ActorRef[Any]) -> None:
        completion = await pool.ask(asked(due.text, self._model))
        found = facts_in(completion.message.text)
        if found is None:
            logger.warning("%s gave no list of facts for the %s", self._model, due.source)
        facts = [fact for text in found or () if (fact := self._fact(text, due)) is not None]
        try:
            await self._add(memory, facts, due)
        except GuardrailTripped:
            await self._add(memory, [fact for fact in facts if await self._may_be_kept(fact, due)], due)

    async def _add(self, memory: Memory, facts: list[NewFact], due: Fact) -> None:
        try:
            await memory.add_all(facts, owner=due.owner, key=f"facts by {due.source}", in_place_of=due.id)
        except UnknownFact:
            logger.info("what was said in the %s has been erased: no facts are kept", due.source)

    def _fact(self, text: str, due: Fact) -> NewFact | None:
        try:
            return NewFact(text, str(due.metadata.get("source", "")), labels=due.labels)
        except WrongFact as error:
            self._left_out(due, error)
            return None

    async def _may_be_kept(self, fact: NewFact, due: Fact) -> bool:
        try:
            await before_remembering(fact.text)
        except GuardrailTripped as error:
            self._left_out(due, error)
            return False
        return True

    def _left_out(self, due: Fact, error: Exception) -> None:
        logger.warning("a fact that %s found for the %s is not kept: %s", self._model, due.source, error)
