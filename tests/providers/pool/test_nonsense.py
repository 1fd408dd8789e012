"""Providers of one's own that answer what is no answer: it is named, booked, and holds nothing back."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from callboard.actors import Actor, ChildSpec
from callboard.actors.testing import virtual_time
from callboard.providers.embeddings import EmbeddingRequest
from callboard.providers.errors import MalformedResponse, NoProvider
from callboard.providers.messages import Completion, Delta, Message, Usage
from callboard.providers.pool import (
    Batching,
    Endpoint,
    GetHealth,
    GetStats,
    Hedge,
    Price,
    Quota,
    Requester,
    RetryPolicy,
    Submit,
)
from callboard.providers.provider import BatchAnswer, BatchRequest

from .scripted import pool_of, request


def good(**changes: Any) -> Completion:
    fields: dict[str, Any] = {"message": Message("assistant", "good"), "finish_reason": "stop", "usage": Usage(10, 5)}
    return Completion(**{**fields, **changes})


@dataclass
class Answers:
    """What the provider says, one after the other; the last of them for good."""

    said: list[Any]

    def next(self) -> Any:
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


class Custom(Actor):
    """A provider of one's own, that says whatever it wants."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers

    def on_receive(self, message: Any) -> Any:
        answer = self.answers.next()
        return self._pieces(answer) if self.expects == "stream" else self.reply_with(self._said(answer))

    async def _said(self, answer: Any) -> Any:
        return answer

    async def _pieces(self, answer: Any) -> AsyncIterator[Any]:
        for piece in answer:
            yield piece


def custom(*said: Any, **options: Any) -> Endpoint:
    options = {"price": Price(1, 1), "limits": Quota(concurrency=1), "retry": RetryPolicy(attempts=1), **options}
    return Endpoint("a", ChildSpec(Custom, (Answers(list(said)),)), **options)


NONSENSE: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "a text": lambda: "hello",
    "a message without content": lambda: good(message=Message("assistant", None)),  # type: ignore[arg-type]
    "calls that are none": lambda: good(message=Message("assistant", "", ("add",))),  # type: ignore[arg-type]
    "notes that are no texts": lambda: good(notes=(5,)),
    "a dictionary": lambda: {"text": "hello"},
    "no usage": lambda: good(usage=None),
    "a usage of texts": lambda: good(usage=Usage("5", "6")),  # type: ignore[arg-type]
    "a usage below nothing": lambda: good(usage=Usage(-(10**9), 5)),
    "cached tokens below nothing": lambda: good(usage=Usage(5, 5, cache_read_tokens=-1)),
    "kept tokens below nothing": lambda: good(usage=Usage(5, 5, cache_write_tokens=-1)),
    "thoughts below nothing": lambda: good(usage=Usage(5, 5, reasoning_tokens=-1)),
    "a usage that is no number": lambda: good(usage=Usage(math.nan, 5)),  # type: ignore[arg-type]
    "a usage without end": lambda: good(usage=Usage(10**400, 5)),
    "no message": lambda: good(message=None),
    "no finish reason": lambda: good(finish_reason=None),
    "no notes": lambda: good(notes=None),
    "no model": lambda: good(model=None),
    "a cost that is no number": lambda: good(cost=math.nan),
    "limits in words": lambda: good(limits="many"),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
@virtual_time
async def test_an_answer_that_is_none_is_named_and_booked_and_its_permit_comes_back(
    nonsense: Callable[[], Any],
) -> None:
    async with pool_of(custom(nonsense(), good())) as pool:
        with pytest.raises(NoProvider) as caught:
            await pool.ask(request(), timeout=60)
        assert isinstance(caught.value.causes["a"], MalformedResponse)
        answer = await pool.ask(request(), timeout=60)
        stats, health = await pool.ask(GetStats()), await pool.ask(GetHealth())
    assert answer.message.text == "good"
    assert health.endpoints[0].in_flight == 0
    assert {item: bought.calls for item, bought in stats.bought.items()} == {"malformed": 1, "answered": 1}


PIECES: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "a text": lambda: "hello",
    "a text that is none": lambda: Delta(text=5),  # type: ignore[arg-type]
    "a completion that is none": lambda: Delta(completion="whole"),  # type: ignore[arg-type]
    "a completion without usage": lambda: Delta(completion=good(usage=None)),
}


@pytest.mark.parametrize("nonsense", PIECES.values(), ids=PIECES)
@virtual_time
async def test_a_piece_of_a_stream_that_is_none_is_named_and_its_permit_comes_back(
    nonsense: Callable[[], Any],
) -> None:
    async with pool_of(custom([nonsense()], [Delta(completion=good())])) as pool:
        with pytest.raises(NoProvider) as caught:
            [_ async for _ in pool.stream(request(), timeout=60)]
        assert isinstance(caught.value.causes["a"], MalformedResponse)
        pieces = [piece async for piece in pool.stream(request(), timeout=60)]
        health = await pool.ask(GetHealth())
    assert pieces[-1].completion is not None
    assert health.endpoints[0].in_flight == 0


@virtual_time
async def test_an_answer_that_is_none_is_asked_for_elsewhere() -> None:
    other = Endpoint("b", ChildSpec(Custom, (Answers([good()]),)), priority=1)
    async with pool_of(custom(None, retry=RetryPolicy()), other, hedge=Hedge()) as pool:
        answer = await pool.ask(request(), timeout=60)
    assert answer.notes == ("answered by b after failures at a (MalformedResponse)",)


@virtual_time
async def test_vectors_that_are_none_are_named() -> None:
    capable = frozenset({"embeddings"})
    async with pool_of(custom(good(), capabilities=capable)) as pool:
        with pytest.raises(NoProvider) as caught:
            await pool.ask(EmbeddingRequest(["one"], "m"), timeout=60)
    assert "a: expected Embeddings, not Completion" in str(caught.value.causes["a"])


class CustomBatches(Custom):
    """Answers requests well, and batches as it likes."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BatchRequest):
            return self.answers.next()
        return good()


@pytest.mark.parametrize(
    "answer",
    [None, BatchAnswer(()), BatchAnswer((good(),)), BatchAnswer((None, good())), BatchAnswer((good(usage=None),) * 2)],  # type: ignore[arg-type]
    ids=["nothing", "empty", "too short", "one that is none", "without usage"],
)
@virtual_time
async def test_a_batch_that_is_answered_with_nonsense_is_sent_singly(answer: Any) -> None:
    batched = Endpoint(
        "a", ChildSpec(CustomBatches, (Answers([answer]),)), capabilities=frozenset({"batch"}), price=Price(1, 1)
    )
    async with pool_of(batched, batching=Batching(size=2)) as pool:
        asked = [pool.ask(Submit(request(text), Requester(batch=True)), timeout=60) for text in ("one", "two")]
        answers = [await each for each in asked]
        health = await pool.ask(GetHealth())
    assert [each.message.text for each in answers] == ["good", "good"]
    assert health.endpoints[0].in_flight == 0
