"""Messages as bytes: by pickle, in which a reference to an actor stands for the actor, wherever it lives."""

from __future__ import annotations

import copyreg
import io
import pickle
from collections import ChainMap
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, cast

from ...core.refs.ref import ActorRef
from ..errors import MessageNotPortable, RemoteFailure

LONGEST: Final = 1_000_000
"""Bytes of an exception at most; of a larger one only the words travel."""

WORDS: Final = 10_000
"""Characters of them at most."""

CAUSES: Final = 10
"""Of an exception that travel with it, each the cause of the one before: there may be a circle of them."""


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


class Cause(NamedTuple):
    """The cause of an exception, on its way.

    Args:
        data: itself, as bytes.
        words: what is told of it where it cannot be read.
    """

    data: bytes
    words: str


class _Pickler(pickle.Pickler):
    dispatch_table = _WAYS

    def __init__(self, file: io.BytesIO, place: Place, causes: int) -> None:
        super().__init__(file, 5)
        self._place = place
        self._causes = causes

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is Cause:
            return tuple(obj)
        return self._place.address_of(obj) if isinstance(obj, ActorRef) else None

    def reducer_override(self, obj: Any) -> Any:
        """Pickle leaves an exception's cause behind."""
        cause = obj.__cause__ if isinstance(obj, BaseException) else None
        if cause is None or self._causes == 0:
            return NotImplemented
        made = obj.__reduce_ex__(5)
        state = made[2] if isinstance(made, tuple) and len(made) == 3 else None
        if not isinstance(made, tuple) or len(made) > 3 or not isinstance(state, dict | None):
            return NotImplemented  # a form of its own, which is left alone
        data = write_error(cause, self._place, self._causes - 1)
        return made[0], made[1], (state, Cause(data, _told(cause))), None, None, _with_cause


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, place: Place) -> None:
        super().__init__(file)
        self._place = place

    def persistent_load(self, pid: Any) -> Any:
        if len(pid) == 3:
            return self._place.ref_to(*pid)
        data, words = pid
        try:
            return read(data, self._place, lambda: "a cause")
        except MessageNotPortable:
            return RemoteFailure(words)


def _with_cause(error: BaseException, state: tuple[dict[str, Any] | None, BaseException]) -> None:
    own, cause = state
    if own is not None:
        error.__setstate__(own)
    error.__cause__ = cause


def write(what: Any, place: Place, name: Callable[[], str], causes: int = CAUSES) -> bytes:
    """A message as bytes.

    Args:
        what: the message.
        place: says where references lead.
        name: what it is, for the error.
        causes: how many causes of an exception in it travel with it.

    Raises:
        MessageNotPortable: it holds what cannot be written, such as a connection, a lock or a local function.
    """
    file = io.BytesIO()
    try:
        _Pickler(file, place, causes).dump(what)
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


def write_error(error: BaseException, place: Place, causes: int = CAUSES) -> bytes:
    """An exception as bytes; one that would not come back as it is, or is large, as a `RemoteFailure` of its words.

    Args:
        error: the exception.
        place: says where references lead.
        causes: how many causes travel with it.
    """
    try:
        data = write(error, place, lambda: "an error", causes)
        if len(data) <= LONGEST and type(read(data, place, lambda: "an error")) is type(error):
            return data
    except MessageNotPortable:
        pass
    return write(RemoteFailure(_told(error)), place, lambda: "an error")


def _told(error: BaseException) -> str:
    return f"{type(error).__qualname__}: {_words(error)}"


def _words(error: BaseException) -> str:
    try:
        return str(error)[:WORDS]
    except KeyboardInterrupt:
        raise
    except BaseException as failed:  # as above
        return f"it cannot be shown ({type(failed).__name__})"
