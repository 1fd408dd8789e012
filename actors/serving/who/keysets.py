"""The public keys of whoever signs tokens, read from where they publish them (RFC 7517), and kept for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ...agents.errors import DefinitionError
from ..problems import Problem, Refused

FRESH: Final = 600.0
"""Seconds after which the keys are read again."""

STALE: Final = 86_400.0
"""Seconds for which keys that could not be read again still count."""

PAUSE: Final = 30.0
"""Seconds between two attempts to read them, however many tokens name a key that nobody knows."""

MOST_BYTES: Final = 512 * 1024
MOST_KEYS: Final = 100
TIMEOUT: Final = 10.0

MOST_WAITING: Final = 50
"""Tokens with keys that nobody knows that wait at once for the keys to be read: anybody can make such tokens up."""

logger = logging.getLogger("callboard")


class KeySet:
    """Public keys at an address.

    Args:
        url: https; http on this machine only.

    Raises:
        DefinitionError: it is no such address.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
            raise DefinitionError("Jwt: jwks_url is an https:// address: who could change what is read could sign")
        self._url = url
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._read_at = -STALE
        self._tried_at = -STALE
        self._reading: asyncio.Task[None] | None = None
        self._waiting = 0

    async def find(self, kid: object, algorithm: str) -> Any:
        """The key that a token names; None where there is none.

        Args:
            kid: its id; None where the token names none: then there must be one only.
            algorithm: with which the token is signed.

        Raises:
            Refused: there are no keys to go by: they cannot be read.
        """
        if not self._lasts(self._read_at, FRESH):
            reading = self._refresh()
            if reading is not None and not self._lasts(self._read_at, STALE):
                await asyncio.shield(reading)  # with keys that are only old nobody waits
        found = self._find(kid, algorithm)
        if found is None and kid is not None and self._waiting < MOST_WAITING and (reading := self._refresh()):
            self._waiting += 1
            try:
                await asyncio.shield(reading)
            finally:
                self._waiting -= 1
            found = self._find(kid, algorithm)
        if not self._lasts(self._read_at, STALE):
            message = "the keys that tokens are checked with cannot be read at the moment: come back"
            raise Refused(Problem(503, "keys_unavailable", message, retry_after=PAUSE))
        return found

    def _find(self, kid: object, algorithm: str) -> Any:
        import jwt

        fitting = [
            key
            for key in self._keys
            if (key.get("kid") == kid if kid is not None else True)
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
            and key.get("kty") == _KINDS.get(algorithm[:2])
        ]
        if len(fitting) != 1:
            return None
        try:
            return jwt.PyJWK(dict(fitting[0]), algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError):
            return None

    def _refresh(self) -> asyncio.Task[None] | None:
        """Read the keys again, unless that was tried just now. Many who want it have it done once."""
        if self._reading is None and not self._lasts(self._tried_at, PAUSE):
            self._tried_at = time.time()
            self._reading = asyncio.get_running_loop().create_task(self._read(), name="reading keys of tokens")
        return self._reading

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):  # in all: httpx's is for each piece
                self._keys = _keys_of(await self._fetched())
            self._read_at = time.time()
        except Exception as error:  # whatever stands there
            logger.warning("the keys of %s cannot be read: %s", urlsplit(self._url).hostname, type(error).__name__)
        finally:
            self._reading = None

    async def _fetched(self) -> bytes:
        import httpx

        async with (
            httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client,
            client.stream("GET", self._url) as response,
        ):
            if response.status_code != 200:
                raise ConnectionError("another status than 200")
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise ConnectionError("too long")
            return body

    @staticmethod
    def _lasts(since: float, seconds: float) -> bool:
        return 0 <= time.time() - since < seconds


_KINDS: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


def _keys_of(body: bytes) -> tuple[Mapping[str, Any], ...]:
    keys = json.loads(body)["keys"]
    found = tuple(key for key in keys if isinstance(key, dict))
    if not 0 < len(found) <= MOST_KEYS:
        raise ValueError("no keys, or too many")
    return found
