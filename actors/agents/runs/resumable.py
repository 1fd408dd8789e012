"""A run as a stream that can be gone on with: its records, and the text of its completions as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Final

from ..errors import DefinitionError, UnknownRun
from ..events import RunEvent
from .reading.bell import Bell
from .reading.cursor import KINDS, Cursor, RunText
from .reading.progress import Progress, RunRecord
from .runtime.closing import serving
from .runtime.register import RunRegister
from .runtime.runtime import AgencyRuntime
from .runtime.spoken import Spoken


async def resumable(runtime: AgencyRuntime, stream: str, run: str, after: str) -> AsyncGenerator[RunRecord | RunText]:
    """The records of a run, and the text of its completions, from a place on; ends after the run's end.

    Args:
        runtime: of the agency.
        stream: the conversation's, in the journal.
        run: the run's id.
        after: the cursor of what was given last; empty for the beginning.

    Raises:
        DefinitionError: that is no place in this stream.
        UnknownRun: the conversation was released.
        AgencyClosed: the agency has stopped.
        JournalError: the conversation cannot be read.
    """
    cursor = Cursor.read(after)
    arrived = Bell()
    behind = not cursor.position  # whether the place to begin at was passed
    progress = Progress(run)
    live = _Live(runtime.register, run, cursor, arrived)
    with serving(runtime.register):
        follower = await runtime.following.begin(runtime.journal, stream, arrived)
        runtime.bus.add(live.heard, run)
        try:
            while True:
                while records := await follower.take():
                    for kept in records:
                        record = progress.see(kept)
                        if record is None:
                            continue
                        if behind:
                            for piece in _before(record, cursor):
                                yield piece
                            yield cursor.passed(record)
                        elif record.position >= cursor.position or record.type == "ended":
                            if record.position != cursor.position:
                                raise DefinitionError(f"{after!r:.100} is no place in the stream of run {run!r:.100}")
                            behind = True
                        live.see(record)
                        if record.type == "ended":
                            return
                if follower.gone:
                    raise gone(run)
                if behind:
                    for piece in live.more():
                        yield piece
                await arrived.wait()
        finally:
            runtime.bus.remove(live.heard, run)
            follower.close()


def _before(record: RunRecord, cursor: Cursor) -> Iterator[RunText]:
    """What is missing of a completion's text before its record."""
    if record.type == "completed":
        for kind in KINDS:
            if piece := cursor.rest(kind, record.data[kind]):
                yield piece


def gone(run: str) -> UnknownRun:
    """The named error of whoever wants to know of a run of which nothing is kept any more."""
    return UnknownRun(f"nothing is kept of run {run!r:.100}: its conversation was released, or kept long enough")


_NONE: Final[frozenset[str]] = frozenset()


class _Live:
    """Takes what comes of the completion under way, where the run is worked on in this process.

    Args:
        register: the runs of the agency.
        run: the run's id.
        cursor: where whoever reads is.
        arrived: rung when something has come.
    """

    __slots__ = ("_arrived", "_begun", "_completions", "_cursor", "_open", "_register", "_run", "_spoken", "_taken")

    def __init__(self, register: RunRegister, run: str, cursor: Cursor, arrived: Bell) -> None:
        self._arrived = arrived
        self._register = register
        self._run = run
        self._cursor = cursor
        self._spoken: Spoken | None = None
        self._taken = 0
        self._completions = 0
        self._begun = False
        self._open = _NONE

    def heard(self, event: RunEvent) -> None:
        """Something has happened."""
        if event.run == self._run:
            self._arrived.ring()

    def see(self, record: RunRecord) -> None:
        """What was recorded says which completion comes next: what is said in it comes once those before it, and the
        results of their calls, were given."""
        if record.type == "started":
            self._begun = True
        elif record.type == "completed":
            self._completions += 1
            self._open = frozenset(call["id"] for call in record.data["tool_calls"])
        elif record.type in ("tool_returned", "handoff_returned"):
            self._open -= {record.data["call_id"]}

    def more(self) -> Iterator[RunText]:
        """What has come since the last look. Text that was begun anew counts once there is as much of it as was
        given."""
        entry = self._register.get(self._run)
        spoken = None if entry is None else entry.spoken
        if spoken is None or spoken.step != self._completions + 1 or not self._begun or self._open:
            return
        cursor, pieces = self._cursor, spoken.pieces
        if spoken is self._spoken:
            new, self._taken = pieces[self._taken :], len(pieces)
            for kind in KINDS:
                if text := "".join([getattr(piece, kind) for piece in new]):
                    yield cursor.grown(kind, text)
            return
        texts = {kind: spoken.text(kind) for kind in KINDS}
        if any(len(texts[kind]) < cursor.given(kind) for kind in KINDS):
            return
        self._spoken, self._taken = spoken, len(pieces)
        for kind in KINDS:
            if piece := cursor.rest(kind, texts[kind]):
                yield piece
