"""Checks of other libraries and services: what they say comes out as findings.

The doubles have the signatures of presidio-analyzer 2.2.366, llm-guard 0.3.16 and llamafirewall 1.0.3; OpenAI's
moderation is a server here that speaks its protocol.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any

import pytest

from callboard import Finding, Guardrail, LlamaFirewallCheck, LlmGuardCheck, OpenAIModeration, PresidioCheck
from callboard.actors.agents.errors import DefinitionError, GuardrailTripped, RunFailed
from callboard.actors.testing.doubles.models import Script
from callboard.tools.errors import MissingExtra
from tests.agents.support import solo

# -- Presidio --------------------------------------------------------------------------------------------------------


@dataclass
class RecognizerResult:
    entity_type: str
    start: int
    end: int
    score: float


class AnalyzerEngine:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.threads: set[str] = set()

    def analyze(
        self, text: str, language: str, entities: list[str] | None = None, score_threshold: float | None = None
    ) -> list[RecognizerResult]:
        self.asked.append({"language": language, "entities": entities, "score_threshold": score_threshold})
        self.threads.add(threading.current_thread().name)
        at = text.find("Ann Smith")
        return [RecognizerResult("PERSON", at, at + 9, 0.85)] if at >= 0 else []


async def test_what_presidio_finds_is_found_with_its_kind_place_and_score() -> None:
    engine = AnalyzerEngine()
    check = PresidioCheck(engine, language="de", entities=["PERSON"], least=0.4)
    assert await check("I am Ann Smith.") == [Finding(5, 14, "person", 0.85)]
    assert await check("I am nobody.") == []
    assert engine.asked[0] == {"language": "de", "entities": ["PERSON"], "score_threshold": 0.4}
    assert threading.main_thread().name not in engine.threads


async def test_what_presidio_finds_is_redacted_like_any_finding() -> None:
    guard = Guardrail(PresidioCheck(AnalyzerEngine()), on={"output"}, action="redact")
    async with solo(Script(["Dear Ann Smith, hello"]), hooks=[guard]) as agency:
        assert (await agency.run("?")).text == "Dear [person], hello"


def test_without_an_analyzer_presidio_is_made_with_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("presidio_analyzer")
    module.AnalyzerEngine = AnalyzerEngine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    assert isinstance(PresidioCheck(), PresidioCheck)


# -- llm-guard -------------------------------------------------------------------------------------------------------


class BanSubstrings:
    def scan(self, prompt: str) -> tuple[str, bool, float]:
        return prompt.replace("rival", "[REDACTED]"), "rival" not in prompt, 1.0 if "rival" in prompt else -1.0


class NoRefusal:
    def scan(self, prompt: str, output: str) -> tuple[str, bool, float]:
        assert prompt == ""
        return output, "I cannot" not in output, 0.7


async def test_what_a_scanner_of_llm_guard_refuses_is_found_with_what_it_makes_of_the_text() -> None:
    check = LlmGuardCheck(BanSubstrings())
    assert await check("our rival") == [Finding(0, 9, "found by BanSubstrings", 1.0, "our [REDACTED]")]
    assert await check("our friend") == []
    guard = Guardrail(check, on={"input"}, action="redact")
    script = Script(["ok"])
    async with solo(script, hooks=[guard]) as agency:
        await agency.run("our rival")
    assert script.requests[0].messages[-1].text == "our [REDACTED]"


async def test_a_scanner_for_output_is_given_the_output() -> None:
    check = LlmGuardCheck(NoRefusal(), kind="refusal")
    assert await check("I cannot do that") == [Finding(0, 16, "refusal", 0.7)]
    assert await check("done") == []


# -- LlamaFirewall ---------------------------------------------------------------------------------------------------


class ScanDecision(Enum):
    ALLOW = "allow"
    HUMAN_IN_THE_LOOP_REQUIRED = "human_in_the_loop_required"
    BLOCK = "block"


class ScanStatus(Enum):
    SUCCESS = "success"
    ERROR = "error"


class Role(Enum):
    TOOL = "tool"
    USER = "user"
    ASSISTANT = "assistant"
    MEMORY = "memory"
    SYSTEM = "system"


@dataclass
class LlamaMessage:
    role: Role
    content: str


@dataclass
class ScanResult:
    decision: ScanDecision
    reason: str
    score: float
    status: ScanStatus = ScanStatus.SUCCESS


class LlamaFirewall:
    seen: list[LlamaMessage]

    def __init__(self) -> None:
        self.seen = []

    async def scan_async(self, input: LlamaMessage) -> ScanResult:
        self.seen.append(input)
        if "broken" in input.content:
            return ScanResult(ScanDecision.ALLOW, "error", 0.0, ScanStatus.ERROR)
        if "attack" in input.content:
            return ScanResult(ScanDecision.BLOCK, "prompt guard", 0.99)
        if "odd" in input.content:
            return ScanResult(ScanDecision.HUMAN_IN_THE_LOOP_REQUIRED, "alignment", 0.6)
        return ScanResult(ScanDecision.ALLOW, "default", 0.0)


@pytest.fixture
def llamafirewall(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("llamafirewall")
    module.LlamaFirewall, module.Message, module.Role = LlamaFirewall, LlamaMessage, Role  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llamafirewall", module)


@pytest.mark.usefixtures("llamafirewall")
async def test_what_llama_firewall_blocks_or_doubts_is_found() -> None:
    firewall = LlamaFirewall()
    check = LlamaFirewallCheck(firewall, role="tool")
    assert await check("an attack") == [Finding(0, 9, "blocked by LlamaFirewall", 0.99)]
    assert await check("odd") == [Finding(0, 3, "doubted by LlamaFirewall", 0.6)]
    assert await check("fine") == []
    assert {message.role for message in firewall.seen} == {Role.TOOL}


@pytest.mark.usefixtures("llamafirewall")
async def test_a_scanner_that_fails_in_llama_firewall_is_a_failure_and_no_yes() -> None:
    with pytest.raises(RunFailed, match="a scanner of LlamaFirewall has failed"):
        await LlamaFirewallCheck()("broken")
    async with solo(Script(["broken"]), hooks=[Guardrail(LlamaFirewallCheck(), on={"output"})]) as agency:
        with pytest.raises(GuardrailTripped, match="could not look at the output: RunFailed"):
            await agency.run("?")


# -- OpenAI's moderation ---------------------------------------------------------------------------------------------

CATEGORIES = [
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
]


class Moderation:
    """A server that answers as OpenAI's moderations endpoint does."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.failures: list[int] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")
        )
        body = json.loads(await reader.readexactly(length))
        self.requests.append((head, body))
        status = self.failures.pop(0) if self.failures else 200
        answer = json.dumps(self._answer(body["input"]) if status == 200 else {"error": {"message": "no"}}).encode()
        lines = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nretry-after-ms: 1\r\nconnection: close\r\n"
        writer.write(f"{lines}content-length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        writer.close()

    def _answer(self, text: str) -> dict[str, Any]:
        scores = {name: 0.9 if name.split("/")[0] in text else 0.1 for name in CATEGORIES}
        flags = {name: score > 0.5 for name, score in scores.items()}
        result = {
            "flagged": any(flags.values()),
            "categories": flags,
            "category_scores": scores,
            "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
        }
        return {"id": "modr-1", "model": "omni-moderation-latest", "results": [result]}


@pytest.fixture
async def moderation() -> AsyncIterator[Moderation]:
    made = Moderation()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield made


async def test_what_moderation_flags_is_found_once_for_each_category(moderation: Moderation) -> None:
    check = OpenAIModeration("sk-test", base_url=moderation.url)
    assert await check("violence!") == [Finding(0, 9, "violence", 0.9), Finding(0, 9, "violence/graphic", 0.9)]
    assert await check("peace") == []
    assert await check("") == []
    assert [body["model"] for _, body in moderation.requests] == ["omni-moderation-latest"] * 2
    assert moderation.requests[0][0].startswith("POST /v1/moderations ")
    assert "sk-test" not in repr(check)


async def test_categories_and_scores_may_be_chosen(moderation: Moderation) -> None:
    check = OpenAIModeration("k", base_url=moderation.url, categories=["violence"])
    assert [one.kind for one in await check("violence and hate")] == ["violence"]
    low = OpenAIModeration("k", base_url=moderation.url, categories=["hate"], least=0.05)
    assert [(one.kind, one.score) for one in await low("peace")] == [("hate", 0.1)]


async def test_what_fails_in_passing_is_asked_again_and_what_fails_for_good_ends_the_run(
    moderation: Moderation,
) -> None:
    guard = Guardrail(OpenAIModeration("k", base_url=moderation.url), on={"output"})
    async with solo(Script(["peace", "peace"]), hooks=[guard]) as agency:
        moderation.failures = [500, 429]
        assert (await agency.run("?")).text == "peace"
        moderation.failures = [401]
        with pytest.raises(GuardrailTripped, match="could not look at the output: AuthenticationError"):
            await agency.run("?")


# -- what is missing or wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [(PresidioCheck, "presidio_analyzer", "presidio"), (LlamaFirewallCheck, "llamafirewall", "llamafirewall")],
)
def test_without_the_package_it_says_what_to_install(
    make: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"callboard\[{extra}\]"):
        make()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: PresidioCheck(object()), "the analyzer is an AnalyzerEngine, not object"),
        (lambda: PresidioCheck(AnalyzerEngine(), entities="PERSON"), "entities are names"),
        (lambda: LlmGuardCheck(object()), "a scanner has scan\\(\\), and object has not"),
        (lambda: LlamaFirewallCheck(role="robot"), "role is one of user, assistant"),  # type: ignore[arg-type]
        (lambda: LlamaFirewallCheck(object()), "firewall is a LlamaFirewall, not object"),
        (lambda: OpenAIModeration(""), "needs a key"),
        (lambda: OpenAIModeration("k", least=3), "least is a number from 0 to 1"),
        (lambda: OpenAIModeration("k", categories="hate"), "categories are names"),
    ],
)
@pytest.mark.usefixtures("llamafirewall")
def test_what_cannot_be_is_refused_where_it_is_made(make: Any, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(DefinitionError, match=says):
        make()
