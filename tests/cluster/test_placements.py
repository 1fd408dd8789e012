"""A conversation stays where it was placed, whatever the loads; nodes that join take their part."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.cluster.placement import Candidate, place, score
from callboard.actors.cluster.placements import Placements

from .stage import stage
from .test_runs import say_loads

NAMES = "abcdefgh"
names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True)
some_loads = st.lists(st.integers(0, 50), min_size=8, max_size=8)
keys = st.text(min_size=1, max_size=4)


def known(nodes: list[str], most: int = 1000) -> Placements:
    made = Placements(most)
    for node in nodes:
        made.joined(node)
    return made


def with_loads(nodes: list[str], loads: list[int]) -> dict[str, Candidate]:
    return {node: Candidate(node, load) for node, load in zip(nodes, loads, strict=False)}


@given(names, keys, st.lists(some_loads, min_size=1, max_size=6))
def test_loads_move_no_conversation(nodes: list[str], key: str, looks: list[list[int]]) -> None:
    placements = known(nodes)
    first = with_loads(nodes, looks[0])
    placed = {placements.place(key, key, with_loads(nodes, loads)) for loads in looks}
    assert placed == {place(key, list(first.values()))}


@given(names, keys, some_loads, some_loads, some_loads)
def test_a_node_that_joins_takes_what_it_wants_more_and_the_rest_stays(
    nodes: list[str], key: str, before: list[int], then: list[int], later: list[int]
) -> None:
    new = next(name for name in NAMES if name not in nodes)
    placements = known(nodes)
    was = placements.place(key, key, with_loads(nodes, before))
    placements.joined(new)
    now = placements.place(key, key, with_loads([*nodes, new], then))
    assert was is not None
    assert now in (was, new)
    if now == new:
        assert score(key, new) > score(key, was)
    assert placements.place(key, key, with_loads([*nodes, new], later)) == now


@given(names, keys, some_loads, some_loads)
def test_what_a_node_had_that_is_gone_or_was_away_is_placed_as_if_it_were_new(
    nodes: list[str], key: str, before: list[int], then: list[int]
) -> None:
    placements = known(nodes)
    was = placements.place(key, key, with_loads(nodes, before))
    assert was is not None
    placements.left(was)
    rest = with_loads([node for node in nodes if node != was], then)
    assert known(nodes).place(key, key, rest) == placements.place(key, key, rest)
    placements.joined(was)
    again = known(nodes)
    again.place(key, key, with_loads(nodes, before))
    again.left(was)
    again.joined(was)
    everywhere = with_loads(nodes, then)
    assert again.place(key, key, everywhere) == place(key, list(everywhere.values()))


def test_no_more_is_remembered_than_is_said_and_a_new_node_gets_its_even_part() -> None:
    nodes = list("abc")
    placements = known(nodes, most=4000)
    for number in range(6000):
        placements.place(f"c{number}", f"c{number}", with_loads(nodes, [1, 1, 1]))
    assert len(placements) == 4000
    placements.joined("d")
    counted = Counter(
        placements.place(f"c{number}", f"c{number}", with_loads([*nodes, "d"], [0, 0, 0, 0]))
        for number in range(2000, 6000)
    )
    assert 900 < counted["d"] < 1100


async def test_runs_of_a_conversation_stay_on_their_node_as_loads_change() -> None:
    async with stage("one", "two", "three") as made:
        conversation = made.conversation_on("two")
        one = made.nodes["one"]
        assert (await one.run("where", conversation=conversation)).text == "it was two"
        say_loads(made, "one", {"one": 0, "two": 50, "three": 0})
        assert (await one.run("where", conversation=conversation)).text == "it was two"
        await made.nodes["two"].stop()
        assert (await one.run("where", conversation=conversation)).text in ("it was one", "it was three")
