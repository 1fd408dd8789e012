"""Where conversations are placed: the same everywhere, evenly, and little moves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.cluster.placement import BOUND, Candidate, bound, place, ranked, score

ids = st.text(min_size=1, max_size=8)
nodes = st.lists(ids, min_size=1, max_size=8, unique=True)


@given(nodes, ids, st.randoms())
def test_the_order_in_which_nodes_are_known_does_not_matter(names: list[str], key: str, random: object) -> None:
    candidates = [Candidate(name) for name in names]
    mixed = list(candidates)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert place(key, candidates) == place(key, mixed)
    assert [c.id for c in ranked(key, candidates)] == [c.id for c in ranked(key, mixed)]


@given(nodes, ids)
def test_without_loads_a_key_lives_with_the_highest_score(names: list[str], key: str) -> None:
    candidates = [Candidate(name) for name in names]
    assert place(key, candidates) == ranked(key, candidates)[0].id
    assert place(key, []) is None


@given(nodes, ids, ids)
def test_a_node_that_joins_only_takes_and_one_that_leaves_only_gives(names: list[str], new: str, key: str) -> None:
    before = [Candidate(name) for name in names if name != new]
    after = [*before, Candidate(new)]
    was, now = place(key, before), place(key, after)
    assert now in (was, new)


@given(st.lists(st.tuples(ids, st.integers(0, 50)), min_size=1, max_size=8, unique_by=lambda one: one[0]), ids)
def test_a_node_above_its_bound_gets_nothing_where_another_is_below(loads: list[tuple[str, int]], key: str) -> None:
    candidates = [Candidate(name, load) for name, load in loads]
    total = sum(load for _, load in loads) + 1
    most = bound(total, 1 / len(loads))
    found = next(node for node in candidates if node.id == place(key, candidates))
    assert found.load < most
    below = [node for node in ranked(key, candidates) if node.load < most]
    assert found == below[0]  # the highest score among those that take something


def test_keys_are_spread_evenly_and_by_weight() -> None:
    placed = Counter(place(f"c{n}", [Candidate("a"), Candidate("b"), Candidate("c", weight=2.0)]) for n in range(8000))
    assert 0.23 < placed["a"] / 8000 < 0.27
    assert 0.23 < placed["b"] / 8000 < 0.27
    assert 0.47 < placed["c"] / 8000 < 0.53


def test_loads_stay_within_the_bound_as_keys_are_placed_one_after_another() -> None:
    loads = dict.fromkeys("abcdefgh", 0)
    for number in range(2000):
        found = place(f"c{number}", [Candidate(id, load) for id, load in loads.items()])
        assert found is not None
        loads[found] += 1
        assert max(loads.values()) <= bound(number + 1, 1 / 8)
    assert max(loads.values()) <= BOUND * 2000 / 8 + 1


def test_two_texts_that_read_alike_together_are_not_the_same() -> None:
    assert score("b", "a") != score("", "ab")
    assert score("a", "b") != score("b", "a")
