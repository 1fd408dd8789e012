"""``python -m benchmarks.cluster_kills``: nodes of a cluster, killed and paused while others are asked.

Nodes are programs over a real Ray and a real PostgreSQL. One that is killed is killed as a machine dies, with its
gateway and launcher, and another one joins; a paused one is stopped (SIGSTOP) for much longer than its lease, and
continued. Whoever asked it asks another one, with the run's id. In the end each run has ended once, no tool, none of
which may be called twice, has acted twice, and nothing of a node got into a conversation that somebody else had taken
over: the database itself writes down who wrote what under which epoch, and what it refused.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from benchmarks.subjects.cluster_programs import NodeProgram, ProgramEnded, RayProgram
from benchmarks.subjects.postgres_server import PostgresServer

from .serve_clients import Seen
from .serve_kills import all_ended, effects, report
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
class Options:
    """The campaign.

    Args:
        folder: where the history is written.
        kills: nodes that are killed.
        pauses: nodes that are paused.
        pause: seconds for which one is.
        conversations: that are asked something at any time.
        nodes: that take part.
        every: seconds between two blows.
        piece: seconds that the model takes for a piece of text on average; an answer has 3 to 12.
        seed: of who is struck, when.
        patience: seconds in which something must happen.
    """

    folder: Path
    kills: int = 20
    pauses: int = 20
    pause: float = 30.0
    conversations: int = 300
    nodes: int = 3
    every: float = 4.0
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


class Campaign:
    """Nodes, those who ask them, and who strikes them.

    Args:
        options: the campaign.
        url: of the database.
        seen: what is seen.
    """

    def __init__(self, options: Options, url: str, seen: Seen) -> None:
        self._options = options
        self._url = url
        self._seen = seen
        self._ray = RayProgram()
        self._places: list[Place] = []
        self._rng = random.Random(f"{options.seed} whom")
        self._over = False

    async def run(self) -> None:
        """All of it."""
        await self._ray.start("benchmarks.subjects.ray_head")
        try:
            for number in range(self._options.nodes):
                self._places.append(Place(number, await self._join(f"n{number}.0")))
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute(WATCHED)
            asking = [asyncio.create_task(self._ask_on(number)) for number in range(self._options.conversations)]
            await self._strike()
            self._over = True
            done, hanging = await asyncio.wait(asking, timeout=self._options.patience)
            for task in hanging:
                task.cancel()
                self._seen.violated("every run is answered", task.get_name())
            for task in done:
                task.result()
            await all_ended(self._url, self._options.patience, self._seen)
        finally:
            for place in self._places:
                await place.node.end()
            await self._ray.end()
        effects(self._options.folder, self._seen)
        self._written()

    async def _join(self, name: str) -> NodeProgram:
        node = NodeProgram(name)
        url = f"{self._url}&application_name={name}"
        await node.join(self._ray.address, url, str(self._options.folder / "history"), self._options.piece)
        return node

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _ask_on(self, number: int) -> None:
        await asyncio.sleep(self._rng.uniform(0.0, 8.0 * self._options.piece))
        turn = 0
        while not self._over or not turn:
            turn += 1
            await self._ask(f"c{number}", f"q{number}-{turn}")

    async def _ask(self, conversation: str, question: str) -> None:
        """Ask until there is an answer; a node that is struck is left."""
        failed = 0
        self._seen.runs.add(question)
        while True:
            place = self._rng.choice([place for place in self._places if not place.struck.is_set()])
            wanted = {"question": question, "conversation": conversation, "run": question}
            answer = asyncio.create_task(place.node.do("run", **wanted))
            left = asyncio.create_task(place.struck.wait())
            await asyncio.wait((answer, left), return_when=asyncio.FIRST_COMPLETED)
            left.cancel()
            if not answer.done():
                answer.cancel()
                self._seen.counts["asked again elsewhere"] += 1
                continue
            try:
                text = answer.result()
            except ProgramEnded:
                self._seen.counts["asked again elsewhere"] += 1
                await asyncio.sleep(LOOK)
            except RuntimeError as error:
                failed += 1
                name = str(error).partition(":")[0]
                self._seen.counts[f"told {name}"] += 1
                if failed == TRIES:
                    self._seen.violated("every run is answered", f"{question}: {error}")
                    return
                await asyncio.sleep(LOOK)
            else:
                self._seen.counts["answered"] += 1
                if text != answer_to(question):
                    self._seen.violated("answers are whole", f"{question}: {text!r:.200}")
                return

    # -- striking ------------------------------------------------------------------------------------------------------

    async def _strike(self) -> None:
        rng = random.Random(f"{self._options.seed} blows")
        blows = [self._kill] * self._options.kills + [self._pause] * self._options.pauses
        rng.shuffle(blows)
        for number, blow in enumerate(blows, 1):
            await asyncio.sleep(rng.uniform(0.3, 1.7) * self._options.every)
            await blow(rng.choice(self._places), number)
            print(f"… blow {number} of {len(blows)}", file=sys.stderr, flush=True)

    async def _kill(self, place: Place, number: int) -> None:
        place.struck.set()
        await place.node.kill()
        self._seen.counts["killed"] += 1
        place.node = await self._join(f"n{place.number}.{number}")
        await self._takes_part(place)

    async def _pause(self, place: Place, number: int) -> None:
        place.struck.set()
        place.node.signal(signal.SIGSTOP)
        self._seen.counts["paused"] += 1
        await asyncio.sleep(self._options.pause)
        place.node.signal(signal.SIGCONT)
        await self._takes_part(place)

    async def _takes_part(self, place: Place) -> None:
        """Wait until the others know of it."""
        others = [other.node for other in self._places if other is not place]
        try:
            async with asyncio.timeout(self._options.patience):
                for other in others:
                    while place.node.id not in await other.do("nodes"):  # noqa: ASYNC110
                        await asyncio.sleep(LOOK)
        except TimeoutError:
            self._seen.violated("a node takes part again", place.node.name)
        place.struck.clear()

    # -- what the database has seen ------------------------------------------------------------------------------------

    def _written(self) -> None:
        with psycopg.connect(self._url) as connection:
            refused = connection.execute("SELECT program, count(*) FROM campaign.refused GROUP BY program").fetchall()
            rows = connection.execute("SELECT * FROM campaign.written ORDER BY stream, version").fetchall()
        self._seen.counts["appends refused"] = sum(times for _, times in refused)
        self._seen.counts["nodes refused something"] = len(refused)
        self._seen.counts["events written"] = len(rows)
        for sentence, example in strangers(rows):
            self._seen.violated(sentence, example)


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


def campaign(options: Options, url: str) -> Seen:
    """Ask, kill, pause, and look at what has come of it.

    Args:
        options: the campaign.
        url: of a database in PostgreSQL that holds nothing yet.
    """
    seen = Seen()
    with suppress(KeyboardInterrupt):
        asyncio.run(Campaign(options, url, seen).run())
    return seen


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if anything was violated."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster_kills", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one kill, one pause of 8 s, 30 conversations")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pauses", type=int, default=20)
    parser.add_argument("--pause", type=float, default=30.0)
    parser.add_argument("--conversations", type=int, default=300)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--every", type=float, default=4.0)
    parser.add_argument("--piece", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = vars(parser.parse_args(argv))
    if given.pop("quick"):
        given |= {"kills": 1, "pauses": 1, "pause": 8.0, "conversations": 30}
    server = PostgresServer()
    try:
        with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder:
            seen = campaign(Options(Path(folder), **given), server.url)
    finally:
        server.close()
    print(report(seen))
    return 1 if seen.violations else 0
