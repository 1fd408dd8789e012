"""Calls that wait for a person in another agency of the same journal: who sees them, who decides, what counts."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Request, tool
from callboard.actors.agents.caller import Caller
from callboard.actors.agents.errors import DefinitionError, NotAllowed, RunFailed, UnfitArguments, UnknownApproval
from callboard.actors.agents.events import ApprovalRequested
from callboard.actors.agents.turns.records import ApprovalAsked, Decision
from callboard.actors.agents.turns.rules import Limits
from callboard.actors.agents.turns.steps import Completed, Decided
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Completion, Message
from callboard.testing import virtual_time

from .support import function, until

ANN = Caller("ann", "acme")


def paying(journal: MemoryJournal, effects: list[str], **options: Any) -> Agency:
    """An agency whose agent may pay once a person has agreed."""

    @tool
    async def pay() -> str:
        effects.append("paid")
        return "paid"

    def model(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("pay")

    return Agency(
        Agent("A", "a", tools=[pay], autonomy="supervised"), model=function(model), journal=journal, **options
    )


async def asked(agency: Agency) -> tuple[ApprovalRequested, asyncio.Task[Any]]:
    """Begin a run; the approval that it waits for, and the run."""
    run = asyncio.ensure_future(agency.run("pay", conversation="c", caller=ANN))
    await until(lambda: agency.approvals)
    return agency.approvals[0], run


@pytest.mark.parametrize("approved", [True, False])
async def test_a_call_that_waits_in_one_agency_is_seen_and_decided_in_another(approved: bool) -> None:
    effects: list[str] = []
    journal = MemoryJournal()
    async with paying(journal, effects) as one, paying(journal.as_worker(), effects) as other:
        request, run = await asked(one)
        assert await one.pending_approvals() == (request,)
        (seen,) = await other.pending_approvals()
        assert seen.at == 0
        assert (seen.approval, seen.caller, seen.tool, seen.run) == (request.approval, ANN, "pay", request.run)
        assert other.approvals == ()
        await (other.approve(seen) if approved else other.deny(seen, "no"))
        assert await other.pending_approvals() == ()
        assert (await run).text == ("paid" if approved else "Denied by a person: no")
        with pytest.raises(UnknownApproval, match="was approved" if approved else "was denied"):
            await other.deny(seen.approval)
    assert effects == ["paid"] * approved


@pytest.mark.parametrize("unfit", ['{"amount": "much"}', "{}", '{"amount": 5, "more": 1}', '{"amount": NaN}'])
@pytest.mark.parametrize("where", ["here", "by its agent", "by others"])
async def test_arguments_that_the_tool_would_refuse_use_up_no_approval(where: str, unfit: str) -> None:
    paid: list[int] = []

    @tool
    async def pay(amount: int) -> str:
        paid.append(amount)
        return "paid"

    def model(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("pay", amount=1)

    def bank(name: str, journal: MemoryJournal) -> Agency:
        return Agency(Agent(name, tools=[pay], autonomy="supervised"), model=function(model), journal=journal)

    journal = MemoryJournal()
    async with bank("A", journal) as one, bank("B" if where == "by others" else "A", journal.as_worker()) as other:
        request, run = await asked(one)
        decides = one if where == "here" else other
        with pytest.raises(DefinitionError if "NaN" in unfit else UnfitArguments):
            await decides.approve(request.approval, arguments=unfit)
        assert [waits.approval for waits in await one.pending_approvals()] == [request.approval]
        await decides.approve(request.approval, arguments='{"amount": 5}')
        assert (await run).text == "paid"
    assert paid == [5]


async def test_a_run_that_waits_for_more_is_given_it_from_another_agency() -> None:
    journal = MemoryJournal()
    effects: list[str] = []
    async with paying(journal, effects) as one, paying(journal.as_worker(), effects) as other:
        limits = Limits(steps=1, ask=True)
        run = asyncio.ensure_future(one.run("pay", conversation="c", caller=ANN, limits=limits))
        await until(lambda: one.approvals)
        (seen,) = await other.pending_approvals()
        assert (seen.approval, seen.arguments) == (one.approvals[0].approval, one.approvals[0].arguments)
        with pytest.raises(DefinitionError, match="waits for more steps"):
            await other.approve(seen)
        await other.approve(seen, limits=Limits(steps=5))
        await until(lambda: one.approvals and one.approvals[0].tool == "pay")
        with pytest.raises(DefinitionError, match="limits are for a run that waits for more"):
            await other.approve(one.approvals[0], limits=Limits(steps=5))
        await other.approve(one.approvals[0])
        assert (await run).text == "paid"
        with pytest.raises(UnknownApproval, match="was approved"):
            await other.approve(seen, limits=Limits(steps=5))
    assert effects == ["paid"]


async def test_what_may_not_be_decided_elsewhere_is_told_by_the_future_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = MemoryJournal()
    async with paying(journal, []) as one, paying(journal.as_worker(), []) as other:
        request, run = await asked(one)
        wanted = "bob of acme may not decide what ann of acme asked for; it takes the scope admin or approvals"
        with pytest.raises(NotAllowed, match=wanted):
            await other.approve(request, caller=Caller("bob", "acme"))
        with pytest.raises(NotAllowed, match="bob of evil may not decide this: it is another tenant's"):
            await other.approve(request, caller=Caller("bob", "evil", frozenset({"approvals"})))
        with pytest.raises(UnknownApproval, match="never asked for"):
            await other.approve("0123")
        with pytest.raises(DefinitionError):
            other.approve(request, arguments="[]")
        with pytest.raises(UnknownApproval):
            other.approve(None)  # type: ignore[arg-type]
        with caplog.at_level(logging.WARNING, "callboard"):
            refused = other.deny("4567")  # nobody awaits it
            await until(refused.done)
        assert "4567" in caplog.text
        await other.approve(request, caller=ANN)
        assert (await run).text == "paid"


@pytest.mark.parametrize("here_first", [True, False])
async def test_of_two_decisions_one_counts_and_the_other_is_refused(here_first: bool) -> None:
    effects: list[str] = []
    journal = MemoryJournal()
    async with paying(journal, effects) as one, paying(journal.as_worker(), effects) as other:
        request, run = await asked(one)
        if here_first:
            one.approve(request)
            await until(lambda: request.approval not in one._runtime.approvals)
            with pytest.raises(UnknownApproval):
                await other.deny(request)
        else:
            posted = asyncio.gather(other.approve(request), other.deny(request), return_exceptions=True)
            first, second = await posted
            assert first is None
            assert isinstance(second, UnknownApproval)
        assert (await run).text == "paid"
    assert effects == ["paid"]


async def test_a_decision_that_was_made_here_is_not_undone_by_one_that_arrives_later() -> None:
    effects: list[str] = []
    journal = MemoryJournal()
    async with paying(journal, effects) as one:
        request, run = await asked(one)
        one.deny(request, "mine")
        journal.as_worker().post("A/c", Decision("c", request.approval, True))
        assert (await run).text == "Denied by a person: mine"
        await until(lambda: not journal.posts("A/c"))
    assert effects == []


async def test_a_decision_whose_delivery_was_missed_is_found_when_the_conversation_is_taken_up_again() -> None:
    effects: list[str] = []
    journal = MemoryJournal()
    async with paying(journal, effects) as one:
        request, run = await asked(one)
        journal.on_post(None)  # as if it had been delivered to an incarnation that ended on it
        journal.post("A/c", Decision("c", request.approval, True))
        assert one.system is not None
        conversation = one.system.find("agency/A/c")
        assert conversation is not None
        conversation.kill()
        assert (await run).text == "paid"
        await until(lambda: not journal.posts("A/c"))
    assert effects == ["paid"]


@virtual_time
@pytest.mark.parametrize("in_time", [True, False])
async def test_what_was_left_in_the_journal_before_it_expired_counts(in_time: bool) -> None:
    effects: list[str] = []
    journal = MemoryJournal()
    async with paying(journal, effects, approvals_expire=60.0) as one:
        request, run = await asked(one)
        journal.on_post(None)  # it would have been delivered a moment later
        if in_time:
            journal.post("A/c", Decision("c", request.approval, True))
        answer = await run
        assert answer.text == ("paid" if in_time else "Denied: nobody decided in time")
        assert journal.posts("A/c") == []
    assert effects == ["paid"] * in_time


async def test_what_has_expired_can_be_decided_by_nobody_and_is_listed_no_more() -> None:
    journal = MemoryJournal()
    async with paying(journal, []) as one:
        request, run = await asked(one)
        run.cancel()
        await asyncio.wait([run])
    async with paying(journal.as_worker(), []) as other:
        with pytest.raises(UnknownApproval, match=r"its run has ended|kept no more"):
            await other.approve(request)


async def test_a_conversation_whose_events_do_not_fit_together_keeps_nobody_from_starting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = MemoryJournal()
    stream = journal.open("A/broken")
    stream.append([ApprovalAsked("x", "0123"), Decided("x", True)], unfinished=True, labels={"agent": "A"})
    stream.append([Completed(Completion(Message("assistant", "hi"), "stop"))])
    stream.release()
    effects: list[str] = []
    async with paying(journal.as_worker(), effects) as agency:
        assert agency.resumed == {}
        assert await agency.pending_approvals() == ()
        with pytest.raises(RunFailed, match="do not fit together"):
            await agency.run("hi", conversation="broken")
        request, run = await asked(agency)
        agency.approve(request)
        assert (await run).text == "paid"
    assert "A/broken" in caplog.text


async def test_who_decides_is_told_that_the_same_call_was_interrupted_and_may_have_had_its_effect(
    tmp_path: Path,
) -> None:
    hangs = asyncio.Event()

    @tool(approval="always")
    async def refund(order: str, amount: int) -> str:
        """Refund."""
        if not hangs.is_set():
            hangs.set()
            await asyncio.Event().wait()
        return f"refunded {amount}"

    def model(request: Request) -> Any:
        said = [message for message in request.messages if message.role == "tool"]
        if len(said) == 3:
            return "done"
        # the same arguments, in another order, and then others
        arguments = ({"order": "7", "amount": 5}, {"amount": 5, "order": "7"}, {"order": "8", "amount": 5})[len(said)]
        return call("refund", f"c{len(said)}", **arguments)

    def agency() -> Agency:
        return Agency(Agent("A", tools=[refund]), model=function(model), journal=tmp_path / "runs.db")

    async with agency() as one:
        await one.start_run("refund", run_id="r", user="ann")
        await until(lambda: one.approvals)
        assert one.approvals[0].why == ""
        await one.approve(one.approvals[0])
        await hangs.wait()
    async with agency() as two:
        await until(lambda: two.approvals)
        (asked_again,) = await two.pending_approvals()
        assert "the same call, with the same arguments, was running before" in asked_again.why
        assert "it may have had its effect" in asked_again.why
        await two.approve(asked_again)
        await until(lambda: any(one.approval != asked_again.approval for one in two.approvals))
        assert [one.why for one in two.approvals] == [""]
        await two.approve(two.approvals[0])
        assert (await (await two.handle("r"))).text == "done"
