"""Embeddings through the pool: the same limits, retries, money and cache as completions, and no model but the named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from callboard.actors import Actor, ChildSpec, System, send_context
from callboard.actors.testing import virtual_time
from callboard.providers.embeddings import EmbeddingLimit, EmbeddingRequest, Embeddings
from callboard.providers.errors import (
    AuthenticationFailed,
    BudgetSpent,
    InvalidRequest,
    NoProvider,
    ProviderOverloaded,
    UnknownModel,
)
from callboard.providers.messages import Completion, Message, Usage
from callboard.providers.offline.hashing import NOTE, hashed
from callboard.providers.pool import (
    REQUESTER,
    Budget,
    Cache,
    Endpoint,
    GetStats,
    Hedge,
    MemoryCache,
    Pool,
    Price,
    Probe,
    Quota,
    Requester,
    SqliteCache,
    Submit,
    pool_from_environment,
)
from callboard.providers.simulated import ServerQuota, SimulatedProvider, rate_limited
from callboard.providers.vendors.build import child_spec
from tests.providers.conftest import gemini_spec, openai_spec
from tests.providers.pool.scripted import pool_of

MODEL = "text-embedding-3-small"
VECTORS = frozenset({"embeddings"})
ABLE = frozenset({"embeddings", "tools"})


@dataclass
class Script:
    """What an embedder does, and what it saw."""

    name: str = "a"
    failure: Callable[[EmbeddingRequest], Exception | None] = lambda _: None
    latency: float = 0.05
    seen: list[tuple[float, EmbeddingRequest]] = field(default_factory=list)
    in_flight: int = 0


class Embedder(Actor):
    """Turns each text into its length."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    def on_receive(self, message: Any) -> Any:
        assert isinstance(message, EmbeddingRequest), "only those are asked for embeddings that have them"
        return self.reply_with(self._embed(message))

    async def _embed(self, request: EmbeddingRequest) -> Embeddings:
        script = self.script
        script.seen.append((asyncio.get_running_loop().time(), request))
        script.in_flight += 1
        try:
            await asyncio.sleep(script.latency)
            error = script.failure(request)
            if error is not None:
                raise error
        finally:
            script.in_flight -= 1
        vectors = tuple((float(len(text)),) for text in request.texts)
        tokens = sum(max(10, len(text) // 4) for text in request.texts)
        return Embeddings(vectors, Usage(tokens), request.model, script.name)


def embedder(script: Script, **options: Any) -> Endpoint:
    settings: dict[str, Any] = {"price": Price(2.0, 8.0), "capabilities": VECTORS, "models": (MODEL,), **options}
    return Endpoint(script.name, settings.pop("spec", ChildSpec(Embedder, (script,))), **settings)


def ask(count: int = 2, model: str = MODEL) -> EmbeddingRequest:
    return EmbeddingRequest(["x" * (number + 1) for number in range(count)], model)


@virtual_time
async def test_an_answer_is_priced_booked_and_says_who_gave_it() -> None:
    async with pool_of(embedder(Script())) as pool:
        made = await pool.ask(ask())
        assert (made.vectors, made.provider, made.usage) == (((1.0,), (2.0,)), "a", Usage(20))
        assert made.cost == pytest.approx(20 * 2.0 / 1e6)
        stats = await pool.ask(GetStats())
        assert (stats.pool.accepted, stats.pool.answered, stats.endpoints["a"].input_tokens) == (1, 1, 20)
        assert stats.cost == pytest.approx(made.cost)


class Both(Embedder):
    """Embeds by one model and chats by another, and says so to those who ask the wrong one."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, EmbeddingRequest):
            return super().on_receive(message)
        return self.reply_with(self._chat(message.model))

    async def _chat(self, model: str) -> Completion:
        if model == MODEL:
            raise UnknownModel("this is not a chat model", status=404)
        return Completion(Message("assistant", "pong"), "stop", Usage(1, 1))


def both(script: Script, **options: Any) -> Endpoint:
    return embedder(script, spec=ChildSpec(Both, (script,)), models=(MODEL, "chat"), capabilities=ABLE, **options)


@pytest.mark.parametrize("unwell", [False, True], ids=["well", "open"])
@virtual_time
async def test_a_probe_asks_a_model_that_has_embedded_for_an_embedding(unwell: bool) -> None:
    script = Script(failure=lambda _: ProviderOverloaded("down") if unwell else None)
    async with pool_of(both(script), queue_timeout=0.5) as pool:
        with suppress(NoProvider):
            await pool.ask(ask())
        script.failure = lambda _: None
        await asyncio.sleep(60.0)
        script.seen.clear()
        health = await pool.ask(Probe("a"))
        assert [each.texts for _, each in script.seen] == [("ping",)]
        assert health.endpoints[0].state in ("closed", "ramping")
        assert (await pool.ask(ask())).provider == "a"


@virtual_time
async def test_that_a_model_refuses_what_a_probe_asks_says_nothing_of_it() -> None:
    script = Script()
    async with pool_of(both(script)) as pool:
        health = await pool.ask(Probe("a"))
        assert health.endpoints[0].state == "closed"
        assert (await pool.ask(ask())).provider == "a"


@virtual_time
async def test_a_failure_is_retried_where_the_same_model_is_served_and_said() -> None:
    broken, well = Script("broken", lambda _: ProviderOverloaded("down")), Script("well")
    async with pool_of(embedder(broken), embedder(well, aliases={MODEL: "prod-small"}, priority=1)) as pool:
        made = await pool.ask(ask())
        assert made.provider == "well"
        assert well.seen[0][1].model == "prod-small", "each endpoint is asked by its own name of the model"
        assert made.notes == ("answered by well after failures at broken (ProviderOverloaded)",)


@virtual_time
async def test_no_other_model_stands_in_whatever_fallbacks_say() -> None:
    broken, other = Script("broken", lambda _: ProviderOverloaded("down")), Script("other")
    async with pool_of(
        embedder(broken), embedder(other, models=("other-model",)), fallbacks={MODEL: ["other-model"]}
    ) as pool:
        with pytest.raises(NoProvider, match="broken: ProviderOverloaded"):
            async with asyncio.timeout(60):
                await pool.ask(ask(), timeout=5)
        assert not other.seen, "its vectors could not be compared"


@virtual_time
async def test_an_endpoint_without_embeddings_is_not_asked() -> None:
    chat = Script("chat")
    async with pool_of(embedder(chat, capabilities=frozenset({"tools"}))) as pool:
        with pytest.raises(NoProvider, match="chat cannot do embeddings"):
            await pool.ask(ask())
        assert not chat.seen


@virtual_time
async def test_a_large_request_is_divided_by_the_smallest_limit_and_keeps_its_order() -> None:
    one, other = Script("one"), Script("other")
    small, large = EmbeddingLimit(texts=3), EmbeddingLimit(texts=5)
    async with pool_of(embedder(one, embedding_limit=small), embedder(other, embedding_limit=large)) as pool:
        made = await pool.ask(ask(10))
        assert [vector[0] for vector in made.vectors] == [float(number) for number in range(1, 11)]
        parts = [len(request.texts) for _, request in (*one.seen, *other.seen)]
        assert sorted(parts) == [1, 3, 3, 3]
        assert made.usage == Usage(100)
        assert made.cost == pytest.approx(100 * 2.0 / 1e6)
        stats = await pool.ask(GetStats())
        assert stats.pool.accepted == stats.pool.answered == 1, "the caller asked once"


@virtual_time
async def test_each_part_counts_against_the_limits() -> None:
    script = Script()
    limits = Quota(requests_per_minute=2, concurrency=1)
    async with pool_of(embedder(script, embedding_limit=EmbeddingLimit(texts=1), limits=limits)) as pool:
        await pool.ask(ask(5), timeout=600)
        times = [time for time, _ in script.seen]
        assert all(later - earlier >= 60 for earlier, later in zip(times, times[2:], strict=False)), times


@virtual_time
async def test_texts_count_against_a_limit_of_tokens_before_they_are_sent() -> None:
    script = Script()
    async with pool_of(embedder(script, limits=Quota(tokens_per_minute=30))) as pool:
        texts = ["y" * 80, "z" * 80]  # 20 tokens each
        made = await asyncio.gather(*(pool.ask(EmbeddingRequest([text], MODEL), timeout=600) for text in texts))
        assert len(made) == 2
        (first, _), (second, _) = script.seen
        assert second - first >= 59, "40 tokens do not go into one minute"


@virtual_time
async def test_when_one_part_is_refused_the_whole_is_and_nothing_is_left_in_flight() -> None:
    def refuse(request: EmbeddingRequest) -> Exception | None:
        return InvalidRequest("not this one") if request.texts[0] == "xx" else None

    script = Script(failure=refuse)
    limits = Quota(concurrency=1)
    async with pool_of(embedder(script, embedding_limit=EmbeddingLimit(texts=1), limits=limits)) as pool:
        with pytest.raises(InvalidRequest, match="not this one"):
            await pool.ask(ask(5))
        assert script.in_flight == 0
        assert len(script.seen) < 5, "what nobody gets is not asked for"
        assert (await pool.ask(ask(1))).vectors == ((1.0,),), "no permit is kept"
        stats = await pool.ask(GetStats())
        assert (stats.pool.accepted, stats.pool.failed, stats.pool.answered, stats.waiting) == (2, 1, 1, 0)


@virtual_time
async def test_a_caller_that_leaves_leaves_nothing_behind() -> None:
    script = Script()
    async with pool_of(embedder(script, embedding_limit=EmbeddingLimit(texts=1), limits=Quota(concurrency=2))) as pool:
        asked = asyncio.ensure_future(pool.ask(ask(6)))
        await asyncio.sleep(0.01)
        assert script.in_flight == 2
        asked.cancel()
        await asyncio.sleep(0.01)
        assert script.in_flight == 0
        assert (await pool.ask(GetStats())).waiting == 0
        assert (await pool.ask(ask(2))).vectors == ((1.0,), (2.0,))


@pytest.mark.parametrize("kept", ["memory", "sqlite"])
async def test_an_equal_request_is_answered_from_the_cache_for_nothing(kept: str, tmp_path: Path) -> None:
    script = Script()
    cache: Cache = MemoryCache() if kept == "memory" else SqliteCache(tmp_path / "cache.db")
    async with pool_of(embedder(script), cache=cache) as pool:
        first = await pool.ask(ask())
        again = await pool.ask(ask())
        assert isinstance(again, Embeddings)
        assert (again.vectors, again.usage, again.cost) == (first.vectors, first.usage, 0.0)
        assert "cached" in again.notes
        assert len(script.seen) == 1
        await pool.ask(EmbeddingRequest(ask().texts, MODEL, dimensions=1))
        await pool.ask(Submit(ask(), cached=False))
        assert len(script.seen) == 3


@virtual_time
async def test_equal_requests_at_once_are_divided_and_made_also_where_completions_are_coalesced() -> None:
    script = Script()
    async with pool_of(embedder(script, embedding_limit=EmbeddingLimit(texts=1)), coalesce=True) as pool:
        one, other = await asyncio.gather(pool.ask(ask(2)), pool.ask(ask(2)))
        assert one.vectors == other.vectors == ((1.0,), (2.0,))
        assert [len(request.texts) for _, request in script.seen] == [1, 1, 1, 1]


@virtual_time
async def test_embeddings_do_not_stream() -> None:
    async with pool_of(embedder(Script())) as pool:
        with pytest.raises(InvalidRequest, match="do not come in pieces"):
            async for _ in pool.stream(ask()):
                pass


@virtual_time
async def test_a_budget_that_is_spent_stops_embeddings() -> None:
    async with pool_of(embedder(Script()), budgets=[Budget("agent", "indexer", 0.00004)]) as pool:
        with send_context(baggage={REQUESTER: Requester(agent="indexer")}):
            await pool.ask(ask())
            with pytest.raises(BudgetSpent, match="agent indexer"):
                await pool.ask(ask())
        assert (await pool.ask(ask())).cost, "others have their own"


def divided_in(parts: int) -> EmbeddingRequest:
    return EmbeddingRequest(["x" * 40] * parts, MODEL)


A_TEXT = 20e-6
"""US dollars of ten tokens at two dollars per million."""


@pytest.mark.parametrize("budget", [Budget("user", "ada", 3.5 * A_TEXT), Budget("user", "ada", requests=3)])
@virtual_time
async def test_a_divided_request_that_is_larger_than_a_budget_is_not_sent_in_part(budget: Budget) -> None:
    script = Script()
    ada = Requester(user="ada")
    one = embedder(script, embedding_limit=EmbeddingLimit(texts=1), limits=Quota(concurrency=2))
    async with pool_of(one, budgets=[budget]) as pool:
        for _ in range(2):
            with pytest.raises(
                BudgetSpent, match="5 parts that it is divided into, 3 could be paid for: nothing is sent"
            ):
                await pool.ask(Submit(divided_in(5), ada))
        stats = await pool.ask(GetStats())
        assert (script.seen, stats.bought, stats.budgets[0].reserved) == ([], {}, 0.0)
        assert len((await pool.ask(Submit(divided_in(3), ada))).vectors) == 3, "what fits is sent"


@virtual_time
async def test_what_a_divided_request_has_still_to_send_is_not_spent_by_others_meanwhile() -> None:
    script = Script()
    one = embedder(script, embedding_limit=EmbeddingLimit(texts=1), limits=Quota(concurrency=1))
    async with pool_of(one, budgets=[Budget("pool", "", 5.5 * A_TEXT)]) as pool:
        asked = pool.ask(divided_in(5))
        await asyncio.sleep(0.01)
        with pytest.raises(BudgetSpent):
            await pool.ask(Submit(divided_in(1), Requester(priority=10)))
        assert len((await asked).vectors) == 5


@virtual_time
async def test_who_leaves_a_divided_request_leaves_nothing_promised() -> None:
    script = Script()
    one = embedder(script, embedding_limit=EmbeddingLimit(texts=1), limits=Quota(concurrency=1))
    async with pool_of(one, budgets=[Budget("pool", "", 5.5 * A_TEXT)]) as pool:
        asked = asyncio.ensure_future(pool.ask(divided_in(5)))
        await asyncio.sleep(0.01)
        assert (await pool.ask(GetStats())).budgets[0].reserved == pytest.approx(5 * A_TEXT)
        asked.cancel()
        await asyncio.sleep(0.01)
        assert (await pool.ask(GetStats())).budgets[0].reserved == 0.0


@virtual_time
async def test_an_unusually_slow_call_is_made_a_second_time_elsewhere() -> None:
    slow, quick = Script("slow", latency=50.0), Script("quick")
    async with pool_of(embedder(slow), embedder(quick, priority=1), hedge=Hedge(maximum=0.2)) as pool:
        made = await pool.ask(ask(), timeout=20)
        assert made.provider == "quick"
        assert slow.in_flight == 0
        assert (await pool.ask(GetStats())).pool.hedges_won == 1


@virtual_time
async def test_one_endpoint_can_be_chosen() -> None:
    one, other = Script("one"), Script("other")
    async with pool_of(embedder(one), embedder(other)) as pool:
        made = await pool.ask(Submit(ask(), Requester(endpoint="other")))
        assert made.provider == "other"
        assert (await pool.ask(ask(model=f"other:{MODEL}"))).provider == "other"
        assert not one.seen


async def test_two_vendors_serve_one_pool_over_http() -> None:
    async with SimulatedProvider(limits=ServerQuota(requests=60)) as server, System("http") as system:
        specs = openai_spec(server, models=(MODEL,)), gemini_spec(server, models=("gemini-embedding-001",))
        pool = system.supervise(Pool.spec([Endpoint.of(spec, child_spec(spec)) for spec in specs]))
        texts = [f"text {number}" for number in range(250)]
        gemini = await pool.ask(EmbeddingRequest(texts, "gemini-embedding-001", 8))
        assert gemini.vectors == tuple(hashed(text, 8) for text in texts)
        openai = await pool.ask(EmbeddingRequest(texts, MODEL, 8))
        assert openai.vectors[249] == pytest.approx(hashed(texts[249], 8), rel=1e-6)
        assert openai.cost == pytest.approx(openai.usage.input_tokens * 0.02 / 1e6), "the price list's, $0.02 a million"
        calls = [path.rpartition("/")[2] for path, _ in server.log]
        assert calls == ["gemini-embedding-001:batchEmbedContents"] * 3 + ["embeddings"]


async def test_a_429_is_waited_out() -> None:
    async with SimulatedProvider() as server, System("busy") as system:
        spec = openai_spec(server, models=(MODEL,))
        pool = system.supervise(Pool.spec([Endpoint.of(spec, child_spec(spec))]))
        server.script(rate_limited(0.01))
        made = await pool.ask(ask())
        assert len(made.vectors) == 2
        assert made.notes == ("answered by openai after failures at openai (RateLimited)",)


async def test_without_any_key_the_pool_embeds_by_hashing_and_says_so() -> None:
    async with System("offline") as system:
        pool = system.supervise(pool_from_environment(["offline:hashing"], {}))
        made = await pool.ask(EmbeddingRequest(["tea"], "offline:hashing"))
        assert made.vectors == (hashed("tea"),)
        assert NOTE in made.notes
        assert made.cost == 0.0
        with pytest.raises(AuthenticationFailed, match="OPENAI_API_KEY"):
            await pool.ask(ask())
