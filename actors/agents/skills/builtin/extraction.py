"""Taking facts out of runs that have ended, beside everything else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from .....providers.messages import Message
from ....core.refs.ref import ActorRef
from ...context import RequestContext, model_at_work
from ...memory.facts.extraction import DUE, asked, facts_in, record_of
from ...memory.facts.fact import Fact, NewFact, Owner
from ...memory.facts.origins import as_texts
from ...memory.memory import Memory
from ...turns.labels import joined

logger = logging.getLogger("callboard")

_SOURCE: Final = "extraction of run "


class Extraction:
    """Has a model take facts out of runs.

    What was said in a run is kept in the memory itself until that has been done, so a crash in between loses nothing:
    it is done when the user's next run ends. The facts of a run are added all at once, under a key of the run's.

    Args:
        model: who is asked.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._owners: set[Owner] = set()  # for whom somebody is at work
        self._tasks: set[asyncio.Task[None]] = set()

    async def note(self, memory: Memory, request: RequestContext, owner: Owner, messages: Sequence[Message]) -> None:
        """Keep what was said in a run, and begin to take facts out of it.

        Args:
            memory: where facts are kept.
            request: of the run.
            owner: whose facts they are.
            messages: the conversation's, up to the run's end.
        """
        last = max((at for at, message in enumerate(messages) if message.role == "user"), default=0)
        record = record_of(messages[last:])
        if not record:
            return
        await memory.add(
            record,
            owner=owner,
            source=_SOURCE + request.run,
            key=_SOURCE + request.run,
            metadata={"source": f"{request.agent}, conversation {request.conversation}"},
            labels=as_texts(joined(messages)),
            kind=DUE,
        )
        pool = model_at_work()
        if pool is None:
            logger.warning("no facts can be taken out of runs of %s: the agency has no pool to ask", request.agent)
        elif owner not in self._owners:
            self._owners.add(owner)
            task = asyncio.create_task(self._work(memory, owner, pool))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, memory: Memory, owner: Owner, pool: ActorRef[Any]) -> None:
        try:
            while due := await memory.facts(owner=owner, kind=DUE):
                for one in due:
                    await self._take_out(memory, one, pool)
        except Exception as error:
            logger.warning(
                "facts cannot be taken out of runs now; it is tried again when the user's next one ends", exc_info=error
            )
        finally:
            self._owners.discard(owner)

    async def _take_out(self, memory: Memory, due: Fact, pool: ActorRef[Any]) -> None:
        completion = await pool.ask(asked(due.text, self._model))
        found = facts_in(completion.message.text)
        if found is None:
            logger.warning("%s gave no list of facts for the %s", self._model, due.source)
        source = str(due.metadata.get("source", ""))
        facts = [NewFact(text, source, labels=due.labels) for text in found or ()]
        await memory.add_all(facts, owner=due.owner, key=f"facts by {due.source}")
        await memory.erase(owner=due.owner, source=due.source, kinds=(DUE,))
