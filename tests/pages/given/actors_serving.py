"""What the examples of the page about serving take for granted."""

from pydantic import BaseModel

from callboard import Agency, Agent


class Order(BaseModel):
    item: str


class orders:  # noqa: N801 (as the page has it)
    @staticmethod
    async def add(order: Order, for_whom: str) -> Order:
        return order


agency = Agency(Agent("Clerk"))
