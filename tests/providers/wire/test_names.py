"""Names that models and people make up fit the vendor, and many calls of one id are told apart."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from callboard.providers.messages import Message, Request, ToolCall
from callboard.providers.wire import anthropic, gemini, openai_chat, openai_responses
from tests.providers.wire.test_fitting import ASK, TOOL, Json, noted

MADE_UP = ["default_api.count words", "functions.look", "mcp:srv/tool", "a" * 70, "", "7up"]
NAMES = {
    anthropic: r"[a-zA-Z0-9_-]{1,128}",
    openai_chat: r"[a-zA-Z0-9_-]{1,64}",
    openai_responses: r"[a-zA-Z0-9_-]{1,64}",
    gemini: r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}",
}


def names_in(module: Any, payload: Json) -> list[str]:
    """The names of all calls and results in a payload."""
    if module is gemini:
        parts = [part for turn in payload["contents"] for part in turn["parts"]]
        return [part[kind]["name"] for kind in ("functionCall", "functionResponse") for part in parts if kind in part]
    if module is anthropic:
        blocks = [block for turn in payload["messages"] for block in turn["content"]]
        return [block["name"] for block in blocks if block["type"] == "tool_use"]
    if module is openai_chat:
        calls = [call for message in payload["messages"] for call in message.get("tool_calls", ())]
        return [call["function"]["name"] for call in calls]
    return [item["name"] for item in payload["input"] if item.get("type") == "function_call"]


@pytest.mark.parametrize("module", NAMES)
@pytest.mark.parametrize("name", MADE_UP)
def test_a_name_that_a_model_made_up_fits_the_vendor_and_is_always_the_same(module: Any, name: str) -> None:
    calls = [(ToolCall(f"c{n}", name, "{}"), Message("tool", "no", tool_call_id=f"c{n}", name=name)) for n in range(2)]
    messages = [message for call, said in calls for message in (Message("assistant", "", (call,)), said)]
    payload, notes = noted(module, Request((*ASK.messages, *messages), tools=(TOOL,)))
    made = set(names_in(module, payload))
    assert len(made) == 1
    assert re.fullmatch(NAMES[module], made.pop())
    assert len(notes) == (re.fullmatch(NAMES[module], name) is None)


def test_a_name_of_the_requests_own_tools_stays() -> None:
    call = Message("assistant", "", (ToolCall("c", "srv.look", "{}"),))
    own = replace(TOOL, name="srv.look")
    request = Request((*ASK.messages, call, Message("tool", "r", tool_call_id="c")), tools=(own,))
    payload, notes = noted(openai_chat, request)
    assert names_in(openai_chat, payload) == ["srv.look"]
    assert notes == []


def test_a_call_whose_name_was_made_to_fit_keeps_its_signature() -> None:
    parts = [{"functionCall": {"id": "c", "name": "count words", "args": {}}, "thoughtSignature": "s"}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    answer = gemini.from_response(body).message
    payload = gemini.to_payload(Request((*ASK.messages, answer, Message("tool", "r", tool_call_id="c"))), model="m")
    assert payload["contents"][1]["parts"] == [
        {"functionCall": {"id": "c", "name": "count_words", "args": {}}, "thoughtSignature": "s"}
    ]


def test_what_a_hook_changed_is_still_changed_once_a_name_was_made_to_fit() -> None:
    call = {"functionCall": {"id": "c", "name": "count words", "args": {}}, "thoughtSignature": "s"}
    parts = [{"text": "Secret."}, {"text": "Say it.", "thoughtSignature": "t"}, call]
    answer = gemini.from_response({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}).message
    changed = replace(answer, content="[left out]")
    payload = gemini.to_payload(Request((*ASK.messages, changed, Message("tool", "r", tool_call_id="c"))), model="m")
    assert payload["contents"][1]["parts"] == [
        {"text": "[left out]"},
        {"functionCall": {"id": "c", "name": "count_words", "args": {}}, "thoughtSignature": "s"},
    ]


def test_a_tool_that_anthropic_is_told_of_has_the_name_that_its_calls_have() -> None:
    call = Message("assistant", "", (ToolCall("c", "count words", "{}"),))
    payload, _ = noted(anthropic, Request((*ASK.messages, call, Message("tool", "r", tool_call_id="c"))))
    assert [tool["name"] for tool in payload["tools"]] == names_in(anthropic, payload) == ["count_words"]


@pytest.mark.parametrize(("name", "sent"), [("Ada Lovelace", "Ada_Lovelace"), ("Zoë", "Zoë"), ("a</b>|c", "a__b__c")])
def test_the_name_of_a_speaker_is_one_that_openai_takes(name: str, sent: str) -> None:
    payload, notes = noted(openai_chat, Request((Message("user", "x", name=name),) * 2))
    assert [message["name"] for message in payload["messages"]] == [sent, sent]
    assert len(notes) == (sent != name)


@pytest.mark.parametrize("module", NAMES)
def test_many_calls_with_one_id_cost_no_more_than_their_number(module: Any) -> None:
    def steps(many: int) -> int:
        calls = (ToolCall("same", "look", "{}"),) * many
        results = (Message("tool", "r", tool_call_id="same"),) * many
        request = Request((*ASK.messages, Message("assistant", "", calls), *results), tools=(TOOL,))
        count = 0

        def step(*_: Any) -> None:
            nonlocal count
            count += 1

        sys.setprofile(step)
        try:
            module.to_payload(request, model="m")
        finally:
            sys.setprofile(None)
        return count

    assert steps(200) < 3 * steps(100)
