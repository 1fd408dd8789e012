"""Endpoints whose actor cannot start: their own trouble, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import ChildSpec, SpecError, StartFailed
from callboard.actors.testing import virtual_time
from callboard.providers.errors import NoProvider
from callboard.providers.pool import AddEndpoint, Endpoint, GetHealth, RemoveEndpoint, RotateKey
from callboard.providers.spec import ProviderSpec

from .scripted import Script, Scripted, endpoint, pool_of, request


@dataclass
class Ground:
    """Whether an actor can start, and how often it was tried."""

    where: str = "on_start"
    good: bool = False
    tried: int = 0

    def look(self, where: str) -> None:
        if where == self.where:
            self.tried += 1
            if not self.good:
                raise RuntimeError("no ground under its feet")


class Wobbly(Scripted):
    """Cannot start as long as its ground is not good."""

    def __init__(self, script: Script, ground: Ground, api_key: str = "first") -> None:
        super().__init__(script, api_key)
        self.ground = ground
        ground.look("constructor")

    async def on_start(self) -> None:
        await asyncio.sleep(0.01)
        self.ground.look("on_start")


def wobbly(ground: Ground, name: str = "a", **options: Any) -> Endpoint:
    return Endpoint(name, ChildSpec(Wobbly, (Script(name), ground)), **options)


@pytest.fixture(params=["constructor", "on_start"])
def ground(request: pytest.FixtureRequest) -> Ground:
    return Ground(request.param)


@virtual_time
async def test_an_endpoint_that_cannot_start_leaves_the_others_to_serve(ground: Ground) -> None:
    async with pool_of(wobbly(ground), endpoint(Script("b"), priority=1)) as pool:
        for _ in range(20):
            assert (await pool.ask(request(), timeout=5.0)).provider == "b"
            await asyncio.sleep(1.0)
        a, b = (await pool.ask(GetHealth())).endpoints
    assert (a.state, a.available) == ("stopped", False)
    assert "no ground under its feet" in a.reason
    assert (b.state, b.available) == ("closed", True)
    assert 3 <= ground.tried <= 10, "it is tried again, but not all the time"


@virtual_time
async def test_where_the_only_endpoint_cannot_start_its_callers_hear_why_in_time_and_are_served_when_it_can(
    ground: Ground,
) -> None:
    async with pool_of(wobbly(ground), queue_timeout=2.0) as pool:
        loop = asyncio.get_running_loop()
        for seconds, timeout in ((2.0, None), (3.0, 3.0)):
            began = loop.time()
            with pytest.raises(NoProvider, match="no ground under its feet"):
                await pool.ask(request(), timeout=timeout)
            assert loop.time() <= began + seconds + 0.5
        asked = asyncio.ensure_future(pool.ask(request(), timeout=60.0))
        await asyncio.sleep(0.1)
        ground.good = True
        assert (await asked).message.text == "a: hello"
        assert (await pool.ask(GetHealth())).endpoints[0].state == "closed"


@virtual_time
async def test_an_endpoint_that_cannot_start_is_mended_by_another_of_its_name(ground: Ground) -> None:
    async with pool_of(wobbly(ground)) as pool:
        await asyncio.sleep(100.0)
        await pool.ask(AddEndpoint(endpoint(Script("a"))))
        assert (await pool.ask(request(), timeout=1.0)).message.text == "a: hello"
        tried = ground.tried
        await asyncio.sleep(100.0)
        assert ground.tried == tried, "what was replaced is still tried"


@virtual_time
async def test_an_endpoint_that_cannot_start_can_be_removed(ground: Ground) -> None:
    async with pool_of(wobbly(ground), endpoint(Script("b"))) as pool:
        await asyncio.sleep(1.0)
        assert await pool.ask(RemoveEndpoint("a"))
        tried = ground.tried
        await asyncio.sleep(100.0)
        assert ground.tried == tried


@virtual_time
async def test_an_added_endpoint_whose_actor_cannot_be_made_is_an_error_and_is_not_there() -> None:
    async with pool_of(endpoint(Script("b"))) as pool:
        with pytest.raises(StartFailed, match="no ground"):
            await pool.ask(AddEndpoint(wobbly(Ground("constructor"))))
        assert [each.name for each in (await pool.ask(GetHealth())).endpoints] == ["b"]


@virtual_time
async def test_a_replacement_that_cannot_start_leaves_the_endpoint_that_was_well(ground: Ground) -> None:
    first = Script("a")
    async with pool_of(endpoint(first)) as pool:
        with pytest.raises(StartFailed, match="no ground"):
            await pool.ask(AddEndpoint(wobbly(ground)))
        assert (await pool.ask(request(), timeout=1.0)).message.text == "a: hello"
        assert len(first.seen) == 1
        assert (await pool.ask(GetHealth())).endpoints[0].state == "closed"


@virtual_time
async def test_a_rotation_that_fails_leaves_the_old_key(ground: Ground) -> None:
    ground.good = True
    script = Script("a")
    async with pool_of(Endpoint("a", ChildSpec(Wobbly, (script, ground), {"api_key": "first"}))) as pool:
        await pool.ask(request(), timeout=1.0)
        ground.good = False
        for message in (RotateKey("a", SecretStr("second")), RotateKey("a", SecretStr("second"), argument="apikey")):
            with pytest.raises(StartFailed):
                await pool.ask(message)
        await pool.ask(request(), timeout=1.0)
        assert script.keys == ["first", "first"]
        ground.good = True
        await pool.ask(RotateKey("a", SecretStr("third")))
        await pool.ask(request(), timeout=1.0)
        assert script.keys[-1] == "third"


@pytest.mark.parametrize("key", ["plain", "", None, SecretStr(""), SecretStr(" ")], ids=repr)
@virtual_time
async def test_a_key_that_is_none_is_refused_and_changes_nothing(key: Any) -> None:
    script = Script("a")
    async with pool_of(endpoint(script)) as pool:
        message = RotateKey("a", key)
        assert "plain" not in repr(message)
        with pytest.raises(SpecError, match="expected the key as a SecretStr") as caught:
            await pool.ask(message)
        assert "plain" not in str(caught.value)
        await pool.ask(request(), timeout=1.0)
        assert script.keys == ["first"]


@pytest.mark.parametrize("key", ["second\n", " second", "sécond", "sec\x00ond"], ids=repr)
@virtual_time
async def test_a_key_that_no_header_can_carry_is_refused_and_changes_nothing(key: str) -> None:
    script = Script("a")
    with pytest.raises(SpecError, match="provider 'acme': api_key: expected a key of printable") as caught:
        ProviderSpec("acme", api_key=SecretStr(key))
    assert key not in str(caught.value)
    async with pool_of(endpoint(script)) as pool:
        with pytest.raises(SpecError, match="RotateKey for 'a': expected a key of printable") as caught:
            await pool.ask(RotateKey("a", SecretStr(key)))
        assert key not in str(caught.value)
        await pool.ask(request(), timeout=1.0)
    assert script.keys == ["first"]


@virtual_time
async def test_rotations_that_are_asked_for_at_once_end_with_the_last_of_them() -> None:
    ground, script = Ground(good=True), Script("a")
    async with pool_of(Endpoint("a", ChildSpec(Wobbly, (script, ground), {"api_key": "first"}))) as pool:
        await asyncio.gather(*(pool.ask(RotateKey("a", SecretStr(f"key-{number}"))) for number in range(5)))
        await pool.ask(request(), timeout=1.0)
    assert script.keys == ["key-4"]


@virtual_time
async def test_an_endpoint_that_is_removed_while_its_replacement_starts_stays_removed() -> None:
    ground = Ground(good=True)
    async with pool_of(endpoint(Script("a")), endpoint(Script("b"))) as pool:
        replaced = asyncio.ensure_future(pool.ask(AddEndpoint(wobbly(ground))))
        await asyncio.sleep(0.001)
        assert await pool.ask(RemoveEndpoint("a"))
        with pytest.raises(SpecError, match="was removed"):
            await replaced
        assert [each.name for each in (await pool.ask(GetHealth())).endpoints] == ["b"]


@virtual_time
async def test_a_replacement_that_is_told_and_fails_harms_nobody(ground: Ground) -> None:
    script = Script("a")
    async with pool_of(endpoint(script)) as pool:
        pool.tell(AddEndpoint(wobbly(ground)))
        await asyncio.sleep(1.0)
        await pool.ask(request(), timeout=1.0)
        assert script.started == 1, "the pool was restarted"


@virtual_time
async def test_a_provider_that_crashes_is_started_again_at_once_however_often() -> None:
    script = Script("a", crash=True)
    async with pool_of(endpoint(script), endpoint(Script("b"))) as pool:
        for _ in range(200):
            await pool.ask(request(), timeout=60.0)
            await asyncio.sleep(0.5)
        script.crash = False
        await asyncio.sleep(60.0)
        for _ in range(20):
            await pool.ask(request(), timeout=60.0)
    assert script.seen
