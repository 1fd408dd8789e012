"""Gemini's own protocol: https://ai.google.dev/api/generate-content

Google's client is not used: it reads a thought signature into bytes and writes it in another alphabet of base64
(``+/`` comes back as ``-_``), and drops parts whose kind it does not know (google-genai 3.6). Here the parts of an
answer are kept as they came, in their order, and go back unchanged:
https://ai.google.dev/gemini-api/docs/thought-signatures

What the protocol has no place for is left out, and noted: ``user``, ``parallel_tool_calls``, ``ToolSpec.strict``, names
of files. Names of speakers, cache marks (caching is automatic there), and how closely to look at a picture, go unnoted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ..messages import Completion, Delta, File, FinishReason, Request, ToolSpec, Usage
from . import efforts, fields
from .failures import cut, from_event, malformed
from .gemini_parts import appended, contents, read_answer, read_contents, spoken_parts
from .pieces import pieces

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
_FAILED = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"})
"""Reasons that mean: the model wrote something that is no answer. Asked again, it may do better."""
_REASONS: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "pause": "STOP",
}
_KNOWN = ("candidates", "usageMetadata", "modelVersion", "responseId", "promptFeedback", "createTime")
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "seed": "seed",
}
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
    system, turns = contents(request.messages, notes, signed=_thinks_in_levels(model))
    _note_what_is_lost(request, notes)
    payload: dict[str, Any] = {"contents": turns}
    if system:
        payload["systemInstruction"] = {"parts": system}
    config = {wire: value for name, wire in _SAMPLING.items() if (value := getattr(request, name)) is not None}
    if request.stop:
        config["stopSequences"] = list(request.stop)
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
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": dict(tool.parameters)}
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


def from_response(body: Any, *, provider: str = "") -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error, or is not the protocol (`MalformedResponse`).
    """
    assembler = Assembler(provider=provider)
    assembler.feed(body)
    if not assembler.finished:
        raise malformed("JSON without a candidate that has a finish reason", provider=provider)
    return assembler.completion()


def to_response(completion: Completion, *, id: str) -> dict[str, Any]:
    """The response a server sends for `completion`."""
    reason = _REASONS[completion.finish_reason]
    return {
        "candidates": [_candidate(spoken_parts(completion.message), reason)],
        "usageMetadata": write_usage(completion.usage),
        "modelVersion": completion.model,
        "responseId": id,
    }


def to_events(completion: Completion, *, id: str, size: int = 16) -> Iterator[dict[str, Any]]:
    """The chunks a server streams for `completion`, text in pieces of `size` characters; a part with a signature comes
    in one piece, because a signature belongs to its whole part."""
    common = {"modelVersion": completion.model, "responseId": id}
    for part in spoken_parts(completion.message):
        divisible = set(part) <= {"text", "thought"}
        for piece in [{**part, "text": text} for text in pieces(part["text"], size)] if divisible else [part]:
            yield {"candidates": [_candidate([piece])], **common}
    reason = _REASONS[completion.finish_reason]
    yield {"candidates": [_candidate([], reason)], "usageMetadata": write_usage(completion.usage), **common}


class Assembler:
    """Builds the completion from a stream's chunks, each a whole response, and says what each one adds."""

    def __init__(self, *, provider: str = "") -> None:
        self._provider = provider
        self._parts: list[dict[str, Any]] = []
        self._calls = 0
        self._prefix = ""
        self._reason = ""
        self._blocked = ""
        self._usage = Usage()
        self._extra: dict[str, Any] = {}
        """What stands beside the message: grounding, safety ratings, citations, logprobs."""
        self._model = ""
        self._id = ""
        # No chunk says that it is the last: usage, and even a signature, may come after the finish reason.
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come, or that the prompt was blocked."""
        return bool(self._reason or self._blocked)

    def feed(self, chunk: Any, name: str = "") -> list[Delta]:
        """Take one chunk (`name` is the event's name, which this protocol does not use).

        Raises:
            ProviderError: the chunk is an error, or not the protocol.
        """
        if isinstance(chunk, Mapping) and chunk.get("error"):
            raise from_event(chunk["error"], provider=self._provider, request_id=self._id)
        try:
            return self._fed(fields.mapping(chunk, "body"))
        except fields.WrongField as wrong:
            problem = str(wrong)
        raise malformed(problem, provider=self._provider)

    def end(self) -> None:
        """The stream has ended in good order; this protocol has no word for that."""

    def _fed(self, chunk: Mapping[str, Any]) -> list[Delta]:
        self._id = self._id or fields.name(chunk.get("responseId"))
        self._model = self._model or fields.name(chunk.get("modelVersion"))
        if chunk.get("usageMetadata") is not None:
            self._usage = read_usage(chunk["usageMetadata"])
        feedback = fields.mapping(chunk.get("promptFeedback"), "promptFeedback")
        self._blocked = fields.text(feedback.get("blockReason"), "promptFeedback.blockReason") or self._blocked
        candidates = fields.mappings(chunk.get("candidates"), "candidates")
        candidate = candidates[0] if candidates else {}
        content = fields.mapping(candidate.get("content"), "content")
        parts = fields.mappings(content.get("parts"), "content.parts")
        for number, part in enumerate(parts):
            fields.text(part.get("text"), f"content.parts[{number}].text")
            call = fields.mapping(part.get("functionCall"), f"content.parts[{number}].functionCall")
            fields.mapping(call.get("args"), f"content.parts[{number}].functionCall.args")
            blob = fields.mapping(part.get("inlineData"), f"content.parts[{number}].inlineData")
            for name in ("mimeType", "data"):
                fields.text(blob.get(name), f"content.parts[{number}].inlineData.{name}")
        self._reason = fields.text(candidate.get("finishReason"), "finishReason") or self._reason
        for source, known in ((chunk, _KNOWN), (candidate, ("content", "finishReason", "index"))):
            self._extra.update(fields.rest(source, *known))
        self._parts = appended(self._parts, parts)
        return [delta for part in parts for delta in self._said(part)]

    def _said(self, part: Mapping[str, Any]) -> list[Delta]:
        if isinstance(part.get("functionCall"), Mapping):
            if not self._calls:
                self._prefix = self._id  # whatever comes later, the completion names the calls as the deltas did
            index, self._calls = self._calls, self._calls + 1
            made = read_answer([part], self._prefix, index).tool_calls[0]
            return [Delta(tool_index=index, tool_id=made.id, tool_name=made.name, tool_arguments=made.arguments)]
        text = part.get("text")
        if not isinstance(text, str) or not text:
            return []
        return [Delta(reasoning=text) if part.get("thought") else Delta(text=text)]

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: no finish reason has come.
            MalformedResponse: the model wrote something that is no answer.
        """
        if not self.finished:
            raise cut(provider=self._provider, request_id=self._id)
        if self._reason in _FAILED:
            raise malformed(f"finish reason {self._reason}", provider=self._provider, request_id=self._id)
        message = read_answer(self._parts, self._prefix)
        finish = _FINISH.get(self._reason, "stop")
        if self._blocked and not self._reason:
            finish = "content_filter"
        return Completion(
            message,
            "tool_calls" if message.tool_calls and finish == "stop" else finish,
            self._usage,
            model=self._model,
            provider=self._provider,
            request_id=self._id,
            notes=(f"the prompt was blocked: {self._blocked}",) if self._blocked else (),
            extra=self._extra,
        )


def read_usage(usage: Any) -> Usage:
    """Usage as the protocol writes it: there what the model thought is not part of its answer's tokens.

    Raises:
        WrongField: it is not the protocol.
    """
    given = fields.mapping(usage, "usageMetadata")
    prompt, tools, said, thought, cached = (
        fields.count(given.get(f"{name}TokenCount"), f"usageMetadata.{name}TokenCount")
        for name in ("prompt", "toolUsePrompt", "candidates", "thoughts", "cachedContent")
    )
    return Usage(prompt + tools, said + thought, cached, reasoning_tokens=thought)


def write_usage(usage: Usage) -> dict[str, int]:
    """Usage as the protocol writes it."""
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "totalTokenCount": usage.total_tokens,
    }


def named(model: str) -> str:
    """A model's name as the protocol writes it: ``models/gemini-2.5-flash``."""
    return model if "/" in model else f"models/{model}"


def _candidate(parts: list[dict[str, Any]], reason: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    return {**candidate, "finishReason": reason} if reason else candidate


def _thinks_in_levels(model: str) -> bool:
    """Whether a model is of the third generation or later: it is told levels in place of budgets, and refuses calls
    without a signature."""
    name = model.rpartition("/")[2]
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
