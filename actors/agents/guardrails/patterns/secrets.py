"""Keys, tokens and passwords: those of vendors by what they begin with, others by how random they look."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from .....providers.checks import AMOUNT
from ...wishes import define
from ..findings import Check, Finding
from .pattern import PatternCheck, not_behind

_VENDORS: Final[Mapping[str, str]] = {
    # What the vendors document of their keys, and what secret scanners (GitHub's, gitleaks) look for.
    "Anthropic key": r"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{20,200}",
    "OpenRouter key": r"sk-or-v1-[0-9a-f]{64}",
    "OpenAI key": r"sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,200}|[A-Za-z0-9]{20,64})",
    "AWS key": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])",
    "GitHub token": r"(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,255})",
    "GitLab token": r"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{20,64}",
    "Google key": r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
    "Google token": r"(?:ya29\.[A-Za-z0-9_-]{20,250}|GOCSPX-[A-Za-z0-9_-]{28})",
    "Slack token": r"xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Za-z0-9-]{10,250}",
    "Slack webhook": r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,80}",
    "Discord webhook": r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,80}",
    "Stripe key": r"(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9]{32,64})",
    "SendGrid key": r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    "Mailgun key": r"key-[0-9a-f]{32}(?![A-Za-z0-9])",
    "Twilio key": r"SK[0-9a-f]{32}(?![A-Za-z0-9])",
    "npm token": r"npm_[A-Za-z0-9]{36}",
    "PyPI token": r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,250}",
    "Hugging Face token": r"hf_[A-Za-z0-9]{30,64}",
    "Groq key": r"gsk_[A-Za-z0-9]{40,64}",
    "xAI key": r"xai-[A-Za-z0-9]{60,100}",
    "Perplexity key": r"pplx-[A-Za-z0-9]{40,64}",
    "Replicate token": r"r8_[A-Za-z0-9]{37}",
    "Databricks token": r"dapi[0-9a-f]{32}(?![A-Za-z0-9])",
    "DigitalOcean token": r"do[opr]_v1_[0-9a-f]{64}",
    "Shopify token": r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    "Vault token": r"hv[sbr]\.[A-Za-z0-9_-]{24,200}",
    "Linear key": r"lin_api_[A-Za-z0-9]{32,64}",
    "Telegram token": r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])",
    "JSON web token": r"eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{16,1000}",
    "password in an address": r"[a-z][a-z0-9+.-]{1,20}://[!#-&(-.0-9;=?A-~]{0,100}:[!#-&(-.0-;=?A-~]{1,100}@",
}
_BEGINNING: Final = not_behind("A-Za-z0-9")
_LONGEST: Final = 4000 + 4000 + 1000 + 5

_BEGIN: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_END: Final = re.compile(r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_HEADER: Final = 80
"""Characters of the longest such line."""


class _Keys:
    """The keys of vendors, by one expression for all."""

    __slots__ = ("_find", "_kinds", "_open")

    kind = "key"

    def __init__(self) -> None:
        self._kinds = tuple(_VENDORS)
        self._find = re.compile(f"{_BEGINNING}(?:{'|'.join(f'({one})' for one in _VENDORS.values())})")
        # All of them are of such characters, and none begins within a word.
        self._open = re.compile(rf"{_BEGINNING}[A-Za-z0-9][!#-&(-;=?-~]*\Z")

    def __call__(self, text: str) -> Iterable[Finding]:
        return self.scan(text, 0, True)[0]

    def scan(self, text: str, start: int, last: bool, base: int = 0) -> tuple[list[Finding], int]:
        upto = len(text) + 1
        if not last:
            tail = self._open.search(text, max(start, len(text) - _LONGEST))
            upto = tail.start() if tail is not None else len(text)
        found: list[Finding] = []
        for match in self._find.finditer(text, start):
            if match.start() >= upto:
                break
            assert match.lastindex is not None
            found.append(Finding(*match.span(), self._kinds[match.lastindex - 1]))
        return found, min(len(text), max(upto, found[-1].end if found else start))


class _PrivateKeys:
    """Private keys in the form of PEM and OpenPGP, from the line that begins one to the line that ends it."""

    __slots__ = ()

    kind = "private key"

    def __call__(self, text: str) -> Iterable[Finding]:
        return self.scan(text, 0, True)[0]

    def scan(self, text: str, start: int, last: bool, base: int = 0) -> tuple[list[Finding], int]:
        found: list[Finding] = []
        at = start
        while (begin := _BEGIN.search(text, at)) is not None:
            end = _END.search(text, begin.end())
            if end is None and not last:
                return found, begin.start()  # all of it belongs to the key until its end has come
            at = end.end() if end is not None else len(text)
            found.append(Finding(begin.start(), at, self.kind))
        if last:
            return found, len(text)
        # A line that may become the beginning of one.
        hyphen = text.find("-", max(at, len(text) - _HEADER))
        while hyphen >= 0 and not _may_begin(text[hyphen:]):
            hyphen = text.find("-", hyphen + 1)
        return found, max(at, hyphen if hyphen >= 0 else len(text))


def _may_begin(tail: str) -> bool:
    start = "-----BEGIN "
    return tail.startswith(start) if len(tail) > len(start) else start.startswith(tail)


def vendor_keys() -> tuple[Check, ...]:
    """Keys, tokens and webhooks of known vendors, JSON web tokens, passwords in addresses, private keys."""
    return _Keys(), _PrivateKeys()


def high_entropy_strings(bits: float = 3.5) -> PatternCheck:
    """Strings that look random: 20 to 200 characters of base64 with capital and small letters and digits, among which
    the kinds of characters change as often as by chance.

    What is written with one case only, as UUIDs and hashes are, is none: most of those are no secret. Nor is a long
    word in camel case.

    Args:
        bits: the least Shannon entropy of a character, as often as each occurs in the string.

    Raises:
        DefinitionError: that is no number.
    """
    define("high_entropy_strings", bits=(bits, AMOUNT))

    def accept(text: str) -> int:
        counts = Counter(text.rstrip("="))
        size = counts.total()
        digits = sum(counts[one] for one in "0123456789")
        upper = sum(number for one, number in counts.items() if one.isupper())
        lower = sum(number for one, number in counts.items() if one.islower())
        if min(upper, lower) < 3 or digits < 2 or digits > size * 0.6:
            return 0
        changes = sum(_class(one) != _class(other) for one, other in pairwise(text))
        if changes < size * 0.45:
            return 0
        entropy = -sum(number / size * math.log2(number / size) for number in counts.values())
        return len(text) if entropy >= bits else 0

    token = "A-Za-z0-9+/_-"
    begin = not_behind(token)
    return PatternCheck(
        "high-entropy string",
        rf"{begin}[{token}]{{20,200}}={{0,2}}(?![={token}])",
        202,
        rf"{begin}[{token}]{{1,200}}={{0,2}}",
        accept,
        0.5,
    )


def _class(one: str) -> int:
    return 0 if one.isdigit() else 1 if one.isupper() else 2 if one.islower() else 3
