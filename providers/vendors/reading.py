"""A vendor's answer is read within bounds: of time, of silence, of size. What is too much is given up, and not kept."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ProviderTimeout
from ..wire.failures import malformed
from .transport import Opened

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of an answer that comes whole, decompressed."""
LARGEST_STREAM = 256 * 1024 * 1024
"""Bytes of an answer that comes as events, all together; the events of a long answer are mostly wrapping."""
LARGEST_REFUSAL = 1024 * 1024
"""Bytes of an error's body that are read."""

AFTERWARDS = 1.0
"""Seconds to wait, after a finish reason, for what is told beside the answer: usage, signatures. Some vendors leave
the connection open."""


async def whole(opened: Opened, pace: Pace, head: bytes = b"", *, provider: str) -> bytes:
    """The rest of a body, behind its `head`.

    Raises:
        MalformedResponse: it is larger than any answer.
        ProviderTimeout: nothing but blanks came for too long.
        ProviderError: it broke off.
    """
    parts, size = [head], len(head)
    while chunk := await opened.read():
        pace.read(chunk)
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST_BODY:
            parts.clear()
            raise malformed(f"a body of more than {LARGEST_BODY} bytes", provider=provider)
    return b"".join(parts)


async def refusal(opened: Opened, pace: Pace) -> bytes:
    """The body of an error, cut where it says no more. Raises as `whole`."""
    parts, size = [], 0
    while chunk := await opened.read():
        pace.read(chunk)
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST_REFUSAL:
            break
    return b"".join(parts)[:LARGEST_REFUSAL]


class Pace:
    """How long a stream has been waited for, and how long it has said nothing. The time in which its reader does not
    read is not counted.

    Args:
        silence: seconds without an event that says something.
        total: seconds of waiting altogether.
        clock: seconds.
        provider: the provider's name, for errors.
    """

    __slots__ = ("_clock", "_provider", "_quiet", "_silence", "_since", "_size", "_spent", "_total")

    def __init__(self, silence: float, total: float, clock: Callable[[], float], *, provider: str) -> None:
        self._silence = silence
        self._total = total
        self._clock = clock
        self._provider = provider
        self._since = clock()
        self._quiet = self._spent = 0.0
        self._size = 0

    def waits(self) -> None:
        """The next bytes are waited for."""
        self._since = self._clock()

    def came(self, size: int) -> None:
        """So many bytes have come."""
        waited = self._clock() - self._since
        self._quiet += waited
        self._spent += waited
        self._size += size

    def heard(self) -> None:
        """They said something."""
        self._quiet = 0.0

    def read(self, chunk: bytes) -> None:
        """A piece of a body has come, and the next is waited for. Blanks say nothing. Raises as `check`."""
        self.came(len(chunk))
        if not chunk.isspace():
            self.heard()
        self.check()
        self.waits()

    def check(self) -> None:
        """Raise if it has been too long or too much.

        Raises:
            ProviderTimeout: too long.
            MalformedResponse: too much.
        """
        if self._quiet > self._silence:
            raise ProviderTimeout(
                f"{self._provider} sent nothing but signs of life for {self._silence:g} s", provider=self._provider
            )
        if self._spent > self._total:
            raise overdue(self._provider, self._total)
        if self._size > LARGEST_STREAM:
            raise malformed(f"a stream of more than {LARGEST_STREAM} bytes", provider=self._provider)


def overdue(provider: str, total: float) -> ProviderTimeout:
    """The error for an answer that takes too long as a whole."""
    return ProviderTimeout(f"{provider} was not done within {total:g} s", provider=provider)
