"""Whoever is killed whenever: a conversation's state is what it would have been, and each change counts once."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, System
from callboard.actors.agents.events import RunEvent
from callboard.actors.agents.prompts.effects import EffectContext
from callboard.actors.agents.prompts.prompt import Prompt
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing import Crash, Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from tests.agents.support import each_kill, function, postgres, results, sqlite

from .crashes import approve_later, die, killed, two_runs
from .test_in_runs import COUNTED, calling

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
"""Schedules of each; `make schedules` runs many more."""


class Shop:
    """A prompt function whose steps follow from its state, and what it was seen to do."""

    def __init__(self, *, asynchronous: bool = False, pause: float = 1.0) -> None:
        self.asynchronous = asynchronous
        self.pause = pause
        self.shown: dict[tuple[str, int], set[str]] = defaultdict(set)
        """What the model was told in each step of each run."""

    async def define_later(self, prompt: Prompt) -> None:
        await asyncio.sleep(self.pause / 10)
        self.define(prompt)

    def define(self, prompt: Prompt) -> None:
        stock, set_stock = prompt.state("stock", {"apples": 3})
        log, set_log = prompt.state("log", [""])
        prompt.define_data("stock", stock)
        prompt.define("log", " ".join(log))

        @prompt.tool(risk="safe", idempotent=True)
        async def sell(apples: int) -> int:
            """Sell apples."""
            await asyncio.sleep(self.pause)
            set_log(lambda before: [*before, f"sold {apples}"])
            return set_stock(lambda before: {"apples": before["apples"] - apples})["apples"]

        @prompt.tool(risk="safe", idempotent=True)
        def buy(apples: int) -> int:
            """Buy apples."""
            return set_stock(lambda before: {"apples": before["apples"] + apples})["apples"]

        def note(context: EffectContext) -> None:
            set_log(lambda before: [*before, f"saw {stock['apples']}"])
            self.shown[context.request.run, context.step].add(" ".join([*log, "noted"]))

        async def note_later(context: EffectContext) -> None:
            await asyncio.sleep(self.pause / 10)
            note(context)

        prompt.effect(note_later if self.asynchronous else note, [stock])
        prompt.effect(lambda context: self.shown[context.request.run, context.step].add(f"{stock} {log}"))

    def agency(self, journal: Any, system: System | None = None) -> Agency:
        agent = Agent("A", prompt=self.define_later if self.asynchronous else self.define)
        return Agency(agent, model=function(model), journal=journal, system=system)

    def check(self) -> None:
        """However often a step was rendered, it was the same each time."""
        for (run, step), shown in self.shown.items():
            assert len(shown) <= 2, f"step {step} of {run} was made of different states: {shown}"


def model(request: Request) -> Any:
    done = results(request)
    if not done:
        return [call("sell", "s1", apples=1), call("buy", "b1", apples=10)]
    if len(done) == 2:
        return call("sell", "s2", apples=2)
    return request.messages[0].text.partition("<log>\n")[2].partition("\n</log>")[0]


WRITES = 16
"""How often a process writes that makes both runs."""

# Two sales and one purchase, seen with what they left; and all of that again.
FIRST = " saw 3 sold 1 saw 12 sold 2"
SECOND = f"{FIRST} saw 10 sold 1 saw 19 sold 2"


def sold_twice(shop: Callable[..., Shop], journal: Callable[[Simulation], Any]) -> Any:
    async def scenario(sim: Simulation) -> None:
        made = shop()

        async def main(system: System) -> list[str]:
            async with made.agency(journal(sim), system) as agency:
                return await two_runs(agency)

        assert await sim.process("shop", main) == [FIRST, SECOND]
        made.check()

    return scenario


def later(**options: Any) -> Shop:
    """One that waits as it is rendered."""
    return Shop(asynchronous=True, **options)


@pytest.mark.parametrize("shop", [Shop, later])
@pytest.mark.parametrize("journal", [sqlite, postgres])
def test_a_process_that_is_killed_at_any_write_has_the_state_it_would_have_had(journal: Any, shop: Any) -> None:
    simulate(sold_twice(shop, journal), seeds=SEEDS, faults=[Restart("shop")])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_single_write_has_the_state_it_would_have_had(when: Any) -> None:
    for nth in range(1, WRITES + 1):
        simulate(sold_twice(Shop, sqlite), seeds=1, faults=[Restart("shop", nth=nth, when=when)])


@pytest.mark.parametrize("journal", [sqlite, postgres])
def test_a_process_that_is_killed_several_times_has_the_state_it_would_have_had(journal: Any) -> None:
    simulate(sold_twice(later, journal), seeds=SEEDS, faults=[Restart("shop", optional=True)] * 3)


def test_a_power_cut_in_the_middle_of_any_write_leaves_no_half_of_a_change() -> None:
    simulate(sold_twice(Shop, sqlite), seeds=SEEDS, faults=[Restart("shop", when="torn")])


@pytest.mark.parametrize("actor", ["agency/A/c", "agency/A", "model"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_actor_that_crashes_at_any_message_leaves_the_state_as_it_would_have_been(actor: str, when: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = later()
        async with shop.agency(None, sim.system) as agency:
            for expected in (FIRST, SECOND):
                assert (await agency.run("go", conversation="c")).text == expected
        shop.check()

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor, when=when)])


@pytest.mark.parametrize("whom", ["agency/A/c", "agency/A", "agency"])
@pytest.mark.parametrize("shop", [Shop, later])
async def test_whoever_is_killed_at_whichever_event_the_state_is_what_it_would_have_been(whom: str, shop: Any) -> None:
    shops: list[Shop] = []

    def make() -> Agency:
        shops.append(shop(pause=0.0))
        return shops[-1].agency(None)

    def look(answer: Any, seen: list[RunEvent]) -> None:
        assert answer.text == FIRST
        assert problems(answer.messages) == []
        shops[-1].check()

    await each_kill(make, whom, look)


def test_an_effect_sees_only_what_the_journal_has_whenever_the_process_is_killed() -> None:
    """What it acted on is never undone, also where an interrupted call is not made again."""

    async def scenario(sim: Simulation) -> None:
        saw: list[list[int]] = []

        def prompt(prompt: Prompt) -> None:
            paid, set_paid = prompt.state("paid", [], list[int])
            prompt.system("paid", f"{paid}")
            prompt.tool(lambda to: set_paid(lambda before: [*before, to]), name="pay", risk="safe")
            prompt.effect(lambda: saw.append(paid), [paid])

        async def main(system: System) -> str:
            pays = [call("pay", f"p{to}", to=to) for to in range(4)]
            async with Agency(
                Agent("A", prompt=prompt), model=function(calling(*pays)), journal=sqlite(sim), system=system
            ) as agency:
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        text = await sim.process("shop", main)
        for paid in saw:
            assert f"{paid}"[:-1] in text, f"an effect has acted on {paid}, and what the conversation keeps is {text}"

    simulate(scenario, seeds=10 * SEEDS, faults=[Restart("shop")])


# -- what a person has not decided -------------------------------------------------------------------------------------


def test_what_waits_for_a_person_is_as_it_was_whenever_the_process_is_killed() -> None:
    """The call is asked about under the same id, and sets what it would have set, once it is approved."""

    def prompt(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")
        prompt.effect(lambda: set_count(lambda before: before + 10), [])
        prompt.tool(lambda by: set_count(lambda before: before + by), name="add", risk="risky", idempotent=True)

    async def scenario(sim: Simulation) -> None:
        asked: set[str] = set()

        async def main(system: System) -> str:
            agent = Agent("A", prompt=prompt, autonomy="supervised")
            model = function(calling(call("add", "one", by=1)))
            async with Agency(agent, model=model, journal=sqlite(sim), system=system) as agency:
                approve_later(agency, asked)
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        text = await sim.process("shop", main)
        assert text.endswith(COUNTED.format(11))
        assert len(asked) == 1, "it was asked anew"

    simulate(scenario, seeds=SEEDS, faults=[Restart("shop")])


# -- kill -9 -----------------------------------------------------------------------------------------------------------


def in_a_call(prompt: Prompt) -> None:
    """A prompt function with a call that says where it is, and a setter before it."""
    count, set_count = prompt.state("count", 0)
    prompt.system("count", f"{count}")
    prompt.effect(lambda: set_count(lambda before: before + 10), [])

    @prompt.tool(risk="safe", idempotent=True)
    def more() -> int:
        """Count on; a process that is to be killed is so in its middle."""
        made = set_count(lambda before: before + 1)
        die()
        return made


async def main(journal: str) -> None:
    """Begin a run, and be killed in its middle."""
    async with Agency(
        Agent("A", prompt=in_a_call), model=function(calling(call("more", "m"))), journal=journal
    ) as made:
        await made.run("go", conversation="c")


async def test_a_process_that_is_killed_in_the_middle_of_a_call_has_set_nothing_and_the_next_one_sets_it_once(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "j.db"
    await killed(__name__, journal)
    async with Agency(
        Agent("A", prompt=in_a_call), model=function(calling(call("more", "m"))), journal=journal
    ) as made:
        (answer,) = made.resumed.values()
        assert (await answer).text == COUNTED.format(11)
