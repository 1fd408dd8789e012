"""A provider that fails on demand: stands before any actor that answers `Request`, and strikes as fault plans say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ....providers.errors import ProviderOverloaded, ProviderTimeout, RateLimited, StreamCut
from ....providers.messages import Completion, Delta, Request
from ...core.actor import Actor
from ...core.refs.ref import ActorRef
from ..errors import FaultRefused
from .faults import ProviderFault


class FaultyProvider(Actor):
    """Hands requests on to another provider, a pool or a scripted model, except where a `ProviderFault` strikes.

    In a simulation, faults that name this actor's path strike; elsewhere those given here. Messages that are no
    `Request` are handed on as they are.

    Args:
        target: who answers.
        faults: each with a number: the requests of this actor are counted from 1.

    Raises:
        TypeError: nobody can be asked there.
        FaultRefused: something in ``faults`` is no `ProviderFault`, or has no number.
    """

    def __init__(self, target: ActorRef[Any], faults: Sequence[ProviderFault] = ()) -> None:
        super().__init__()
        if not callable(getattr(target, "ask", None)):
            raise TypeError(f"target={target!r:.80}: it is the ref of the actor that answers")
        if not isinstance(faults, Iterable):
            raise FaultRefused(f"faults={faults!r:.80}: they are a sequence")
        for fault in (faults := tuple(faults)):
            if not isinstance(fault, ProviderFault) or fault.nth is None:
                raise FaultRefused(f"faults has {fault!r:.80} in it: each is a ProviderFault with its nth")
        self._target = target
        self._faults = {fault.nth: fault for fault in faults}
        self._count = 0

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, Request):
            return self.reply_with(_asked(self._target, message))
        fault = self._next_fault()
        if self.expects == "stream":
            return self._streamed(message, fault)
        return self.reply_with(self._completed(message, fault))

    def _next_fault(self) -> ProviderFault | None:
        self._count += 1
        simulation = getattr(asyncio.get_running_loop(), "simulation", None)
        if simulation is not None:
            fault: ProviderFault | None = simulation.injector.on_request(self.path)
            if fault is not None:
                return fault
        return self._faults.get(self._count)

    async def _completed(self, request: Request, fault: ProviderFault | None) -> Completion:
        if fault is not None:
            await self._refuse(fault)
            if fault.what == "cut":
                raise StreamCut("the answer was cut (injected)", provider=self.name)
        completion: Completion = await self._target.ask(request)
        return _malformed(completion) if fault is not None else completion

    async def _streamed(self, request: Request, fault: ProviderFault | None) -> AsyncIterator[Delta]:
        if fault is not None:
            await self._refuse(fault)
        sent = 0
        async with self._target.stream(request) as deltas:
            async for delta in deltas:
                if fault is not None and fault.what == "cut" and (sent >= fault.after or delta.completion is not None):
                    raise StreamCut(f"the stream was cut after {sent} deltas (injected)", provider=self.name)
                if fault is not None and delta.completion is not None:
                    delta = replace(delta, completion=_malformed(delta.completion))
                yield delta
                sent += 1

    async def _refuse(self, fault: ProviderFault) -> None:
        name = self.name
        if fault.what == "rate_limited":
            raise RateLimited("429 (injected)", provider=name, status=429, retry_after=fault.retry_after)
        if fault.what == "overloaded":
            raise ProviderOverloaded("500 (injected)", provider=name, status=500)
        if fault.what == "timeout":
            await asyncio.sleep(fault.seconds)
            raise ProviderTimeout(f"nothing within {fault.seconds:g} s (injected)", provider=name)


def _malformed(completion: Completion) -> Completion:
    """Cut the arguments of the tool calls in half, as models do."""
    message = completion.message
    calls = tuple(replace(call, arguments=call.arguments[: len(call.arguments) // 2]) for call in message.tool_calls)
    return replace(completion, message=replace(message, tool_calls=calls))


async def _asked(target: ActorRef[Any], message: Any) -> Any:
    return await target.ask(message)
