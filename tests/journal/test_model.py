"""Whatever is done to a journal, by whoever: it holds what a simple model of it holds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors.journal import (
    Journal,
    JournalClosed,
    KeyTaken,
    Retention,
    Stream,
    StreamConflict,
    StreamFenced,
    StreamOwned,
)

from .stores import GUARD, STORES, Said, Store, settled

WORKERS = 2
names = st.sampled_from(["a", "b", "c/1"])
workers = st.integers(0, WORKERS - 1)
events = st.lists(st.integers() | st.text(max_size=3) | st.builds(Said, st.text(max_size=3)), max_size=3)
keys = st.lists(st.sampled_from("kl"), max_size=2)
handles = st.integers(0, 20)

actions = st.lists(
    st.one_of(
        st.tuples(st.just("open"), workers, names),
        st.tuples(
            st.just("append"),
            handles,
            events,
            st.none() | st.booleans(),
            st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2),
            keys,
            st.lists(names, max_size=1),
        ),
        st.tuples(st.just("append"), handles, events, st.none(), st.just({}), st.just([]), st.just([])),
        st.tuples(st.just("blind"), workers, names, events, st.sampled_from([None, -1, 0, 1])),
        st.tuples(st.just("snapshot"), handles, st.integers()),
        st.tuples(st.just("release"), handles),
        st.tuples(st.just("delete"), workers, names),
        st.tuples(st.just("prune"), workers),
        st.tuples(st.just("restart"), workers),
    ),
    max_size=25,
)


@dataclass
class ModelStream:
    """A stream as it ought to be."""

    events: list[Any] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    snapshot: tuple[int, Any] = (0, None)
    unfinished: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    owner: Stream | None = None


class Pair:
    """A store, and the model of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.journals: list[Journal] = [store.journal() for _ in range(WORKERS)]
        self.streams: dict[str, ModelStream] = {}
        self.handles: list[tuple[Stream, Journal]] = []
        self.log: list[tuple[str, ModelStream, int]] = []

    def owner(self, name: str) -> Journal | None:
        there = self.streams.get(name)
        if there is None or there.owner is None:
            return None
        return next(journal for handle, journal in self.handles if handle is there.owner)

    def added(self, name: str, there: ModelStream, new: list[Any]) -> None:
        for event in new:
            there.events.append(event)
            self.log.append((name, there, len(there.events)))

    def delete(self, name: str) -> None:
        self.streams.pop(name, None)

    async def open(self, worker: int, name: str) -> None:
        journal = self.journals[worker]
        owner = self.owner(name)
        if owner not in (None, journal):
            with pytest.raises(StreamOwned):
                await settled(journal.open(name))
            return
        handle = await settled(journal.open(name))
        there = self.streams.setdefault(name, ModelStream())
        there.owner = handle
        version, snapshot = there.snapshot
        assert (handle.name, handle.version) == (name, len(there.events))
        assert (handle.snapshot, list(handle.events)) == (snapshot, there.events[version:])
        self.handles.append((handle, journal))

    async def append(
        self,
        number: int,
        new: list[Any],
        unfinished: bool | None,
        labels: dict[str, str],
        claimed: list[str],
        drop: list[str],
    ) -> None:
        if not self.handles:
            return
        handle, journal = self.handles[number % len(self.handles)]
        drop = [name for name in drop if name != handle.name]
        there = self.streams.get(handle.name)

        async def append() -> None:
            done = handle.append(new, unfinished=unfinished, labels=labels, keys=claimed, drop=drop)
            await settled(done)

        if journal not in self.journals:
            with pytest.raises(JournalClosed):
                await append()
        elif there is None or there.owner is not handle:
            with pytest.raises(StreamFenced):
                await append()
        elif any(key in other.keys for key in claimed for other in self.streams.values() if other is not there):
            with pytest.raises(KeyTaken):
                await append()
            await self.open(self.journals.index(journal), handle.name)  # what the handle is good for now is its affair
        else:
            await append()
            assert handle.version == len(there.events) + len(new)
            self.added(handle.name, there, new)
            there.unfinished = there.unfinished if unfinished is None else unfinished
            there.labels |= labels
            there.keys |= set(claimed)
            for name in drop:
                self.delete(name)

    async def blind(self, worker: int, name: str, new: list[Any], off: int | None) -> None:
        journal = self.journals[worker]
        there = self.streams.get(name)
        version = 0 if there is None else len(there.events)
        expected = None if off is None else version + off
        if self.owner(name) is not None:
            with pytest.raises(StreamOwned):
                await settled(journal.append(name, new, expected=expected))
        elif off:
            with pytest.raises(StreamConflict):
                await settled(journal.append(name, new, expected=expected))
        else:
            assert await settled(journal.append(name, new, expected=expected)) == version + len(new)
            self.added(name, self.streams.setdefault(name, ModelStream()), new)

    async def snapshot(self, number: int, event: int) -> None:
        if not self.handles:
            return
        handle, journal = self.handles[number % len(self.handles)]
        there = self.streams.get(handle.name)
        if journal not in self.journals:
            with pytest.raises(JournalClosed):
                handle.keep_snapshot(event)
            return
        if handle.version == 0:
            return  # there is nothing it could stand for
        handle.keep_snapshot(event)
        if there is not None and there.owner is handle:
            there.snapshot = (len(there.events), event)

    async def release(self, number: int) -> None:
        if not self.handles:
            return
        handle, journal = self.handles[number % len(self.handles)]
        if journal not in self.journals:
            return
        await settled(handle.release())
        there = self.streams.get(handle.name)
        if there is not None and there.owner is handle:
            there.owner = None

    async def remove(self, worker: int, name: str) -> None:
        await settled(self.journals[worker].delete(name))
        self.delete(name)

    async def prune(self, worker: int) -> None:
        await settled(self.journals[worker].prune(Retention(finished=0.0)))
        for name in [name for name, there in self.streams.items() if there.owner is None and not there.unfinished]:
            self.delete(name)

    async def restart(self, worker: int) -> None:
        gone = self.journals[worker]
        for there in self.streams.values():
            if any(there.owner is handle and journal is gone for handle, journal in self.handles):
                there.owner = None
        gone.close()
        self.journals[worker] = self.store.journal()

    async def check(self) -> None:
        journal = self.journals[0]
        for name in ("a", "b", "c/1"):
            there = self.streams.get(name, ModelStream())
            records = await settled(journal.read(name))
            assert [record.event for record in records] == there.events
            assert [record.version for record in records] == list(range(1, len(there.events) + 1))
        for key in "kl":
            owner_of_key = next((name for name, there in self.streams.items() if key in there.keys), None)
            assert await settled(journal.find(key)) == owner_of_key
        headers = {header.name: header for header in await settled(journal.headers()) if header.version}
        assert list(headers) == sorted(name for name, there in self.streams.items() if there.events)
        for name, header in headers.items():
            there, owner = self.streams[name], self.owner(name)
            assert header.version == len(there.events)
            assert header.unfinished is there.unfinished
            assert dict(header.labels) == there.labels
            assert header.owner == ("" if owner is None else owner.worker)

    async def check_records(self) -> None:
        expected = [
            (name, version, there.events[version - 1])
            for name, there, version in self.log
            if self.streams.get(name) is there
        ]
        records = self.journals[0].subscribe()
        async with asyncio.timeout(GUARD):
            found = [await anext(records) for _ in expected]
        assert [(record.stream, record.version, record.event) for record in found] == expected
        positions = [record.position for record in found]
        assert positions == sorted(set(positions))
        assert (positions or [0])[-1] <= await settled(self.journals[0].position())


@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=60, deadline=None)
@given(actions=actions)
async def test_a_journal_holds_what_its_model_holds(
    kind: str, tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[Any, ...]]
) -> None:
    store = STORES[kind](tmp_path_factory.mktemp("journal"))
    try:
        pair = Pair(store)
        for action, *arguments in actions:
            await getattr(pair, "remove" if action == "delete" else action)(*arguments)
            await pair.check()
        await pair.check_records()
    finally:
        store.close()
