"""The neutral types every provider speaks: plain frozen values, no vendor, no I/O.

``wire/`` maps them to and from each vendor's protocol; agents, tools and the pool know only these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "pause"]
"""Why a model stopped. ``pause``: the vendor's own tools took long, and it wants to be asked again with what came."""
CacheMark: TypeAlias = bool | Literal["5m", "1h"]
"""Whether the prefix that ends here is to be cached, where the vendor needs a mark, and for how long; True for the
vendor's usual time."""
ToolChoice: TypeAlias = Literal["auto", "none", "required"] | str
"""``auto``, ``none``, ``required``, or the name of the one tool the model must call."""


@dataclass(frozen=True, slots=True)
class Text:
    """A run of text inside a message of several parts.

    Args:
        text: the text.
        cache: mark the prefix up to this part for prompt caching.
    """

    text: str
    cache: CacheMark = False

    def __repr__(self) -> str:
        """How much, never what: errors and logs show parts."""
        return f"Text({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Image:
    """A picture inside a message.

    Args:
        url: an ``https:`` address or a ``data:`` URL with base64 content.
        detail: how closely the model should look, where the vendor knows the notion.
        cache: mark the prefix up to this part for prompt caching.
    """

    url: str = field(repr=False)
    detail: Literal["auto", "low", "high", "original"] = "auto"
    cache: CacheMark = False


@dataclass(frozen=True, slots=True)
class File:
    """A document inside a message: a PDF, a text, whatever the vendor reads.

    Args:
        url: an ``https:`` address or a ``data:`` URL with base64 content and its media type.
        name: its name, where the vendor shows it to the model.
        cache: mark the prefix up to this part for prompt caching.
    """

    url: str = field(repr=False)
    name: str = ""
    cache: CacheMark = False


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound inside a message.

    Args:
        url: a ``data:`` URL with base64 content and its media type, such as ``audio/wav`` or ``audio/mpeg``.
        transcript: what is said in it, where a model made it.
    """

    url: str = field(repr=False)
    transcript: str = ""


Part: TypeAlias = Text | Image | File | Audio


def kind_of(part: Part) -> str:
    """What a part is, in a word."""
    return "picture" if isinstance(part, Image) else "file" if isinstance(part, File) else "sound"


def shown(content: str | tuple[Part, ...]) -> str:
    """A content as one text for people and logs: what is no text is named in its place, as ``[file report.pdf]``."""
    if isinstance(content, str):
        return content
    return "\n".join(
        part.text if isinstance(part, Text) else f"[{kind_of(part)} {getattr(part, 'name', '')}".rstrip() + "]"
        for part in content
    )


@dataclass(frozen=True, slots=True)
class VendorState:
    """What a vendor said in a form of its own, to be sent back to it, and to nobody else.

    Signed or encrypted reasoning, server tools and their results, citations, the order of it all: vendors want them
    back as they were, and refuse those of others. What stands in the message's neutral fields is only referred to.

    Args:
        origin: the protocol, and the vendor where several speak it: ``anthropic``, ``openai.responses``,
            ``openai.chat:openrouter.ai``.
        content: JSON that only the wire mapping of that protocol reads.
    """

    origin: str
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Labels:
    """Where a text is from, and what of it must not go everywhere.

    Labels are joined, never taken away: what is made of two texts has those of both.

    Args:
        untrusted: who outside has written of it, such as ``tool WebFetch``; empty if nobody has, or who has is trusted.
        confidential: as what it is confidential, such as ``salaries``; empty if it is not.

    Raises:
        ValueError: one of them is not a set of texts.
    """

    untrusted: frozenset[str] = frozenset()
    confidential: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("untrusted", "confidential"):
            given: object = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise ValueError(f"Labels.{name} is a set of texts, not {given!r:.80}")
            texts = frozenset(given)
            if not all(isinstance(text, str) for text in texts):
                raise ValueError(f"Labels.{name} is a set of texts, not {given!r:.80}")
            object.__setattr__(self, name, texts)

    def __or__(self, other: Labels) -> Labels:
        """Those of both."""
        if not (other.untrusted or other.confidential) or other == self:
            return self
        return Labels(self.untrusted | other.untrusted, self.confidential | other.confidential)

    def __bool__(self) -> bool:
        return bool(self.untrusted or self.confidential)


UNLABELLED = Labels()
"""Of text that is trusted and not confidential."""


@lru_cache(1024)
def labels_of_tool(name: str) -> Labels:
    """The labels of a tool's results where nobody has said any."""
    return Labels(frozenset({f"tool {name}"}))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's request to run one tool.

    Args:
        id: the vendor's identifier; the result must carry the same one.
        name: the tool's name.
        arguments: the arguments as the model wrote them: JSON text, not yet validated.
    """

    id: str
    name: str
    arguments: str

    def __repr__(self) -> str:
        """Which call, never with what: errors and logs show calls."""
        return f"ToolCall({self.id!r}, {self.name!r}, {len(self.arguments)} characters)"

    def parsed(self) -> dict[str, Any]:
        """Return the arguments as a dictionary.

        Raises:
            ValueError: the text is not a JSON object.
        """
        try:
            value = json.loads(self.arguments or "{}")
        except RecursionError:
            raise ValueError(f"arguments of tool call {self.name!r} have too many levels") from None
        if not isinstance(value, dict):
            raise ValueError(f"arguments of tool call {self.name!r} are {type(value).__name__}, not an object")
        return value


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation.

    Args:
        role: who speaks.
        content: the text, or parts in order.
        tool_calls: what an assistant message asks to run.
        tool_call_id: for role ``tool``: the call this is the result of.
        name: for role ``tool`` the tool's name; otherwise an optional name of the speaker.
        is_error: for role ``tool``: the result describes a failure.
        reasoning: the model's visible reasoning, where the vendor returns it.
        cache: mark the prefix up to this message for prompt caching.
        state: what the vendor wants back that the other fields cannot say; None if they say it all. Where they were
            changed since, what of it no longer fits is left out.
        labels: where it is from, and what of it must not go everywhere, where that is not what its role says: results
            of tools are untrusted, everything else is trusted, and nothing is confidential. No vendor is told.

    Raises:
        ValueError: there is no such role.
    """

    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool = False
    reasoning: str = ""
    cache: CacheMark = False
    state: VendorState | None = None
    labels: Labels | None = None

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant", "tool", "system"):
            raise ValueError(f"role is {self.role!r:.40}; expected system, user, assistant or tool")

    def __repr__(self) -> str:
        """Who speaks and how much, never what: errors and logs show messages."""
        calls = f", {len(self.tool_calls)} tool calls" if self.tool_calls else ""
        return f"Message({self.role!r}, {len(self.text)} characters{calls})"

    @property
    def text(self) -> str:
        """The message's text, parts joined, pictures, files and sound left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool.

    Args:
        name: its name.
        description: what it does.
        parameters: the JSON schema of its arguments, an object.
        strict: the vendor shall hold the model to the schema, where it can; it must allow that then.
        cache: mark the tools up to this one for prompt caching.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False
    cache: CacheMark = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one completion. ``input_tokens`` includes what was read from or written to a prompt cache;
    ``output_tokens`` includes reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to make.

    Args:
        messages: the conversation so far; system messages may stand anywhere.
        model: a model name as `resolve` understands it, or empty for the provider's default.
        tools: what the model may call.
        tool_choice: whether and what it must call.
        max_tokens: limit on output tokens.
        temperature, top_p, top_k, frequency_penalty, presence_penalty, seed, stop: sampling, as the vendors name them.
        reasoning_effort: ``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh``, where the model reasons.
        thinking_tokens: how many tokens it may reason for, where the vendor takes a number.
        max_retries: how often it may be sent again after a failure, in place of what the pool's endpoints say; 0 for
            never. It is not sent to the vendor.
        response_schema: a JSON schema the answer must fit (structured output).
        parallel_tool_calls: whether several tools may be asked for at once.
        user: an opaque end-user identifier passed to the vendor.
        headers: extra HTTP headers.
        extra: vendor fields sent as they are. Tools in it (those that the vendor runs itself) join `tools`.
    """

    messages: tuple[Message, ...]
    model: str = ""
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = "auto"
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    response_schema: Mapping[str, Any] | None = None
    parallel_tool_calls: bool = True
    user: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)
    thinking_tokens: int | None = None
    max_retries: int | None = None

    def __repr__(self) -> str:
        """How much is asked of which model, never what: errors and logs show requests."""
        size = sum(len(message.text) for message in self.messages)
        return f"Request({len(self.messages)} messages of {size} characters, model={self.model!r})"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a vendor's response headers said of its limits; None where they said nothing.

    Args:
        requests_limit, tokens_limit: what is allowed per window (the vendors' windows are mostly a minute).
        requests_remaining, tokens_remaining: what is left in this window.
        requests_reset, tokens_reset: seconds until the window is full again.
        input_tokens_limit and so on: the same of input and of output tokens, where they are limited apart.
    """

    requests_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset: float | None = None
    tokens_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset: float | None = None
    input_tokens_limit: int | None = None
    input_tokens_remaining: int | None = None
    input_tokens_reset: float | None = None
    output_tokens_limit: int | None = None
    output_tokens_remaining: int | None = None
    output_tokens_reset: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer.

    Args:
        message: the assistant's message.
        finish_reason: why the model stopped. A completion without one is never built: a cut answer is an error.
        usage: tokens as the vendor counted them.
        model: the model that answered, as the vendor names it.
        provider: the name of the provider that answered.
        request_id: the vendor's identifier of the request.
        latency: seconds from sending to the last byte.
        cost: price in US dollars, where known.
        notes: what was changed on the way (failover, a lesser model, a capability that was dropped), for the caller.
        limits: what the response's headers said of the vendor's rate limits.
        extra: what the vendor said beside the message and has no field here, by the vendor's names: logprobs, the
            service tier, a moderation, search results.
    """

    message: Message
    finish_reason: FinishReason
    usage: Usage = Usage()
    model: str = ""
    provider: str = ""
    request_id: str = ""
    latency: float = 0.0
    cost: float | None = None
    notes: tuple[str, ...] = ()
    limits: RateLimits | None = field(default=None, compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of a streamed answer. Exactly one `Delta` with a ``completion`` ends a whole stream.

    Args:
        text: text to append.
        reasoning: visible reasoning to append.
        tool_index: which tool call this piece belongs to, counted from 0.
        tool_id, tool_name: set on the first piece of a tool call; where a name comes in two, the rest on a later one.
        tool_arguments: JSON text to append to that call's arguments.
        completion: the whole answer, on the last delta only.
        restart: forget all pieces that came before: the answer begins anew, perhaps from another model. It comes only
            while no text has come.
    """

    text: str = ""
    reasoning: str = ""
    tool_index: int | None = None
    tool_id: str = ""
    tool_name: str = ""
    tool_arguments: str = ""
    completion: Completion | None = None
    restart: bool = False

    def __repr__(self) -> str:
        """What kind of piece and how much, never what: errors and logs show pieces."""
        shown = []
        for name in self.__slots__:
            value = getattr(self, name)
            if name in ("text", "reasoning", "tool_arguments") and value:
                shown.append(f"{name}={len(value)} characters")
            elif value not in ("", None, False) or (name == "tool_index" and value is not None):
                shown.append(f"{name}={value!r}")
        return f"Delta({', '.join(shown)})"
