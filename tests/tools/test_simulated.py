"""Tools under a simulated loop: virtual time, any schedule, threads run inline."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from callboard.actors.testing import simulate
from callboard.providers.messages import ToolCall
from callboard.tools import ToolCancelled, ToolRegistry, ToolResult, ToolTimeout, run_calls, tool
from callboard.tools.builtin.files import file_tools


@tool(timeout=3600, max_concurrency=2)
async def work(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return f"{seconds:g}"


def test_an_hour_of_timeouts_passes_in_no_time() -> None:
    async def scenario(sim: Any) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        result = await work.run({"seconds": 10_000})
        assert isinstance(result.error, ToolTimeout)
        assert loop.time() - begun == 3600

    simulate(scenario, seeds=5)


def test_blocking_tools_and_file_tools_run(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("text")
    tools = ToolRegistry(file_tools(tmp_path))

    async def scenario(sim: Any) -> None:
        calls = [ToolCall(str(n), "Read", '{"path": "f"}') for n in range(5)]
        assert [result.content for result in await run_calls(calls, tools)] == ["     1\ttext"] * 5
        outside = await tools.get("Read").run({"path": "../f"})
        assert "outside the folder" in outside.content

    simulate(scenario, seeds=10)


def test_every_call_is_answered_once_whenever_the_batch_is_cancelled() -> None:
    tools = ToolRegistry([work])
    calls = [ToolCall(str(n), "work", json.dumps({"seconds": n % 4})) for n in range(8)]

    def cancelled_after(delay: float) -> Any:
        async def scenario(sim: Any) -> None:
            answers: list[tuple[str, ToolResult]] = []
            started = False

            async def batch() -> None:
                nonlocal started
                started = True
                await run_calls(
                    calls, tools, concurrency=3, on_result=lambda call, result: answers.append((call.id, result))
                )

            task = asyncio.ensure_future(batch())
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.wait({task})
            if not started:  # a task cancelled before its first step never runs
                return
            assert Counter(call for call, _ in answers) == Counter(call.id for call in calls)
            assert {type(result.error) for _, result in answers} <= {type(None), ToolCancelled}
            assert task.cancelled() == any(result.is_error for _, result in answers)

        return scenario

    for delay in (0.0, 0.5, 1.0, 2.5, 3.0, 5.0, 50.0):
        simulate(cancelled_after(delay), seeds=10)


def test_what_a_call_had_left_before_it_waited_is_what_it_has_left_afterwards() -> None:
    @tool(timeout=10)
    async def hang() -> None:
        await asyncio.Event().wait()

    async def scenario(sim: Any) -> None:
        ended: list[ToolResult] = []
        call = hang.start("{}", ended.append)
        await asyncio.sleep(6)
        call.pause()
        await asyncio.sleep(100)
        call.resume()
        await asyncio.sleep(3.5)
        assert not ended
        await asyncio.sleep(1)
        assert isinstance(ended[0].error, ToolTimeout)

    simulate(scenario, seeds=2)
