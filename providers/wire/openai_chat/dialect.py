"""How vendors' copies of the protocol differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a vendor's copy of the protocol differs from OpenAI's.

    Args:
        max_tokens: the name of the field that limits output tokens.
        drops: what the vendor refuses or does not know: names of `Request` fields, and ``images``, ``files``,
            ``audio`` in messages; it is left out.
        stream_usage: whether ``stream_options.include_usage`` must be asked for.
        call_ids: a regular expression that the ids of tool calls must match.
        user_last: whether a user or a tool must speak last, and none may follow a tool's result but the assistant.
        unsigned: the signature that stands for that of a call which another vendor's model made.
        cache_marks: whether ``cache_control`` marks a part for prompt caching.
        stops: how many stop sequences the vendor takes; 0 for any number.
        file_urls: whether a file may be given by its address.
        efforts: the vendor's words for reasoning efforts that it calls otherwise, as pairs.
        reasoners: a regular expression that finds the models which take a reasoning effort; empty for all.
    """

    max_tokens: str = "max_completion_tokens"
    drops: frozenset[str] = frozenset({"top_k"})
    stream_usage: bool = True
    call_ids: str = r"[^\x00-\x1f\x7f]{1,40}"
    user_last: bool = False
    unsigned: str = ""
    cache_marks: bool = False
    file_urls: bool = False
    efforts: tuple[tuple[str, str], ...] = ()
    reasoners: str = ""
    stops: int = 4


OPENAI = Dialect()
