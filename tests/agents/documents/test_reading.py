"""What is read of documents, where its passages are, and what is refused by name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import (
    DocumentFailed,
    DocumentNotFound,
    Documents,
    DocumentTooLarge,
    EmptyDocument,
    IndexedDocument,
    Memory,
    Passage,
    UnreadableDocument,
    WrongDocument,
    WrongFact,
)

from .support import ANN, HANDBOOK, pdf


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory() as memory:
        yield memory


async def passages(memory: Memory, data: bytes, name: str, characters: int = 120) -> list[Passage]:
    documents = Documents(memory, characters=characters)
    await documents.index(data, owner=ANN, name=name)
    return await documents.passages(name, owner=ANN)


async def test_markdown_is_cut_at_headings_and_each_passage_says_its_lines_and_what_it_stands_under(
    memory: Memory,
) -> None:
    found = await passages(memory, HANDBOOK.encode(), "handbook.md", 70)
    norway = next(one for one in found if "Norway" in one.text)
    assert norway.place == "lines 9-11"
    assert norway.heading == "Handbook › Refunds › Abroad"
    assert norway.citation == "[handbook.md, lines 9-11]"
    assert next(one for one in found if "Bicycles" in one.text).heading == "Handbook › Parking"


async def test_a_page_of_a_pdf_is_a_place(memory: Memory) -> None:
    found = await passages(memory, pdf(["The bridge is closed.", "", "The ferry runs at noon."]), "notice.pdf")
    assert [(one.text, one.citation) for one in found] == [
        ("The bridge is closed.", "[notice.pdf, page 1]"),
        ("The ferry runs at noon.", "[notice.pdf, page 3]"),
    ]


async def test_a_pdf_is_known_by_its_first_bytes(memory: Memory) -> None:
    (found,) = await passages(memory, pdf(["Under another name."]), "upload")
    assert found.citation == "[upload, page 1]"


async def test_html_is_read_without_its_scripts_and_cited_by_the_lines_of_the_page(memory: Memory) -> None:
    page = "<html>\n<script>\nlet hidden = 1\n</script>\n<body>\n<h2>Opening hours</h2>\n\n<p>From nine\nto five.</p>"
    (found,) = await passages(memory, page.encode(), "shop.html")
    assert "From nine\nto five." in found.text
    assert "hidden" not in found.text
    assert (found.place, found.heading) == ("lines 6-9", "Opening hours")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("Zürich 東京".encode(), "a.txt"),
        ("Zürich 東京".encode("utf-8-sig"), "a.txt"),
        ("Zürich 東京".encode("utf-16"), "a.txt"),
        ("Zürich 東京".encode("utf-32"), "a.txt"),
        ("<meta charset='shift_jis'><p>Zurich 東京".encode("shift_jis"), "a.html"),
        (b"<meta http-equiv=x content='text/html; charset=iso-8859-1'><p>Z\xfcrich", "a.htm"),
        ("<meta charset=nobody-knows-it><p>Zürich 東京".encode(), "a.html"),
    ],
)
async def test_a_text_is_read_as_it_says_that_it_is_written(memory: Memory, data: bytes, name: str) -> None:
    (found,) = await passages(memory, data, name)
    assert found.text.startswith(("Zürich", "Zurich"))


async def test_lines_end_as_they_do_on_every_system(memory: Memory) -> None:
    (found,) = await passages(memory, b"one\r\ntwo\rthree\nfour", "a.txt")
    assert (found.text, found.place) == ("one\ntwo\nthree\nfour", "lines 1-4")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=400)
LINES = st.lists(st.one_of(TEXTS, st.sampled_from(["# A", "## B", "```", "", "- x", "word " * 30])), max_size=12)


@given(LINES.map("\n".join), st.integers(1, 200), st.sampled_from(["a.md", "a.txt"]))
@settings(max_examples=60)
async def test_passages_are_the_whole_text_in_order_none_longer_than_wished_each_where_it_says(
    text: str, characters: int, name: str
) -> None:
    with Memory() as memory:
        documents = Documents(memory, characters=characters)
        try:
            await documents.index(text.encode(), owner=ANN, name=name)
        except EmptyDocument:
            assert not text.strip()
            return
        found = await documents.passages(name, owner=ANN)
        assert "".join("".join(one.text for one in found).split()) == "".join(text.split()), "nothing is left out"
        lines = text.split("\n")
        for one in found:
            assert len(one.text) <= characters
            first, _, last = one.place.removeprefix("lines ").removeprefix("line ").partition("-")
            assert one.text in "\n".join(lines[int(first) - 1 : int(last or first)])


async def test_a_text_without_any_border_is_cut_all_the_same_and_soon(memory: Memory) -> None:
    found = await passages(memory, b"x" * 300_000, "a.txt", 1_000)
    assert sum(len(one.text) for one in found) == 300_000


BROKEN = pdf(["Something."])


@pytest.mark.parametrize(
    ("data", "name", "error", "says"),
    [
        (b"", "a.txt", EmptyDocument, "there is no text in the document 'a.txt'"),
        (b" \n\t ", "a.md", EmptyDocument, "no text"),
        (b"<html><script>x</script></html>", "a.html", EmptyDocument, "no text"),
        (pdf([""]), "scan.pdf", EmptyDocument, "OCR"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.png", UnreadableDocument, r"is no text \(byte 0\)"),
        (b"PK\x03\x04\0\0\0", "a.docx", UnreadableDocument, "character 4 is null"),
        (b"caf\xe9", "a.txt", UnreadableDocument, r"is not written in utf-8 \(byte 3\)"),
        (b"", "a.pdf", UnreadableDocument, "is no PDF that can be read"),
        (b"%PDF-1.7\nnothing behind", "a.pdf", UnreadableDocument, "at its beginning"),
        (BROKEN[: len(BROKEN) // 3], "a.pdf", UnreadableDocument, "is no PDF that can be read"),
        (b"no PDF at all", "a.pdf", UnreadableDocument, "is no PDF that can be read"),
        (pdf(["Secret."], password="x"), "a.pdf", UnreadableDocument, "is encrypted"),
    ],
)
async def test_what_cannot_be_read_is_a_named_error_and_nothing_is_kept(
    memory: Memory, data: bytes, name: str, error: type[DocumentFailed], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        await Documents(memory).index(data, owner=ANN, name=name)
    assert raised.value.document == name
    assert await memory.export(owner=ANN) == []


@given(st.binary(max_size=60), st.integers(0, len(BROKEN)), st.integers(0, 40))
@settings(max_examples=60)
async def test_whatever_a_damaged_pdf_has_in_it_it_is_read_or_a_named_error(junk: bytes, at: int, less: int) -> None:
    with Memory() as memory:
        documents = Documents(memory)
        try:
            kept = await documents.index(BROKEN[:at] + junk + BROKEN[at + less :], owner=ANN, name="a.pdf")
        except DocumentFailed:
            assert await memory.export(owner=ANN) == []
        else:
            assert len(await documents.passages("a.pdf", owner=ANN)) == kept.passages


async def test_a_file_is_read_and_named_by_its_path(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Tea is in the tin.", "utf-8")
    documents = Documents(memory)
    kept = await documents.index(path, owner=ANN)
    assert isinstance(kept, IndexedDocument)
    assert (kept.name, kept.passages) == (path.as_posix(), 1)
    assert (await documents.index(str(path), owner=ANN, name="notes")).name == "notes"


async def test_files_that_are_not_there_or_too_large_are_named(memory: Memory, tmp_path: Path) -> None:
    documents = Documents(memory)
    large = tmp_path / "large.txt"
    large.touch()
    os.truncate(large, 200_000_001)
    for path, error, says in (
        (tmp_path / "none.txt", DocumentNotFound, "there is no such file"),
        (tmp_path, DocumentNotFound, "is no file"),
        ("a\0b", WrongDocument, "one line"),
        (large, DocumentTooLarge, "200,000,000 bytes"),
    ):
        with pytest.raises(error, match=says):
            await documents.index(path, owner=ANN)
    assert await memory.export(owner=ANN) == []


async def test_wrong_arguments_are_named_before_anything_is_read(memory: Memory) -> None:
    wrong: Any = 7
    for where, characters in ((wrong, 100), (memory, 0), (memory, 100_000), (memory, wrong * 0.5)):
        with pytest.raises(WrongDocument):
            Documents(where, characters=characters)
    documents = Documents(memory)
    for index in (
        documents.index(wrong, owner=ANN),
        documents.index("", owner=ANN),
        documents.index(b"text", owner=ANN),
        documents.index(b"text", owner=ANN, name="two\nlines"),
        documents.index(b"text", owner=ANN, name="\ud800"),
        documents.index(b"text", owner=ANN, name="x" * 501),
        documents.index(b"text", owner=ANN, name=wrong),
    ):
        with pytest.raises(WrongDocument):
            await index
    with pytest.raises(WrongFact):
        await documents.index(b"text", owner=wrong, name="a.txt")


@pytest.mark.parametrize(
    ("module", "data", "name"),
    [("pypdf", BROKEN, "a.pdf"), ("semantic_text_splitter", b"some text", "a.txt")],
)
async def test_where_the_extra_is_missing_the_error_says_what_to_install(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, module: str, data: bytes, name: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'callboard\[documents\]'"):
        await Documents(memory).index(data, owner=ANN, name=name)
    assert await memory.export(owner=ANN) == []
