"""Events as JSON and back: every class, whatever is in it."""

from __future__ import annotations

import json
import re
import sys
import typing
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from types import MappingProxyType, UnionType
from typing import Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from callboard.actors.agents import errors
from callboard.actors.agents.answer import Answer, HandoffRecord, ReasoningStep, Step, StepCall, Steps, kept
from callboard.actors.agents.caller import Caller
from callboard.actors.agents.handoffs.handoff import Handoff
from callboard.actors.agents.turns.encoding.codec import SCHEMA, RunCodec
from callboard.actors.agents.turns.loop.trail import NO_TRAIL, steps_of
from callboard.actors.agents.turns.records import EVENTS, Accepted, Ended, GiveUp, RunRequest, Snapshot, ToolsStarted
from callboard.actors.agents.turns.rules import Limits
from callboard.actors.agents.turns.shape import Shape
from callboard.actors.agents.turns.steps import (
    Begin,
    Completed,
    CompletionFailed,
    HandoffReturned,
    Interrupted,
    ToolReturned,
)
from callboard.providers.messages import (
    Audio,
    Completion,
    File,
    Image,
    Message,
    RateLimits,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)

from .support import described, request, said, through_the_codec

CODEC = RunCodec()
ERRORS = [
    made for made in vars(errors).values() if isinstance(made, type) and issubclass(made, errors.AgentError)
]  # every class there is, also those to come


# -- every class, whatever is in it ----------------------------------------------------------------------------------


def healed(text: str) -> str:
    """Two halves of an emoji in succession as the one character they are in JSON."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


TEXTS = (st.text(st.characters(exclude_categories=()), max_size=4) | st.sampled_from(["\0", "\ud83d", "ok"])).map(
    healed
)
NUMBERS = st.floats(allow_nan=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


MADE: dict[Any, st.SearchStrategy[Any]] = {}


def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type; made once, which takes Hypothesis longer than to draw one."""
    if kind not in MADE:
        MADE[kind] = made_for(kind)
    return MADE[kind]


def made_for(kind: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    simple = {Any: PLAIN, str: TEXTS, int: st.integers(), float: NUMBERS, bool: st.booleans(), type(None): st.none()}
    if kind in simple:
        return simple[kind]
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, UnionType):
        return st.one_of([anything(option) for option in arguments])
    if isinstance(kind, typing.TypeVar):
        return PLAIN
    if origin is Sequence or (origin is tuple and arguments[-1] is Ellipsis):
        return st.lists(anything(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(anything, arguments))
    if origin is frozenset:
        return st.frozensets(anything(arguments[0]), max_size=2)
    if origin is Mapping:
        return st.dictionaries(TEXTS, anything(arguments[1]), max_size=2)
    if issubclass(kind, BaseException):
        base = errors.AgentError if kind is Exception else kind
        return st.builds(
            lambda made, text: made(text), st.sampled_from([m for m in ERRORS if issubclass(m, base)]), TEXTS
        )
    hints = typing.get_type_hints(kind)
    return st.deferred(lambda: st.builds(kind, **{name: anything(hints[name]) for name in names_of(kind)}))


def names_of(kind: Any) -> tuple[str, ...]:
    """The fields of a class."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else kind._fields


BESIDE = ("limits", "extra")
"""What a completion carries that no journal keeps."""


def comparable(value: Any) -> Any:
    """Everything that counts in a value, classes included."""
    if isinstance(value, BaseException):
        return described(value)
    if is_dataclass(value):
        return type(value), [comparable(getattr(value, f.name)) for f in fields(value) if f.name not in BESIDE]
    if isinstance(value, tuple | list):
        return type(value), [comparable(item) for item in value]
    if isinstance(value, Mapping):
        return {key: comparable(item) for key, item in value.items()}
    return type(value), value


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_an_event_of_any_class_comes_back_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    event = data.draw(anything(kind))
    encoded = CODEC.encode(event)
    assert (encoded.type, encoded.schema, encoded.metadata) == (kind.__name__, SCHEMA, "{}")
    encoded.data.encode()  # a store takes it

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    plain = json.loads(encoded.data, parse_constant=refuse)
    assert isinstance(plain, dict)
    assert plain.keys() <= set(names_of(kind)), "plain SQL finds a field by its name"
    read = CODEC.decode(encoded.type, encoded.schema, encoded.data)
    assert comparable(read) == comparable(event)
    assert CODEC.encode(read) == encoded


@pytest.mark.parametrize("made", ERRORS, ids=lambda made: made.__name__)
def test_an_error_comes_back_as_its_class_with_its_text(made: type[errors.AgentError]) -> None:
    error = made("what went wrong \ud800")
    read = through_the_codec(Ended("r", error=error))
    assert type(read.error) is made
    assert str(read.error) == str(error)


def test_an_error_of_somebodys_own_comes_back_as_the_nearest_that_is_known() -> None:
    class TooRude(errors.GuardrailTripped):
        pass

    class StepLimit(errors.AgentError):  # not the one of that name
        pass

    assert described(through_the_codec(Interrupted(TooRude("no"))).error) == ("GuardrailTripped", "no")
    assert described(through_the_codec(Ended("r", error=StepLimit("x"))).error) == ("AgentError", "x")
    failed = through_the_codec(CompletionFailed(ZeroDivisionError("by nought")))
    assert described(failed.error) == ("RunFailed", "ZeroDivisionError: by nought")


def test_parts_of_each_kind_are_told_apart() -> None:
    parts = (
        *(Text("see"), Image("https://x/y.png"), Image("data:image/png;base64,AA==", "low"), Text("")),
        *(File("data:application/pdf;base64,AA==", "a.pdf", cache="1h"), Audio("data:audio/wav;base64,AA==", "hi")),
    )
    read = through_the_codec(Begin((Message("user", parts), Message("user", ()), Message("user", "see"))))
    assert [message.content for message in read.messages] == [parts, (), "see"]


def test_what_providers_say_beside_the_message_is_left_out() -> None:
    beside: Any = {"limits": RateLimits(9), "extra": {"service_tier": "default"}}
    completed = said("hi")._replace(completion=Completion(Message("assistant", "hi"), "stop", **beside))
    bare = said("hi")._replace(completion=Completion(Message("assistant", "hi"), "stop"))
    assert CODEC.encode(completed) == CODEC.encode(bare)
    read = through_the_codec(completed).completion
    assert (read.limits, read.extra) == (None, {})


def test_a_snapshot_and_all_in_it_comes_back() -> None:
    answer = Answer(
        "x", usage=Usage(1), tool_calls=(ToolCall("1", "x", "{}"),), reasoning=(ReasoningStep("A", 1, "so"),)
    )
    snapshot = Snapshot(
        (Message("user", "x"),), ("B", "d"), Ended("r", answer, errors.StepLimit("x"), value={"a": [1]})
    )
    assert comparable(through_the_codec(snapshot)) == comparable(snapshot)


def test_text_comes_back_whatever_is_in_it() -> None:
    odd = '\0 \x7f \u2028 " \\ \ud83d \udc80 😀 é 汉'
    assert through_the_codec(ToolReturned(odd, odd)) == ToolReturned(odd, odd)
    halves = through_the_codec(ToolReturned("k", "\ud83d\ude00"))
    assert halves.content == "😀"
    both = CODEC.encode(ToolReturned("k", "😀 \ud83d")).data
    assert "😀" in both, "only what has to be is escaped"


# -- what may be in a field that takes anything ----------------------------------------------------------------------


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Odd(Enum):
    PAIR = ("a", 1)
    NOTHING = None


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclass
class Box:
    content: Any
    colour: Colour = Colour.RED


class Model(BaseModel):
    at: datetime
    level: Level = Level.HIGH


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Odd.PAIR, ["a", 1]),
        (Odd.NOTHING, None),
        (Point(1, Point(2)), [1, [2, None]]),
        (Box([Box(None)]), {"content": [{"content": None, "colour": "red"}], "colour": "red"}),
        (Model(at=AT), {"at": "2026-01-02T00:00:00Z", "level": 3}),
        (Word("word"), "word"),
        ((1, (2, ())), [1, [2, []]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (
            {1: "a", "1": "b", None: "c", Colour.RED: "d", Word("w"): "e"},
            {"1": "b", "None": "c", "red": "d", "w": "e"},
        ),
        (b"text", "text"),
        (AT, "2026-01-02T00:00:00Z"),
        (AT.date(), "2026-01-02"),
        (timedelta(hours=1), "PT1H"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (PurePosixPath("/x"), "/x"),
        (deque([1, AT.date()]), [1, "2026-01-02"]),
        (re.compile("a+"), "a+"),
        ({AT.date(): 1}, {"2026-01-02": 1}),
        (ValueError("x"), {"error": "RunFailed", "text": "ValueError: x"}),
        (errors.StepLimit("x"), {"error": "StepLimit", "text": "x"}),
        (Message("user", "hi"), {"role": "user", "content": "hi"}),
        ([float("inf"), float("-inf"), float("nan")], ["inf", "-inf", "nan"]),
        ([0.1, 1e300, -0.0, 5e-324, 10**30], [0.1, 1e300, -0.0, 5e-324, 10**30]),
        ({"limits": {"error": "x"}, "kind": "Text"}, {"limits": {"error": "x"}, "kind": "Text"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_in_a_field_for_anything_a_value_becomes_what_json_knows(value: Any, kept: Any) -> None:
    read = through_the_codec(Ended("r", value=value))
    assert comparable(read.value) == comparable(kept)
    assert comparable(through_the_codec(Accepted(request("r", metadata={"it": value}))).run.metadata) == comparable(
        {"it": kept}
    )


def test_enumerations_in_fields_for_text_become_their_text() -> None:
    read = through_the_codec(Ended(Colour.RED, Answer(Colour.RED, notes=(Colour.RED,)), owner=(Colour.RED, "c")))
    assert comparable(read) == comparable(Ended("red", Answer("red", notes=("red",)), owner=("red", "c")))


def test_limits_without_end_come_back() -> None:
    limits = Limits(None, None, float("inf"), float("inf"))
    assert through_the_codec(Accepted(request("r", limits=limits))).run.limits == limits


def nested(depth: int) -> Any:
    value: Any = "the bottom"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


def test_what_is_nested_comes_back() -> None:
    assert through_the_codec(Ended("r", value=nested(100))).value == nested(100)


def endless() -> list[Any]:
    loop: list[Any] = [{}]
    loop[0]["self"] = loop
    box = Box(None)
    box.content = (box,)
    return [nested(100_000), loop, box]


@pytest.mark.parametrize("value", endless(), ids=["deep", "in itself", "a dataclass in itself"])
def test_what_is_nested_too_deeply_or_in_itself_is_refused(value: Any) -> None:
    for event in (Ended("r", value=value), Accepted(request("r", metadata={"it": value}))):
        with pytest.raises(RecursionError):
            CODEC.encode(event)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (len, "metadata['it'] is a builtin_function_or_method; a journal keeps plain data"),
        (lambda: 0, "metadata['it'] is a function; a journal keeps plain data"),
        (object(), "metadata['it'] is an object; a journal keeps plain data"),
        (Box, "metadata['it'] is the class Box; a journal keeps plain data"),
        (Model, "metadata['it'] is the class Model; a journal keeps plain data"),
        (b"\xff", "metadata['it'] is bytes that are not UTF-8; a journal keeps plain data"),
        (iter([1]), "metadata['it'] is a list_iterator; a journal keeps plain data"),
        ((number for number in [1]), "metadata['it'] is a generator; a journal keeps plain data"),
        ([1, {"a": object()}], "metadata['it'][1]['a'] is an object; a journal keeps plain data"),
        (Box([len]), "metadata['it'].content[0] is a builtin_function_or_method; a journal keeps plain data"),
        ({len}, "metadata['it']{…} is a builtin_function_or_method; a journal keeps plain data"),
        ({object(): 1}, "something in it is an object; a journal keeps plain data"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_data_is_refused_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(TypeError) as raised:
        CODEC.encode(Accepted(request("r", metadata={"fine": 1, "it": value})))
    assert str(raised.value) == said
    with pytest.raises(TypeError, match="a journal keeps plain data"):
        CODEC.encode(Ended("r", value=value))


def test_an_iterator_that_is_refused_is_not_used_up() -> None:
    numbers = iter([1, 2])
    with pytest.raises(TypeError):
        CODEC.encode(Ended("r", value=numbers))
    assert list(numbers) == [1, 2]


def test_a_number_of_too_many_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="4300 digits"):
        CODEC.encode(Ended("r", value=10**5000))


def test_a_plain_dictionary_comes_back_as_it_is() -> None:
    event = {"at": 1.5, "spent": {"user:ada": 0.25, "odd \ud800": 1}}
    assert CODEC.decode(*CODEC.encode(event)[:3]) == event
    with pytest.raises(ValueError, match="JSON compliant"):
        CODEC.encode({"at": float("nan")})


@pytest.mark.parametrize("event", [None, [], Message("user", "x"), request("r"), object()])
def test_what_is_no_event_is_refused(event: Any) -> None:
    with pytest.raises(KeyError):
        CODEC.encode(event)


# -- other versions --------------------------------------------------------------------------------------------------


def test_fields_of_a_later_version_are_passed_over() -> None:
    data = '{"run":"r","mood":"good","error":{"error":"StepLimit","text":"x","code":7},"answer":{"text":"a","mood":[]}}'
    read = CODEC.decode("Ended", SCHEMA, data)
    assert comparable(read) == comparable(Ended("r", Answer("a"), errors.StepLimit("x")))


def test_fields_that_are_not_there_have_their_defaults() -> None:
    assert CODEC.decode("Ended", 1, '{"run":"r"}') == Ended("r")
    assert CODEC.decode("GiveUp", 1, "{}") == GiveUp()


@pytest.mark.parametrize(
    ("blocks", "origin", "kept"),
    [
        (
            [{"type": "thinking", "thinking": "hm", "signature": "s"}],
            "anthropic",
            {"blocks": [["block", {"type": "thinking", "thinking": "hm", "signature": "s"}], ["text", 2, {}]]},
        ),
        (
            [{"type": "reasoning", "id": "rs_1", "summary": []}],
            "openai.responses",
            {
                "items": [
                    ["item", {"type": "reasoning", "id": "rs_1", "summary": []}],
                    ["message", {}, [["text", 2, {}]]],
                ]
            },
        ),
    ],
)
def test_reasoning_of_form_1_says_whose_it_is(blocks: list[Any], origin: str, kept: dict[str, Any]) -> None:
    former = {"role": "assistant", "content": "so", "reasoning": "hm", "reasoning_state": json.dumps(blocks)}
    data = json.dumps({"messages": [former, {"role": "user", "content": "x"}]})
    first, second = CODEC.decode("Begin", 1, data).messages
    assert (first.text, first.reasoning, second) == ("so", "hm", Message("user", "x"))
    assert first.state is not None
    assert (first.state.origin, json.loads(first.state.content)) == (origin, kept)


def test_what_users_put_into_a_run_of_form_1_is_not_touched() -> None:
    theirs = {"role": "x", "reasoning_state": "[]"}
    run = {"id": "r", "root": "r", "agent": "A", "conversation": "c", "messages": [], "chain": ["A"]}
    read = CODEC.decode("Accepted", 1, json.dumps({"run": {**run, "values": {"mine": theirs}}}))
    assert read.run.metadata == {"mine": theirs}


def test_what_a_callers_tool_of_form_1_calls_its_arguments_is_not_touched() -> None:
    schema = {"type": "object", "properties": {"reasoning_state": {"type": "string"}}}
    run = {"id": "r", "root": "r", "agent": "A", "conversation": "c", "messages": [], "chain": ["A"]}
    given = {**run, "external": [{"name": "f", "description": "", "parameters": schema}]}
    read = CODEC.decode("Accepted", 1, json.dumps({"run": given})).run
    assert read.external[0].parameters == schema


def test_what_was_passed_along_as_values_is_the_metadata_of_a_run_of_form_2() -> None:
    run = {"id": "r", "root": "r", "agent": "A", "conversation": "c", "messages": [], "chain": ["A"]}
    schema = {"type": "object", "properties": {"values": {"type": "array"}}}
    given = {
        **run,
        "values": {"values": {"values": 1}},
        "external": [{"name": "f", "description": "", "parameters": schema}],
    }
    read = CODEC.decode("Accepted", 2, json.dumps({"run": given})).run
    assert read.metadata == {"values": {"values": 1}}, "what is within is the caller's own"
    assert read.external[0].parameters == schema
    assert CODEC.decode("Accepted", 2, json.dumps({"run": run})).run.metadata == {}


def test_a_later_form_is_refused() -> None:
    with pytest.raises(ValueError, match=f"Ended was written in form {SCHEMA + 1}; this version reads up to {SCHEMA}"):
        CODEC.decode("Ended", SCHEMA + 1, '{"run":"r"}')


@pytest.mark.parametrize(
    ("type", "data", "error"),
    [
        ("Message", '{"role":"user"}', LookupError),
        ("Nonsense", "{}", LookupError),
        ("Ended", '{"run":"r","error":{"error":"SystemExit","text":"x"}}', LookupError),
        ("Begin", '{"messages":[{"role":"user","content":[{"kind":"Limits"}]}]}', LookupError),
        ("Ended", "{", ValueError),
        ("Ended", "", ValueError),
        ("Ended", "{}", TypeError),
        ("Ended", "[" * 100_000, RecursionError),
        ("Ended", '{"run":"r","owner":["B","c","d"]}', ValueError),
        ("Accepted", '{"run":{"caller":{"scopes":[7]}}}', ValueError),
    ],
)
def test_what_no_codec_has_written_is_refused(type: str, data: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        CODEC.decode(type, 1, data)


TAMPERED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["StepLimit", "Text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted({name for kind in (*EVENTS, RunRequest, Answer, Message) for name in names_of(kind)})
            ),
            inner,
            max_size=4,
        )
        | st.fixed_dictionaries(
            {}, optional={"run": inner, "messages": inner, "error": inner, "text": inner, "kind": inner}
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(EVENTS), TAMPERED)
def test_whatever_is_in_a_journal_only_events_come_out_of_it(kind: type[Any], plain: Any) -> None:
    try:
        read = CODEC.decode(kind.__name__, 1, json.dumps(plain))
    except Exception:
        return  # named EventNotReadable by the journal
    assert type(read) is kind


FORM = """
Accepted run
Answer text agent='' conversation='' run='' messages=() usage=Usage() cost=0.0 steps=() handoffs=() seconds=0.0 tool_calls=() value=None reasoning=() notes=() error=None
ApprovalAsked call_id approval expires_at=None approvers=frozenset() owner=None why='' schema='' asked_at=0.0
Audio url transcript=''
Begin messages
Caller user='' tenant='' scopes=frozenset() key=''
Cancel conversation run reason='cancelled by the caller' rollback=False given_up=False
Completed completion problem='' broken=None used=0.0 handoffs=() confidence=None offered=None
Completion message finish_reason usage=Usage() model='' provider='' request_id='' latency=0.0 cost=None notes=() limits=None extra
CompletionFailed error usage=Usage() cost=0.0
Condensed shape usage=Usage() cost=0.0 model='' provider='' used=0.0 notes=()
CredentialGiven name caller
Decided call_id approved arguments=None reason=''
Decision conversation approval approved arguments=None reason='' limits=None
Ended run answer=None error=None owner=None seconds=0.0 agent='' value=None
File url name='' cache=False
GiveUp
Handoff sender target task context='' summary='' input=None kind='delegate'
HandoffRecord sender target kind task failed=''
HandoffReturned call_id content is_error=False final=False fatal=None usage=Usage() cost=0.0 steps=0 handoffs=() used=0.0 owner=None agent='' within=() notes=() labels=None
Image url detail='auto' cache=False
InnerCalled call_id name arguments began_at=0.0
InnerDecided call_id approved arguments=None reason=''
InnerReturned call_id content is_error=False form='text' asked=0 used=0.0 value='' labels=None
Interrupted error usage=Usage() cost=0.0 handoffs=() rollback=False
Message role content='' tool_calls=() tool_call_id=None name=None is_error=False reasoning='' cache=False state=None labels=None
NotSteered id owner=None
PromptChanged state={} effects={} initial={}
Raised limits
ReasoningStep agent step text
Resumed used=0.0
Rewound messages
RunRequest id root agent conversation messages chain tasks=() caller=Caller() metadata={} limits=None stream=False external=() handoff=None once=False fleeting=False parent='' within='' keyed=False output=None when_busy='queue' asked_at=0.0 background=False labels=None trace=''
Shape left_out=() dropped=() excerpts=() summary=''
Snapshot history owner=None last=None steps=() caller=Caller() prompt=() shapes=()
Spent call_id amount reason='' metadata={} usage=Usage() handoffs=() within=() notes=()
Steer conversation messages id=''
Steered messages id=''
Step number run agent message calls=() usage=Usage() cost=None model='' provider='' seconds=0.0 at=0.0 notes=() confidence=None problem=''
StepCall call result=None approved=None approval='' handoff=None usage=Usage() cost=0.0 seconds=0.0 steps=()
Stopped by=''
Text text cache=False
ToolCall id name arguments
ToolReturned call_id content is_error=False used=0.0 labels=None
ToolSpec name description parameters strict=False cache=False
ToolsStarted call_ids
Usage input_tokens=0 output_tokens=0 cache_read_tokens=0 cache_write_tokens=0 reasoning_tokens=0
VendorState origin content
"""  # noqa: E501
"""Form 3. A field may be added, with a default. One that is renamed or goes, or has another default or another meaning,
makes a new form: what was written before has to be made to fit it."""


def test_what_is_written_has_the_form_that_its_number_says() -> None:
    values = (
        *(Answer, Caller, Completion, Handoff, HandoffRecord, Message, ReasoningStep, RunRequest, Step, StepCall),
        Shape,
        VendorState,
    )
    lines = []
    kinds: tuple[Any, ...] = (*EVENTS, *values, Audio, File, Image, Text, ToolCall, ToolSpec, Usage)
    for kind in kinds:
        if is_dataclass(kind):
            known: dict[str, Any] = {field.name: field.default for field in fields(kind)}
        else:
            known = {name: kind._field_defaults.get(name, MISSING) for name in kind._fields}
        lines.append(" ".join([kind.__name__, *(_shown(name, default) for name, default in known.items())]))
    assert (SCHEMA, sorted(lines)) == (3, FORM.strip().splitlines())


def _shown(name: str, default: Any) -> str:
    if default is MISSING:
        return name
    if default == Usage() or default == Caller():
        return f"{name}={type(default).__name__}()"
    return f"{name}={dict(default) if isinstance(default, Mapping) else default!r}"


def test_what_a_run_may_use_is_written_in_full() -> None:
    assert json.loads(CODEC.encode(Accepted(request("r", limits=Limits()))).data)["run"]["limits"] == {
        "steps": 25,
        "tokens": None,
        "cost": None,
        "seconds": 600.0,
        "ask": False,
        "repeats": 10,
    }


def written_along_a_chain(hops: int) -> tuple[list[str], int]:
    """What is written of each that has answered in a chain of handoffs, the last one first, and in how many calls."""
    codec, texts, calls, trail = RunCodec(), [], 0, NO_TRAIL.plus(said("done"))

    def count(frame: Any, event: str, function: Any) -> None:
        nonlocal calls
        calls += event == "call"

    for hop in range(hops, 0, -1):
        steps = Steps(1, steps_of, f"A{hop}", f"r{hop}", trail)
        returned = HandoffReturned("h", "done", steps=1, agent=f"A{hop}", within=kept(steps))
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            texts.append(codec.encode(returned).data)
        finally:
            sys.setprofile(before)
        trail = NO_TRAIL.plus(said("", ToolCall("h", f"ask_A{hop}", "{}")), returned)
    return texts, calls


def test_each_hop_of_a_chain_writes_what_is_below_it_without_making_its_text_anew() -> None:
    texts, calls = written_along_a_chain(10)
    event = RunCodec().decode("HandoffReturned", SCHEMA, texts[-1])
    agents = []
    while event:
        (step,) = event.within if isinstance(event, HandoffReturned) else event
        agents.append(step.agent)
        event = step.calls[0].steps if step.calls else ()
    assert agents == [f"A{hop}" for hop in range(1, 11)]
    assert RunCodec().encode(RunCodec().decode("HandoffReturned", SCHEMA, texts[-1])).data == texts[-1]
    assert written_along_a_chain(20)[1] < 2.5 * calls


def test_a_typical_turn_is_short_and_readable() -> None:
    run = RunRequest("r", "r", "A", "c", (Message("user", "hi"),), ("A",))
    spoken = Completed(Completion(Message("assistant", "hello"), "stop", Usage(3, 2), "m", cost=0.5), used=1.5)
    assert [
        CODEC.encode(event).data for event in (Accepted(run), spoken, Ended("r", seconds=2.0), ToolsStarted(("k",)))
    ] == [
        '{"run":{"id":"r","root":"r","agent":"A","conversation":"c","messages":[{"role":"user","content":"hi"}],"chain":["A"]}}',
        '{"completion":{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop",'
        '"usage":{"input_tokens":3,"output_tokens":2},"model":"m","cost":0.5},"used":1.5}',
        '{"run":"r","seconds":2.0}',
        '{"call_ids":["k"]}',
    ]
