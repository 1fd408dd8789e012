"""A tool that computes in a process of its own, so that the loop goes on, and one from a JSON schema and a handler."""

import asyncio
import os
from typing import Any

from callboard import tool, tool_from_schema


@tool(process=True, risk="safe", timeout=30)
def largest_factor(number: int) -> dict[str, Any]:
    """The largest prime factor of a number.

    Args:
        number: which number.
    """
    factor = 2
    while number > 1:
        while number % factor == 0:
            number //= factor
            largest = factor
        factor += 1
    return {"factor": largest, "process": os.getpid()}


async def brew(order: dict[str, Any]) -> str:
    return f"a {order['size']} coffee"


coffee = tool_from_schema(
    name="coffee",
    description="Order coffee.",
    schema={"type": "object", "properties": {"size": {"enum": ["small", "large"]}}, "required": ["size"]},
    handler=brew,
)


async def main() -> None:
    found = (await largest_factor.run({"number": 600_851_475_143})).value
    print(found["factor"], found["process"] != os.getpid())
    print((await coffee.run('{"size": "small"}')).text)
    print((await coffee.run('{"size": "huge"}')).text.splitlines()[1])


if __name__ == "__main__":
    asyncio.run(main())
