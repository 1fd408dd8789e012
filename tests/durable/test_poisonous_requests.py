"""A request on which the model's actor crashes each time ends its own run, and stops nothing for anybody else."""

from __future__ import annotations

import pytest

from callboard import Agency, Agent, Request
from callboard.actors.agents.errors import AgentError
from callboard.testing import virtual_time

from .support import function, said


class Fatal(BaseException):
    """What no actor survives."""


@pytest.mark.parametrize("conversation", ["c", None])
@virtual_time
async def test_it_ends_its_own_run_however_often_it_is_asked(conversation: str | None) -> None:
    bought: list[str] = []

    async def model(request: Request) -> str:
        bought.append(said(request))
        if said(request) == "bad":
            raise Fatal("boom")
        return "fine"

    async with Agency(Agent("A", "a"), model=function(model)) as agency:
        for _ in range(4):
            with pytest.raises(AgentError):
                await agency.run("bad", conversation=conversation)
            assert (await agency.run("good", conversation="other")).text == "fine"
        assert agency.system is not None
        assert not agency.system.closed
    assert bought.count("bad") == 12, "each of the four was asked three times"
