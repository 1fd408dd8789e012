"""Events as JSON: what is written comes back as what it was, or is refused when it is written."""

from __future__ import annotations

import datetime
import enum
import json
import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, computed_field

from callboard.actors.journal import Encoded, JsonCodec


class Currency(enum.Enum):
    EURO = "EUR"
    POINTS = ("points", 1)


class Money(NamedTuple):
    cents: int
    currency: str = "EUR"


@dataclass(frozen=True)
class Deposited:
    amount: Money
    note: str = ""
    tags: frozenset[str] = frozenset()
    parts: tuple[Money, ...] = ()
    by_year: dict[int, float] = field(default_factory=dict)
    of: Currency = Currency.EURO
    reference: int | str | None = None


class Opened(BaseModel):
    model_config = ConfigDict(extra="forbid")

    owner: str = Field(alias="ownerName")
    at: datetime.datetime | None = None
    limit: Decimal = Decimal("0.10")
    id: UUID = UUID(int=0)
    pair: tuple[int, str] = (0, "")
    seen: set[int] = Field(default_factory=set)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def greeting(self) -> str:
        return f"hello {self.owner}"


CODEC = JsonCodec(Currency, Money, Deposited, Opened)

# A high and a low surrogate side by side are one character in JSON: only high ones are drawn, which make no pair.
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\ud800\udbff"), max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
money = st.builds(Money, st.integers(), texts)
deposited = st.builds(
    Deposited,
    amount=money,
    note=texts,
    tags=st.frozensets(texts, max_size=3),
    parts=st.lists(money, max_size=3).map(tuple),
    by_year=st.dictionaries(st.integers(), floats, max_size=3),
    of=st.just(Currency.EURO),
    reference=st.none() | st.integers() | texts,
)
opened = st.builds(
    lambda **fields: Opened(ownerName=fields.pop("owner"), **fields),
    owner=texts,
    at=st.none() | st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    limit=st.decimals(allow_nan=False, allow_infinity=False),
    id=st.uuids(),
    pair=st.tuples(st.integers(), texts),
    seen=st.sets(st.integers(), max_size=3),
)


def back(codec: JsonCodec, event: Any) -> Any:
    kept = codec.encode(event)
    kept.data.encode()  # a store takes text only that is valid in UTF-8
    return codec.decode(kept.type, kept.schema, kept.data)


@given(plain | money | deposited | opened | st.sampled_from(Currency))
def test_an_event_comes_back_as_what_it_was(event: Any) -> None:
    again = back(CODEC, event)
    assert again == event
    assert type(again) is type(event)
    assert repr(again) == repr(event) or isinstance(event, Deposited | Opened)  # a set's order is its own affair


@given(deposited)
def test_what_is_inside_comes_back_as_its_annotations_say(event: Deposited) -> None:
    again = back(CODEC, event)
    assert type(again.amount) is Money
    assert type(again.tags) is frozenset
    assert type(again.parts) is tuple
    assert all(type(part) is Money for part in again.parts)
    assert again.of is event.of
    assert type(again.reference) is type(event.reference)


def test_what_is_kept_can_be_asked_for_by_name() -> None:
    kept = CODEC.encode(Deposited(Money(5), reference="x"))
    assert (kept.type, kept.schema, kept.metadata) == ("Deposited", 1, "{}")
    assert json.loads(kept.data)["reference"] == "x"
    assert CODEC.encode(Money(5, "USD")) == Encoded("Money", 1, '{"cents":5,"currency":"USD"}')
    assert CODEC.encode(Currency.POINTS) == Encoded("Currency", 1, '"POINTS"')
    assert CODEC.encode({"a": [1]}) == Encoded("json", 1, '{"a":[1]}')


def test_fields_that_are_added_with_a_default_are_filled_in() -> None:
    assert CODEC.decode("Money", 1, '{"cents": 3}') == Money(3, "EUR")
    assert CODEC.decode("Deposited", 1, '{"amount": [3, "USD"]}') == Deposited(Money(3, "USD"))


@dataclass
class Anything:
    value: Any


@dataclass
class Unnamed:
    number: int = 0


class Bits(enum.Flag):
    A = 1
    B = 2


cyclic: list[Any] = []
cyclic.append({"again": cyclic})
deep: list[Any] = []
for _ in range(100_000):
    deep = [deep]


@pytest.mark.parametrize(
    "event",
    [
        Unnamed(),
        Deposited(Money(5), note=5),  # type: ignore[arg-type]
        Deposited(Money(5), by_year={1: math.inf}),
        Bits.A | Bits.B,
        math.nan,
        [(1, 2)],
        {"a": {1: 2}},
        {1, 2},
        b"bytes",
        [Money(5)],
        cyclic,
        Anything(cyclic),
        deep,
        Anything(deep),
        Anything(object()),
        Anything(b"\xff"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_would_not_come_back_is_refused(event: Any) -> None:
    with pytest.raises((TypeError, ValueError, RecursionError)):
        JsonCodec(Money, Deposited, Anything, Bits).encode(event)


def test_what_is_nested_as_deep_as_allowed_can_be_read_with_much_on_the_stack() -> None:
    event: Any = 1
    for _ in range(250):
        event = [event]
    kept = CODEC.encode(event)

    def read(frames: int) -> Any:
        return read(frames - 1) if frames else CODEC.decode(*kept[:3])

    assert read(300) == event
    with pytest.raises(ValueError, match="levels deep"):
        CODEC.encode([event])


@pytest.mark.parametrize(
    ("type_", "schema", "data"),
    [
        ("Unnamed", 1, "{}"),
        ("Money", 2, '{"cents": 1}'),
        ("Money", 0, '{"cents": 1}'),
        ("Money", 1, '{"cents": "many"}'),
        ("Money", 1, "{"),
        ("Currency", 1, '"FRANC"'),
        ("json", 1, "[" * 100_000 + "]" * 100_000),
    ],
)
def test_what_cannot_be_read_is_refused_and_harms_nothing_else(type_: str, schema: int, data: str) -> None:
    with pytest.raises((LookupError, ValueError, RecursionError)):
        CODEC.decode(type_, schema, data)
    assert CODEC.decode("Money", 1, '{"cents": 1}') == Money(1)


# -- older forms ------------------------------------------------------------------------------------------------------


@given(st.integers(min_value=1, max_value=6), st.integers(min_value=1, max_value=6), st.integers())
def test_an_older_form_goes_through_every_upcaster_from_its_own_on_in_order(
    kept: int, newest: int, number: int
) -> None:
    steps = {
        ("Anything", schema): lambda data, schema=schema: {"value": [*data["value"], schema]}
        for schema in range(1, newest)
    }
    codec = JsonCodec(Anything, schemas={Anything: newest}, upcasters=steps)
    data = json.dumps({"value": [number]})
    if kept > newest:
        with pytest.raises(ValueError, match="not known here"):
            codec.decode("Anything", kept, data)
        return
    assert codec.decode("Anything", kept, data) == Anything([number, *range(kept, newest)])
    assert back(codec, Anything([number])) == Anything([number])
    assert codec.encode(Anything(number)).schema == newest


def test_a_field_can_be_renamed() -> None:
    codec = JsonCodec(
        Money,
        schemas={Money: 2},
        upcasters={("Money", 1): lambda data: {"cents": round(data["euros"] * 100)}},
    )
    assert codec.decode("Money", 1, '{"euros": 1.5}') == Money(150)


def test_settings_that_make_no_sense_are_refused() -> None:
    class json(NamedTuple):  # noqa: N801
        x: int

    for wrong in ("Money", Money(1), Money | Deposited, [Money]):
        with pytest.raises(ValueError, match=r"JsonCodec is given .*Money.* which is no class of events"):
            JsonCodec(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a schema is given for 'Money', which is none of these classes"):
        JsonCodec(Money, schemas={"Money": 2})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="two kinds of events are named Money"):
        JsonCodec(Money, type("Money", (), {}))
    with pytest.raises(ValueError, match="two kinds of events are named json"):
        JsonCodec(json)
    with pytest.raises(ValueError, match="there is no upcaster for Money of schema 1"):
        JsonCodec(Money, schemas={Money: 2})
    with pytest.raises(ValueError, match="for no older schema"):
        JsonCodec(Money, upcasters={("Money", 1): dict})
    with pytest.raises(ValueError, match="none of these classes"):
        JsonCodec(Money, schemas={Deposited: 2})
    with pytest.raises(ValueError, match="counted from 1"):
        JsonCodec(Money, schemas={Money: 0})
