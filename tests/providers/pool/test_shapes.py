"""A request of another shape is refused by name, with the place, and without what stands there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import System
from callboard.actors.testing import virtual_time
from callboard.providers.errors import InvalidRequest
from callboard.providers.messages import Message, Request, Text, ToolCall
from callboard.providers.pool import GetStats, Submit
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec

from .scripted import Script, endpoint, pool_of

WORD = "confidential"
SHAPES: list[tuple[Any, str]] = [
    (Request(WORD), "messages: expected a tuple of Message, not str"),  # type: ignore[arg-type]
    (Request(None), "messages: expected a tuple of Message, not NoneType"),  # type: ignore[arg-type]
    (Request((WORD,)), r"messages\[0\]: expected a Message, not str"),  # type: ignore[arg-type]
    (Request((Message("user", "x"),), model=5), "model: expected a model's name, not int"),  # type: ignore[arg-type]
    (Request((Message("user", None),)), r"messages\[0\].content: expected text or a tuple of parts, not NoneType"),  # type: ignore[arg-type]
    (None, "expected a Request, not NoneType"),
]
INNER: list[tuple[Any, str]] = [
    (Request((Message("user", (Text("x"), 5)),)), r"messages\[0\].content: expected text or a tuple"),  # type: ignore[arg-type]
    (
        Request((Message("user", "x"), Message("assistant", "", tool_calls=(WORD,)))),  # type: ignore[arg-type]
        r"messages\[1\].tool_calls: expected a tuple of ToolCall, not tuple",
    ),
    (
        Request((Message("user", "x"), Message("assistant", "", tool_calls=(ToolCall("c", "f", {WORD}),)))),  # type: ignore[arg-type]
        r"messages\[1\].tool_calls\[0\].arguments: expected a text, not set",
    ),
]
"""What only whoever writes the request looks at."""


@virtual_time
@pytest.mark.parametrize(("asked", "said"), SHAPES)
async def test_a_pool_refuses_what_is_no_request_by_the_place(asked: Any, said: str) -> None:
    async with pool_of(endpoint(Script("a"))) as pool:
        with pytest.raises(InvalidRequest, match=said) as caught:
            await pool.ask(Submit(asked))
        assert WORD not in str(caught.value)
        stats = await pool.ask(GetStats())
        assert (stats.pool.accepted, stats.pool.failed, stats.endpoints["a"].sent) == (1, 1, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("asked", "said"), [*SHAPES[:-1], *INNER])
async def test_a_provider_refuses_what_is_no_request_by_the_place(asked: Any, said: str, stream: bool) -> None:
    async with SimulatedProvider() as server, System("test") as system:
        spec = ProviderSpec("acme", api_key=SecretStr("k"), base_url=server.base_url, default_model="m")
        ref = system.supervise(child_spec(spec))
        with pytest.raises(InvalidRequest, match=said) as caught:
            await (anext(ref.stream(asked)) if stream else ref.ask(asked))
        assert WORD not in str(caught.value)
        assert not server.stats.requests
