"""Takes payments for runs: verified before one is begun, settled when it has its answer, and never twice.

What is done about a payment is kept in the agency's journal before it is done, in a stream of the run's, which one
worker at a time owns. Where a worker dies, whichever comes next goes on: a run that was begun is waited for, and its
payment settled then; one that was not begun costs nothing. Where it died as a payment was being settled, that is asked
for again: a payment has one nonce, and whoever settles it takes it once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4
from weakref import WeakValueDictionary

from ...agents.agency import Agency
from ...agents.answer import Answer
from ...agents.caller import Caller
from ...agents.errors import AgencyClosed, AgentError, OutcomeUnknown, RunError, UnknownRun
from ...journal.errors import JournalClosed, JournalError, KeyTaken
from ..problems import Refused
from .keeping import Held, journal_of, left_over, look_at, take_up
from .offers import Offers, Priced, coded
from .payments import Payments, unavailable, undecided
from .record import DONE, Payment, UsageRecord, marks_of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response

SWEEP: Final = 30.0
"""Seconds between two looks for payments that nobody alive goes on with."""

ROUTE: Final = "route-"
"""How the ids of what is no run begin."""

_LOOK: Final = 0.1
_LOOKS: Final = 600

logger = logging.getLogger("callboard")


class Bill(NamedTuple):
    """What is to be paid for.

    Args:
        agent: who answers, or whose route does.
        what: what that costs; None where it costs nothing, or only the tools that are used.
        caller: who asks.
        connection: which may have the payment; None where nobody can have sent one.
    """

    agent: str
    what: Priced | None
    caller: Caller
    connection: HTTPConnection | None


class Till:
    """Payments and records of a server.

    Args:
        agency: whose runs.
        payments: how they are taken.
        clock: seconds since 1970.
    """

    def __init__(self, agency: Agency, payments: Payments, clock: Callable[[], float] = time.time) -> None:
        self._agency = agency
        self._payments = payments
        self._offers = Offers(agency, payments)
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: dict[str, asyncio.Task[Payment]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def records(self, agent: str) -> bool:
        """Whether it is recorded who uses an agent: it, or a tool of its own, has a price."""
        return self._offers.of_agent(agent) is not None or bool(self._offers.calls(agent))

    def takes(self, agent: str) -> bool:
        """Whether an agent answers only who pays."""
        return self._payments.takes and self._offers.of_agent(agent) is not None

    def bill(self, agent: str, caller: Caller, connection: HTTPConnection | None) -> Bill:
        """What an agent's answer costs."""
        return Bill(agent, self._offers.of_agent(agent), caller, connection)

    # -- before a run --------------------------------------------------------------------------------------------------

    async def run_of(self, bill: Bill, asked: str = "") -> str:
        """The id of the run that a payment is for, where the request has no key: the same for the same payment.

        Args:
            bill: which has the payment.
            asked: a digest of what is asked, without which nobody can tell the id: a payment is for all to see, once it
                is settled, and who asks may be nobody in particular.

        Raises:
            Refused: it has no payment.
        """
        assert bill.what is not None
        offer = await self._offers.read(bill.what, bill.connection)
        mark = f"{marks_of(offer['payload'])[0]}/{asked}"
        return f"pay-{hashlib.sha256(mark.encode()).hexdigest()[:40]}"

    async def take(self, bill: Bill, run: str) -> None:
        """See that a run is paid for that is about to be begun, or was begun already by the same request.

        Raises:
            Refused: there is no payment, or none that is good; it was used for something else; or nobody can say.
        """
        self.start()
        async with self._alone(run):
            if run in self._held or run in self._tasks:
                return
            payment = await look_at(self._agency, run)
            if payment.may("paid"):
                await self._take(bill, run)
            elif payment.state in DONE:
                await self._look_whether_kept(bill, run)

    async def note(self, bill: Bill, run: str) -> None:
        """Have it recorded what a run uses that nobody pays for here.

        Raises:
            JournalError: it cannot be kept.
        """
        self.start()
        async with self._alone(run):
            if run in self._held or run in self._tasks or (await look_at(self._agency, run)).state:
                return
            held = await self._take_up(run)
            if held is not None and held.payment.may("noted"):
                await held.append("noted", self._about(bill), labels=_labels(bill))

    async def _take(self, bill: Bill, run: str) -> None:
        # Nothing is written of payments that are not good, of which anybody could send any number.
        assert bill.what is not None
        offer = await self._offers.read(bill.what, bill.connection)
        verdict = await self._payments.verify(offer)
        if not verdict.is_valid:
            reason = verdict.invalid_reason or "it is not valid"
            raise await self._offers.wanted(bill.what, f"the payment is not good: {reason:.200}", "payment_invalid")
        held = await self._waited_for(run)
        if held is None or not held.payment.may("paid"):
            return  # somebody else was quicker
        about = {**self._about(bill), "offer": offer, "payer": verdict.payer or ""}
        try:
            keys = [f"payment/{mark}" for mark in marks_of(offer["payload"])]
            await held.append("paid", about, keys=keys, labels=_labels(bill))
        except KeyTaken:
            self._held.pop(run, None)
            await held.forget(journal_of(self._agency))
            message = "the payment was used for another request: sign one for each"
            raise await self._offers.wanted(bill.what, message, "payment_used") from None
        except BaseException:
            await self._let_go(run)
            raise

    async def _look_whether_kept(self, bill: Bill, run: str) -> None:
        """A payment that was taken opens its own answer again while that is kept, and no other."""
        try:
            await self._agency.handle(run)
        except UnknownRun:
            message = "the payment was used for an answer that is not kept any more: sign another one"
            raise await self._offers.wanted(bill.what, message, "payment_used") from None

    def _about(self, bill: Bill) -> dict[str, Any]:
        caller = bill.caller
        price = Decimal(0) if bill.what is None else bill.what.price
        who = {"user": caller.user, "tenant": caller.tenant, "key": caller.key}
        return {"agent": bill.agent, **who, "at": self._clock(), "price": str(price)}

    # -- after it ------------------------------------------------------------------------------------------------------

    def watch(self, run: str) -> asyncio.Task[Payment]:
        """Do what is to be done about a run when it ends, whoever waits for that."""
        task = self._tasks.get(run)
        if task is None:
            task = self._tasks[run] = asyncio.get_running_loop().create_task(self._watched(run), name="a payment")
            task.add_done_callback(lambda done: self._over(run, done))
        return task

    async def settled(self, run: str) -> dict[str, str]:
        """Wait for what becomes of a run's payment, once the run has its answer.

        Returns:
            the headers of the answer.

        Raises:
            Refused: it was not taken: the answer is not to be given.
        """
        payment = await look_at(self._agency, run)
        if payment.state and payment.state not in DONE:
            try:
                payment = await asyncio.shield(self.watch(run))
            except Refused as refused:
                raise Refused(replace(refused.problem, run=run)) from refused
        record = payment.record(run)
        if record.state == "refused":
            message = f"the payment was not taken: {record.why}"
            raise await self._offers.wanted(self._offers.of_agent(record.agent), message, "payment_refused")
        return {} if record.state != "settled" else {"payment-response": coded(_settlement(record))}

    async def _watched(self, run: str) -> Payment:
        """Wait for a run's end, and do then what is to be done; here, or see it done by whoever is at it."""
        for _ in range(_LOOKS):
            async with self._alone(run):
                held = await self._take_up(run)
            if held is not None:
                return await self._finished(run, held)
            payment = await look_at(self._agency, run)
            if payment.state in DONE:
                return payment
            with suppress(UnknownRun, RunError):
                await (await self._agency.handle(run)).answer()
            await asyncio.sleep(_LOOK)
        raise undecided()

    async def _finished(self, run: str, held: Held) -> Payment:
        try:
            if held.payment.state in ("verified", "noted"):
                await self._when_ended(run, held)
            elif held.payment.state == "settling" and run.startswith(ROUTE):  # its answer is gone
                await held.append("lost", {"why": "whoever was to settle it died"})
            elif held.payment.state == "settling":  # it may have been taken, of which nobody here has heard
                await held.append("settling")
                await self._settle(held, again=True)
            return held.payment
        finally:
            await self._let_go(run)

    async def _when_ended(self, run: str, held: Held) -> None:
        try:
            answer = await (await self._agency.handle(run)).answer()
        except UnknownRun:
            await held.forget(journal_of(self._agency))  # and the payment is good for another request
        except OutcomeUnknown:
            raise
        except RunError as error:
            await held.append("void", {"why": f"the run failed: {type(error).__name__}"})
        else:
            used = self._used(held.payment.about["agent"], answer)
            if held.payment.state == "noted":
                await held.append("owed", used)
            else:
                await held.append("settling", used)
                await self._settle(held, again=False)

    async def _settle(self, held: Held, *, again: bool) -> None:
        assert held.payment.offer is not None
        done = await self._payments.settle(held.payment.offer)
        why = (done.error_reason or "no reason was given")[:200]
        if done.success:
            about = {"transaction": done.transaction, "network": str(done.network)}
            await held.append("settled", {**about, **({"payer": done.payer} if done.payer else {})})
        elif not again:
            await held.append("refused", {"why": why})
        else:
            logger.error("nobody can say whether the payment of %s was taken: %s", held.stream.name, why)
            await held.append("lost", {"why": why})

    def _used(self, agent: str, answer: Answer) -> dict[str, Any]:
        prices = self._offers.calls(agent)
        calls: dict[str, int] = {}
        for step in answer.steps:
            for call in step.calls:
                if call.tool in prices and call.result is not None and not call.result.is_error:
                    calls[call.tool] = calls.get(call.tool, 0) + 1
        return {
            "calls": calls,
            "calls_price": str(sum((prices[name] * count for name, count in calls.items()), Decimal(0))),
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
            "cost": answer.cost or 0.0,
        }

    def _over(self, run: str, task: asyncio.Task[Payment]) -> None:
        self._tasks.pop(run, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            expected = isinstance(error, Refused | AgentError | JournalError)
            level = logging.INFO if expected else logging.ERROR
            logger.log(level, "the payment of run %s is left for later: %s", run, type(error).__name__)

    # -- what is no run ------------------------------------------------------------------------------------------------

    async def charge(self, bill: Bill, work: Callable[[], Awaitable[Response]]) -> Response:
        """Have something done that has a price: it is paid for if it is answered with a status below 400.

        Args:
            bill: what it costs.
            work: does it, once.

        Raises:
            Refused: it is not paid for: there is no payment, or none that is good; or it was not taken.
        """
        name = await self.run_of(bill) if self._payments.takes else uuid4().hex
        run = f"{ROUTE}{name}"
        held = await self._charged(bill, run)
        try:
            response = None
            try:
                response = await work()
            finally:
                if response is None or response.status_code >= 400:
                    await held.append("void", {"why": "it was not answered"})
            if held.payment.state == "noted":
                await held.append("owed")
            elif held.payment.state == "verified":
                await held.append("settling")
                with suppress(Refused):  # whoever may have paid is answered, now: later there is no answer
                    await self._settle(held, again=False)
            if held.payment.state == "settling":
                await held.append("lost", {"why": "whoever settles it did not say"})
        finally:
            await self._let_go(run)
        record = held.payment.record(run)
        if record.state == "refused":
            raise await self._offers.wanted(bill.what, f"the payment was not taken: {record.why}", "payment_refused")
        if record.state == "settled":
            response.headers["payment-response"] = coded(_settlement(record))
        return response

    async def _charged(self, bill: Bill, run: str) -> Held:
        self.start()
        async with self._alone(run):
            before = await look_at(self._agency, run)
            if run not in self._held and run not in self._tasks and before.state in ("", "void", "refused"):
                if self._payments.takes:
                    await self._take(bill, run)
                elif (noting := await self._take_up(run)) is not None:
                    await noting.append("noted", self._about(bill), labels=_labels(bill))
                held = self._held.get(run)
                if held is not None and held.payment.state in ("verified", "noted"):
                    return held
        raise await self._offers.wanted(bill.what, "the payment was used already: sign another one", "payment_used")

    # -- start and end -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Go on with payments that whoever was at them has left, now and from time to time."""
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="payments left over")

    async def _sweep(self) -> None:
        while not self._agency.stopping:
            try:
                for run in await left_over(self._agency):
                    self.watch(run)
            except (AgencyClosed, JournalClosed):
                return
            except JournalError as error:
                logger.warning("payments left over cannot be looked for: %s", type(error).__name__)
            await asyncio.sleep(SWEEP)

    async def over(self) -> None:
        """Wait until the payments of runs that have ended are settled, or are to be settled later."""
        while tasks := list(self._tasks.values()):
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Leave what is under way to whoever starts next."""
        tasks: list[asyncio.Task[Any]] = list(self._tasks.values())
        if self._sweeper is not None:
            tasks.append(self._sweeper)
            self._sweeper = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for run in list(self._held):
            await self._let_go(run)

    # -- who works on what ---------------------------------------------------------------------------------------------

    def _alone(self, run: str) -> asyncio.Lock:
        """Held by whoever takes a run's payment up: opened twice, it would be nobody's."""
        lock = self._locks.get(run)
        if lock is None:
            lock = self._locks[run] = asyncio.Lock()
        return lock

    async def _take_up(self, run: str) -> Held | None:
        held = self._held.get(run)
        if held is None:
            held = await take_up(self._agency, run)
            if held is not None:
                self._held[run] = held
        return held

    async def _waited_for(self, run: str) -> Held | None:
        """Take a run's payment up once nobody else is at it; None where somebody else has taken it. Until they have,
        nothing is paid: they may find that it was used for something else.

        Raises:
            Refused: they do not come to an end.
        """
        for _ in range(_LOOKS):
            held = await self._take_up(run)
            if held is not None or not (await look_at(self._agency, run)).may("paid"):
                return held
            await asyncio.sleep(_LOOK)
        raise unavailable()

    async def _let_go(self, run: str) -> None:
        held = self._held.pop(run, None)
        if held is not None:
            await held.release()


def _labels(bill: Bill) -> dict[str, str]:
    return {"user": bill.caller.user, "tenant": bill.caller.tenant, "agent": bill.agent}


def _settlement(record: UsageRecord) -> dict[str, Any]:
    about = {"success": True, "transaction": record.transaction, "network": record.network}
    return {**about, "payer": record.payer} if record.payer else about
