"""What the page shows as code works as it stands there."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from pydantic import SecretStr

import callboard
from callboard.providers.messages import Completion, Message, Request
from callboard.providers.pool import Endpoint, Health, Pool, PoolStats, control
from callboard.providers.simulated import SimulatedProvider
from tests.pages.page import ROOT, Page

from .conftest import openai_spec

PAGE = Page("providers/README.md").text
SENT = re.findall(r"`(pool\.ask\(.*?\))`", PAGE.partition("| sent |")[2].partition("\n\n")[0])


async def test_each_message_is_sent_as_the_page_says() -> None:
    known: dict[str, Any] = {name: getattr(callboard, name) for name in callboard.__all__}
    known |= {"SecretStr": SecretStr, "request": Request((Message("user", "hello"),))}
    answers: dict[str, Any] = {}
    hi = Completion(Message("assistant", "hi"), "stop")
    async with SimulatedProvider(hi) as server, callboard.System("page") as system:
        known["spec"] = spec = openai_spec(server, name="acme")
        known["pool"] = system.supervise(Pool.spec([Endpoint.of(spec)]))
        for sent in SENT:
            answers[sent.partition("ask(")[2].partition("(")[0]] = await eval(sent, known)
    assert answers.pop("Submit").message.text == "hi"
    assert [type(answers.pop(name)) for name in ("Probe", "GetHealth", "GetStats")] == [Health, Health, PoolStats]
    assert answers == {
        "SwitchProvider": "",
        "CheckBudgets": None,
        "RotateKey": "acme",
        "AddEndpoint": "acme",
        "SetBudget": 0.0,
        "GetServing": ("acme",),
        "RaiseBudget": 0.0,
        "DrainEndpoint": None,
        "ResumeEndpoint": None,
        "RemoveEndpoint": True,
    }


def test_each_example_of_the_page_is_there() -> None:
    named = re.findall(r"`(\w+\.py)`", PAGE.partition("Examples, each")[2].partition("\n\n")[0])
    assert "switching.py" in named
    assert [name for name in named if not (ROOT / "tests" / "examples" / name).exists()] == []


def test_every_message_of_the_pool_stands_in_the_table() -> None:
    messages = {
        name for name, one in vars(control).items() if inspect.isclass(one) and one.__module__ == control.__name__
    }
    untold = {name for name in messages if f"ask({name}(" not in "".join(SENT)}
    assert untold == {"FanOut"}, "that one has a part of its own"


def test_what_the_page_names_is_imported_from_callboard() -> None:
    loaded = [vars(module) for name, module in list(sys.modules.items()) if name.startswith("callboard.providers")]
    ours = {name for names in loaded for name, one in names.items() if getattr(one, "__name__", "") == name}
    named = {name for span in re.findall(r"`([^`\n]+)`", PAGE) for name in re.findall(r"\b[A-Z]\w+", span)} & ours
    assert "RotateKey" in named
    not_meant = {"AsyncAzureOpenAI", "Planner", "SecretStr"}
    assert named - set(callboard.__all__) - not_meant == {"EmbeddingLimit", "EndpointCounts", "Exhausted"}
