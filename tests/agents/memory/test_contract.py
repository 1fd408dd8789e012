"""What a memory promises, on every store."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from callboard import FactEnded, Memory, NewFact, Owner, UnknownFact, WrongFact

from .support import ANN, BOB, NOW, Open, Words, texts


async def test_what_is_added_is_found_by_its_words_with_its_source(memory: Memory) -> None:
    added = await memory.add(
        "Ann drinks green tea", owner=ANN, source="chat of May", labels=["taste"], metadata={"n": 1}
    )
    await memory.add("The printer is on the second floor", owner=ANN)
    found = await memory.search("which tea?", owner=ANN)
    assert found[0].fact == added
    assert (added.source, added.labels, added.metadata, added.owner) == ("chat of May", ("taste",), {"n": 1}, ANN)


@pytest.mark.parametrize(
    ("text", "query", "other"),
    [
        ("مُحَمَّد كاتب", "محمد", "أحمد كاتب"),
        ("שָׁלוֹם עולם", "שלום", "ספר חדש"),
        ("हिन्दी भाषा", "भाषा", "शब्द भष"),
        ("தமிழ் மொழி", "தமிழ்", "தழம"),
        ("မြန်မာ စာ", "မြန်မာ", "မန"),
        ("Łódź, Málaga", "malaga", "mal aga"),
    ],
    ids=["Arabic", "Hebrew", "Hindi", "Tamil", "Burmese", "Spanish"],
)
async def test_words_of_every_script_are_found_whole_with_and_without_their_points(
    opened: Open, text: str, query: str, other: str
) -> None:
    embedder = Words("x")
    embedder.fails = True
    memory = opened(embedder=embedder)
    await memory.add_all([other, text], owner=ANN)
    assert texts(await memory.search(query, owner=ANN))[:1] == [text]


async def test_the_fact_with_more_of_the_rarer_words_comes_first(memory: Memory) -> None:
    for number in range(20):
        await memory.add(f"meeting number {number} was about the budget", owner=ANN)
    await memory.add("meeting about the aquarium", owner=ANN)
    found = await memory.search("meeting aquarium", owner=ANN)
    assert found[0].fact.text == "meeting about the aquarium"
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


class Cars:
    """An embedder that knows what a car is; everything else is alike to it."""

    name = "cars"

    async def embed(self, texts: Sequence[str]) -> Any:
        return np.array([[float("car" in text or "automobile" in text), 1.0] for text in texts])


async def test_what_is_nearer_than_all_others_is_among_the_first_and_the_others_fill_up(opened: Open) -> None:
    memory = opened(embedder=Cars())
    await memory.add_all([f"the plan of the week {number}" for number in range(60)], owner=ANN)
    await memory.add("an automobile was bought", owner=ANN)
    found = texts(await memory.search("the price of the car", owner=ANN, limit=100))
    assert "an automobile was bought" in found[:2]
    assert len(found) == 61
    assert texts(await memory.search("nothing that is known", owner=ANN, limit=3)) != [], "where all are as near"


async def test_what_shares_a_rare_word_comes_before_what_is_only_as_near_as_most(opened: Open) -> None:
    memory = opened(embedder=Cars())
    await memory.add_all([f"the plan of the week {number}" for number in range(60)], owner=ANN)
    await memory.add("an aquarium", owner=ANN)
    assert texts(await memory.search("the plan of the aquarium", owner=ANN))[0] == "an aquarium"


async def test_a_word_that_many_facts_have_is_not_looked_for_beside_one_that_tells_more(opened: Open) -> None:
    nearness = Words()
    nearness.fails = True  # found by words alone
    memory = opened(embedder=nearness)
    plans = [f"the plan of week {number}" for number in range(60)]
    await memory.add_all(
        [NewFact(plan, kind="chunk" if at % 2 else "fact") for at, plan in enumerate(plans)], owner=ANN
    )
    await memory.add("the aquarium", owner=ANN)
    await memory.add_all([f"a crab {number}" for number in range(10)], owner=ANN)
    await memory.add_all(["the aquarium", *(f"the seal {number}" for number in range(10))], owner=BOB)

    async def found(query: str, owner: Owner = ANN) -> list[str]:
        return sorted(texts(await memory.search(query, owner=owner, limit=100)))

    assert await found("the plan of the aquarium") == ["the aquarium"]
    assert await found("the plan of the unheard aquarium") == ["the aquarium"]
    assert len(await found("the plan")) == 31, "where there is nothing else"
    assert len(await found("the unheard plan")) == 31, "nor does a word help that nobody has"
    assert len(await found("crab aquarium")) == 11, "ten are not many"
    assert len(await found("the aquarium", BOB)) == 1, "it is the owner's facts that count: eleven of eleven"
    found_by_all = texts(await memory.search_all("the aquarium", limit=100))
    assert sorted(found_by_all) == ["the aquarium", "the aquarium"]
    agents = Owner(agent="Clerk")
    await memory.add_all(["the whale", *(f"the tuna {number}" for number in range(20))], owner=agents)
    assert await found("the whale", agents) == ["the whale"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Sie wohnt in Zürich", "ZURICH"),
        ("die Straße ist gesperrt", "STRASSE"),
        ("東京で会議があります", "会議"),
        ("우리는 서울에서 만났다", "서울"),
        ("ﬁle names", "file"),
        ("snake_case is used", "snake_case"),
        ("it's 'quoted' \"text\"", 'quoted" OR'),
        ("C* NEAR(x) - AND NOT ^y", "NEAR"),
    ],
)
async def test_words_are_found_in_any_writing(memory: Memory, text: str, query: str) -> None:
    await memory.add("something else entirely", owner=ANN)
    await memory.add(text, owner=ANN)
    assert texts(await memory.search(query, owner=ANN, limit=1)) == [text]


@pytest.mark.parametrize("query", ["", "   ", "?!", '"', "* ^ : -", "💥"])
async def test_a_query_without_words_is_no_error(memory: Memory, query: str) -> None:
    await memory.add("something", owner=ANN)
    assert len(await memory.search(query, owner=ANN)) <= 1


async def test_nobody_sees_what_belongs_to_another_user_or_tenant(memory: Memory) -> None:
    owners = [ANN, BOB, Owner("ann", "other"), Owner("ann"), Owner(tenant="acme"), Owner(agent="Clerk")]
    for owner in owners:
        await memory.add(f"the secret of {owner}", owner=owner)
    for owner in owners:
        assert texts(await memory.search("the secret", owner=owner)) == [f"the secret of {owner}"]
        assert texts(await memory.facts(owner=owner)) == [f"the secret of {owner}"]
        assert [fact["text"] for fact in await memory.export(owner=owner)] == [f"the secret of {owner}"]


async def test_an_agent_sees_its_own_facts_and_those_of_no_agent(memory: Memory) -> None:
    clerk, cook = Owner("ann", "acme", "Clerk"), Owner("ann", "acme", "Cook")
    for owner, text in ((ANN, "shared"), (clerk, "the clerk's"), (cook, "the cook's")):
        await memory.add(f"note: {text}", owner=owner)
    assert set(texts(await memory.search("note", owner=clerk))) == {"note: shared", "note: the clerk's"}
    assert set(texts(await memory.search("note", owner=cook))) == {"note: shared", "note: the cook's"}
    assert len(await memory.search("note", owner=ANN)) == 3
    assert len(await memory.export(owner=clerk)) == 2


async def test_everybody_is_searched_only_by_the_method_of_that_name(memory: Memory) -> None:
    await memory.add("ann likes tea", owner=ANN)
    await memory.add("bob likes tea", owner=BOB)
    assert sorted(texts(await memory.search_all("tea"))) == ["ann likes tea", "bob likes tea"]
    with pytest.raises(TypeError):
        await memory.search("tea")  # type: ignore[call-arg]
    with pytest.raises(WrongFact, match="owner is an Owner, not NoneType"):
        await memory.search("tea", owner=None)  # type: ignore[arg-type]


async def test_a_correction_ends_the_fact_and_leaves_it_to_be_found_for_the_time_before(memory: Memory) -> None:
    old = await memory.add("Ann lives in Rome", owner=ANN, valid_from=NOW, labels=["place"], metadata={"sure": True})
    new = await memory.correct(old.id, "Ann lives in Oslo", owner=ANN, source="her mail", at=NOW + 10)
    assert (new.supersedes, new.source, new.labels, new.metadata) == (old.id, "her mail", ("place",), {"sure": True})
    assert texts(await memory.search("lives", owner=ANN, at=NOW + 9.9)) == ["Ann lives in Rome"]
    assert texts(await memory.search("lives", owner=ANN, at=NOW + 10)) == ["Ann lives in Oslo"]
    kept = await memory.get(old.id, owner=ANN)
    assert (kept.text, kept.valid_to) == ("Ann lives in Rome", NOW + 10)


async def test_what_corrects_a_fact_that_has_an_end_has_the_same_one(memory: Memory) -> None:
    away = await memory.add("Ann is away", owner=ANN, valid_from=NOW, valid_to=NOW + 10)
    assert (await memory.correct(away.id, "Ann is in Rome", owner=ANN, at=NOW + 3)).valid_to == NOW + 10
    cat = await memory.add("Ann has a cat", owner=ANN, valid_from=NOW)
    await memory.forget(cat.id, owner=ANN, at=NOW + 10)
    await memory.correct(cat.id, "Ann has two cats", owner=ANN, at=NOW + 3)
    assert await memory.facts(owner=ANN, at=NOW + 10) == [], "what is forgotten stays so"
    assert texts(await memory.facts(owner=ANN, at=NOW + 9)) == ["Ann is in Rome", "Ann has two cats"]


async def test_a_fact_is_corrected_once(memory: Memory) -> None:
    old = await memory.add("Ann lives in Rome", owner=ANN)
    new = await memory.correct(old.id, "Ann lives in Oslo", owner=ANN)
    with pytest.raises(FactEnded, match=new.id) as raised:
        await memory.correct(old.id, "Ann lives in Bern", owner=ANN)
    assert (raised.value.id, raised.value.by) == (old.id, new.id)
    assert texts(await memory.facts(owner=ANN)) == ["Ann lives in Oslo"]
    assert (await memory.correct(new.id, "Ann lives in Bern", owner=ANN)).supersedes == new.id


async def test_of_corrections_at_once_one_counts(memory: Memory) -> None:
    old = await memory.add("Ann lives in Rome", owner=ANN)
    outcomes = await asyncio.gather(
        *(memory.correct(old.id, f"Ann lives in {city}", owner=ANN) for city in ("Oslo", "Bern", "Bonn")),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, FactEnded) for outcome in outcomes) == 2
    assert len(await memory.facts(owner=ANN)) == 1


async def test_what_is_forgotten_is_not_true_any_more_and_is_found_for_the_time_before(memory: Memory) -> None:
    fact = await memory.add("Ann has a cat", owner=ANN, valid_from=NOW)
    ended = await memory.forget(fact.id, owner=ANN, at=NOW + 5)
    assert ended.valid_to == NOW + 5
    assert await memory.search("cat", owner=ANN, at=NOW + 5) == []
    assert texts(await memory.search("cat", owner=ANN, at=NOW + 4)) == ["Ann has a cat"]
    assert (await memory.forget(fact.id, owner=ANN, at=NOW + 9)).valid_to == NOW + 5, "the first time counts"
    with pytest.raises(FactEnded, match="add a new one"):
        await memory.correct(fact.id, "Ann has two cats", owner=ANN, at=NOW + 7)


async def test_a_fact_is_true_from_its_beginning_to_its_end(memory: Memory) -> None:
    await memory.add("the shop is closed", owner=ANN, valid_from=NOW, valid_to=NOW + 10)
    seen = [len(await memory.search("shop", owner=ANN, at=NOW + after)) for after in (-0.5, 0, 9.5, 10)]
    assert seen == [0, 1, 1, 0]
    assert await memory.search("shop", owner=ANN) == []


async def test_a_fact_is_true_from_now_on_unless_it_is_said(memory: Memory) -> None:
    before = time.time()
    fact = await memory.add("it rains", owner=ANN)
    assert before <= fact.valid_from <= time.time()
    assert fact.valid_to is None
    assert (await memory.add("it rained", owner=ANN, valid_to=NOW - 10**9)).is_valid(NOW) is False


async def test_of_others_facts_nothing_can_be_changed_or_told(memory: Memory) -> None:
    fact = await memory.add("Ann has a cat", owner=ANN)
    for other in (BOB, Owner("ann"), Owner("ann", "other"), Owner("nobody")):
        for attempt in (
            memory.get(fact.id, owner=other),
            memory.correct(fact.id, "no", owner=other),
            memory.forget(fact.id, owner=other),
        ):
            with pytest.raises(UnknownFact, match="the owner has no fact"):
                await attempt
        assert await memory.erase(owner=other) == 0
    assert await memory.facts(owner=ANN) == [fact]


async def test_under_one_key_there_is_one_fact_of_a_user(memory: Memory) -> None:
    first = await memory.add("Ann has a cat", owner=ANN, key="call-1")
    again = await asyncio.gather(*(memory.add("Ann has a dog", owner=ANN, key="call-1") for _ in range(5)))
    assert again == [first] * 5
    assert (await memory.add("Bob has a dog", owner=BOB, key="call-1")).text == "Bob has a dog"
    assert texts(await memory.facts(owner=ANN)) == ["Ann has a cat"]
    new = await memory.correct(first.id, "Ann has two cats", owner=ANN, key="call-2")
    assert await memory.correct(first.id, "Ann has no cat", owner=ANN, key="call-2") == new


async def test_several_facts_are_kept_in_order_under_one_key(memory: Memory) -> None:
    facts: list[str | NewFact] = ["one", NewFact("two", source="book", kind="chunk"), "three"]
    kept = await memory.add_all(facts, owner=ANN, key="book")
    assert await memory.add_all(["other"], owner=ANN, key="book") == kept
    assert [fact["text"] for fact in await memory.export(owner=ANN)] == ["one", "two", "three"]
    assert await memory.add_all([], owner=ANN) == []


async def test_a_search_looks_at_one_kind_unless_all_are_asked_for(memory: Memory) -> None:
    await memory.add("tea is a drink", owner=ANN)
    await memory.add("tea is grown in Assam", owner=ANN, kind="chunk")
    assert texts(await memory.search("tea", owner=ANN)) == ["tea is a drink"]
    assert texts(await memory.search("tea", owner=ANN, kind="chunk")) == ["tea is grown in Assam"]
    assert len(await memory.search("tea", owner=ANN, kind=None)) == 2
    assert texts(await memory.facts(owner=ANN, kind="chunk")) == ["tea is grown in Assam"]


async def test_what_is_erased_is_gone_with_its_past(memory: Memory) -> None:
    fact = await memory.add("Ann has a cat", owner=ANN, valid_from=NOW, key="k")
    await memory.correct(fact.id, "Ann has two cats", owner=ANN, at=NOW + 1)
    await memory.add("Bob has a cat", owner=BOB)
    assert await memory.erase(owner=ANN) == 2
    assert await memory.export(owner=ANN) == []
    assert await memory.search("cat", owner=ANN, at=NOW) == []
    with pytest.raises(UnknownFact):
        await memory.get(fact.id, owner=ANN)
    assert texts(await memory.search_all("cat")) == ["Bob has a cat"]
    assert (await memory.add("Ann is back", owner=ANN, key="k")).text == "Ann is back"
    assert texts(await memory.search("back cat", owner=ANN)) == ["Ann is back"]


async def test_one_source_or_one_agent_can_be_erased(memory: Memory) -> None:
    clerk = Owner("ann", "acme", "Clerk")
    await memory.add("from the mail", owner=ANN, source="mail")
    await memory.add("from the chat", owner=ANN, source="chat")
    await memory.add("the clerk's", owner=clerk, source="chat")
    assert await memory.erase(owner=ANN, source="mail") == 1
    assert texts(await memory.facts(owner=ANN)) == ["from the chat", "the clerk's"]
    assert await memory.erase(owner=clerk) == 1
    assert texts(await memory.search("from the clerk mail chat", owner=ANN)) == ["from the chat"]


async def test_what_replaces_a_source_deletes_what_came_from_there_of_its_kind_and_nothing_else(memory: Memory) -> None:
    await memory.add_all([NewFact(text, "page", kind="chunk") for text in ("old tea", "old milk")], owner=ANN)
    await memory.add("tea is on the page", owner=ANN, source="page")
    await memory.add("another page's tea", owner=ANN, source="other", kind="chunk")
    await memory.add("Bob's tea", owner=BOB, source="page", kind="chunk")
    new = [NewFact("new tea", "page", kind="chunk")]
    (kept,) = await memory.add_all(new, owner=ANN, key="v2", replacing="page")
    expected = ["another page's tea", "new tea"]
    assert texts(await memory.facts(owner=ANN, kind="chunk")) == expected
    assert sorted(texts(await memory.search("tea milk", owner=ANN, kind="chunk"))) == expected
    assert texts(await memory.facts(owner=ANN)) == ["tea is on the page"]
    assert texts(await memory.facts(owner=BOB, kind="chunk")) == ["Bob's tea"]
    await memory.add("added later", owner=ANN, source="page", kind="chunk")
    assert await memory.add_all(new, owner=ANN, key="v2", replacing="page") == [kept], "with a known key nothing goes"
    assert len(await memory.facts(owner=ANN, kind="chunk")) == 3
    assert await memory.erase(owner=ANN, source="page", kinds=["chunk"]) == 2
    assert texts(await memory.facts(owner=ANN, kind=None)) == ["tea is on the page", "another page's tea"]


async def test_what_is_read_while_it_is_replaced_is_all_of_it_as_it_was_or_as_it_is(memory: Memory) -> None:
    """As many as are read at once elsewhere do not do: a document has thousands of passages."""
    many = 1_200
    await memory.add_all([NewFact("0", "page")] * many, owner=ANN)
    for version in range(1, 6):
        read, _, exported = await asyncio.gather(
            memory.facts(owner=ANN),
            memory.add_all([NewFact(str(version), "page")] * many, owner=ANN, replacing="page"),
            memory.export(owner=ANN),
        )
        for found in (texts(read), [fact["text"] for fact in exported]):
            assert found in ([str(version - 1)] * many, [str(version)] * many)


async def test_what_comes_in_place_of_a_fact_is_added_as_that_is_deleted_and_not_where_it_is_gone(
    memory: Memory,
) -> None:
    draft = await memory.add("a draft", owner=ANN, kind="draft")
    other = await memory.add("another draft", owner=ANN, kind="draft")
    (kept,) = await memory.add_all(["tea"], owner=ANN, key="k", in_place_of=draft.id)
    assert texts(await memory.facts(owner=ANN, kind=None)) == ["another draft", "tea"]
    with pytest.raises(UnknownFact):
        await memory.add_all(["milk"], owner=ANN, in_place_of=draft.id)
    with pytest.raises(UnknownFact):
        await memory.add_all(["milk"], owner=BOB, in_place_of=other.id)
    with pytest.raises(WrongFact):
        await memory.add_all(["milk"], owner=ANN, in_place_of=other.id, replacing="")
    assert await memory.add_all(["milk"], owner=ANN, key="k", in_place_of=other.id) == [kept], "a key that is known"
    assert texts(await memory.facts(owner=ANN, kind=None)) == ["tea"], "what it was made of goes all the same"
    assert await memory.add_all([], owner=ANN, in_place_of=kept.id) == []
    with pytest.raises(UnknownFact):
        await memory.add_all([], owner=ANN, in_place_of=kept.id)
    assert await memory.export(owner=ANN) == []


async def test_where_what_replaces_cannot_be_kept_nothing_goes(memory: Memory) -> None:
    await memory.add("old", owner=ANN, source="page")
    wrong: Any = [NewFact("new", "page"), 7]
    for attempt in (
        memory.add_all(wrong, owner=ANN, replacing="page"),
        memory.add_all(["new"], owner=ANN, replacing=wrong),
        memory.add_all("new", owner=ANN, replacing="page"),
        memory.add_all(wrong[1], owner=ANN),
        memory.erase(owner=ANN, kinds="fact"),
        memory.erase(owner=ANN, kinds=wrong[1]),
        memory.erase(owner=ANN, kinds=[wrong]),
    ):
        with pytest.raises(WrongFact):
            await attempt
    assert texts(await memory.facts(owner=ANN)) == ["old"]


async def test_a_key_may_be_as_long_as_it_likes(memory: Memory) -> None:
    """Longer than what PostgreSQL finds something by."""
    key = "".join(chr(0x3400 + number) for number in range(9_000))
    kept = await memory.add("tea", owner=ANN, key=key)
    assert await memory.add("milk", owner=ANN, key=key) == kept
    assert await memory.add("milk", owner=ANN, key=key + "!") != kept


async def test_of_a_query_as_long_as_a_book_the_first_words_are_looked_for(memory: Memory) -> None:
    await memory.add_all(["tea", "milk"], owner=ANN)
    book = " ".join(f"word{number}" for number in range(50_000))
    assert texts(await memory.search(f"tea {book}", owner=ANN, limit=1)) == ["tea"]


@pytest.mark.parametrize("wrong", [5, b"fact", ["fact"]])
async def test_what_is_looked_for_wrongly_is_refused(memory: Memory, wrong: Any) -> None:
    for attempt in (
        memory.facts(owner=ANN, kind=wrong),
        memory.facts(owner=ANN, source=wrong),
        memory.search("tea", owner=ANN, kind=wrong),
        memory.search_all("tea", kind=wrong),
    ):
        with pytest.raises(WrongFact, match="is a text, not"):
            await attempt


async def test_an_export_is_plain_data_and_has_what_has_ended(memory: Memory) -> None:
    fact = await memory.add("Ann lives in Rome", owner=ANN, valid_from=NOW, metadata={"a": [1, None]}, labels=["x"])
    await memory.correct(fact.id, "Ann lives in Oslo", owner=ANN, at=NOW + 1)
    await memory.add("a chunk", owner=ANN, kind="chunk")
    exported: list[dict[str, Any]] = json.loads(json.dumps(await memory.export(owner=ANN)))
    assert [one["text"] for one in exported] == ["Ann lives in Rome", "Ann lives in Oslo", "a chunk"]
    assert exported[0] == {
        "id": fact.id,
        "text": "Ann lives in Rome",
        "source": "",
        "owner": {"user": "ann", "tenant": "acme", "agent": ""},
        "valid_from": NOW,
        "valid_to": NOW + 1,
        "labels": ["x"],
        "metadata": {"a": [1, None]},
        "kind": "fact",
        "supersedes": "",
    }


async def test_more_facts_than_a_page_are_listed_in_the_order_in_which_they_were_added(memory: Memory) -> None:
    wanted = [f"fact number {number}" for number in range(1_201)]
    await memory.add_all(wanted, owner=ANN)
    await memory.add("another one's", owner=BOB)
    assert texts(await memory.facts(owner=ANN)) == wanted
    assert len(await memory.search("number", owner=ANN, limit=70)) == 70


async def test_many_who_add_at_once_lose_nothing(memory: Memory) -> None:
    await asyncio.gather(*(memory.add(f"note {n}", owner=ANN if n % 2 else BOB) for n in range(200)))
    assert len(await memory.facts(owner=ANN)) == len(await memory.facts(owner=BOB)) == 100


async def test_what_an_add_returned_is_found_by_the_next_search(memory: Memory) -> None:
    for number in range(30):
        await memory.add(f"the code is x{number}y", owner=ANN)
        assert texts(await memory.search(f"x{number}y", owner=ANN, limit=1)) == [f"the code is x{number}y"]


async def test_metadata_in_which_backslashes_stand_are_kept_as_they_are(memory: Memory) -> None:
    given = {"path": "C:\\u0000", "\\\\u0000": '"\\'}
    kept = await memory.add("where it is", owner=ANN, metadata=given)
    assert (await memory.get(kept.id, owner=ANN)).metadata == given


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"text": "  "}, "a fact has no text"),
        ({"text": 5}, "the text of a fact is a text, not int"),
        ({"text": "a\0b"}, "null character"),
        ({"text": "\ud800"}, "half of a surrogate pair"),
        ({"text": "x" * 100_001}, "100,001 characters"),
        ({"source": None}, "the source of a fact is a text, not NoneType"),
        ({"kind": ""}, "kind is ''"),
        ({"valid_from": math.nan}, "valid_from is seconds since 1970, not nan"),
        ({"valid_to": "tomorrow"}, "valid_to is seconds since 1970"),
        ({"valid_from": 5, "valid_to": 5}, "ends before it begins"),
        ({"labels": "one"}, "labels of a fact are several texts, not str"),
        ({"labels": [""]}, "none of them is empty"),
        ({"labels": ["taste", "untrusted"]}, "the label 'untrusted' would say nothing: write 'untrusted: …'"),
        ({"labels": ["Confidential:salaries"]}, "write 'confidential: …'"),
        ({"labels": ["untrusted: "]}, "the label 'untrusted: ' would say nothing"),
        ({"metadata": {"a": object()}}, "metadata of a fact are plain data"),
        ({"metadata": {"a": math.inf}}, "metadata of a fact are plain data"),
        ({"metadata": {"a": "\0"}}, "null character"),
        ({"metadata": {"a": "\\\0"}}, "null character"),
        ({"metadata": [1]}, "not list"),
        ({"key": None}, "key is a text, not NoneType"),
        ({"owner": "ann"}, "owner is an Owner, not str"),
    ],
)
async def test_a_fact_that_cannot_be_kept_is_refused_by_name(memory: Memory, wrong: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"text": "ok", "owner": ANN, **wrong}
    with pytest.raises(WrongFact, match=said):
        await memory.add(given.pop("text"), **given)
    assert await memory.export(owner=ANN) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"limit": 0}, "limit is 0; expected a whole number, at least 1"),
        ({"at": "now"}, "at is seconds since 1970"),
        ({"query": None}, "query is a text, not NoneType"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused_by_name(
    memory: Memory, wrong: dict[str, Any], said: str
) -> None:
    given: dict[str, Any] = {"query": "tea", "owner": ANN, **wrong}
    with pytest.raises(WrongFact, match=said):
        await memory.search(given.pop("query"), **given)


@pytest.mark.parametrize(
    "wrong", [{}, {"user": 5}, {"user": "a\0"}, {"tenant": None}, {"agent": "\udfff"}, {"user": "é" * 251}]
)
def test_an_owner_names_somebody_with_text(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongFact):
        Owner(**wrong)


async def test_texts_are_in_no_repr_and_no_error(memory: Memory) -> None:
    fact = await memory.add("the password is swordfish", owner=ANN, metadata={"p": "swordfish"})
    assert "swordfish" not in repr(fact) + repr(NewFact("swordfish")) + repr(memory)
    with pytest.raises(WrongFact) as raised:
        await memory.add("ok", owner=ANN, metadata={"swordfish": {1, 2}})
    assert "swordfish" not in str(raised.value)
