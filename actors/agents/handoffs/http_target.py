"""A target behind an HTTP endpoint: asked something once, within bounds of time, size and patience."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ....providers.checks import SOME_SECONDS, TEXT
from ....providers.wire.fitting.letters import mended
from ....providers.wire.limits import retry_after
from ....providers.wire.secrets import blot
from ...observe.spans import trace_headers
from ..errors import AgentUnavailable, DefinitionError
from ..wishes import AGENT_NAME, define

if TYPE_CHECKING:
    import httpx

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of an answer that are read, decompressed; more is no answer of an agent."""

ATTEMPTS: Final = 5
"""Times that an endpoint is asked that says it has too much to do."""

WAIT: Final = 1.0
"""Seconds to wait before it is asked the second time, where it does not say how long; doubled each time."""

SHOWN: Final = 200
"""Characters of a refusal that are told."""


class HttpTarget:
    """The base of targets that are asked by a POST. Two that are made of the same are the same.

    Args:
        kind: what it is called in errors.
        name: as the model knows it.
        url: its address.
        description: when to use it.
        timeout: seconds for the whole answer.
        transport: for tests: in place of the network.

    Raises:
        DefinitionError: the address is none of the web, or another argument is of the wrong type.

    Attributes:
        host: where it is, in lower case.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        url: str,
        description: str,
        timeout: float,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        define(f"a {kind}", name=(name, AGENT_NAME))
        whose = f"{kind} {name}"
        define(whose, description=(description, TEXT), timeout=(timeout, SOME_SECONDS))
        if not isinstance(url, str) or not url.startswith(("https://", "http://")) or not host_of(url):
            raise DefinitionError(f"the address of {whose} begins with https:// (or http://) and names a host")
        self.name = name
        self.description = description
        self.host = host_of(url)
        self._url = url
        self._timeout = timeout
        self._transport = transport

    @property
    def _there(self) -> str:
        """Which one it is, and where, for people: no more of the address than may be shown."""
        return f"{self.name} at {self.host}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._there}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.name, self._url))

    async def _post(
        self, payload: Mapping[str, object] | bytes, headers: Mapping[str, str], secrets: tuple[str, ...]
    ) -> bytes:
        """What it answers to JSON.

        Where it answers 429, or 503 with a time, it is asked again when it says, at most `ATTEMPTS` times and within
        the timeout: it has done nothing then. Redirects are not followed: they would take the task and the key
        elsewhere.

        Args:
            payload: what is sent: an object, or JSON as it is to go out.
            headers: sent along.
            secrets: what no error may show.

        Raises:
            AgentUnavailable: it cannot be reached, refuses, is too late, or says too much.
        """
        import httpx

        content = payload if isinstance(payload, bytes) else as_json(payload)
        headers = {"Content-Type": "application/json", **trace_headers(), **headers}
        what = ""
        now = asyncio.get_running_loop().time
        deadline = now() + self._timeout
        try:
            async with (
                asyncio.timeout_at(deadline),
                httpx.AsyncClient(timeout=None, transport=self._transport) as client,
            ):
                for attempt in range(ATTEMPTS):
                    request = client.build_request("POST", self._url, content=content, headers=headers)
                    response = await client.send(request, stream=True)
                    try:
                        body = await self._bounded(response)
                    finally:
                        await response.aclose()
                    if response.is_success:
                        return body
                    text = blot(" ".join(body.decode(errors="replace").split()), *secrets)[:SHOWN]
                    what = f"answered {response.status_code}: {text}"
                    asked_to_wait = retry_after(response.headers)
                    if response.is_redirect:
                        what = f"answered {response.status_code}: it has moved, and redirects are not followed"
                    if attempt + 1 == ATTEMPTS or not (
                        response.status_code == 429 or (response.status_code == 503 and asked_to_wait is not None)
                    ):
                        break
                    wait = WAIT * 2**attempt if asked_to_wait is None else asked_to_wait
                    if now() + wait >= deadline:
                        break
                    await asyncio.sleep(wait)
        except TimeoutError:
            what = what or f"did not answer within {self._timeout:g} seconds"
        except httpx.HTTPError as error:
            what = f"{type(error).__name__} {blot(str(error), self._url, *secrets)}".strip()
        raise AgentUnavailable(f"{self._there} {what}")

    async def _bounded(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for chunk in response.aiter_bytes():
            parts.append(chunk)
            size += len(chunk)
            if size > LARGEST:
                raise AgentUnavailable(f"{self._there} answered more than {LARGEST} bytes")
        return b"".join(parts)


def as_json(payload: Mapping[str, object]) -> bytes:
    """An object as it goes out. Half a character (a lone surrogate), which has no form there, becomes U+FFFD."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return str(mended(text)).encode()


def host_of(url: str) -> str:
    """The host of an address, in lower case; empty where it has none."""
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
