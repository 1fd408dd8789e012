"""What the campaigns of struck nodes find in what the database has seen."""

from __future__ import annotations

from benchmarks.campaigns.cluster_asking import strangers


def test_each_epoch_has_one_writer_and_an_earlier_one_gets_nothing_in() -> None:
    well = [("a", 1, "n0", 3), ("a", 2, "n0", 3), ("a", 3, "n1", 4), ("b", 1, "n0", 5)]
    assert strangers(well) == []
    assert [sentence for sentence, _ in strangers([*well[:2], ("a", 3, "n1", 3)])] == ["one writer an epoch"]
    late = [*well[:3], ("a", 4, "n0", 3)]
    assert [sentence for sentence, _ in strangers(late)] == ["nothing gets in after a takeover"]
