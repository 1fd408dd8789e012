"""Placement among a thousand nodes, as `actors/cluster/scale.md` reckons with."""

from __future__ import annotations

from benchmarks.campaigns.placement import simulate


def test_a_thousand_nodes_have_even_parts_and_little_moves() -> None:
    found = simulate(nodes=1000, conversations=20_000, sample=1000)
    even = found.conversations // found.nodes
    assert found.most <= 2.5 * even  # chance alone gives 20 ± 4.5, and 38 to the luckiest of a thousand
    assert found.least >= even // 10
    assert found.left <= found.most
    assert found.spread <= 3  # all others share what a node had that left
    assert 0 < found.joined <= 2.5 * even
    assert found.wrongly == 0
    assert found.loaded <= found.bound
    assert 0 < found.second < found.conversations // 10
    assert found.moved == 0 < found.swung
