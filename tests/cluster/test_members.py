"""Who takes part, as the journal knows it."""

from __future__ import annotations

from callboard import MemoryJournal
from callboard.actors.cluster.members import STREAMS, Members, NodeInfo, labels_of


class Told:
    """A node, and what it was told of others."""

    def __init__(self, journal: MemoryJournal, name: str) -> None:
        self.journal = journal.as_worker()
        self.me = NodeInfo(self.journal.worker, name, ("Clerk", "Planner"), 0, False, "1.0", 0.0)
        self.heard: list[str] = []
        self.members = Members(self.journal, self._labels, self._joined, self._left, every=1000.0)

    def _labels(self) -> dict[str, str]:
        return labels_of(self.me)

    def _joined(self, node: NodeInfo) -> None:
        self.heard.append(f"+{node.name}")

    def _left(self, node: NodeInfo, why: str) -> None:
        self.heard.append(f"-{node.name}: {why}")


async def test_a_node_hears_of_those_who_join_leave_and_die() -> None:
    journal = MemoryJournal()
    one, two, three = (Told(journal, name) for name in ("one", "two", "three"))
    await one.members.join()
    assert one.heard == ["+one"]
    await two.members.join()
    await three.members.join()
    assert two.heard == ["+one", "+two"] or two.heard == ["+two", "+one"]
    await one.members.look()
    await two.members.leave()
    three.journal.abandon()
    await one.members.look()
    assert sorted(one.heard[1:3]) == ["+three", "+two"]
    assert sorted(one.heard[3:]) == ["-three: its lease has run out", "-two: it has left"]
    assert list(one.members.alive) == [one.journal.worker]
    await one.members.leave()


async def test_what_a_node_says_of_itself_is_told_and_what_it_does_not_say_harms_nobody() -> None:
    journal = MemoryJournal()
    one, two = Told(journal, "one"), Told(journal, "two")
    await one.members.join()
    await two.members.join()
    two.me = two.me._replace(load=7, draining=True)
    two.members.say()
    before = journal.headers(prefix=STREAMS + two.journal.worker)[0].version
    two.members.say()
    assert journal.headers(prefix=STREAMS + two.journal.worker)[0].version == before
    await one.members.look()
    seen = one.members.alive[two.journal.worker]
    assert (seen.name, seen.agents, seen.load, seen.draining, seen.version) == (
        "two",
        ("Clerk", "Planner"),
        7,
        True,
        "1.0",
    )
    newer = journal.as_worker()
    newer.open(STREAMS + newer.worker).append((), labels={"load": "many"})
    await one.members.look()
    strange = one.members.alive[newer.worker]
    assert (strange.name, strange.load, strange.draining) == (newer.worker, 0, False)
    await one.members.leave()
    await two.members.leave()


async def test_a_node_that_was_forgotten_takes_part_again() -> None:
    journal = MemoryJournal()
    one, two = Told(journal, "one"), Told(journal, "two")
    await one.members.join()
    await two.members.join()
    await one.members.look()
    journal.forget(STREAMS + two.journal.worker)  # as others do with one that was away for long
    await one.members.look()
    assert list(one.members.alive) == [one.journal.worker]
    await two.members.look()
    await one.members.look()
    assert one.heard == ["+one", "+two", "-two: it has left", "+two"]
    two.me = two.me._replace(load=3)
    two.members.say()
    await one.members.look()
    assert one.members.alive[two.journal.worker].load == 3
    await one.members.leave()
    await two.members.leave()
