"""A fact, and whose it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from .....providers.checks import NAME, TEXT, require
from .....providers.messages import Labels
from ..errors import WrongFact
from .labelling import as_texts

MOST_CHARACTERS: Final = 100_000
"""In one text. What is longer is a document, and wants to be cut."""

MOST_NAME: Final = 500
"""Bytes of each name of an owner: no more can be found by in PostgreSQL."""

MOST_KEY: Final = 200
"""Bytes of a key that is kept as it is; of a longer one there is its digest."""

_NULL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A null character as JSON writes it: behind an even number of backslashes."""
_MEANT: Final = re.compile(r"\s*(untrusted|confidential)\s*(?::.*)?", re.DOTALL | re.IGNORECASE)
_SAYS: Final = re.compile(r"(untrusted|confidential): \S.*", re.DOTALL)
"""A label that is of whatever the text gets into; of what only looks like one nobody would know."""

FACT: Final = "fact"
"""The kind of what is remembered, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a fact is. At least one of the three is named.

    Two owners of different users or tenants never see each other's facts, also where one of them names neither: what
    belongs to a tenant (``Owner(tenant="acme")``) is not found by its users unless it is asked for.

    Args:
        user: the person, or the service.
        tenant: the customer that the user belongs to.
        agent: the agent that has it to itself. An owner that names an agent sees that agent's facts and those of no
            agent; one that names none sees all of the user's.

    Raises:
        WrongFact: something is no text, or too long, or nobody is named.
    """

    user: str = ""
    tenant: str = ""
    agent: str = ""

    def __post_init__(self) -> None:
        require(WrongFact, "an owner", user=(self.user, TEXT), tenant=(self.tenant, TEXT), agent=(self.agent, TEXT))
        if not (self.user or self.tenant or self.agent):
            raise WrongFact("an owner names a user, a tenant or an agent: nobody's facts would be everybody's")
        for name in ("user", "tenant", "agent"):
            _storable(getattr(self, name), f"the {name} of an owner")
            if (size := len(getattr(self, name).encode())) > MOST_NAME:
                raise WrongFact(f"the {name} of an owner has {size:,} bytes, and at most {MOST_NAME}")

    def sees(self, other: Owner) -> bool:
        """Whether what belongs to ``other`` is found for this owner."""
        return (
            self.user == other.user
            and self.tenant == other.tenant
            and (not self.agent or other.agent in ("", self.agent))
        )


@dataclass(frozen=True, slots=True)
class NewFact:
    """What is to be remembered.

    Args:
        text: one statement that can be understood alone.
        source: where it comes from, in a few words: it is shown beside the text.
        valid_from: since when it is true, in seconds since 1970; None for now.
        valid_to: until when; None for as long as nobody says otherwise.
        labels: words of the application's own about it; or where it is from (``untrusted: the source``), and what of it
            must not go everywhere (``confidential: the kind``), as a tool's `ToolContext.labels` says.
        metadata: plain data beside it, which is not searched.
        kind: what it is; a search finds the kind ``fact`` where nothing else is asked for.

    Raises:
        WrongFact: a field is of the wrong type, the text is empty or too long, or it ends before it begins.
    """

    text: str = field(repr=False)
    source: str = ""
    valid_from: float | None = None
    valid_to: float | None = None
    labels: Sequence[str] | Labels = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kind: str = FACT

    def __post_init__(self) -> None:
        words_of(self.text, "the text of a fact")
        words_of(self.source, "the source of a fact")
        require(WrongFact, "a fact", kind=(self.kind, NAME))
        _storable(self.kind, "the kind of a fact")
        if not self.text.strip():
            raise WrongFact("a fact has no text")
        if len(self.text) > MOST_CHARACTERS:
            raise WrongFact(
                f"a fact has {len(self.text):,} characters, and at most {MOST_CHARACTERS:,}: cut it into smaller ones"
            )
        object.__setattr__(self, "labels", _labels(self.labels))
        object.__setattr__(self, "metadata", _plain(self.metadata))
        for name in ("valid_from", "valid_to"):
            at = getattr(self, name)
            if at is not None:
                object.__setattr__(self, name, moment(at, name))
        if self.valid_from is not None and self.valid_to is not None and self.valid_to <= self.valid_from:
            raise WrongFact(f"a fact ends before it begins: it is valid from {self.valid_from} to {self.valid_to}")

    @property
    def words(self) -> tuple[str, ...]:
        """The labels as texts."""
        return _labels(self.labels)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is remembered.

    Args:
        id: unique for ever.
        text, source, labels, metadata, kind: as they were given; see `NewFact`.
        owner: whose it is.
        valid_from: since when it is true, in seconds since 1970.
        valid_to: until when (it is not true any more at that moment); None if no end is known.
        supersedes: the id of the fact that it corrects, or empty.
    """

    id: str
    text: str = field(repr=False)
    source: str
    owner: Owner
    valid_from: float
    valid_to: float | None = None
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kind: str = FACT
    supersedes: str = ""

    def is_valid(self, at: float) -> bool:
        """Whether it is true at a moment."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)

    def as_data(self) -> dict[str, Any]:
        """All of it as plain data, which JSON can say."""
        return {**asdict(self), "labels": list(self.labels), "metadata": dict(self.metadata)}


class Found(NamedTuple):
    """A fact that fits a query.

    Args:
        fact: the fact.
        score: higher fits better; comparable within one search only.
    """

    fact: Fact
    score: float


def as_several(given: object) -> list[NewFact]:
    """What is to be remembered, given as texts or `NewFact`.

    Raises:
        WrongFact: they are no several ones, or one of them is neither.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise WrongFact(f"facts are several texts or NewFacts, not one {type(given).__name__}")
    return [_as_new(one) for one in given]


def _as_new(given: object) -> NewFact:
    if isinstance(given, NewFact):
        return given
    if isinstance(given, str):
        return NewFact(given)
    raise WrongFact(f"a fact is a text or a NewFact, not {type(given).__name__}")


def as_owner(given: object) -> Owner:
    """The owner.

    Raises:
        WrongFact: it is none.
    """
    if not isinstance(given, Owner):
        raise WrongFact(f"owner is an Owner, not {type(given).__name__}: a memory is asked for one owner's facts")
    return given


def as_key(given: object) -> str:
    """What makes facts once, as it is kept.

    Raises:
        WrongFact: it is no text.
    """
    written = words_of(given, "key").encode()
    return written.decode() if len(written) <= MOST_KEY else sha256(written).hexdigest()


def kind_of(given: object) -> str | None:
    """Of which kind facts are looked for; None for every kind.

    Raises:
        WrongFact: it is no text.
    """
    return None if given is None else words_of(given, "kind")


def moment(given: object, name: str) -> float:
    """A moment in seconds since 1970.

    Raises:
        WrongFact: it is none.
    """
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise WrongFact(f"{name} is seconds since 1970, not {given!r:.80}")
    return float(given)


def words_of(given: object, name: str) -> str:
    """A text that can be kept or looked for.

    Raises:
        WrongFact: it is none.
    """
    if not isinstance(given, str):
        raise WrongFact(f"{name} is a text, not {type(given).__name__}")
    _storable(given, name)
    return given


def is_storable(text: str) -> bool:
    """Whether every store keeps a text as it is."""
    try:
        _storable(text, "it")
    except WrongFact:
        return False
    return True


def _storable(text: str, what: str) -> None:
    if "\0" in text:
        raise WrongFact(f"{what} has a null character, which no store keeps")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongFact(f"{what} has half of a surrogate pair, which is no text") from None


def _labels(given: object) -> tuple[str, ...]:
    if isinstance(given, Labels):
        given = as_texts(given)
    if isinstance(given, str) or not isinstance(given, Sequence | frozenset | set):
        raise WrongFact(f"labels of a fact are several texts, not {type(given).__name__}")
    labels = tuple(given) if isinstance(given, Sequence) else tuple(sorted(given))
    for label in labels:
        if not isinstance(label, str) or not label:
            raise WrongFact("labels of a fact are texts, and none of them is empty")
        _storable(label, "a label of a fact")
        if (meant := _MEANT.fullmatch(label)) is not None and _SAYS.fullmatch(label) is None:
            raise WrongFact(f"the label {label!r:.80} would say nothing: write '{meant[1].lower()}: …'")
    return labels


def _plain(given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise WrongFact(f"metadata of a fact are a mapping by name, not {type(given).__name__}")
    try:
        text = json.dumps(dict(given), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongFact(f"metadata of a fact are plain data, as JSON knows it: {error}") from None
    _storable(text, "metadata of a fact")
    if _NULL.search(text) is not None:
        raise WrongFact("metadata of a fact have a null character, which no store keeps")
    kept: dict[str, Any] = json.loads(text)
    return kept
