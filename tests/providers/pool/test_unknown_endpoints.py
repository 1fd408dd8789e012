"""Names that no endpoint has, and models that a named endpoint has not: the error says what there is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import SpecError
from callboard.actors.testing import virtual_time
from callboard.providers.errors import NoProvider, UnknownModel
from callboard.providers.pool import (
    AddEndpoint,
    FanOut,
    MemoryCache,
    Probe,
    RemoveEndpoint,
    Requester,
    RotateKey,
    Submit,
    SwitchProvider,
)

from .scripted import Script, endpoint, pool_of, request

ASKED: dict[str, tuple[Any, type[Exception]]] = {
    "a requester's": (Submit(request(model="m"), Requester(endpoint="nope")), NoProvider),
    "a requester's, without a model": (Submit(request(), Requester(endpoint="nope")), NoProvider),
    "a fan-out's": (FanOut(request(model="m"), ("nope",)), NoProvider),
    "a switch's": (SwitchProvider(conversation="c", endpoint="nope"), SpecError),
    "a rotation's": (RotateKey("nope", SecretStr("second")), SpecError),
    "a probe's": (Probe("nope"), SpecError),
}


@pytest.mark.parametrize("whose", ASKED)
@virtual_time
async def test_a_name_that_no_endpoint_has_is_an_error_that_says_which_there_are(whose: str) -> None:
    message, kind = ASKED[whose]
    async with pool_of(endpoint(Script("a"), group="both"), endpoint(Script("b"), group="both")) as pool:
        with pytest.raises(kind) as caught:
            await pool.ask(message, timeout=60.0)
    assert "there is no endpoint 'nope' in this pool; endpoints: both, a, b" in str(caught.value)


@virtual_time
async def test_a_switch_to_a_model_alone_holds_wherever_it_is_served() -> None:
    large, small = Script("a"), Script("b")
    async with pool_of(endpoint(large, models=("large",)), endpoint(small, models=("small",))) as pool:
        who = Requester(conversation="c")
        assert await pool.ask(SwitchProvider(conversation="c", model="small")) == ""
        assert (await pool.ask(Submit(request(model="large"), who), timeout=60.0)).provider == "b"
        await pool.ask(SwitchProvider(conversation="c"))
        assert (await pool.ask(Submit(request(model="large"), who), timeout=60.0)).provider == "a"


@virtual_time
async def test_a_switch_to_an_endpoint_without_the_model_that_is_asked_for_says_so() -> None:
    async with pool_of(endpoint(Script("a"), models=("m",)), endpoint(Script("b"), models=("n",))) as pool:
        await pool.ask(SwitchProvider(conversation="c", endpoint="b"))
        who = Requester(conversation="c")
        with pytest.raises(NoProvider, match=r"^b does not serve model 'm', .* SwitchProvider\(model=…\)"):
            await pool.ask(Submit(request(model="m"), who), timeout=60.0)
        await pool.ask(SwitchProvider(conversation="c", endpoint="b", model="n"))
        assert (await pool.ask(Submit(request(model="m"), who), timeout=60.0)).provider == "b"


@pytest.mark.parametrize("how", ["a requester's", "a model's prefix", "a model's"])
@pytest.mark.parametrize("streamed", [False, True])
@virtual_time
async def test_a_cache_answers_nothing_that_no_endpoint_could_answer_any_more(how: str, streamed: bool) -> None:
    asked = {
        "a requester's": Submit(request(), Requester(endpoint="a")),
        "a model's prefix": request(model="a:m"),
        "a model's": request(model="m"),
    }[how]
    endpoints = endpoint(Script("a"), models=("m",)), endpoint(Script("b"), models=("n",))

    async with pool_of(*endpoints, cache=MemoryCache()) as pool:

        async def ask() -> Any:
            if not streamed:
                return await pool.ask(asked)
            return [delta async for delta in pool.stream(asked)][-1].completion

        await ask()
        assert "cached" in (await ask()).notes
        await pool.ask(RemoveEndpoint("a"))
        with pytest.raises(NoProvider if how == "a requester's" else UnknownModel):
            await ask()


@pytest.mark.parametrize("name", ["a/b", "a\nb", " ", ""])
def test_a_name_that_no_actor_can_have_is_refused_where_the_endpoint_is_made(name: str) -> None:
    with pytest.raises(ValueError, match="expected a name in a line, without '/'"):
        endpoint(Script(name))


@virtual_time
async def test_an_endpoint_may_be_called_as_the_second_actor_of_another_one_would_be() -> None:
    async with pool_of(endpoint(Script("a")), endpoint(Script("a~2"))) as pool:
        for number in range(3):
            assert await pool.ask(RotateKey("a", SecretStr(f"key-{number}"))) == "a"
        await pool.ask(AddEndpoint(endpoint(Script("a~4"))))
        for name in ("a", "a~2", "a~4"):
            assert (await pool.ask(Submit(request(), Requester(endpoint=name)))).provider == name
