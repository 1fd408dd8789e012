"""An audit log that cannot be written now, or read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from callboard import Agency, Agent
from callboard.actors import Future
from callboard.actors.journal import MemoryJournal
from callboard.actors.journal.errors import EventNotReadable
from callboard.actors.serving import AuditLog
from tests.dashboard.boards import board_of, eventually, log_of, refused
from tests.dashboard.test_actions import restarts
from tests.serving.support import speaker


class Stalled(MemoryJournal):
    """A journal that can be written later, once `held` is given to it."""

    held: list[Callable[[], None]] | None = None

    def append(self, stream: str, events: Any, *, expected: int | None = None) -> Any:
        held = self.held
        if stream != "callboard.audit" or held is None:
            return super().append(stream, events, expected=expected)
        later: Future[int] = Future()

        def write() -> None:
            found: Any = MemoryJournal.append(self, stream, events, expected=expected)
            if not later.done():
                later.set(found)

        held.append(write)
        return later


async def test_what_cannot_be_written_down_for_long_is_not_done_later_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.serving.dashboard.acting.audit._PATIENCE", 0.05)
    journal, held = Stalled(), list[Callable[[], None]]()
    async with Agency(Agent("A"), model=speaker(), journal=journal) as agency, board_of(agency) as client:
        journal.held = held
        for path, body in (("actors/kill", {"path": "agency/A"}), ("drain", {})):
            assert (await refused(client, "POST", path, body))[:2] == (503, "journal_unavailable")
        assert await log_of(client) == []
        journal.held = None
        for write in held:
            write()
        await eventually(lambda: len(journal.read("callboard.audit")) == 4)
        assert [outcome for *_, outcome in await log_of(client)] == ["failed", "failed"]
        assert restarts(agency, "agency/A") == 0
        assert not agency.stopping


async def test_what_is_done_is_answered_although_the_log_cannot_say_so_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.serving.dashboard.acting.audit._PATIENCE", 0.05)
    journal, held = Stalled(), list[Callable[[], None]]()
    async with Agency(Agent("A"), model=speaker(), journal=journal):
        async with AuditLog(journal).action("ada", "export", "c-7"):
            journal.held = held
        (entry,) = (await AuditLog(journal).read()).entries
        assert entry.outcome == "asked"
        held[0]()
        (entry,) = (await AuditLog(journal).read()).entries
        assert entry.outcome == "done"


@pytest.mark.parametrize("event", [{}, [1], {"asked": 5}, {"asked": {"who": "ada"}}, {"of": "1", "outcome": "done"}])
async def test_what_is_no_entry_is_named(event: Any) -> None:
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        agency.journal.append("callboard.audit", [event])
        assert await refused(client, "GET", "audit") == (500, "journal_damaged", "")
        with pytest.raises(EventNotReadable, match=r"event 1 of callboard\.audit"):
            await AuditLog(agency.journal).read()
