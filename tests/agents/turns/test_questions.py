"""What may be asked: a text, a message or several; everything else is refused before it is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Message, ToolCall, ToolSpec
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.turns.questions import as_messages, as_tools
from callboard.providers.messages import Audio, File, Image, Text

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
        (object(), "not object"),
        (Message, "not type"),
        ([], "no message was given"),
        (iter(()), "no message was given"),
        (["hi", "you"], r"message 0 is a bare text; write Message\(role, content\): a question is a text, a Message"),
        ([HI, {"role": "user"}], r"messages\[1\].content: expected a text or a list of parts, and there is none"),
        ({"content": "hi"}, r"messages\[0\] has no role: a question is"),
        ({"role": "usr", "content": "hi"}, r"messages\[0\].role: expected system, developer, user, assistant or tool"),
        ({"role": ["user"], "content": "hi"}, r"messages\[0\].role: expected system"),
        ({"role": "user", "content": 7}, r"messages\[0\].content: expected a text or a list of parts, not int"),
        ({"role": "user", "content": ["hi"]}, r"messages\[0\].content\[0\]: expected a part of type text, image_url"),
        ({"role": "user", "content": [{"type": "video", "video": "x"}]}, r"expected a part of type .*, not 'video'"),
        ({"role": "user", "content": [{"type": "text"}]}, r"messages\[0\].content\[0\].text: there is none"),
        ({"role": "user", "content": [{"type": "text", "text": 7}]}, r"content\[0\].text: expected text, not a number"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": 7}]}, r"image_url: expected an object"),
        ({"role": "assistant", "tool_calls": [{"id": "1"}]}, r"messages\[0\].tool_calls\[0\]: expected"),
        ({"role": "assistant", "tool_calls": ["x"]}, r"messages\[0\].tool_calls\[0\]: expected"),
        ({"role": "assistant", "tool_calls": 7, "content": "x"}, r"messages\[0\].tool_calls: expected a list"),
        ({"role": "tool", "content": "out"}, "message 0 is a tool's result: its tool_call_id says of which call"),
        ({"role": "user", "content": "hi", "name": 7}, r"messages\[0\].name: expected text"),
        ([HI, None], "message 1 is of type NoneType"),
        (bytearray(b"hi"), "message 0 is of type int"),
        ([HI, Message("user", 7)], r"messages\[1\].content: expected text or a tuple"),  # type: ignore[arg-type]
        (Message("user", None), r"messages\[0\].content: expected text or a tuple"),  # type: ignore[arg-type]
        (Message("user", ["hi"]), r"messages\[0\].content: expected text or a tuple"),  # type: ignore[arg-type]
        (Message("user", ("hi",)), r"messages\[0\].content: expected text or a tuple"),  # type: ignore[arg-type]
        (Message("user", (Text(7),)), r"messages\[0\].content\[0\].text: expected a text, not int"),  # type: ignore[arg-type]
        (Message("user", (Image(b"x"),)), r"messages\[0\].content\[0\].url: expected a text"),  # type: ignore[arg-type]
        (Message("user", (Text("x", cache="2h"),)), r"messages\[0\].content\[0\].cache: expected True"),  # type: ignore[arg-type]
        (Message("assistant", "", [ToolCall("1", "x", "{}")]), r"messages\[0\].tool_calls: expected a tuple, not list"),  # type: ignore[arg-type]
        (Message("assistant", "", ({"id": "1"},)), r"messages\[0\].tool_calls: expected a tuple"),  # type: ignore[arg-type]
        (Message("assistant", "", (ToolCall("1", "x", {}),)), r"\[0\].arguments: expected a text"),  # type: ignore[arg-type]
        (Message("assistant", "", (ToolCall(1, "x", "{}"),)), r"tool_calls\[0\].id: expected a text"),  # type: ignore[arg-type]
        ([HI, Message("tool", "out")], "message 1 is a tool's result"),
    ],
)
def test_a_wrong_shape_is_refused_by_name(given: Any, about: str) -> None:
    with pytest.raises(DefinitionError, match=about):
        as_messages(given)


DATA = "data:application/pdf;base64,JVBERi0="


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"role": "system", "content": "be brief"}, Message("system", "be brief")),
        ({"role": "developer", "content": "be brief"}, Message("system", "be brief")),
        ({"role": "user", "content": "hi"}, HI),
        ({"role": "user", "content": "hi", "name": "ann"}, Message("user", "hi", name="ann")),
        ({"role": "assistant", "content": "hello"}, Message("assistant", "hello")),
        (
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {"type": "file", "file": {"file_data": DATA, "filename": "a.pdf"}},
                ],
            },
            Message(
                "user",
                (
                    Text("see"),
                    Image("https://x/y.png"),
                    Audio("data:audio/wav;base64,UklGRg=="),
                    File(DATA, "a.pdf"),
                ),
            ),
        ),
    ],
)
def test_openais_dictionaries_are_messages(given: Any, message: Message) -> None:
    assert as_messages(given) == (message,)
    assert as_messages([HI, given]) == (HI, message)


def test_a_call_and_its_result_are_read_with_the_tools_name() -> None:
    function = {"name": "add", "arguments": '{"a": 1}'}
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    result = {"role": "tool", "tool_call_id": "1", "content": "3"}
    assert as_messages([called, result]) == (
        Message("assistant", "", (ToolCall("1", "add", '{"a": 1}'),)),
        Message("tool", "3", tool_call_id="1", name="add"),
    )
    assert as_messages([CALLS, result])[1].name == "x", "also where the call came as a Message"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ("role", "content", "type", "text", "tool_calls", "function", "name", "image_url", "url")
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(("user", "assistant", "tool", "system")),
)
def test_whatever_stands_in_a_dictionary_it_is_read_or_refused_by_name(content: Any, role: str) -> None:
    for asked in ({"role": role, "content": content}, [content], {"role": role, "content": "x", "tool_calls": content}):
        try:
            read = as_messages(asked)
        except DefinitionError:
            continue
        assert all(isinstance(message, Message) for message in read)


@pytest.mark.parametrize("role", ["usr", "", "User", ["user"], None, 7])
def test_a_message_of_no_role_is_not_made(role: Any) -> None:
    with pytest.raises(ValueError, match=r"role is .*; expected system, user, assistant or tool"):
        Message(role, "hi")


LOOK_UP = ToolSpec("look_up", "Look it up.", {"type": "object", "properties": {}})


def test_openais_dictionaries_are_tools() -> None:
    function = {"name": "look_up", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}}
    assert as_tools([{"type": "function", "function": function}, ToolSpec("b", "", {})])[0] == LOOK_UP


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ("look_up", "tools are ToolSpecs or OpenAI tools .* in a list, not 'look_up'"),
        ({"type": "function"}, "in a list, not"),
        (5, "in a list, not 5"),
        ([{"type": "web_search"}], "tool 0 is no function"),
        (
            [{"type": "function", "function": {"description": "x"}}],
            r"tools\[0\].function.name: expected the tool's name",
        ),
        ([{"name": "x"}], "tool 0 is no function"),
        ([print], "not <built-in function print>; tools that run here belong to the agent"),
        ([ToolSpec(7, "", {})], "tool 0: name is 7; expected 1 to 64 letters"),  # type: ignore[arg-type]
        ([ToolSpec("x", None, {})], "tool 'x': description is None; expected a text"),  # type: ignore[arg-type]
        ([ToolSpec("x", "", [])], r"tool 'x': parameters is \[\]; expected a JSON schema of an object"),  # type: ignore[arg-type]
        ([LOOK_UP, LOOK_UP], "two of the tools have one name"),
    ],
)
def test_what_is_no_tool_is_refused_by_name(given: Any, about: str) -> None:
    with pytest.raises(DefinitionError, match=about):
        as_tools(given)
