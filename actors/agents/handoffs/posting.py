"""Asking an HTTP endpoint something once, within bounds of time, size and patience."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ....providers.wire.limits import retry_after
from ....providers.wire.secrets import blot
from ..errors import AgentUnavailable, DefinitionError

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


def check_address(url: object, whose: str) -> str:
    """An address of the web.

    Raises:
        DefinitionError: it is none.
    """
    if not isinstance(url, str) or not url.startswith(("https://", "http://")) or not host_of(url):
        raise DefinitionError(f"the address of {whose} begins with https:// (or http://) and names a host")
    return url


def host_of(url: str) -> str:
    """The host of an address, in lower case; empty where it has none."""
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def post(
    whom: str,
    url: str,
    payload: Mapping[str, object],
    headers: Mapping[str, str],
    *,
    timeout: float,
    secrets: tuple[str, ...] = (),
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """What an endpoint answers to a JSON object.

    Where it answers 429, or 503 with a time, it is asked again when it says, at most `ATTEMPTS` times and within the
    timeout: it has done nothing then. Redirects are not followed: they would take the task and the key elsewhere.

    Args:
        whom: the name to tell of in errors.
        url: its address, which no error shows.
        payload: what is sent.
        headers: sent along.
        timeout: seconds for all of it, waiting included.
        secrets: what no error may show.
        transport: for tests: in place of the network.

    Raises:
        AgentUnavailable: it cannot be reached, refuses, is too late, or says too much.
    """
    import httpx

    what = ""
    now = asyncio.get_running_loop().time
    deadline = now() + timeout
    try:
        async with asyncio.timeout_at(deadline), httpx.AsyncClient(timeout=None, transport=transport) as client:
            for attempt in range(ATTEMPTS):
                request = client.build_request("POST", url, json=payload, headers=headers)
                response = await client.send(request, stream=True)
                try:
                    body = await _bounded(response, whom)
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
        what = what or f"did not answer within {timeout:g} seconds"
    except httpx.HTTPError as error:
        what = f"{type(error).__name__} {blot(str(error), url, *secrets)}".strip()
    raise AgentUnavailable(f"{whom} {what}")


async def _bounded(response: httpx.Response, whom: str) -> bytes:
    parts, size = [], 0
    async for chunk in response.aiter_bytes():
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST:
            raise AgentUnavailable(f"{whom} answered more than {LARGEST} bytes")
    return b"".join(parts)
