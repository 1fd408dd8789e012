"""Tool calls of a stream of chat completions, put together of their pieces.

OpenAI begins a call with its index, id and name, and goes on by the index. Vendors who copy that leave the index out,
give every call the same, give an id to each piece, or tell id and name later, or again: so a piece belongs to the call
of its index unless it brings another id and a name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...messages import Delta
from .. import fields


class _Call:
    """A call of which pieces have come."""

    __slots__ = ("arguments", "begun", "id", "index", "name", "rest", "size")

    def __init__(self, index: int | None, rest: dict[str, Any]) -> None:
        self.index = index
        """Its number among those with a function; others have no place in the neutral message."""
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.size = 0
        """Characters of the arguments."""
        self.rest = rest
        """Its other fields, and under ``function`` those of its function."""
        self.begun = False
        """Whether its first piece has been passed on."""

    def is_whole(self) -> bool:
        """Whether the arguments are a JSON object."""
        try:
            return isinstance(fields.loads("".join(self.arguments)), dict)
        except ValueError:
            return False

    def written(self) -> dict[str, Any]:
        if self.index is None:
            return {"id": self.id, **self.rest}
        inner = {"name": self.name, **self.rest.get("function", {}), "arguments": "".join(self.arguments)}
        return {"id": self.id, **self.rest, "function": inner}


class Calls:
    """Takes pieces of calls, and says what each one adds."""

    def __init__(self) -> None:
        self._all: list[_Call] = []
        """In the order in which they began, which is that of the whole answer."""
        self._functions = 0
        self._last: dict[int | None, _Call] = {}
        """By the vendor's index the call that its pieces belong to; under None the last one of all."""
        self._named: dict[tuple[int | None, str], _Call] = {}
        """By the vendor's index, or none, and id."""

    def __bool__(self) -> bool:
        return bool(self._all)

    def take(self, piece: Mapping[str, Any]) -> list[Delta]:
        """Take a piece; returns what can be passed on.

        Raises:
            WrongField: it is not the protocol.
        """
        slot = fields.maybe_whole(piece.get("index"), "tool_calls.index")
        id = fields.text(piece.get("id"), "tool_calls.id")
        function = fields.mapping(piece.get("function"), "tool_calls.function")
        given = function.get("arguments")
        if isinstance(given, Mapping):
            given = json.dumps(given, ensure_ascii=False)
        arguments = fields.text(given, "tool_calls.function.arguments")
        name = fields.text(function.get("name"), "tool_calls.function.name")

        call = self._of(slot, id, name, arguments)
        if call is None:
            call = self._begin(piece)
        elif (id or name) and arguments and call.size == len(arguments) and "".join(call.arguments) == arguments:
            arguments = "" if call.is_whole() else arguments  # said once more at the end
        self._last[slot] = self._last[None] = call
        if id:
            call.id = call.id or id
            if call.id == id:
                self._named[slot, id] = call
        rest = fields.rest(piece, "id", "index", "function")
        inner = fields.rest(function, "name", "arguments")
        if call.index is None:
            call.rest = _grown(call.rest, rest)
            return []
        call.rest.update(rest)
        if inner:
            call.rest.setdefault("function", {}).update(inner)
        more = "" if name == call.name else name
        call.name += more
        call.arguments.append(arguments)
        call.size += len(arguments)
        if call.begun:
            return [Delta(tool_index=call.index, tool_name=more, tool_arguments=arguments)]
        # Without an id it waits for one until arguments come, and without a name for that.
        return [self._first(call)] if call.name and (call.id or call.size) else []

    def settled(self) -> list[Delta]:
        """No more pieces come: what was held back."""
        return [self._first(call) for call in self._all if call.index is not None and not call.begun]

    def written(self) -> list[dict[str, Any]]:
        """All calls, as they stand in an answer that comes whole."""
        return [call.written() for call in self._all]

    def _first(self, call: _Call) -> Delta:
        call.begun = True
        call.id = call.id or f"call_{call.index}"
        return Delta(
            tool_index=call.index, tool_id=call.id, tool_name=call.name, tool_arguments="".join(call.arguments)
        )

    def _begin(self, piece: Mapping[str, Any]) -> _Call:
        kind = fields.text(piece.get("type"), "tool_calls.type") or "function"
        index = self._functions if "function" in piece or kind == "function" else None
        self._functions += index is not None
        call = _Call(index, {})
        self._all.append(call)
        return call

    def _of(self, slot: int | None, id: str, name: str, arguments: str) -> _Call | None:
        """The call that a piece belongs to; None if it begins one."""
        if id and (known := self._named.get((slot, id))) is not None:
            return known
        call = self._last.get(slot)
        if call is None or (slot is None and id):
            return None
        if id and call.id and name:  # another id; one without a name is a new one for each piece, as vLLM's were
            return None
        if slot is None and name and call.name and name != call.name:
            return None
        # Nothing follows on arguments that are whole but the next call; nor does another name on any.
        if name and call.size and (name != call.name or (not id and arguments.lstrip()[:1] == "{" and call.is_whole())):
            return None
        return call


def _grown(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a call that only the vendor knows, with those of its next piece; its input comes in pieces."""
    grown = dict(before)
    for key, value in more.items():
        was = grown.get(key)
        if isinstance(was, Mapping) and isinstance(value, Mapping):
            grown[key] = _grown(was, value)
        elif key == "input" and isinstance(was, str) and isinstance(value, str):
            grown[key] = was + value
        else:
            grown[key] = value
    return grown
