"""Messages as bytes: by pickle, in which a reference to an actor stands for the actor, wherever it lives."""

from __future__ import annotations

import copyreg
import io
import pickle
from collections import ChainMap
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, cast

from ...core.refs.ref import ActorRef
from ..errors import MessageNotPortable, RemoteFailure

LONGEST: Final = 1_000_000
"""Bytes of an exception at most; of a larger one only the words travel."""

WORDS: Final = 10_000
"""Characters of them at most."""


class Place(Protocol):
    """Says where references lead, and makes them of what was said: a node."""

    name: str

    def address_of(self, ref: ActorRef[Any]) -> tuple[str, str, str]:
        """The node, the path and the urn of an actor, here or elsewhere."""

    def ref_to(self, node: str, path: str, urn: str) -> ActorRef[Any]:
        """The reference for an address."""


def _unchangeable(mapping: dict[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(mapping)


# A mapping that nobody may change is plain data as well, and pickle has no way of its own for it.
_WAYS: Final = ChainMap[Any, Any](
    {MappingProxyType: lambda mapping: (_unchangeable, (dict(mapping),))}, cast("Any", copyreg.dispatch_table)
)


class _Pickler(pickle.Pickler):
    dispatch_table = _WAYS

    def __init__(self, file: io.BytesIO, place: Place) -> None:
        super().__init__(file, 5)
        self._place = place

    def persistent_id(self, obj: Any) -> Any:
        return self._place.address_of(obj) if isinstance(obj, ActorRef) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, place: Place) -> None:
        super().__init__(file)
        self._place = place

    def persistent_load(self, pid: Any) -> Any:
        return self._place.ref_to(*pid)


def write(what: Any, place: Place, name: Callable[[], str]) -> bytes:
    """A message as bytes.

    Args:
        what: the message.
        place: says where references lead.
        name: what it is, for the error.

    Raises:
        MessageNotPortable: it holds what cannot be written, such as a connection, a lock or a local function.
    """
    file = io.BytesIO()
    try:
        _Pickler(file, place).dump(what)
    except KeyboardInterrupt:
        raise
    except RecursionError:
        raise MessageNotPortable(f"{name()} is nested too deeply to be sent to another node") from None
    except BaseException as error:  # what is pickled may raise anything, and SystemExit would end the event loop
        # Not the error's own words: they show what stands in the message.
        raise MessageNotPortable(
            f"{name()} cannot be sent to another node: a {type(what).__qualname__} holds what cannot be pickled"
            f" ({type(error).__name__}); send plain data, dataclasses and references to actors"
        ) from None
    return file.getvalue()


def read(data: bytes, place: Place, name: Callable[[], str]) -> Any:
    """A message that came as bytes.

    Args:
        data: from `write`, on another node.
        place: makes references.
        name: what it is, for the error.

    Raises:
        MessageNotPortable: it cannot be read here: its class is not known, or another one.
    """
    try:
        return _Unpickler(io.BytesIO(data), place).load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # as above
        raise MessageNotPortable(
            f"{name()} cannot be read on node {place.name} ({type(error).__name__}): does it have the same code?"
        ) from None


def write_error(error: BaseException, place: Place) -> bytes:
    """An exception as bytes; one that would not come back as it is, or is large, as a `RemoteFailure` of its words."""
    try:
        data = write(error, place, lambda: "an error")
        if len(data) <= LONGEST and type(read(data, place, lambda: "an error")) is type(error):
            return data
    except MessageNotPortable:
        pass
    return write(RemoteFailure(f"{type(error).__qualname__}: {_words(error)}"), place, lambda: "an error")


def _words(error: BaseException) -> str:
    try:
        return str(error)[:WORDS]
    except KeyboardInterrupt:
        raise
    except BaseException as failed:  # as above
        return f"it cannot be shown ({type(failed).__name__})"
