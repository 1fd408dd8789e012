"""The shape of a team file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from ....providers.config.fields import FileName, Names, Section, address, header, names, request_fields
from ....providers.config.llmfile import LlmConfig
from ....tools.tool import Autonomy
from ...journal.store import Retention
from ..handoffs.limits import HandoffLimits
from ..runs.runtime.approvals import WEEK
from ..turns.rules import Limits, check_limits
from ..wishes import SETTINGS
from .telemetry import TelemetryEntry


def _pair(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected a pair, as in [Sender, Receiver]")
    return value


def _mapping(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, Mapping | BaseModel):
        raise ValueError("expected a mapping of instructions, tools, handoffs, model")
    return handler(value)


def _team(value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("expected a mapping of agent names to agents, at least one")
    return value


def _limits(value: Limits) -> Limits:
    check_limits(value)
    if value.steps == 0 and not value.ask:
        raise ValueError("steps is 0; expected at least 1: without one there is no answer")
    return value


def _not_negative(value: Any) -> Any:
    for item in fields(value):
        number = getattr(value, item.name)
        if number is not None and number < 0:
            raise ValueError(f"{item.name} is {number}; expected a number not below 0")
    return value


def _settings(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, SETTINGS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(SETTINGS))}"
            raise ValueError(f"{name} is no setting; {hint}")
    batch = value.get("batch", False)
    if not isinstance(batch, bool):
        raise ValueError(f"batch is {batch!r}; expected true or false")
    headers = value.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(text, str) for text in (*headers, *headers.values())):
        raise ValueError("headers are wrong; expected a mapping of names to texts")
    header(headers)
    return {**value, **request_fields({name: value[name] for name in value if name not in ("batch", "headers")})}


def _journal(value: str) -> str:
    if "://" in value and not value.startswith(("postgres://", "postgresql://")):
        raise ValueError("expected the path of a file, or an address postgresql://…")
    return value


def _command(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise ValueError("expected a command and its arguments, as in [npx, my-server]")
    return value


_LABELS = "what text from outside may cause: risks, trusted, confidential, allowed, barred"


class AgentEntry(Section):
    """One agent of a team, as pure data."""

    instructions: str = Field("", description="a text, or the path of a .md file beside the team file")
    description: str = Field("", description="one sentence for the agents that may hand off to this one")
    model: str = Field("", description="a model's name, or nothing for what roles or the provider say")
    tools: Names = Field((), description="a list of tool names, and of functions as module:name")
    mcp: Names = Field((), description="a list of names from mcp_servers, whose tools it has")
    handoffs: Names = Field((), description="a list of agent names")
    autonomy: Autonomy = Field("autonomous", description="which tool calls wait for a person")
    scope: str | tuple[str, ...] = Field("all", description="who may ask it: a scope, or a list of them")
    owner: str | dict[str, str] = Field("", description="whose it is: a user, or {user: …, tenant: …}")
    output_type: str = Field("", description="the type of its answers as module:name")
    stop_when: str = Field("", description="the condition that ends its runs, as module:name")
    prepare_step: str = Field("", description="the function that plans its steps, as module:name")
    prompt: str = Field("", description="the prompt function that makes its steps, as module:name")
    context: str = Field("", description="what of a long conversation its model is shown, as module:name")
    plugins: Names = Field((), description="a list of the prompt function's plugins as module:name")
    hooks: Names = Field((), description="a list of hooks and guardrails as module:name")
    skills: Names = Field((), description="a list of skills by name, or as module:name")
    limits: Annotated[Limits, AfterValidator(_limits)] = Field(Limits(), description="what one run may use")
    settings: Annotated[dict[str, Any], AfterValidator(_settings)] = Field({}, description="temperature, max_tokens, …")
    defer_tools: bool = Field(False, description="whether the model searches for its tools, and is not shown them all")
    label_policy: dict[str, Any] | None = Field(None, description=_LABELS)


class SkillEntry(Section):
    """A skill, and what it is made with."""

    use: str = Field("", description="its name, or module:name; left out, the name that it is given here")
    settings: dict[str, Any] = Field({}, description="what it is made with; paths begin beside this file")


class GuardrailEntry(Section):
    """A guardrail: what it looks for, where, and what happens then."""

    find: tuple[Any, ...] = Field(description="a list of checks: a name, a name with its options, or module:name")
    where: Names = Field(("input", "output"), description="a list of the places where it looks")
    action: str = Field("block", description="what happens: block, redact, warn or ask")
    agents: Names = Field((), description="a list of the agents it is for; left out: all of them")


class PolicyEntry(Section):
    """Who may hand off to whom, and to which hosts, whatever flows and handoffs say."""

    agents: dict[str, Names] | None = Field(None, description="a mapping of senders to lists of targets")
    domains: Names | None = Field(None, description="a list of the domains where targets elsewhere may be")


class McpEntry(Section):
    """An MCP server: where it is, or how it is started."""

    url: Annotated[str, AfterValidator(address)] = Field("", description="its address (streamable HTTP)")
    command: Annotated[tuple[str, ...], BeforeValidator(_command)] = Field(
        (), description="a list: how it is started, in the folder of this file"
    )
    prefix: str = Field("", pattern=r"^[a-zA-Z0-9_-]*$", description="put before the names of its tools")
    timeout: float = Field(60.0, gt=0, description="seconds for connecting, and for each call")
    trust_hints: bool = Field(False, description="take its word for which of its tools only read")
    trusted: bool = Field(False, description="it is yours: what comes from it and goes to it stays with you")

    @model_validator(mode="after")
    def _one_of_both(self) -> McpEntry:
        if bool(self.url) == bool(self.command):
            raise ValueError("expected a url, or a command, one of them")
        return self


class TeamFile(LlmConfig):
    """A whole team file: the sections of ``llm.yaml``, or its name, and the agents."""

    agents: Annotated[dict[str, Annotated[AgentEntry, WrapValidator(_mapping)]], BeforeValidator(_team)] = Field(
        description="a mapping of agent names to agents"
    )
    flows: Annotated[tuple[Annotated[tuple[str, str], BeforeValidator(_pair)], ...], BeforeValidator(names)] = Field(
        (), description="a list of pairs: [sender, receiver]"
    )
    config: FileName = Field("", description="a file with the sections about models, such as llm.yaml, beside this one")
    on_usage: str = Field("", description="a function as module:name that is told of each call to a provider")
    shared_instructions: str = Field("", description="before every agent's own: a text, or the path of a .md file")
    skills: dict[str, SkillEntry] = Field({}, description="a mapping of names to skills that agents are given by name")
    guardrails: dict[str, GuardrailEntry] = Field({}, description="a mapping of names to guardrails")
    label_policy: dict[str, Any] | None = Field(None, description=_LABELS)
    handoff_policy: PolicyEntry | None = Field(None, description="who may hand off to whom: agents, domains")
    mcp_servers: dict[str, McpEntry] = Field({}, description="a mapping of names to MCP servers")
    journal: Annotated[FileName, AfterValidator(_journal)] = Field(
        "", description="a file beside this one, or postgresql://…"
    )
    retention: Annotated[Retention, AfterValidator(_not_negative)] | None = Field(
        None, description="how long finished conversations are kept"
    )
    handoff_limits: Annotated[HandoffLimits, AfterValidator(_not_negative)] = Field(
        HandoffLimits(), description="how far handoffs may go"
    )
    telemetry: TelemetryEntry | None = Field(None, description="spans and figures of what it does: {} for the usual")
    logs: Literal["text", "json"] = Field("text", description="how `callboard serve` writes its log: text or json")
    approvals_expire: float | None = Field(
        WEEK, ge=0, allow_inf_nan=False, description="seconds after which an undecided call is denied"
    )
