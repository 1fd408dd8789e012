"""A structured answer while it comes: what there is of it, as the type that was asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from callboard import Agency, Agent, PartialAnswer, RunFailed, guardrail
from callboard.actors.agents.events import Retried, RunEvent, RunFinished, TextDelta
from callboard.actors.testing.doubles.models import Script
from callboard.providers.errors import StreamCut

from .support import scripted, solo
from .test_chunks import END, pieces


class Report(BaseModel):
    title: str
    pages: int = 1
    parts: list[str] = []


async def told(agency: Agency, **options: Any) -> list[RunEvent]:
    return [event async for event in agency.run_streaming("?", **options)]


def values(events: list[RunEvent]) -> list[Any]:
    return [event.value for event in events if isinstance(event, PartialAnswer)]


STREAM = ['{"title": "He', 'llo", "par', 'ts": ["a", "', 'bc"]}', END]


async def test_what_there_is_is_told_as_the_type_and_what_has_not_come_has_its_default() -> None:
    seen: list[Any] = []
    async with Agency(Agent("A", output_type=Report), model=pieces(STREAM)) as agency:
        agency.subscribe(lambda event: seen.append(event))
        events = await told(agency)
    assert values(seen) == [
        Report(title="He"),
        Report(title="Hello"),
        Report(title="Hello", parts=["a", ""]),
        Report(title="Hello", parts=["a", "bc"]),
    ]
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.answer is not None
    assert last.answer.value == values(events)[-1] == Report(title="Hello", parts=["a", "bc"])


async def test_nothing_is_told_before_all_is_there_that_has_no_default_nor_of_what_does_not_fit() -> None:
    class Strict(BaseModel):
        title: str
        pages: int

        @field_validator("title")
        @classmethod
        def explodes(cls, title: str) -> str:
            if title == "boom":
                raise ZeroDivisionError("a bug of somebody's own")
            return title

    async with Agency(Agent("A", output_type=Strict), model=pieces(['{"title": "x", ', '"pages": 3}', END])) as agency:
        assert values(await told(agency)) == [Strict(title="x", pages=3)]
    async with Agency(Agent("A"), model=pieces(['{"title": "boom", "pages": 1', "}", END])) as agency:
        seen: list[RunEvent] = []
        agency.subscribe(seen.append)
        with pytest.raises(RunFailed, match="ZeroDivisionError"):
            await told(agency, output_type=Strict)
        assert values(seen) == []


async def test_a_stream_that_was_cut_tells_its_parts_anew() -> None:
    model = pieces(['{"title": "Hel', StreamCut("cut")], ['{"title": "No"}', END])
    seen: list[RunEvent] = []
    async with Agency(Agent("A", output_type=Report), model=model) as agency:
        agency.subscribe(seen.append)
        await told(agency)
    kinds = [type(event) for event in seen if isinstance(event, PartialAnswer | Retried)]
    assert kinds == [PartialAnswer, Retried, PartialAnswer]
    assert values(seen) == [Report(title="Hel"), Report(title="No")]


async def test_a_fence_before_it_is_passed_over() -> None:
    model = pieces(["```json\n", '{"title": "x"', "}\n```", END])
    async with Agency(Agent("A", output_type=Report), model=model) as agency:
        assert Report(title="x") in values(await told(agency))


async def test_parts_that_are_not_read_in_time_give_way_to_newer_ones_and_no_text_is_lost() -> None:
    whole = json.dumps({"title": "t" * 200})
    model = pieces([*whole, END])
    async with Agency(Agent("A", output_type=Report), model=model) as agency:
        stream = agency.run_streaming("?")
        events = [await anext(stream)]
        for _ in range(3_000):
            await asyncio.sleep(0)
        events += [event async for event in stream]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == whole
    assert len(values(events)) <= 3
    assert values(events)[-1] == Report(title="t" * 200)


async def test_without_a_type_or_with_a_guardrail_that_has_not_passed_no_part_is_told() -> None:
    @guardrail("response")
    def fine(context: Any) -> None:
        pass

    async with solo(Script(['{"title": "x"}'])) as agency:
        assert values(await told(agency)) == []
    agent = Agent("A", output_type=Report, hooks=[fine])
    async with Agency(agent, model=scripted(Script(['{"title": "x"}']))) as agency:
        assert values(await told(agency)) == []
