"""A request says itself how often it may be sent again."""

from __future__ import annotations

from typing import Any

import pytest

from callboard import Agency, Agent, NoProvider, RunFailed
from callboard.actors.testing import Simulation, simulate
from callboard.providers.errors import ProviderOverloaded
from callboard.providers.messages import Message, Request
from callboard.providers.pool import Pool
from callboard.providers.pool.admission.retry import RetryPolicy
from callboard.providers.pool.front import cache
from callboard.providers.shapes import misshapen
from tests.providers.pool.scripted import Script, endpoint, fails

ASKED = (Message("user", "?"),)


@pytest.mark.parametrize(("most", "sent"), [(0, 1), (2, 3), (12, 13), (None, 4)])
def test_a_request_is_sent_again_as_often_as_it_says(most: int | None, sent: int) -> None:
    async def flow(sim: Simulation) -> None:
        script = Script(failure=fails(lambda: ProviderOverloaded("busy")))
        member = endpoint(script, retry=RetryPolicy(attempts=4))
        pool = sim.system.spawn(Pool, [member])
        with pytest.raises(NoProvider, match=f"it was sent {sent} times"):
            await pool.ask(Request(ASKED, max_retries=most))
        assert len(script.seen) == sent

    simulate(flow, seeds=1)


def test_an_agents_settings_say_it_for_its_requests() -> None:
    async def flow(sim: Simulation) -> None:
        script = Script(failure=fails(lambda: ProviderOverloaded("busy")))
        pool = sim.system.spawn(Pool, [endpoint(script)])
        agent = Agent("A", settings={"max_retries": 1})
        async with Agency(agent, pool=pool, system=sim.system) as agency:
            with pytest.raises(RunFailed, match="it was sent 2 times"):
                await agency.run("?")
        assert len(script.seen) == 2

    simulate(flow, seeds=1)


@pytest.mark.parametrize("wrong", [-1, True, 1.5, "3"])
def test_what_is_no_number_of_retries_is_refused(wrong: Any) -> None:
    assert misshapen(Request(ASKED, max_retries=wrong)).startswith("max_retries: expected a whole number, at least 0")


def test_what_a_cache_has_kept_is_found_by_requests_that_say_nothing_of_retries() -> None:
    assert "max_retries" not in cache._as_json(Request(ASKED)), "keys of what was kept before must not change"
    assert cache.fingerprint(Request(ASKED, max_retries=1)) != cache.fingerprint(Request(ASKED))
