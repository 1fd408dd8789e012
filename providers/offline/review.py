"""A review of a folder: what somebody forgot in its files, links that lead nowhere, and what its README promises and is
not there. What is found by the form of a line is read again where it stands, as far as that is Python or Markdown: a
TODO within quotes is none, nor is a link in an example. Left out are what others wrote (vendor, node_modules), what
programs make (.gitignore), keys that tests and examples use, and whatever might be meant as an example."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import unquote

from .listing import EXAMPLE, MAKEFILE, Listing, ways
from .promises import ENDINGS, holds, is_fence, make_targets, promises
from .source import Python, ending, is_left_to_do, python
from .steps import (
    Call,
    Match,
    Result,
    entries_of,
    failure,
    find_files,
    lines_of,
    matches_of,
    read_call,
    search_call,
    was_cut,
)
from .toolbox import Toolbox, parameter

_LINK = re.compile(r"\]\(\s*<?([^)>\s#]+)")
_CODE = re.compile(r"`[^`]*`|<!--.*")
_FOREIGN = re.compile(
    r"(^|/)(vendor|vendored|third[-_]?party|3rdparty|external|deps|Pods|node_modules|bower_components|site-packages)/"
    r"|\.min\.\w+$"
)
_TRIED = re.compile(
    r"(^|/)(tests?|testing|testdata|specs?|__tests__|fixtures?|mocks?|examples?|samples?|demos?)/|(^|/)test_", re.I
)
_PAST = re.compile(r"(^|/)(changelog|changes|history|news|releases?)\b", re.I)  # what they tell of was there once
_NO_PLACE = re.compile(r"[{}$<>|*]|://|^(/|#|[a-z]+:)")
_NO_SECRET = re.compile(r"EXAMPLE|ABCD|1234|0123|XXXX", re.I)
_LINKS = r"\]\([^)\s]+\)"
_CUT = ("that is left to do is listed", "links were looked at", "that is broken is listed")
_AT_MOST = 1_000
"""Lines that are asked for at once."""
_READ_AGAIN = 24
"""Files that are read again where a line does not tell for sure; what stands in others is left out."""
_READ_LIKELY = 8
"""Files that are read again, those among them, where it nearly does."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What may be wrong: its name, for one and for several, how a line looks that has it, and in which files."""

    one: str
    many: str
    pattern: str = ""
    endings: tuple[str, ...] = ()
    secret: bool = False


_LOST = Kind("broken promise", "broken promises")
_DEAD = Kind("dead link", "dead links")
_MERGE = Kind("unresolved merge", "unresolved merges", r"^(?:<<<<<<<|>>>>>>>) ")
_KEY = Kind(
    "key",
    "keys",
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36})\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----(?:\s*$|\\n\w{16})",
    secret=True,
)
_STOP = Kind("breakpoint", "breakpoints", r"^\s*(?:breakpoint\(\)|(?:import i?pdb; ?)?i?pdb\.set_trace\(\))", ("py",))
_DEBUGGER = Kind("breakpoint", "breakpoints", r"^\s*debugger;?\s*$", ("js", "jsx", "mjs", "cjs", "ts", "tsx", "vue"))
_PRY = Kind("breakpoint", "breakpoints", r"^\s*binding\.pry\s*$", ("rb",))
_BARE = Kind("bare except", "bare excepts", r"^\s*except\s*:", ("py",))
_TODO = Kind("left to do", "left to do", r"(?:#|//|/\*|<!--)\s*(?:TODO|FIXME|XXX|HACK)\b")
_LINES = (_MERGE, _KEY, _STOP, _DEBUGGER, _PRY, _BARE)
KINDS = (*_LINES, _LOST, _DEAD, _TODO)
"""The worst first."""
_UNSURE = (_STOP, _BARE, _DEAD)


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
    patterns = [f"(?:{kind.pattern})" for kind in (*_LINES, _TODO)]
    searched = yield [_search(box, "|".join(patterns)), _search(box, _LINKS, "*.md")]
    if was_cut(searched[0]):  # then what is only left to do may hide what is worse
        searched += yield [_search(box, "|".join(patterns[:-1]))]
    for result, what in zip(searched, _CUT, strict=False):
        if result.failed or was_cut(result):
            notes.append(failure(result) if result.failed else f"Not all {what}.")
        notes += [line.strip("[]") for line in result.content.splitlines()[-2:] if line.endswith("searched]")]
    marked, links, lines = (matches_of(result) for result in (*searched, searched[0])[:3])
    folder = Listing(files)
    pages = [folder.named(r"readme(\.\w+)?"), folder.named(MAKEFILE), ".gitignore", ".gitmodules"]
    read = yield from _read(box, [page for page in pages if page in files])
    folder.pass_over(read.get(".gitignore", {}), read.get(".gitmodules", {}))
    found = [*_forgotten(lines), *(_finding(_TODO, match) for match in marked if is_left_to_do(match.path, match.text))]
    if not many:
        found += _broken(folder, pages[0], read)
        found += _dead(folder, links)
    found = [
        each
        for each in found
        if each.path != out and not _FOREIGN.search(each.path) and not folder.is_unseen(each.path)
    ]
    found.sort(key=lambda each: (KINDS.index(each.kind), each.path, each.line))
    more = yield from _read(box, [path for path in _again(found) if path not in read])
    read = {**read, **more}
    pythons = {path: python(list(text.values())) for path, text in read.items() if ending(path) == "py"}
    kept = [each for each in found if _stands(each, pythons.get(each.path), read.get(each.path, {}))]
    if len({each.path for each in found if each.kind in _UNSURE}) > _READ_AGAIN:
        notes.append("Not all that looks broken was looked at again: what was not is left out.")
    found = kept
    counts = Counter(each.kind.one for each in found)
    names = {kind.one: kind.many for kind in KINDS}
    least = {_TODO.one} if was_cut(searched[0]) else set()
    said = [
        f"{'at least ' * (one in least)}{counts[one]:,} {one if counts[one] == 1 else many}"
        for one, many in names.items()
        if counts[one]
    ]
    nothing = f"nothing found, of {', '.join(names.values())}"
    looked = f"{'more than ' * many}{len(files):,} file{'s' * (len(files) != 1)} looked through"
    return f"{looked}: {', '.join(said) or nothing}.", found, list(dict.fromkeys(notes))


def _search(box: Toolbox, pattern: str, glob: str = "") -> Call:
    call = search_call(box, pattern, glob=glob)
    limit = parameter(box.jobs["search"], "limit")
    return Call(call.name, {**call.arguments, limit: _AT_MOST}) if limit else call


def _read(box: Toolbox, paths: list[str]) -> Generator[list[Call], list[Result], dict[str, dict[int, str]]]:
    """The lines of files by their numbers; a file that cannot be read has none."""
    if not paths:
        return {}
    results = yield [read_call(box, path) for path in paths]
    return {path: {} if result.failed else dict(lines_of(result)) for path, result in zip(paths, results, strict=True)}


def _finding(kind: Kind, match: Match) -> Finding:
    return Finding(kind, match.path, match.line, "(not shown)" if kind.secret else match.text)


def _forgotten(lines: list[Match]) -> Iterable[Finding]:
    merged = Counter((match.path, match.text[0]) for match in lines if re.match(_MERGE.pattern, match.text))
    for match in lines:
        kind = next(
            (
                kind
                for kind in _LINES
                # What shows a line has cut what stands before it, so that a beginning looks like one here, too.
                if re.search(kind.pattern, match.text) and (not kind.endings or ending(match.path) in kind.endings)
            ),
            None,
        )
        if (
            kind is None
            or (kind is _MERGE and not all(merged[match.path, mark] for mark in "<>"))
            or (kind is _KEY and not _is_secret(match))
        ):
            continue
        yield _finding(kind, match)


def _is_secret(match: Match) -> bool:
    """Whether a key is one that somebody would have to replace: not a test's, and not one that is made up."""
    if _TRIED.search(match.path) or _NO_SECRET.search(match.text):
        return False
    if "-----BEGIN" in match.text:
        return ending(match.path) not in ("md", "rst", "txt", "adoc")
    token = re.search(_KEY.pattern, match.text)
    return token is not None and len(set(token[0])) > 8


def _again(found: list[Finding]) -> list[str]:
    """The files to read again: those with what its line does not tell for sure, then some with what it nearly does."""
    unsure = list(dict.fromkeys(each.path for each in found if each.kind in _UNSURE))[:_READ_AGAIN]
    likely = [each.path for each in found if each.kind is _TODO and ending(each.path) == "py"]
    return list(dict.fromkeys([*unsure, *likely]))[: max(len(unsure), _READ_LIKELY)]


def _stands(found: Finding, code: Python | None, page: Mapping[int, str]) -> bool:
    """Whether what was found is there, by what its file has: as Python, or as Markdown with blocks of code."""
    if found.kind is _DEAD:
        fences = sum(is_fence(text) for line, text in page.items() if line < found.line)
        return found.line in page and fences % 2 == 0
    if code is None or found.line > code.read:
        return found.kind not in _UNSURE
    places: Mapping[Kind, frozenset[int]] = {_TODO: code.comments, _BARE: code.bare, _STOP: code.stops}
    return found.line in places.get(found.kind, (found.line,))


def _broken(folder: Listing, readme: str, read: Mapping[str, Mapping[int, str]]) -> Iterable[Finding]:
    """What a README says there is: files in folders that are there, and targets of a Makefile."""
    makefile = read.get(folder.named(MAKEFILE))
    targets = make_targets(makefile.items()) if makefile else None
    said = read.get(readme, {})
    for promise in promises(said.items()):
        what = promise.what
        if promise.kind == "make" and targets is not None and what not in targets:
            yield Finding(_LOST, readme, promise.line, f"there is no make {what}")
        elif (
            promise.kind == "file"
            and not promise.linked  # links are looked at on all pages
            and ending(what) in ENDINGS
            and not holds(folder.files, what)
            and not folder.is_unseen(what)
            and not EXAMPLE.search(said[promise.line])
        ):
            close = get_close_matches(what, {posixpath.basename(file) for file in folder.files}, 1, 0.93)
            if close:
                yield Finding(_LOST, readme, promise.line, f"there is no {what}; there is {close[0]}")
            elif "/" in what and any(file.startswith(what.partition("/")[0] + "/") for file in folder.files):
                yield Finding(_LOST, readme, promise.line, f"there is no {what}")


def _dead(folder: Listing, links: Iterable[Match]) -> Iterable[Finding]:
    """Links of pages to files that are not there."""
    there = {part for file in folder.files for part in ways(file)}
    for match in links:
        for target in (
            () if _TRIED.search(match.path) or _PAST.search(match.path) else _LINK.findall(_CODE.sub("", match.text))
        ):
            goal = unquote(target.partition("?")[0])
            if _NO_PLACE.search(goal) or ending(goal) not in ENDINGS or ending(goal) in ("html", "htm"):
                continue  # pages of a site are made of others
            place = posixpath.normpath(posixpath.join(posixpath.dirname(match.path), goal))
            if place not in there and not place.startswith("..") and not folder.is_unseen(place):
                yield Finding(_DEAD, match.path, match.line, target)
