"""What nobody sees is taken out, markup is made harmless, and texts are of the length, form and links asked for."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import (
    Guardrail,
    PatternCheck,
    card_numbers,
    hidden_characters,
    high_entropy_strings,
    html_markup,
    json_schema,
    links,
    prompt_injections,
    text_length,
)
from callboard.actors.agents.errors import DefinitionError, GuardrailTripped
from callboard.actors.agents.guardrails.judging import TextJudge
from callboard.actors.testing.doubles.models import Script
from callboard.tools.errors import MissingExtra
from tests.agents.support import solo


async def left(checks: Any, *pieces: str) -> str:
    judge = TextJudge(checks if isinstance(checks, tuple) else [checks])
    return "".join([await judge.take(piece) for piece in pieces]) + await judge.take("", last=True)


def kinds(checks: Any, text: str) -> list[str]:
    several = checks if isinstance(checks, tuple) else (checks,)
    return [one.kind for check in several for one in check(text)]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("user\u202egpj.exe\u202c", "usergpj.exe"),
        ("pay\u200bpal\u2060 \ufeffno\u00adw", "paypal now"),
        ("hi" + "".join(chr(0xE0000 + ord(one)) for one in "send it"), "hi"),
        ("x\U000e0100\U000e0101", "x"),
        ("tab\tand\r\nline", "tab\tand\r\nline"),
        ("👩‍👩‍👧 ❤️ می‌خواهم क्‍ष \u200fעברית", "👩‍👩‍👧 ❤️ می‌خواهم क्‍ष \u200fעברית"),
    ],
)
async def test_what_nobody_sees_is_taken_out_and_what_scripts_and_emoji_need_stays(text: str, clean: str) -> None:
    assert await left(hidden_characters(), text) == clean
    assert await left(hidden_characters(), *text) == clean


@given(st.text(st.sampled_from("ab \u202e\u200b\x00😀\u200d\n"), max_size=20))
def test_hidden_characters_hold_back_nothing(text: str) -> None:
    async def check() -> None:
        judge = TextJudge(hidden_characters())
        for one in text:
            await judge.take(one)
            assert judge.held == 0

    asyncio.run(check())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<script>steal()</script>Hello <b>you</b>", "Hello you"),
        ('<img src=x onerror="steal()">hi', "hi"),
        ("<a href='https://evil.example'>here</a>", "here"),
        ("a < b and b > c & d", "a < b and b > c & d"),
        ("no markup", "no markup"),
        ("if x <3: print('<3')", "if x <3: print('<3')"),
    ],
)
async def test_markup_is_taken_out_and_text_without_any_is_left_alone(text: str, clean: str) -> None:
    assert await left(html_markup(), text) == clean


async def test_elements_that_are_allowed_stay_without_what_could_run_in_them() -> None:
    assert await left(html_markup({"b"}), '<b onclick="x()">hi</b><i>you</i>') == "<b>hi</b>you"


def test_without_nh3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nh3", None)
    with pytest.raises(MissingExtra, match=r"html_markup\(\) needs .*callboard\[guardrails\]"):
        html_markup()


async def test_input_is_sanitised_before_other_guardrails_see_it() -> None:
    script = Script(["ok"])
    hooks = [
        Guardrail(hidden_characters(), on="input", action="redact", priority=200),
        Guardrail(html_markup(), on="input", action="redact"),
    ]
    async with solo(script, hooks=hooks) as agency:
        await agency.run("<b>he\u200bl\x00lo</b>")
    assert script.requests[0].messages[-1].text == "hello"


async def test_behind_hidden_characters_patterns_find_what_was_hidden_by_them() -> None:
    text = "4111\u200b 1111 1111\u2060 1111"
    patterns = Guardrail(card_numbers(), on="output", action="redact")
    async with solo(Script([text]), hooks=[patterns]) as agency:
        assert (await agency.run("?")).text == text
    first = Guardrail(hidden_characters(), on="output", action="redact", priority=200)
    async with solo(Script([text]), hooks=[patterns, first]) as agency:
        assert (await agency.run("?")).text == "[card number]"


# -- length ----------------------------------------------------------------------------------------------------------


@given(st.text("ab😀", max_size=30), st.integers(1, 20), st.sets(st.integers(0, 30)))
def test_a_text_is_cut_to_its_length_however_it_comes_and_held_back_only_at_its_end(
    text: str, most: int, cuts: set[int]
) -> None:
    async def check() -> None:
        at = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
        judge = TextJudge([text_length(most)])
        shown = ""
        for begin, end in pairwise(at):
            shown += await judge.take(text[begin:end])
            assert judge.held <= 1
        shown += await judge.take("", last=True)
        assert shown == (text if len(text) <= most else f"{text[: most - 1]}…")
        assert await left(text_length(most), shown) == shown

    asyncio.run(check())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["text that is too short"]),
        ("abc", ["text that is too short"]),
        ("abcd", []),
        ("abcdef", []),
        ("abcdefg", ["text that is too long"]),
    ],
)
def test_lengths_are_counted_in_characters(text: str, found: list[str]) -> None:
    assert kinds(text_length(6, least=4), text) == found


async def test_an_answer_that_is_too_short_is_blocked_also_an_empty_one() -> None:
    async with solo(Script(["", "long enough"]), hooks=[Guardrail(text_length(least=5), on="output")]) as agency:
        with pytest.raises(GuardrailTripped, match="blocked the output: text that is too short"):
            await agency.run("?")
        assert (await agency.run("?")).text == "long enough"


# -- schema ----------------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"n": 1}', []),
        ('{"n": "one"}', ["JSON that does not fit the schema"]),
        ("[]", ["JSON that does not fit the schema"]),
        ("n = 1", ["text that is no JSON"]),
        ("[" * 100_000, ["text that is no JSON"]),
    ],
)
def test_a_text_fits_a_schema_or_is_found(text: str, found: list[str]) -> None:
    assert kinds(json_schema(SCHEMA), text) == found


def test_nothing_that_a_schema_refers_to_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: object, **__: object) -> Any:
        raise AssertionError

    monkeypatch.setattr("urllib.request.urlopen", fetched)
    for address in ("http://127.0.0.1:1/schema", "file:///etc/passwd", "#/none"):
        with pytest.raises(DefinitionError, match="which is not in it"):
            json_schema({"$ref": address})("1")


# -- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("see https://example.com/a?b=c.", "http://docs.example.com", "HTTPS://EXAMPLE.COM:8443/x", "no link at all"),
        *("https://user@example.com/", "a//b", "and/or", "see example.org", "C://", "https://example.com./"),
    ],
)
def test_links_to_allowed_domains_and_texts_without_links_are_left(text: str) -> None:
    assert kinds(links(allow=["example.com"]), text) == []


@pytest.mark.parametrize(
    "link",
    [
        *("https://evil.example/?d=secret", "http://example.com.evil.example/", "https://notexample.com"),
        *("https://example.com@evil.example/x", "https://evil.example\\@example.com/", "ftp://evil.example/x"),
        *(
            "https:/evil.example/?d=1",
            "http:evil.example/?d=1",
            "https&#58;//evil.example",
            "https&colon;//evil.example/x",
        ),
        *("https://example.com\\@evil.example/x", "https://example.com&#64;evil.example/x", "wss:/evil.example"),
        *("https://example.com\\u002eevil.example/x", "https://example.com\\u0040evil.example/x"),
        *("https:\\\\evil.example/x", "https://[::1]/x", "https://evil.example:443", "https://пример.example/"),
    ],
)
async def test_links_elsewhere_are_found_however_they_are_written(link: str) -> None:
    check = links(allow=["example.com"])
    for text in (link, f"go to {link} now", f"![x]({link})", f"({link})"):
        assert [text[one.start : one.end] for one in check(text)] == [link], text
        assert await left(check, *text) == await left(check, text) == text.replace(link, "[link to another domain]")


@pytest.mark.parametrize(
    "text",
    ["[x]: //evil.example/a", "[x]:\n//evil.example/a", "<img src=//evil.example/a>", "<img src='//evil.example/a'>"],
)
def test_an_address_without_a_scheme_is_a_link_where_markdown_and_html_read_one(text: str) -> None:
    assert kinds(links(allow=["example.com"]), text) == ["link to another domain"]
    assert kinds(links(allow=["example.com"]), text.replace("evil.example", "example.com")) == []


async def test_an_address_without_a_scheme_in_a_picture_is_a_link_too() -> None:
    assert kinds(links(allow=["example.com"]), "![x](//evil.example/a.png?q=1)") == ["link to another domain"]
    assert await left(links(allow=["example.com"]), *"![x](//evil.example/a)") == "![x]([link to another domain])"


def test_domains_may_also_be_denied() -> None:
    check = links(deny=["evil.example"])
    assert kinds(check, "https://a.evil.example https://example.com") == ["link to another domain"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: text_length(0), "most is 0"),
        (lambda: text_length(3, least=4), "no text has at least 4 and at most 3"),
        (lambda: json_schema({"type": "thing"}), "that is no schema"),
        (lambda: json_schema([]), "a JSON schema as a mapping"),  # type: ignore[arg-type]
        (lambda: links(allow="example.com"), "domains are names"),
        (lambda: links(allow=["https://example.com"]), "domains are names"),
        (lambda: html_markup("b"), "names of elements"),
        (lambda: PatternCheck("k", "a", accept="x"), "pattern k: accept is 'x'; expected a function"),  # type: ignore[arg-type]
        (lambda: PatternCheck("k", "a", score=2), "pattern k: score is 2; expected a share"),
        (lambda: PatternCheck("k", "a", replacement=3), "pattern k: replacement is 3; expected a text"),  # type: ignore[arg-type]
        (lambda: high_entropy_strings("3"), "bits is '3'; expected a number"),  # type: ignore[arg-type]
        (lambda: prompt_injections(5), "least is 5; expected a share, 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_made(make: Any, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        make()
