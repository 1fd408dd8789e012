"""What a stream shows is what of the whole may be shown, however it comes in pieces, and no later than must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import (
    Agency,
    Agent,
    CompletionStarted,
    Delta,
    Finding,
    Guardrail,
    GuardrailFound,
    Hook,
    HookContext,
    PatternCheck,
    RunEvent,
    as_chunks,
    card_numbers,
    email_addresses,
    guardrail,
    high_entropy_strings,
    ibans,
    links,
    phone_numbers,
    text_length,
    vendor_keys,
)
from callboard.actors import Actor, ChildSpec
from callboard.actors.agents.errors import GuardrailTripped
from callboard.actors.agents.events import PartialAnswer, ReasoningDelta, Retried, TextDelta
from callboard.actors.agents.guardrails.findings import Check, replaced, spans
from callboard.actors.agents.guardrails.judging import TextJudge, found_in
from callboard.providers.errors import StreamCut
from callboard.providers.messages import Completion, Message, Request, Usage

CHECKS: list[Check] = [
    card_numbers(),
    ibans(),
    email_addresses(),
    phone_numbers("DE"),
    high_entropy_strings(),
    *vendor_keys(),
    PatternCheck("code name", r"\bblue-[0-9]{2}\b", longest=7),
]
BAD = [
    *("4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "DE89 3704 0044 0532 0130 00"),
    *("GB82WEST12345698765432", "ann@example.com", "b.o_b+x@mail.example.co.uk", "+49 30 901820", "(030) 901820"),
    *("ghp_" + "a1B2" * 9, "AKIAIOSFODNN7EXAMPLE", "sk-ant-api03-" + "aB3_" * 12, "x7Kp9QzL2mNv8RtY4wBc"),
    *("postgres://ann:pass@db/x", "blue-42", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"),
]
GOOD = ["Hello", "the year 2024", "12", "4111 1111", "a@", "-----", "😀", "👩‍👩‍👧", "é", "日本語", "blue-", "DE89"]
GOOD += ["+49", "\n", ". ", "\\", "\\n", "\\t", "\\u0020", "\\u00"]
TEXTS = st.lists(st.sampled_from([*BAD, *GOOD, " ", " ", "-", "1", "x"]), max_size=12).map("".join)


@st.composite
def pieces(draw: Any) -> list[str]:
    """A text in pieces: one character at a time, as a whole, or cut anywhere, also within an emoji."""
    text = draw(TEXTS)
    way = draw(st.sampled_from(["characters", "whole", "anywhere"]))
    if way == "characters":
        return list(text)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8))) if way == "anywhere" else []
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


async def shown_of(judge: TextJudge, given: Sequence[str]) -> str:
    out = [await judge.take(piece) for piece in given]
    return "".join(out) + await judge.take("", last=True)


async def redacted(text: str) -> str:
    return await shown_of(TextJudge(CHECKS), [text])


LINKS = links(allow=["example.com"])
LINKED = [
    "https:",
    "http",
    "&#58;",
    "&colon;",
    "//",
    "/",
    "\\",
    "@",
    ".",
    "evil.test",
    "example.com",
    "(",
    "]:",
    " ",
    "\n",
    "<",
    "a",
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(LINKED), max_size=10), st.data())
def test_links_are_found_however_they_come_in_pieces(given: list[str], data: Any) -> None:
    text = "".join(given)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert asyncio.run(shown_of(TextJudge([LINKS]), pieces)) == asyncio.run(shown_of(TextJudge([LINKS]), [text]))


@settings(max_examples=200)
@given(pieces())
def test_what_is_shown_of_a_stream_is_what_is_left_of_the_whole(given: list[str]) -> None:
    async def check() -> None:
        text = "".join(given)
        found = [one for check in CHECKS for one in await found_in(check, text)]
        covered = {place for one in found for place in range(one.start, one.end)}
        shown = await shown_of(TextJudge(CHECKS), given)
        assert shown == await redacted(text)
        left = "".join(one for place, one in enumerate(text) if place not in covered)
        for one in found:
            shown = shown.replace(f"[{one.kind}]", "")
        assert shown == left

    asyncio.run(check())


class Refused(Exception):
    pass


@settings(max_examples=150)
@given(pieces())
def test_nothing_of_what_is_refused_is_shown_nor_anything_behind_it(given: list[str]) -> None:
    def refuse(found: list[Finding]) -> None:
        raise Refused

    async def check() -> None:
        text, shown, judge = "".join(given), "", TextJudge(CHECKS, refuse)
        found = [one for check in CHECKS for one in await found_in(check, text)]
        try:
            for piece in given:
                shown += await judge.take(piece)
            shown += await judge.take("", last=True)
        except Refused:
            assert found
        else:
            assert not found
            assert shown == text
        assert text.startswith(shown)
        assert all(len(shown) <= one.start for one in found)

    asyncio.run(check())


def unsure(text: str) -> list[Finding]:
    """A plain function whose findings name nothing beside surer ones, unless those begin behind a cut."""
    return [Finding(place, place + 3, "x", score=0.5) for place in range(len(text) - 2) if text[place] == "x"]


@settings(max_examples=300)
@given(pieces(), st.integers(1, 60), st.integers(0, 20), st.sampled_from([[], [text_length(20)], [unsure]]))
def test_a_cut_hides_what_stands_behind_it_however_the_text_comes(
    given: list[str], most: int, least: int, others: list[Check]
) -> None:
    async def check() -> None:
        text = "".join(given)
        checks: list[Check] = [*CHECKS, *others, text_length(most, least=min(most, least))]
        found = [one for check in checks for one in await found_in(check, text)]
        whole = replaced([text], 0, spans(found))[0]
        assert await shown_of(TextJudge(checks), given) == whole
        cut = min((one.start for one in found if one.cut), default=len(text))
        assert whole == replaced([text], 0, spans(one for one in found if one.start < cut or one.cut))[0]

    asyncio.run(check())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Call me, or do not: +49 30 901820", "Call me, …"),
        ("Call +49 30 901820 or do not", "Call [phone number]"),
        ("Call me, +49 30 901820", "Call me, …"),
    ],
)
async def test_of_a_finding_behind_a_cut_no_mark_is_left_and_one_over_it_is_one_with_it(text: str, shown: str) -> None:
    checks: list[Check] = [phone_numbers("DE"), text_length(10)]
    async with agency([text], hooks=[Guardrail(checks, on={"output"}, action="redact")]) as team:
        events, _ = await streamed(team)
    assert events[-1].answer.text == text_of(events) == shown  # type: ignore[attr-defined]


async def test_a_cut_is_shown_at_once_and_told_of_once() -> None:
    told: list[str] = []
    judge = TextJudge([*CHECKS, text_length(10)], lambda found: told.extend(one.kind for one in found))
    assert await judge.take("One, two, three and 41") == "One, two,…"
    assert await judge.take("11 1111 1111 ") == ""
    assert await judge.take("1111 is it", last=True) == ""
    assert told == ["text that is too long", "card number"]
    assert judge.held == 0


async def test_a_text_that_may_yet_be_too_short_is_held_back_until_it_is_not() -> None:
    judge = TextJudge([text_length(least=5)])
    assert await judge.take("abcd") == ""
    assert await judge.take("e") == "abcde"
    assert await judge.take("f") == "f"
    assert await TextJudge([text_length(least=5)]).take("abcd", last=True) == "[text that is too short]"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Hello, how are you? ", ""),
        ("Hello, how are you", "you"),
        ("In 2024 ", "2024 "),
        ("日本語のテキスト", ""),
        ("It is 4111 1111 ", "4111 1111 "),
        ("Mail ann@exam", "ann@exam"),
        ("She said: -----BEG", "-----BEG"),
        ("😀😀", ""),
    ],
)
async def test_held_back_is_what_may_become_a_finding_and_no_more(text: str, held: str) -> None:
    judge = TextJudge(CHECKS[:-1])
    shown = await judge.take(text)
    assert shown + held == text
    assert judge.held == len(held)


async def test_a_pattern_without_an_opening_holds_back_its_longest_match() -> None:
    judge = TextJudge([PatternCheck("code name", r"blue-[0-9]{2}", longest=7)])
    assert await judge.take("It was a dark and stormy night") == "It was a dark and storm"
    assert await judge.take(": blue-4") == "y night:"
    assert await judge.take("2 it was") == " [code name]"


async def test_a_check_that_is_a_plain_function_holds_back_everything() -> None:
    judge = TextJudge([lambda text: [Finding(0, 5, "greeting")] if text.startswith("Hello") else []])
    assert await judge.take("Hello ") == ""
    assert await judge.take("there", last=True) == "[greeting] there"


# -- through an agency -----------------------------------------------------------------------------------------------


class Pieces(Actor):
    """A model whose streams are made of pieces of text; "~" before one makes it reasoning."""

    def __init__(self, streams: list[list[Any]]) -> None:
        super().__init__()
        self.streams = streams

    def on_receive(self, request: Request) -> Any:
        return self._pieces(self.streams.pop(0))

    async def _pieces(self, given: list[Any]) -> AsyncGenerator[Delta, None]:
        text, thought = "", ""
        for piece in given:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif piece.startswith("~"):
                thought += piece[1:]
                yield Delta(reasoning=piece[1:])
            else:
                text += piece
                yield Delta(text=piece)
        yield Delta(completion=Completion(Message("assistant", text, reasoning=thought), "stop", Usage(2, 1)))


def agency(*streams: Sequence[Any], hooks: Any, **options: Any) -> Agency:
    return Agency(Agent("A", hooks=hooks, **options), model=ChildSpec(Pieces, ([*map(list, streams)],), name="model"))


async def streamed(team: Agency) -> tuple[list[RunEvent], Exception | None]:
    events: list[RunEvent] = []
    try:
        async for event in team.run_streaming("?"):
            events.append(event)
    except GuardrailTripped as error:
        return events, error
    return events, None


def text_of(events: Sequence[RunEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@settings(max_examples=40)
@given(pieces())
def test_a_streamed_run_shows_its_answer_redacted_piece_by_piece(given: list[str]) -> None:
    async def check() -> None:
        async with agency(given, hooks=[Guardrail(CHECKS, on={"output"}, action="redact")]) as team:
            events, error = await streamed(team)
        assert error is None
        answer = events[-1].answer  # type: ignore[attr-defined]
        assert answer.text == text_of(events) == await redacted("".join(given))

    asyncio.run(check())


@settings(max_examples=40)
@given(pieces())
def test_several_guardrails_see_of_a_stream_what_those_before_have_left(given: list[str]) -> None:
    async def check() -> None:
        first = Guardrail(CHECKS[:3], on={"output"}, action="redact")
        then = Guardrail([*CHECKS[3:], text_length(40)], on={"output"}, action="redact")
        async with agency(given, hooks=[first, then]) as team:
            events, error = await streamed(team)
        assert error is None
        answer = events[-1].answer  # type: ignore[attr-defined]
        left = await shown_of(TextJudge(CHECKS[:3]), given)
        assert answer.text == text_of(events) == await shown_of(TextJudge([*CHECKS[3:], text_length(40)]), [left])

    asyncio.run(check())


@settings(max_examples=40)
@given(pieces())
def test_a_streamed_run_that_is_blocked_has_shown_nothing_of_what_was_found(given: list[str]) -> None:
    async def check() -> None:
        text = "".join(given)
        found = [one for check in CHECKS for one in await found_in(check, text)]
        async with agency(given, hooks=[Guardrail(CHECKS, on={"output"}, action="block")]) as team:
            events, error = await streamed(team)
        assert (error is not None) is bool(found)
        assert text.startswith(text_of(events))
        assert all(len(text_of(events)) <= one.start for one in found)

    asyncio.run(check())


async def test_text_is_shown_while_it_comes_where_a_guardrail_needs_no_more() -> None:
    go = asyncio.Event()
    stream = ["One two ", "three: ann@exam", go, "ple.com, and four"]
    shown = ""
    async with agency(stream, hooks=[Guardrail(CHECKS, on={"output"}, action="redact")]) as team:
        async for event in team.run_streaming("?"):
            if isinstance(event, TextDelta):
                shown += event.text
            if shown == "One two three: ":
                go.set()
    assert shown == "One two three: [e-mail address], and four"


async def test_live_chunks_come_while_the_model_speaks_where_a_guardrail_judges_as_it_goes() -> None:
    go = asyncio.Event()
    seen: list[RunEvent] = []
    async with agency(
        ["One two ", go, "three"], hooks=[Guardrail(CHECKS[:-1], on={"output"}, action="redact")]
    ) as team:
        team.subscribe(seen.append)
        shown = ""
        async for chunk in as_chunks(team.run_streaming("?"), live=True):
            shown += (chunk["choices"][0]["delta"].get("content") or "") if chunk["choices"] else ""
            if shown == "One two ":
                go.set()
    assert shown == "One two three"
    assert [event.last for event in seen if isinstance(event, CompletionStarted)] == [True]


async def test_reasoning_is_judged_on_its_own_to_its_end() -> None:
    stream = ["~hm: 4111 1111 ", "Well", "~1111 1111", ", so"]
    async with agency(stream, hooks=[Guardrail(CHECKS, on={"output"}, action="redact")]) as team:
        events, _ = await streamed(team)
    assert text_of(events) == "Well, so"
    assert "".join(one.text for one in events if isinstance(one, ReasoningDelta)) == "hm: [card number]"


async def test_a_stream_that_is_cut_and_asked_for_again_is_judged_anew() -> None:
    streams: list[list[Any]] = [["4111 1111 ", StreamCut("cut")], ["1111 1111 ", "ok"]]
    async with agency(*streams, hooks=[Guardrail(CHECKS, on={"output"}, action="redact")]) as team:
        events, error = await streamed(team)
    assert error is None
    begun_again = next(index for index, event in enumerate(events) if isinstance(event, Retried))
    assert text_of(events[begun_again:]) == "1111 1111 ok"


async def test_a_structured_answer_is_told_in_parts_without_what_was_found() -> None:
    stream = ['{"mail": "an', 'n@example.com", "n', 'ote": "hello"}']
    kind = dict[str, str]
    async with agency(stream, hooks=[Guardrail(CHECKS, on={"output"}, action="redact")], output_type=kind) as team:
        events, _ = await streamed(team)
    parts = [event.value for event in events if isinstance(event, PartialAnswer)]
    assert parts[-1] == {"mail": "[e-mail address]", "note": "hello"}
    assert not any("@" in str(part) for part in parts)
    assert events[-1].answer.value == parts[-1]  # type: ignore[attr-defined]


async def test_on_chunk_only_what_is_shown_is_redacted() -> None:
    async with agency(["I am blue", "-42."], hooks=[Guardrail(CHECKS, on={"chunk"}, action="redact")]) as team:
        events, _ = await streamed(team)
    assert text_of(events) == "I am [code name]."
    assert events[-1].answer.text == "I am blue-42."  # type: ignore[attr-defined]
    assert [(e.where, e.kind) for e in events if isinstance(e, GuardrailFound)] == [("chunk", "code name")]


@pytest.mark.parametrize("where", ["chunk", "output"])
async def test_a_warning_holds_nothing_back_and_is_told_of_once(where: Any) -> None:
    go = asyncio.Event()
    shown, told = "", []
    async with agency(["I am blue", go, "-42."], hooks=[Guardrail(CHECKS, on={where}, action="warn")]) as team:
        async for event in team.run_streaming("?"):
            if isinstance(event, TextDelta):
                shown += event.text
            if isinstance(event, GuardrailFound):
                told.append((event.where, event.kind))
            if shown == "I am blue":
                go.set()
    assert shown == "I am blue-42."
    assert told == [(where, "code name")]


async def test_beside_a_guardrail_that_needs_the_whole_everything_waits_for_it() -> None:
    @guardrail("response", priority=-1)
    def judge(context: Any) -> None:
        judged.append(context.completion.message.text)

    judged: list[str] = []
    shown: list[str] = []
    async with agency(["a ann@", "b.de c"], hooks=[Guardrail(CHECKS, on="output", action="redact"), judge]) as team:
        async for event in team.run_streaming("?"):
            if isinstance(event, TextDelta):
                assert judged
                shown.append(event.text)
    assert judged == ["a [e-mail address] c"]
    assert shown == ["a [e-mail address] c"]


class Loud:
    """A stream of one's own: what it lets through is in capitals; of "no" it wants to hear nothing."""

    def __init__(self, context: HookContext) -> None:
        self.event = context.event

    async def take(self, piece: str, *, last: bool = False) -> str:
        if "no" in piece:
            raise ValueError(self.event)
        return piece.upper()


@pytest.mark.parametrize("event", ["chunk", "response"])
async def test_a_hook_of_ones_own_may_judge_a_stream_while_it_comes(event: Any) -> None:
    def whole(context: HookContext) -> None:
        assert context.completion is not None
        message = replace(context.completion.message, content=context.completion.message.text.upper())
        context.completion = replace(context.completion, message=message)

    mine = Hook(event, whole, guardrail=True, name="loud", stream=Loud)
    async with agency(["one ", "two"], ["one ", "no"], hooks=[mine]) as team:
        events, _ = await streamed(team)
        assert text_of(events) == "ONE TWO"
        events, error = await streamed(team)
    assert text_of(events) == "ONE "
    assert str(error) == f"guardrail loud refused ({event}): {event}"


async def test_a_check_that_raises_in_the_middle_of_a_stream_ends_it_by_name() -> None:
    def broken(text: str) -> int:
        raise ValueError(text)

    check = PatternCheck("word", r"blue", longest=4, accept=broken)
    async with agency(["one ", "blue ", "two"], hooks=[Guardrail(check, on={"output"})]) as team:
        events, error = await streamed(team)
    assert str(error) == "guardrail word could not look at the output: ValueError"
    assert "blue" not in text_of(events)
