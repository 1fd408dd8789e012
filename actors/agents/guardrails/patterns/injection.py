"""Text that gives orders to the model that reads it.

These are heuristics: phrases and marks that injections are often made of. They find what is written as usual, and what
is hidden by invisible characters, look-alike letters or base64; whoever knows them writes around them. What is to hold
against that is what untrusted text may cause, not how it looks.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from .....providers.checks import SHARE
from ...wishes import define
from ..findings import Finding

_MARKS: Final[Mapping[str, tuple[float, str]]] = {
    "asks to ignore instructions": (
        0.9,
        r"\b(?:ignore|disregard|forget|override|bypass|neglect)\b[^.\n]{0,30}?"
        r"\b(?:all|any|every|the|your|my|these|those|previous|prior|earlier|above|preceding|other|system)\b"
        r"[^.\n]{0,30}?\b(?:instructions?|prompts?|rules?|directions?|guidelines?|context|commands?)\b"
        r"|\bignorier(?:e|en)\b[^.\n]{0,40}\b(?:anweisungen|vorgaben|regeln|befehle)\b"
        r"|\bignore[zrs]?\b[^.\n]{0,40}\b(?:consignes|directives)\b"
        r"|\bignor(?:a|e|ar)\b[^.\n]{0,40}\binstrucciones\b"
        r"|忽略[^。\n]{0,20}(?:指令|指示|提示|规则|規則)|無視[^。\n]{0,10}(?:指示|命令)",
    ),
    "gives new instructions": (
        0.7,
        r"\b(?:new|updated|revised|real|actual|important) (?:system )?(?:instructions?|directives?|task)\s*[:=]"
        r"|\b(?:instead|from now on)\b[^.\n]{0,20}\byou (?:must|should|will|shall|are)\b"
        r"|\byour (?:new|real|actual|only) (?:task|goal|instructions?|job) (?:is|are)\b",
    ),
    "speaks to the model as somebody else": (
        0.6,
        r"\byou are (?:now|no longer)\b[^.\n]{0,30}\b(?:an?|bound|restricted|unrestricted|jailbroken|free|dan|mode)\b"
        r"|\b(?:pretend|act|behave) (?:to be|as if|as though|like) (?:you|an?|the)\b[^.\n]{0,40}"
        r"\b(?:no|without|unrestricted|jailbroken|developer mode|not bound)\b"
        r"|\b(?:developer|debug|god|admin|jailbreak) mode (?:enabled|activated|on)\b",
    ),
    "asks for the system prompt": (
        0.8,
        r"\b(?:reveal|show|print|repeat|output|display|tell|give|leak|dump)\b[^.\n]{0,40}"
        r"\b(?:system|initial|hidden|original|secret) (?:prompt|instructions?|message)\b",
    ),
    "asks for secrecy": (
        0.8,
        r"\b(?:do not|don't|never|without) (?:tell|telling|mention|mentioning|inform|informing|alert|alerting|notify|"
        r"notifying|show|showing|reveal|revealing)\b[^.\n]{0,30}\b(?:user|person|human|anyone|anybody|operator)\b",
    ),
    "asks to send data away": (
        0.6,
        r"\b(?:send|post|upload|forward|exfiltrate|transmit|leak|email|e-mail)\b[^.\n]{0,60}"
        r"\b(?:password|passwords|secret|secrets|credential|credentials|api.?keys?|tokens?|private key|conversation|"
        r"chat history|system prompt|env(?:ironment)? variables?)\b",
    ),
    "mark of a chat": (
        0.9,
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|begin_of_text|start_header_id|end_header_id|eot_id)\|>"
        r"|\[/?INST\]|<</?SYS>>|</?(?:system|assistant|user)(?:[_-](?:prompt|message|instructions?))?>"
        r"|^\s{0,3}(?:#{1,4} ?)?(?:system|assistant)(?: prompt| message)?\s?:",
    ),
    "image that carries data": (
        0.6,
        r"!\[[^\]\n]{0,200}\]\(\s*https?://[^)\s]{1,300}[?&][^)\s=]{1,60}=[^)\s]{0,2000}\)",
    ),
}
_FIND: Final = {
    kind: (score, re.compile(expression, re.IGNORECASE | re.MULTILINE)) for kind, (score, expression) in _MARKS.items()
}
_ENCODED: Final = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}={0,2}")
_ESCAPE: Final = re.compile(r"(?<!\\)\\+([nrt\"/]|u[0-9A-Fa-f]{4})")
"""However often a text was written as JSON: each time there are more backslashes."""
_SHORT: Final[Mapping[str, str]] = {"n": "\n", "r": "\r", "t": "\t"}
_LIKE: Final = str.maketrans(  # Cyrillic and Greek letters that look like Latin ones
    "аеорсухіјѕһԁɡԛԝАВЕКМНОРСТХІЈЅαονΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdgqwABEKMHOPCTXIJSaovABEZHIKMNOPTYX",
)


def prompt_injections(least: float = 0.6) -> _Injections:
    """Phrases and marks by which text tries to give orders to the model that reads it: to ignore its instructions, to
    be somebody else, to keep something from the user, to send data away; marks of chat formats; the same in base64.

    These are heuristics. They miss what is written otherwise, and they find texts about injections.

    Args:
        least: the score that a finding must have, from 0 to 1.

    Raises:
        DefinitionError: it is none.
    """
    define("prompt_injections", least=(least, SHARE))
    return _Injections(least)


class _Injections:
    __slots__ = ("_least",)

    kind = "injection"

    def __init__(self, least: float) -> None:
        self._least = least

    def __call__(self, text: str) -> Iterable[Finding]:
        found = self._found(text)
        for match in _ENCODED.finditer(text):
            decoded = _decoded(match[0])
            if decoded and (inner := self._found(decoded)):
                best = max(inner, key=lambda one: one.score)
                found.append(Finding(*match.span(), f"{best.kind} (base64)", best.score))
        return found

    def _found(self, text: str) -> list[Finding]:
        plain, places = _as_read(text)
        return [
            Finding(places[match.start()][0], places[match.end() - 1][1], kind, score)
            for kind, (score, expression) in _FIND.items()
            if score >= self._least
            for match in expression.finditer(plain)
        ]


def _as_read(text: str) -> tuple[str, list[tuple[int, int]]]:
    """A text as a reader takes it: without invisible characters, look-alikes as what they look like, white space of
    any kind and length as one, escapes of JSON as what they stand for; with where each character begins and ends in the
    text."""
    if text.isascii() and "  " not in text and "\\" not in text:
        return text, [(place, place + 1) for place in range(len(text))]
    kept: list[str] = []
    places: list[tuple[int, int]] = []
    for one, begin, end in _characters(text):
        if not one.isascii():
            code = ord(one)
            if 0xE0020 <= code <= 0xE007E:  # tags: ASCII that nobody sees
                one = chr(code - 0xE0000)
            elif unicodedata.category(one) in ("Cf", "Mn"):
                continue
            else:
                one = unicodedata.normalize("NFKC", one.translate(_LIKE))[:1] or one
        if one in " \t":
            if kept and kept[-1] == " ":
                continue
            one = " "
        elif one not in "\n\r" and unicodedata.category(one) == "Cc":
            continue
        kept.append(one)
        places.append((begin, end))
    return "".join(kept), places


def _characters(text: str) -> Iterable[tuple[str, int, int]]:
    """The characters of a text, with what JSON's escapes stand for, and where each begins and ends."""
    at = 0
    for escape in _ESCAPE.finditer(text):
        yield from ((text[place], place, place + 1) for place in range(at, escape.start()))
        at = escape.end()
        said = escape[1]
        yield (chr(int(said[1:], 16)) if said[0] == "u" else _SHORT.get(said, said)), escape.start(), at
    yield from ((text[place], place, place + 1) for place in range(at, len(text)))


def _decoded(text: str) -> str:
    """What base64 stands for, where that is a text."""
    for one in (text, text.replace("-", "+").replace("_", "/")):
        try:
            data = base64.b64decode(one.rstrip("=") + "=" * (-len(one.rstrip("=")) % 4), validate=True)
            decoded = data.decode("utf-8")
        except (binascii.Error, ValueError):
            continue
        if decoded.isprintable() or all(c.isprintable() or c in "\n\r\t" for c in decoded):
            return decoded
    return ""
