"""Arguments for any tool, filled from the words of a request by the tool's schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..messages import ToolSpec
from . import text
from .toolbox import PATH_WORDS, properties, required, resolved

_LEADS = ("for", "about", "of", "in", "to", "with", "named", "called", "titled", "saying")


class Source:
    """What a clause offers; each finding is used once.

    Args:
        clause: the text to read.
        previous: what the step before returned; it stands in for content, and for what the clause calls "it".
    """

    def __init__(self, clause: str, previous: str = "") -> None:
        self.clause = clause
        self.previous = previous
        self._found: dict[str, list[Any]] = {
            "quoted": text.quoted(clause),
            "paths": text.paths(clause),
            "folders": text.folders(clause),
            "wildcards": text.wildcards(clause),
            "urls": text.urls(clause),
            "emails": text.emails(clause),
            "dates": text.dates(clause),
            "numbers": text.numbers(clause),
            "expressions": text.expressions(clause),
            "markers": text.markers(clause),
            "names": text.names(clause),
        }

    def take(self, *kinds: str) -> Any:
        """The next finding of the first kind that has one, or None."""
        for kind in kinds:
            if self._found[kind]:
                found = self._found[kind][0]
                self.use(found)
                return found
        return None

    def use(self, found: Any) -> None:
        """Leave a finding out from now on, of whichever kind it is."""
        for findings in self._found.values():
            if found in findings:
                findings.remove(found)

    def peek(self, kind: str) -> list[Any]:
        """The findings of a kind that are left."""
        return list(self._found[kind])


def fill(spec: ToolSpec, source: Source) -> tuple[dict[str, Any], list[str]]:
    """Arguments for `spec`, and the names of required ones for which nothing was found."""
    arguments: dict[str, Any] = {}
    missing: list[str] = []
    must = required(spec)
    # Required parameters choose first, in the order of the schema.
    for name, schema in sorted(properties(spec).items(), key=lambda item: item[0] not in must):
        value = _value(name, schema, source, spec, name in must)
        if value is not None:
            arguments[name] = value
            if isinstance(value, str):
                source.use(value)
        elif name in must:
            missing.append(name)
    return arguments, missing


def _value(name: str, schema: Mapping[str, Any], source: Source, spec: ToolSpec, must: bool) -> Any:
    if "const" in schema:
        return schema["const"] if must else None
    if "enum" in schema:
        return _choice(schema["enum"], source, must)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "string")
    if kind in ("integer", "number"):
        return _number(name, kind, source, must)
    if kind == "boolean":
        if not must and not text.stems(name) <= text.stems(source.clause):
            return None
        return not re.search(r"\b(not|without|no|off|disable)\b", source.clause, re.IGNORECASE)
    if kind == "array":
        return _list(resolved(schema.get("items") or {}, spec.parameters), source, must)
    if kind == "object":
        return {} if must else None
    return _string(name, schema, source, spec, must)


def _choice(options: list[Any], source: Source, must: bool) -> Any:
    said = text.stems(source.clause)
    for option in options:
        found = text.stems(str(option))
        if found and found <= said:
            return option
    return options[0] if must and options else None


def _number(name: str, kind: str, source: Source, must: bool) -> Any:
    # An optional number is given only if the request speaks of it ("limit 5", "top 5").
    if not must:
        match = re.search(rf"\b(?:{re.escape(name)}|first|top|last|at most|up to)\D{{0,3}}(\d+)", source.clause, re.I)
        if not match or name not in ("limit", "count", "n", "k", "top", "max_results", "amount", "number"):
            return None
        return int(match[1])
    number = source.take("numbers")
    if number is None:
        return None
    return int(number) if kind == "integer" or number == int(number) else number


def _list(items: Mapping[str, Any], source: Source, must: bool) -> Any:
    if items.get("type") in ("integer", "number"):
        found: list[Any] = source.peek("numbers")
        return [int(n) if n == int(n) else n for n in found] if found or must else None
    for kind in ("quoted", "paths", "urls", "names"):
        found = source.peek(kind)
        if found:
            return found
    listed = text.after(source.clause, *_LEADS)
    if listed and must:
        return [part.strip() for part in re.split(r",|\band\b", listed) if part.strip()]
    return [] if must else None


def _string(name: str, schema: Mapping[str, Any], source: Source, spec: ToolSpec, must: bool) -> Any:
    parts = set(re.split(r"[_\W]+", name.lower()))
    about = text.stems(str(schema.get("description", "")))
    form = schema.get("format", "")
    value: Any = None
    if parts & {"url", "uri", "link", "address"} or form in ("uri", "url"):
        value = source.take("urls", "emails")
    elif (
        parts & {"email", "mail", "recipient", "recipients"}
        or form == "email"
        or (name == "to" and source.peek("emails"))
    ):
        value = source.take("emails", "names")
    elif parts & {"date", "day", "time", "when"} or form in ("date", "date-time"):
        value = source.take("dates") or _word(source.clause, "today", "tomorrow", "yesterday", "now")
    elif parts & {"expression", "formula", "calculation", "equation"}:
        value = source.take("expressions", "quoted")
    elif parts & PATH_WORDS:
        value = source.take("paths", "folders") or _quoted_path(source)
        if value is None and must and parts & {"path", "folder", "dir", "directory", "root"}:
            value = "." if not {"fil"} & about or {"folder", "directory"} & about else None
    elif "glob" in parts:
        value = source.take("wildcards")
    elif parts & {"pattern", "regex", "regexp"}:
        value = source.take("wildcards", "quoted", "markers") if must else None
    elif parts & {"command", "cmd", "code", "script", "sql"}:
        value = text.fenced(source.clause) or source.take("quoted") or text.after(source.clause, "run", "execute")
    elif not must:
        named = text.after(source.clause, re.escape(name.replace("_", " ")))
        value = named if named and len(named) < 80 else None
    else:
        value = _free(parts, source, spec)
    return value or None


def _free(parts: set[str], source: Source, spec: ToolSpec) -> Any:
    """A required text of no special form."""
    if parts & {"content", "contents", "text", "body", "message", "data", "input"}:
        return text.fenced(source.clause) or source.take("quoted") or source.previous or _rest(source, spec)
    if parts & {"query", "question", "search", "topic", "prompt", "keyword", "term", "subject", "title"}:
        return (
            source.take("quoted", "markers") or text.after(source.clause, "for", "about", "on") or _rest(source, spec)
        )
    return source.take("quoted", "names") or text.after(source.clause, *_LEADS) or _rest(source, spec)


def _rest(source: Source, spec: ToolSpec) -> str:
    """The clause without the words that named the tool: its object."""
    named = text.stems(spec.name)
    kept = [word for word in source.clause.split() if text.stem(word.strip(".,?!")) not in named]
    while kept and kept[0].lower().strip(".,") in text.STOP_WORDS:
        kept.pop(0)
    return " ".join(kept).strip(" .?!")


def _quoted_path(source: Source) -> str | None:
    for found in source.peek("quoted"):
        if re.fullmatch(r"[\w./@+-]+", found):
            return str(found)
    return None


def _word(clause: str, *options: str) -> str | None:
    return next((word for word in options if re.search(rf"\b{word}\b", clause, re.IGNORECASE)), None)
