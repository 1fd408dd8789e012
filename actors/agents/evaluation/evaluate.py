"""Asks an agency its cases, and judges what comes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from ....providers.checks import COUNT, MAYBE_FUNCTION
from ....providers.errors import ProviderError
from ...core.base.errors import CoreError
from ..agency import Agency
from ..answer import Answer
from ..errors import AgencyClosed, AgentError, ConversationIdle, DefinitionError
from ..events import ApprovalRequested, RunEvent
from ..wishes import all_are, define
from .case import Case
from .judge import Judge, graded
from .judging import Came, problems, said_by
from .results import Attempt, Evaluation, put_together


async def evaluate(
    agency: Agency,
    cases: Iterable[Case],
    *,
    repeat: int = 1,
    concurrency: int = 4,
    judge: Judge | None = None,
    told: Callable[[Attempt], object] | None = None,
) -> Evaluation:
    """Ask an agency its cases, each attempt in a conversation of its own, which is forgotten afterwards.

    Times are the event loop's, so that a simulation measures its own. What waits for a person is decided as its case
    says.

    Args:
        agency: one that runs.
        cases: what to ask.
        repeat: how many times each, where the case does not say.
        concurrency: how many attempts are under way at once.
        judge: who grades, where cases have rules for a model; by default the pool's default model.
        told: a plain function that is called with each attempt as it ends.

    Returns:
        what came of them. A run that ends in an error is a result like any other.

    Raises:
        DefinitionError: there are no cases, two have one name, one asks an agent that is not there, an argument is of
            the wrong type, or the model that is to judge is not there.
        AgencyClosed: the agency does not run, or stopped meanwhile.
    """
    if not isinstance(agency, Agency):
        raise DefinitionError(f"what is evaluated is an Agency that runs, not {agency!r:.80}")
    define("evaluate", repeat=(repeat, COUNT), concurrency=(concurrency, COUNT), told=(told, MAYBE_FUNCTION))
    if judge is not None and not isinstance(judge, Judge):
        raise DefinitionError(f"evaluate: judge is a Judge, not {judge!r:.80}")
    several = all_are(Case, cases, "evaluate", "cases", "Cases")
    _check(agency, several, judge or Judge())
    if any(case.expect.judge for case in several):
        await _check_model(agency, (judge or Judge()).model)
    clock = asyncio.get_running_loop().time
    began = clock()
    made: list[Attempt] = []
    to_ask = _attempts(several, repeat)
    workers = min(concurrency, sum(case.repeat or repeat for case in several))
    attempts = _Attempts(agency, judge or Judge(), clock)

    async def work() -> None:
        for case, number in to_ask:
            attempt = await attempts.make(case, number)
            made.append(attempt)
            if told is not None:
                told(attempt)

    stop = agency.subscribe(attempts.decide)
    tasks = [asyncio.create_task(work(), name=f"evaluate-{number}") for number in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stop()
    return put_together(several, made, repeat, clock() - began)


def _attempts(cases: Iterable[Case], repeat: int) -> Iterator[tuple[Case, int]]:
    for case in cases:
        for number in range(1, (case.repeat or repeat) + 1):
            yield case, number


def _check(agency: Agency, cases: tuple[Case, ...], judge: Judge) -> None:
    if not cases:
        raise DefinitionError("evaluate: there are no cases")
    names: set[str] = set()
    for case in cases:
        if case.name in names:
            raise DefinitionError(f"two cases are called {case.name!r:.80}; reports tell them apart by their names")
        names.add(case.name)
        if case.agent:
            agency.describe(case.agent)  # raises where nobody is called so
    if agency.system is None or agency.stopping:
        raise AgencyClosed("the agency does not run: evaluate it inside `async with agency`")
    if agency.pool is None and isinstance(judge.model, str) and any(case.expect.judge for case in cases):
        raise DefinitionError("a case is judged by a model, and the agency has none; give it a pool, or Judge(model=…)")


async def _check_model(agency: Agency, model: Any) -> None:
    """So that a judge whom nobody has is said before anything is paid for."""
    if agency.pool not in agency.pools or not isinstance(model, str):
        return  # an actor of the user's: what it has only it can say
    from ....providers.pool import GetServing  # not at the top: few need it, and it takes long to import

    try:
        await agency.pool.ask(GetServing(model))
    except ProviderError as error:
        whose = f"the judge's model {model!r:.80}" if model else "the judge"
        raise DefinitionError(f"{whose} cannot be asked: {error}") from error
    except CoreError:  # the pool is being restarted: what is asked later waits for it
        return


class _Attempts:
    """Makes attempts of one evaluation."""

    def __init__(self, agency: Agency, judge: Judge, clock: Callable[[], float]) -> None:
        self._agency = agency
        self._judge = judge
        self._clock = clock
        self._approves: dict[str, bool] = {}
        """What is decided of the calls that wait for a person, by the id of the run that was asked for."""

    def decide(self, event: RunEvent) -> None:
        """Decide what waits for a person."""
        if isinstance(event, ApprovalRequested) and event.root in self._approves:
            # Soon, not now: the agency notes the request after its subscribers have been told of it.
            asyncio.get_running_loop().call_soon(self._decided, event, self._approves[event.root])

    def _decided(self, event: ApprovalRequested, approve: bool) -> None:
        with suppress(AgentError):  # the run has ended meanwhile
            if approve and event.tool:
                self._agency.approve(event)
            else:
                self._agency.deny(event, "an evaluation asks nobody")

    async def make(self, case: Case, number: int) -> Attempt:
        """Ask once, and judge what comes."""
        came, run = await self._ask(case)
        expected = case.expect
        answer = came.last
        wrong = list(problems(expected, came))
        for function in expected.code:
            wrong += filter(None, [await said_by(function, answer)])
        scores, cost = [], 0.0
        for rule in expected.judge:
            asked = "\n".join(case.questions)
            grade = await graded(self._judge, self._agency.pool, rule, asked, answer.text)
            scores.append(grade.score)
            cost += grade.cost
            if grade.score is None:
                wrong.append(grade.why)
            elif grade.score < self._judge.least:
                wrong.append(f"the judge gave {grade.score:.2g} for {rule!r:.60}: {grade.why}")
        return Attempt(
            case.name,
            number,
            tuple(wrong),
            "" if came.error is None else type(came.error).__name__,
            run,
            answer.text,
            tuple(scores),
            came.steps,
            came.tokens,
            came.cost,
            came.seconds,
            cost,
        )

    async def _ask(self, case: Case) -> tuple[Came, str]:
        """Ask a case's questions, one after the other; returns what came, and the id of the last run."""
        conversation = f"evaluation-{uuid.uuid4().hex}"
        answers: list[Answer] = []
        error: AgentError | None = None
        run = ""
        began = self._clock()
        agent = case.agent or None
        try:
            for position, question in enumerate(case.questions, 1):
                run = f"{conversation}-{position}"
                self._approves[run] = case.approve
                options: dict[str, Any] = {"conversation": conversation, "run_id": run, "caller": case.caller}
                answers.append(await self._agency.run(question, agent=agent, **options))
        except (DefinitionError, AgencyClosed):
            raise
        except AgentError as ended:
            error = ended
            if ended.partial is not None:
                answers.append(ended.partial)
        finally:
            seconds = self._clock() - began
            for position in range(1, len(case.questions) + 1):
                self._approves.pop(f"{conversation}-{position}", None)
            with suppress(AgencyClosed, ConversationIdle):
                await self._agency.release(conversation, agent=agent)
        return Came(tuple(answers), error, seconds), run
