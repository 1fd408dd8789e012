"""Skills that open something, what they require, and what an agency knows of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    DefinitionError,
    HttpRoute,
    Prompt,
    RequestContext,
    Skill,
    SkillContext,
    SkillFailed,
    UnknownSkill,
    http,
)
from callboard.actors.testing import Crash, Simulation, run_virtual, simulate
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Request
from tests.agents.support import add, function, results, scripted


def counting(prompt: Prompt) -> None:
    """Defines nothing."""


class Opened(Skill):
    """A skill that notes when it is opened and closed."""

    def __init__(self, name: str, log: list[str], *requires: Skill | str, fails: int = 0) -> None:
        super().__init__(name, requires=requires)
        self.log = log
        self.fails = fails
        self.seen: list[str] = []

    async def initialize(self, context: SkillContext) -> None:
        await asyncio.sleep(0)
        self.seen = list(context.skills)
        if self.fails:
            self.fails -= 1
            raise ConnectionError("nobody there")
        self.log.append(f"open {self.name}")

    async def close(self) -> None:
        self.log.append(f"close {self.name}")


async def test_skills_are_initialized_once_with_what_they_require_first_and_closed_the_other_way_round() -> None:
    log: list[str] = []
    base = Opened("base", log)
    upper = Opened("upper", log, "base", Opened("side", log))
    agency = Agency(Agent("A", skills=[upper, base]), Agent("B", skills=[base]), model=scripted(Script(["one", "two"])))
    assert not agency.skill_available("A", "upper")
    async with agency:
        assert log == ["open base", "open side", "open upper"]
        assert upper.seen == ["base", "side"]
        await agency.run("?")
        await agency.run("?", agent="B")
        assert agency.skill_available("A", "upper")
        assert not agency.skill_available("B", "upper")
    assert log[3:] == ["close upper", "close side", "close base"]


async def test_a_skill_that_cannot_be_initialized_stops_the_start_by_name_and_closes_the_others() -> None:
    log: list[str] = []
    broken = Opened("mail", log, Opened("base", log), fails=1)
    agency = Agency(Agent("A", skills=[broken]), model=scripted(Script([])))
    with pytest.raises(SkillFailed, match="skill mail could not be initialized: ConnectionError: nobody there"):
        await agency.start()
    assert log == ["open base", "close base"]
    async with Agency(Agent("A", skills=[broken]), model=scripted(Script(["well"]))) as again:
        assert (await again.run("?")).text == "well", "another agency may have it then"


async def test_what_a_live_agent_is_given_is_initialized_before_its_next_completion() -> None:
    log: list[str] = []

    def model(request: Request) -> str:
        log.append("asked")
        return "ok"

    skill = Opened("late", log, fails=1)
    async with Agency(Agent("A"), model=function(model)) as agency:
        agency.add_skill("A", skill)
        assert not agency.skill_available("A", "late")
        with pytest.raises(Exception, match="skill late could not be initialized") as failed:
            await agency.run("?")
        assert type(failed.value).__name__ == "RunFailed"
        assert isinstance(failed.value.__cause__, SkillFailed)
        await asyncio.gather(agency.run("?"), agency.run("?"))
        agency.remove_skill("A", "late")
        assert log == ["open late", "asked", "asked"], "two runs at once open it once"
    assert log[-1] == "close late"


async def test_a_run_that_is_cancelled_while_a_skill_opens_takes_it_from_nobody() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    class Slow(Skill):
        name = "slow"

        async def initialize(self, context: SkillContext) -> None:
            began.set()
            await go.wait()

    async with Agency(Agent("A"), model=function(lambda request: "ok")) as agency:
        agency.add_skill("A", Slow())
        first = asyncio.ensure_future(agency.run("?"))
        await began.wait()
        second = asyncio.ensure_future(agency.run("?"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        assert (await second).text == "ok"


async def test_a_skill_is_at_work_in_one_agency_at_a_time() -> None:
    skill = Opened("only", [])
    async with Agency(Agent("A", skills=[skill]), model=scripted(Script([]))):
        with pytest.raises(SkillFailed, match="skill only is at work in another agency; make one for each"):
            await Agency(Agent("B", skills=[skill]), model=scripted(Script([]))).start()


async def test_a_skill_that_fails_to_close_keeps_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    class Stuck(Skill):
        name = "stuck"

        async def close(self) -> None:
            raise OSError("no")

    with caplog.at_level(logging.WARNING, "callboard"):
        async with Agency(Agent("A", skills=[Opened("base", log), Stuck()]), model=scripted(Script([]))):
            pass
    assert log == ["open base", "close base"]
    assert "skill stuck could not be closed" in caplog.text


def test_what_a_skill_requires_is_missing_or_goes_round_by_name_with_the_way() -> None:
    report = Skill("report", requires=["tables"])
    tables = Skill("tables", requires=["database"])
    with pytest.raises(DefinitionError, match="skill tables requires 'database', which is not there") as missing:
        Agent("A", skills=[report, tables])
    assert "agent A: " in str(missing.value)
    assert "(report → tables → database)" in str(missing.value)
    assert "there are: report, tables" in str(missing.value)
    with pytest.raises(DefinitionError, match="skills require each other: report → tables → database → report"):
        Agent("A", skills=[report, tables, Skill("database", requires=[report])])
    with pytest.raises(DefinitionError, match="two skills are called 'tables'"):
        Agent("A", skills=[Skill("x", requires=[Skill("tables")]), tables])


def test_a_skill_that_another_requires_by_name_cannot_be_taken_away() -> None:
    agency = Agency(Agent("A", skills=[Skill("report", requires=["tables"]), Skill("tables")]))
    with pytest.raises(DefinitionError, match="skill report requires 'tables'"):
        agency.remove_skill("A", "tables")
    assert agency.get_skill("A", "tables").name == "tables"


def test_a_skill_can_be_had_by_name_and_who_has_none_is_told_what_there_is() -> None:
    base = Skill("base")
    agency = Agency(Agent("A", skills=[Skill("upper", requires=[base], scope="staff")]))
    assert agency.get_skill(None, "base") is base
    with pytest.raises(UnknownSkill, match="agent A has no skill called 'bass'; there are: base, upper"):
        agency.get_skill("A", "bass")
    assert not agency.skill_available("A", "bass")
    assert not agency.skill_available("A", "upper", caller=Caller("ada"))
    assert agency.skill_available("A", "upper", caller=Caller("ada", scopes=frozenset({"staff"})))


def test_whether_a_skill_is_available_is_said_for_a_caller() -> None:
    agency = Agency(Agent("A", skills=[Skill("orders")]))
    with pytest.raises(DefinitionError, match="skill_available: caller is 'ann'; expected"):
        agency.skill_available("A", "orders", caller="ann")  # type: ignore[arg-type]


def test_a_class_of_ones_own_says_what_its_skills_are() -> None:
    class Weather(Skill):
        name = "weather"
        description = "Knows the weather."
        requires = ("maps",)

        def __init__(self, city: str) -> None:
            super().__init__(tools=[self.forecast])
            self.city = city

        async def forecast(self) -> str:
            """The weather of tomorrow."""
            return f"rain in {self.city}"

    skill = Weather("Bern")
    assert (skill.name, skill.required, [each.name for each in skill.tools]) == ("weather", ("maps",), ["forecast"])  # type: ignore[union-attr]
    assert "Bern" not in repr(Skill("x", settings={"key": "Bern"}))


async def test_a_skills_prompt_function_defines_each_step_after_the_agents_own() -> None:
    requests: list[Request] = []

    def model(request: Request) -> Any:
        requests.append(request)
        return call("count") if len(requests) == 1 else "done"

    def own(prompt: Prompt) -> None:
        prompt.system("own", "mine")

    async def counting(prompt: Prompt) -> None:
        number, set_number = prompt.state("counting", 0)
        prompt.system("number", str(number))

        @prompt.tool
        async def count() -> str:
            """Count."""
            set_number(lambda before: before + 1)
            return "counted"

    def later(prompt: Prompt) -> None:
        prompt.system("later", "last")

    skills = [Skill("counting", prompt=counting), Skill("later", prompt=later, scope="staff")]
    agent = Agent("A", "You count.", prompt=own, skills=skills)
    async with Agency(agent, model=function(model)) as agency:
        await agency.run("?", caller=Caller("ada", scopes=frozenset({"staff"})))
        await agency.run("?")
    assert [request.messages[0].text for request in requests] == [
        "You count.\n\n<own>\nmine\n</own>\n\n<number>\n0\n</number>\n\n<later>\nlast\n</later>",
        "You count.\n\n<own>\nmine\n</own>\n\n<number>\n1\n</number>\n\n<later>\nlast\n</later>",
        "You count.\n\n<own>\nmine\n</own>\n\n<number>\n0\n</number>",
    ]
    assert [spec.name for spec in requests[0].tools] == ["count"]


async def test_an_agent_without_a_prompt_function_has_those_of_its_skills_and_one_that_returns_text_is_refused() -> (
    None
):
    def wrong(prompt: Prompt) -> str:
        return "told"

    async with Agency(Agent("A", skills=[Skill("x", prompt=wrong)]), model=function(lambda request: "ok")) as agency:
        with pytest.raises(Exception, match="returned a str, which nobody reads"):
            await agency.run("?")
    with pytest.raises(DefinitionError, match=r"skill x: isinstance takes \(.*\); a prompt function takes \(prompt\)"):
        Skill("x", prompt=isinstance)  # type: ignore[arg-type]


def test_an_agency_says_what_an_agent_can_do_and_where_it_has_it_from() -> None:
    @http("/orders/{number}", "GET", "DELETE", scope="staff")
    async def order(number: int) -> str:
        """One order."""
        return str(number)

    skill = Skill("orders", "You take orders.", tools=[add], routes=[order], prompt=counting, description="Orders.")
    agency = Agency(Agent("A", skills=[skill]), Agent("B"), flows=[("A", "B")])
    said = agency.describe("A")
    assert said.capabilities == {"skill orders": ("add", "counting", "/orders/{number}"), "flow": ("B",)}
    route = said.routes[0]
    assert (route.description, route.scopes, route.details) == (
        "One order.",
        ("staff",),
        {"methods": ["GET", "DELETE"]},
    )
    assert said.skills[0].description == "Orders."


class Yields(Skill):
    async def initialize(self, context: SkillContext) -> Any:
        yield


@pytest.mark.parametrize(
    ("make", "problem"),
    {
        "no path": (lambda: HttpRoute("orders", print), "written as in /orders/{number}"),
        "a space": (lambda: HttpRoute("/or ders", print), "written as in"),
        "half a brace": (lambda: HttpRoute("/{number", print), "written as in"),
        "one name twice": (lambda: HttpRoute("/{a}/{a}", print), "two of its parts have one name"),
        "a rest before the end": (lambda: HttpRoute("/{a:path}/b", print), "stands at the end"),
        "no method": (lambda: HttpRoute("/a", print, ()), "methods are some of"),
        "another method": (lambda: http("/a", "get")(print), "methods are some of GET, POST"),
        "no function": (lambda: HttpRoute("/a", 3), "function is 3; expected a function"),  # type: ignore[arg-type]
        "no route": (lambda: Skill("x", routes=[print]), "routes are what @http makes"),  # type: ignore[list-item]
        "an initialize that yields": (lambda: Yields("x"), "skill x: initialize yields"),
        "plugins alone": (lambda: Skill("x", plugins=[Prompt]), "plugins are for a prompt function"),
        "a number to require": (lambda: Skill("x", requires=[3]), "requires are Skills, or their names"),  # type: ignore[list-item]
    }.values(),
)
def test_what_is_wrong_with_a_skill_or_a_route_is_said_when_it_is_made(
    make: Callable[[], object], problem: str
) -> None:
    with pytest.raises(DefinitionError, match=problem):
        make()


def test_whatever_crashes_skills_stay_open_and_are_closed_once() -> None:
    async def scenario(sim: Simulation) -> None:
        log: list[str] = []
        skills = [Opened("upper", log, Opened("base", log))]
        model = function(lambda request: "3" if results(request) else call("add", a=1, b=2))
        async with Agency(Agent("A", tools=[add], skills=skills), model=model, system=sim.system) as agency:
            assert (await agency.run("?", run_id="r")).text == "3"
        assert log == ["open base", "open upper", "close upper", "close base"]

    faults = [Crash(actor, when=when) for actor in ("agency/A", "agency/A/r") for when in ("before", "after")]
    simulate(scenario, seeds=30, faults=faults)


async def test_what_a_skill_is_initialized_with_does_not_hold_the_first_runs_context() -> None:
    seen: list[RequestContext | None] = []

    class Looks(Skill):
        name = "looks"

        async def initialize(self, context: SkillContext) -> None:
            from callboard import request_context

            seen.append(request_context())

    async with Agency(Agent("A"), model=function(lambda request: "ok")) as agency:
        agency.add_skill("A", Looks())
        await agency.run("?", user="ada")
    assert seen == [None]


class Stuck(Skill):
    """A skill that never comes to an end, here or there."""

    def __init__(self, where: str) -> None:
        super().__init__("stuck")
        self.where = where

    async def initialize(self, context: SkillContext) -> None:
        if self.where == "initialize":
            await asyncio.Event().wait()

    async def close(self) -> None:
        if self.where == "close":
            await asyncio.Event().wait()


def test_a_skill_that_never_opens_or_never_closes_holds_nothing_up_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    async def opening() -> None:
        agency = Agency(Agent("A", skills=[Opened("base", log), Stuck("initialize")]), model=scripted(Script([])))
        with pytest.raises(SkillFailed, match="skill stuck could not be initialized: it took longer than 60 seconds"):
            await agency.start()

    async def closing() -> None:
        async with Agency(Agent("A", skills=[Opened("base", log), Stuck("close")]), model=scripted(Script([]))):
            pass

    run_virtual(opening())
    with caplog.at_level(logging.WARNING, "callboard"):
        run_virtual(closing())
    assert log == ["open base", "close base"] * 2
    assert "skill stuck could not be closed" in caplog.text


async def test_an_agent_that_joins_brings_its_skills_and_so_does_one_that_is_handed_off_to() -> None:
    log: list[str] = []
    script = Script(["one", call("SendMessage", target_agent="C", message="go"), "three", "two"])
    async with Agency(Agent("A"), model=scripted(script)) as agency:
        await agency.add_agent(Agent("B", skills=[Opened("of b", log)]))
        await agency.run("?", agent="B")
        agency.add_handoff("A", Agent("C", skills=[Opened("of c", log)]))
        assert (await agency.run("?")).text == "two"
        assert log == ["open of b", "open of c"]
    assert log[2:] == ["close of c", "close of b"]


async def test_skills_outlive_the_crash_of_an_agents_actor_and_of_a_conversations() -> None:
    log: list[str] = []
    script = Script(["one", "two"])
    async with Agency(Agent("A", skills=[Opened("base", log)]), model=scripted(script)) as agency:
        await agency.run("?")
        agency._runtime.agents["A"].kill()
        assert (await agency.run("?")).text == "two"
    assert log == ["open base", "close base"]
