"""Evaluations: attempts, judges, reports, comparisons."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import (
    Agency,
    AgencyClosed,
    Agent,
    Caller,
    Case,
    Completion,
    DefinitionError,
    Evaluation,
    Expected,
    Judge,
    Message,
    Request,
    RequestContext,
    ToolCall,
    ToolContext,
    UnknownAgent,
    UnknownModel,
    Usage,
    compare_evaluations,
    evaluate,
    read_evaluation,
    tool,
)
from callboard.actors import Actor, ChildSpec
from callboard.actors.agents.evaluation.comparing import chance
from callboard.actors.agents.evaluation.results import Attempt, CaseResult
from callboard.actors.testing import Simulation, simulate, virtual_time
from callboard.actors.testing.doubles.models import FunctionModel
from tests.agents.support import function, results

SAID = Expected(contains="said")
NO_SCORE = "the judge's answer is no JSON with a reason and a score from 0 to 1"


def echo(request: Request) -> Completion:
    return Completion(Message("assistant", f"You said {request.messages[-1].text}."), "stop", Usage(10, 5), cost=0.5)


def agency(model: Any = echo, **options: Any) -> Agency:
    return Agency(Agent("Clerk", "sells", **options), model=function(model))


async def test_each_attempt_has_a_conversation_of_its_own_that_is_forgotten() -> None:
    seen: list[int] = []

    def model(request: Request) -> Completion:
        seen.append(len(request.messages))
        return echo(request)

    async with agency(model) as running:
        found = await evaluate(running, [Case("c", ["one", "two"], SAID)], repeat=3)
        assert await running.conversations() == []
    assert sorted(seen) == [2, 2, 2, 4, 4, 4]  # with the instructions
    (case,) = found.cases
    assert [attempt.number for attempt in case.attempts] == [1, 2, 3]
    assert len({attempt.run for attempt in case.attempts}) == 3


async def test_a_case_says_how_often_and_how_much_of_it() -> None:
    count = itertools.count()

    def model(request: Request) -> str:
        return "right" if next(count) % 4 else "wrong"

    cases = [
        Case("most", "go", Expected(equals="right"), repeat=4, at_least=0.75),
        Case("all", "go", Expected(equals="right"), repeat=4),
    ]
    async with agency(model) as running:
        found = await evaluate(running, cases, concurrency=1)
    assert [(case.successes, case.share, case.passed) for case in found.cases] == [(3, 0.75, True), (3, 0.75, False)]
    assert (found.passed, found.failed) == (False, ("all",))


async def under_simulation(sim: Simulation) -> None:
    at_work = most = 0

    async def model(request: Request) -> Completion:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(1.0)
        at_work -= 1
        return echo(request)

    spec = ChildSpec(FunctionModel, (model,), name="model")
    async with Agency(Agent("A"), model=spec, system=sim.system) as running:
        cases = [Case(f"c{n}", "go", Expected(seconds=1.5)) for n in range(3)]
        found = await evaluate(running, cases, repeat=4, concurrency=3)
    assert found.passed
    assert most <= 3
    assert found.seconds == pytest.approx(4.0, abs=0.5)


def test_so_many_are_under_way_at_once_and_times_are_the_loops() -> None:
    simulate(under_simulation, seeds=5)


async def test_no_more_are_at_work_than_there_are_attempts() -> None:
    """A number that is a slip of the pen is one of clients that have nothing to do, and takes no memory."""
    at_work: list[int] = []

    def model(request: Request) -> Completion:
        at_work.append(sum(task.get_name().startswith("evaluate-") for task in asyncio.all_tasks()))
        return echo(request)

    async with agency(model) as clerk:
        found = await evaluate(clerk, [Case("a", "x", SAID), Case("b", "x", SAID, repeat=2)], concurrency=10**12)
    assert [len(case.attempts) for case in found.cases] == [1, 2]
    assert max(at_work) <= 3


async def test_the_caller_of_a_case_is_that_of_its_runs() -> None:
    seen: list[Caller] = []

    def instructions(context: RequestContext) -> str:
        seen.append(context.caller)
        return "sells"

    who = Caller("ada", "acme", frozenset({"buy"}))
    async with Agency(Agent("Clerk", instructions), model=function(echo)) as running:
        await evaluate(running, [Case("c", "go", SAID, caller=who), Case("d", "go", SAID)])
    assert set(seen) == {who, Caller()}


@virtual_time
async def test_an_attempt_has_the_figures_of_all_its_questions_and_the_last_text() -> None:
    async def model(request: Request) -> Completion:
        await asyncio.sleep(1.0)
        return echo(request)

    async with agency(model) as running:
        found = await evaluate(running, [Case("c", ["one", "two"], SAID)])
        (attempt,) = found.cases[0].attempts
    assert (attempt.case, attempt.number, attempt.error, attempt.text) == ("c", 1, "", "You said two.")
    assert [attempt.steps, attempt.tokens, attempt.cost, attempt.seconds] == pytest.approx([2, 30, 1, 2])
    assert (attempt.scores, attempt.judge_cost) == ((), 0.0)
    assert [found.tokens, found.cost, found.seconds] == pytest.approx([30, 1, 2])


@pytest.mark.parametrize("approve", [True, False])
async def test_what_waits_for_a_person_is_decided_as_the_case_says(approve: bool) -> None:
    done: list[str] = []

    @tool(risk="risky")
    def order(item: str) -> str:
        """Order something."""
        done.append(item)
        return "ordered"

    def model(request: Request) -> Any:
        if results(request):
            return results(request)[0]
        call = ToolCall("1", "order", '{"item": "tea"}')
        return Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(1, 1))

    async with agency(model, tools=[order], autonomy="supervised") as running:
        waiting = asyncio.ensure_future(running.run("go"))  # of somebody else: it is left alone
        found = await evaluate(running, [Case("c", "go", Expected(tools="order"), approve=approve)])
        text = found.cases[0].attempts[0].text
        assert (text == "ordered") is approve
        assert len(done) == approve
        assert not waiting.done()
        assert len(await running.pending_approvals()) == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def grading(says: Any) -> Any:
    """A model that answers, and grades answers by what it is told to say."""

    def model(request: Request) -> Any:
        if request.response_schema is None:
            return echo(request)
        made = says(request) if callable(says) else says
        if isinstance(made, BaseException):
            raise made
        text = made if isinstance(made, str) else json.dumps(made)
        return Completion(Message("assistant", text), "stop", Usage(10, 5), cost=0.125)

    return model


GRADES: dict[str, tuple[Any, tuple[str, ...], float]] = {
    "kept": ({"score": 0.7, "why": "it is"}, (), 0.125),
    "all of it": ("Here: " + json.dumps({"score": 1, "why": ""}), (), 0.125),
    "not kept": ({"score": 0.6, "why": "it\nis not"}, ("the judge gave 0.6 for 'It is short.': it is not",), 0.125),
    "no json": ("yes", (NO_SCORE,), 0.25),
    "less than 0": ({"score": -0.25, "why": ""}, (NO_SCORE,), 0.25),
    "more than 1": (
        {"score": 7, "why": ""},
        (NO_SCORE,),
        0.25,
    ),
    "true": (
        {"score": True, "why": ""},
        (NO_SCORE,),
        0.25,
    ),
    "a list for a reason": ({"score": 1, "why": ["a"]}, (NO_SCORE,), 0.25),
    "a long reason": (
        {"score": 0, "why": "x" * 300},
        (f"the judge gave 0 for 'It is short.': {'x' * 200}",),
        0.125,
    ),
    "no reason": ({"score": 1}, (NO_SCORE,), 0.25),
    "down": (RuntimeError("secret"), ("the judge could not be asked: RuntimeError",), 0.0),
}


@pytest.mark.parametrize("name", GRADES)
async def test_a_model_judges_by_a_score_and_costs_apart(name: str) -> None:
    says, problems, cost = GRADES[name]
    async with agency(grading(says)) as running:
        case = Case("c", "go", Expected(judge="It is short.", cost=0.5))
        found = await evaluate(running, [case], judge=Judge(least=0.7))
    (attempt,) = found.cases[0].attempts
    assert attempt.problems == problems
    assert (attempt.cost, attempt.judge_cost) == (0.5, cost)
    assert found.cost == 0.5 + cost


async def test_a_judge_who_says_nonsense_once_is_asked_again() -> None:
    said = iter(["?", {"score": 1, "why": ""}])
    async with agency(grading(lambda request: next(said))) as running:
        found = await evaluate(running, [Case("c", "go", Expected(judge="It is short."))])
    assert found.passed
    assert found.cases[0].attempts[0].scores == (1.0,)


async def test_what_is_judged_is_data_between_marks_that_nobody_can_guess() -> None:
    asked: list[Request] = []

    def says(request: Request) -> Any:
        asked.append(request)
        return {"score": 1, "why": ""}

    async with agency(grading(says)) as running:
        await evaluate(running, [Case("c", ["--- one", "two"], Expected(judge=["It is {mark}.", "It is so."]))])
    texts = [(request.messages[0].text, request.messages[1].text) for request in asked]
    assert ["It is {mark}." in told for told, _ in texts] == [True, False]
    marks = {text.splitlines()[0].split()[1] for _, text in texts}
    assert len(marks) == 2
    for told, text in texts:
        mark = text.splitlines()[0].split()[1]
        assert mark in told
        assert text == f"--- {mark} question\n--- one\ntwo\n--- {mark} answer\nYou said two.\n--- {mark}"


@pytest.mark.parametrize("judge", [None, Judge(), Judge("large")])
async def test_a_judge_is_asked_for_its_model_and_for_a_score_with_a_reason(judge: Judge | None) -> None:
    asked: list[Request] = []

    def says(request: Request) -> Any:
        asked.append(request)
        return {"score": 0.5, "why": ""}

    async with agency(grading(says)) as running:
        found = await evaluate(running, [Case("c", "go", Expected(judge="It is short."))], judge=judge)
    assert found.passed, "half of it is enough"
    (request,) = asked
    assert request.model == ("" if judge is None else judge.model)
    assert [message.role for message in request.messages] == ["system", "user"]
    schema = dict(request.response_schema or {})
    assert schema["type"] == "object"
    assert schema["properties"] == {"why": {"type": "string"}, "score": {"type": "number"}}
    assert sorted(schema["required"]) == ["score", "why"]
    assert schema["additionalProperties"] is False


async def test_a_judge_that_is_no_model_is_said_to_be_none() -> None:
    class Oracle(Actor):
        def on_receive(self, message: Any) -> str:
            return "yes"

    async with agency() as running:
        assert running.system is not None
        case = Case("c", "go", Expected(judge="It is short."))
        found = await evaluate(running, [case], judge=Judge(running.system.spawn(Oracle)))
    (attempt,) = found.cases[0].attempts
    assert attempt.problems == ("the judge answered something else than a completion",)
    assert (attempt.scores, attempt.judge_cost) == ((None,), 0.0)


async def test_a_judge_may_be_another_model() -> None:
    def judge(request: Request) -> str:
        return '{"score": 0, "why": "never"}'

    async with agency() as running:
        assert running.system is not None
        other = running.system.supervise(ChildSpec(FunctionModel, (judge,), name="judge"))
        found = await evaluate(running, [Case("c", "go", Expected(judge="It is short."))], judge=Judge(other))
        cost = found.cases[0].attempts[0].problems
    assert cost == ("the judge gave 0 for 'It is short.': never",)


async def test_a_judge_whom_the_pool_has_not_is_refused_before_anything_is_asked() -> None:
    told: list[Attempt] = []
    case = Case("c", "go", Expected(judge="It is short."))
    async with Agency(Agent("A"), model="offline") as running:
        with pytest.raises(DefinitionError, match="the judge's model 'larg' cannot be asked: ") as raised:
            await evaluate(running, [case], judge=Judge("larg"), told=told.append)
        assert isinstance(raised.value.__cause__, UnknownModel)
        assert told == []
        await evaluate(running, [case], judge=Judge("offline"), told=told.append)
    assert [attempt.number for attempt in told] == [1]


async def test_progress_is_told_and_what_is_told_can_end_it() -> None:
    seen: list[Attempt] = []

    def told(attempt: Attempt) -> None:
        seen.append(attempt)
        if len(seen) == 2:
            raise ZeroDivisionError

    async with agency() as running:
        with pytest.raises(ZeroDivisionError):
            await evaluate(running, [Case("c", "go", SAID)], repeat=9, concurrency=1, told=told)
        assert await running.conversations() == []
    assert [attempt.number for attempt in seen] == [1, 2]


async def test_a_cancelled_evaluation_leaves_no_run_and_no_conversation() -> None:
    began = asyncio.Event()
    ended: list[str] = []

    async def model(request: Request) -> str:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("x")
        return "never"

    async with agency(model) as running:
        task = asyncio.ensure_future(evaluate(running, [Case("c", "go", SAID)], repeat=3, concurrency=3))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await running.conversations() == []
        assert await running.drained(0.0)
    assert ended


async def test_an_agency_that_stops_ends_it_by_name() -> None:
    stopping: list[asyncio.Future[None]] = []
    async with agency() as running:

        def told(_: Attempt) -> None:
            stopping.append(asyncio.ensure_future(running.stop()))

        with pytest.raises(AgencyClosed):
            await evaluate(running, [Case("c", "go", SAID)], repeat=1_000, concurrency=2, told=told)


async def test_an_agent_with_deps_of_the_agency_is_evaluated_as_it_runs() -> None:
    @tool
    def shelf(context: ToolContext) -> str:
        """Where it is."""
        return str(context.deps)

    def model(request: Request) -> Any:
        if results(request):
            return results(request)[0]
        return Completion(
            Message("assistant", "", tool_calls=(ToolCall("1", "shelf", "{}"),)), "tool_calls", Usage(1, 1)
        )

    async with Agency(Agent("A", tools=[shelf]), model=function(model), deps="left") as running:
        assert (await evaluate(running, [Case("c", "go", Expected(equals="left"))])).passed


WRONG: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "no cases": ([], {}, DefinitionError, "there are no cases"),
    "no list": (5, {}, DefinitionError, "cases are a sequence of Cases"),
    "no case": (["go"], {}, DefinitionError, "cases are Cases"),
    "two of one name": ([Case("c", "go", SAID), Case("c", "x", SAID)], {}, DefinitionError, "two cases are called 'c'"),
    "nobody": ([Case("c", "go", SAID, agent="Nobody")], {}, UnknownAgent, "Nobody"),
    "never": ([Case("c", "go", SAID)], {"repeat": 0}, DefinitionError, "repeat"),
    "by none": ([Case("c", "go", SAID)], {"concurrency": True}, DefinitionError, "concurrency"),
    "a judge": ([Case("c", "go", SAID)], {"judge": "large"}, DefinitionError, "judge is a Judge"),
    "told": ([Case("c", "go", SAID)], {"told": "me"}, DefinitionError, "told"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_cannot_be_evaluated_is_refused_before_anything_is_asked(name: str) -> None:
    cases, options, kind, problem = WRONG[name]
    asked: list[Request] = []
    async with agency(asked.append) as running:
        with pytest.raises(kind, match=problem):
            await evaluate(running, cases, **options)
    assert asked == []


async def test_an_agency_that_does_not_run_is_refused_and_so_is_one_without_a_model_to_judge() -> None:
    with pytest.raises(AgencyClosed, match="does not run"):
        await evaluate(agency(), [Case("c", "go", SAID)])
    with pytest.raises(DefinitionError, match="an Agency that runs"):
        await evaluate(Agent("A"), [Case("c", "go", SAID)])  # type: ignore[arg-type]
    async with agency() as running:
        assert running.system is not None
        own = running.system.supervise(ChildSpec(FunctionModel, (echo,), name="own"))
        async with Agency(Agent("A", model=own)) as alone:
            assert (await evaluate(alone, [Case("c", "go", SAID)])).passed
            with pytest.raises(DefinitionError, match="the agency has none"):
                await evaluate(alone, [Case("c", "go", Expected(judge="It is short."))])


def result(name: str, right: int, of: int, at_least: float = 1.0, **figures: Any) -> CaseResult:
    attempts = [Attempt(name, n, () if n <= right else ("wrong",), text="é", **figures) for n in range(1, of + 1)]
    return CaseResult(name, at_least, tuple(attempts))


@given(st.integers(1, 200), st.integers(0, 200), st.floats(0.01, 1))
def test_a_case_passes_if_the_share_of_its_attempts_is_right(of: int, right: int, at_least: float) -> None:
    right = min(right, of)
    assert result("c", right, of, at_least).passed == (right / of >= at_least - 1e-9)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_chance_is_that_of_all_ways_to_deal_the_right_ones_out(n: int, m: int, data: st.DataObject) -> None:
    """Each way to choose which of all attempts are right is as likely; counted one by one."""
    before, after = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    ways = [sum(place >= n for place in chosen) for chosen in itertools.combinations(range(n + m), before + after)]
    expected = sum(later <= after for later in ways) / len(ways)
    assert chance(result("c", before, n), result("c", after, m)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("earlier", "later", "said", "worse"),
    [
        ((1, 1), (1, 1), "same", False),
        ((1, 1), (0, 1), "WORSE", True),
        ((0, 1), (1, 1), "better", False),
        ((0, 1), (0, 1), "same", False),
        ((10, 10, 0.1), (8, 10, 0.1), "same", False),
        ((10, 10, 0.1), (5, 10, 0.1), "WORSE", True),
        ((5, 10, 0.1), (10, 10, 0.1), "better", False),
        (None, (1, 1), "new", False),
        (None, (0, 1), "WORSE", True),
        ((1, 1), None, "gone", False),
    ],
)
def test_cases_become_worse_by_their_verdict_or_beyond_chance(earlier: Any, later: Any, said: str, worse: bool) -> None:
    first, second = (Evaluation(() if given is None else (result("c", *given),), 1.0) for given in (earlier, later))
    comparison = compare_evaluations(first, second)
    assert comparison.worse == (("c",) if worse else ())
    (line,) = comparison.table().splitlines()[1:]
    assert line.split()[:2] == [said, "c"]


def test_the_figures_of_a_comparison_are_ratios_to_the_earlier_ones() -> None:
    before = Evaluation((result("c", 1, 2, 0.5, cost=1.0, seconds=0.0),), 1.0)
    after = Evaluation((result("c", 2, 4, 0.5, cost=1.5, seconds=1.0),), 1.0)
    assert compare_evaluations(before, after).table().splitlines()[1].split() == [
        "same", "c", "1/2", "→", "2/4", "+50%", "-",
    ]  # fmt: skip


def test_a_comparison_has_every_case_those_of_today_first() -> None:
    before = Evaluation((result("gone", 1, 1, cost=1.0), result("kept", 1, 1)), 1.0)
    after = Evaluation((result("new", 1, 1, cost=1.0), result("kept", 1, 1)), 1.0)
    comparison = compare_evaluations(before, after)
    assert [change.name for change in comparison.changes] == ["new", "kept", "gone"]
    assert not any(change.better for change in comparison.changes)
    assert [line.split() for line in comparison.table().splitlines()[1:]] == [
        ["new", "new", "1/1", "-", "-"],
        ["same", "kept", "1/1", "→", "1/1", "-", "-"],
        ["gone", "gone", "1/1", "-", "-"],
    ]


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = Evaluation(
        (
            result("a", 1, 2, 0.5, scores=(0.5, None), tokens=7, cost=0.25, judge_cost=0.25),
            result("b", 0, 1, error="StepLimit"),
        ),
        2.5,
    )
    found.save(tmp_path / "report.json")
    assert read_evaluation(tmp_path / "report.json") == found
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [(case["name"], case["share"], case["passed"]) for case in data["cases"]] == [
        ("a", 0.5, True),
        ("b", 0.0, False),
    ]
    assert (data["passed"], data["tokens"], data["seconds"]) == (False, 14, 2.5)
    assert data["cost"] == 1.0
    passed = [[attempt["passed"] for attempt in case["attempts"]] for case in data["cases"]]
    assert passed == [[True, False], [False]]


def test_a_report_of_another_form_is_refused_though_all_else_fits(tmp_path: Path) -> None:
    Evaluation((result("a", 1, 1),), 2.5).save(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    (tmp_path / "r.json").write_text(json.dumps({**data, "format": "callboard evaluation 2"}))
    with pytest.raises(DefinitionError, match="it does not say 'callboard evaluation 1'"):
        read_evaluation(tmp_path / "r.json")


def test_what_a_report_leaves_out_of_an_attempt_was_nothing(tmp_path: Path) -> None:
    case = {"name": "c", "at_least": 1, "attempts": [{"case": "c", "number": 1}]}
    (tmp_path / "r.json").write_text(json.dumps({"format": "callboard evaluation 1", "cases": [case], "seconds": 1}))
    (attempt,) = read_evaluation(tmp_path / "r.json").cases[0].attempts
    assert attempt.passed
    assert (attempt.error, attempt.run, attempt.text, attempt.scores) == ("", "", "", ())
    assert (attempt.steps, attempt.tokens, attempt.cost, attempt.seconds, attempt.judge_cost) == (0, 0, 0, 0, 0)


def test_a_table_has_every_case_and_each_problem_once() -> None:
    attempts = (Attempt("a", 1, ("wrong\x1b[31m" + "x" * 300,)), Attempt("a", 2), Attempt("a", 3))
    found = Evaluation((CaseResult("a", 0.5, attempts), result("bb", 0, 2, tokens=10, cost=0.25, seconds=2)), 3)
    lines = found.table().splitlines()
    assert [line.split() for line in lines[1:2]] == [["passed", "a", "2/3", "0.000", "0", "$0.0000"]]
    assert lines[2].strip().startswith("wrong [31mxxx")
    assert lines[2].endswith("… (1 of 3)")
    assert [line.split() for line in lines[3:5]] == [
        ["FAILED", "bb", "0/2", "2.000", "10", "$0.2500"],
        ["wrong", "(2", "of", "2)"],
    ]
    assert lines[5] == "1 of 2 cases passed; 20 tokens, $0.5000, 3.000 s"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "callboard evaluation 2"}', '{"format": "callboard evaluation 1"}', "\udcff"],
)
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DefinitionError, match="is no report of an evaluation"):
        read_evaluation(path)


@pytest.mark.parametrize(
    "change",
    [
        {"cases": [{"name": "c", "at_least": 1, "attempts": []}], "seconds": 1},
        {"cases": [{}], "seconds": 1},
        {"cases": []},
    ],
)
def test_a_damaged_report_is_refused_by_name(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"format": "callboard evaluation 1", **change}))
    with pytest.raises(DefinitionError, match="is no report of an evaluation"):
        read_evaluation(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("attempt", "times", "said"),
    [
        ({"cost": float("nan")}, 1, "cost of the case 'c' is nan; expected a number from 0 on"),
        ({"seconds": float("inf")}, 1, "seconds of the case 'c' is inf"),
        ({"tokens": -1}, 1, "tokens of the case 'c' is -1"),
        ({}, 2, "the case 'c' is there twice"),
        ({"steps": "many"}, 1, r"cases\.0\.attempts\.0\.steps: Input should be a valid integer"),
    ],
)
def test_a_report_that_cannot_be_is_refused_with_what_is_wrong(
    tmp_path: Path, attempt: dict[str, Any], times: int, said: str
) -> None:
    case = {"name": "c", "at_least": 1, "attempts": [{"case": "c", "number": 1, **attempt}]}
    data = {"format": "callboard evaluation 1", "cases": [case] * times, "seconds": 1}
    (tmp_path / "report.json").write_text(json.dumps(data))
    with pytest.raises(DefinitionError, match=f"is no report of an evaluation: {said}"):
        read_evaluation(tmp_path / "report.json")


def test_a_name_of_a_case_steers_no_terminal() -> None:
    found = Evaluation((result("a\x1b[2J\n\u202eb", 1, 1),), 1)
    for table in (found.table(), compare_evaluations(found, found).table()):
        assert "a\\x1b[2J \\u202eb" in table
        assert "\x1b" not in table


def test_a_report_that_is_missing_or_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="there is no report"):
        read_evaluation(tmp_path / "report.json")
    with pytest.raises(DefinitionError, match="cannot be written"):
        Evaluation((), 0.0).save(tmp_path)
