"""Vectors: whose they are, what happens where they are missing, and what an embedder must give."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from callboard import (
    Actor,
    Agency,
    Agent,
    Caller,
    ChildSpec,
    Completion,
    Embedder,
    EmbedderMismatch,
    EmbeddingFailed,
    EmbeddingRequest,
    Embeddings,
    HashingEmbedder,
    Memory,
    Message,
    PoolEmbedder,
    System,
    WrongFact,
    memory_skill,
)
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.memory.embedding.embedder import embedded
from callboard.providers.pool import pool_from_environment

from .support import ANN, BOB, Open, Words, texts

LIKES = ("Ann loves felines", "Ann loves sailing", "Ann loves bread")


class Meaning(Words):
    """Knows that cats are felines, and bakeries have to do with bread."""

    async def embed(self, texts: Any) -> Any:
        return await super().embed([text.replace("cats", "felines").replace("bakery", "bread") for text in texts])


def said_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What we have logged: Milvus' server in this process logs, too."""
    return [record.getMessage() for record in caplog.records if record.name == "callboard"]


def meaning(name: str = "meaning") -> Meaning:
    return Meaning("felines", "sailing", "bread", name=name)


async def test_what_is_near_is_found_without_a_word_in_common(opened: Open) -> None:
    memory = opened(embedder=meaning())
    await memory.add_all(LIKES, owner=ANN)
    await memory.add("Bob loves felines", owner=BOB)
    assert texts(await memory.search("cats", owner=ANN)) == ["Ann loves felines"]
    assert texts(await memory.search("bakery", owner=ANN)) == ["Ann loves bread"]


async def test_what_is_near_obeys_owner_time_kind_and_agent(opened: Open) -> None:
    memory = opened(embedder=meaning())
    fact = await memory.add("Ann loves felines", owner=ANN, valid_from=10)
    await memory.add("felines in a chunk", owner=ANN, kind="chunk", valid_from=10)
    await memory.forget(fact.id, owner=ANN, at=20)
    seen = [len(await memory.search("cats", owner=ANN, at=at, kind=None)) for at in (9, 10, 19, 20)]
    assert seen == [0, 2, 2, 1]
    assert len(await memory.search("cats", owner=ANN, at=15)) == 1
    assert texts(await memory.search_all("cats", at=25, kind=None)) == ["felines in a chunk"]


async def test_what_both_rankings_have_comes_first(opened: Open) -> None:
    memory = opened(embedder=meaning())
    await memory.add_all(["felines eat", "it rains now", "felines sleep now"], owner=ANN)
    assert texts(await memory.search("cats now", owner=ANN))[0] == "felines sleep now"


async def test_forms_of_a_word_are_found_without_a_model(opened: Open) -> None:
    memory = opened()
    await memory.add_all(["the invoice was payed", "the garden is green"], owner=ANN)
    assert texts(await memory.search("invoices", owner=ANN, limit=1)) == ["the invoice was payed"]


async def test_where_the_embedder_fails_facts_are_kept_and_found_by_words_and_it_is_said_once(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = meaning()
    memory = opened(embedder=embedder)
    embedder.fails = True
    with caplog.at_level(logging.WARNING):
        await memory.add_all(LIKES, owner=ANN)
        assert texts(await memory.search("felines", owner=ANN)) == ["Ann loves felines"]
        assert await memory.search("cats", owner=ANN) == []
    assert said_in(caplog) == [
        "the embedder meaning failed: ConnectionError; facts are found by their words alone until it works again"
    ]


async def test_missing_vectors_are_made_at_the_next_search(opened: Open) -> None:
    embedder = meaning()
    memory = opened(embedder=embedder)
    embedder.fails = True
    await memory.add_all(LIKES, owner=ANN)
    await memory.add("Bob loves felines", owner=BOB)
    embedder.fails = False
    assert texts(await memory.search("cats", owner=ANN)) == ["Ann loves felines"]
    assert embedder.asked == ["felines", *LIKES], "the question, and the facts of whoever asked"
    await memory.search("bakery", owner=ANN)
    assert embedder.asked[4:] == ["bread"], "each is made once"
    assert sorted(texts(await memory.search_all("cats"))) == ["Ann loves felines", "Bob loves felines"]


async def test_another_embedder_is_refused_by_name_until_vectors_are_made_anew(opened: Open) -> None:
    memory = opened(embedder=meaning("first"))
    await memory.add_all(LIKES, owner=ANN)
    memory.embedder = meaning("second")
    for attempt in (memory.search("cats", owner=ANN), memory.add("more", owner=ANN)):
        with pytest.raises(EmbedderMismatch, match=r"of the embedder 'first'.*'second'.*reindex") as raised:
            await attempt
        assert (raised.value.kept, raised.value.given) == ("first", "second")
    assert texts(await memory.facts(owner=ANN)) == list(LIKES), "nothing was written"
    assert await memory.reindex() == 3
    assert texts(await memory.search("cats", owner=ANN)) == ["Ann loves felines"]
    memory.embedder = meaning("first")
    with pytest.raises(EmbedderMismatch):
        await memory.search("cats", owner=ANN)


async def test_making_vectors_anew_goes_on_where_it_failed(opened: Open) -> None:
    memory = opened(embedder=meaning("first"))
    await memory.add_all([f"note {number}" for number in range(600)], owner=ANN)

    class Failing(Words):
        async def embed(self, texts: Any) -> Any:
            self.fails = len(self.asked) == 1 + 256  # one to know what its vectors are like
            return await super().embed(texts)

    memory.embedder = embedder = Failing("note", name="second")
    with pytest.raises(EmbeddingFailed, match="the embedder second failed: ConnectionError"):
        await memory.reindex()
    memory.embedder = again = Words("note", name="second")
    assert await memory.reindex() == 344
    assert len(embedder.asked) + len(again.asked) == 600 + 2
    assert await memory.reindex() == 0


async def test_the_same_name_with_other_dimensions_is_another_embedder(opened: Open) -> None:
    memory = opened(embedder=Words("a", "b"))
    await memory.add("a", owner=ANN)
    memory.embedder = Words("a", "b", "c")
    for attempt in (memory.add("c", owner=ANN), memory.search("a", owner=ANN)):
        with pytest.raises(EmbedderMismatch, match=r"words of 3 dimensions.*words of 4 dimensions.*reindex"):
            await attempt
    assert await memory.reindex() == 1
    assert texts(await memory.search("a", owner=ANN)) == ["a"]
    assert await memory.reindex() == 0


class Choosy(Words):
    """Does not take what has "weapons" in it, and says what it was asked at once."""

    def __init__(self, *words: str, name: str = "choosy") -> None:
        super().__init__(*words, name=name)
        self.batches: list[int] = []

    async def embed(self, texts: Any) -> Any:
        self.batches.append(len(texts))
        if any("weapons" in text for text in texts):
            raise ValueError("such texts are not taken")
        return await super().embed(texts)


async def test_a_text_that_the_embedder_does_not_take_keeps_the_vectors_of_no_other_away(opened: Open) -> None:
    embedder = Choosy("felines")
    memory = opened(embedder=embedder)
    notes = [*(f"note {number}" for number in range(20)), "weapons", *(f"felines {number}" for number in range(20))]
    await memory.add_all(notes, owner=ANN)
    for _ in range(12):
        await memory.search("anything", owner=ANN)
    missing = [batch for batch in embedder.batches if batch > 1]
    assert len(await memory.search("felines and nothing else", owner=ANN, limit=100)) >= 20
    for _ in range(3):
        embedder.batches.clear()
        await memory.search("anything", owner=ANN)
    assert embedder.batches == [1], f"it is not asked for that again, after {missing}"
    assert texts(await memory.search("weapons", owner=ANN, limit=1)) == ["weapons"], "found by its words"


async def test_making_vectors_anew_leaves_out_what_the_embedder_does_not_take_and_says_so(opened: Open) -> None:
    memory = opened(embedder=Words("note"))
    await memory.add_all([*(f"note {number}" for number in range(300)), "weapons", "note"], owner=ANN)
    memory.embedder = embedder = Choosy("note")
    with pytest.raises(EmbeddingFailed, match="for 1 of the facts: the embedder choosy failed: ValueError"):
        await memory.reindex()
    assert len(embedder.asked) == 1 + 301, "each other one once"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), StopIteration(), BaseException("b")])
async def test_whatever_an_embedder_raises_costs_nearness_and_not_the_fact(opened: Open, error: BaseException) -> None:
    class Raising(Words):
        async def embed(self, texts: Any) -> Any:
            raise error

    memory = opened(embedder=Raising())
    await memory.add("Ann loves bread", owner=ANN)
    assert texts(await memory.search("bread", owner=ANN)) == ["Ann loves bread"]


async def test_whoever_is_cancelled_while_an_embedder_thinks_is_cancelled(opened: Open) -> None:
    thinks = asyncio.Event()

    class Slow(Words):
        async def embed(self, texts: Any) -> Any:
            thinks.set()
            await asyncio.Event().wait()

    memory = opened(embedder=Slow())
    adding = asyncio.create_task(memory.add("Ann loves bread", owner=ANN))
    await thinks.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert await memory.facts(owner=ANN) == []


@pytest.mark.parametrize("wrong", [5, "text-embedding-3-small", HashingEmbedder, object()])
def test_what_is_no_embedder_is_refused(wrong: Any) -> None:
    with pytest.raises(WrongFact, match="a memory's embedder is an object with a name"):
        Memory(embedder=wrong)
    with Memory() as memory, pytest.raises(WrongFact, match="a memory's embedder"):
        memory.embedder = wrong


@pytest.mark.parametrize("name", [5, None, "", "a\0b", "\ud83d"])
async def test_an_embedder_whose_name_is_none_costs_nearness_and_not_the_fact(opened: Open, name: Any) -> None:
    memory = opened(embedder=Words("bread", name=name))
    await memory.add("Ann loves bread", owner=ANN)
    assert texts(await memory.search("bread", owner=ANN)) == ["Ann loves bread"]
    with pytest.raises(EmbeddingFailed, match=r"the name of the embedder Words is .*, which is no name"):
        await memory.reindex()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], r"an array of shape \(2, 2\) for 1 texts"),
        ([1.0, 0.0], r"an array of shape \(2,\)"),
        ([[]], r"an array of shape \(1, 0\)"),
        ([[float("nan"), 1.0]], "numbers that are none"),
        ("no", "failed: ValueError"),
    ],
)
async def test_what_is_no_vector_is_refused_by_name_and_the_fact_is_kept(
    opened: Open, rows: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Words):
        async def embed(self, texts: Any) -> Any:
            return rows

    memory = opened(embedder=Wrong())
    await memory.add("Ann loves bread", owner=ANN)
    with pytest.raises(EmbeddingFailed, match=said):
        await memory.reindex()
    assert texts(await memory.search("bread", owner=ANN)) == ["Ann loves bread"]
    assert len(said_in(caplog)) == 1


async def test_hashed_vectors_are_the_same_in_every_process() -> None:
    rows = await HashingEmbedder(64).embed([f"text {number}" for number in range(20)])
    assert rows.shape == (20, 64)
    assert rows.dtype == np.dtype(np.float32)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert (rows[3] == (await HashingEmbedder(64).embed(["text 3"]))[0]).all()


def test_an_embedder_of_no_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match="dimensions is 0; expected a whole number, at least 1"):
        HashingEmbedder(0)


def test_ours_are_embedders() -> None:
    embedders: list[Embedder] = [HashingEmbedder(), Words()]
    assert [one.name for one in embedders] == ["hashing/256", "words"]


async def test_a_model_is_asked_through_the_pool(memory: Memory) -> None:
    async with System("search") as system:
        pool = system.supervise(pool_from_environment(["offline:hashing"]))
        memory.embedder = PoolEmbedder("offline:hashing", pool=pool, dimensions=64)
        await memory.add_all(["the invoice was payed", "the garden is green"], owner=ANN)
        assert texts(await memory.search("invoices", owner=ANN, limit=1)) == ["the invoice was payed"]
        assert memory.embedder.name == "offline:hashing/64"
        ours = PoolEmbedder("offline:hashing", pool=pool)
        assert (await ours.embed(["a", "b"])).shape == (2, 512)


async def test_in_a_run_the_agencys_own_pool_is_asked_and_outside_of_one_it_is_said_that_there_is_none(
    memory: Memory,
) -> None:
    asked: list[EmbeddingRequest] = []

    class Model(Actor):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, EmbeddingRequest):
                asked.append(message)
                return Embeddings(tuple((1.0, 0.0) for _ in message.texts))
            return Completion(Message("assistant", "done"), "stop")

    memory.embedder = PoolEmbedder("some-model")
    agent = Agent("Clerk", "You help.", skills=[memory_skill(memory)])
    async with Agency(agent, model=ChildSpec(Model, name="model")) as agency:
        await agency.run("which tea?", caller=Caller("ann"))
    assert [request.texts for request in asked] == [("which tea?",)]
    with pytest.raises(EmbeddingFailed, match="some-model has no pool to ask outside of an agent's run"):
        await embedded(memory.embedder, ["tea"])


@pytest.mark.parametrize("wrong", [{"model": ""}, {"pool": "pool"}, {"dimensions": 0}, {"timeout": 0}])
def test_a_pools_embedder_that_is_described_wrongly_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=f"a pool's embedder: {next(iter(wrong))} is"):
        PoolEmbedder(**{"model": "some-model", **wrong})
