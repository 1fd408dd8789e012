"""What a document promises: the files, make targets and names it mentions as existing."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_LINK = re.compile(r"\]\(\s*<?([^)>\s#]+)[^)]*\)")
_CODE = re.compile(r"`([^`\n]+)`")
_MAKE = re.compile(r"^(?:\$ )?make\s+([a-z][\w-]*)")
_IMPORT = re.compile(r"^\s*from\s+([\w.]+)\s+import\s+\(?([\w, ]+)")
_SCRIPT = re.compile(r"(?:^|\s)((?:[\w.-]+/)*[\w-]+\.(?:py|sh|js|ts|ya?ml|toml|json|md|txt|sql|html))(?=\s|$|[,;:])")
_PATH = re.compile(r"\.{0,2}/?(?:[\w.@+*-]+/)+[\w.@+*-]*|[\w@+*-][\w.@+*-]*\.[A-Za-z]\w{0,7}")
_NAME = re.compile(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?:\(.*\))?")
_FLAG = re.compile(r"--[a-z][\w-]+")
_MORE_TARGETS = re.compile(r"[-s]?include\s|\.DEFAULT\s*:|[^\t#:=]*\$[({](?:eval\b|[^)}\t]*[:=])")
_ASSIGNED = re.compile(r"(?:export\s+)?([\w.-]+)\s*(?:[?+!]|:{1,3})?=(.*)")
_RULE = re.compile(r"([^\s#:=][^#:=]*?)\s*::?(?!=)")
_VARIABLE = re.compile(r"\$[({]([\w.-]+)[)}]")
_KNOWN_CAPITALS = ("README", "LICENSE", "LICENCE", "CHANGELOG", "CONTRIBUTING", "MAKEFILE", "NOTICE", "AUTHORS", "TODO")
_ENDINGS = """
py pyi js mjs ts tsx jsx go rs java kt c h cc cpp hpp cs rb php sh bash toml yaml yml json md rst txt cfg ini html css
sql lock csv xml proto ipynb svg png jpg gif pdf env service dockerfile
"""
ENDINGS = frozenset(_ENDINGS.split())
"""Of files that projects are made of."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that a document says exists.

    Args:
        kind: a path in the folder, a target of its Makefile, or a name that some file must contain.
        what: the path, the target, the name.
        line: where the document says so, counted from 1.
        linked: it is the target of a link.
    """

    kind: Literal["file", "make", "name"]
    what: str
    line: int
    linked: bool = False


def promises(lines: Iterable[tuple[int, str]]) -> list[Promise]:
    """The promises of a document, each thing once, in order."""
    found: dict[tuple[str, str], Promise] = {}

    def add(kind: Literal["file", "make", "name"], what: str, line: int, linked: bool = False) -> None:
        found.setdefault((kind, what), Promise(kind, what, line, linked))

    in_fence = cloned = elsewhere = False
    for number, line in lines:
        if is_fence(line):
            in_fence = not in_fence
            cloned = elsewhere = False
            continue
        if in_fence:
            command = line.split("#")[0].strip()
            cloned = cloned or "git clone" in command
            # What stands after "cd" is about another folder, but for the one that was cloned: that is this one.
            elsewhere = elsewhere or (bool(re.match(r"(\$ )?cd ", command)) and not cloned)
            if elsewhere:
                continue
            if make := _MAKE.match(command):
                add("make", make[1], number)
            if imported := _IMPORT.match(line):
                for name in imported[2].split(","):
                    if name.strip():
                        add("name", name.strip().split(" ")[0], number)
            if re.match(r"(\$ )?(python|bash|sh|node|cat|\./)", command):
                for path in _SCRIPT.findall(command):
                    if _is_path(path):
                        add("file", _clean(path), number)
            continue
        for target in _LINK.findall(line):
            if not re.match(r"[a-z]+:|/", target):
                add("file", _clean(target), number, linked=True)
        for code in _CODE.findall(_LINK.sub("]", line)):
            code = code.strip()
            if make := _MAKE.match(code):
                add("make", make[1], number)
            elif _PATH.fullmatch(code) and _is_path(code):
                add("file", _clean(code), number)
            elif _FLAG.fullmatch(code):
                add("name", code, number)
            elif (name := _NAME.fullmatch(code)) and _is_name(code, name[1]):
                add("name", name[1], number)
    return [promise for promise in found.values() if promise.what]


def is_fence(line: str) -> bool:
    """Whether a block of code begins or ends on a line."""
    return line.lstrip().startswith(("```", "~~~"))


def holds(files: Sequence[str], path: str) -> bool:
    """Whether a listing of files (paths relative to the folder) has a file or folder that a document calls `path`."""
    wanted = path.rstrip("/")
    for file in files:
        file = file.rstrip("/")
        if (
            file == wanted
            or file.endswith("/" + wanted)
            or file.startswith(wanted + "/")
            or f"/{wanted}/" in f"/{file}"
        ):
            return True
        if "*" in wanted and (fnmatch.fnmatch(file, wanted) or fnmatch.fnmatch(file.rsplit("/", 1)[-1], wanted)):
            return True
    return False


def make_targets(lines: Iterable[tuple[int, str]]) -> frozenset[str] | None:
    """The targets of a Makefile; None where they do not all stand there, but in other files, or are worked out."""
    found: set[str] = set()
    values: dict[str, str] = {}
    for _, line in lines:
        if _MORE_TARGETS.match(line):
            return None
        if assigned := _ASSIGNED.match(line):
            values[assigned[1]] = assigned[2].strip()
        elif rule := _RULE.match(line):
            names = _VARIABLE.sub(lambda match: values.get(match[1], match[0]), rule[1]).split()
            if any("$" in name or ("%" in name and not set(name) & set("./")) for name in names):
                return None
            found.update(names)
    return frozenset(found)


def _clean(path: str) -> str:
    return re.sub(r"^(\./)+", "", path).split("?")[0]


def _is_path(text: str) -> bool:
    if text.startswith(("/", "~", "..", "-")) or "<" in text or "//" in text:
        return False
    stem, _, extension = text.rstrip("/").rsplit("/", 1)[-1].rpartition(".")
    if stem.isupper() and not stem.startswith(_KNOWN_CAPITALS):
        return False  # TEAM.yaml: a place for the reader's own
    return "/" in text or extension.lower() in ENDINGS


def _is_name(code: str, name: str) -> bool:
    """Whether a word in backticks names something in code, and not just a word or a command."""
    return len(name) > 2 and (
        "(" in code or "_" in name or "." in code or bool(re.search(r"[a-z][A-Z]|^[A-Z][a-z]+[A-Z]?|^[A-Z]{3,}$", name))
    )
