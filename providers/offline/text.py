"""What can be read off a request by its form: words, quoted texts, paths, numbers, names, patterns, clauses."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*|\d+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FENCE = re.compile(r"```[\w-]*\n(.*?)```", re.DOTALL)
_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"]+)\"|“([^”]+)”|(?<!\w)'([^'\n]+)'(?!\w)")
_URL = re.compile(r"https?://[^\s<>\"'`)]+[^\s<>\"'`).,;:!?]")
_PATH = re.compile(r"(?<![\w/.@-])(?:\.{0,2}/)?(?:[\w.@+-]+/)*[\w@+-][\w.@+-]*\.[A-Za-z][\w]{0,7}(?![\w/])")
_FOLDER = re.compile(r"(?<![\w/.:-])(?:\.{1,2}/|/)?[\w@+.-]+(?:/[\w@+.-]+)*/(?![\w/])|(?<!\w)\.{1,2}(?=\s|$)")
_WILD = re.compile(r"(?<![\w*])[\w./-]*\*[\w.*/{},-]*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w%]|\.\d)")
_EXPRESSION = re.compile(r"[-(\d][\d\s.()]*(?:\*\*|[-+*/%^])[-+*/%^\d\s.()]*[\d)]")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?Z?)?\b")
_MARKER = re.compile(r"\b(TODO|FIXME|XXX|HACK|BUG|NOTE|WARNING|ERROR|DEPRECATED)s?\b")
_NAME = re.compile(r"\b[A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)*")
_CLAUSE = re.compile(
    r"(?:[;\n]+|(?<=[.!?])\s+(?=[A-Z])|,?\s+(?:and\s+)?(?:then|afterwards|after that|finally)\s+"
    r"|,?\s+and\s+(?=(?:write|save|store|tell|send|report|email|show|answer|summari[sz]e|create|list|count|run)\b))",
    re.IGNORECASE,
)
_TO_TEN = "zero one two three four five six seven eight nine ten"
_COUNT_WORDS = {word: number for number, word in enumerate(_TO_TEN.split())}
# Abbreviated file names look like paths: "e.g", "i.e" and versions do not count as such.
_NO_PATH = re.compile(r"(?:e\.g|i\.e|etc|vs|[a-z]\.[a-z])\.?$|^\d+(\.\d+)*$", re.IGNORECASE)

_COMMON = """
a an the and or of to in on at for from with by is are was be it its this that these those my your our their his her me
you we they i as into about all every each any some please can could would should will do does did not no what which
who when where how there here then than so if but also just only using use used via per up out one have has had give
given get let
"""
STOP_WORDS = frozenset(_COMMON.split())


def stem(word: str) -> str:
    """A word without the commonest English endings, so that ``lists``, ``listing`` and ``list`` are one."""
    word = word.lower()
    for ending, kept in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + kept
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def words(text: str) -> list[str]:
    """The stems of a text's or an identifier's words, in order, without the commonest."""
    spaced = _CAMEL.sub(" ", text.replace("_", " ").replace("-", " "))
    return [stem(word) for word in _WORD.findall(spaced) if word.lower() not in STOP_WORDS]


def stems(text: str) -> frozenset[str]:
    """The same as a set."""
    return frozenset(words(text))


def quoted(text: str) -> list[str]:
    """Texts in quotation marks or backticks, in order."""
    return [next(group for group in match.groups() if group) for match in _QUOTED.finditer(_FENCE.sub(" ", text))]


def fenced(text: str) -> str:
    """The content of the first fenced block, or nothing."""
    match = _FENCE.search(text)
    return match[1] if match else ""


def paths(text: str) -> list[str]:
    """What looks like a file's path, in order, each once."""
    text = _URL.sub(" ", _EMAIL.sub(" ", text))
    return _once(found for found in _PATH.findall(text) if not _NO_PATH.search(found))


def folders(text: str) -> list[str]:
    """What looks like a folder's path (it ends with a slash, or follows "folder" or "directory")."""
    text = _URL.sub(" ", text)
    named = re.findall(r"\b(?:folder|directory)\s+[`'\"]?([\w./-]+)", text, re.IGNORECASE)
    before = re.findall(r"[`'\"]?([\w./-]+)[`'\"]?\s+(?:folder|directory)\b", text, re.IGNORECASE)
    plain = [name for name in (*named, *before) if name.lower() not in STOP_WORDS and not name.isdigit()]
    plain = [name for name in plain if "/" in name or name in quoted(text) or name in named]
    return _once([*_FOLDER.findall(text), *(name for name in plain if stem(name) not in ("name", "list", "whol"))])


def wildcards(text: str) -> list[str]:
    """What looks like a glob."""
    return _once((found.strip("*") and found) or found for found in _WILD.findall(text) if len(found) > 1)


def urls(text: str) -> list[str]:
    """Addresses."""
    return _once(_URL.findall(text))


def emails(text: str) -> list[str]:
    """Mail addresses."""
    return _once(_EMAIL.findall(text))


def dates(text: str) -> list[str]:
    """Dates in ISO form."""
    return _once(_DATE.findall(text))


def numbers(text: str) -> list[float]:
    """Numbers in digits, else in words up to ten, in order."""
    text = _DATE.sub(" ", _URL.sub(" ", text))
    found = [float(number) for number in _NUMBER.findall(text)]
    return found or [float(_COUNT_WORDS[w]) for w in re.findall(r"[a-z]+", text.lower()) if w in _COUNT_WORDS]


def expressions(text: str) -> list[str]:
    """Arithmetic."""
    return [found.strip() for found in _EXPRESSION.findall(text)]


def markers(text: str) -> list[str]:
    """Words such as TODO that mark places in files."""
    return _once(_MARKER.findall(text))


def names(text: str) -> list[str]:
    """Proper names: capitalised words, but for the word that begins a sentence and words all in capitals."""
    found: list[str] = []
    for match in _NAME.finditer(text):
        name = match[0]
        first = match.start() == 0 or text[: match.start()].rstrip()[-1:] in (".", "!", "?", ":", "")
        if first:
            head, _, name = name.partition(" ")
            if head.lower() not in STOP_WORDS and not name:
                continue
        kept = [word for word in name.split() if word.lower() not in STOP_WORDS]
        if kept and not all(word.isupper() and len(word) > 3 for word in kept):
            found.append(" ".join(kept))
    return _once(found)


def clauses(text: str) -> list[str]:
    """The steps of a request: sentences, and what "then" or "and write" divides. What is quoted stays whole."""
    whole = [match.span() for form in (_FENCE, _QUOTED) for match in form.finditer(text)]
    parts, begin = [], 0
    for match in _CLAUSE.finditer(text):
        if any(start < match.end() and match.start() < end for start, end in whole):
            continue
        parts.append(text[begin : match.start()])
        begin = match.end()
    return [part.strip(" ,.") for part in (*parts, text[begin:]) if part.strip(" ,.")]


def after(text: str, *leads: str) -> str:
    """What follows the first of some words, up to the end of the phrase."""
    for lead in leads:
        match = re.search(rf"\b{lead}\b[:\s]+(.+?)(?=[,;?!]|\.\s|\.$|$)", text, re.IGNORECASE | re.DOTALL)
        if match:
            return re.sub(r"\s+please$", "", match[1].strip(), flags=re.IGNORECASE)
    return ""


def _once(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))
