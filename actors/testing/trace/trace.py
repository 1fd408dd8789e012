"""What happened in a run: events in order, readable as text, as a sequence diagram, and by code."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, overload

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LIMIT = 120


def stable_repr(value: Any) -> str:
    """Return a ``repr`` that is the same in every process: sets are sorted, addresses left out; so are the fields of
    dataclasses that have their default."""
    kind = type(value)
    if kind in (str, int, float, bool, bytes, type(None)):
        return repr(value)
    if kind in (set, frozenset):
        return "{" + ", ".join(sorted(stable_repr(item) for item in value)) + "}"
    if kind is tuple:
        return "(" + ", ".join(stable_repr(item) for item in value) + ("," if len(value) == 1 else "") + ")"
    if kind is list:
        return "[" + ", ".join(stable_repr(item) for item in value) + "]"
    if kind is dict:
        return "{" + ", ".join(f"{stable_repr(k)}: {stable_repr(v)}" for k, v in value.items()) + "}"
    if is_dataclass(value) and not isinstance(value, type) and kind.__dataclass_params__.repr:
        shown = [(f.name, getattr(value, f.name, None)) for f in fields(value) if f.repr and not _is_default(value, f)]
        inside = ", ".join(f"{name}={stable_repr(item)}" for name, item in shown)
        return f"{kind.__qualname__.rpartition('.')[2]}({inside})"
    if isinstance(value, BaseException):
        return f"{kind.__name__}({', '.join(stable_repr(arg) for arg in value.args)})"
    return _ADDRESS.sub("", repr(value))


def _is_default(value: Any, field: Field[Any]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return (
        default is not MISSING and type(default) is type(item := getattr(value, field.name, None)) and default == item
    )


def _short(value: Any) -> str:
    text = stable_repr(value)
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of a run.

    Args:
        index: its place in the trace, from 0.
        time: virtual seconds since the start.
        kind: ``spawn``, ``send``, ``ask``, ``recv``, ``done``, ``ask_end``, ``crashed``, ``restarted``, ``stopped``,
            ``dead_letter``, ``system_stopped``, ``fault``, or a mark's kind.
        fields: what belongs to it; also readable as attributes (``fact.actor``).
    """

    index: int
    time: float
    kind: str
    fields: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(f"a {self.kind!r} event has no {name!r}; it has {', '.join(self.fields)}") from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default where the event has none of that name."""
        return self.fields.get(name, default)


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two runs of one schedule part.

    Args:
        index: the first event that is not the same; the number of events where only the end is not.
        first, second: what the runs have there.
    """

    index: int
    first: str
    second: str


class Trace(Sequence[Fact]):
    """The events of one run, oldest first."""

    told: Sequence[tuple[int, float, str, Mapping[str, Any]]] = ()
    """What is only shown to people, and no part of the run's identity: ``(events before it, time, kind, fields)``."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, str, dict[str, Any]]] = []
        self._facts: list[Fact] = []

    def add(self, time: float, kind: str, fields: dict[str, Any]) -> None:
        """Append an event; `Fact`s are only made of it when somebody looks."""
        self._rows.append((time, kind, fields))

    @property
    def rows(self) -> list[tuple[float, str, dict[str, Any]]]:
        """The events as ``(time, kind, fields)``; quicker to go through than facts."""
        return self._rows

    def _made(self) -> list[Fact]:
        facts = self._facts
        for index in range(len(facts), len(self._rows)):
            facts.append(Fact(index, *self._rows[index]))
        return facts

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Fact: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fact]: ...
    def __getitem__(self, index: int | slice) -> Fact | Sequence[Fact]:
        return self._made()[index]

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._made())

    def of(self, *kinds: str) -> list[Fact]:
        """Return the events of these kinds."""
        return [fact for fact in self._made() if fact.kind in kinds]

    # -- identity ----------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[bytes]:
        for time, kind, values in self._rows:
            inside = ";".join(f"{name}={stable_repr(values[name])}" for name in sorted(values))
            yield f"{time:.6f} {kind} {inside}\n".encode()

    def parting(self, other: Trace) -> Parting | None:
        """Return where another trace parts from this one, or None: they are the same."""
        pairs = itertools.zip_longest(self._lines(), other._lines())
        index = next((index for index, (first, second) in enumerate(pairs) if first != second), None)
        if index is None:
            return None
        return Parting(index, self._shown(index), other._shown(index))

    def _shown(self, index: int) -> str:
        if index == len(self._rows):
            return "nothing more"
        time, kind, values = self._rows[index]
        return " ".join(f"{time:.3f} {_line(kind, values) or kind}".split())

    def digest(self) -> str:
        """Return 16 hexadecimal digits that identify what happened: equal for equal runs, in every process."""
        total = hashlib.blake2b(digest_size=8)
        for line in self._lines():
            total.update(line)
        return total.hexdigest()

    def digests_at(self, counts: Iterable[int]) -> list[tuple[int, str]]:
        """Return ``(events, digest)``, four digits each, of the trace's first ``counts`` events, as far as it goes."""
        wanted = set(counts)
        total = hashlib.blake2b(digest_size=8)
        found = []
        for index, line in enumerate(self._lines(), 1):
            total.update(line)
            if index in wanted:
                found.append((index, total.hexdigest()[:4]))
        return found

    def prefixes(self, points: int = 8) -> list[tuple[int, str]]:
        """Return `digests_at` evenly spaced points, the last of them the whole trace."""
        count = len(self._rows)
        return self.digests_at({count * (point + 1) // points for point in range(points)} - {0})

    def upto(self, count: int | None) -> Trace:
        """Return the first ``count`` events as a trace."""
        if count is None:
            return self
        part = Trace()
        part._rows = self._rows[:count]
        return part

    # -- reading -----------------------------------------------------------------------------------------------

    def text(self, *, last: int | None = None) -> str:
        """Return the trace for people, one event a line.

        Args:
            last: only that many events from the end.
        """
        rows = self._rows if last is None else self._rows[-last:]
        lines = [f"  … {len(self._rows) - len(rows)} earlier events"] if len(rows) < len(self._rows) else []
        lines += [f"{time:9.3f}  {line}" for time, kind, values in rows if (line := _line(kind, values))]
        return "\n".join(lines)

    def mermaid(self) -> str:
        """Return the trace as a Mermaid sequence diagram."""
        names: dict[str, str] = {}

        def who(path: str) -> str:
            if path not in names:
                names[path] = f"p{len(names)}"
            return names[path]

        body = []
        for _, kind, values in self._rows:
            if kind in ("send", "ask"):
                source, target = who(values.get("sender") or "client"), who(values["actor"])
                body.append(f"  {source}->>{target}: {_label(values['message'])}")
            elif kind == "ask_end" and values.get("how") in ("reply", "error"):
                source, target = who(values["actor"]), who(values.get("sender") or "client")
                body.append(f"  {source}-->>{target}: {_label(values.get('outcome'))}")
            elif kind in _NOTED and values.get("actor"):
                detail = values.get("what") or values.get("detail") or values.get("reason") or ""
                text = f"{kind} {_label(detail)}" if detail else kind
                body.append(f"  Note over {who(values['actor'])}: {text}")
        heads = [f"  participant {short} as {path}" for path, short in names.items()]
        return "\n".join(["sequenceDiagram", *heads, *body])


_NOTED = ("crashed", "restarted", "stopped", "fault", "dead_letter")


def _label(value: Any) -> str:
    # Mermaid ends a statement at a semicolon and reads '#' as an entity.
    return _short(value).replace(";", ",").replace("#", "＃").replace("\n", " ")


def _arrow(values: Mapping[str, Any], arrow: str, what: str) -> str:
    return f"{values.get('sender') or 'client'!s:>12} {arrow:<4} {values.get('actor', '?')!s:<12} {what}"


def _ask_end(values: Mapping[str, Any]) -> str:
    if values.get("how") in ("reply", "error"):
        return _arrow(values, "<==", _short(values.get("outcome")))
    return _arrow(values, "-x>", f"gave up ({values.get('how')})")


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "send": lambda values: _arrow(values, "-->", _short(values.get("message"))),
    "ask": lambda values: _arrow(values, "-?>", _short(values.get("message"))),
    "recv": lambda values: _arrow(values, "-->|", _short(values.get("message"))),
    "ask_end": _ask_end,
    # Told by other lines.
    "done": lambda _: "",
    "started": lambda _: "",
    "dead": lambda _: "",
    "system_stopping": lambda _: "",
}


def _line(kind: str, values: Mapping[str, Any]) -> str:
    if kind in _LINES:
        return _LINES[kind](values)
    inside = " ".join(f"{name}={_short(value)}" for name, value in values.items() if value not in (None, ""))
    return f"{'':12} ** {kind} {inside}"
