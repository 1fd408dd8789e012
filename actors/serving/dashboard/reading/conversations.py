"""``api/conversations``: listed, read as they are and as they were, forked and replayed."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ....agents.caller import NOBODY
from ....agents.conversations.reading import Lineage
from ....agents.conversations.view import ConversationSummary
from ....journal.store import at_hand
from ...answers import Json
from ...operations.problem_json import Fields, body_of, query_of
from ...operations.whose import page_size
from ..acting.log import acting
from ..board import Board
from .cutting import Room
from .sequence import sequence_of
from .told import MOST_RUNS, messages_of, rows_of, runs_of, steps_of

_LOOKED_AT: Final = 10_000
"""Conversations that one request may pass over; the next one goes on behind them."""

_MOST_DIFFERENCES: Final = 1_000


async def list_conversations(board: Board, request: Request) -> Response:
    """Those of all tenants, by name; ``q`` is looked for in agents, ids and users."""
    await board.who(request, "read")
    query = query_of(request, "agent", "q", "after", "limit")
    limit, wanted = page_size(query), query.text("q", "").casefold()
    found: list[ConversationSummary] = []
    after: str | None = query.text("after", "")
    looked = 0
    while after is not None and len(found) < limit and looked < _LOOKED_AT:
        page = await board.agency.conversations(agent=query.text("agent") or None, after=after, limit=limit)
        looked += len(page)
        after = page[-1].name if len(page) == limit else None
        for one in page:
            if any(wanted in each.casefold() for each in (one.agent, one.id, one.user)):
                found.append(one)
                if len(found) == limit:
                    after = one.name if one is not page[-1] else after
                    break
    return Json({"conversations": [_summary(one) for one in found], "next": after})


def _summary(one: ConversationSummary) -> dict[str, Any]:
    return {
        "agent": one.agent,
        "conversation": one.id,
        "user": one.user,
        "tenant": one.tenant,
        "events": one.version,
        "updated": one.updated_at,
        "running": one.unfinished,
        "damaged": one.damaged,
    }


async def get_conversation(board: Board, request: Request) -> Response:
    """A conversation as it is now: the latest steps and messages, or older ones."""
    await board.who(request, "read")
    query = query_of(request, "steps_before", "messages_before")
    agent, conversation = named(request)
    journal = board.agency.journal
    lineage = await board.feeds.pasts.read(journal, agent, conversation)
    handed: tuple[str, ...] = ()
    last = lineage.streams[-1].state
    if last.queue:
        children = await at_hand(journal.headers(labels={"parent": f"{last.agent}/{last.conversation}"}, limit=100))
        handed = tuple(child.name.partition("/")[0] for child in children if child.unfinished)
    return Json(told_of(lineage, agent, conversation, query, handed))


async def get_past(board: Board, request: Request) -> Response:
    """A conversation as it was after so many of its events."""
    await board.who(request, "read")
    query = query_of(request, "steps_before", "messages_before")
    agent, conversation = named(request)
    version = Fields({"version": request.path_params["version"]}, ("version",), digits=True).number("version", ...)
    lineage = await board.feeds.pasts.read(board.agency.journal, agent, conversation, version)
    # An agent that takes it over has events before that is recorded: they count, and are not of it yet.
    return Json({**told_of(lineage, agent, conversation, query), "version": version})


def told_of(
    lineage: Lineage, agent: str, conversation: str, query: Fields, handed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A conversation, the latest of it or what is before.

    Args:
        lineage: it.
        agent, conversation: under which it is known.
        query: ``steps_before`` and ``messages_before``, where they are asked for.
        handed: agents to whom work was handed that is still under way.
    """
    first, last = lineage.streams[0], lineage.streams[-1]
    room = Room()
    until = query.number("steps_before")
    steps, steps_before = steps_of(lineage, until)
    messages, messages_before = messages_of(room, last.so_far, query.number("messages_before"))
    latest = [*islice(reversed(first.runs), MOST_RUNS)]
    of_steps = {step.run for step in steps}
    known = {run.id: run for run in first.shown_runs({*latest, *of_steps})}
    shown = [run for run in known.values() if until is None or run.id in of_steps]
    rows, left_out = rows_of(room, steps, shown)
    runs = runs_of(room, [known[id] for id in reversed(latest)])
    owner = {"agent": last.state.agent, "conversation": last.state.conversation}
    tokens, cost = _spent(lineage)
    asked_by = first.state.caller or NOBODY
    return {
        "agent": agent,
        "conversation": conversation,
        "version": lineage.version,
        "user": asked_by.user,
        "tenant": asked_by.tenant,
        "owner": None if first is last else owner,
        "cost": cost,
        "tokens": tokens,
        "running": bool(first.state.queue),
        "messages": messages,
        "messages_before": messages_before,
        "steps": rows,
        "steps_before": steps_before,
        "rows_left_out": left_out,
        "runs": runs,
        "runs_before": len(first.runs) - len(latest),
        "sequence": sequence_of(room, agent, steps, shown, handed if until is None else ()),
    }


def _spent(lineage: Lineage) -> tuple[int, float]:
    """Tokens and US dollars of all runs, as far as they are known."""
    tokens, cost = 0, 0.0
    for run in lineage.streams[0].runs.values():
        if run.answer is not None:
            tokens += run.answer.usage.total_tokens
            cost += run.answer.cost
    for stream in lineage.streams:
        if stream.state.queue and stream.state.begun:
            tokens += stream.state.turn.usage.total_tokens
            cost += stream.state.turn.cost
    return tokens, cost


async def fork_conversation(board: Board, request: Request) -> Response:
    """Begin another conversation with the history up to a step, ``at``; ``to`` is the new one's id."""
    caller = await board.who(request, "act")
    query_of(request)
    agent, conversation = named(request)
    fields = await body_of(board.server, request, "at", "to")
    at, to = fields.number("at"), fields.text("to") or None
    agent = board.server.agent(agent)
    async with acting(board, caller, "fork", f"{agent}/{conversation}", {"at": at, "to": to}):
        new = await board.agency.fork(conversation, at=at, to=to, agent=agent)
    return Json({"agent": agent, "conversation": new}, 201)


async def replay_conversation(board: Board, request: Request) -> Response:
    """Go through it again with the agents as they are now; nothing is bought, and nothing is written."""
    await board.who(request, "act")
    query_of(request)
    await body_of(board.server, request)
    agent, conversation = named(request)
    report = await board.agency.replay(conversation, agent=agent)
    room = Room()
    differences = [
        room.told({"step": one.step, "run": one.run, "agent": one.agent, "what": one.kind, "text": room.text(one.text)})
        for one in report.differences[:_MOST_DIFFERENCES]
    ]
    left_out = len(report.differences) - len(differences)
    told = {"same": report.same, "steps": report.steps, "runs": len(report.runs)}
    return Json({**told, "differences": differences, "differences_left_out": left_out})


def named(request: Request) -> tuple[str, str]:
    """The conversation that a path names."""
    return request.path_params["agent"], request.path_params["conversation"]
