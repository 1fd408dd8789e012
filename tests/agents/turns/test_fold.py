"""The fold depends on the events alone: a conversation played live, and the same one folded from its journal."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors.agents.turns.history import problems
from callboard.actors.agents.turns.loop.turn import cut
from callboard.actors.agents.turns.outcome import finished
from callboard.actors.agents.turns.records import Ended
from callboard.actors.agents.turns.rules import Rules
from callboard.actors.agents.turns.state import ConversationState, fold

from .support import AGENT, CONVERSATION, Player, compared, ends, rules_of_a_day, through_the_codec, told

LENGTH = st.integers(1, 40)


@settings(max_examples=200)
@given(st.data(), rules_of_a_day(), LENGTH)
def test_folded_under_no_rules_of_today_a_journal_gives_the_state_that_was_lived(
    data: st.DataObject, today: Rules, length: int
) -> None:
    player = Player(data, today)
    folded, read = ConversationState(AGENT, CONVERSATION), ConversationState(AGENT, CONVERSATION)
    done = 0
    for _ in range(length):
        player.play_on()
        for event in player.events[done:]:
            folded.apply(event)
            read.apply(through_the_codec(event))
        done = len(player.events)
        assert compared(folded) == compared(player.state)
        assert compared(read) == compared(player.state), "writing and reading has changed what an event means"


@settings(max_examples=100)
@given(st.data(), rules_of_a_day(), LENGTH)
def test_a_conversation_goes_on_from_its_journal_under_other_rules(
    data: st.DataObject, today: Rules, length: int
) -> None:
    player = Player(data, today)
    for _ in range(length):
        player.play_on()
        if data.draw(st.integers(0, 3)) == 0:  # another process takes over
            player.state = fold(AGENT, CONVERSATION, map(through_the_codec, player.events))
            player.today = data.draw(rules_of_a_day())
    folded = fold(AGENT, CONVERSATION, map(through_the_codec, player.events))
    assert compared(folded) == compared(player.state)


@settings(max_examples=100)
@given(st.data(), rules_of_a_day(), LENGTH)
def test_cut_after_any_event_the_run_has_not_ended_or_its_outcome_is_the_one_that_was_recorded(
    data: st.DataObject, today: Rules, length: int
) -> None:
    player = Player(data, today)
    for _ in range(length):
        player.play_on()
    for length in range(len(player.events)):
        state = fold(AGENT, CONVERSATION, map(through_the_codec, player.events[:length]))
        assert problems(state.turn.history) == []
        assert problems(cut(state.turn)) == []
        following = player.events[length]
        if isinstance(following, Ended) and following.answer is None:
            assert state.verdict is not None, "the outcome was to follow from the turn"
            run = state.queue[0]
            made = finished(
                run, state.turn, state.verdict, following.seconds, agent=following.agent, value=following.value
            )
            state.apply(following)
            assert state.last is not None
            assert made.answer == state.last.answer
        elif state.begun and state.verdict is None:
            assert state.turn.phase != "ended"


@settings(max_examples=100)
@given(st.data(), rules_of_a_day(), LENGTH)
def test_exactly_one_end_counts_and_a_second_one_changes_nothing(
    data: st.DataObject, today: Rules, length: int
) -> None:
    player = Player(data, today)
    for _ in range(length):
        player.play_on()
    over = ends(player.events)
    waiting = {run.id for run in player.state.queue}
    before = compared(player.state)
    again: Any
    for again in over:
        if again.run in waiting:
            continue
        player.state.apply(again._replace(owner=("Somebody", "else"), seconds=99.0))
        player.state.apply(again)
        assert compared(player.state) == before
    accepted = sum(type(event).__name__ == "Accepted" for event in player.events)
    assert len(over) + len(waiting) == accepted, "an accepted run has no end, or two"


@settings(max_examples=100)
@given(st.data(), rules_of_a_day(), LENGTH)
def test_the_outcome_of_a_run_with_a_key_is_found_for_ever(data: st.DataObject, today: Rules, length: int) -> None:
    player = Player(data, today)
    keyed: set[str] = set()
    for _ in range(length):
        player.play_on(rewinding=False)
        keyed |= {run.id for run in player.state.queue if run.keyed}
    state = fold(AGENT, CONVERSATION, map(through_the_codec, player.events))
    for run, outcome in player.outcomes.items():
        if run in keyed and run not in {waiting.id for waiting in state.queue}:
            found = state.outcome_of(run)
            assert found is not None
            assert state.knows(run)
            kept, lived = told(found), told(outcome)
            assert kept[1].text == lived[1].text
            assert (kept[1].value, kept[1].cost, kept[1].usage) == (lived[1].value, lived[1].cost, lived[1].usage)
            assert kept[2:] == lived[2:]
    if player.state.last is not None:
        assert state.outcome_of(player.state.last.run) is not None


@settings(max_examples=200)
@given(st.data(), rules_of_a_day(), LENGTH)
def test_what_was_said_to_a_run_is_in_the_history_once_and_in_order_however_the_run_ends(
    data: st.DataObject, today: Rules, length: int
) -> None:
    player = Player(data, today)
    for _ in range(length):
        player.play_on(rewinding=False)
        turn = player.state.turn
        assert problems(turn.history) == []
        assert problems(cut(turn)) == []
        told_of = [message.text for message in cut(turn) if message.text.startswith("said ")]
        assert told_of == player.steered
        if turn.phase == "ended" and turn.message is None:
            assert turn.steering == ()
            assert [message.text for message in turn.history if message.text.startswith("said ")] == player.steered
