"""What the examples of the page about tools take for granted."""

from typing import Any


class Bank:
    async def pay(self, order: str, amount: int, key: str) -> None: ...


bank = Bank()
stock: dict[str, str] = {}


def check(context: Any) -> None: ...


def note(context: Any, result: Any) -> None: ...


def recover(context: Any, error: Any) -> None: ...


def send_to_the_kitchen(arguments: dict[str, Any]) -> str:
    return "on its way"
