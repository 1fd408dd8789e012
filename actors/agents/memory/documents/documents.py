"""Documents in a memory: kept as passages, found, cited, replaced, deleted."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .....providers.checks import COUNT, require
from .....providers.messages import UNLABELLED, Labels
from ..errors import WrongDocument
from ..facts.fact import Fact, NewFact, Owner, as_owner
from ..facts.labelling import as_texts
from ..facts.origins import labels_of
from ..memory import Memory
from .chunking import cut
from .citations import citations, cite, is_cited
from .document import Chunk
from .reading import bytes_of, read

CHUNK: Final = "chunk"
DOCUMENT: Final = "document"
"""The kinds of facts that documents are kept as: a passage, and the entry that says that the document is there."""

MOST_NAME: Final = 500
"""Characters of a document's name."""

MOST_PASSAGE: Final = 50_000
"""Characters of a passage: what a fact can be, with its headings."""

VERSION: Final = 1
"""Of reading and cutting: another one has a document that has not changed be indexed again."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document.

    Args:
        text: as it stands there.
        document: the document's name.
        place: where in it: ``page 3``, or ``lines 10-24``.
        heading: the headings that it stands under, outermost first; empty if there are none.
        score: higher fits better; comparable within one search only.
        labels: those of the document; see `Documents.index`.
    """

    text: str = field(repr=False)
    document: str
    place: str
    heading: str = ""
    score: float = 0.0
    labels: Labels = UNLABELLED

    @property
    def citation(self) -> str:
        """What it is cited as: ``[handbook.pdf, page 3]``."""
        return cite(self.document, self.place)


@dataclass(frozen=True, slots=True)
class Citation:
    """What a text cites.

    Args:
        document, place: as they are written there.
        passages: what is there, in the order in which it stands; none: there is no such document or place.
    """

    document: str
    place: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document that is in a memory.

    Args:
        name: what it is cited as.
        passages: how many it was cut into.
        digest: of its bytes (SHA-256), hexadecimal.
        since: when it was indexed, in seconds since 1970.
        labels: see `Documents.index`.
    """

    name: str
    passages: int
    digest: str
    since: float
    labels: Labels = UNLABELLED


class Documents:
    """Documents in a memory, each whole: as it was, or as it is now, also after a crash.

    Args:
        memory: where their passages are kept, beside its facts; it is yours to close.
        characters: how long a passage may be. Documents are cut where their meaning allows it.

    Raises:
        WrongDocument: an argument is wrong.
    """

    def __init__(self, memory: Memory, *, characters: int = 1_200) -> None:
        if not isinstance(memory, Memory):
            raise WrongDocument(f"documents are kept in a Memory, not in {type(memory).__name__}")
        require(WrongDocument, "documents", characters=(characters, COUNT))
        if characters > MOST_PASSAGE:
            raise WrongDocument(f"a passage has at most {MOST_PASSAGE:,} characters, not {characters:,}")
        self._memory = memory
        self._characters = characters

    def __repr__(self) -> str:
        return f"Documents({self._memory!r})"

    async def index(
        self, source: str | Path | bytes, *, owner: Owner, name: str = "", labels: Labels | None = None
    ) -> IndexedDocument:
        """Read a document, and keep it in place of what was kept under its name; one that has not changed stays.

        Args:
            source: a path, or what is in the file. Text, Markdown (``.md``), HTML (``.html``) and PDF are read; text is
                UTF-8, or says by its first bytes (HTML also by its head) what it is.
            owner: whose it is. One that names no agent replaces it for all of the user's agents.
            name: what it is cited as, and told apart by; its ending says what it is. Empty: the path as it was given.
            labels: who outside has written of it, and as what it is confidential: what an agent is shown of it has
                them. None: somebody outside has, and is called ``document`` with its name; ``Labels()``: nobody has.

        Raises:
            DocumentNotFound: there is no such file.
            UnreadableDocument: it is damaged, encrypted, or no text.
            EmptyDocument: there is no text in it.
            DocumentTooLarge: it, or the text in it, has more than 200 MB.
            WrongDocument, WrongFact: an argument is wrong.
            ImportError: the extra is not installed.
            EmbedderMismatch, MemoryClosed: see there.
        """
        as_owner(owner)
        called = _name(source, name)
        labelled = as_texts(_labels(labels, called))
        data = source if isinstance(source, bytes) else await asyncio.to_thread(bytes_of, source, called)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        made = f"{VERSION}/{self._characters}/{digest}"
        for entry in await self._memory.facts(owner=owner, kind=DOCUMENT, source=called):
            if entry.metadata.get("made") == made and entry.labels == labelled and entry.owner == owner:
                return _indexed(entry)
        facts = await asyncio.to_thread(self._facts, data, called, made, labelled)
        key = hashlib.sha256("\0".join((called, owner.agent, made, *labelled)).encode()).hexdigest()
        kept = await self._memory.add_all(facts, owner=owner, key=f"document {key}", replacing=called)
        return _indexed(kept[0])

    async def search(self, query: str, *, owner: Owner, limit: int = 5) -> list[Passage]:
        """The passages that fit a question best; see `Memory.search`.

        Args:
            query: words, or a question.
            owner: who sees them; no other documents are looked at.
            limit: how many at most.

        Returns:
            best first.
        """
        found = await self._memory.search(query, owner=owner, limit=limit, kind=CHUNK)
        return [_passage(one.fact, one.score) for one in found]

    async def indexed(self, *, owner: Owner) -> list[IndexedDocument]:
        """The documents that there are, in the order in which they were indexed."""
        return [_indexed(entry) for entry in await self._memory.facts(owner=owner, kind=DOCUMENT)]

    async def passages(self, name: str, *, owner: Owner) -> list[Passage]:
        """All of a document, in order; none if there is no such document."""
        called = _name(b"", name)
        return [_passage(fact) for fact in await self._memory.facts(owner=owner, kind=CHUNK, source=called)]

    async def remove(self, name: str, *, owner: Owner) -> bool:
        """Delete a document with all of its passages, so that nothing of them is left in the store.

        Returns:
            whether it was there.
        """
        return await self._memory.erase(owner=owner, source=_name(b"", name), kinds=(DOCUMENT, CHUNK)) > 0

    async def cited(self, text: str, *, owner: Owner) -> list[Citation]:
        """What a text, such as an agent's answer, cites, and what is there: a citation without passages is made up, or
        of a document that has changed since.

        Args:
            text: has citations as `Passage.citation` writes them.
            owner: whose documents are looked at.

        Returns:
            each once, in the order in which they are cited.
        """
        if not isinstance(text, str):
            raise WrongDocument(f"citations are looked for in a text, not in {type(text).__name__}")
        wanted = citations(text)
        if not wanted:
            return []
        names = [entry.name for entry in await self.indexed(owner=owner)]
        there: dict[str, list[Passage]] = {}
        for document in dict.fromkeys(document for document, _ in wanted):
            there[document] = [
                passage
                for name in names
                if is_cited(name, document)
                for passage in await self.passages(name, owner=owner)
            ]
        return [
            Citation(document, place, tuple(one for one in there[document] if one.place == place))
            for document, place in wanted
        ]

    def _facts(self, data: bytes, name: str, made: str, labels: tuple[str, ...]) -> list[NewFact]:
        """The entry, and the passages."""
        chunks = list(cut(read(data, name), self._characters))
        entry: dict[str, Any] = {"made": made, "passages": len(chunks)}
        document = NewFact(name, name, labels=labels, metadata=entry, kind=DOCUMENT)
        return [document, *(_as_fact(chunk, name, labels) for chunk in chunks)]


def _as_fact(chunk: Chunk, name: str, labels: tuple[str, ...]) -> NewFact:
    """A passage, with the headings that it stands under as its first line: it is found by them, too, and a guardrail
    that looks at what is kept sees all of it."""
    text = f"{chunk.heading}\n{chunk.text}" if chunk.heading else chunk.text
    place = {"place": chunk.place, "headed": bool(chunk.heading)}
    return NewFact(text, name, labels=labels, metadata=place, kind=CHUNK)


def _passage(fact: Fact, score: float = 0.0) -> Passage:
    heading, _, text = fact.text.partition("\n") if fact.metadata.get("headed") else ("", "", fact.text)
    return Passage(text, fact.source, str(fact.metadata.get("place", "")), heading, score, labels_of([fact]))


def _indexed(entry: Fact) -> IndexedDocument:
    digest = str(entry.metadata.get("made", "")).rpartition("/")[2]
    passages = int(entry.metadata.get("passages", 0))
    return IndexedDocument(entry.source, passages, digest, entry.valid_from, labels_of([entry]))


def _labels(given: object, name: str) -> Labels:
    if given is None:
        return Labels(frozenset({f"document {name}"}))
    if not isinstance(given, Labels):
        raise WrongDocument(f"the labels of a document are Labels, not {type(given).__name__}", name)
    return given


def _name(source: object, given: object) -> str:
    if not isinstance(source, str | Path | bytes):
        raise WrongDocument(f"a document is a path, or bytes with a name, not {type(source).__name__}")
    if not isinstance(given, str):
        raise WrongDocument(f"the name of a document is a text, not {type(given).__name__}")
    name = given or ("" if isinstance(source, bytes) else Path(source).as_posix() if str(source) else "")
    if not name.strip():
        raise WrongDocument("a document that is given as bytes needs a name, such as that of its file")
    if len(name) > MOST_NAME or "\0" in name or "\n" in name:
        raise WrongDocument(f"the name of a document is one line of at most {MOST_NAME} characters", name[:MOST_NAME])
    try:
        name.encode()
    except UnicodeEncodeError:
        raise WrongDocument("the name of a document has half of a surrogate pair, which is no text") from None
    return name
