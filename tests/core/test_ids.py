"""Ids: RFC 9562's layout, in the order in which they were made, and the same again from the same seed."""

from __future__ import annotations

import random
import uuid

from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.core.base.ids import uuid7

SECONDS = st.floats(0, 2**48 / 1000 - 1)


@given(SECONDS, st.integers())
def test_an_id_is_a_uuid_of_version_7_that_tells_its_millisecond(seconds: float, seed: int) -> None:
    text = uuid7(seconds, random.Random(seed))
    made = uuid.UUID(text)
    assert str(made) == text
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(seconds * 1000)


class Bits(random.Random):
    """Chance that is all ones, or all zeros."""

    def __init__(self, bit: int) -> None:
        super().__init__(0)
        self.bit = bit

    def getrandbits(self, k: int, /) -> int:
        return (1 << k) - 1 if self.bit else 0


def test_all_bits_but_those_of_time_version_and_variant_are_left_to_chance() -> None:
    # The example of RFC 9562, appendix A.6, is of this millisecond: Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00
    assert uuid7(1645557742.0, Bits(0)) == "017f22e2-79b0-7000-8000-000000000000"
    assert uuid7(1645557742.0, Bits(1)) == "017f22e2-79b0-7fff-bfff-ffffffffffff"


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=20, unique=True), st.integers())
def test_ids_sort_by_the_millisecond_in_which_they_were_made(milliseconds: list[int], seed: int) -> None:
    rng = random.Random(seed)
    ids = [uuid7((millisecond + 0.5) / 1000, rng) for millisecond in sorted(milliseconds)]
    assert ids == sorted(ids)


@given(st.lists(SECONDS, max_size=5), st.integers())
def test_the_same_seed_and_times_give_the_same_ids_and_no_two_are_alike(times: list[float], seed: int) -> None:
    one, other = random.Random(seed), random.Random(seed)
    ids = [uuid7(seconds, one) for seconds in times]
    assert ids == [uuid7(seconds, other) for seconds in times]
    assert len(set(ids)) == len(ids)
