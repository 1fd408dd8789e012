"""The memory: facts of many owners, found by words and by nearness."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from ....providers.checks import COUNT, require
from ....providers.messages import Labels
from ...core.mail.future import Future
from ...journal.threaded.healing import GIVES_UP, Closing
from ...journal.threaded.open_here import closed, is_open, opened
from ...journal.threaded.pending import Pending
from ...journal.threaded.running import Runner, ThreadRunner, Waits, hosting
from ...observe import conventions as names
from ...observe.spans import place
from ..hooks import before_remembering
from .embedding.embedder import INSTALL, Embedder, as_embedder
from .embedding.hashing import HashingEmbedder
from .errors import MemoryClosed, WrongFact
from .facts.fact import FACT, Fact, Found, NewFact, Owner, as_key, as_owner, as_several, kind_of, moment, words_of
from .facts.fusion import REST, fuse
from .facts.terms import terms
from .stores.outcomes import unknown
from .stores.postgres import PostgresMemoryStore
from .stores.sqlite import SqliteMemoryStore
from .stores.store import Add, Change, Correct, End, Erase, MemoryStore, Query, Selection
from .stores.threads import StoreThread
from .vectors import VectorMaker

MOST_WORDS: Final = 500
"""Different words that are looked for: PostgreSQL takes seconds for thousands, and then no more."""

DEEPER: Final = 4
MOST_DEPTH: Final = 50
"""Each ranking that is fused has so many times what is wanted, and at least so many."""


class Memory:
    """Facts of many owners. It may be used on any thread, and on any number of event loops; a process forked from this
    one cannot use it.

    In a run of an agent's, its hooks for ``memory`` look at every text before it is kept, and a guardrail may refuse it
    (`GuardrailTripped`).

    What is kept is kept: a method that adds or changes something returns when it has been committed. A store that
    cannot be written for a while is waited out.

    Args:
        store: a path, ``:memory:``, an address (``postgresql://…``), or a store.
        embedder: what makes vectors; None: a `HashingEmbedder`, which needs no model. Where it fails, facts are kept
            and found by their words, and their vectors are made at a later search.

    Raises:
        ImportError: the extra is not installed; says how.
        MemoryUnavailable: the store cannot be opened.
        WrongFact: an argument is of the wrong type.
    """

    def __init__(self, store: str | Path | MemoryStore = ":memory:", *, embedder: Embedder | None = None) -> None:
        if find_spec("numpy") is None:
            raise ImportError(INSTALL)
        self._store = _store(store)
        self._name = str(self._store)
        self._closing = Closing("memory")
        self._lock = threading.Lock()
        runner: Callable[[Waits[None], str], Runner] = ThreadRunner
        host = hosting.get()
        if host is not None:
            self._store = host.store(self._store)
            runner = host.runner
        self._hosted = host is not None
        names = ("writer", "reader") if self._store.reads_beside_writes else ("store",)
        self._threads = [
            StoreThread(self._store, self._closing, self._name, name, runner, self._thread_ended, name != "reader")
            for name in names
        ]
        self._working = len(self._threads)
        made_by = HashingEmbedder() if embedder is None else as_embedder(embedder)
        self._vectors = VectorMaker(made_by, self._store, self._read, self._write)
        try:
            self._store.prepare()
        except BaseException:
            self._store.close()
            raise
        if not self._hosted:
            opened(self, self._forked)
        for thread in self._threads:
            thread.runner.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}{' closed' if self._closing.begun else ''}>"

    @property
    def embedder(self) -> Embedder:
        """What makes vectors. Where it is put in another one's place, call `reindex`."""
        return self._vectors.embedder

    @embedder.setter
    def embedder(self, embedder: Embedder) -> None:
        self._vectors.embedder = as_embedder(embedder)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def add(
        self,
        text: str,
        *,
        owner: Owner,
        source: str = "",
        key: str = "",
        valid_from: float | None = None,
        valid_to: float | None = None,
        labels: Sequence[str] | Labels = (),
        metadata: Mapping[str, Any] | None = None,
        kind: str = FACT,
    ) -> Fact:
        """Remember something.

        Args:
            text, source, valid_from, valid_to, labels, metadata, kind: see `NewFact`.
            owner: whose it is.
            key: what makes it once, such as the id of a call: under one key of a user's there is one fact, however
                often it is added, also over crashes. Empty: each time counts.

        Returns:
            what is kept: with a key that is known, what was added first.

        Raises:
            WrongFact: an argument cannot be kept.
            GuardrailTripped: a guardrail for ``memory`` of the agent that this works for refused it.
            EmbedderMismatch, MemoryClosed: see there.
        """
        new = NewFact(text, source, valid_from, valid_to, labels, metadata or {}, kind)
        return (await self.add_all([new], owner=owner, key=key))[0]

    async def add_all(
        self,
        facts: Iterable[str | NewFact],
        *,
        owner: Owner,
        key: str = "",
        replacing: str | None = None,
        in_place_of: str = "",
    ) -> list[Fact]:
        """Remember several facts, all or none of them; see `add`.

        Args:
            facts: in the order in which they are kept.
            owner: whose they are.
            key: what makes all of them once.
            replacing: a source: what the owner has from there, of the kinds that the new ones are of, is deleted as
                `erase` does, in the same transaction. With a key that is known, nothing is.
            in_place_of: the id of a fact of any kind that is deleted as `erase` does, in the same transaction. Where
                there is no such fact any more, nothing is added.

        Returns:
            what is kept: with a key that is known, what was added first.

        Raises:
            UnknownFact: the owner has no fact of the id ``in_place_of``.
            WrongFact: an argument is wrong, or both are to be replaced: a source and a fact.
        """
        as_owner(owner)
        key = as_key(key)
        words_of(in_place_of, "in_place_of")
        if replacing is not None:
            words_of(replacing, "replacing")
            if in_place_of:
                raise WrongFact("facts are added in place of a source or of one fact, not of both")
        given = [await _looked_at(fact) for fact in as_several(facts)]
        if not given:
            if in_place_of and not await self._write(Erase(owner, id=in_place_of)):
                raise unknown(in_place_of)
            return []
        now = time.time()
        made = tuple(_fact(new, owner, now) for new in given)
        vectors = await self._vectors.of([fact.text for fact in made])
        kinds = tuple(dict.fromkeys(fact.kind for fact in made))
        replaces = None if replacing is None else Erase(owner, replacing, kinds)
        if in_place_of:
            replaces = Erase(owner, id=in_place_of)
        kept: list[Fact] = await self._write(Add(made, key, vectors, replaces, bool(in_place_of)))
        return kept

    async def correct(
        self,
        id: str,
        text: str,
        *,
        owner: Owner,
        source: str = "",
        key: str = "",
        at: float | None = None,
        labels: Sequence[str] | Labels | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Fact:
        """Say what is true in place of a fact: that one ends, and stays to be found for the time before.

        Args:
            id: of the fact, as `Fact.id` says.
            text, source: of the one that supersedes it.
            owner: must see the fact.
            key: see `add`.
            at: since when the new one is true, in seconds since 1970; None for now.
            labels, metadata: of the new one; None for those of the old one.

        Returns:
            the new one; its owner and kind are those of the old one, and so is its end, where that has one.

        Raises:
            UnknownFact: the owner has no such fact.
            FactEnded: it has been corrected or forgotten before.
            WrongFact, EmbedderMismatch, MemoryClosed: see there.
        """
        as_owner(owner)
        words_of(id, "id")
        key = as_key(key)
        new = await _looked_at(NewFact(text, source, at, None, labels or (), metadata or {}))
        vectors = await self._vectors.of([new.text])
        change = Correct(
            id,
            owner,
            uuid4().hex,
            new.text,
            new.source,
            time.time() if new.valid_from is None else new.valid_from,
            None if labels is None else new.words,
            None if metadata is None else new.metadata,
            key,
            vectors,
        )
        fact: Fact = await self._write(change)
        return fact

    async def forget(self, id: str, *, owner: Owner, at: float | None = None) -> Fact:
        """Have a fact be true no more: it stays to be found for the time before. To delete it, see `erase`.

        Args:
            id: of the fact.
            owner: must see it.
            at: from when on, in seconds since 1970; None for now. A fact that has ended before stays as it is.

        Raises:
            UnknownFact: the owner has no such fact.
        """
        as_owner(owner)
        when = time.time() if at is None else moment(at, "at")
        fact: Fact = await self._write(End(words_of(id, "id"), owner, when))
        return fact

    async def erase(self, *, owner: Owner, source: str | None = None, kinds: Sequence[str] = ()) -> int:
        """Delete facts, so that nothing of them is left in the store. Backups and other stores are not reached.

        Args:
            owner: whose: all of the user's, of every agent; those of one agent, where the owner names one.
            source: only those that come from there; None for all.
            kinds: only those of these kinds; none for all.

        Returns:
            how many.
        """
        as_owner(owner)
        if source is not None:
            words_of(source, "source")
        if isinstance(kinds, str) or not isinstance(kinds, Sequence):
            raise WrongFact(f"kinds are several texts, not one {type(kinds).__name__}")
        count: int = await self._write(Erase(owner, source, tuple(words_of(kind, "a kind") for kind in kinds)))
        return count

    async def reindex(self) -> int:
        """Have all vectors made by this memory's embedder, where they are missing or another one's.

        Facts are found by their words meanwhile. After a crash, call it again: it goes on where it was.

        Returns:
            how many were made.

        Raises:
            EmbeddingFailed: the embedder cannot make them now, or not those of some texts; what was made is kept.
        """
        return await self._vectors.make_all()

    # -- reading -----------------------------------------------------------------------------------------------------

    async def get(self, id: str, *, owner: Owner) -> Fact:
        """A fact, also one that has ended.

        Raises:
            UnknownFact: the owner has no such fact.
        """
        as_owner(owner)
        words_of(id, "id")
        found: Fact | None = await self._read(partial(self._store.get, id, owner))
        if found is None:
            raise unknown(id)
        return found

    async def facts(
        self, *, owner: Owner, at: float | None = None, kind: str | None = FACT, source: str | None = None
    ) -> list[Fact]:
        """What is true, in the order in which it was added.

        Args:
            owner: who sees it.
            at: at which moment, in seconds since 1970; None for now.
            kind: of this kind; None for every kind.
            source: from this source; None for every one.
        """
        when = time.time() if at is None else moment(at, "at")
        if source is not None:
            words_of(source, "source")
        selection = Selection(as_owner(owner), when, kind_of(kind), source)
        found: list[Fact] = await self._read(partial(self._store.select, selection))
        return found

    async def export(self, *, owner: Owner) -> list[dict[str, Any]]:
        """All that is kept of an owner, of every kind and also what has ended, as plain data; see `Fact`.

        Args:
            owner: who sees it.
        """
        found: list[Fact] = await self._read(partial(self._store.select, Selection(as_owner(owner))))
        return [fact.as_data() for fact in found]

    async def search(
        self, query: str, *, owner: Owner, at: float | None = None, limit: int = 10, kind: str | None = FACT
    ) -> list[Found]:
        """What fits a question best, by words and by nearness: two rankings, fused by reciprocal rank.

        Args:
            query: words, or a question; of its different words the first 500 are looked for.
            owner: who sees it; nothing else is looked at.
            at: what was true at this moment, in seconds since 1970; None for now.
            limit: how many at most.
            kind: of this kind; None for every kind.

        Returns:
            best first.

        Raises:
            WrongFact: an argument is wrong.
            EmbedderMismatch, MemoryClosed: see there.
        """
        return await self._search(query, as_owner(owner), at, limit, kind)

    async def search_all(
        self, query: str, *, at: float | None = None, limit: int = 10, kind: str | None = FACT
    ) -> list[Found]:
        """As `search`, over everybody's facts. For those who administer the memory, never for a prompt.

        Among more than 10,000 facts only the rarest words of the query are looked for, as many as some thousand of them
        have.
        """
        return await self._search(query, None, at, limit, kind)

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what waits to be written, and let go of the store. Any thread; twice is fine."""
        if not self._hosted and not is_open(self):  # closed before, or the parent's of this process
            return
        with self._lock:
            if not self._closing.begun:
                self._closing.begin()
        for thread in self._threads:
            thread.runner.wake()
        for thread in self._threads:
            if not thread.runner.is_current():
                thread.runner.join(3 * GIVES_UP)
        closed(self)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- within ------------------------------------------------------------------------------------------------------

    async def _search(
        self, query: str, owner: Owner | None, at: float | None, limit: int, kind: str | None
    ) -> list[Found]:
        where = place()
        if where is None:
            return await self._found(query, owner, at, limit, kind)
        began, told = time.monotonic(), {names.OPERATION: names.RETRIEVAL, names.DATA_SOURCE: kind or "memory"}
        name = f"{names.RETRIEVAL} {kind or 'memory'}"
        try:
            found = await self._found(query, owner, at, limit, kind)
        except BaseException as error:
            where.tell(name, time.monotonic() - began, told, error=type(error).__name__)
            raise
        more = {names.RETRIEVAL_TOP_K: limit, names.RESULTS: len(found)}
        where.tell(name, time.monotonic() - began, told | more)
        return found

    async def _found(
        self, query: str, owner: Owner | None, at: float | None, limit: int, kind: str | None
    ) -> list[Found]:
        require(WrongFact, "a search", limit=(limit, COUNT))
        words = tuple(dict.fromkeys(terms(words_of(query, "query"))))[:MOST_WORDS]
        selection = Selection(owner, time.time() if at is None else moment(at, "at"), kind_of(kind))
        vectors = await self._vectors.of([query]) if query.strip() else None
        vector = None if vectors is None else vectors.rows[0]
        embedder = "" if vectors is None else vectors.embedder
        asked = Query(selection, words, vector, embedder, max(MOST_DEPTH, DEEPER * limit))

        def look() -> tuple[list[Found], bool]:
            ranked = self._store.search(asked)
            apart = len(ranked.by_vector) if ranked.outstanding is None else ranked.outstanding
            near, rest = ranked.by_vector[:apart], ranked.by_vector[apart:]
            best = fuse((ranked.by_text, near, rest), limit, (1.0, 1.0, REST))
            there = self._store.take([place for place, _ in best]) if best else {}
            return [Found(there[place], score) for place, score in best if place in there], ranked.unembedded

        found, unembedded = await self._read(look)
        if unembedded and vector is not None and await self._vectors.make_some(owner):
            found, _ = await self._read(look)
        best: list[Found] = found
        return best

    async def _write(self, change: Change) -> Any:
        return await self._put(self._threads[0], change)

    async def _read(self, read: Callable[[], Any]) -> Any:
        return await self._put(self._threads[-1], read)

    async def _put(self, thread: StoreThread, work: Any) -> Any:
        if self._closing.begun:
            raise MemoryClosed(self._closing.why)
        future: Future[Any] = Future()
        thread.put(Pending(work, future))
        return await future

    def _thread_ended(self) -> None:
        with self._lock:
            self._working -= 1
            if self._working:
                return
        self._store.close()

    def _forked(self) -> None:
        self._closing.forked()
        self._store.forked()


def _store(given: object) -> MemoryStore:
    if isinstance(given, str) and given.startswith(("postgresql://", "postgres://")):
        return PostgresMemoryStore(given)
    if isinstance(given, str) and "://" in given:
        raise WrongFact(f"no memory is kept at {given.partition('://')[0]:.20}://…: give it a path, or postgresql://…")
    if isinstance(given, str | Path):
        return SqliteMemoryStore(given)
    if not callable(getattr(given, "prepare", None)):
        raise WrongFact(f"a memory's store is a path, an address or a store, not {type(given).__name__}")
    store: Any = given
    return store  # type: ignore[no-any-return]


async def _looked_at(new: NewFact) -> NewFact:
    """What hooks for ``memory`` of the agent at work leave of it."""
    text = await before_remembering(new.text)
    return new if text == new.text else replace(new, text=text)


def _fact(new: NewFact, owner: Owner, now: float) -> Fact:
    since = new.valid_from
    if since is None:
        since = now if new.valid_to is None else min(now, new.valid_to)
    return Fact(uuid4().hex, new.text, new.source, owner, since, new.valid_to, new.words, new.metadata, new.kind)
