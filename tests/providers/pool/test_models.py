"""Limits, breaker, exclusion, fallback and statistics are kept for each model of each endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from callboard.actors.testing import virtual_time
from callboard.providers.errors import (
    AuthenticationFailed,
    Concern,
    ConnectionLost,
    ContextTooLong,
    InvalidRequest,
    MalformedResponse,
    NoProvider,
    ProviderError,
    ProviderOverloaded,
    RateLimited,
    UnknownModel,
)
from callboard.providers.messages import Completion, RateLimits, Request
from callboard.providers.pool import GetHealth, GetStats, Probe, Quota
from callboard.providers.pool.dispatch.endpoint import MOST_MODELS

from .scripted import Script, endpoint, pool_of, request


def only(model: str, error: Callable[[], Exception]) -> Callable[[Script, Request], Exception | None]:
    """Fail the requests for one model."""
    return lambda _script, asked: error() if asked.model == model else None


def sent(script: Script, model: str) -> int:
    return sum(asked.model == model for _, asked in script.seen)


OUT: dict[str, Callable[[], Exception]] = {
    "529": lambda: ProviderOverloaded("overloaded", status=529),
    "retired": lambda: UnknownModel("model large is retired", status=404),
    "429": lambda: RateLimited("slow down", status=429, retry_after=30.0),
    "context too long": lambda: ContextTooLong("8k only", status=400),
    "no access": lambda: AuthenticationFailed("not your model", status=403, concerns="model"),
}


@pytest.mark.parametrize("kind", OUT)
@virtual_time
async def test_a_fallback_at_the_same_endpoint_answers_when_the_model_is_out(kind: str) -> None:
    script = Script("a", failure=only("large", OUT[kind]))
    async with pool_of(endpoint(script), fallbacks={"large": ["small"]}) as pool:
        for _ in range(3):
            completion = await pool.ask(request(model="large"), timeout=10.0)
            assert completion.model == "small"
            assert "degraded to model small" in completion.notes
        assert not [each for each in (await pool.ask(request(model="small"))).notes if "degraded" in each]
        assert sent(script, "large") <= 6


@pytest.mark.parametrize("asked", ["large", "a:large", "a/large", "main", "a:main", ""])
@pytest.mark.parametrize("said", ["large", "a:large", "a/large", "main"])
@virtual_time
async def test_a_models_fallback_holds_under_each_of_its_names(asked: str, said: str) -> None:
    down = only("" if asked == "" else "large", OUT["529"])
    script = Script("a", failure=down)
    end = endpoint(script, models=("large", "small"), aliases={"main": "large"}, default_model="large")
    async with pool_of(end, fallbacks={"other": ["other"], said: ["a:small"]}) as pool:
        completion = await pool.ask(request(model=asked), timeout=10.0)
    assert completion.model == "small"
    assert "degraded to model a:small" in completion.notes


@virtual_time
async def test_a_model_of_the_same_name_at_another_endpoint_is_another_one() -> None:
    one, two = Script("a", failure=only("large", OUT["529"])), Script("b")
    ends = (endpoint(one, models=("large",)), endpoint(two, models=("large", "small")))
    async with pool_of(*ends, fallbacks={"b:large": ["small"]}) as pool:
        with pytest.raises(NoProvider):
            await pool.ask(request(model="a:large"), timeout=10.0)


@pytest.mark.parametrize("kind", OUT)
@virtual_time
async def test_a_model_that_is_out_leaves_the_endpoints_other_models_alone(kind: str) -> None:
    script = Script("a", latency=0.1, failure=only("large", OUT[kind]))
    async with pool_of(endpoint(script)) as pool:
        doomed = [pool.ask(request(model="large"), timeout=5.0) for _ in range(10)]
        await asyncio.sleep(1.0)
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(pool.ask(request(str(n), model="small")) for n in range(20)))
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.1)
        assert {answer.model for answer in answers} == {"small"}
        failures = await asyncio.gather(*doomed, return_exceptions=True)
        assert not any(isinstance(each, Completion) for each in failures)
        health = (await pool.ask(GetHealth())).endpoints[0]
        assert health.available
        assert {each.model: each.state for each in health.models}["small"] == "closed"


@virtual_time
async def test_a_model_that_was_refused_is_not_asked_for_until_a_minute_later() -> None:
    script = Script("a", failure=only("old", lambda: UnknownModel("old is retired", status=404)))
    async with pool_of(endpoint(script)) as pool:
        with pytest.raises(UnknownModel):
            await pool.ask(request(model="old"))
        for _ in range(5):
            with pytest.raises(NoProvider, match="old is retired"):
                await pool.ask(request(model="old"))
        assert sent(script, "old") == 1
        await asyncio.sleep(61.0)
        script.failure = lambda _script, _request: None
        assert (await pool.ask(request(model="old"))).model == "old"


@virtual_time
async def test_a_refusal_of_one_persons_prompt_refuses_nobody_else() -> None:
    def moderated(_script: Script, asked: Request) -> Exception | None:
        flagged = asked.messages[-1].text == "flagged"
        return AuthenticationFailed("flagged", status=403, concerns="request") if flagged else None

    async with pool_of(endpoint(Script("a", failure=moderated))) as pool:
        for _ in range(5):
            with pytest.raises(AuthenticationFailed):
                await pool.ask(request("flagged"))
        assert (await pool.ask(request())).provider == "a"


@pytest.mark.parametrize("concerns", ["key", "endpoint"])
@virtual_time
async def test_what_concerns_the_key_or_the_endpoint_stops_all_its_models(concerns: Concern) -> None:
    script = Script("a", failure=only("large", lambda: RateLimited("the key's", retry_after=20.0, concerns=concerns)))
    async with pool_of(endpoint(script)) as pool:
        with pytest.raises(NoProvider):
            await pool.ask(request(model="large"), timeout=5.0)
        await pool.ask(request(model="small"), timeout=60.0)
        assert next(time for time, asked in script.seen if asked.model == "small") >= 20.0


@virtual_time
async def test_a_lost_connection_is_found_out_about_once_and_not_by_each_model() -> None:
    script = Script("a", latency=0.0, failure=lambda _script, _request: ConnectionLost("no route"))
    async with pool_of(endpoint(script), queue_timeout=0.2) as pool:
        models = [f"m{n}" for n in range(20)]
        failures = await asyncio.gather(*(pool.ask(request(model=each)) for each in models), return_exceptions=True)
        assert all(isinstance(each, NoProvider) for each in failures)
        before = len(script.seen)
        with pytest.raises(NoProvider, match="no route"):
            await pool.ask(request(model="another"))
        assert len(script.seen) - before <= 1


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (lambda: ProviderOverloaded("overloaded", status=529), "ramping"),
        (lambda: InvalidRequest("not like this", status=400), "ramping"),
        (lambda: MalformedResponse("who knows who answered"), "half-open"),
    ],
)
@virtual_time
async def test_an_endpoint_that_was_lost_is_back_once_the_vendor_answers_though_it_answers_with_a_refusal(
    error: Callable[[], Exception], state: str
) -> None:
    def lost_at_first(_script: Script, _request: Request) -> Exception | None:
        return ConnectionLost("no route") if asyncio.get_running_loop().time() < 5.0 else error()

    async with pool_of(endpoint(Script("a", latency=0.0, failure=lost_at_first))) as pool:
        with pytest.raises(NoProvider):
            await pool.ask(request(model="large"), timeout=4.0)
        await asyncio.sleep(30.0)
        with pytest.raises(ProviderError):
            await pool.ask(request(model="large"), timeout=0.1)
        assert (await pool.ask(GetHealth())).endpoints[0].state == state


@virtual_time
async def test_headers_of_one_model_do_not_throttle_another() -> None:
    told = RateLimits(requests_limit=1, requests_remaining=0, requests_reset=60.0)

    def limited(_script: Script, asked: Request) -> Exception | None:
        return RateLimited("429", status=429, retry_after=60.0, limits=told) if asked.model == "large" else None

    async with pool_of(endpoint(Script("a", failure=limited), limits=Quota(requests_per_minute=100))) as pool:
        with pytest.raises(NoProvider):
            await pool.ask(request(model="large"), timeout=1.0)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(pool.ask(request(model="small")) for _ in range(5)))
        assert asyncio.get_running_loop().time() - began < 1.0


@virtual_time
async def test_limits_of_the_endpoint_are_shared_by_its_models_and_those_of_a_model_are_its_own() -> None:
    script = Script("a", latency=0.0)
    tested = endpoint(script, limits=Quota(requests_per_minute=6), model_limits={"large": Quota(requests_per_minute=2)})
    async with pool_of(tested) as pool:
        models = ["large"] * 4 + ["small"] * 6
        await asyncio.gather(*(pool.ask(request(model=model), timeout=300.0) for model in models))
    first = [asked.model for time, asked in script.seen if time < 60.0]
    assert sorted(first) == ["large"] * 2 + ["small"] * 4


@virtual_time
async def test_a_model_that_waits_for_its_own_limit_keeps_the_endpoint_from_nobody() -> None:
    script = Script("a", latency=0.0)
    async with pool_of(endpoint(script, model_limits={"large": Quota(requests_per_minute=1)})) as pool:
        waiting = [pool.ask(request(model="large"), timeout=300.0) for _ in range(3)]
        await asyncio.sleep(0.1)
        await pool.ask(request(model="small"), timeout=1.0)
        await asyncio.gather(*waiting)


@virtual_time
async def test_statistics_are_kept_by_model_and_add_up_by_endpoint() -> None:
    script = Script("a", failure=only("large", OUT["context too long"]))
    async with pool_of(endpoint(script, aliases={"tiny": "small"})) as pool:
        for model in ("small", "tiny", "other"):
            await pool.ask(request(model=model))
        with pytest.raises(ContextTooLong):
            await pool.ask(request(model="large"))
        stats = await pool.ask(GetStats())
        models = stats.models["a"]
        assert {model: counts.answered for model, counts in models.items()} == {"small": 2, "other": 1, "large": 0}
        assert models["large"].errors == {"ContextTooLong": 1}
        total = stats.endpoints["a"]
        assert (total.sent, total.answered, total.failed, total.input_tokens) == (4, 3, 1, 30)


@virtual_time
async def test_what_is_kept_of_models_is_bounded_though_any_name_may_come() -> None:
    script = Script("a", latency=0.0)
    async with pool_of(endpoint(script)) as pool:
        for number in range(MOST_MODELS + 50):
            await pool.ask(request(model=f"m{number}"))
        stats = await pool.ask(GetStats())
        assert len(stats.models["a"]) <= MOST_MODELS
        assert stats.endpoints["a"].answered == MOST_MODELS + 50, "what was counted is kept"


@virtual_time
async def test_a_probe_asks_for_the_model_that_is_not_well() -> None:
    script = Script("a", failure=only("large", OUT["529"]))
    async with pool_of(endpoint(script), queue_timeout=1.0) as pool:
        await pool.ask(request(model="small"))
        with pytest.raises(NoProvider):
            await pool.ask(request(model="large"))
        script.failure = lambda _script, _request: None
        await asyncio.sleep(60.0)
        script.seen.clear()
        await pool.ask(Probe())
        assert [asked.model for _, asked in script.seen] == ["large"]


@virtual_time
async def test_the_causes_name_the_model_where_it_is_not_the_one_asked_for() -> None:
    script = Script("a", failure=lambda _script, _request: ContextTooLong("too long"))
    async with pool_of(endpoint(script), fallbacks={"large": ["small"]}) as pool:
        with pytest.raises(NoProvider) as caught:
            await pool.ask(request(model="large"))
        assert set(caught.value.causes) == {"a", "a:small"}
        script.failure = lambda _script, _request: InvalidRequest("no")
        with pytest.raises(InvalidRequest):
            await pool.ask(request(model="large"))


@virtual_time
async def test_a_wrong_address_is_passed_over_for_all_models_until_it_is_replaced() -> None:
    script = Script("a", failure=lambda _script, _request: InvalidRequest("404", status=404, concerns="endpoint"))
    async with pool_of(endpoint(script), endpoint(Script("b"), priority=1)) as pool:
        for model in ("large", "small", "large"):
            assert (await pool.ask(request(model=model))).provider == "b"
        assert len(script.seen) == 1
