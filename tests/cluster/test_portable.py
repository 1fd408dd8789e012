"""Messages as bytes."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, NoReturn

import pytest

from callboard import ActorRef
from callboard.actors.cluster.errors import MessageNotPortable
from callboard.actors.cluster.link.portable import read, write


class Nowhere:
    """Knows of no actors."""

    name = "nowhere"

    def address_of(self, ref: ActorRef[Any]) -> tuple[str, str, str]:
        raise NotImplementedError

    def ref_to(self, node: str, path: str, urn: str) -> ActorRef[Any]:
        raise NotImplementedError


class Interrupts:
    """Ctrl-C comes as it is read, or already as it is written."""

    def __init__(self, written: bool) -> None:
        self.written = written

    def __reduce__(self) -> Any:
        return _interrupt() if self.written else (_interrupt, ())


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def test_an_interrupt_from_the_keyboard_is_no_fault_of_a_message() -> None:
    with pytest.raises(KeyboardInterrupt):
        write(Interrupts(written=True), Nowhere(), lambda: "it")
    data = write(Interrupts(written=False), Nowhere(), lambda: "it")
    with pytest.raises(KeyboardInterrupt):
        read(data, Nowhere(), lambda: "it")


def test_what_is_nested_too_deeply_is_named() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(MessageNotPortable, match="it is nested too deeply"):
        write(nested, Nowhere(), lambda: "it")


def test_a_mapping_that_nobody_may_change_comes_as_one() -> None:
    came = read(write(MappingProxyType({"a": 1}), Nowhere(), lambda: "it"), Nowhere(), lambda: "it")
    assert type(came) is MappingProxyType
    assert came == {"a": 1}
