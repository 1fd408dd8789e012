"""What may be asked: a text, a message or several; everything else is refused before it is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Message, ToolCall
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.turns.history import as_messages
from callboard.providers.messages import Image, Text

HI = Message("user", "hi")
CALLS = Message("assistant", "", (ToolCall("1", "x", "{}"),))
RESULT = Message("tool", "out", tool_call_id="1")
SEEN = Message("user", (Text("see"), Image("https://x/y.png")))


@given(st.text())
def test_a_text_is_what_a_user_says(text: str) -> None:
    assert as_messages(text) == (Message("user", text),)


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        (HI, (HI,)),
        ([HI, CALLS, RESULT, SEEN], (HI, CALLS, RESULT, SEEN)),
        ((HI, HI), (HI, HI)),
        (iter([HI]), (HI,)),
        ((one for one in (HI, SEEN)), (HI, SEEN)),
        (Message("system", ""), (Message("system", ""),)),
    ],
)
def test_a_message_or_several_are_taken_as_they_are(given: Any, messages: tuple[Message, ...]) -> None:
    assert as_messages(given) == messages


@pytest.mark.parametrize(
    ("given", "about"),
    [
        (None, "not NoneType"),
        (7, "not int"),
        (b"hi", "not bytes"),
        ({"role": "user", "content": "hi"}, "not dict"),
        (object(), "not object"),
        (Message, "not type"),
        ([], "no message was given"),
        (iter(()), "no message was given"),
        ([HI, {"role": "user"}], r"message 1 is of type dict, not Message; write Message\(role, content\)"),
        (["hi"], "message 0 is of type str, not Message$"),
        ([HI, None], "message 1 is of type NoneType"),
        (bytearray(b"hi"), "message 0 is of type int"),
        (Message("robot", "hi"), "message 0 has the role 'robot'; there are system, user, assistant, tool"),  # type: ignore[arg-type]
        (Message(["user"], "hi"), "message 0 has the role"),  # type: ignore[arg-type]
        ([HI, Message("user", 7)], "the content of message 1 is neither"),  # type: ignore[arg-type]
        (Message("user", None), "the content of message 0 is neither"),  # type: ignore[arg-type]
        (Message("user", ["hi"]), "the content of message 0 is neither"),  # type: ignore[arg-type]
        (Message("user", ("hi",)), "the content of message 0 is neither"),  # type: ignore[arg-type]
        (Message("user", (Text(7),)), "the text of a Text in message 0 is no text, but 7"),  # type: ignore[arg-type]
        (Message("user", (Image(b"x"),)), "the url of a Image in message 0"),  # type: ignore[arg-type]
        (Message("user", (Text("x", cache="2h"),)), "the cache of a part in message 0"),  # type: ignore[arg-type]
        (Message("assistant", "", [ToolCall("1", "x", "{}")]), "the tool_calls of message 0 are no tuple"),  # type: ignore[arg-type]
        (Message("assistant", "", ({"id": "1"},)), "the tool_calls of message 0 are no tuple"),  # type: ignore[arg-type]
        (Message("assistant", "", (ToolCall("1", "x", {}),)), "the arguments of a ToolCall in message 0"),  # type: ignore[arg-type]
        (Message("assistant", "", (ToolCall(1, "x", "{}"),)), "the id of a ToolCall in message 0"),  # type: ignore[arg-type]
        ([HI, Message("tool", "out")], "message 1 is a tool's result"),
    ],
)
def test_a_wrong_shape_is_refused_by_name(given: Any, about: str) -> None:
    with pytest.raises(DefinitionError, match=about):
        as_messages(given)
