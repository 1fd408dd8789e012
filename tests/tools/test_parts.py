"""Results that are more than text: pictures, documents, sound."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from callboard.providers import Audio, File, Image, Message, Text, ToolCall
from callboard.tools import BaseTool, Tool, ToolRegistry, ToolResult, run_calls, tool
from callboard.tools.compose import composite
from callboard.tools.runner import tool_message

PICTURE = Image("data:image/png;base64,iVBORw0KGgo=")
REPORT = File("data:application/pdf;base64,JVBERi0=", "report.pdf")
SOUND = Audio("data:audio/wav;base64,UklGRg==")


@pytest.mark.parametrize("part", [PICTURE, REPORT, SOUND, Text("words")])
@pytest.mark.parametrize("wrapped", [lambda part: part, lambda part: [part], lambda part: (part,)])
async def test_a_part_that_a_tool_returns_is_shown_as_one(part: Any, wrapped: Any) -> None:
    value = wrapped(part)

    @tool
    async def look() -> Any:
        return value

    result = await look.run()
    assert result.content == (part,)
    assert result.value is value
    call = ToolCall("c", "look", "{}")
    assert tool_message(call, result) == Message("tool", (part,), tool_call_id="c", name="look")


async def test_what_stands_between_parts_is_text_in_its_place() -> None:
    @tool
    def look() -> list[Any]:
        return ["see", PICTURE, {"pages": 2}, REPORT]

    result = await look.run()
    assert result.content == (Text("see"), PICTURE, Text('{"pages":2}'), REPORT)
    assert result.text == 'see\n[picture]\n{"pages":2}\n[file report.pdf]'


async def test_a_declared_response_of_parts_is_checked_and_shown() -> None:
    @tool(response=list[Image])
    def look(well: bool) -> Any:
        return [PICTURE] if well else [REPORT, 3]

    assert (await look.run({"well": True})).content == (PICTURE,)
    assert (await look.run({"well": False})).is_error


async def test_a_list_without_parts_stays_json() -> None:
    @tool
    def look(which: str) -> Any:
        return {"empty": [], "numbers": [1, 2]}[which]

    assert (await look.run({"which": "empty"})).content == "[]"
    assert (await look.run({"which": "numbers"})).content == "[1,2]"


async def test_text_between_pictures_is_cut_in_the_middle_and_the_pictures_stay() -> None:
    @tool(max_result=100)
    def look() -> list[Any]:
        return ["a" * 60, PICTURE, "b" * 500 + "end", REPORT, "c" * 50]

    content = (await look.run()).content
    assert isinstance(content, tuple)
    assert [type(part) for part in content] == [Text, Image, Text, File, Text]
    texts = [part.text for part in content if isinstance(part, Text)]
    assert texts[0] == "a" * 60
    assert sum(map(len, texts)) <= 100


async def test_long_text_alone_between_pictures_keeps_its_beginning_and_end() -> None:
    @tool(max_result=200)
    def look() -> list[Any]:
        return [PICTURE, "begin" + "b" * 500 + "end"]

    content = (await look.run()).content
    assert content[0] == PICTURE
    assert isinstance(content[1], Text)
    assert content[1].text.startswith("begin")
    assert content[1].text.endswith("end")
    assert "508 characters in all" in content[1].text


@pytest.mark.parametrize("wrong", [PICTURE, [PICTURE], ("text", PICTURE), None, 5])
def test_a_content_that_is_no_text_and_no_tuple_of_parts_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"ToolResult\.content is a text or a tuple of Text, Image, File and Audio"):
        ToolResult(wrong)


async def test_a_composite_shows_the_pictures_of_its_calls() -> None:
    @tool
    def look() -> list[Any]:
        return [Text("see"), PICTURE]

    both = composite([look], name="both")
    result = await both.run({"calls": [{"name": "look", "args": {}}, {"name": "look", "args": {}}]})
    assert isinstance(result.content, tuple)
    said, *media = result.content
    assert media == [PICTURE, PICTURE]
    assert isinstance(said, Text)
    assert [entry["result"] for entry in json.loads(said.text)["results"]] == ["see\n[picture]"] * 2


async def test_calls_that_are_run_at_once_return_their_pictures() -> None:
    @tool
    def look() -> Image:
        return PICTURE

    (result,) = await run_calls([ToolCall("c", "look", "{}")], ToolRegistry([look]))
    assert result.content == (PICTURE,)


# -- bytes -------------------------------------------------------------------------------------------------------------

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (PNG, Image),
        (bytearray(PNG), Image),
        (b"\xff\xd8\xff\xe0jpeg", Image),
        (b"GIF89a...", Image),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", Image),
        (b"%PDF-1.7 ...", File),
    ],
)
async def test_the_bytes_of_a_picture_or_a_pdf_are_shown_as_what_they_are(value: Any, part: type[Any]) -> None:
    @tool
    def draw() -> Any:
        return ["here:", value]

    content = (await draw.run()).content
    assert isinstance(content, tuple)
    text, shown = content
    assert text == Text("here:")
    assert type(shown) is part
    assert isinstance(shown, Image | File)
    assert base64.b64decode(shown.url.partition(";base64,")[2]) == value


async def test_bytes_that_are_no_text_are_named_and_not_garbled() -> None:
    @tool
    def read() -> bytes:
        return b"\x00\x01\xff" * 10

    assert (await read.run()).text == "(30 bytes that are no text)"


async def test_bytes_within_a_value_are_text_or_base64() -> None:
    @tool
    def read(which: str) -> Any:
        return {"data": {"text": "naïve".encode(), "binary": b"\xff\xfe"}[which]}

    assert (await read.run({"which": "text"})).text == '{"data":"naïve"}'
    shown = json.loads((await read.run({"which": "binary"})).text)["data"]
    assert base64.urlsafe_b64decode(shown) == b"\xff\xfe"


@tool
def size(data: bytes, more: list[bytes] = []) -> int:  # noqa: B006
    """How many bytes these are."""
    return len(data) + sum(map(len, more))


class Size(BaseTool):
    """How many bytes these are."""

    data: bytes

    def run(self) -> int:
        return len(self.data)


@pytest.mark.parametrize("made", [size, Size.as_tool()])
async def test_bytes_that_a_tool_takes_are_decoded_from_base64(made: Tool) -> None:
    entry = made.spec.parameters["properties"]["data"]
    assert entry == {"type": "string", "contentEncoding": "base64", "description": "bytes, as base64"}
    for text in (base64.b64encode(PNG).decode(), base64.urlsafe_b64encode(PNG).decode().rstrip("=")):
        assert (await made.run(json.dumps({"data": text}))).value == len(PNG)
    assert "data: Data should be valid base64" in (await made.run('{"data": "not that!"}')).text


async def test_bytes_in_a_list_are_decoded_too() -> None:
    assert (await size.run('{"data": "aGk=", "more": ["aGk=", "aGk="]}')).value == 6
