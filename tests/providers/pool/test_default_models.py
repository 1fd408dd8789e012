"""A request that names no model: the preferred endpoint's default is what it asks for, another's is a fallback."""

from __future__ import annotations

from pydantic import SecretStr

from callboard.actors.testing import virtual_time
from callboard.providers.errors import ProviderOverloaded
from callboard.providers.pool import FanOut, GetStats, LeastLoaded, MemoryCache, Requester, RotateKey, Submit

from .scripted import Script, endpoint, fails, pool_of, request


def overloaded() -> Exception:
    return ProviderOverloaded("503", status=503)


@virtual_time
async def test_another_default_model_does_not_answer_while_the_preferred_one_can() -> None:
    strong, weak = Script("strong", latency=1.0), Script("weak")
    ends = (endpoint(strong, default_model="large"), endpoint(weak, default_model="small"))
    async with pool_of(*ends, routing=LeastLoaded()) as pool:
        answers = [await pool.ask(request()) for _ in range(5)]
    assert [answer.provider for answer in answers] == ["strong"] * 5
    assert [answer.notes for answer in answers] == [()] * 5
    assert weak.seen == []


@virtual_time
async def test_the_preferred_endpoint_is_the_one_of_the_best_priority_and_then_the_first() -> None:
    strong, weak = Script("strong"), Script("weak")
    ends = (endpoint(weak, default_model="small", priority=1), endpoint(strong, default_model="large", priority=0))
    async with pool_of(*ends, routing=LeastLoaded()) as pool:
        answer = await pool.ask(request())
    assert (answer.provider, answer.notes) == ("strong", ())


@virtual_time
async def test_a_key_that_is_rotated_leaves_the_preferred_endpoint_its_place() -> None:
    strong, weak = Script("strong"), Script("weak")
    ends = (endpoint(strong, default_model="large"), endpoint(weak, default_model="small"))
    async with pool_of(*ends, routing=LeastLoaded()) as pool:
        await pool.ask(RotateKey("strong", SecretStr("second")))
        answer = await pool.ask(request())
    assert (answer.provider, answer.notes, strong.keys) == ("strong", (), ["second"])


@virtual_time
async def test_while_it_is_down_others_answer_with_their_own_and_say_so_and_no_cache_keeps_it() -> None:
    strong, weak = Script("strong", failure=fails(overloaded)), Script("weak")
    ends = (endpoint(strong, default_model="large"), endpoint(weak, default_model="small"))
    async with pool_of(*ends, cache=MemoryCache()) as pool:
        answers = [await pool.ask(request()) for _ in range(2)]
        stats = await pool.ask(GetStats())
    assert [answer.provider for answer in answers] == ["weak"] * 2
    assert all("degraded to model small" in answer.notes for answer in answers), answers[0].notes
    assert stats.pool.cache_hits == 0
    assert stats.pool.degraded == 2


@virtual_time
async def test_endpoints_that_have_the_same_default_model_or_list_it_share_the_load() -> None:
    first, twin, lists, other = Script("first", hang=True), Script("twin"), Script("lists"), Script("other")
    ends = (
        endpoint(first, default_model="large"),
        endpoint(twin, default_model="large"),
        endpoint(lists, default_model="small", models=("small", "big"), aliases={"large": "big"}),
        endpoint(other, default_model="small"),
    )
    async with pool_of(*ends, routing=LeastLoaded()) as pool:
        waiting = pool.ask(request())
        answers = [await pool.ask(request()) for _ in range(2)]
        first.hang = False
        for name in ("twin", "lists"):
            answers.append(await pool.ask(Submit(request(), Requester(endpoint=name))))
        waiting.cancel()
    assert {answer.provider for answer in answers[:2]} <= {"twin", "lists"}
    assert [answer.notes for answer in answers] == [()] * 4
    assert other.seen == []
    asked = [sent.model for _, sent in lists.seen]
    assert asked[-1] == "", "a request for this endpoint alone leaves it its own default"
    assert set(asked[:-1]) <= {"big"}, "one for the pool asks it for the model that it stands in for"


@virtual_time
async def test_fallbacks_for_requests_without_a_model_come_before_the_default_models_of_others() -> None:
    strong, weak, spare = Script("strong", failure=fails(overloaded)), Script("weak"), Script("spare")
    ends = (
        endpoint(strong, default_model="large", models=("large",)),
        endpoint(weak, default_model="small", models=("small",)),
        endpoint(spare, default_model="tiny", models=("tiny", "medium")),
    )
    async with pool_of(*ends, fallbacks={"": ["medium"]}) as pool:
        answer = await pool.ask(request())
    assert (answer.provider, answer.model) == ("spare", "medium")
    assert "degraded to model medium" in answer.notes


@virtual_time
async def test_a_default_that_only_the_provider_knows_is_called_so() -> None:
    strong, weak = Script("strong", failure=fails(overloaded)), Script("weak")
    async with pool_of(endpoint(strong, default_model="large"), endpoint(weak)) as pool:
        answer = await pool.ask(request())
    assert "degraded to model of the provider's choice" in answer.notes


@virtual_time
async def test_a_fan_out_without_a_model_asks_each_for_its_own_default() -> None:
    ends = (endpoint(Script("strong"), default_model="large"), endpoint(Script("weak"), default_model="small"))
    async with pool_of(*ends) as pool:
        outcomes = await pool.ask(FanOut(request(), combine="all"))
    assert {name: answer.notes for name, answer in outcomes.items()} == {"strong": (), "weak": ()}
