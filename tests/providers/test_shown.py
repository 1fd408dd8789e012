"""What messages show in errors and logs: who, and how much, never what."""

from __future__ import annotations

import pytest

from callboard.actors.agents.answer import HandoffRecord
from callboard.actors.agents.handoffs.handoff import Handoff
from callboard.actors.agents.turns.records import Decision, RunRequest, Steer
from callboard.actors.agents.turns.steps import Decided, HandoffReturned, ToolReturned
from callboard.providers.embeddings import EmbeddingRequest
from callboard.providers.messages import Completion, Delta, Message, Request, Text, ToolCall
from callboard.providers.provider import BatchAnswer, BatchRequest
from callboard.providers.spec import ProviderSpec
from tests.providers.raw import ASK, PROMPT


def test_what_is_said_to_an_agent_stands_in_no_repr() -> None:
    run = RunRequest("r1", "r1", "cook", "c", (Message("user", PROMPT),), ("cook", "baker"), (f"baker: {PROMPT}",))
    assert repr(run) == "RunRequest('r1', agent='cook', conversation='c')"
    handed = Handoff("cook", "baker", PROMPT, PROMPT, PROMPT, {"a": PROMPT})
    assert repr(handed) == "Handoff(sender='cook', target='baker', kind='delegate')"


def test_a_request_and_its_messages_show_who_speaks_and_how_much_and_not_what() -> None:
    long = Request((Message("system", PROMPT), Message("user", PROMPT, reasoning=PROMPT)), model="m")
    assert "grandmother" not in repr(long)
    assert repr(long.messages[0]) == f"Message('system', {len(PROMPT)} characters)"
    assert repr(long) == f"Request(2 messages of {2 * len(PROMPT)} characters, model='m')"


def test_parts_calls_and_pieces_show_names_and_sizes_and_not_what_stands_in_them() -> None:
    size = len(PROMPT)
    message = Message("assistant", (Text(PROMPT),), (ToolCall("c1", "ask", PROMPT),))
    whole = Completion(message, "tool_calls", model="m", extra={"logprobs": PROMPT})
    assert repr(message.content) == f"(Text({size} characters),)"
    assert repr(message.tool_calls) == f"(ToolCall('c1', 'ask', {size} characters),)"
    assert repr(Delta(text=PROMPT)) == f"Delta(text={size} characters)"
    piece = Delta(reasoning=PROMPT, tool_index=0, tool_id="c1", tool_name="ask", tool_arguments=PROMPT)
    assert repr(piece) == (
        f"Delta(reasoning={size} characters, tool_index=0, tool_id='c1', tool_name='ask', "
        f"tool_arguments={size} characters)"
    )
    assert repr(Delta(restart=True)) == "Delta(restart=True)"
    assert repr(Delta(completion=whole)) == f"Delta(completion={whole!r})"
    assert "model='m'" in repr(whole)
    assert "grandmother" not in repr(whole)
    batch = BatchAnswer((whole,))
    assert "grandmother" not in repr(
        (batch, BatchRequest((ASK,)), EmbeddingRequest([PROMPT], "m", extra={"a": PROMPT}))
    )


def test_what_conversations_are_told_of_shows_ids_and_not_what_was_said() -> None:
    record = HandoffRecord("cook", "baker", "delegate", PROMPT)
    told = (
        ToolReturned("c1", PROMPT),
        HandoffReturned("c1", PROMPT, handoffs=(record,)),
        Decided("c1", True, PROMPT, PROMPT),
        Decision("c", "a1", True, PROMPT, PROMPT),
        Steer("c", (Message("user", PROMPT),)),
    )
    for message in told:
        assert "grandmother" not in repr(message)
        assert type(message).__name__ in repr(message)
    assert repr(told[0]) == f"ToolReturned('c1', {len(PROMPT)} characters)"
    assert repr(told[3]) == "Decision('c', 'a1', approved=True)"


def test_an_address_that_is_refused_shows_neither_its_user_nor_its_password() -> None:
    with pytest.raises(ValueError, match="base_url is 'ftp:") as caught:
        ProviderSpec("acme", base_url="ftp://admin:hush-4711@llm.example.com")
    assert "hush" not in str(caught.value)
    assert "admin" not in str(caught.value)
