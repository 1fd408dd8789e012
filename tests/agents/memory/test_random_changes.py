"""Random changes of random owners, beside a list in Python that does the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Fact, FactEnded, Memory, NewFact, Owner, UnknownFact

OWNERS = [Owner("ann"), Owner("ann", "acme"), Owner("ann", "acme", "Clerk"), Owner("ann", "acme", "Cook"), Owner("bob")]
WORDS = ("tea", "cat", "rome")
NUMBERS = st.integers(0, 30)
OWNER = st.sampled_from(OWNERS)
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
KEY = st.sampled_from(["", "", "a", "b"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("add"), OWNER, TEXT, KEY),
        st.tuples(st.just("replace"), OWNER, TEXT, KEY),
        st.tuples(st.just("correct"), OWNER, NUMBERS, TEXT, KEY),
        st.tuples(st.just("forget"), OWNER, NUMBERS),
        st.tuples(st.just("erase"), OWNER),
        st.tuples(st.just("search"), OWNER, st.sampled_from(WORDS)),
    ),
    max_size=25,
)


class Model:
    """What a memory should have, in the plainest way."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.keys: dict[tuple[str, str, str], str] = {}

    def known(self, owner: Owner, key: str) -> Fact | None:
        id = self.keys.get((owner.user, owner.tenant, key)) if key else None
        return next((fact for fact in self.facts if fact.id == id), None)

    def add(self, fact: Fact, key: str) -> None:
        self.facts.append(fact)
        if key:
            self.keys[fact.owner.user, fact.owner.tenant, key] = fact.id

    def end(self, id: str, at: float) -> None:
        self.facts = [replace(one, valid_to=max(at, one.valid_from)) if one.id == id else one for one in self.facts]

    def erase(self, owner: Owner) -> int:
        gone = [
            one
            for one in self.facts
            if (one.owner.user, one.owner.tenant) == (owner.user, owner.tenant) and owner.agent in ("", one.owner.agent)
        ]
        self.facts = [one for one in self.facts if one not in gone]
        return len(gone)

    def seen(self, owner: Owner, at: float) -> list[Fact]:
        return [one for one in self.facts if owner.sees(one.owner) and one.is_valid(at)]


async def compare(memory: Memory, changes: list[tuple[Any, ...]], other: Memory) -> None:
    """Carry the changes out on both, and hold the memory, and another one on the same file, against the model."""
    model = Model()
    now = 0.0
    ids: list[str] = []
    for what, owner, *rest in changes:
        now += 1
        if what in ("add", "replace"):
            text, key = rest
            known = model.known(owner, key)
            new = NewFact(text, valid_from=now)
            replacing = "" if what == "replace" else None
            (fact,) = await memory.add_all([new], owner=owner, key=key, replacing=replacing)
            if known is None:
                if what == "replace":
                    model.erase(owner)
                model.add(fact, key)
                ids.append(fact.id)
            else:
                assert fact == known
        elif what in ("correct", "forget"):
            id = ids[rest[0] % len(ids)] if ids else "none"
            old = next((one for one in model.facts if one.id == id and owner.sees(one.owner)), None)
            try:
                if what == "forget":
                    await memory.forget(id, owner=owner, at=now)
                else:
                    key = rest[2]
                    known = model.known(owner, key)
                    fact = await memory.correct(id, rest[1], owner=owner, key=key, at=now)
                    if known is not None:
                        assert fact == known
                        continue
                    assert old is not None
                    assert (fact.owner, fact.supersedes) == (old.owner, id)
                    model.add(fact, key)
                    ids.append(fact.id)
            except UnknownFact:
                assert old is None
            except FactEnded:
                assert old is not None
                assert old.valid_to is not None
            else:
                assert old is not None
                if old.valid_to is None:
                    model.end(id, now)
        elif what == "erase":
            assert await memory.erase(owner=owner) == model.erase(owner)
        else:
            visible = model.seen(owner, now)
            found = {one.fact.id for one in await memory.search(rest[0], owner=owner, at=now, limit=100)}
            assert {one.id for one in visible if rest[0] in one.text} <= found <= {one.id for one in visible}
    for owner in OWNERS:
        for at in (now, now - 3, now / 2):
            assert await other.facts(owner=owner, at=at) == model.seen(owner, at)
        exported = await other.export(owner=owner)
        assert [one["id"] for one in exported] == [one.id for one in model.facts if owner.sees(one.owner)]


@given(CHANGES)
@settings(max_examples=80)
def test_a_memory_has_what_was_done_to_it_and_shows_each_owner_their_own(changes: list[tuple[Any, ...]]) -> None:
    with Memory() as memory:
        asyncio.run(compare(memory, changes, memory))


@given(CHANGES)
@settings(max_examples=25)
def test_two_memories_on_one_file_have_the_same(changes: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.db"
        with Memory(path) as memory, Memory(path) as other:
            asyncio.run(compare(memory, changes, other))
