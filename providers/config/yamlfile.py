"""YAML files as users write them: ``${ENV}`` expanded after parsing, errors that name file and line.

Used for ``llm.yaml`` and for team files. Expansion happens on parsed strings, so a value from the environment can
never change the file's structure, and an error quotes what stands in the file, never what the environment held.
A mapping that says ``enabled: false`` is not expanded.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ...actors.core.base.errors import CallboardError
from .annotations import Location, annotated, described, fields_at, leaves
from .yamlwords import what_to_do

M = TypeVar("M", bound=BaseModel)

_REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}|(?P<broken>\{))"
)
_PASSWORD = re.compile(r":[^/]*@")
_SECRET = re.compile(r"key|token|secret|password|auth|headers|cookie|credential", re.IGNORECASE)
_ALONE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
"""A reference without a default, which may be a key."""
_OFF = frozenset({"false", "no", "off", "n", "f", "0"})
"""Texts that mean false where one is true or false, as pydantic takes them from the environment."""


_MISSING = frozenset({"missing", "missing_argument"})
_UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
"""Pydantic's words for what is not there and must be, and for what is there and must not."""

_MOST_VALUES = 20_000
"""Far more than any team needs. Ten lines of aliases to aliases would make a billion."""
_MOST_BYTES = 64_000_000
_MERGE = "tag:yaml.org,2002:merge"
_NAMES = frozenset({_MERGE, "tag:yaml.org,2002:str", "tag:yaml.org,2002:value"})
_READ_AS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
    "binary": "bytes",
}


class ConfigError(CallboardError, ValueError):
    """A configuration file is wrong.

    Args:
        message: what was expected, without the file's name.
        path: the file.
        line: the line, counted from 1; 0 when no line is to blame.
    """

    def __init__(self, message: str, *, path: str | Path, line: int = 0) -> None:
        super().__init__(f"{path}, line {line}: {message}" if line else f"{path}: {message}")
        self.message = message
        self.path = str(path)
        self.line = line


class TooLarge(ConfigError):
    """A file has more in it than is read."""


class MissingVariable(CallboardError, ValueError):
    """``${NAME}`` or ``${NAME:?message}`` names an environment variable that is not set."""


def expand(text: str, env: Mapping[str, str] | None = None) -> str:
    """Replace the references in one string.

    ``${X}`` is the variable X, which must be set; ``${X:-d}`` is d when X is unset or empty; ``${X:?msg}`` fails with
    msg when X is unset or empty; ``$$`` is a dollar sign. A ``$`` followed by anything else stays as it is.

    Args:
        text: the string as written.
        env: the variables; the process's environment by default.

    Raises:
        MissingVariable: a variable that has no default is not set.
        ValueError: a ``${`` that is not one of the forms above.
    """
    variables = os.environ if env is None else env

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["broken"]:
            raise ValueError("expected ${NAME}, ${NAME:-default}, ${NAME:?message} or $$")  # beside it a key may stand
        name, kind, rest = match["name"], match["kind"], match["rest"]
        found = variables.get(name)
        if kind is None:
            if found is None:
                raise MissingVariable(f"set the environment variable {name}, or write ${{{name}:-default}}")
            return found
        if found:
            return found
        if kind == "?":
            raise MissingVariable(f"set the environment variable {name}" + (f": {rest}" if rest else ""))
        return str(rest)

    return _REFERENCE.sub(value, text)


@dataclass(frozen=True)
class YamlFile:
    """A parsed file.

    Args:
        path: where it came from, as the user named it.
        data: its content, references expanded. Never shown in this object's repr: it may hold keys.
    """

    path: str
    data: Any
    _written: Any
    _lines: Mapping[Location, int]
    _texts: Mapping[Location, tuple[int, bool]]

    def __repr__(self) -> str:
        return f"YamlFile({self.path!r})"

    def line(self, location: Location = ()) -> int:
        """The line of the value at `location`, or of the nearest enclosing one that is in the file."""
        return self._lines[self._nearest(location)]

    def line_in(self, location: Location, line: int = 1) -> int:
        """The line of the file at which a line of the text at `location` stands.

        Args:
            location: where the text stands.
            line: which line of the text, counted from 1. Exact in a text under ``|``; of one that YAML folds, it is
                the line where the text begins.
        """
        first, literal = self._texts.get(location, (self.line(location), False))
        return first + line - 1 if literal else first

    def error(self, location: Location, message: str) -> ConfigError:
        """A `ConfigError` for the value at `location`; `message` says what was expected there."""
        where = ".".join(str(step) for step in location)
        return ConfigError(f"{where}: {message}" if where else message, path=self.path, line=self.line(location))

    def changed(self, values: Mapping[Location, Any]) -> YamlFile:
        """The file with other values at some places, all of them in mappings; its lines stay as they are."""
        data, written, lines = self.data, self._written, dict(self._lines)
        for location, value in values.items():
            data, written = _with(data, location, value), _with(written, location, value)
            for length in range(1, len(location) + 1):
                lines.setdefault(location[:length], self.line(location[:length]))
        return replace(self, data=data, _written=written, _lines=lines)

    def beside(self, location: Location, name: str) -> Path:
        """The path of a file that is named at `location`, in this file's folder unless it says another.

        Raises:
            ConfigError: it cannot be there: its folder does not exist, or it is a folder itself.
        """
        path = Path(self.path).parent / name
        try:
            if path.parent.is_dir() and not path.is_dir():
                return path
        except (OSError, ValueError):  # too long, for example
            pass
        raise self.error(location, f"expected a file in a folder that exists, not {self._shown(location)}")

    def validate(self, model: type[M]) -> M:
        """The content as a `model`.

        Raises:
            ConfigError: it does not fit; names the first place by line and what was expected there.
        """
        for location, value in leaves(self.data):
            # Pydantic takes true for 1, and has to be lenient: what comes from the environment is always a text.
            if (
                isinstance(value, bool)
                and (kinds := annotated(model, location))
                and {int, float, type(None)} >= {*kinds}
            ):
                raise self.error(location, f"expected a number, not {self._shown(location)}")
        try:
            return model.model_validate(self.data if self.data is not None else {})
        except ValidationError as error:
            found = error.errors(include_url=False)
            # Pydantic counts what is valid: a list whose entries are wrong is too short only in its eyes.
            wrong = {tuple(one["loc"][:place]) for one in found for place in range(len(one["loc"]))}
            found = [one for one in found if one["type"] != "too_short" or tuple(one["loc"]) not in wrong]
            # What is missing because it is misspelled: the name that stands there says more.
            misspelled = {(*one["loc"][:-1], _near(model, one)) for one in found if one["type"] in _UNKNOWN}
            found = [one for one in found if one["type"] not in _MISSING or tuple(one["loc"]) not in misspelled]
            problems = [self._problem(model, details) for details in found]
        problems.sort(key=lambda problem: problem.line)
        first = problems[0]
        if len(problems) > 1:
            others = f" (and {len(problems) - 1} more, next on line {problems[1].line})"
            first.args = (first.args[0] + others,)
        raise first

    def _problem(self, model: type[BaseModel], details: Any) -> ConfigError:
        location: Location = tuple(details["loc"])
        known = self._nearest(location)
        if details["type"] in _MISSING:
            fields = fields_at(model, location[:-1])
            return self.error(location[:-1], f"{location[-1]!r} is missing{described(fields, str(location[-1]))}")
        if details["type"] in _UNKNOWN:
            near = _near(model, details)
            fields = fields_at(model, location[:-1])
            hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(sorted(fields))}"
            return self.error(location, f"unknown entry; {hint}")
        if details["type"] in ("model_type", "model_attributes_type", "dataclass_type"):
            fields = fields_at(model, location)
            return self.error(known, f"expected a mapping of {', '.join(fields)}, not {self._shown(known, True)}")
        if details["type"] == "too_short":
            return self.error(known, f"expected at least {details['ctx']['min_length']}, not {self._shown(known)}")
        if details["type"] in ("tuple_type", "list_type"):
            return self.error(known, f"expected a list, not {self._shown(known)}")
        message = re.sub(r"^(Value error|Assertion failed), ", "", str(details["msg"]))
        message = re.sub(r"^Input should be ", "expected ", message)
        if details["type"] == "value_error" and (entry := (*known, message.partition(" ")[0])) in self._lines:
            return self.error(entry, message)  # it says which entry of the mapping, and what stands there
        return self.error(known, f"{message}, not {self._shown(known)}" if "expected" in message else message)

    def _shown(self, location: Location, section: bool = False) -> str:
        """What stands in the file, before expansion; never something that may be a key.

        Args:
            location: where it stands.
            section: whether a whole section was expected there: then a text may be anything, also a key.
        """
        value = self._written
        for step in location:
            value = value[step]
        if isinstance(value, Mapping):
            return "a mapping" if value else "an empty mapping"
        if isinstance(value, list):
            return "a list" if value else "an empty list"
        secret = any(_SECRET.search(str(step)) for step in location) or _PASSWORD.search(str(value))
        if isinstance(value, str) and section and not _ALONE.fullmatch(value):
            return "a text"
        if secret and value is not None and not _ALONE.fullmatch(str(value)):
            return "what stands there"
        return "nothing" if value is None else repr(value)

    def _nearest(self, location: Location) -> Location:
        # Pydantic's locations also hold names of union members, which are in no file: skip what is unknown.
        known: Location = ()
        for step in location:
            if (*known, step) in self._lines:
                known = (*known, step)
        return known


def _near(model: type[BaseModel], unknown: Any) -> str:
    """The name that was meant by one that is unknown; empty where none is like it."""
    *place, name = unknown["loc"]
    near = difflib.get_close_matches(str(name), fields_at(model, tuple(place)), 1)
    return near[0] if near else ""


def read_yaml(path: str | Path, env: Mapping[str, str] | None = None, *, most: int = _MOST_VALUES) -> YamlFile:
    """Read and expand a file.

    Args:
        path: where it is.
        env: the variables for ``${NAME}``; the process's environment by default.
        most: values that it may have, with aliases expanded.

    Raises:
        ConfigError: it cannot be read or parsed, repeats a key, or a reference cannot be expanded; `TooLarge`: it has
            more values, or 64 MB.
    """
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise TooLarge(f"expected at most {_MOST_BYTES // 1_000_000} MB", path=path)
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file", path=path) from None
    except ConfigError:
        raise
    except (OSError, ValueError) as error:  # what is no UTF-8, a null byte in the path
        raise ConfigError(f"cannot be read: {error}", path=path) from None
    return parse_yaml(text, path, env, most=most)


def parse_yaml(
    text: str, path: str | Path = "<text>", env: Mapping[str, str] | None = None, *, most: int = _MOST_VALUES
) -> YamlFile:
    """As `read_yaml`, from a string."""
    file = parse_unexpanded(text, path, most=most)
    return replace(file, data=_expanded(file.data, (), env, file))


def parse_unexpanded(text: str, path: str | Path, *, most: int = _MOST_VALUES) -> YamlFile:
    """As `parse_yaml`, and ``${NAME}`` stays as it is: for texts that people write.

    Raises:
        ConfigError: it cannot be parsed, or repeats a key.
    """
    # SafeLoader only: the two steps of yaml.safe_load, apart, because the nodes between them know their lines.
    try:
        loader = _Loader(text, str(path), most)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"expected text, not the character {error.character:#04x}", path=path, line=line) from None
    try:
        node = loader.get_single_node()
        lines: dict[Location, int] = {(): 1}
        texts: dict[Location, tuple[int, bool]] = {}
        if node is not None:
            _note_lines(node, lines, texts, str(path), most)
        written = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not valid YAML"
        told = f"expected valid YAML; {what}{what_to_do(what, error.context or '')}"
        raise ConfigError(told, path=path, line=mark.line + 1 if mark else 0) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"expected valid YAML; {str(error).splitlines()[0]}", path=path) from None
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # a date that does not exist; nesting without end
        raise ConfigError(f"expected valid YAML; {str(error).splitlines()[0]}", path=path) from None
    finally:
        loader.dispose()
    return YamlFile(str(path), written, written, lines, texts)


class _Loader(yaml.SafeLoader):
    """Gives up where a file has more nodes than it may have values, so that not all of it is made first."""

    def __init__(self, text: str, path: str, most: int) -> None:
        super().__init__(text)
        self._path = path
        self._most = most
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > 2 * self._most:  # a value's name is a node, too
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise _too_many(self._most, self._path, event.start_mark.line + 1)
        return super().compose_node(parent, index)


def _too_many(most: int, path: str, line: int) -> TooLarge:
    return TooLarge(f"expected at most {most:,} values, with aliases expanded", path=path, line=line)


def _note_lines(
    root: yaml.Node, lines: dict[Location, int], texts: dict[Location, tuple[int, bool]], path: str, most: int
) -> None:
    """Note where each value stands, aliases expanded; and where each text begins, and whether its lines are kept."""
    seen = 0

    def note(node: yaml.Node, location: Location, above: frozenset[int]) -> None:
        nonlocal seen
        seen += 1
        at = node.start_mark.line + 1
        if seen > most:
            raise _too_many(most, path, at)
        lines.setdefault(location, at)
        if id(node) in above:  # an alias that contains itself
            raise ConfigError("expected no alias inside its own anchor", path=path, line=at)
        above |= {id(node)}
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                step = _step(key, path)
                at = key.start_mark.line + 1
                if (*location, step) in lines and key.tag != _MERGE:
                    raise ConfigError(f"{step!r} stands there twice", path=path, line=at)
                lines[(*location, step)] = at
                note(value, (*location, step), above)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                note(value, (*location, index), above)
        elif isinstance(node, yaml.ScalarNode):
            texts.setdefault(location, (at + (node.style in ("|", ">")), node.style == "|"))

    note(root, (), frozenset())


def _step(key: yaml.Node, path: str) -> str:
    at = key.start_mark.line + 1
    if not isinstance(key, yaml.ScalarNode):
        raise ConfigError("expected a name, not a list or mapping", path=path, line=at)
    if key.tag not in _NAMES:
        kind = _READ_AS.get(key.tag.rpartition(":")[2], "no text")
        problem = f"expected a name; YAML reads {key.value!r} as {kind}: write it in quotes"
        raise ConfigError(problem, path=path, line=at)
    return str(key.value)


def _is_off(enabled: Any, env: Mapping[str, str] | None) -> bool:
    try:
        return enabled is False or (isinstance(enabled, str) and expand(enabled, env).strip().lower() in _OFF)
    except ValueError:  # said of itself, as of any value
        return False


def _as_far_as_set(value: Any, env: Mapping[str, str] | None) -> Any:
    """What is switched off needs no variable to be set: its texts stay as they are where one is not."""
    if isinstance(value, dict):
        return {key: _as_far_as_set(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_far_as_set(item, env) for item in value]
    try:
        return expand(value, env) if isinstance(value, str) else value
    except ValueError:
        return value


def _with(data: Any, location: Location, value: Any) -> Any:
    if not location:
        return value
    there = data if isinstance(data, dict) else {}
    return {**there, location[0]: _with(there.get(location[0]), location[1:], value)}


def _expanded(value: Any, location: Location, env: Mapping[str, str] | None, file: YamlFile) -> Any:
    if isinstance(value, str):
        try:
            return expand(value, env)
        except ValueError as error:
            raise file.error(location, str(error)) from None
    if isinstance(value, dict):
        if _is_off(value.get("enabled"), env):
            return _as_far_as_set(value, env)
        return {key: _expanded(item, (*location, key), env, file) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, (*location, index), env, file) for index, item in enumerate(value)]
    return value
