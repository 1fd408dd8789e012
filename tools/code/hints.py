"""From JSON schemas to type hints of Python, with a `TypedDict` for each kind of object. Pure."""

from __future__ import annotations

import builtins
import json
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

NAMES: Final = ("Any", "Literal", "Mapping", "NotRequired", "Sequence", "TypedDict")
"""What the hints use, and no function and no class of theirs can be called."""

_BUILTIN: Final = frozenset({"bool", "dict", "float", "int", "list", "str", "tuple"})
_QUOTED: Final = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_PLAIN: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_DEEPEST: Final = 40  # what lies deeper in a schema is Any
_ANY: Final = ("Any",)
_OTHERS: Final[Mapping[type, str]] = {float: "float", list: "list[Any]", dict: "dict[str, Any]"}
_TEXT = re.compile(r"\bstr\b|\bAny\b")


def is_name(text: str) -> bool:
    """Whether something can be a name in a program, which Python takes as it is written: others it makes NFKC."""
    return text.isidentifier() and not keyword.iskeyword(text) and unicodedata.is_normalized("NFKC", text)


def hides(name: str) -> bool:
    """Whether within a class nothing may be called so, because the hints of what else is in it would mean that."""
    return name in _BUILTIN


def without(hint: str, hidden: Iterable[str]) -> str:
    """A hint for where some names of its types mean something else: they have others, ``_list_`` for ``list``."""
    for name in hidden:
        hint = re.sub(rf"{_QUOTED}|\b{name}\b", lambda found: found[1] or f"_{found[0]}_", hint)
    return hint


def docstring(text: str, indent: str) -> list[str]:
    """A text as the lines of a docstring; none where there is no text."""
    clean = "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text.strip())
    if not clean:
        return []
    clean = clean.replace("\\", "\\\\")
    clean = clean.replace('"', '\\"') if '"""' in clean or clean.endswith('"') else clean
    lines = [f"{indent}{line.strip()}" if line.strip() else "" for line in clean.splitlines()]
    lines[0] = f'{indent}"""{lines[0].strip()}'
    lines[-1] += '"""'
    return lines


class _Kind(NamedTuple):
    """What a class of dictionaries says.

    Args:
        title: what it would be called if no other were.
        fields: by name the members of the union that is its type, and whether it must be there.
        closed: there are no others.
    """

    title: str
    fields: Mapping[str, tuple[tuple[str, ...], bool]]
    closed: bool


class Hints:
    """The hints of the schemas of one program, and the classes that they name; equal objects have one class.

    Args:
        taken: names that no class may have.
    """

    def __init__(self, taken: Collection[str] = ()) -> None:
        self._taken = {*taken, *NAMES, *dir(builtins)}
        self._named: dict[str, str] = {}
        self._classes: dict[str, list[str]] = {}
        self._expanding: dict[str, str | None] = {}
        self._kinds: dict[str, _Kind] = {}

    @property
    def classes(self) -> frozenset[str]:
        """The names of the classes, which a program may call with a field for each of theirs."""
        return frozenset(name for name, lines in self._classes.items() if not lines[0].startswith("type "))

    def definitions(self) -> list[str]:
        """The lines that define the classes."""
        return [line for lines in self._classes.values() for line in lines]

    def hint(self, schema: Any, name: str, root: Mapping[str, Any] | None = None) -> str:
        """The hint of what fits a schema, as closely as Python says it: ``Any`` where it does not.

        Args:
            schema: a JSON schema.
            name: for a class that has to be made, where the schema has no title.
            root: the schema that references in it are resolved from; itself by default.
        """
        return " | ".join(self._members(schema, name, root if root is not None else _mapping(schema), 0))

    def parameter(self, schema: Any, name: str, root: Mapping[str, Any]) -> str:
        """The hint of a parameter: it takes what is only read, so that a ``list[int]`` passes for floats, and what a
        function returns for what another takes: a number of money, say, is taken as one or as a text, and returned as a
        text. Of classes counts what is known so far."""
        members = _union(map(self._wider, self._members(schema, name, root, 0)))
        return " | ".join(map(_read_only, members))

    def _wider(self, member: str) -> tuple[str, ...]:
        """A member of what is only read, and what of the same title may stand for it: a dictionary that may be changed
        is of one class alone, for the check."""
        for outer in ("list[", "dict[str, "):
            if member.startswith(outer):
                return (f"{outer}{' | '.join(_union(map(self._wider, _inner(member, outer))))}]",)
        own = self._kinds.get(member)
        if own is None:
            return (member,)
        alike = [one for one, kind in self._kinds.items() if kind.title == own.title and one != member]
        return (member, *(one for one in alike if self._fits(one, member)))

    def _fits(self, one: str, other: str, assumed: frozenset[tuple[str, str]] = frozenset()) -> bool:
        """Whether all that is of one member is of another one, too, as long as nobody changes it."""
        if one == other or (one, other) in assumed:
            return True
        assumed |= {(one, other)}
        for outer in ("list[", "dict[str, "):
            if one.startswith(outer) and other.startswith(outer):
                return self._all_fit(_inner(one, outer), _inner(other, outer), assumed)
        this, that = self._kinds.get(one), self._kinds.get(other)
        if this is None or that is None or (that.closed and this.fields.keys() - that.fields):
            return False
        return all(
            name in this.fields
            and (this.fields[name][1] or not needed)
            and self._all_fit(this.fields[name][0], members, assumed)
            for name, (members, needed) in that.fields.items()
        )

    def _all_fit(self, these: Iterable[str], those: Collection[str], assumed: frozenset[tuple[str, str]]) -> bool:
        return all(any(self._fits(one, other, assumed) for other in those) for one in these)

    def _hint(self, schema: Any, name: str, root: Mapping[str, Any], depth: int) -> str:
        return " | ".join(self._members(schema, name, root, depth + 1))

    def _members(self, schema: Any, name: str, root: Mapping[str, Any], depth: int) -> tuple[str, ...]:
        """The members of the union that is the hint."""
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return _ANY
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema["$ref"], name, root, depth)
        if "const" in schema:
            return _literal([schema["const"]])
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return _literal(schema["enum"])
        for several in ("anyOf", "oneOf"):
            if isinstance(options := schema.get(several), list) and options:
                return _union(self._members(option, name, root, depth + 1) for option in options)
        if isinstance(parts := schema.get("allOf"), list) and len(parts) == 1:
            return self._members(parts[0], name, root, depth + 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            return _union(self._members({**schema, "type": one}, name, root, depth + 1) for one in kind)
        if kind == "array":
            return (self._list(schema, name, root, depth),)
        if kind == "object" or (kind is None and "properties" in schema):
            return (self._object(schema, name, root, depth),)
        return (_PLAIN.get(kind, "Any"),) if isinstance(kind, str) else _ANY

    def _list(self, schema: Mapping[str, Any], name: str, root: Mapping[str, Any], depth: int) -> str:
        items, first = schema.get("items", {}), schema.get("prefixItems")
        if not isinstance(first, list) or not first:
            return f"list[{self._hint(items, name, root, depth)}]"
        options = [self._members(option, name, root, depth + 1) for option in first]
        if items is not False and schema.get("maxItems") != len(first):
            options.append(self._members(items, name, root, depth + 1))
        return f"list[{' | '.join(_union(options))}]"

    def _object(self, schema: Mapping[str, Any], name: str, root: Mapping[str, Any], depth: int) -> str:
        fields, more = schema.get("properties"), schema.get("additionalProperties")
        if isinstance(fields, Mapping) and fields and not more:
            return self._class(schema, name, root, depth)
        if fields or not isinstance(more, Mapping):
            return "dict[str, Any]"
        return f"dict[str, {self._hint(more, name, root, depth)}]"

    def _class(self, schema: Mapping[str, Any], name: str, root: Mapping[str, Any], depth: int) -> str:
        key = _key(schema, root)
        known = self._named.get(key)
        if known is not None:
            return known
        title = schema.get("title")
        made = self._new_name(title if isinstance(title, str) else name)
        self._named[key] = made
        self._classes[made] = []  # its place is before those of what it is made of, which changes nothing in a stub
        required = schema.get("required", ())
        fields: dict[str, tuple[str, Any]] = {}
        said: dict[str, tuple[tuple[str, ...], bool]] = {}
        for field, described in schema["properties"].items():
            members = self._members(described, f"{made}_{field}", root, depth + 1)
            said[field] = (members, field in required)
            hint = " | ".join(members)
            fields[field] = (hint if field in required else f"NotRequired[{hint}]", _mapping(described))
        wanted = title if isinstance(title, str) else name
        self._kinds[made] = _Kind(wanted, said, schema.get("additionalProperties") is False)
        self._classes[made] = _class_lines(made, fields, schema.get("description"))
        return made

    def _reference(self, reference: str, name: str, root: Mapping[str, Any], depth: int) -> tuple[str, ...]:
        found = _resolved(reference, root)
        if found is None:
            return _ANY
        name = reference.rpartition("/")[2] or name
        fields = found.get("properties")
        if isinstance(fields, Mapping) and fields and not found.get("additionalProperties"):
            return (self._class(found, name, root, depth),)
        key = _key(found, root)
        if key in self._expanding:  # it has itself in it, and needs a name for that
            self._expanding[key] = made = self._expanding[key] or self._new_name(name)
            return (made,)
        if key in self._named:
            return (self._named[key],)
        self._expanding[key] = None
        members = self._members(found, name, root, depth + 1)
        alias = self._expanding.pop(key)
        if alias is None:
            return members
        self._named[key] = alias
        self._classes[alias] = [f"type {alias} = {' | '.join(members)}"]
        return (alias,)

    def _new_name(self, wanted: str) -> str:
        words = re.findall(r"[A-Za-z0-9]+", wanted)
        base = "".join(word[0].upper() + word[1:] for word in words) or "Data"
        base = base if base[0].isalpha() else f"Data{base}"
        name, number = base, 1
        while name in self._taken or not is_name(name):
            number += 1
            name = f"{base}{number}"
        self._taken.add(name)
        return name


def _mapping(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _resolved(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference.split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _key(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """What is the same for schemas that say the same."""
    named: dict[str, Any] = {}

    def told(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [told(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str) and reference not in named:
            named[reference] = None
            named[reference] = told(_resolved(reference, root))
        return {name: told(item) for name, item in value.items() if name != "title" or not isinstance(item, str)}

    own = {name: item for name, item in schema.items() if name != "$defs"}  # where it refers to one, that is in it
    return json.dumps([told(own), named], sort_keys=True, default=repr)


def _class_lines(name: str, fields: Mapping[str, tuple[str, Any]], description: Any) -> list[str]:
    words = {word for hint, _ in fields.values() for word in re.findall(r"\w+", hint)}
    if not all(is_name(field) and not field.startswith("__") and field not in words for field in fields):
        told = ", ".join(f"{field!a}: {hint}" for field, (hint, _) in fields.items())
        return [f"{name} = TypedDict({name!r}, {{{told}}})"]
    lines = [f"class {name}(TypedDict):"]
    lines += docstring(description if isinstance(description, str) else "", "    ")
    for field, (hint, described) in fields.items():
        lines.append(f"    {field}: {hint}")
        about = described.get("description")
        lines += docstring(about if isinstance(about, str) else "", "    ")
    return lines


def _literal(values: Sequence[Any]) -> tuple[str, ...]:
    literals = [ascii(value) for value in values if value is None or isinstance(value, bool | int | str)]
    others = [(_OTHERS.get(type(value), "Any"),) for value in values if isinstance(value, float | list | dict)]
    return _union([(f"Literal[{', '.join(dict.fromkeys(literals))}]",), *others] if literals else others)


def _union(options: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    several = tuple(dict.fromkeys(member for option in options for member in option))
    return _ANY if "Any" in several else several


def _inner(member: str, outer: str) -> list[str]:
    """The members of what is in a list or a dictionary."""
    parts, depth = [""], 0
    for piece in re.split(r"( \| |[\[\]])", member[len(outer) : -1]):
        depth += {"[": 1, "]": -1}.get(piece, 0)
        if piece == " | " and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _read_only(hint: str) -> str:
    inner = hint.partition("[")[2][:-1]
    if hint.startswith("list["):
        # A text is a sequence of texts, too, and is not what is meant.
        return f"{hint} | tuple[{inner}, ...]" if _TEXT.search(inner) else f"Sequence[{inner}]"
    if hint.startswith("dict[str, "):
        return f"Mapping[{inner}]"
    return hint
