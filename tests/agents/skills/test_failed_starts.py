"""An agency whose start fails in a system of somebody else's leaves nothing there, and says what was wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from callboard import Agency, Agent, ChildSpec, Skill, SkillContext, SkillFailed, System
from callboard.providers.offline import OfflineProvider
from callboard.providers.pool import Endpoint, Pool

POOL = ChildSpec(Pool, ([Endpoint("offline", ChildSpec(OfflineProvider))],), name="pool")


class Broken(Skill):
    """A skill that cannot be initialized."""

    name = "broken"

    async def initialize(self, context: SkillContext) -> None:
        raise ConnectionError("nobody there")


async def test_a_failed_start_leaves_no_actor_in_the_system_it_was_given(tmp_path: Path) -> None:
    async with System("mine") as system:
        agency = Agency(Agent("A", skills=[Broken()]), model=POOL, system=system, journal=tmp_path / "runs.db")
        with pytest.raises(SkillFailed, match="skill broken could not be initialized"):
            await agency.start()
        assert not system.tree(), "a pool that stays has lost its journal, and takes the system down with it"
    assert system.failure is None


async def test_a_failed_start_leaves_a_pool_alone_that_it_was_given(tmp_path: Path) -> None:
    async with System("mine") as system:
        pool = system.supervise(POOL)
        agency = Agency(Agent("A", skills=[Broken()]), model=pool, system=system, journal=tmp_path / "runs.db")
        with pytest.raises(SkillFailed):
            await agency.start()
        assert pool.is_alive()
