"""Sub-agents as functions: a program that a model writes calls them, each call is a run of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callboard import (
    Agency,
    Agent,
    Answer,
    Caller,
    Functions,
    HandoffDepth,
    HandoffLimits,
    HookContext,
    Limits,
    Prompt,
    PromptError,
    Request,
    RunFailed,
    SubAgent,
    ToolResult,
    hook,
)
from callboard.actors.agents.context import request_context
from callboard.actors.agents.events import ApprovalRequested, HandoffFinished, HandoffStarted, RunEvent, ToolFinished
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Completion, Message, Usage
from tests.agents.support import function, until

pytest.importorskip("pydantic_monty")


class Find(BaseModel):
    topic: str
    depth: int = 1


class Fact(BaseModel):
    fact: str
    sure: float


def silent(prompt: Prompt, given: Any) -> None:
    """A prompt function of a sub-agent that defines nothing."""


def researcher(name: str = "research", fn: Callable[..., object] = silent, **options: Any) -> SubAgent:
    return SubAgent(name, "Finds out about a topic.", Find, fn, **options)


def with_functions(*subs: SubAgent, namespace: str = "") -> Callable[[Functions], None]:
    def define(prompt: Functions) -> None:
        found, _ = prompt.state("found", [], list[Any])
        prompt.system("lead", f"found {json.dumps(found)}")
        for sub in subs:
            prompt.function(sub, namespace=namespace)

    return define


def lead(code: str, worker: Callable[[Request], Any] = lambda request: "found") -> Callable[[Request], Any]:
    """A model that runs a program as the lead and answers with its result; of others it is the worker."""

    def model(request: Request) -> Any:
        if "<lead>" not in request.messages[0].text:
            return worker(request)
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("RunPython", "c", code=code)

    return model


def agency(
    prompt: Callable[[Functions], None], model: Callable[[Request], Any], *, agent: Any = None, **options: Any
) -> Agency:
    made = Agent("Lead", prompt=prompt, plugins=Functions, **(agent or {}))
    return Agency(made, model=function(model), **options)


async def answered(made: Agency, **options: Any) -> Answer:
    async with made:
        return await made.run("go", **options)


# -- a call ------------------------------------------------------------------------------------------------------------


async def test_a_program_calls_an_agent_which_makes_a_run_of_its_own() -> None:
    seen: list[Request] = []
    asked: list[tuple[str, str, tuple[str, ...]]] = []

    def research(prompt: Prompt, given: Find) -> None:
        assert isinstance(given, Find)
        prompt.system("about", f"{given.topic} {given.depth}")

    def worker(request: Request) -> str:
        context = request_context()
        assert context is not None
        asked.append((context.agent, context.caller.user, context.chain))
        seen.append(request)
        return f"all about {request.messages[0].text.split()[1]}"

    code = "text = await web.research('cats', depth=2)\nprint(text.upper())"
    made = agency(with_functions(researcher(fn=research), namespace="web"), lead(code, worker))
    answer = await answered(made, caller=Caller("ada"))
    assert answer.text == "ALL ABOUT CATS\n"
    assert "<about>\ncats 2\n</about>" in seen[0].messages[0].text
    assert asked == [("Lead-research", "ada", ("Lead", "Lead-research"))]


async def test_the_model_reads_what_an_agent_takes_and_returns() -> None:
    told: list[str] = []

    def model(request: Request) -> Any:
        told.append(request.tools[0].description)
        return "enough"

    subs = researcher(response_schema=Fact), researcher("ask")
    await answered(agency(with_functions(*subs), model))
    assert "class Fact(TypedDict):\n    fact: str\n    sure: float" in told[0]
    assert 'async def research(topic: str, depth: int = 1) -> Fact:\n    """Finds out about a topic."""' in told[0]
    assert "async def ask(topic: str, depth: int = 1) -> str:" in told[0]


async def test_an_answer_with_a_schema_comes_to_the_program_as_plain_data() -> None:
    code = "one = await research('cats')\nprint(one['fact'], one['sure'] + 1)"
    worker = lambda request: '```json\n{"fact": "purr", "sure": 0.5}\n```'  # noqa: E731
    made = agency(with_functions(researcher(response_schema=Fact)), lead(code, worker))
    assert (await answered(made)).text == "purr 1.5\n"


@pytest.mark.parametrize(("kind", "said", "shown"), [(list[int], "[1, 2]", "[1, 2] list"), (str, '"a"', "a str")])
async def test_an_answer_may_be_of_any_type(kind: Any, said: str, shown: str) -> None:
    code = "one = await research('cats')\nprint(one, type(one).__name__)"
    made = agency(with_functions(researcher(response_schema=kind)), lead(code, lambda request: said))
    assert (await answered(made)).text == f"{shown}\n"


async def test_an_answer_that_does_not_fit_is_raised_in_the_program() -> None:
    code = "try:\n    await research('cats')\nexcept RuntimeError as error:\n    print(error)"
    made = agency(with_functions(researcher(response_schema=Fact)), lead(code, lambda request: '{"fact": 1}'))
    text = (await answered(made)).text
    assert text.startswith("InvalidAnswer: the answer of research does not fit its response_schema: ")
    assert "sure" in text
    assert text.endswith('It was: {"fact": 1}\n')


async def test_a_program_that_calls_an_agent_wrongly_is_not_run() -> None:
    def worker(request: Request) -> str:
        raise AssertionError("nobody is to be asked")

    text = (await answered(agency(with_functions(researcher()), lead("await research(3)", worker)))).text
    assert "does not pass its check" in text
    assert "Expected `str`" in text


async def test_an_agent_that_fails_raises_in_the_program_and_the_rest_goes_on() -> None:
    code = """
async def asked(topic):
    try:
        return await research(topic)
    except RuntimeError as error:
        return str(error)

import asyncio
for one in await asyncio.gather(asked("a"), asked("down"), asked("c")):
    print(one)
"""

    def worker(request: Request) -> Any:
        topic = json.loads(request.messages[-1].text)["topic"]
        return OSError("no network") if topic == "down" else f"found {topic}"

    lines = (await answered(agency(with_functions(researcher()), lead(code, worker)))).text.splitlines()
    assert (lines[0], lines[2]) == ("found a", "found c")
    assert lines[1].startswith("research could not finish: ")


async def test_several_are_asked_at_once() -> None:
    at_work: set[str] = set()
    together = asyncio.Event()

    def research(prompt: Prompt, given: Find) -> None:
        @prompt.tool(risk="safe")
        async def wait() -> str:
            at_work.add(given.topic)
            if len(at_work) == 3:
                together.set()
            await together.wait()
            return given.topic

    def worker(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("wait", "w")

    code = "import asyncio\n' '.join(await asyncio.gather(*[research(topic) for topic in 'abc']))"
    made = agency(with_functions(researcher(fn=research)), lead(code, worker))
    assert (await answered(made)).text == "a b c"


# -- functions around a call -------------------------------------------------------------------------------------------


async def test_functions_around_a_call_change_it_and_set_the_state_of_who_calls() -> None:
    def define(prompt: Functions) -> None:
        found, set_found = prompt.state("found", [], list[str])
        prompt.system("lead", f"found {json.dumps(found)}")

        def before(given: Find) -> Any:
            if given.topic == "known":
                return ToolResult("known already")
            if given.topic == "secret":
                raise ValueError("nobody asks that")
            return Find(topic=given.topic.upper())

        def keep(given: Find, answer: str) -> None:
            set_found(lambda known: [*known, f"{given.topic}: {answer}"])

        def missed(given: Find, error: Exception) -> Any:
            set_found(lambda known: [*known, f"{given.topic}: {type(error).__name__}"])
            return ToolResult("nothing") if given.topic == "REPLACED" else None

        prompt.function(researcher(before_call=before, on_success=keep, on_error=missed))

    code = """
for topic in ["a", "known", "secret", "down", "replaced"]:
    try:
        print(await research(topic))
    except RuntimeError as error:
        print("error:", error)
"""

    def worker(request: Request) -> Any:
        topic = json.loads(request.messages[-1].text)["topic"]
        return f"all of {topic}" if topic == "A" else OSError("down")

    shown: list[str] = []

    def model(request: Request) -> Any:
        shown.append(request.messages[0].text)
        return lead(code, worker)(request)

    lines = (await answered(agency(define, model))).text.splitlines()
    assert lines[:2] == ["all of A", "known already"]
    assert lines[2] == "error: ValueError: nobody asks that"
    assert lines[3].startswith("error: research could not finish: ")
    assert lines[4] == "nothing"
    kept = json.loads(shown[-1].partition("found ")[2].partition("\n")[0])
    assert kept[0] == "A: all of A"
    assert [one.partition(":")[0] for one in kept] == ["A", "DOWN", "REPLACED"]


async def test_what_before_call_of_a_plain_function_puts_in_its_place_comes_to_the_program() -> None:
    def define(prompt: Functions) -> None:
        prompt.system("lead", "")

        @prompt.function(risk="safe", before_call=lambda arguments: ToolResult("kept"))
        async def look() -> str:
            raise AssertionError("it is not called")

        @prompt.function(risk="safe")
        async def nothing() -> None: ...

    code = "print(await look(), await nothing())"
    assert (await answered(agency(define, lead(code)))).text == "kept None\n"


async def test_hooks_on_calls_and_handoffs_see_an_agent_that_a_program_calls() -> None:
    seen: list[str] = []

    @hook("toolcall")
    def on_call(context: HookContext) -> None:
        assert context.call is not None
        seen.append(context.call.name)

    @hook("handoff")
    def on_handoff(context: HookContext) -> None:
        assert context.handoff is not None
        seen.append(f"{context.handoff.sender} to {context.handoff.target}")

    made = agency(with_functions(researcher()), lead("await research('cats')"), agent={"hooks": [on_call, on_handoff]})
    assert (await answered(made)).text == "found"
    assert seen == ["RunPython", "research", "Lead to Lead-research"]


# -- limits, records ---------------------------------------------------------------------------------------------------


def bought(text: str, tokens: int) -> Completion:
    return Completion(Message("assistant", text), "stop", Usage(tokens, 0), cost=0.25)


async def test_what_agents_use_counts_for_the_run_and_is_shown_with_the_call() -> None:
    code = "import asyncio\nlen(await asyncio.gather(research('a'), research('b')))"
    made = agency(with_functions(researcher()), lead(code, lambda request: bought("found", 10)))
    events: list[RunEvent] = []
    made.subscribe(events.append)
    async with made:
        answer = await made.run("go", conversation="c")
        (kept,) = [step for step in (await made.conversation("c")).steps if step.calls]
    assert answer.cost == 0.5
    (step,) = [step for step in answer.steps if step.calls]
    (done,) = step.calls
    assert (done.cost, done.usage.input_tokens) == (0.5, 20)
    assert [(one.agent, one.message.text) for one in done.steps] == [("Lead-research", "found")] * 2
    assert [(one.sender, one.target, one.failed) for one in answer.handoffs] == [("Lead", "Lead-research", "")] * 2
    assert (kept.calls[0].cost, kept.calls[0].usage, len(kept.calls[0].steps)) == (0.5, done.usage, 2)
    started = [event.call_id for event in events if isinstance(event, HandoffStarted)]
    assert started == ["c/1", "c/2"]
    assert sorted(event.call_id for event in events if isinstance(event, HandoffFinished)) == ["c/1", "c/2"]
    assert sum(isinstance(event, ToolFinished) for event in events) == 3


async def test_an_agent_gets_what_is_left_to_the_run() -> None:
    code = """
for topic in "abc":
    try:
        print(await research(topic))
    except RuntimeError as error:
        print(error)
"""
    made = agency(
        with_functions(researcher()),
        lead(code, lambda request: bought("found", 40)),
        agent={"limits": Limits(tokens=90)},
    )
    async with made:
        with pytest.raises(Exception, match="tokens used, 90 allowed") as raised:
            await made.run("go")
    (step,) = raised.value.partial.steps  # type: ignore[attr-defined]
    result = step.calls[0].result
    assert result is not None
    assert result.text.startswith("found\n")
    assert "allowed" in result.text


async def test_a_chain_that_is_too_long_ends_the_run() -> None:
    made = agency(with_functions(researcher()), lead("await research('cats')"), handoff_limits=HandoffLimits(depth=0))
    async with made:
        with pytest.raises(HandoffDepth):
            await made.run("go")


async def test_an_agent_may_have_functions_of_its_own() -> None:
    def research(prompt: Functions, given: Find) -> None:
        prompt.system("inner", given.topic)

        @prompt.function(risk="safe")
        async def double(n: int) -> int:
            return 2 * n

    def worker(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("RunPython", "c", code="await double(4)")

    made = agency(with_functions(researcher(fn=research, plugins=Functions)), lead("await research('x')", worker))
    assert (await answered(made)).text == "8"


# -- persons, ends -----------------------------------------------------------------------------------------------------


def buying(prompt: Prompt, given: Find) -> None:
    @prompt.tool(risk="risky")
    async def buy() -> str:
        return f"bought {given.topic}"


def buys(request: Request) -> Any:
    last = request.messages[-1]
    return last.text if last.role == "tool" else call("buy", "b")


async def test_a_person_is_asked_about_what_an_agent_does_for_a_program() -> None:
    made = agency(
        with_functions(researcher(fn=buying)), lead("await research('tea')", buys), agent={"autonomy": "supervised"}
    )
    asked: list[tuple[str, str]] = []

    def look(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            asked.append((event.agent, event.tool))
            made.approve(event)

    made.subscribe(look)
    assert (await answered(made)).text == "bought tea"
    assert asked == [("Lead-research", "buy")]


async def test_where_a_person_is_asked_about_everything_it_is_about_the_agent_too() -> None:
    made = agency(with_functions(researcher()), lead("await research('tea')"), agent={"autonomy": "manual"})
    asked: list[str] = []

    def look(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            asked.append(event.tool)
            made.approve(event)

    made.subscribe(look)
    assert (await answered(made)).text == "found"
    assert asked == ["RunPython", "research"]


async def test_cancelling_the_run_ends_the_agents_that_its_program_has_asked() -> None:
    made = agency(
        with_functions(researcher(fn=buying)), lead("await research('tea')", buys), agent={"autonomy": "supervised"}
    )
    async with made:
        run = asyncio.ensure_future(made.run("go"))
        await until(lambda: made.approvals)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not made.approvals


async def test_a_program_that_fails_ends_the_agents_that_it_has_asked_and_what_they_used_counts() -> None:
    def worker(request: Request) -> Any:
        return Completion(Message("assistant", "", (call("buy", "b"),)), "tool_calls", Usage(10, 0), cost=0.25)

    def define(prompt: Functions) -> None:
        with_functions(researcher(fn=buying))(prompt)

        @prompt.function(risk="safe")
        async def fail() -> None:
            await until(lambda: made.approvals)
            raise ValueError("enough")

    code = "import asyncio\nawait asyncio.gather(research('tea'), fail())"
    made = agency(define, lead(code, worker), agent={"autonomy": "supervised"})
    async with made:
        answer = await made.run("go")
        await until(lambda: not made.approvals)
    assert "enough" in answer.text
    assert answer.cost == 0.25
    assert [(one.target, one.failed) for one in answer.handoffs] == [("Lead-research", "it was stopped")]


# -- used wrongly ------------------------------------------------------------------------------------------------------


def badly(prompt: Prompt) -> None:
    """Takes no input."""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda prompt: prompt.function(researcher(), risk="safe"), "risk of 'research': what is made already has"),
        (lambda prompt: [prompt.function(researcher()) for _ in "12"], "two functions called 'research'"),
        (lambda prompt: prompt.function(researcher("print")), "Python's own"),
        (lambda prompt: prompt.function(researcher(fn=badly)), "badly"),
        (lambda prompt: prompt.function(researcher("r" * 60)), "at most 48"),
    ],
)
async def test_what_is_used_wrongly_is_named(wrong: Any, said: str) -> None:
    with pytest.raises(RunFailed, match=said) as raised:
        await answered(agency(lambda prompt: wrong(prompt) and None, lead("1")))
    assert isinstance(raised.value.__cause__, PromptError)


async def test_the_run_of_an_agent_is_gone_when_its_call_has_its_result(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with agency(with_functions(researcher()), lead("await research('tea')"), journal=path) as made:
        await made.run("go", conversation="c")
        with closing(sqlite3.connect(path)) as connection:
            streams = {stream for (stream,) in connection.execute("select stream from events")}
    assert streams == {"Lead/c"}


async def test_an_agent_that_a_program_does_not_wait_for_makes_its_run_to_the_end() -> None:
    answer = await answered(agency(with_functions(researcher()), lead("pending = research('tea')\n'over'")))
    assert answer.text == "over"
    assert [(one.target, one.failed) for one in answer.handoffs] == [("Lead-research", "")]
