"""Functions of a prompt: programs that a model writes call them, are asked about, and go on after a crash."""

from __future__ import annotations

import ast
import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    PromptError,
    Request,
    RunFailed,
    System,
    ToolError,
    ToolResult,
    run_prompt,
    tool,
)
from callboard.actors.agents.errors import AgencyClosed
from callboard.actors.agents.events import ApprovalRequested, RunEvent
from callboard.actors.agents.prompts.functions.plugin import Functions
from callboard.actors.journal import EventNotWritable
from callboard.actors.journal.memory.streams import MemoryStream
from callboard.actors.testing import Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.tools.builtin.code import python_tool
from tests.agents.support import function
from tests.durable.support import eventually

from .crashes import die, dying, killed

pytest.importorskip("pydantic_monty")

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
"""Schedules of each; `make schedules` runs many more."""

PROGRAM = """
stock = await shop.stock()
bought = []
for name, left in stock.items():
    if left < 2:
        bought.append(await shop.buy(name, count=3))
print(len(bought), 'bought')
sum(one['price'] for one in bought)
"""


class Shop:
    """A prompt with functions, and what they did."""

    def __init__(self, program: str = PROGRAM, log: Path | None = None) -> None:
        self.program = program
        self.log = log
        self.bought: list[str] = []

    def define(self, prompt: Functions) -> None:
        left, set_left = prompt.state("left", {"tea": 1, "milk": 5, "bread": 0})
        prompt.define_data("left", left)

        @prompt.function(namespace="shop", risk="safe", idempotent=True)
        async def stock() -> dict[str, int]:
            """What there is of each thing."""
            return left

        @prompt.function(namespace="shop")
        async def buy(name: str, count: int) -> dict[str, int]:
            """Buy some of a thing."""
            self.bought.append(name)
            if self.log is not None:
                with self.log.open("a") as file:
                    file.write(f"{name}\n")
            set_left(lambda before: {**before, name: before[name] + count})
            return {"price": count * len(name)}

    async def left(self, agency: Agency) -> Any:
        """What the conversation keeps."""
        self.program = "await shop.stock()"
        return ast.literal_eval((await agency.run("?", conversation="c")).text)

    def model(self, request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("RunPython", "c1", code=self.program)

    def agency(self, **options: Any) -> Agency:
        agent = Agent("Clerk", prompt=self.define, plugins=Functions, autonomy=options.pop("autonomy", "supervised"))
        return Agency(agent, model=function(self.model), **options)


def approve_all(agency: Agency) -> Callable[[RunEvent], None]:
    def look(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            agency.approve(event)

    return look


async def test_a_program_calls_functions_each_is_asked_about_and_what_they_set_is_kept() -> None:
    shop = Shop()
    seen: list[Any] = []

    def model(request: Request) -> Any:
        seen.append(request)
        return shop.model(request)

    agent = Agent("Clerk", prompt=shop.define, plugins=Functions, autonomy="supervised")
    async with Agency(agent, model=function(model)) as agency:
        asked: list[tuple[str, str, str]] = []
        agency.subscribe(
            lambda e: asked.append((e.call_id, e.tool, e.arguments)) if isinstance(e, ApprovalRequested) else None
        )
        agency.subscribe(approve_all(agency))
        answer = await agency.run("Buy what is missing.", conversation="c")
    assert answer.text == "2 bought\n24"
    assert asked == [
        ("c1/2", "shop.buy", '{"name":"tea","count":3}'),
        ("c1/3", "shop.buy", '{"name":"bread","count":3}'),
    ]
    (spec,) = seen[0].tools
    assert "async def buy(self, name: str, count: int) -> dict[str, int]:" in spec.description
    assert '"""What there is of each thing."""' in spec.description
    assert "tea: 4" in seen[1].messages[0].text
    assert "bread: 3" in seen[1].messages[0].text


async def test_a_function_that_is_refused_raises_in_the_program() -> None:
    program = "try:\n    await shop.buy('tea', 1)\nexcept RuntimeError as error:\n    print(error)\nprint('over')"
    shop = Shop(program)
    async with shop.agency() as agency:
        agency.subscribe(lambda e: agency.deny(e, "enough") if isinstance(e, ApprovalRequested) else None)
        assert (await agency.run("?")).text == "Denied by a person: enough\nover\n"
    assert not shop.bought


async def test_what_is_wrong_with_a_program_is_told_with_its_line_and_nobody_is_asked() -> None:
    shop = Shop("x = 1\nawait shop.buy('tea', count='three')")
    async with shop.agency() as agency:
        text = (await agency.run("?")).text
    assert "CodeFailed" in text
    assert "main.py:2:" in text
    assert "Expected `int`" in text
    assert not shop.bought


async def test_functions_that_a_step_does_not_make_are_not_there() -> None:
    def define(prompt: Functions) -> None:
        step, set_step = prompt.state("step", 0)
        prompt.function(_numbered(step), namespace="numbers")
        prompt.effect(lambda: set_step(step + 1))

    def model(request: Request) -> Any:
        results = [message.text for message in request.messages if message.role == "tool"]
        if len(results) < 2:
            return call("RunPython", f"c{len(results)}", code="await numbers.number_0()")
        return " | ".join(results)

    text = await run_prompt(define, plugins=Functions, model=function(model), messages="go")
    first, second = text.text.split(" | ", 1)
    assert first == "0"
    assert "`_numbers` has no attribute `number_0`" in second


def _numbered(number: int) -> Any:
    @tool(name=f"number_{number}", risk="safe")
    async def made() -> int:
        return number

    return made


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda prompt: prompt.function(3), "not of 3"),
        (lambda prompt: prompt.function(_numbered(1), risk="safe"), "already has its own options"),
        (lambda prompt: [prompt.function(_numbered(1)) for _ in "12"], "two functions called 'number_1'"),
        (lambda prompt: prompt.function(_numbered(1), namespace="a.b"), "a namespace cannot be called 'a.b'"),
        (lambda prompt: prompt.function(_numbered(1), namespace="print"), "Python's own"),
        (lambda prompt: prompt.function(lambda: 1, name="print"), "Python's own"),
        (lambda prompt: prompt.function(_numbered(1), namespace="json"), "a module that programs may import"),
        (lambda prompt: prompt.function(lambda: 1, name="asyncio"), "a module that programs may import"),
        (lambda prompt: prompt.function(_numbered(1), namespace="\N{LATIN SMALL LIGATURE FI}le"), "cannot be called"),
        (lambda prompt: prompt.function(_numbered(1), colour=1), "already has its own options"),
        (lambda prompt: prompt.function_bounds(timeout=0), "timeout is 0; expected seconds, more than 0"),
        (lambda prompt: prompt.function_bounds(max_calls=1.5), "max_calls is 1.5; expected a whole number"),
        (
            lambda prompt: (
                prompt.tool(lambda: 1, name="RunPython"),
                prompt.function(_numbered(2)),
            ),
            "'RunPython' is that of the functions",
        ),
    ],
)
async def test_what_is_used_wrongly_is_named(wrong: Any, said: str) -> None:
    def define(prompt: Functions) -> None:
        wrong(prompt)

    with pytest.raises(RunFailed, match=said) as raised:
        await run_prompt(define, plugins=Functions, model=function(lambda request: "?"), messages="go")
    assert isinstance(raised.value.__cause__, PromptError)


@pytest.mark.parametrize(
    ("use", "named"),
    [
        (lambda prompt: prompt.function(_numbered(1)), "function"),
        (lambda prompt: prompt.function_bounds(max_calls=2), "function_bounds"),
    ],
)
async def test_what_is_called_too_late_is_named(use: Any, named: str) -> None:
    kept: list[Functions] = []
    await run_prompt(kept.append, plugins=Functions, model=function(lambda request: "?"), messages="go")
    with pytest.raises(PromptError, match=f"prompt.{named} was called after the prompt function had returned"):
        use(kept[0])


async def test_what_a_program_may_use_is_said_in_the_prompt() -> None:
    def define(prompt: Functions) -> None:
        prompt.function_bounds(max_calls=2)

        @prompt.function(risk="safe")
        async def tick(n: int) -> int:
            return n

    def model(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("RunPython", code="[await tick(n) for n in range(3)]")

    answer = await run_prompt(define, plugins=Functions, model=function(model), messages="go")
    assert "line 1: tick would be one call more than the 2" in answer.text


async def test_cancelling_while_a_person_thinks_ends_the_program(tmp_path: Path) -> None:
    shop = Shop()
    async with shop.agency() as agency:
        run = asyncio.ensure_future(agency.run("?"))
        await eventually(lambda: agency.approvals, "the question")
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not agency.approvals
    assert not shop.bought


async def test_a_program_that_waits_for_a_person_goes_on_after_a_restart(tmp_path: Path) -> None:
    shop, path = Shop(), tmp_path / "j.db"
    async with shop.agency(journal=path) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
        await eventually(lambda: agency.approvals, "the first question")
        agency.approve(agency.approvals[0])
        await eventually(lambda: agency.approvals and agency.approvals[0].call_id == "c1/3", "the second question")
    with suppress(AgencyClosed):
        await run
    assert shop.bought == ["tea"]
    async with shop.agency(journal=path) as agency:
        await eventually(lambda: agency.approvals, "the second question again")
        assert agency.approvals[0].arguments == '{"name":"bread","count":3}'
        agency.approve(agency.approvals[0])
        assert (await agency.run("?", conversation="c", run_id="r")).text == "2 bought\n24"
        assert (await shop.left(agency)) == {"tea": 4, "milk": 5, "bread": 3}
    assert shop.bought == ["tea", "bread"]


@pytest.mark.parametrize("given", ["prompt", "tools"])
async def test_who_lacks_its_scope_is_not_told_of_a_function(given: str) -> None:
    made: list[str] = []

    @tool(risk="safe", scope="admin")
    async def secret() -> str:
        """For the few."""
        made.append("secret")
        return "for you"

    @tool(risk="safe")
    async def known() -> str:
        """For all."""
        return "for all"

    def define(prompt: Functions) -> None:
        prompt.function(secret, namespace="inner")
        prompt.function(known)

    told: list[str] = []

    def model(request: Request) -> Any:
        told.append(str(request.tools))
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("RunPython", "c1", code="await inner.secret()")

    if given == "prompt":
        agent = Agent("Clerk", prompt=define, plugins=Functions)
    else:
        agent = Agent("Clerk", tools=[python_tool([known], namespaces={"inner": [secret]})])
    async with Agency(agent, model=function(model)) as agency:
        text = (await agency.run("?", caller=Caller("joe"))).text
        assert "does not pass its check" in text
        assert "For the few" not in told[0]
        assert "inner" not in told[0]
        assert "For all" in told[0]
        assert not made
        assert (await agency.run("?", caller=Caller("ann", scopes=frozenset({"admin"})))).text == "for you"
        assert "For the few" in told[-1]


def no_functions(prompt: Functions) -> None:
    prompt.system("task", "Nothing.")


def no_buying(prompt: Functions) -> None:
    @prompt.function(namespace="shop", risk="safe")
    async def stock() -> dict[str, int]:
        """What there is."""
        return {}


def other_buying(prompt: Functions) -> None:
    no_buying(prompt)

    @prompt.function(namespace="shop")
    async def buy(name: str, count: str) -> dict[str, int]:
        """Buy some of a thing."""
        raise AssertionError


@pytest.mark.parametrize("changed", [no_functions, no_buying, other_buying])
async def test_a_program_that_cannot_go_on_after_a_restart_says_what_it_had_done(tmp_path: Path, changed: Any) -> None:
    shop, path = Shop(), tmp_path / "j.db"
    async with shop.agency(journal=path) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
        await eventually(lambda: agency.approvals, "the first question")
        agency.approve(agency.approvals[0])
        await eventually(lambda: agency.approvals and agency.approvals[0].call_id == "c1/3", "the second question")
    with suppress(AgencyClosed):
        await run
    agent = Agent("Clerk", prompt=changed, plugins=Functions, autonomy="supervised")
    async with Agency(agent, model=function(shop.model), journal=path) as agency:
        text = (await agency.run("?", conversation="c", run_id="r")).text
        assert not agency.approvals
        assert not await agency.pending_approvals()
    assert text.endswith(
        "It had been begun before a restart, and made 2 calls then; what that did is done, do not do it again:\n"
        '- shop.stock {} returned: {"tea":1,"milk":5,"bread":0}\n'
        '- shop.buy {"name":"tea","count":3} returned: {"price":9}'
    )
    assert "was not run" not in text
    assert shop.bought == ["tea"]


async def main(folder: str) -> None:
    """Buy in a process that kills itself after so many lines of its log."""
    path, log = Path(folder) / "j.db", Path(folder) / "bought"
    shop = Shop(log=log)
    die_at, when = dying().split()

    def look(event: RunEvent) -> None:
        if type(event).__name__ == when and getattr(event, "call_id", "") == die_at:
            die()

    async with shop.agency(journal=path) as agency:
        agency.subscribe(look)
        agency.subscribe(approve_all(agency))
        await agency.run("?", conversation="c", run_id="r")


KILLS = [
    *("c1 ToolStarted", "c1/1 ToolStarted", "c1/1 ToolFinished", "c1/2 ApprovalRequested", "c1/2 ApprovalDecided"),
    *("c1/2 ToolStarted", "c1/2 ToolFinished", "c1/3 ApprovalRequested", "c1/3 ToolFinished", "c1 ToolFinished"),
]


@pytest.mark.parametrize("kill", KILLS)
async def test_a_process_that_is_killed_in_the_middle_of_a_program_buys_nothing_twice(
    kill: str, tmp_path: Path
) -> None:
    await killed(__name__, tmp_path, kill)
    log = tmp_path / "bought"
    shop = Shop(log=log)
    async with shop.agency(journal=tmp_path / "j.db") as agency:
        agency.subscribe(approve_all(agency))
        for event in agency.approvals:
            agency.approve(event)
        answer = await agency.run("?", conversation="c", run_id="r")
        left = await shop.left(agency)
    bought = log.read_text().split() if log.exists() else []
    assert len(bought) == len(set(bought))
    if "Interrupted" in answer.text:
        assert kill in [f"c1/{n} {when}" for n in "23" for when in ("ToolStarted", "ToolFinished")]
    else:
        assert (answer.text, bought) == ("2 bought\n24", ["tea", "bread"])
        assert left == {"tea": 4, "milk": 5, "bread": 3}


WRITES = 12
"""How often a process writes that carries the program out."""


async def carried_out(sim: Simulation) -> None:
    shop = Shop()

    async def main(system: System) -> tuple[str, Any]:
        async with shop.agency(journal=sim.folder / "shop.db", system=system) as agency:
            agency.subscribe(approve_all(agency))
            run = asyncio.ensure_future(agency.run("?", conversation="c", run_id="r"))
            while not run.done():
                await asyncio.wait({run}, timeout=0.7)
                for event in agency.approvals:  # those of before the restart that nobody told of again
                    agency.approve(event)
            return (await run).text, await shop.left(agency)

    text, left = await sim.process("shop", main)
    assert len(shop.bought) == len(set(shop.bought))
    if "Interrupted" not in text:
        assert (text, shop.bought) == ("2 bought\n24", ["tea", "bread"])
        assert left == {"tea": 4, "milk": 5, "bread": 3}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_single_write_of_a_program_buys_nothing_twice(when: Any) -> None:
    for nth in range(1, WRITES + 1):
        simulate(carried_out, seeds=1, faults=[Restart("shop", nth=nth, when=when)])


def test_a_killed_process_says_nothing_of_the_programs_that_it_ran(caplog: pytest.LogCaptureFixture) -> None:
    for nth in range(3, 6):
        simulate(carried_out, seeds=1, faults=[Restart("shop", nth=nth)])
    gc.collect()  # what is left of a killed process is thrown away sooner or later
    assert "raised" not in caplog.text


def test_a_process_that_is_killed_several_times_in_a_program_buys_nothing_twice() -> None:
    simulate(carried_out, seeds=SEEDS, faults=[Restart("shop", optional=True)] * 3)


async def test_a_program_gets_the_value_of_a_hook_or_what_its_text_says() -> None:
    def define(prompt: Functions) -> None:
        @prompt.function(risk="safe", before_call=lambda _: ToolResult("cached", value={"tea": 7}))
        async def prices() -> dict[str, int]:
            raise AssertionError

        @prompt.function(risk="safe", on_error=lambda *_: ToolResult("2"))
        async def count() -> int:
            raise ToolError("nobody counts")

    def model(request: Request) -> Any:
        last = request.messages[-1]
        program = "(await prices())['tea'] + await count()"
        return last.text if last.role == "tool" else call("RunPython", "c1", code=program)

    agent = Agent("Clerk", prompt=define, plugins=Functions)
    async with Agency(agent, model=function(model)) as agency:
        assert (await agency.run("?")).text == "9"


@pytest.mark.parametrize(("refused", "bought"), [("InnerCalled", []), ("InnerReturned", ["tea"])])
async def test_a_call_that_the_journal_does_not_take_ends_the_run_by_name(
    refused: str, bought: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = MemoryStream.append

    def picky(stream: MemoryStream, events: Sequence[Any], **more: Any) -> Any:
        if any(type(event).__name__ == refused for event in events):
            raise EventNotWritable("it is too large")
        return append(stream, events, **more)

    shop = Shop("await shop.buy('tea', 1)")
    async with shop.agency(autonomy="autonomous") as agency:
        with monkeypatch.context() as patched:
            patched.setattr(MemoryStream, "append", picky)
            with pytest.raises(RunFailed, match="it is too large"):
                await agency.run("?", conversation="c")
        assert shop.bought == bought
        assert (await shop.left(agency))["tea"] == 1, "what it has set was kept without its result"


async def test_a_text_that_is_longer_than_a_result_may_be_says_so_in_its_middle_and_a_list_is_an_error() -> None:
    def clerk(prompt: Functions) -> None:
        @prompt.function(risk="safe", max_result=100)
        async def text() -> str:
            return f"begin {'x' * 1000} end"

        @prompt.function(risk="safe", max_result=100)
        async def numbers() -> list[int]:
            return list(range(1000))

    shop = Shop("try:\n    await numbers()\nexcept RuntimeError as error:\n    print(error)\nawait text()")
    agent = Agent("Clerk", prompt=clerk, plugins=Functions)
    async with Agency(agent, model=function(shop.model)) as agency:
        told = (await agency.run("go")).text
    assert "what numbers returned was cut, as it is too long" in told
    assert "begin xxx" in told
    assert "1010 characters in all; the middle is left out" in told
    assert told.endswith("xxx end")
