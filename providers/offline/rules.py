"""The rules for work on files: search and report, compare a document with the files, list, read, write, replace."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import text
from .listing import EXAMPLE, MAKEFILE, Listing
from .promises import holds, make_targets, promises
from .review import review
from .steps import (
    Call,
    Match,
    Plan,
    Result,
    entries_of,
    failure,
    find_files,
    lines_of,
    matches_of,
    one,
    read,
    search,
    search_call,
    was_cut,
    write,
)
from .toolbox import Job, Toolbox, parameter

_PATH = r"[`'\"]?((?:\.{0,2}/)?(?:[\w.@+-]+/)*[\w@+-][\w.@+-]*\.[A-Za-z]\w{0,7})\b"
_OUT_VERB = r"\b(?:write|writes|writing|save|store|put|create|report|output|dump|export|record|document)\b(?!\.\w)"
_OUT_STRONG = re.compile(
    rf"\b(?:to|into|as|called|named)\s+(?:(?:the|a)\s+)?(?:file\s+)?(?:called\s+|named\s+)?{_PATH}", re.I
)
_OUT_WEAK = re.compile(rf"\b(?:in|at)\s+(?:(?:the|a)\s+)?(?:file\s+)?{_PATH}", re.I)
_OUT_DIRECT = re.compile(rf"\b(?:write|create|save)\s+(?:(?:the|a|an)\s+)?(?:file\s+|report\s+)?{_PATH}", re.I)
_RESULT_NAME = re.compile(r"(?:^|/|[-_])(report|summary|findings|results?|todos?|output|overview)\.\w+$", re.I)
_ITS_RESULT = re.compile(r"\b(?:it|report|results?|findings?|summary|answer)\s+(?:to|into|in|as)\b", re.I)
_ABSENT = re.compile(r"\b(?:not|missing|absent|lacks?|lacking|without|nonexistent|broken|never)\b|n['’]t\b", re.I)
_REVIEW = re.compile(
    r"\breview\s+(?:this|the|my|our)\s+(?:whole\s+)?(?:folder|project|repository|repo|files|code)\b", re.I
)
_PROMISE = frozenset(("promis", "claim", "mention", "refer", "describ", "advertis", "stat", "reference", "say", "list"))
_FIND = frozenset(("find", "list", "search", "grep", "look", "show", "count", "locat", "collect", "check", "report"))
_KINDS = {
    "python": "*.py",
    "javascript": "*.js",
    "typescript": "*.ts",
    "markdown": "*.md",
    "yaml": "*.yaml",
    "rust": "*.rs",
}
_NAMES_CHECKED = 40
"""Names of a document that are searched for, one search each."""
_SHOWN = 60
"""Lines of a result that an answer repeats; a report file has all."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What fits a request: the jobs it needs, and the plan. With ``lesser`` jobs it can do without the others."""

    needs: tuple[Job, ...]
    plan: Callable[[Toolbox], Plan]
    lesser: tuple[Job, ...] = ()


def output_file(task: str) -> str:
    """The file a request wants its result written to; ``report.md`` for a report without a name; else empty."""
    verb = re.search(_OUT_VERB, task, re.IGNORECASE)
    if not verb:
        # "List every TODO in report.md" wants a file written, "… in main.py" one read: the name tells.
        return next((path for path in _OUT_WEAK.findall(task) if _RESULT_NAME.search(path)), "")
    rest = task[verb.start() :]
    for form in (_OUT_DIRECT, _OUT_STRONG, _OUT_WEAK):
        found = form.findall(rest)
        if found:
            return str(found[-1])
    return "report.md" if re.search(r"\b(?:write|save|create)\b.*\breport\b", rest, re.IGNORECASE) else ""


def whole_task_rule(task: str) -> Rule | None:
    """The rule for a request that is one piece of work on files."""
    said = text.stems(task) | _asked(task)
    out = output_file(task)
    sources = [path for path in text.paths(task) if path != out]
    writes: tuple[Job, ...] = ("write",) if out else ()
    document = next((path for path in sources if re.search(r"\.(md|rst|txt)$|readme", path, re.I)), "")
    named = re.search(r"\b(readme|documentation|docs|changelog)\b", task, re.IGNORECASE)
    if said & _PROMISE and _ABSENT.search(task) and (document or named):
        wanted = document or (
            f"{named[1].upper()}.md" if named and named[1].lower() in ("readme", "changelog") else "README.md"
        )
        return Rule(("read", "glob", *writes), lambda box: compare(box, wanted, out), ("read",))
    if _REVIEW.search(task) and not sources:
        return Rule(("search", "glob", "read", *writes), lambda box: reviewed(box, out))
    marks = text.markers(task)
    quotes = [found for found in text.quoted(task) if found not in (*sources, out) and "*" not in found]
    if (marks or quotes) and said & _FIND and not said & {"replac", "renam"}:
        patterns = [rf"\b{mark}\b" for mark in marks] or quotes
        path = next(iter([*sources, *text.folders(task)]), "")
        glob = next((kind for name, kind in _KINDS.items() if re.search(rf"\b{name}\b", task, re.I)), "")
        glob = next(iter(text.wildcards(task)), glob)
        what = " and ".join(marks or [repr(quote) for quote in quotes])
        literal = not marks
        return Rule(
            ("search", *writes),
            lambda box: report_matches(box, patterns, what, path=path, glob=glob, out=out, literal=literal),
            ("search",),
        )
    return None


def clause_rule(clause: str, previous: str) -> Rule | None:
    """The rule for one step of a request; `previous` is what the steps before returned."""
    said = set(text.words(clause)[:4]) | (text.stems(clause) & {"replac", "summary", "summariz", "summaris", "explain"})
    said |= _asked(clause)
    found, quotes = text.paths(clause), text.quoted(clause)
    if said & {"replac", "chang", "renam", "substitut"} and found and len(quotes) >= 2:
        pairs = [quote for quote in quotes if quote not in found]
        if len(pairs) >= 2:
            return Rule(("edit",), lambda box: replace_text(box, found[0], pairs[0], pairs[1]))
    out = output_file(clause)
    content = text.fenced(clause) or next((q for q in quotes if q != out), "") or previous
    if out and said & {"writ", "creat", "sav", "stor", "put", "export"} and content:
        return Rule(("write",), lambda box: save(box, out, content))
    if out and _ITS_RESULT.search(clause) and not content:
        return Rule((), lambda box: nothing())
    if found and said & {
        "read",
        "show",
        "summary",
        "summariz",
        "summaris",
        "explain",
        "open",
        "print",
        "display",
        "tell",
        "what",
        "cat",
    }:
        brief = bool(text.stems(clause) & {"summary", "summariz", "summaris", "explain", "about", "tell"})
        return Rule(("read",), lambda box: show(box, found, brief))
    if said & {"list", "show", "find", "what", "count"} and text.stems(clause) & {
        "fil",
        "folder",
        "directory",
        "content",
    }:
        wild = next(iter(text.wildcards(clause)), "") or next(
            (kind for name, kind in _KINDS.items() if re.search(rf"\b{name}\b", clause, re.I)), ""
        )
        folder = next(iter(text.folders(clause)), "")
        counts = "count" in said
        needs: tuple[Job, ...] = ("glob",) if wild or counts else ("list",)
        return Rule(needs, lambda box: listing(box, wild, folder, counts, by_glob=bool(wild or counts)))
    return None


def _asked(clause: str) -> set[str]:
    """What a question asks to have done, as a verb's stem."""
    if re.search(r"\bhow many\b", clause, re.IGNORECASE):
        return {"count"}
    if re.match(r"\W*(what|where|which|who)\b", clause, re.IGNORECASE):
        return {"show", "find"}
    return set()


def report_matches(
    box: Toolbox, patterns: list[str], what: str, *, path: str, glob: str, out: str, literal: bool
) -> Plan:
    """Search, and answer with every place found; write them to a file where one is wanted."""
    found: list[Match] = []
    notes: list[str] = []
    for pattern in patterns:
        result = yield from search(box, pattern, path=path, glob=glob, literal=literal)
        if result.failed:
            notes.append(failure(result))
            continue
        if was_cut(result):
            notes.append(f"{result.name} left matches out.")
        found += [match for match in matches_of(result) if match.path != out and match not in found]
    places = len({match.path for match in found})
    head = f"{_count(len(found), 'place')} with {what} in {_count(places, 'file')}."
    lines = [f"{match.path}:{match.line}: {match.text}" for match in found]
    report = "\n".join(
        [f"# {what}", "", head, "", "| File | Line | Text |", "| --- | ---: | --- |"]
        + [f"| {match.path} | {match.line} | {_cell(match.text)} |" for match in found]
        + [f"\n{note}" for note in notes]
    )
    return (yield from delivered(box, head, lines, report + "\n", out, notes))


def compare(box: Toolbox, document: str, out: str) -> Plan:
    """Find what a document mentions and the files do not hold: paths, make targets, names in code."""
    listed = yield from find_files(box)
    if listed.failed:
        return failure(listed)
    files = entries_of(listed)
    readme = yield from read(box, _closest(files, document))
    if readme.failed:
        return f"{failure(readme)}\nThere is no {document} to compare the files with."
    lines = lines_of(readme)
    source = _closest(files, document)
    text_of = dict(lines)
    said = [
        promise
        for promise in promises(lines)
        if promise.kind != "file" or ("*" not in promise.what and not EXAMPLE.search(text_of[promise.line]))
    ]
    targets: frozenset[str] | None = frozenset()
    folder = Listing(files)
    if ".gitignore" in files:
        passed_over = yield from read(box, ".gitignore")
        folder.pass_over(dict(lines_of(passed_over)) if not passed_over.failed else {})
    makefile = folder.named(MAKEFILE)
    if makefile and any(promise.kind == "make" for promise in said):
        made = yield from read(box, makefile)
        targets = make_targets(lines_of(made)) if not made.failed else targets
    names = [promise for promise in said if promise.kind == "name"]
    notes = []
    absent: set[str] = set()
    if names and box.has("search"):
        checked = names[:_NAMES_CHECKED]
        results: list[Result] = yield [search_call(box, promise.what, literal=True, whole=True) for promise in checked]
        for promise, result in zip(checked, results, strict=True):
            elsewhere = [match for match in matches_of(result) if match.path not in (source, out)]
            if not result.failed and not elsewhere:
                absent.add(promise.what)
        if len(names) > len(checked):
            notes.append(f"{len(names) - len(checked)} more names were not looked for.")
    elif names:
        notes.append(f"{_count(len(names), 'name')} were not looked for: there is no tool to search with.")
    missing = [
        promise
        for promise in said
        if (promise.kind == "file" and promise.what != out and not _is_there(folder, promise.what))
        or (promise.kind == "make" and targets is not None and promise.what not in targets)
        or (promise.kind == "name" and promise.what in absent)
    ]
    kinds = {"file": "no such file or folder", "make": "no such make target", "name": "named in no other file"}
    if not said:
        head = f"{source} mentions no file, make target or name that the files should hold."
        return (yield from delivered(box, head, [], f"# What {source} promises\n\n{head}\n", out, []))
    gone = f"{len(missing) or 'none'} of them {'is' if len(missing) == 1 else 'are'} missing"
    head = f"{source} mentions {_count(len(said), 'thing')} that the files should hold; {gone}."
    found = [f"{source}:{promise.line}: `{promise.what}`: {kinds[promise.kind]}" for promise in missing]
    there = [promise for promise in said if promise not in missing]
    report = [f"# What {source} promises and the files do not contain", "", head, ""]
    report += [f"- {line}" for line in found] + ["", "## Found", ""]
    report += [f"- {source}:{promise.line}: `{promise.what}`" for promise in there]
    report += ["", *notes] if notes else []
    return (yield from delivered(box, head, found, "\n".join(report) + "\n", out, notes))


def reviewed(box: Toolbox, out: str) -> Plan:
    """Review the folder, and answer with what is wrong in it; write it to a file where one is wanted."""
    head, found, notes = yield from review(box, out)
    lines = [str(finding) for finding in found]
    report = [f"# Review\n\n{head}\n", *(f"- {line}" for line in lines), *(f"\n{note}" for note in notes)]
    return (yield from delivered(box, head, lines, "\n".join(report) + "\n", out, notes))


def delivered(box: Toolbox, head: str, lines: list[str], report: str, out: str, notes: list[str]) -> Plan:
    """Answer with what was found, and write the report where a file is wanted."""
    answer = [head, *(f"- {line}" for line in lines[:_SHOWN])]
    if len(lines) > _SHOWN:
        answer.append(f"- and {len(lines) - _SHOWN} more")
    answer += notes
    if out and box.has("write"):
        written = yield from write(box, out, report)
        answer.append(failure(written) if written.failed else f"The report is in {out}.")
    elif out:
        answer.append(f"{out} was not written: there is no tool to write with.")
    return "\n".join(answer)


def show(box: Toolbox, wanted: list[str], brief: bool) -> Plan:
    """Read files and answer with their content, or with how they begin."""
    spec = box.jobs["read"]
    name = parameter(spec, "path")
    results: list[Result] = yield [Call(spec.name, {name: path}) for path in wanted]
    answer = []
    for path, result in zip(wanted, results, strict=True):
        if result.failed and box.has("glob"):
            # Perhaps it lies elsewhere: the name without its folder.
            listed = yield from find_files(box, pattern=f"**/{path.rsplit('/', 1)[-1]}")
            other = next(iter(entries_of(listed)), "") if not listed.failed else ""
            if other and other != path:
                result = yield from read(box, other)
        if result.failed:
            answer.append(failure(result))
            continue
        lines = [line for _, line in lines_of(result)]
        kept = [line for line in lines if line.strip()][:12] if brief else lines[:400]
        answer.append(
            (f"{path}, {_count(len(lines), 'line')}" + (", begins:" if brief else ":")) + "\n" + "\n".join(kept)
        )
    return "\n\n".join(answer)


def listing(box: Toolbox, wild: str, folder: str, counts: bool, *, by_glob: bool) -> Plan:
    """Answer with the files there are, or how many."""
    if by_glob:
        result = yield from find_files(box, pattern=wild, path=folder)
    else:
        spec = box.jobs["list"]
        name = parameter(spec, "path")
        result = yield from one(Call(spec.name, {name: folder or "."} if name else {}))
    if result.failed:
        return failure(result)
    if counts:
        return f"{_count(len(entries_of(result)), 'file')}{f' fit {wild}' if wild else ''}."
    return result.content


def nothing() -> Plan:
    """Write no report where nothing was found out."""
    return ""
    yield []


def save(box: Toolbox, path: str, content: str) -> Plan:
    """Write a file and say so."""
    result = yield from write(box, path, content if content.endswith("\n") else content + "\n")
    return failure(result) if result.failed else f"{path} is written. {result.content}".strip()


def replace_text(box: Toolbox, path: str, old: str, new: str) -> Plan:
    """Replace a text in a file; a tool may want the file read first."""
    spec = box.jobs["edit"]
    call = Call(spec.name, {parameter(spec, "path"): path, parameter(spec, "old"): old, parameter(spec, "new"): new})
    result = yield from one(call)
    if result.failed and "read" in result.content.lower() and box.has("read"):
        yield from read(box, path)
        result = yield from one(call)
    return failure(result) if result.failed else f"Replaced {old!r} by {new!r} in {path}. {result.content}".strip()


def _closest(files: list[str], wanted: str) -> str:
    for file in files:
        if file.lower() == wanted.lower():
            return file
    stem = wanted.rsplit(".", 1)[0].lower()
    return next((f for f in files if "/" not in f and f.lower().rsplit(".", 1)[0] == stem), wanted)


def _is_there(folder: Listing, path: str) -> bool:
    return holds(folder.files, path) or folder.is_unseen(path)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cell(content: str) -> str:
    return content.replace("|", "\\|")
