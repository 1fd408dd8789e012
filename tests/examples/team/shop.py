"""What team.yaml names."""

from dataclasses import dataclass

from callboard import CallRecord, HookContext, Skill, guardrail, tool

PRICES = {"tea": 3, "cake": 5}


def price(item: str) -> int:
    """Look up the price of an item.

    Args:
        item: what is sold.
    """
    return PRICES.get(item, 0)


@tool(risk="safe")
def thanks(name: str) -> str:
    """Thank a customer."""
    return f"Thank you, {name}."


@guardrail("connection")
def no_secrets(context: HookContext) -> None:
    """Refuse what nobody should say to a shop."""
    if any("password" in message.text for message in context.messages):
        raise ValueError("keep your passwords")


COURTESY = Skill("courtesy", "Be polite.", tools=[thanks])


COSTS: dict[str, float] = {}


def note(record: CallRecord) -> None:
    """Add up what each agent costs."""
    agent = record.requesters[0].agent
    COSTS[agent] = COSTS.get(agent, 0.0) + (record.cost or 0.0)


@dataclass
class Order:
    """What was ordered."""

    item: str
    count: int = 1
