"""The skill ``guardrails``: guardrails that most agents want, put together, so that one name will do."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from .....providers.checks import one_of
from ...guardrails.guardrail import Guardrail
from ...guardrails.patterns.injection import prompt_injections
from ...guardrails.patterns.numbers import card_numbers, email_addresses, ibans, phone_numbers
from ...guardrails.patterns.secrets import vendor_keys
from ...guardrails.sanitising import hidden_characters
from ...wishes import define
from ..skill import Skill

Does: TypeAlias = Literal["block", "redact", "warn", "off"]
"""What is done about a finding."""

_DOES: Final = one_of("block", "redact", "warn", "off")
_EVERYWHERE: Final = ("input", "output", "tool_call", "tool_result", "handoff", "memory")


def guardrails_skill(
    *,
    keys: Does = "redact",
    cards: Does = "redact",
    accounts: Does = "off",
    contacts: Does = "off",
    region: str = "",
    injections: Does = "warn",
    hidden: Does = "redact",
) -> Skill:
    """Guardrails for an agent that has the skill; for others of one's own see `Guardrail`.

    Args:
        keys: keys and tokens of the known vendors, wherever they stand.
        cards: numbers of payment cards, wherever they stand.
        accounts: numbers of bank accounts (IBAN), wherever they stand. Needs the extra ``guardrails``.
        contacts: e-mail addresses and phone numbers in what the model says. Needs the extra ``guardrails``.
        region: the country whose phone numbers are known without its code.
        injections: what looks like an order to a model in what tools return: heuristics.
        hidden: control characters, and what turns the direction of writing around, in what comes in.

    Raises:
        DefinitionError: an argument is none of ``block``, ``redact``, ``warn``, ``off``.
        ImportError: the extra is needed, and not installed; says how.
    """
    said = {"keys": keys, "cards": cards, "accounts": accounts, "contacts": contacts}
    define("skill guardrails", **{name: (does, _DOES) for name, does in said.items()})
    define("skill guardrails", injections=(injections, _DOES), hidden=(hidden, _DOES))
    made: list[Guardrail] = []
    if hidden != "off":  # before the others, which do not know what is hidden
        made.append(Guardrail(hidden_characters(), ("input", "tool_result"), hidden, "hidden characters", priority=110))
    if keys != "off":
        made.append(Guardrail(vendor_keys(), _EVERYWHERE, keys, "keys"))
    if cards != "off":
        made.append(Guardrail(card_numbers(), _EVERYWHERE, cards, "cards"))
    if accounts != "off":
        made.append(Guardrail(ibans(), _EVERYWHERE, accounts, "accounts"))
    if contacts != "off":
        made.append(Guardrail([email_addresses(), phone_numbers(region)], "output", contacts, "contacts"))
    if injections != "off":
        made.append(Guardrail(prompt_injections(), "tool_result", injections, "injections"))
    return Skill(
        "guardrails", hooks=made, description=f"Looks for {', '.join(each.name for each in made) or 'nothing'}."
    )
