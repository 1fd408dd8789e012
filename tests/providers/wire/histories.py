"""Generated requests and completions, in the form that both protocols can say without loss."""

from __future__ import annotations

import json
import re

from hypothesis import strategies as st

from callboard.providers.messages import Completion, File, Image, Message, Request, Text, ToolCall, ToolSpec, Usage

# Any unicode but lone surrogates, which UTF-8 cannot carry.
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
spoken = texts.filter(lambda text: bool(text.strip()))
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,20}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(names, json_values, max_size=3).map(lambda value: json.dumps(value, ensure_ascii=False))
images = st.builds(
    Image,
    st.sampled_from(["https://example.org/a.png", "data:image/png;base64,aGk=", "data:image/svg+xml;base64,PHN2Zz4="]),
)
files = st.sampled_from(
    [
        File("data:application/pdf;base64,JVBERi0=", "a.pdf"),
        File("data:application/pdf;base64,JVBERi0="),
        File("data:text/plain;base64,aGk=", "notes"),
    ]
)
media = images | files
contents = spoken | st.tuples(spoken.map(Text), media) | st.tuples(media) | st.tuples(media, spoken.map(Text))


@st.composite
def tool_calls(draw: st.DrawFn, least: int = 0) -> tuple[ToolCall, ...]:
    many = draw(st.integers(least, 3))
    prefix = draw(st.uuids()).hex[:16]
    return tuple(ToolCall(f"call_{prefix}_{n}", draw(names), draw(arguments)) for n in range(many))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Message, ...]:
    """System first, then user and assistant in turn, each tool call answered."""
    messages = [Message("system", draw(spoken))] if draw(st.booleans()) else []
    messages.append(Message("user", draw(contents)))
    for _ in range(draw(st.integers(0, 3))):
        calls = draw(tool_calls())
        # Text may be empty when there are calls.
        messages.append(Message("assistant", draw(texts if calls else spoken).strip(), tool_calls=calls))
        if not calls and not messages[-1].text:
            messages.pop()
            continue
        messages += [Message("tool", draw(spoken | st.just("")), tool_call_id=c.id, name=c.name) for c in calls]
        if not calls:
            messages.append(Message("user", draw(contents)))
    return tuple(messages)


tools = st.lists(
    st.builds(
        ToolSpec,
        names,
        texts,
        st.dictionaries(names, st.just({"type": "string"}), max_size=3).map(
            lambda properties: {"type": "object", "properties": properties}
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)

numbers = st.floats(0, 2, allow_nan=False)


@st.composite
def requests(draw: st.DrawFn, *, openai: bool) -> Request:
    messages = draw(histories())
    called = any(message.tool_calls for message in messages)  # a history with calls wants tools
    offered: tuple[ToolSpec, ...] = draw(tools if called else st.just(()) | tools)
    choices = st.sampled_from(["auto", "none", "required", *(tool.name for tool in offered)])
    choice = draw(choices) if offered else "auto"
    return Request(
        messages=messages,
        model=draw(
            names.filter(lambda name: not re.match("o[0-9]|gpt|chatgpt|claude|gemini", name))
        ),  # takes all there is
        tools=offered,
        tool_choice=choice,
        max_tokens=draw(st.integers(1, 10_000) | (st.none() if openai else st.nothing())),
        temperature=draw(st.none() | numbers),
        top_p=draw(st.none() | numbers),
        top_k=None if openai else draw(st.none() | st.integers(1, 100)),
        frequency_penalty=draw(st.none() | numbers) if openai else None,
        presence_penalty=draw(st.none() | numbers) if openai else None,
        seed=draw(st.none() | st.integers(0, 2**31)) if openai else None,
        stop=draw(st.lists(spoken, max_size=3).map(tuple)),
        reasoning_effort=draw(st.none() | st.sampled_from(["none", "low", "medium", "high"])),
        response_schema=draw(st.none() | st.just({"type": "object", "properties": {}})),
        parallel_tool_calls=draw(st.booleans()) if offered and choice != "none" else True,
        user=draw(st.none() | names),
        extra=draw(st.just({}) | st.just({"service_tier": "auto"})),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, written, thought = (draw(st.integers(0, 1000)) for _ in range(3))
    return Usage(
        read + written + draw(st.integers(0, 10**6)), thought + draw(st.integers(0, 10**6)), read, written, thought
    )


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    calls = draw(tool_calls())
    finish = draw(st.sampled_from(["length", "content_filter", "tool_calls" if calls else "stop"]))
    return Completion(
        Message("assistant", draw(texts), tool_calls=calls),
        finish,  # type: ignore[arg-type]
        draw(usages()),
        model=draw(names),
        request_id="id-1",
        provider="p",
    )
