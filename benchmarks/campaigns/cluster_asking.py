"""Those who ask nodes of a cluster while these are struck, and what must hold of it in the end.

Whoever asked a node that is struck asks another one, with the run's id. In the end each run has ended once, no tool,
none of which may be called twice, has acted twice, and nothing of a node got into a conversation that somebody else had
taken over: the database itself writes down who wrote what under which epoch, and what it refused.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from benchmarks.subjects.cluster_programs import NodeProgram, ProgramEnded

from .serve_clients import Seen
from .serve_kills import all_ended, effects
from .served import answer_to

LOOK: Final = 0.1
TRIES: Final = 5
"""Times that a run is asked for again where it ends in an error, before that counts as its end."""

WATCHED: Final[LiteralString] = """
CREATE SCHEMA campaign;
CREATE TABLE campaign.refused (program text, said text);
CREATE FUNCTION campaign.on_batch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO campaign.refused SELECT current_setting('application_name'), r
    FROM unnest(NEW.results) r WHERE r LIKE '%"fenced"%' OR r LIKE '%"conflict"%';
    RETURN NULL;
END $$;
CREATE TRIGGER campaign AFTER INSERT OR UPDATE ON callboard.batches
    FOR EACH ROW EXECUTE FUNCTION campaign.on_batch();
CREATE TABLE campaign.written (stream text, version bigint, program text, epoch bigint);
CREATE FUNCTION campaign.on_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO campaign.written SELECT NEW.stream, NEW.version, current_setting('application_name'), s.epoch
    FROM callboard.streams s WHERE s.name = NEW.stream;
    RETURN NULL;
END $$;
CREATE TRIGGER campaign AFTER INSERT ON callboard.events FOR EACH ROW EXECUTE FUNCTION campaign.on_event();
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked.

    Args:
        folder: where the history is written.
        conversations: that are asked something at any time.
        piece: seconds that the model takes for a piece of text on average; an answer has 3 to 12.
        seed: of who asks whom.
        patience: seconds in which something must happen.
    """

    folder: Path
    conversations: int = 300
    piece: float = 1.0
    seed: int = 0
    patience: float = 120.0


@dataclass(slots=True, eq=False)
class Place:
    """Where a node is, or the next one in its place.

    Args:
        number: of the place.
        node: there now.
        struck: set while it is killed or paused.
    """

    number: int
    node: NodeProgram
    struck: asyncio.Event = field(default_factory=asyncio.Event)


class Asking:
    """Nodes, and those who ask them.

    Args:
        options: what is asked.
        url: of the database.
        seen: what is seen.
    """

    def __init__(self, options: Asked, url: str, seen: Seen) -> None:
        self.options = options
        self.url = url
        self.seen = seen
        self.places: list[Place] = []
        self._rng = random.Random(f"{options.seed} whom")
        self._over = False

    async def join(self, node: NodeProgram, address: str, url: str = "", **variables: str) -> NodeProgram:
        """Have a node take part.

        Args:
            node: not started yet.
            address: of Ray's head.
            url: of the database as the node reaches it, where that is not as it is reached here.
            variables: of its environment.
        """
        url = f"{url or self.url}&application_name={node.name}"
        await node.join(address, url, str(self.options.folder / "history"), self.options.piece, **variables)
        return node

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """All conversations are asked within the block; behind it all is answered, or seen as violated."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(WATCHED)
        asking = [
            asyncio.create_task(self._ask_on(number), name=f"c{number}") for number in range(self.options.conversations)
        ]
        try:
            yield
            self._over = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self.options.patience):
                    await asyncio.gather(*asking)
            for task in asking:
                if task.cancelled():
                    self.seen.violated("every run is answered", task.get_name())
        finally:
            for task in asking:
                task.cancel()
        await all_ended(self.url, self.options.patience, self.seen)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _ask_on(self, number: int) -> None:
        await asyncio.sleep(self._rng.uniform(0.0, 8.0 * self.options.piece))
        turn = 0
        while not self._over or not turn:
            turn += 1
            await self._ask(f"c{number}", f"q{number}-{turn}")

    async def _ask(self, conversation: str, question: str) -> None:
        """Ask until there is an answer; a node that is struck is left."""
        failed = 0
        self.seen.runs.add(question)
        while True:
            place = self._rng.choice([place for place in self.places if not place.struck.is_set()])
            wanted = {"question": question, "conversation": conversation, "run": question}
            answer = asyncio.create_task(place.node.do("run", **wanted))
            left = asyncio.create_task(place.struck.wait())
            await asyncio.wait((answer, left), return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            if not answer.done():
                answer.cancel()
                self.seen.counts["asked again elsewhere"] += 1
                continue
            try:
                text = answer.result()
            except ProgramEnded:
                self.seen.counts["asked again elsewhere"] += 1
                await asyncio.sleep(LOOK)
            except RuntimeError as error:
                failed += 1
                name = str(error).partition(":")[0]
                self.seen.counts[f"told {name}"] += 1
                if failed == TRIES:
                    self.seen.violated("every run is answered", f"{question}: {error}")
                    return
                await asyncio.sleep(LOOK)
            else:
                self.seen.counts["answered"] += 1
                if text != answer_to(question):
                    self.seen.violated("answers are whole", f"{question}: {text!r:.200}")
                return

    async def takes_part(self, place: Place) -> None:
        """Wait until the others know of it."""
        others = [other.node for other in self.places if other is not place]
        try:
            async with asyncio.timeout(self.options.patience):
                for other in others:
                    while place.node.id not in await other.do("nodes"):  # noqa: ASYNC110
                        await asyncio.sleep(LOOK)
        except TimeoutError:
            self.seen.violated("a node takes part again", place.node.name)
        place.struck.clear()

    def look_back(self) -> None:
        """Once all nodes have ended: what has been done, and what the database has seen."""
        effects(self.options.folder, self.seen)
        with psycopg.connect(self.url) as connection:
            refused = connection.execute("SELECT program, count(*) FROM campaign.refused GROUP BY program").fetchall()
            rows = connection.execute("SELECT * FROM campaign.written ORDER BY stream, version").fetchall()
        self.seen.counts["appends refused"] = sum(times for _, times in refused)
        self.seen.counts["nodes refused something"] = len(refused)
        self.seen.counts["events written"] = len(rows)
        self.seen.counts["times that a conversation went to another node"] = sum(
            one[0] == other[0] and one[2] != other[2] for one, other in pairwise(rows)
        )
        for sentence, example in strangers(rows):
            self.seen.violated(sentence, example)


def strangers(rows: Sequence[tuple[Any, ...]]) -> list[tuple[str, str]]:
    """What was written by whom it should not have been.

    Args:
        rows: stream, version, program and epoch of each event, in order.
    """
    found = []
    writers: dict[tuple[str, int], str] = {}
    latest: Counter[str] = Counter()
    for stream, version, program, epoch in rows:
        if writers.setdefault((stream, epoch), program) != program:
            found.append(("one writer an epoch", f"{stream} {version}: {program} in epoch {epoch}"))
        if epoch < latest[stream]:
            found.append(("nothing gets in after a takeover", f"{stream} {version}: {program} in epoch {epoch}"))
        latest[stream] = max(latest[stream], epoch)
    return found
