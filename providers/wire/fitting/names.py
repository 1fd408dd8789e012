"""Names in a history that the vendor refuses, though a model has made them up: `default_api.count words`."""

from __future__ import annotations

import re
from dataclasses import replace

from ...messages import Message, Request
from ..state import resealed

OPENAI_NAMES = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Names of tools as OpenAI and its copies take them."""
ANTHROPIC_NAMES = re.compile(r"[a-zA-Z0-9_-]{1,128}")
"""https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use"""
GEMINI_NAMES = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
"""https://ai.google.dev/api/caching#FunctionDeclaration"""
_OF_A_TOOL = re.compile(r"[^a-zA-Z0-9_-]")
_OF_A_SPEAKER = re.compile(r"[\s<|\\/>]")
_LONGEST = 64


def with_fitting_names(request: Request, pattern: re.Pattern[str], notes: list[str]) -> Request:
    """`request` with names of called tools that match `pattern`, in call and result alike, always the same.

    Names of the request's own tools stay: the vendor takes them in a history if it takes the tools.

    Args:
        request: what is asked.
        pattern: what a name must match as a whole.
        notes: takes what had to be changed.
    """
    called = {call.name for message in request.messages for call in message.tool_calls}
    unfit = {name for name in called if not pattern.fullmatch(name)} - {tool.name for tool in request.tools}
    if not unfit:
        return request
    notes.append("the history calls tools by names that the vendor refuses: they were made to fit")
    fitting = {name: _fitting(name, pattern) for name in unfit}
    return replace(request, messages=tuple(_renamed(message, fitting) for message in request.messages))


def fitting_speaker(name: str, notes: list[str]) -> str:
    """The name of a speaker as OpenAI takes it; empty if nothing is left of it."""
    fits = _OF_A_SPEAKER.sub("_", name)[:_LONGEST]
    note = "the name of a speaker was made to fit"
    if fits != name and note not in notes:
        notes.append(note)
    return fits


def _fitting(name: str, pattern: re.Pattern[str]) -> str:
    made = _OF_A_TOOL.sub("_", name)[:_LONGEST]
    return made if pattern.fullmatch(made) else f"_{made}"[:_LONGEST]


def _renamed(message: Message, fitting: dict[str, str]) -> Message:
    if message.role == "tool" and message.name in fitting:
        return replace(message, name=fitting[message.name])
    if not any(call.name in fitting for call in message.tool_calls):
        return message
    calls = tuple(replace(call, name=fitting.get(call.name, call.name)) for call in message.tool_calls)
    return resealed(message, replace(message, tool_calls=calls))
