"""A run as a stream that can be gone on with: its records, and the text of its completions as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from ..errors import DefinitionError, UnknownRun
from ..events import RunEvent
from .reading.bell import Bell
from .reading.cursor import KINDS, Cursor, RunText
from .reading.progress import RunRecord
from .reading.told import Told
from .runtime.closing import serving
from .runtime.register import RunRegister
from .runtime.runtime import AgencyRuntime
from .runtime.spoken import Spoken


async def resumable(
    runtime: AgencyRuntime, stream: str, run: str, cursor: Cursor, after: str
) -> AsyncGenerator[RunRecord | RunText]:
    """The records of a run, and the text of its completions, from a place on; ends after the run's end.

    Args:
        runtime: of the agency.
        stream: the conversation's, in the journal.
        run: the run's id.
        cursor: the place of what was given last; it is moved along.
        after: the same as it was given.

    Raises:
        DefinitionError: that is no place in this stream.
        UnknownRun: the conversation was released.
        AgencyClosed: the agency has stopped.
        JournalError: the conversation cannot be read.
    """
    arrived = Bell()
    behind = not cursor.position  # whether the place to begin at was passed
    begun = False
    told = Told(runtime.following, runtime.journal, stream, run, arrived)
    live = _Live(runtime.register, run, told, cursor, arrived)
    with serving(runtime.register):
        runtime.bus.add(live.heard, run)
        try:
            await told.begin()
            while not told.over:
                record = await told.take()
                if record is None:
                    if told.gone:
                        raise gone(run)
                    if behind:
                        for piece in live.more():
                            yield piece
                    await arrived.wait()
                    continue
                given = not behind and record.position <= cursor.position
                if not behind and (record.position >= cursor.position or record.type == "ended"):
                    # Of those who had the conversation for a while nothing is kept: a place there is between others.
                    between = begun and record.position > cursor.position and told.broken
                    if record.position != cursor.position and not between:
                        raise DefinitionError(f"{after!r:.100} is no place in the stream of run {run!r:.100}")
                    behind = True
                if not given:
                    for piece in _before(record, cursor):
                        yield piece
                    yield cursor.passed(record)
                begun = True
                live.see(record)
        finally:
            runtime.bus.remove(live.heard, run)
            told.close()


def _before(record: RunRecord, cursor: Cursor) -> Iterator[RunText]:
    """What is missing of a completion's text before its record."""
    if record.type == "completed":
        for kind in KINDS:
            if piece := cursor.rest(kind, record.data[kind]):
                yield piece


def gone(run: str) -> UnknownRun:
    """The named error of whoever wants to know of a run of which nothing is kept any more."""
    return UnknownRun(f"nothing is kept of run {run!r:.100}: its conversation was released, or kept long enough")


class _Live:
    """Takes what comes of the completion under way, where the run is worked on in this process.

    Args:
        register: the runs of the agency.
        run: the run's id.
        told: what is recorded of it.
        cursor: where whoever reads is.
        arrived: rung when something has come.
    """

    __slots__ = ("_arrived", "_cursor", "_register", "_root", "_spoken", "_steps", "_taken", "_told")

    def __init__(self, register: RunRegister, run: str, told: Told, cursor: Cursor, arrived: Bell) -> None:
        self._arrived = arrived
        self._register = register
        self._root = run
        self._told = told
        self._cursor = cursor
        self._steps: tuple[_Steps, ...] = ()  # mostly one, for which a dictionary would take 230 bytes a stream
        self._spoken: Spoken | None = None
        self._taken = 0

    def heard(self, event: RunEvent) -> None:
        """Something has happened."""
        if event.run in self._told.runs:
            self._arrived.ring()

    def see(self, record: RunRecord) -> None:
        """What was recorded says which completion comes next: what is said in it comes once those before it, and the
        results of their calls, were given."""
        if record.type == "started":
            self._steps = (*(steps for steps in self._steps if steps.run != record.run), _Steps(record.run))
        elif (steps := self._of(record.run)) is None:
            return
        elif record.type == "completed":
            steps.completions += 1
            steps.open = frozenset(call["id"] for call in record.data["tool_calls"])
        elif record.type in ("tool_returned", "handoff_returned"):
            steps.open -= {record.data["call_id"]}

    def _of(self, run: str) -> _Steps | None:
        return next((steps for steps in self._steps if steps.run == run), None)

    def more(self) -> Iterator[RunText]:
        """What has come since the last look. Text that was begun anew counts once there is as much of it as was
        given."""
        run = self._told.speaking
        steps, spoken = self._of(run), self._register.spoken(run, self._root)
        if steps is None or spoken is None or spoken.step != steps.completions + 1 or steps.open:
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


class _Steps:
    """How far one of those is who answer in a run: the completions that are over, and the calls that are not."""

    __slots__ = ("completions", "open", "run")

    def __init__(self, run: str) -> None:
        self.run = run
        self.completions = 0
        self.open: frozenset[str] = frozenset()
