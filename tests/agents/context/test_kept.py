"""What a model is shown of a conversation is kept with it, by restarts, forks, rewinding and replays, at no cost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent, MemoryJournal, RunCancelled, RunRecord, Window
from callboard.actors.agents.turns.records import Accepted, Ended, Rewound, Snapshot
from callboard.actors.agents.turns.shape import Shape, shown
from callboard.actors.agents.turns.state import fold
from callboard.actors.agents.turns.steps import Begin, Condensed
from callboard.providers.messages import Message, Request
from tests.agents.support import function
from tests.agents.turns.support import AGENT, CONVERSATION, request, said, through_the_codec

from .crashes import COST, RUNS, Talk, check
from .histories import words


class Heard(Talk):
    """A talk that keeps what its model was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def model(self, request: Request) -> Any:
        if not request.messages[0].text.startswith("Summarize"):
            self.requests.append(request)
        return super().model(request)


def begins_as_it_was(talk: Heard, steps: int) -> bool:
    """Whether the last request begins with that of a step, counted from 1; 0 for before any."""
    messages = talk.requests[-1].messages
    before = talk.requests[steps - 1].messages if steps else ()
    return messages[: len(before)] == before and len(messages) == len(before) + (2 if steps else 1)


async def test_a_replay_asks_for_what_was_asked_and_makes_no_summary() -> None:
    talk = Heard()
    async with talk.agency(MemoryJournal()) as agency:
        await talk.ask(agency)
        bought = talk.bought
        report = await agency.replay("c")
    assert report.same, [str(difference) for difference in report.differences]
    assert [one.request.messages for one in report.requests] == [one.messages for one in talk.requests]
    assert talk.bought == bought >= 2


async def test_after_a_restart_the_model_is_shown_what_it_was_shown_before(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    before, after = Heard(), Heard()
    async with before.agency(path) as agency:
        await before.ask(agency)
    async with after.agency(path) as agency:
        await agency.run(f"#{RUNS + 1} short", conversation="c")
    last, following = before.requests[-1].messages, after.requests[0].messages
    assert following[: len(last)] == last  # byte by byte what the vendor has cached
    assert after.bought == 0


@pytest.mark.parametrize("at", [*range(RUNS + 1), None])
async def test_a_fork_at_any_step_has_the_summary_that_was_made_until_then_and_buys_none(at: int | None) -> None:
    talk = Heard()
    async with talk.agency(MemoryJournal()) as agency:
        await talk.ask(agency)
        bought = talk.bought
        forked = await agency.fork("c", at=at)
        steps = RUNS if at is None else at
        await agency.run(f"#{steps + 1} short", conversation=forked)
        assert talk.bought == bought
        assert begins_as_it_was(talk, steps)
        view = await agency.conversation(forked)
        assert len(view.messages) == 2 * (steps + 1)
        original = await agency.conversation("c")
        assert len(original.messages) == 2 * RUNS


@pytest.mark.parametrize("to", range(RUNS))
async def test_a_conversation_that_is_rewound_is_shown_as_it_was_then(to: int) -> None:
    talk = Heard()
    journal = MemoryJournal()
    async with talk.agency(journal) as agency:
        await talk.ask(agency)
        await agency.rewind("c", to=to)
        await agency.run(f"#{to + 1} short", conversation="c")
        assert begins_as_it_was(talk, to)
        events = [record.event for record in journal.read("A/c")]
    state = fold("A", "c", [through_the_codec(event) for event in events])
    assert len(shown(state.turn.history, state.shape)) <= len(state.turn.history)
    assert all(end <= len(state.turn.history) for start, end in state.shape.left_out)


async def test_a_run_that_is_rolled_back_takes_the_summary_with_it_that_was_made_for_it() -> None:
    begun = asyncio.Event()
    talk = Talk()

    async def model(request: Request) -> Any:
        if "#wait" in request.messages[-1].text and not request.messages[0].text.startswith("Summarize"):
            begun.set()
            await asyncio.Event().wait()
        return "an answer" if "#wait" in request.messages[-1].text else talk.model(request)

    journal = MemoryJournal()
    async with Agency(Agent("A", context=Window(tokens=800)), model=function(model), journal=journal) as agency:
        await talk.ask(agency, 2)
        waiting = asyncio.ensure_future(agency.run(f"#wait {words(3_000, 3)}", conversation="c"))
        await begun.wait()
        await agency.run("#3 short", conversation="c", when_busy="rollback")
        with pytest.raises(RunCancelled):
            await waiting
        events = [record.event for record in journal.read("A/c")]
    assert [event for event in events if isinstance(event, Condensed)]
    assert fold("A", "c", events).shapes == ()


SHAPES = st.builds(
    Shape,
    st.lists(st.tuples(st.integers(0, 3), st.integers(4, 9)), max_size=2).map(tuple),
    st.lists(st.integers(0, 9), max_size=3).map(tuple),
    st.lists(st.tuples(st.integers(0, 9), st.just(((0, 5), (7, 9)))), max_size=2).map(tuple),
    st.text(max_size=5),
)


@settings(max_examples=60)
@given(st.lists(SHAPES, max_size=6), st.data())
def test_what_was_shown_is_folded_from_the_events_and_cut_where_the_history_is(
    shapes: list[Shape], data: st.DataObject
) -> None:
    events: list[Any] = []
    known: list[tuple[int, Shape]] = []
    messages = 0
    for number, shape in enumerate(shapes):
        name = str(number)
        events += [Accepted(request(name)), Begin((Message("user", "go"),)), Condensed(shape), said("x"), Ended(name)]
        if shape != (known[-1][1] if known else Shape()):
            known.append((messages + 1, shape))
        messages += 2
    kept = data.draw(st.integers(0, messages))
    rewound = fold(AGENT, CONVERSATION, [through_the_codec(event) for event in (*events, Rewound(kept))])
    assert rewound.shapes == tuple(change for change in known if change[0] <= kept)
    snapshot = Snapshot((Message("user", "go"),), shapes=rewound.shapes)
    assert fold(AGENT, CONVERSATION, [through_the_codec(snapshot)]).shapes == rewound.shapes


async def test_what_the_journal_has_of_a_talk_is_whole() -> None:
    talk, journal = Talk(), MemoryJournal()
    async with talk.agency(journal) as agency:
        answers = await talk.ask(agency)
        assert check([record.event for record in journal.read("A/c")], answers) == talk.bought


async def test_the_records_of_a_run_say_what_is_not_shown_any_more_and_what_its_summary_cost() -> None:
    talk = Talk()
    async with talk.agency(MemoryJournal()) as agency:
        records: list[RunRecord] = []
        for number in range(1, RUNS + 1):
            handle = await agency.start_run(f"#{number} {words(700, number)}", conversation="c")
            records += [record async for record in handle.events()]
    made = [record.data for record in records if record.type == "condensed"]
    assert len(made) == talk.bought >= 2
    for data in made:
        assert data["summary"].endswith(" end")
        assert 2 * len(data["summary"].split()) - 2 >= data["left_out"] > 0
        used = data["usage"]
        assert (data["cost"], used["input_tokens"], used["output_tokens"]) == (COST, 100, 10)
