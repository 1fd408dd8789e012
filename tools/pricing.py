"""What things cost whoever uses them: the price of a tool's call, and of an agent's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar, cast

from .errors import ToolDefinitionError

T = TypeVar("T")

LARGEST: Final = Decimal(1_000_000)


def as_price(given: object) -> Decimal:
    """US dollars, as ``"$0.05"``, ``"0.05"``, a number or a Decimal.

    Raises:
        ToolDefinitionError: they are none, more than a million, or finer than a millionth.
    """
    text = given.strip().removeprefix("$") if isinstance(given, str) else str(given)
    try:
        price = Decimal(text) if not isinstance(given, bool) else Decimal("NaN")
    except InvalidOperation:
        price = Decimal("NaN")
    if not (price.is_finite() and 0 < price <= LARGEST and price == round(price, 6)):
        raise ToolDefinitionError(f'a price is US dollars, as "$0.05", in millionths at the finest, not {given!r:.80}')
    return price


def pricing(price: str | float | Decimal, /) -> Callable[[T], T]:
    """Give a tool, an agent or a route a price, in US dollars: ``pricing("$0.05")(agent)``, or above a class, ``@tool``
    or ``@http``.

    A tool's is that of a call, an agent's and a route's that of an answer to somebody who asks from outside: not of
    what one agent asks another. Who takes it, and how, is the server's to say, see `Payments`.

    Args:
        price: as text, ``"$0.05"``, or a number.

    Raises:
        ToolDefinitionError: it is none; or what it is given to is no tool, agent or route.
    """
    made = as_price(price)

    def priced(thing: T) -> T:
        if not hasattr(thing, "price"):
            named = getattr(thing, "__name__", type(thing).__name__)
            raise ToolDefinitionError(
                f"only tools, agents and routes have a price, not {named!r:.80}: put @pricing above @tool"
            )
        where: Any = thing
        if not isinstance(thing, type) and hasattr(thing, "__dataclass_params__") and where.__dataclass_params__.frozen:
            return cast(T, replace(where, price=made))
        where.price = made
        return thing

    return priced
