"""Facts in Milvus: its full-text search (BM25), and its vectors.

Milvus has no transactions. What is written of one fact is written in an order in which a crash between two writes does
no harm: vectors before the facts that they belong to, a correction before the end of what it corrects (which is made
up for when the memory is next opened). Nothing that a user or a model says is part of a filter: what is compared is
hashed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from statistics import mean, pstdev
from typing import Any, Final, cast

from .....providers.checks import NAME, require
from ..embedding.embedder import Vectors
from ..errors import MemoryUnavailable, WrongFact
from ..facts.fact import Fact, Owner
from ..facts.fusion import DEVIATIONS, ENOUGH
from ..facts.terms import looked_for, most_of, terms
from .changing import ChangingStore
from .outcomes import corrected, ended, mismatch, unknown
from .store import Add, Change, Correct, Embed, End, Erase, Place, Query, Ranked, Selection

INSTALL: Final = "Milvus needs an optional dependency: pip install 'callboard[milvus]'"
MOST_BYTES: Final = 65_000
"""Of a fact with its metadata: what Milvus takes of one field, less some."""

PAGE: Final = 1_000
"""Rows that are changed at a time."""

MOST_FOUND: Final = 16_384
"""Milvus finds no more at once."""

_NEVER: Final = 1e18
_ID: Final = re.compile("[0-9a-f]{32}")
_HASHED: Final = ("id", "owner", "agent", "kind", "source", "key", "supersedes")
_EMBEDDER: Final = 0
"""The place of the row that says whose vectors there are. Those of facts are above it."""


class MilvusMemoryStore(ChangingStore):
    """See `MemoryStore`. Facts in two collections of a Milvus server, or of a file (Milvus Lite).

    One process at a time may write: of two that add under one key, or correct one fact, at the same moment, both would.
    A fact with its metadata has at most 65,000 bytes. Needs ``pip install 'callboard[milvus]'``.

    Args:
        uri: ``http://host:19530``, or a path that ends in ``.db``.
        collection: what the collections' names begin with; letters, digits and ``_``.
        token: ``user:password``, or a key. It appears in no representation, error or log line.

    Raises:
        MemoryUnavailable: the client is not installed.
        ValueError: the collection's name is none.
    """

    reads_beside_writes = False

    def __init__(self, uri: str, *, collection: str = "callboard_memory", token: str = "") -> None:
        try:
            import pymilvus  # noqa: F401 -- used later, missed now
        except ImportError as error:
            raise MemoryUnavailable(INSTALL) from error
        require(ValueError, "a memory in Milvus", uri=(uri, NAME))
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,200}", collection):
            raise ValueError(f"a collection's name has letters, digits and '_': {collection!r:.80}")
        self._uri = uri
        self._token = token
        self._facts, self._vectors = f"{collection}_facts", f"{collection}_vectors"
        self._opened: Any = None
        self._last = 0

    def __str__(self) -> str:
        return f"{re.sub('//.*@', '//…@', self._uri)}, {self._facts}"

    def prepare(self) -> None:
        """See `MemoryStore.prepare`."""
        from pymilvus.exceptions import MilvusException

        try:
            if not self._client.has_collection(self._facts):
                self._make_facts()
            for row in self._all('supersedes != ""'):  # a crash may have come in between
                for old in self._rows(f'id == "{row["supersedes"]}" and valid_to == {_NEVER}'):
                    self._put([{**old, "valid_to": max(row["valid_from"], old["valid_from"])}])
        except MilvusException as error:
            self.close()
            raise MemoryUnavailable(f"the memory in {self} cannot be opened: {type(error).__name__}") from error

    def write(self, batch: Sequence[Change]) -> list[object]:
        """See `MemoryStore.write`; each item by itself."""
        return [self._apply(item) for item in batch]

    def clean_up(self) -> bool:
        """See `MemoryStore.clean_up`. It is the server's affair."""
        return True

    def search(self, query: Query) -> Ranked:
        """See `MemoryStore.search`."""
        owner = query.selection.owner
        where = _where(query.selection)
        query = query._replace(depth=min(query.depth, MOST_FOUND))
        by_vector: list[Place] = []
        outstanding = 0
        if query.vector is not None:
            kept = self._kept_embedder()
            if wrong := mismatch(kept, (query.embedder, len(query.vector))):
                raise wrong
            if kept[1]:
                by_vector, outstanding = self._nearest(query, where)
        by_text: list[Place] = []
        if query.terms:
            words = " ".join(self._looked_for(list(dict.fromkeys(query.terms)), owner))
            found = self._client.search(
                self._facts, data=[words], anns_field="sparse", filter=where, limit=query.depth, output_fields=["place"]
            )
            by_text = [hit["place"] for hit in found[0]]
        return Ranked(by_text, by_vector, bool(self.unembedded(owner, 1)), outstanding)

    def take(self, places: Sequence[Place]) -> dict[Place, Fact]:
        """See `MemoryStore.take`."""
        return {row["place"]: _fact_of(row) for row in self._rows(f"place in {list(places)}")}

    def get(self, id: str, owner: Owner) -> Fact | None:
        """See `MemoryStore.get`."""
        row = self._row(id, owner)
        return None if row is None else _fact_of(row)

    def select(self, selection: Selection) -> list[Fact]:
        """See `MemoryStore.select`. Nobody writes meanwhile: the memory's one thread is here."""
        return list(map(_fact_of, self._all(_where(selection))))

    def unembedded(self, owner: Owner | None, limit: int) -> list[tuple[Place, str]]:
        """See `MemoryStore.unembedded`."""
        rows = self._rows(f"{_where(Selection(owner))} and embedded == false", limit)
        return [(row["place"], row["data"]["text"]) for row in rows]

    # -- changes -------------------------------------------------------------------------------------------------------

    def _add(self, item: Add) -> object:
        kept = self._under(item.facts[0].owner, item.key) or self._there([fact.id for fact in item.facts])
        if not kept:
            if item.replaces is not None and item.in_place and not self._rows(_erased(item.replaces), 1):
                return unknown(item.replaces.id)
            if wrong := _too_large(item.facts) or self._wrong_embedder(item.vectors):
                return wrong
            kept = self._insert(item.facts, item.key, item.vectors)
        if item.replaces is not None:  # with a known key there is only what a crash in between has left
            self._delete(f"{_erased(item.replaces)} and place < {kept[0]['place']}")
        return [_fact_of(row) for row in kept]

    def _correct(self, item: Correct) -> object:
        if kept := self._under(item.owner, item.key) or self._there([item.by]):
            return _fact_of(kept[0])
        row = self._row(item.id, item.owner)
        if row is None:
            return unknown(item.id)
        by = self._rows(f'supersedes == "{row["id"]}"', 1)
        if by or row["valid_to"] <= item.at:
            return ended(item.id, by[0]["id"] if by else "")
        new = corrected(_fact_of(row), item)
        if wrong := _too_large([new]) or self._wrong_embedder(item.vectors):
            return wrong
        self._insert([new], item.key, item.vectors)
        self._put([{**row, "valid_to": max(item.at, row["valid_from"])}])
        return new

    def _end(self, item: End) -> object:
        row = self._row(item.id, item.owner)
        if row is None:
            return unknown(item.id)
        if row["valid_to"] > item.at:
            row = {**row, "valid_to": max(item.at, row["valid_from"])}
            self._put([row])
        return _fact_of(row)

    def _erase(self, item: Erase) -> object:
        return self._delete(_erased(item))

    def _delete(self, where: str) -> int:
        count = 0
        has_vectors = self._client.has_collection(self._vectors)
        while rows := self._rows(where, PAGE):
            places = [row["place"] for row in rows]
            if has_vectors:
                self._client.delete(self._vectors, ids=places)
            self._client.delete(self._facts, ids=places)
            count += len(rows)
        return count

    def _embed(self, item: Embed) -> object:
        if wrong := self._wrong_embedder(item.vectors):
            return wrong
        vectors = dict(zip(item.places, item.vectors.rows, strict=True))
        rows = self._rows(f"place in {list(item.places)}")
        self._put_vectors([(row, vectors[row["place"]]) for row in rows])
        self._put([{**row, "embedded": True} for row in rows])
        return None

    def _forget_vectors(self) -> None:
        while rows := self._rows(f"place > {_EMBEDDER} and embedded == true", PAGE):
            self._put([{**row, "embedded": False} for row in rows])
        if self._client.has_collection(self._vectors):
            self._client.drop_collection(self._vectors)

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _insert(self, facts: Sequence[Fact], key: str, vectors: Vectors | None) -> list[dict[str, Any]]:
        self._last = max(self._last + 1, time.time_ns())
        rows = [_row_of(fact, place, key, vectors is not None) for place, fact in enumerate(facts, self._last)]
        self._last += len(facts)
        if vectors is not None:
            self._put_vectors(list(zip(rows, vectors.rows, strict=True)))
        self._put(rows)
        return rows

    def _put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), PAGE):
            self._client.upsert(self._facts, list(rows[start : start + PAGE]))

    def _put_vectors(self, rows: Sequence[tuple[Mapping[str, Any], Any]]) -> None:
        made = [{"place": row["place"], "owner": row["owner"], "vector": vector.tolist()} for row, vector in rows]
        for start in range(0, len(made), PAGE):
            self._client.upsert(self._vectors, made[start : start + PAGE])

    def _rows(self, where: str, limit: int = MOST_FOUND) -> list[dict[str, Any]]:
        """Rows, in the order in which they were added."""
        fields = ["place", *_HASHED, "valid_from", "valid_to", "embedded", "terms", "data"]
        found = self._client.query(self._facts, filter=where, output_fields=fields, limit=limit)
        return sorted(map(dict, found), key=lambda row: cast(int, row["place"]))

    def _all(self, where: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while rows := self._rows(f"{where} and place > {found[-1]['place'] if found else _EMBEDDER}", PAGE):
            found += rows
        return found

    def _row(self, id: str, owner: Owner) -> dict[str, Any] | None:
        rows = self._rows(f'id == "{id}"', 1) if _ID.fullmatch(id) else []
        return rows[0] if rows and owner.sees(_fact_of(rows[0]).owner) else None

    def _under(self, owner: Owner, key: str) -> list[dict[str, Any]]:
        """What is kept under a key."""
        return self._all(f'owner == "{_whose(owner)}" and key == "{_hash(key)}"') if key else []

    def _there(self, ids: list[str]) -> list[dict[str, Any]]:
        """What has been written already, where it was not learned that it was."""
        return [row for start in range(0, len(ids), PAGE) for row in self._rows(_any_id(ids[start : start + PAGE]))]

    def _looked_for(self, words: list[str], owner: Owner | None) -> list[str]:
        """Those of a query's words that are looked for."""
        where = _of_owner(owner)
        (counted,) = self._client.query(self._facts, filter=where, output_fields=["count(*)"])
        most = min(most_of(counted["count(*)"]), MOST_FOUND - 1)
        hits = self._client.search(self._facts, data=words, anns_field="sparse", filter=where, limit=most + 1)
        return looked_for({word: len(found) for word, found in zip(words, hits, strict=True)}, most)

    # -- vectors -------------------------------------------------------------------------------------------------------

    def _nearest(self, query: Query, where: str) -> tuple[list[Place], int]:
        """The nearest ones of those that fit, and how many of them stand out among the owner's nearest 16,384."""
        owner = query.selection.owner
        assert query.vector is not None
        found = self._client.search(
            self._vectors,
            data=[query.vector.tolist()],
            anns_field="vector",
            filter="" if owner is None else f'owner == "{_whose(owner)}"',
            limit=MOST_FOUND,
            output_fields=["place"],
        )
        likeness = [hit["distance"] for hit in found[0]]
        floor = 0.0
        if len(likeness) >= ENOUGH:
            floor = max(floor, mean(likeness) + DEVIATIONS * pstdev(likeness))
        near = [(hit["place"], hit["distance"]) for hit in found[0] if hit["distance"] > 0]
        fit: list[tuple[Place, float]] = []
        for start in range(0, len(near), PAGE):
            part = near[start : start + PAGE]
            fitting = {row["place"] for row in self._rows(f"{where} and place in {[place for place, _ in part]}")}
            fit += [one for one in part if one[0] in fitting]
            if len(fit) >= query.depth:
                break
        fit = fit[: query.depth]
        return [place for place, _ in fit], sum(like > floor for _, like in fit)

    def _kept_embedder(self) -> tuple[str, int]:
        rows = self._rows(f"place == {_EMBEDDER}", 1)
        return (rows[0]["data"]["embedder"], rows[0]["data"]["dimensions"]) if rows else ("", 0)

    def _keep_embedder(self, name: str, dimensions: int) -> None:
        if dimensions:
            if self._client.has_collection(self._vectors):  # made before a crash
                self._client.drop_collection(self._vectors)
            self._make_vectors(dimensions)
        row = dict.fromkeys(_HASHED, "") | {"valid_from": 0.0, "valid_to": 0.0, "embedded": True, "terms": ""}
        self._put([{**row, "place": _EMBEDDER, "data": {"embedder": name, "dimensions": dimensions}}])

    # -- collections ---------------------------------------------------------------------------------------------------

    def _make_facts(self) -> None:
        from pymilvus import DataType, Function, FunctionType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("place", DataType.INT64, is_primary=True)
        for name in _HASHED:
            schema.add_field(name, DataType.VARCHAR, max_length=64)
        for name in ("valid_from", "valid_to"):
            schema.add_field(name, DataType.DOUBLE)
        schema.add_field("embedded", DataType.BOOL)
        schema.add_field("data", DataType.JSON)
        schema.add_field(
            "terms",
            DataType.VARCHAR,
            max_length=65_535,
            enable_analyzer=True,
            analyzer_params={"tokenizer": "standard"},
        )
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(
            Function("bm25", FunctionType.BM25, input_field_names=["terms"], output_field_names=["sparse"])
        )
        indexes = self._client.prepare_index_params()
        indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
        self._client.create_collection(self._facts, schema=schema, index_params=indexes, consistency_level="Strong")

    def _make_vectors(self, dimensions: int) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("place", DataType.INT64, is_primary=True)
        schema.add_field("owner", DataType.VARCHAR, max_length=64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
        indexes = self._client.prepare_index_params()
        indexes.add_index("vector", index_type="FLAT", metric_type="IP")
        self._client.create_collection(self._vectors, schema=schema, index_params=indexes, consistency_level="Strong")

    @property
    def _client(self) -> Any:
        if self._opened is None:
            from pymilvus import MilvusClient

            # the server of a file ends a connection that tells it each 10 s, unasked, that it is still there
            quiet = (
                {"grpc_options": {"grpc.keepalive_permit_without_calls": False}} if self._uri.endswith(".db") else {}
            )
            self._opened = MilvusClient(self._uri, token=self._token, **quiet)
        return self._opened

    # -- faults and the end --------------------------------------------------------------------------------------------

    def is_transient(self, error: Exception) -> bool:
        """See `MemoryStore.is_transient`."""
        import grpc
        from pymilvus.client.types import Status
        from pymilvus.exceptions import ConnectError, MilvusException, MilvusUnavailableException

        if isinstance(error, MilvusException) and error.code == Status.CONNECT_FAILED:  # it did not get in again
            return True
        return isinstance(error, grpc.RpcError | ConnectError | MilvusUnavailableException | OSError)

    def reconnect(self) -> None:
        """See `MemoryStore.reconnect`."""
        self.close()

    def close(self) -> None:
        """See `MemoryStore.close`."""
        client, self._opened = self._opened, None
        if client is not None:
            with suppress(Exception):
                client.close()

    def forked(self) -> None:
        """See `MemoryStore.forked`."""
        self._opened = None


def _of_owner(owner: Owner | None) -> str:
    """All of an owner's, of whichever agent."""
    return f"place > {_EMBEDDER}" + ("" if owner is None else f' and owner == "{_whose(owner)}"')


def _where(selection: Selection) -> str:
    owner = selection.owner
    parts = [_of_owner(owner)]
    if owner is not None and owner.agent:
        parts.append(f'agent in ["", "{_hash(owner.agent)}"]')
    if selection.at is not None:
        parts.append(f"valid_from <= {selection.at!r} and valid_to > {selection.at!r}")
    if selection.kind is not None:
        parts.append(f'kind == "{_hash(selection.kind)}"')
    if selection.source is not None:
        parts.append(f'source == "{_hash(selection.source)}"')
    return " and ".join(parts)


def _erased(item: Erase) -> str:
    """What an `Erase` deletes."""
    where = _of_owner(item.owner)
    if item.owner.agent:
        where += f' and agent == "{_hash(item.owner.agent)}"'
    if item.source is not None:
        where += f' and source == "{_hash(item.source)}"'
    if item.kinds:
        where += " and kind in [" + ", ".join(f'"{_hash(kind)}"' for kind in item.kinds) + "]"
    if item.id:
        where += f' and id == "{item.id if _ID.fullmatch(item.id) else ""}"'
    return where


def _any_id(ids: Sequence[str]) -> str:
    return "id in [" + ", ".join(f'"{id}"' for id in ids) + "]"


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32] if text else ""


def _whose(owner: Owner) -> str:
    return sha256(f"{len(owner.tenant)} {owner.tenant} {owner.user}".encode()).hexdigest()[:32]


def _row_of(fact: Fact, place: int, key: str, embedded: bool) -> dict[str, Any]:
    words = " ".join(terms(fact.text)).encode()[:MOST_BYTES].decode(errors="ignore")
    return {
        "place": place,
        "id": fact.id,
        "owner": _whose(fact.owner),
        "agent": _hash(fact.owner.agent),
        "kind": _hash(fact.kind),
        "source": _hash(fact.source),
        "key": _hash(key),
        "supersedes": fact.supersedes,
        "valid_from": fact.valid_from,
        "valid_to": _NEVER if fact.valid_to is None else fact.valid_to,
        "embedded": embedded,
        "terms": words,
        "data": fact.as_data(),
    }


def _fact_of(row: Mapping[str, Any]) -> Fact:
    data = row["data"]
    until = None if row["valid_to"] == _NEVER else row["valid_to"]
    fact = Fact(**{**data, "owner": Owner(**data["owner"]), "labels": tuple(data["labels"])})
    return replace(fact, valid_to=until)


def _too_large(facts: Sequence[Fact]) -> WrongFact | None:

    for fact in facts:
        size = len(json.dumps(fact.as_data(), ensure_ascii=False).encode())
        if size > MOST_BYTES:
            return WrongFact(f"a fact with its metadata has {size:,} bytes, and Milvus keeps {MOST_BYTES:,}: cut it")
    return None
