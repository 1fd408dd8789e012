"""Card numbers, bank accounts, e-mail addresses and phone numbers: by their form, and by what their digits say."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from ...errors import DefinitionError
from ..extras import needed
from .pattern import PatternCheck, not_behind, prefixes

_BRANDS: tuple[tuple[range, int, tuple[int, ...]], ...] = (
    # First digits, how many they are, and the lengths there are (ISO/IEC 7812; the brands' own tables).
    (range(4, 5), 1, (13, 16, 19)),  # Visa
    (range(51, 56), 2, (16,)),  # Mastercard
    (range(2221, 2721), 4, (16,)),
    (range(34, 35), 2, (15,)),  # American Express
    (range(37, 38), 2, (15,)),
    (range(300, 306), 3, (14, 16)),  # Diners Club
    (range(36, 37), 2, (14, 16)),
    (range(38, 40), 2, (14, 16)),
    (range(6011, 6012), 4, (16, 17, 18, 19)),  # Discover
    (range(644, 650), 3, (16, 17, 18, 19)),
    (range(65, 66), 2, (16, 17, 18, 19)),
    (range(3528, 3590), 4, (16, 17, 18, 19)),  # JCB
    (range(62, 63), 2, (16, 17, 18, 19)),  # UnionPay
    (range(56, 59), 2, (16, 17, 18, 19)),  # Maestro
    (range(67, 68), 2, (16, 17, 18, 19)),
)


_SPACES = " \u00a0\u2007\u2009\u202f"
_HYPHENS = "\u2010-\u2013-"
_GAP = re.compile(f"[{_SPACES}{_HYPHENS}]")


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_card(text: str) -> bool:
    digits = "".join(one for one in text if one.isdigit())
    groups = _GAP.split(text)
    known = min(map(len, groups)) > 2 and any(
        int(digits[:size]) in first and len(digits) in lengths for first, size, lengths in _BRANDS
    )
    return known and len(set(digits)) > 1 and luhn(digits)


def _card_in(text: str) -> int:
    # Most of what only looks like one is a row of small numbers: to look at each beginning took 70 µs, and takes 5.
    return prefixes(text, _is_card) if text[:3].isdigit() else 0


def card_numbers() -> PatternCheck:
    """Card numbers: of a length and with first digits that a brand has, and whose check digit is right (Luhn). Digits
    may stand in groups, with a space or a hyphen between, of any kind."""
    begin, gap = not_behind("0-9"), f"[{_SPACES}{_HYPHENS}]"
    return PatternCheck(
        "card number",
        rf"{begin}[0-9](?:{gap}?[0-9]){{12,18}}(?![0-9])",
        37,
        rf"{begin}[0-9](?:{gap}?[0-9]){{0,18}}{gap}?",
        _card_in,
    )


def ibans() -> PatternCheck:
    """Bank accounts as IBANs, also in groups: of a country that has them, and with right check digits (ISO 13616).

    Raises:
        MissingExtra: the package python-stdnum is not installed.
    """
    iban: Any = needed("stdnum.iban", "ibans()")

    def fits(text: str) -> bool:
        plain = _GAP.sub("", text).upper()
        digits = "".join(str(int(one, 36)) for one in plain[4:] + plain[:4])
        return int(digits) % 97 == 1 and bool(iban.is_valid(plain, check_country=False))

    begin, gap = not_behind("A-Za-z0-9"), f"[{_SPACES}]"
    return PatternCheck(
        "bank account",
        rf"{begin}[A-Za-z]{{2}}[0-9]{{2}}(?:{gap}?[A-Za-z0-9]){{11,30}}(?![A-Za-z0-9])",
        64,
        rf"{begin}[A-Za-z](?:[A-Za-z](?:[0-9](?:[0-9](?:{gap}?[A-Za-z0-9]){{0,30}}{gap}?)?)?)?",
        partial(prefixes, fits=fits),
    )


def email_addresses() -> PatternCheck:
    """E-mail addresses as they are written almost everywhere: ASCII, without quotes or comments (RFC 5321 knows
    more)."""
    begin = not_behind("A-Za-z0-9._%+-")
    return PatternCheck(
        "e-mail address",
        rf"{begin}[A-Za-z0-9._%+-]{{1,64}}@(?:[A-Za-z0-9-]{{1,63}}\.){{1,6}}[A-Za-z]{{2,24}}(?![A-Za-z0-9-])",
        64 + 1 + 6 * 64 + 24,
        rf"{begin}[A-Za-z0-9._%+-]{{1,64}}(?:@[A-Za-z0-9.-]{{0,408}})?",
    )


def phone_numbers(region: str = "") -> PatternCheck:
    """Phone numbers that exist, by the metadata of phonenumbers: with a country's code (``+49 …``, ``0049 …``), and,
    with a region, as they are dialled there.

    Args:
        region: a country in two letters: ``DE``. Empty for none.

    Raises:
        MissingExtra: the package phonenumbers is not installed.
        DefinitionError: there is no such region.
    """
    phonenumbers: Any = needed("phonenumbers", "phone_numbers()")
    if not isinstance(region, str) or (region and region not in phonenumbers.SUPPORTED_REGIONS):
        raise DefinitionError(f"phone_numbers: region is a country in two capital letters, as DE, not {region!r:.80}")

    def accept(text: str) -> int:
        groups = re.split(r"[^0-9]+", text)
        if sum(map(len, groups)) < 1.5 * len(groups):
            return 0  # a row of numbers: looking closer takes 0.3 ms
        number = text
        if text.startswith("00") and not text.startswith("000"):
            number = f"+{text[2:]}"
        elif not text.startswith("+") and not region:
            return 0
        for match in phonenumbers.PhoneNumberMatcher(number, region or None):
            if match.start <= text.startswith("("):
                return int(match.end) + len(text) - len(number)
        return 0

    alone = not_behind("A-Za-z0-9+(./-")
    whole = rf"{alone}(?:\+|\(?[0-9])[0-9 ()./-]{{5,25}}[0-9](?![A-Za-z0-9])"
    return PatternCheck("phone number", whole, 28, rf"{alone}[+(0-9][0-9 ()./-]{{0,28}}", accept)
