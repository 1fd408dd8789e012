"""Requests for content as Gemini's protocol has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ...messages import File, Request, ToolSpec
from .. import fields
from ..fitting import efforts
from ..fitting.models import bare_name
from ..fitting.names import GEMINI_NAMES, with_fitting_names
from ..fitting.sampling import fitted_stop
from ..schema import beside_tools
from .parts import contents, read_contents

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "seed": "seed",
}
_MOST_STOPS = 5
"""https://ai.google.dev/api/generate-content#generationconfig"""
# What Google's own compatible endpoint makes of an effort: https://ai.google.dev/gemini-api/docs/openai#thinking
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
_EFFORTS = {0: "none", 1_024: "low", 8_192: "medium", 24_576: "high"}


def path(model: str, call: str) -> str:
    """Where a call goes, below the base URL: ``/models/gemini-2.5-flash:generateContent``."""
    return f"/{quote(named(model))}:{call}"


def to_payload(request: Request, *, model: str, notes: list[str] | None = None) -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last, its tools behind
    those of the request. Model and streaming stand in the path.

    Args:
        request: what is asked.
        model: the model's name as the vendor knows it.
        notes: takes what had to be changed, for the caller to know.
    """
    notes = [] if notes is None else notes
    request = with_fitting_names(beside_tools(request, model, notes), GEMINI_NAMES, notes)
    system, turns = contents(request.messages, notes, signed=_thinks_in_levels(model))
    _note_what_is_lost(request, notes)
    payload: dict[str, Any] = {"contents": turns}
    if system:
        payload["systemInstruction"] = {"parts": system}
    config = {wire: value for name, wire in _SAMPLING.items() if (value := getattr(request, name)) is not None}
    if request.stop:
        config["stopSequences"] = fitted_stop(request.stop, _MOST_STOPS, notes)
    if request.response_schema is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = dict(request.response_schema)
    if (thinking := _thinking(request, model, notes)) is not None:
        config["thinkingConfig"] = thinking
    if config:
        payload["generationConfig"] = config
    theirs = list(request.extra.get("tools", ()))
    if request.tools:
        declared = [
            {
                "name": tool.name,
                "description": tool.description,
                **({"parametersJsonSchema": dict(tool.parameters)} if tool.parameters else {}),
            }
            for tool in request.tools
        ]
        theirs.insert(0, {"functionDeclarations": declared})
        if request.tool_choice != "auto":
            payload["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice)}
    if theirs:
        payload["tools"] = theirs
    payload.update((name, value) for name, value in request.extra.items() if name != "tools")
    return payload


def from_payload(payload: Mapping[str, Any]) -> Request:
    """The request a JSON body asks for, with the model of its path under ``model``; fields that are not known go to
    ``extra``.

    Raises:
        ValueError: the body is not a request for content; says which field and what was expected.
    """
    rest = dict(fields.mapping(payload, "body"))
    rest.pop("stream", None)
    messages = read_contents(rest.pop("systemInstruction", None), rest.pop("contents", None))
    config = dict(fields.mapping(rest.pop("generationConfig", None), "generationConfig"))
    thinking = fields.mapping(config.pop("thinkingConfig", None), "thinkingConfig")
    level = fields.text(thinking.get("thinkingLevel"), "thinkingConfig.thinkingLevel")
    budget = fields.maybe_number(thinking.get("thinkingBudget"), "thinkingConfig.thinkingBudget")
    effort = level.lower() or (_EFFORTS.get(int(budget)) if budget in _EFFORTS else None)
    tokens = int(budget) if budget is not None and budget > 0 and budget == budget // 1 and effort is None else None
    schema = config.pop("responseJsonSchema", None)
    if schema is not None:
        schema = fields.mapping(schema, "responseJsonSchema")
        config.pop("responseMimeType", None)
    stop = fields.texts(config.pop("stopSequences", None), "stopSequences")
    whole = ("top_k", "max_tokens", "seed")
    sampling: dict[str, Any] = {
        name: (fields.maybe_whole if name in whole else fields.maybe_number)(config.pop(wire, None), wire)
        for name, wire in _SAMPLING.items()
    }
    calling = fields.mapping(rest.pop("toolConfig", None), "toolConfig").get("functionCallingConfig")
    if config:
        rest["generationConfig"] = config
    return Request(
        messages,
        model=fields.text(rest.pop("model", None), "model").removeprefix("models/"),
        tools=_read_tools(rest),
        tool_choice=_read_calling(fields.mapping(calling, "functionCallingConfig")),
        stop=stop,
        response_schema=schema,
        reasoning_effort=effort or None,
        thinking_tokens=tokens,
        extra=rest,
        **sampling,
    )


def named(model: str) -> str:
    """A model's name as the protocol writes it: ``models/gemini-2.5-flash``."""
    return model if "/" in model else f"models/{model}"


def _thinks_in_levels(model: str) -> bool:
    """Whether a model is of the third generation or later: it is told levels in place of budgets, and refuses calls
    without a signature."""
    name = bare_name(model)
    generation = name.removeprefix("gemini-").partition("-")[0].partition(".")[0]
    return name.startswith("gemini-") and generation.isdecimal() and int(generation) >= 3


def _thinking(request: Request, model: str, notes: list[str]) -> dict[str, Any] | None:
    """How much the model shall think, in the words it takes; None if nothing is to be said."""
    effort, tokens = request.reasoning_effort, request.thinking_tokens
    if _thinks_in_levels(model) and tokens is not None:
        notes.append("the model takes no number of thinking tokens: left out")
        tokens = None
    if effort is None and tokens is None:
        return None
    if efforts.levels(model) == ():
        if tokens or effort not in (None, "none"):
            notes.append("the model does not think: the reasoning was left out")
        return None
    if _thinks_in_levels(model):
        level = efforts.fitted(effort or "", model, notes)
        return {"thinkingLevel": level} if effort == "none" else {"thinkingLevel": level, "includeThoughts": True}
    wanted = tokens if tokens is not None else _BUDGETS.get(effort or "", -1)
    budget = wanted if wanted < 0 else _budget(wanted, request.max_tokens, efforts.budget(model))
    if budget != wanted:
        notes.append(f"the model cannot think for {wanted} tokens here: {budget} in place of them")
    return {"thinkingBudget": budget, "includeThoughts": True} if budget else {"thinkingBudget": 0}


def _budget(wanted: int, max_tokens: int | None, able: efforts.Budget) -> int:
    """The number of tokens next to `wanted` that the model takes, below those of its whole answer."""
    most = able.most if max_tokens is None else min(able.most, max_tokens - 1)
    if able.off and (wanted == 0 or most < able.least):
        return 0
    return max(able.least, min(wanted, most))


def _note_what_is_lost(request: Request, notes: list[str]) -> None:
    named = any(
        isinstance(part, File) and part.name
        for message in request.messages
        if not isinstance(message.content, str)
        for part in message.content
    )
    lost = {
        "user": request.user is not None,
        "parallel_tool_calls": bool(request.tools) and not request.parallel_tool_calls,
        "strict": any(tool.strict for tool in request.tools),
        "names of files": named,
    }
    if names := ", ".join(name for name, is_lost in lost.items() if is_lost):
        notes.append(f"Gemini's protocol has no place for {names}: left out")


def _calling(choice: str) -> dict[str, Any]:
    if choice == "none":
        return {"mode": "NONE"}
    return {"mode": "ANY"} if choice == "required" else {"mode": "ANY", "allowedFunctionNames": [choice]}


def _read_calling(config: Mapping[str, Any]) -> str:
    names = fields.texts(config.get("allowedFunctionNames"), "allowedFunctionNames")
    if len(names) == 1:
        return names[0]
    return {"NONE": "none", "ANY": "required"}.get(str(config.get("mode")), "auto")


def _read_tools(rest: dict[str, Any]) -> tuple[ToolSpec, ...]:
    """The tools of one's own; those that the vendor runs stay in `rest`."""
    own: list[ToolSpec] = []
    theirs: list[Any] = []
    for tool in fields.mappings(rest.pop("tools", None), "tools"):
        for one in fields.mappings(tool.get("functionDeclarations"), "functionDeclarations"):
            name = fields.text(one.get("name"), "functionDeclarations.name")
            if not name:
                raise fields.WrongField("functionDeclarations.name: expected the tool's name")
            schema = fields.mapping(one.get("parametersJsonSchema") or one.get("parameters"), f"parameters of {name}")
            own.append(ToolSpec(name, fields.text(one.get("description"), f"description of {name}"), schema))
        if more := {key: item for key, item in tool.items() if key != "functionDeclarations"}:
            theirs.append(more)
    if theirs:
        rest["tools"] = theirs
    return tuple(own)
