"""A request is made to fit the vendor and the model, and what was changed on the way is noted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.messages import (
    Audio,
    CacheMark,
    File,
    Image,
    Message,
    Part,
    Request,
    Text,
    ToolCall,
    ToolSpec,
    VendorState,
)
from callboard.providers.registry.presets import PRESETS
from callboard.providers.wire import anthropic, gemini, openai_chat, openai_responses
from callboard.providers.wire.openai_chat import Dialect
from tests.providers.wire.histories import texts

Json = dict[str, Any]
ASK = Request((Message("user", "x"),))
TOOL = ToolSpec("look", "", {"type": "object", "properties": {}})
PDF = "data:application/pdf;base64,JVBERi0="
WAV = "data:audio/wav;base64,UklG"
PNG = "data:image/png;base64,aGk="
STOPPED = {"finish_reason": "tool_calls", "index": 0}
MISTRAL = PRESETS["mistral"].dialect


def noted(module: Any, request: Request, model: str = "m", **more: Any) -> tuple[Json, list[str]]:
    """The payload, and what was noted."""
    notes: list[str] = []
    return module.to_payload(request, model=model, notes=notes, **more), notes


# -- ids of calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "dialect", "pattern"),
    [
        (anthropic, None, r"[a-zA-Z0-9_-]{1,64}"),
        (openai_chat, openai_chat.OPENAI, r"[^\x00-\x1f\x7f]{1,40}"),
        (openai_chat, MISTRAL, r"[a-zA-Z0-9]{9}"),
        (openai_responses, None, r"[^\x00-\x1f\x7f]{1,64}"),
    ],
)
@given(
    st.lists(
        texts | st.sampled_from(["functions.look:0", "call_0", "", "x" * 80, "a\0b", "\x7f"]), min_size=1, max_size=4
    )
)
def test_ids_of_calls_fit_the_vendor_and_results_name_them(
    module: Any, dialect: Dialect | None, pattern: str, ids: list[str]
) -> None:
    messages = [Message("user", "x")]
    for id in ids:  # each in a turn of its own, as vendors that number their calls do
        messages += [Message("assistant", "", (ToolCall(id, "look", "{}"),)), Message("tool", id, tool_call_id=id)]
    more = {} if dialect is None else {"dialect": dialect}
    payload = module.to_payload(Request(tuple(messages), tools=(TOOL,)), model="m", **more)
    called, answered = ids_in(payload)
    assert called == answered, "in order, each result behind its call"
    assert module is openai_chat or len(set(called)) == len(called), "used once"
    assert all(re.fullmatch(pattern, id) for id in called)
    again = module.to_payload(Request(tuple(messages), tools=(TOOL,)), model="m", **more)
    assert again == payload, "always the same, or no prompt cache would hold"


def ids_in(payload: Json) -> tuple[list[str], list[str]]:
    called: list[str] = []
    answered: list[str] = []
    for entry in payload.get("messages") or payload["input"]:
        called += [call["id"] for call in entry.get("tool_calls", ())]
        if entry.get("type") == "function_call":
            called.append(entry["call_id"])
        if entry.get("role") == "tool":
            answered.append(entry["tool_call_id"])
        if entry.get("type") == "function_call_output":
            answered.append(entry["call_id"])
        for block in entry["content"] if isinstance(entry.get("content"), list) else ():
            if block["type"] == "tool_use":
                called.append(block["id"])
            if block["type"] == "tool_result":
                answered.append(block["tool_use_id"])
    return called, answered


def with_state(id: str, origin: str) -> Message:
    return Message("assistant", "", (ToolCall(id, "look", "{}"),), state=VendorState(origin, "{}"))


def test_a_vendor_that_numbers_the_calls_of_each_turn_gets_its_own_ids_back() -> None:
    turn = (Message("assistant", "", (ToolCall("call_0", "look", "{}"),)), Message("tool", "", tool_call_id="call_0"))
    request = Request((Message("user", "x"), *turn, *turn), tools=(TOOL,))
    assert ids_in(openai_chat.to_payload(request, model="m")) == (["call_0"] * 2, ["call_0"] * 2)


def test_calls_of_one_message_never_share_an_id_and_results_follow_their_order() -> None:
    calls = (ToolCall("c", "look", "{}"), ToolCall("c", "look", "{}"))
    results = (Message("tool", "1", tool_call_id="c"), Message("tool", "2", tool_call_id="c"))
    payload = openai_chat.to_payload(Request((Message("assistant", "", calls), *results), tools=(TOOL,)), model="m")
    called, answered = ids_in(payload)
    assert called == answered
    assert len(set(called)) == 2


@pytest.mark.parametrize("module", [anthropic, openai_responses])
def test_a_call_that_is_answered_twice_is_the_last_one_of_its_id(module: Any) -> None:
    call, result = Message("assistant", "", (ToolCall("c", "look", "{}"),)), Message("tool", "r", tool_call_id="c")
    request = Request((Message("user", "x"), call, result, call, result, result), tools=(TOOL,))
    (first, second), answered = ids_in(module.to_payload(request, model="m"))
    assert first != second
    assert answered == [first, second, second]


@pytest.mark.parametrize("module", [anthropic, openai_chat, openai_responses])
@pytest.mark.parametrize("id", ["same", "of another kind: " + "x" * 80])
def test_what_a_vendor_made_goes_back_with_its_own_ids_and_others_ids_give_way(module: Any, id: str) -> None:
    foreign = Message("assistant", "", (ToolCall(id, "look", "{}"),))
    result = Message("tool", "", tool_call_id=id)
    request = Request((Message("user", "x"), foreign, result, with_state(id, module.ORIGIN), result), tools=(TOOL,))
    called, answered = ids_in(module.to_payload(request, model="m"))
    assert called == answered
    assert called[1] == id
    assert module is openai_chat or called[0] != id


def test_an_id_that_openai_would_not_take_goes_back_to_the_vendor_that_made_it() -> None:
    call = {"id": "x" * 80, "type": "function", "function": {"name": "look", "arguments": "{}"}}
    body = {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [call]}, **STOPPED}]}
    answer = openai_chat.from_response(body).message
    request = Request((answer, Message("tool", "", tool_call_id="x" * 80)), tools=(TOOL,))
    assert ids_in(openai_chat.to_payload(request, model="m")) == (["x" * 80], ["x" * 80])


def test_google_gets_no_control_characters_in_ids() -> None:
    call, result = Message("assistant", "", (ToolCall("a\0b", "look", "{}"),)), Message("tool", "", tool_call_id="a\0b")
    turns = gemini.to_payload(Request((call, result)), model="m")["contents"]
    assert turns[0]["parts"][0]["functionCall"]["id"] == turns[1]["parts"][0]["functionResponse"]["id"]
    assert "\0" not in turns[0]["parts"][0]["functionCall"]["id"]


def test_an_id_that_fits_stays() -> None:
    message = Message("assistant", "", (ToolCall("toolu_01", "look", "{}"),))
    payload = anthropic.to_payload(Request((Message("user", "x"), message)), model="m")
    assert payload["messages"][1]["content"][0]["id"] == "toolu_01"


# -- parts -------------------------------------------------------------------------------------------------------------

PICTURE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


@pytest.mark.parametrize(
    ("module", "part", "written"),
    [
        (anthropic, Image(PNG), PICTURE),
        (anthropic, File(PNG, "a.png"), PICTURE),
        (
            anthropic,
            File(PDF, "a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "a.pdf",
            },
        ),
        (
            anthropic,
            File("data:text/csv;base64,YSxi"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
        ),
        (
            anthropic,
            File("https://x.org/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x.org/a.pdf"}},
        ),
        (openai_chat, File(PDF, "a.pdf"), {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
        (openai_chat, Audio(WAV), {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
        (openai_responses, File(PDF, "a.pdf"), {"type": "input_file", "filename": "a.pdf", "file_data": PDF}),
        (openai_responses, File("https://x.org/a"), {"type": "input_file", "file_url": "https://x.org/a"}),
    ],
)
def test_parts_are_written_as_the_vendor_knows_them(module: Any, part: Part, written: Json) -> None:
    payload, notes = noted(module, Request((Message("user", (part,)),)))
    assert (payload.get("messages") or payload["input"])[0]["content"] == [written]
    assert notes == []


@pytest.mark.parametrize(
    ("module", "part", "stands", "note"),
    [
        (anthropic, Audio(WAV), "[sound left out]", "Anthropic cannot take a sound: left out"),
        (anthropic, Audio(WAV, "hi"), "hi", "Anthropic cannot take a sound: its transcript was sent"),
        (
            anthropic,
            File("data:application/zip;base64,UEs=", "a.zip"),
            "[file a.zip left out]",
            "Anthropic cannot take a file of type application/zip: left out",
        ),
        (openai_responses, Audio(WAV), "[sound left out]", "the responses API cannot take a sound: left out"),
        (
            openai_chat,
            File("https://x.org/a.pdf"),
            "[file left out]",
            "chat completions cannot take a file by its address: left out",
        ),
    ],
)
def test_a_part_that_the_vendor_cannot_take_is_named_where_it_stood_and_noted(
    module: Any, part: Part, stands: str, note: str
) -> None:
    payload, notes = noted(module, Request((Message("user", (Text("see"), part)),)))
    assert [block["text"] for block in (payload.get("messages") or payload["input"])[0]["content"]] == ["see", stands]
    assert notes == [note]


def test_a_dialect_without_pictures_gets_none_and_it_is_noted() -> None:
    dialect = Dialect(drops=frozenset({"images"}))
    payload, notes = noted(openai_chat, Request((Message("user", (Image(PNG),)),)), dialect=dialect)
    assert payload["messages"][0]["content"] == [{"type": "text", "text": "[picture left out]"}]
    assert len(notes) == 1


def result(*parts: Part) -> Request:
    call = Message("assistant", "", (ToolCall("c", "look", "{}"),))
    return Request((ASK.messages[0], call, Message("tool", parts, tool_call_id="c", name="look")), tools=(TOOL,))


def test_pictures_in_tool_results_reach_every_vendor() -> None:
    request = result(Text("see"), Image(PNG))
    assert anthropic.to_payload(request, model="m")["messages"][2]["content"][0]["content"] == [
        {"type": "text", "text": "see"},
        PICTURE,
    ]
    assert openai_responses.to_payload(request, model="m")["input"][2]["output"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
    ]
    said, shown = openai_chat.to_payload(request, model="m")["messages"][2:]
    assert (said["role"], said["content"]) == ("tool", "see\n[shown below]")
    assert (shown["role"], shown["content"][1]["image_url"]["url"]) == ("user", PNG)


def test_pictures_of_several_results_are_shown_behind_the_last() -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    results = [Message("tool", (Image(PNG),), tool_call_id=call.id) for call in calls]
    request = Request((ASK.messages[0], Message("assistant", "", calls), *results), tools=(TOOL,))
    roles = [message["role"] for message in openai_chat.to_payload(request, model="m")["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]


# -- cache marks and strict tools --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cache", "mark"), [(True, {}), ("5m", {"ttl": "5m"}), ("1h", {"ttl": "1h"})])
def test_cache_marks_stand_on_messages_parts_and_tools_with_their_time_to_live(cache: CacheMark, mark: Json) -> None:
    written = {"type": "ephemeral", **mark}
    parts = (Text("a", cache), Image("https://x.org/a.png"))
    request = Request(
        (Message("system", "s", cache=cache), Message("user", parts), Message("user", "b", cache=cache)),
        tools=(replace(TOOL, cache=cache),),
    )
    payload = anthropic.to_payload(request, model="m")
    assert payload["system"][0]["cache_control"] == written
    assert payload["tools"][0]["cache_control"] == written
    assert [block.get("cache_control") for block in payload["messages"][0]["content"]] == [written, None, written]
    assert anthropic.from_payload(payload).tools == request.tools
    routed = openai_chat.to_payload(request, model="m", dialect=PRESETS["openrouter"].dialect)
    assert routed["messages"][1]["content"][0]["cache_control"] == written
    assert "cache_control" not in json.dumps(openai_chat.to_payload(request, model="m"))


def test_a_strict_tool_is_asked_for_as_one() -> None:
    request = replace(ASK, tools=(replace(TOOL, strict=True),))
    assert anthropic.to_payload(request, model="m")["tools"][0]["strict"] is True
    assert openai_chat.to_payload(request, model="m")["tools"][0]["function"]["strict"] is True
    assert openai_responses.to_payload(request, model="m")["tools"][0]["strict"] is True


# -- tools of the vendor -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "theirs"),
    [
        (anthropic, {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}),
        (openai_chat, {"type": "custom", "custom": {"name": "code"}}),
        (openai_responses, {"type": "web_search"}),
    ],
)
def test_tools_that_the_vendor_runs_join_ones_own_and_come_through_a_gateway(module: Any, theirs: Json) -> None:
    request = replace(ASK, model="m", max_tokens=5, tools=(TOOL,), extra={"tools": [theirs]})
    payload = module.to_payload(request, model="m")
    assert payload["tools"][1:] == [theirs]
    assert len(payload["tools"]) == 2
    assert module.from_payload(payload) == request
    alone = module.to_payload(replace(request, tools=()), model="m")
    assert alone["tools"] == [theirs]


def test_calls_in_a_history_without_tools_are_declared_to_anthropic_and_may_not_be_called() -> None:
    request = replace(result(Text("r")), tools=())
    payload, notes = noted(anthropic, request)
    assert [tool["name"] for tool in payload["tools"]] == ["look"]
    assert payload["tool_choice"] == {"type": "none"}
    assert len(notes) == 1


# -- the last turn, and system messages in the midst -------------------------------------------------------------------

PREFILLED = Request((Message("user", "x"), Message("assistant", "It is ")))


def test_a_history_that_ends_with_the_assistant_ends_with_the_user_where_the_model_wants_that() -> None:
    payload, notes = noted(anthropic, PREFILLED, "claude-opus-4-6")
    assert [turn["role"] for turn in payload["messages"]] == ["user", "assistant", "user"]
    assert len(notes) == 1
    payload, notes = noted(anthropic, PREFILLED, "claude-sonnet-4-5")
    assert payload["messages"][-1]["content"] == [{"type": "text", "text": "It is"}], "blanks at the end are refused"
    assert notes == []
    payload, notes = noted(openai_chat, PREFILLED, dialect=MISTRAL)
    assert payload["messages"][-1]["role"] == "user"
    assert len(notes) == 1


@pytest.mark.parametrize("behind", [["user"], ["system", "user"]])
def test_mistral_hears_the_assistant_between_a_tool_and_whoever_speaks_next(behind: list[Any]) -> None:
    request = result(Text("r"))
    request = replace(request, messages=(*request.messages, *(Message(role, "and?") for role in behind)))
    roles = [m["role"] for m in openai_chat.to_payload(request, model="m", dialect=MISTRAL)["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", *behind]


MIDST = Request((Message("system", "s"), Message("user", "a"), Message("system", "now"), Message("user", "b")))


def test_a_system_message_in_the_midst_stays_in_its_place() -> None:
    payload = anthropic.to_payload(MIDST, model="claude-opus-4-8")
    assert [turn["role"] for turn in payload["messages"]] == ["user", "system", "user"]
    payload = anthropic.to_payload(MIDST, model="claude-sonnet-5")
    assert [block["text"] for block in payload["messages"][0]["content"]] == ["a", "<system>now</system>", "b"]
    assert payload["system"] == [{"type": "text", "text": "s"}]
    for module, field in ((openai_chat, "messages"), (openai_responses, "input")):
        assert [m["role"] for m in module.to_payload(MIDST, model="m")[field]] == ["system", "user", "system", "user"]


def test_a_system_message_behind_the_assistant_waits_for_the_user_and_it_is_noted() -> None:
    messages = (*ASK.messages, Message("assistant", "so"), Message("system", "now"), Message("user", "b"))
    payload, notes = noted(anthropic, Request(messages), "claude-opus-4-8")
    assert [turn["role"] for turn in payload["messages"]] == ["user", "assistant", "user", "system"]
    assert notes == ["a system message behind the assistant's turn was moved behind the user's"]


@pytest.mark.parametrize(("module", "model"), [(anthropic, "claude-sonnet-5"), (gemini, "gemini-3-pro")])
def test_a_system_message_that_only_a_user_can_say_stays_in_its_place_and_it_is_noted(module: Any, model: str) -> None:
    messages = (*MIDST.messages, Message("assistant", "so"), Message("system", "then"), Message("user", "c"))
    payload, notes = noted(module, Request(messages), model)
    turns = payload["messages"] if module is anthropic else payload["contents"]
    said = [[block["text"] for block in turn["content" if module is anthropic else "parts"]] for turn in turns]
    assert said == [["a", "<system>now</system>", "b"], ["so"], ["<system>then</system>", "c"]]
    assert notes == ["a system message in the midst of others was sent as the user's, in <system> tags"]


def test_what_google_has_no_place_for_is_noted() -> None:
    tool = replace(TOOL, strict=True)
    parts = (Text("x"), File(PDF, "a.pdf"))
    request = Request((Message("user", parts),), tools=(tool,), parallel_tool_calls=False, user="ada")
    _, notes = noted(gemini, request)
    assert notes == [
        "Gemini's protocol has no place for user, parallel_tool_calls, strict, names of files: left out",
    ]
    assert noted(gemini, Request((Message("user", (Text("x"), File(PDF))),), tools=(TOOL,)))[1] == []


# -- thinking and sampling ---------------------------------------------------------------------------------------------

THINK = replace(ASK, reasoning_effort="medium")


@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        ("claude-opus-4-8", {"type": "adaptive"}, "medium"),
        ("claude-sonnet-4-6", {"type": "adaptive"}, "medium"),
        ("us.anthropic.claude-opus-4-6-v1:0", {"type": "adaptive"}, "medium"),
        ("claude-opus-4-5", {"type": "enabled", "budget_tokens": 8192}, "medium"),
        ("claude-haiku-4-5-20251001", {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-opus-4-20250514", {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-3-7-sonnet-20250219", {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-3-5-sonnet-20241022", None, None),
        ("claude-3-haiku-20240307", None, None),
    ],
)
def test_each_model_thinks_in_the_way_it_takes(model: str, thinking: Json | None, effort: str | None) -> None:
    payload, notes = noted(anthropic, THINK, model)
    assert payload.get("thinking") == thinking
    assert payload.get("output_config", {}).get("effort") == effort
    assert len(notes) == (thinking is None)
    budget = (thinking or {}).get("budget_tokens", 0)
    assert payload["max_tokens"] > budget, "the answer comes on top"


def test_a_number_of_thinking_tokens_is_sent_where_it_is_taken() -> None:
    request = replace(ASK, thinking_tokens=3000, max_tokens=2000)
    payload, notes = noted(anthropic, request, "claude-sonnet-4-5")
    assert payload["thinking"] == {"type": "enabled", "budget_tokens": 1999}, "less than all tokens of the answer"
    payload, notes = noted(anthropic, request, "claude-opus-4-7")
    assert payload["thinking"] == {"type": "adaptive"}
    assert len(notes) == 1
    payload, notes = noted(anthropic, replace(request, max_tokens=500), "claude-sonnet-4-5")
    assert "thinking" not in payload
    assert len(notes) == 1
    for module in (openai_chat, openai_responses):
        assert len(noted(module, request)[1]) == 1
    assert anthropic.from_payload(noted(anthropic, request, "m")[0]).thinking_tokens == 1999


def test_a_tool_that_must_be_called_leaves_out_thinking_with_a_budget() -> None:
    request = replace(THINK, tools=(TOOL,), tool_choice="required")
    payload, notes = noted(anthropic, request, "claude-sonnet-4-5")
    assert "thinking" not in payload
    assert len(notes) == 1


def test_sampling_is_left_out_where_the_model_refuses_it() -> None:
    request = replace(ASK, temperature=0.5, top_k=9)
    for model, count in (("claude-opus-4-8", 1), ("claude-sonnet-5", 1), ("claude-sonnet-4-5", 0)):
        payload, notes = noted(anthropic, request, model)
        assert ("temperature" in payload, len(notes)) == (count == 0, count)
    payload, notes = noted(anthropic, replace(request, reasoning_effort="low"), "claude-sonnet-4-5")
    assert "temperature" not in payload
    assert len(notes) == 1


def test_mistral_is_asked_to_reason_in_its_own_words_where_it_can() -> None:
    for model, effort, written in (
        ("mistral-small-latest", "low", "high"),
        ("mistral-small-latest", "none", "none"),
        ("magistral-medium-latest", "high", None),
    ):
        payload, notes = noted(openai_chat, replace(ASK, reasoning_effort=effort), model, dialect=MISTRAL)
        assert payload.get("reasoning_effort") == written
        assert len(notes) == (written is None)


def test_the_name_of_an_answers_schema_is_its_title() -> None:
    schema = {"title": "City", "type": "object"}
    payload = openai_chat.to_payload(replace(ASK, response_schema=schema), model="m")
    assert payload["response_format"]["json_schema"]["name"] == "City"
    assert openai_chat.from_payload(payload).response_schema == schema


def test_what_stands_in_extra_beside_a_field_of_ones_own_is_joined_with_it() -> None:
    extra = {"reasoning": {"summary": "auto"}, "text": {"verbosity": "low"}}
    request = replace(ASK, model="m", reasoning_effort="low", response_schema={"type": "object"}, extra=extra)
    payload = openai_responses.to_payload(request, model="m")
    assert payload["reasoning"] == {"effort": "low", "summary": "auto"}
    assert payload["text"].keys() == {"format", "verbosity"}
    assert openai_responses.from_payload(payload) == request
    budget = {"output_config": {"task_budget": {"type": "tokens", "total": 20_000}}}
    written = anthropic.to_payload(replace(ASK, reasoning_effort="low", extra=budget), model="claude-opus-4-8")
    assert written["output_config"].keys() == {"effort", "task_budget"}
