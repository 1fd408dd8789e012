"""What the example of the page about processes takes for granted."""

from __future__ import annotations

from typing import Any

from callboard import ChildSpec, Request, ToolCall, tool
from callboard.testing import FunctionModel
from callboard.testing import Restart as Restart

charged: list[str] = []
address = "postgresql://simulated/page"


@tool
async def charge() -> str:
    """Charge Ann."""
    charged.append("ann")
    return "charged"


def answer(request: Request) -> Any:
    if request.messages[-1].role == "tool":
        return "done"
    charged.clear()
    return [ToolCall("c1", "charge", "{}")]


model = ChildSpec(FunctionModel, (answer,), name="model")
