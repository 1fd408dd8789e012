"""Which runs there are, conversation by conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from ...core.base.log import logger_of
from ...journal.errors import JournalError
from ...journal.store import Header, Journal, at_hand
from ..errors import DefinitionError, UnknownConversation
from ..runs.handle import Status
from ..runs.reading.folding import header_of, is_conversation
from .reading import PAGE, read_conversation
from .view import ConversationRun, RunPage, RunSummary

logger = logger_of()

MOST_READ: Final = 500
"""Conversations that are read for one page."""

_OVER: Final = frozenset({"ended", "failed"})


async def list_runs(
    journal: Journal,
    *,
    agent: str | None,
    conversation: str | None,
    status: Status | None,
    user: str | None,
    tenant: str | None,
    after: str,
    limit: int,
    called: Callable[[str], str],
) -> RunPage:
    """A page of the runs that fit; see `Agency.runs`."""
    labels = {"user": user, "tenant": tenant, "conversation": conversation}
    stream, passed = _place(after)
    found: list[RunSummary] = []
    read = 0
    async for header in _headers(journal, f"{agent}/" if agent is not None else "", labels, status, stream):
        if header.name != stream:
            passed = 0
        if read == MOST_READ:
            return RunPage(tuple(found), f"{stream}:{passed}")
        read += 1
        for run in (await _runs_of(journal, header))[passed:]:
            passed += 1
            summary = _summary(header, run, called)
            if status is None or summary.status == status:
                found.append(summary)
                if len(found) == limit:
                    return RunPage(tuple(found), f"{header.name}:{passed}")
        stream = header.name
    return RunPage(tuple(found), None)


def _place(after: str) -> tuple[str, int]:
    """The conversation that a page ended in, and how many of its runs were passed."""
    stream, _, passed = after.rpartition(":")
    if after and not (stream and passed.isascii() and passed.isdigit() and len(passed) < 16):
        raise DefinitionError(f"after is the `next` of the page before, not {after!r:.80}")
    return stream, int(passed or 0)


async def _headers(
    journal: Journal, prefix: str, labels: dict[str, str | None], status: Status | None, after: str
) -> AsyncIterator[Header]:
    """Those of the conversations that may have such runs, the one that the page before ended in being the first."""
    wanted = {name: given for name, given in labels.items() if given}
    unfinished = None if status is None or status in _OVER else True

    def fitting(headers: Iterable[Header]) -> Iterable[Header]:
        for one in headers:
            known = one.version and is_conversation(one) and not {"parent", "ephemeral"} & one.labels.keys()
            if known and all(given is None or one.labels.get(name, "") == given for name, given in labels.items()):
                yield one

    if after and after.startswith(prefix) and (last := await header_of(journal, after)) is not None:
        for one in fitting([last]):
            yield one
    while True:
        headers = await at_hand(
            journal.headers(prefix=prefix, labels=wanted, unfinished=unfinished, after=after, limit=PAGE)
        )
        for one in fitting(headers):
            yield one
        if len(headers) < PAGE:
            return
        after = headers[-1].name


async def _runs_of(journal: Journal, header: Header) -> tuple[ConversationRun, ...]:
    agent, _, conversation = header.name.partition("/")
    try:
        return (await read_conversation(journal, agent, conversation)).runs
    except UnknownConversation:  # released this moment
        return ()
    except JournalError as error:
        logger.warning("the runs of a conversation are passed over: %s", error)
        return ()


def _summary(header: Header, run: ConversationRun, called: Callable[[str], str]) -> RunSummary:
    agent, _, conversation = header.name.partition("/")
    status: Status = "ended" if run.status == "answered" else run.status
    whose = (header.labels.get("user", ""), header.labels.get("tenant", ""))
    worker = called(header.owner) if header.owner and status not in _OVER else ""
    return RunSummary(run.id, agent, conversation, status, *whose, run.at, run.steps, run.usage, run.cost, worker)
