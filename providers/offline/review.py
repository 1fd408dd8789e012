"""A review of a folder: links that lead nowhere, what its README promises and is not there, and what somebody forgot in
its files. What others wrote (vendor, node_modules) is left out."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from .promises import ENDINGS, holds, make_targets, promises
from .steps import (
    Call,
    Match,
    Result,
    entries_of,
    failure,
    find_files,
    lines_of,
    matches_of,
    read,
    search_call,
    was_cut,
)
from .toolbox import Toolbox, parameter

_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)>\s#]+)")
_CODE = re.compile(r"`[^`]*`")
_FOREIGN = re.compile(r"(^|/)(vendor|vendored|third_party|node_modules|site-packages)/")
_LINKS = r"\]\([^)\s]+\)"
_AT_MOST = 1_000
"""Lines that are asked for at once."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What may be wrong: its name, for one and for several, and how a line looks that has it."""

    one: str
    many: str
    pattern: str = ""
    ending: str = ""
    secret: bool = False


_LOST = Kind("broken promise", "broken promises")
_DEAD = Kind("dead link", "dead links")
_LINES = (
    Kind("unresolved merge", "unresolved merges", r"^(?:<<<<<<<|>>>>>>>) "),
    Kind(
        "key", "keys", r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36})\b|-----BEGIN [A-Z ]*PRIVATE KEY", secret=True
    ),
    Kind("breakpoint", "breakpoints", r"^\s*(?:breakpoint\(\)|import i?pdb\b|debugger;?\s*$|binding\.pry\s*$)"),
    Kind("bare except", "bare excepts", r"^\s*except\s*:\s*(?:#.*)?$", ".py"),
    Kind("left to do", "left to do", r"(?:#|//|/\*|<!--)\s*(?:TODO|FIXME|XXX|HACK)\b"),
)
KINDS = (*_LINES[:-1], _LOST, _DEAD, _LINES[-1])
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where."""

    kind: Kind
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind.one}: {self.text}"


def review(box: Toolbox, out: str) -> Generator[list[Call], list[Result], tuple[str, list[Finding], list[str]]]:
    """Look through the files.

    Args:
        box: must have the jobs ``search``, ``glob`` and ``read``.
        out: a file to pass over.

    Returns:
        A line that sums it up, what was found, the worst first, and notes.
    """
    listed = yield from find_files(box)
    if listed.failed:
        return failure(listed), [], []
    files = entries_of(listed)
    many = was_cut(listed)
    notes = ["There are too many files to know what is missing: promises and links were not looked at."] if many else []
    searched = yield [_search(box, "|".join(f"(?:{kind.pattern})" for kind in _LINES)), _search(box, _LINKS, "*.md")]
    for result in searched:
        if result.failed or was_cut(result):
            notes.append(failure(result) if result.failed else "Not all that was found is listed.")
    lines, links = (matches_of(result) for result in searched)
    found = [finding for match in lines if (finding := _forgotten(match)) is not None]
    if not many:
        readme = next((file for file in files if re.fullmatch(r"readme(\.\w+)?", file, re.IGNORECASE)), "")
        found += yield from _broken(box, readme, files)
        found += _dead(links, readme, files)
    found = [each for each in found if each.path != out and not _FOREIGN.search(each.path)]
    found.sort(key=lambda each: (KINDS.index(each.kind), each.path, each.line))
    counts = Counter(each.kind for each in found)
    said = [f"{counts[kind]} {kind.one if counts[kind] == 1 else kind.many}" for kind in KINDS if counts[kind]]
    looked = f"{'more than ' * many}{len(files):,} file{'s' * (len(files) != 1)} looked through"
    return f"{looked}: {', '.join(said) or 'nothing found'}.", found, notes


def _search(box: Toolbox, pattern: str, glob: str = "") -> Call:
    call = search_call(box, pattern, glob=glob)
    limit = parameter(box.jobs["search"], "limit")
    return Call(call.name, {**call.arguments, limit: _AT_MOST}) if limit else call


def _forgotten(match: Match) -> Finding | None:
    for kind in _LINES:
        # What shows a line has cut what stands before it, so that a beginning looks like one here, too.
        if re.search(kind.pattern, match.text) and match.path.endswith(kind.ending):
            if kind.secret and "EXAMPLE" in match.text:
                return None
            return Finding(kind, match.path, match.line, "(not shown)" if kind.secret else match.text)
    return None


def _broken(box: Toolbox, readme: str, files: list[str]) -> Generator[list[Call], list[Result], list[Finding]]:
    """What a README says there is: files, and targets of a Makefile."""
    if not readme:
        return []
    read_it = yield from read(box, readme)
    said = promises(lines_of(read_it)) if not read_it.failed else []
    targets: frozenset[str] | None = None
    makefile = next((file for file in files if file.lower() in ("makefile", "gnumakefile")), "")
    if makefile and any(promise.kind == "make" for promise in said):
        made = yield from read(box, makefile)
        targets = None if made.failed else make_targets(lines_of(made))
    return [
        Finding(_LOST, readme, promise.line, f"there is no {'make ' * (promise.kind == 'make')}{promise.what}")
        for promise in said
        if (promise.kind == "file" and not holds(files, promise.what))
        or (promise.kind == "make" and targets is not None and promise.what not in targets)
    ]


def _dead(links: Iterable[Match], readme: str, files: list[str]) -> list[Finding]:
    """Links of pages to files that are not there; those of the README are promises."""
    there = {part for file in files for part in _ways(file)}
    found = []
    for match in links:
        for target in _LINK.findall(_CODE.sub("", match.text)) if match.path != readme else ():
            ending = target.rpartition(".")[2].lower()
            if (
                "://" in target
                or target.startswith(("/", "mailto:"))
                or not (ending in ENDINGS or target.endswith("/"))
            ):
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(match.path), unquote(target)))
            if place not in there and not place.startswith(".."):
                found.append(Finding(_DEAD, match.path, match.line, target))
    return found


def _ways(file: str) -> Iterable[str]:
    """A file, and each folder above it."""
    while file:
        yield file
        file = posixpath.dirname(file)
    yield "."
