"""Calls that a tool call makes: the side of the call, which waits until it may make one, makes it, and tells of it.

Each is treated as a call of the model: what the journal has of it is in its place, a person is asked about it where the
rules say so, and it is recorded. What decides that is `inner_steps`, in the conversation's actor.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from ......providers.messages import ToolCall
from ......tools import Tool, ToolResult
from ......tools.context import CallContext
from ......tools.errors import ToolDefinitionError
from .....core.base.events import Outcome
from .....core.base.foreign import is_ours
from ....prompts.functions.agent_function import AgentFunction
from ..known.within import InnerAtWork
from ..reports import InnerAsked, InnerDone, InnerLeft
from ..session import Session
from .inner_agents import ask_agent


async def make_call(session: Session, context: CallContext, tool: Tool, arguments: str) -> ToolResult:
    """Make a call within a tool call; for `ToolContext.call`."""
    system = session.runtime.system
    if system is None or asyncio.get_running_loop() is not system.loop:
        raise ToolDefinitionError(f"{context.tool!r} is called from another event loop; call it from the tool's own")
    call = ToolCall(context.call_id, context.tool, arguments)
    inner = InnerAtWork(call, tool, context)
    if session.over:
        inner.cancel()
        return inner.result.result()
    session.jobs[_key(call.id)] = inner
    session.send(InnerAsked(session, inner))
    try:
        allowed = await inner.go
        if isinstance(allowed, ToolResult):
            return allowed
        session.send(InnerDone(session, inner, await _made(session, inner, allowed)))
        return await inner.result
    finally:
        if session.jobs.get(_key(call.id)) is inner:
            del session.jobs[_key(call.id)]
        session.send(InnerLeft(session, inner))


async def _made(session: Session, inner: InnerAtWork, call: ToolCall) -> Outcome[ToolResult]:
    """What the call came to, with the hooks of tool calls before it."""
    task = asyncio.current_task()
    try:
        if "toolcall" in session.prepared.hooks:
            hooked = await session.hooked("toolcall", call=call)
            if hooked.result is not None:
                return Outcome(await session.looked_at(call, hooked.result), None)
            call = hooked.call or call
        if isinstance(inner.tool, AgentFunction):
            asked = await ask_agent(session, inner.tool.sub, call)
            return Outcome(await session.looked_at(call, asked.unwrap()), None)
        tell_simulation(session, call, inner.tool)
        with session.cells.open(call.id) if session.cells is not None else nullcontext():
            made = await inner.tool.run(call.arguments, context=inner.context)
        return Outcome(await session.looked_at(call, made), None)
    except BaseException as error:
        if is_ours(error, task):
            raise
        return Outcome(None, error)


def tell_simulation(session: Session, call: ToolCall, tool: Tool) -> None:
    """Tell a simulation that a tool is called now. `ToolStarted` comes earlier: what it tells of may be refused yet."""
    system = session.runtime.system
    if system is not None and (probe := system.runtime.probe) is not None:
        at = {"actor": session.actor.path, "run": session.run.id, "step": session.state.turn.steps}
        again = tool.idempotent or tool.resumable
        probe.event("tool_called", **at, call=call.id, tool=call.name, idempotent=again)


def _key(call_id: str) -> str:
    return f"within: {call_id}"
