"""Plans as generators: each yields the calls it wants made, gets their results, and returns the answer.

A plan keeps nothing between requests. It runs from its start each time, and the results that the history holds are
sent into it; so it must be a function of the request and of what it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..messages import ToolSpec
from .toolbox import Job, Toolbox, parameter, properties, required

_NUMBERED = re.compile(r"^ *(\d+)(?:\t|→|: |\| ?)(.*)$")
_MATCH = re.compile(r"^(?P<path>[^:\n]+?):(?P<line>\d+)[:\t-]\s?(?P<text>.*)$")
_NOTE = re.compile(r"^\s*(\(no |\[…|\[\.\.\.|\(the (file|folder) )")
_CUT = re.compile(r"more than [\d,]+|truncated|raise the limit|goes on", re.IGNORECASE)
_MANY = 5_000
"""What is asked for where a tool takes a limit and all is wanted."""


@dataclass(frozen=True, slots=True)
class Call:
    """One tool to run."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What came back."""

    name: str
    content: str
    is_error: bool = False

    @property
    def failed(self) -> bool:
        """Whether it describes a failure; protocols without a mark for that leave only the words."""
        return self.is_error or bool(re.match(r"(error|failed|traceback)\b", self.content.lstrip(), re.IGNORECASE))


Plan: TypeAlias = Generator[list[Call], list[Result], str]
Step: TypeAlias = Generator[list[Call], list[Result], Result]


@dataclass(frozen=True, slots=True)
class Match:
    """A line that a search found."""

    path: str
    line: int
    text: str


def one(call: Call) -> Step:
    """Make one call."""
    results = yield [call]
    return results[0]


def search(box: Toolbox, pattern: str, *, path: str = "", glob: str = "", literal: bool = False) -> Step:
    """Search file contents, all of them where the tool has a limit.

    Args:
        box: must have the job ``search``.
        pattern: what to look for.
        path, glob: where, or empty for everywhere.
        literal: the pattern is plain text and not a regular expression.
    """
    call = search_call(box, pattern, path=path, glob=glob, literal=literal)
    result = yield from one(call)
    limit = parameter(box.jobs["search"], "limit")
    if limit and _CUT.search(result.content[-300:]) and not result.failed:
        result = yield from one(Call(call.name, {**call.arguments, limit: _MANY}))
    return result


def search_call(
    box: Toolbox, pattern: str, *, path: str = "", glob: str = "", literal: bool = False, whole: bool = False
) -> Call:
    """The call that `search` makes; with ``whole``, literal text counts only where it is no part of a longer word."""
    spec = box.jobs["search"]
    name = parameter(spec, "pattern")
    about = f"{name} {properties(spec)[name].get('description', '')} {spec.description}".lower()
    if literal and ("regex" in about or "regular" in about):
        plain, pattern = pattern, escaped(pattern)
        if whole:
            pattern = (r"\b" if plain[:1].isalnum() else "") + pattern + (r"\b" if plain[-1:].isalnum() else "")
    arguments: dict[str, Any] = {name: pattern}
    place = parameter(spec, "path")
    if place and (path or place in required(spec)):
        arguments[place] = path or "."
    only = parameter(spec, "glob")
    if only and glob:
        arguments[only] = glob
    return Call(spec.name, arguments)


def find_files(box: Toolbox, *, pattern: str = "", path: str = "") -> Step:
    """List files: by glob where there is a tool for it, else one folder."""
    spec = box.jobs.get("glob") or box.jobs["list"]
    arguments: dict[str, Any] = {}
    name = parameter(spec, "pattern", "glob")
    if name:
        arguments[name] = pattern or "**/*"
    place = parameter(spec, "path")
    if place and (path or place in required(spec)):
        arguments[place] = path or "."
    limit = parameter(spec, "limit")
    if limit:
        arguments[limit] = _MANY
    result = yield from one(Call(spec.name, arguments))
    return result


def read(box: Toolbox, path: str) -> Step:
    """Read a file."""
    result = yield from one(read_call(box, path))
    return result


def read_call(box: Toolbox, path: str) -> Call:
    """The call that `read` makes."""
    spec = box.jobs["read"]
    return Call(spec.name, {parameter(spec, "path"): path})


def write(box: Toolbox, path: str, content: str) -> Step:
    """Write a file."""
    spec = box.jobs["write"]
    result = yield from one(Call(spec.name, {parameter(spec, "path"): path, parameter(spec, "content"): content}))
    return result


def spec_for(box: Toolbox, job: Job) -> ToolSpec:
    """The tool that does a job."""
    return box.jobs[job]


def _lines(result: Result) -> list[str]:
    # Not `splitlines`: tools count line feeds, and a line may hold what that would divide at, such as a form feed.
    return [line.removesuffix("\r") for line in result.content.removesuffix("\n").split("\n")] if result.content else []


def lines_of(result: Result) -> list[tuple[int, str]]:
    """A file's lines with their numbers, whether the tool numbers them or not."""
    lines = _lines(result)
    marked = [_NUMBERED.match(line) for line in lines]
    if lines and sum(1 for mark in marked if mark) >= max(1, len(lines) - 1):
        return [(int(mark[1]), mark[2]) for mark in marked if mark]
    return list(enumerate(lines, 1))


def entries_of(result: Result) -> list[str]:
    """The paths a listing holds: one a line, sizes and marks taken off."""
    found = []
    for line in _lines(result):
        if not line.strip() or _NOTE.match(line):
            continue
        entry = re.sub(r"^[-*] ", "", line.strip())
        entry = re.sub(r"\s{2,}.*$|\t.*$|\s+\(?[\d,.]+ ?([kKMG]?B|bytes)\)?$|@$", "", entry)
        found.append(entry.removeprefix("./"))
    return found


def matches_of(result: Result) -> list[Match]:
    """The lines a search found."""
    found = []
    for line in _lines(result):
        match = None if _NOTE.match(line) else _MATCH.match(line)
        if match:
            found.append(Match(match["path"].removeprefix("./"), int(match["line"]), match["text"].strip()))
    return found


def was_cut(result: Result) -> bool:
    """Whether the tool says it has left something out."""
    return bool(_CUT.search(result.content[-300:]))


def escaped(text: str) -> str:
    """Text as a regular expression in any common syntax; `re.escape` also escapes what some refuse to see escaped."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", text)


def failure(result: Result) -> str:
    """A failed result in one line."""
    return f"{result.name} failed: {' '.join(result.content.split())[:300]}"
