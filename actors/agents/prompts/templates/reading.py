"""One file of a template: what stands in it, and on which lines."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .....providers.config.yamlfile import ConfigError, YamlFile, parse_unexpanded
from ...errors import TemplateError
from .near import meant

FIELDS = ("version", "weight", "variables", "system", "user", "few_shot")
REQUIRED: Any = object()
"""In place of the default of a variable that has none."""
KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (Mapping,),
}

_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = frozenset(
    {
        "and",
        "caller",
        "cycler",
        "dict",
        "else",
        "false",
        "False",
        "if",
        "import",
        "in",
        "is",
        "joiner",
        "kwargs",
        "loop",
        "namespace",
        "none",
        "None",
        "not",
        "or",
        "range",
        "self",
        "super",
        "true",
        "True",
        "varargs",
    }
)
_TEXT_HINT = "a text; one that begins with {{ or holds ': ' stands in the lines under |"


class Variable(NamedTuple):
    """What a template is given.

    Args:
        name: as the template writes it.
        description: what it is for, for people.
        type: one of ``str``, ``int``, ``float``, ``bool``, ``list``, ``dict``, or empty: any value.
        default: what stands there when nothing is given, or `REQUIRED`.
        line: where it is declared.
    """

    name: str
    description: str
    type: str
    default: Any
    line: int

    def fits(self, value: Any) -> bool:
        if not self.type:
            return True
        return isinstance(value, KINDS[self.type]) and (self.type == "bool" or not isinstance(value, bool))


class Written(NamedTuple):
    """One version of a template, as its file says.

    Args:
        file: the file.
        name: dotted.
        version: its label.
        weight: its share where versions stand side by side; None if the file says none.
        variables: what it is given.
        texts: the texts by where they stand: ``("system",)``, ``("few_shot", 0, "user")``.
        examples: how many examples there are.
    """

    file: YamlFile
    name: str
    version: str
    weight: float | None
    variables: Mapping[str, Variable]
    texts: Mapping[tuple[str | int, ...], str]
    examples: int

    @property
    def path(self) -> str:
        return self.file.path


def name_of(path: str) -> tuple[str, str]:
    """The dotted name and the version that a file's path says: ``support/triage@2.yaml`` → ``support.triage``, ``2``.

    Raises:
        TemplateError: a part of the path cannot be part of a name.
    """
    *folders, file = path.rpartition(".")[0].split("/")
    stem, at, version = file.partition("@")
    for step in (*folders, stem):
        if not _STEP.fullmatch(step):
            raise TemplateError(
                f"{step!r} cannot be part of a template's name: use letters, digits, _ and -, and @ before a version",
                path=path,
            )
    if at and not _VERSION.fullmatch(version):
        raise TemplateError(f"{version!r} after the @ is no version: use letters, digits, ., _ and -", path=path)
    name = ".".join((*folders, stem))
    if len(name) > 64:
        raise TemplateError(f"its name {name!r:.80} is too long: use at most 64 characters", path=path)
    return name, version


def read(path: str, text: str) -> Written:
    """Read one file.

    Args:
        path: where it stands in its folder, with ``/``.
        text: its content.

    Raises:
        TemplateError: with the line, if there is one to blame.
    """
    name, said = name_of(path)
    try:
        file = parse_unexpanded(text, path)
        return _read(file, name, said)
    except ConfigError as error:
        raise TemplateError(error.message, path=path, line=error.line) from None


def _read(file: YamlFile, name: str, said: str) -> Written:
    data = file.data
    if not isinstance(data, dict):
        raise file.error((), f"expected a mapping of {', '.join(FIELDS)}")
    _only(file, (), FIELDS)
    texts: dict[tuple[str | int, ...], str] = {}
    for field in ("system", "user"):
        if field in data:
            texts[(field,)] = _text(file, (field,), data[field])
    examples = data.get("few_shot", [])
    if not isinstance(examples, list):
        raise file.error(("few_shot",), "expected a list of examples, each with user and assistant")
    for number, example in enumerate(examples):
        where = ("few_shot", number)
        if not isinstance(example, dict) or not {"user", "assistant"} <= example.keys():
            raise file.error(where, "expected a mapping with user and assistant")
        _only(file, where, ("user", "assistant"))
        for role in ("user", "assistant"):
            texts[(*where, role)] = _text(file, (*where, role), example[role])
    if not texts:
        raise file.error((), "there is nothing to say: write system, user or few_shot")
    return Written(
        file,
        name,
        _version(file, data.get("version"), said),
        _weight(file, data["weight"]) if "weight" in data else None,
        _variables(file, data.get("variables", {})),
        texts,
        len(examples),
    )


def _only(file: YamlFile, where: tuple[str | int, ...], fields: tuple[str, ...]) -> None:
    value = file.data
    for step in where:
        value = value[step]
    for field in value:
        if field not in fields:
            raise file.error((*where, field), f"unknown entry; {meant(field, fields)}")


def _text(file: YamlFile, where: tuple[str | int, ...], value: Any) -> str:
    if not isinstance(value, str):
        raise file.error(where, f"expected {_TEXT_HINT}")
    return value.removesuffix("\n")  # of the last line under |


def _version(file: YamlFile, value: Any, said: str) -> str:
    if value is None and "version" not in file.data:
        if not said:
            raise file.error((), "its version is missing: write version: 1, or name the file as in triage@1.yaml")
        return said
    if isinstance(value, bool) or not isinstance(value, int | str) or not _VERSION.fullmatch(str(value)):
        raise file.error(("version",), "expected a whole number, or a text of letters, digits, ., _ and - in quotes")
    if said and str(value) != said:
        raise file.error(
            ("version",), f"the file says version {value!s:.40}, and its name {said!r:.40}: write one of them"
        )
    return str(value)


def _weight(file: YamlFile, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise file.error(("weight",), "expected a number from 0: its share of the conversations, beside the others'")
    return float(value)


def _variables(file: YamlFile, declared: Any) -> Mapping[str, Variable]:
    if not isinstance(declared, dict):
        raise file.error(("variables",), "expected a mapping: each variable's name, and a description or a mapping")
    variables = {}
    for name, said in declared.items():
        where = ("variables", name)
        if not _VARIABLE.fullmatch(name) or name in _TAKEN:
            raise file.error(
                where, "cannot be a variable's name: use a letter, then letters, digits and _; no word of jinja2"
            )
        if not isinstance(said, dict):
            said = {"description": said}
        else:
            _only(file, where, ("description", "type", "default"))
        description, kind = said.get("description"), said.get("type", "")
        if not isinstance(description, str | None):
            raise file.error((*where, "description"), "expected a text that says what it is for")
        if kind and (not isinstance(kind, str) or kind not in KINDS):
            raise file.error((*where, "type"), f"expected one of {', '.join(KINDS)}")
        variable = Variable(name, description or "", kind, said.get("default", REQUIRED), file.line(where))
        if variable.default is not REQUIRED and not variable.fits(variable.default):
            raise file.error((*where, "default"), f"expected {kind}, as its type says")
        variables[name] = variable
    return variables
