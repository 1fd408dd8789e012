"""Documents in a memory: found, cited, replaced as a whole, deleted, and whose they are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Documents, EmptyDocument, Labels, Memory, Owner, WrongDocument

from .support import ANN, BOB, HANDBOOK, pdf

TOP = Path(__file__).parents[3]
PROGRAM = "tests.agents.documents.indexing_program"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory() as memory:
        yield memory


async def test_the_passage_that_fits_is_found_by_its_words_and_by_the_headings_above_it(memory: Memory) -> None:
    documents = Documents(memory, characters=70)
    await documents.index(HANDBOOK.encode(), owner=ANN, name="handbook.md")
    await documents.index(pdf(["Lunch is at noon."]), owner=ANN, name="menu.pdf")
    for query, says, place in (
        ("customs for Norway", "Norway", "lines 9-11"),
        ("parking", "Bicycles", "lines 13-19"),
        ("lunch at noon?", "Lunch", "page 1"),
    ):
        best = (await documents.search(query, owner=ANN))[0]
        assert says in best.text
        assert best.place == place
    assert len(await documents.search("the", owner=ANN, limit=2)) == 2


async def test_facts_and_documents_do_not_find_each_other(memory: Memory) -> None:
    documents = Documents(memory)
    await memory.add("Ann likes refunds", owner=ANN, source="handbook.md")
    await documents.index(HANDBOOK.encode(), owner=ANN, name="handbook.md")
    assert [one.fact.text for one in await memory.search("refunds", owner=ANN)] == ["Ann likes refunds"]
    assert all("Ann" not in one.text for one in await documents.search("Ann likes refunds", owner=ANN))
    assert await documents.remove("handbook.md", owner=ANN)
    assert [fact["text"] for fact in await memory.export(owner=ANN)] == ["Ann likes refunds"]


async def test_a_document_that_has_changed_is_replaced_and_one_that_has_not_stays_as_it_is(memory: Memory) -> None:
    documents = Documents(memory)
    first = await documents.index(b"The door code is 1234.", owner=ANN, name="doors.txt")
    before = await memory.export(owner=ANN)
    assert await documents.index(b"The door code is 1234.", owner=ANN, name="doors.txt") == first
    assert await memory.export(owner=ANN) == before
    second = await documents.index(b"The door code is 9876.", owner=ANN, name="doors.txt")
    assert second.digest != first.digest
    assert [one.text for one in await documents.search("door code", owner=ANN)] == ["The door code is 9876."]
    assert await documents.indexed(owner=ANN) == [second]
    again = await documents.index(b"The door code is 1234.", owner=ANN, name="doors.txt")
    assert again.digest == first.digest
    assert [one.text for one in await documents.passages("doors.txt", owner=ANN)] == ["The door code is 1234."]


async def test_passages_have_the_labels_that_their_document_was_indexed_with(memory: Memory) -> None:
    documents = Documents(memory)
    salaries = Labels(frozenset({"an import"}), frozenset({"salaries"}))
    for name, labels in (("a.txt", None), ("b.txt", Labels()), ("c.txt", salaries)):
        await documents.index(f"The door code of {name}.".encode(), owner=ANN, name=name, labels=labels)
    wanted = {"a.txt": Labels(frozenset({"document a.txt"})), "b.txt": Labels(), "c.txt": salaries}
    assert {one.document: one.labels for one in await documents.search("door code", owner=ANN)} == wanted
    assert {one.name: one.labels for one in await documents.indexed(owner=ANN)} == wanted
    for name, labels in wanted.items():
        assert [one.labels for one in await documents.passages(name, owner=ANN)] == [labels]
    (cited,) = await documents.cited("[c.txt, line 1]", owner=ANN)
    assert [one.labels for one in cited.passages] == [salaries]


async def test_a_document_that_is_given_other_labels_has_those_from_then_on(memory: Memory) -> None:
    documents = Documents(memory)
    secret = Labels(confidential=frozenset({"doors"}))
    for labels in (None, secret, Labels(), secret, None):
        kept = await documents.index(b"The code is 1234.", owner=ANN, name="a.txt", labels=labels)
        wanted = Labels(frozenset({"document a.txt"})) if labels is None else labels
        assert kept.labels == wanted
        assert await documents.indexed(owner=ANN) == [kept]
        assert [one.labels for one in await documents.search("code", owner=ANN)] == [wanted]
        before = await memory.export(owner=ANN)
        await documents.index(b"The code is 1234.", owner=ANN, name="a.txt", labels=labels)
        assert await memory.export(owner=ANN) == before
    with pytest.raises(WrongDocument, match="the labels of a document are Labels, not list"):
        await documents.index(b"x", owner=ANN, name="a.txt", labels=["untrusted: me"])  # type: ignore[arg-type]


async def test_what_is_cut_in_another_way_is_indexed_again(memory: Memory) -> None:
    text = b"First sentence. " * 20
    few = await Documents(memory, characters=1_000).index(text, owner=ANN, name="a.txt")
    many = await Documents(memory, characters=20).index(text, owner=ANN, name="a.txt")
    assert few.passages < many.passages == len(await Documents(memory).passages("a.txt", owner=ANN))


async def test_a_document_that_cannot_be_read_any_more_leaves_what_was_kept_of_it(memory: Memory) -> None:
    documents = Documents(memory)
    kept = await documents.index(b"The door code is 1234.", owner=ANN, name="doors.txt")
    with pytest.raises(EmptyDocument):
        await documents.index(b"", owner=ANN, name="doors.txt")
    assert await documents.indexed(owner=ANN) == [kept]
    assert len(await documents.search("door code", owner=ANN)) == 1


async def test_several_that_index_one_document_at_once_leave_it_there_once(memory: Memory) -> None:
    documents = Documents(memory)
    texts = [b"The first text.", b"The second text, which is another."]
    await asyncio.gather(*(documents.index(texts[at % 2], owner=ANN, name="a.txt") for at in range(8)))
    (left,) = await documents.passages("a.txt", owner=ANN)
    assert left.text.encode() in texts
    assert len(await documents.indexed(owner=ANN)) == 1


@pytest.mark.parametrize("wrong", [None, 5, "", b"vault.txt"])
async def test_what_is_no_name_and_no_text_is_refused(memory: Memory, wrong: Any) -> None:
    """None would have been every document."""
    documents = Documents(memory)
    await documents.index(b"The vault opens at nine.", owner=ANN, name="vault.txt")
    for attempt in (documents.passages(wrong, owner=ANN), documents.remove(wrong, owner=ANN)):
        with pytest.raises(WrongDocument):
            await attempt
    if wrong != "":
        with pytest.raises(WrongDocument, match="citations are looked for in a text"):
            await documents.cited(wrong, owner=ANN)
    assert len(await documents.passages("vault.txt", owner=ANN)) == 1


async def test_documents_of_others_are_not_seen_and_not_touched(memory: Memory) -> None:
    documents = Documents(memory)
    await documents.index(b"The vault opens at nine.", owner=ANN, name="vault.txt")
    for other in (BOB, Owner("ann"), Owner(tenant="acme")):
        assert await documents.search("vault", owner=other) == []
        assert await documents.indexed(owner=other) == []
        assert await documents.passages("vault.txt", owner=other) == []
        assert not await documents.remove("vault.txt", owner=other)
        assert (await documents.cited("[vault.txt, line 1]", owner=other))[0].passages == ()
    assert len(await documents.search("vault", owner=ANN)) == 1


async def test_an_agents_document_is_beside_the_users_until_that_is_indexed_anew(memory: Memory) -> None:
    documents = Documents(memory)
    clerk = Owner("ann", "acme", "Clerk")
    await documents.index(b"For all.", owner=ANN, name="a.txt")
    await documents.index(b"For all.", owner=clerk, name="a.txt")
    assert len(await documents.passages("a.txt", owner=clerk)) == 2
    assert len(await documents.passages("a.txt", owner=Owner("ann", "acme", "Cook"))) == 1
    await documents.index(b"For all, and new.", owner=ANN, name="a.txt")
    assert [one.text for one in await documents.passages("a.txt", owner=clerk)] == ["For all, and new."]


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30)


@given(st.lists(NAMES.filter(str.strip), min_size=1, max_size=3, unique=True), st.text(max_size=20))
@settings(max_examples=40)
async def test_every_passage_is_found_again_by_its_citation_whatever_the_document_is_called(
    names: list[str], around: str
) -> None:
    with Memory() as memory:
        documents = Documents(memory, characters=20)
        for name in names:
            text = f"{name}.\n\nSecond paragraph here.\n\nThird one."
            await documents.index(text.encode(), owner=ANN, name=f"{name}.txt")
        for name in names:
            for passage in await documents.passages(f"{name}.txt", owner=ANN):
                answer = f"{around.replace('[', '')} It is so {passage.citation}, he said."
                (citation,) = await documents.cited(answer, owner=ANN)
                assert passage in citation.passages
                assert citation.place == passage.place


async def test_what_is_cited_and_is_not_there_has_no_passages(memory: Memory) -> None:
    documents = Documents(memory)
    await documents.index(pdf(["One.", "Two."]), owner=ANN, name="a.pdf")
    text = "So [a.pdf, page 2], and [a.pdf, page 9][b.pdf, page 1], again [a.pdf, page 2]; see [1] and [x, y]."
    cited = await documents.cited(text, owner=ANN)
    assert [(one.document, one.place, len(one.passages)) for one in cited] == [
        ("a.pdf", "page 2", 1),
        ("a.pdf", "page 9", 0),
        ("b.pdf", "page 1", 0),
    ]
    assert await documents.cited("nothing cited", owner=ANN) == []
    await documents.index(pdf(["One."]), owner=ANN, name="a.pdf")
    assert (await documents.cited(text, owner=ANN))[0].passages == (), "the page is gone"


async def test_what_is_removed_is_in_the_file_no_more(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        documents = Documents(memory)
        await documents.index(b"The vault opens at nine.", owner=ANN, name="xylophone.txt")
        assert await documents.remove("xylophone.txt", owner=ANN)
        assert not await documents.remove("xylophone.txt", owner=ANN)
        with pytest.raises(WrongDocument):
            await documents.remove("", owner=ANN)
    left = b"".join(file.read_bytes() for file in files(tmp_path))
    assert left
    assert b"vault" not in left
    assert b"xylophone" not in left


OWNERS = [Owner("ann"), Owner("bob"), Owner("ann", "acme")]
WORDS = st.lists(st.sampled_from(["tea", "cat", "rome", "\n\n"]), max_size=8).map(" ".join)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("index"), st.sampled_from(OWNERS), st.sampled_from(["a.txt", "b.txt"]), WORDS),
        st.tuples(st.just("remove"), st.sampled_from(OWNERS), st.sampled_from(["a.txt", "b.txt"]), st.just("")),
    ),
    max_size=12,
)


@given(CHANGES)
@settings(max_examples=15)
def test_a_memory_has_each_document_as_it_was_indexed_last_of_each_owner_their_own(
    changes: list[tuple[str, Owner, str, str]],
) -> None:
    async def compare() -> None:
        there: dict[tuple[Owner, str], str] = {}
        with TemporaryDirectory() as folder, Memory(Path(folder) / "m.db") as memory:
            documents = Documents(memory, characters=12)
            for what, owner, name, text in changes:
                if what == "remove":
                    gone = there.pop((owner, name), None) is not None
                    assert await documents.remove(name, owner=owner) == gone
                elif text.strip():
                    await documents.index(text.encode(), owner=owner, name=name)
                    there[owner, name] = text
            with Memory(Path(folder) / "m.db") as other:
                again = Documents(other)
                for owner in OWNERS:
                    assert {one.name for one in await again.indexed(owner=owner)} == {
                        name for whose, name in there if whose == owner
                    }
                    for name in ("a.txt", "b.txt"):
                        kept = "".join(one.text for one in await again.passages(name, owner=owner))
                        assert "".join(kept.split()) == "".join(there.get((owner, name), "").split())
                    expected = any("tea" in text for (whose, _), text in there.items() if whose == owner)
                    assert any("tea" in one.text for one in await again.search("tea", owner=owner)) == expected

    asyncio.run(compare())


def killed_after(path: Path, version: int) -> int:
    """Have a process index versions of a document, and kill it once it has said that this one is kept; which one it has
    said last."""
    process = subprocess.Popen([sys.executable, "-m", PROGRAM, str(path)], cwd=TOP, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = -1
    for line in process.stdout:
        said = int(line)
        if said >= version:
            break
    process.kill()
    said = max([said, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.wait()
    process.stdout.close()
    return said


async def test_after_kills_a_document_is_there_as_one_of_its_versions_whole_and_once(tmp_path: Path) -> None:
    for after in (0, 1, 4):
        said = killed_after(tmp_path / "m.db", after)
        with Memory(tmp_path / "m.db") as memory:
            documents = Documents(memory)
            (entry,) = await documents.indexed(owner=ANN)
            passages = await documents.passages("diary.txt", owner=ANN)
            versions = {int(one.text.split()[1]) for one in passages}
            assert len(versions) == 1, "of one version"
            assert versions.pop() >= said, "of the one that was said to be kept, or a later one"
            assert [int(one.text.split()[3]) for one in passages] == list(range(entry.passages)), "whole and once"
            found = await documents.search("version paragraph", owner=ANN, limit=1_000)
            assert len(found) == entry.passages, "words and vectors are those of the passages"
