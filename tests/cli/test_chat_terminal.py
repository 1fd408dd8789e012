"""``callboard chat`` as a person sees it: in a terminal, with a model that takes its time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.providers.simulated import SimulatedProvider

from .command import callboard
from .terminal import Terminal

ANSWER = """\
# Head

Some **bold** text \x1b]0;title\x07 and &#8238; more.

```python
def f(x):
    return 1
```

The [end](https://elsewhere.example).
"""
WRITE = "agents: {A: {tools: [Write], autonomy: supervised}}\n"


def said(text: str) -> Completion:
    return Completion(Message("assistant", text), "stop", Usage(10, 20))


def writes(*paths: str) -> Callable[[Request], Completion]:
    """A model that writes files, one after the other, and says then what came of it."""

    def model(request: Request) -> Completion:
        at = max(place for place, one in enumerate(request.messages) if one.role == "user")
        results = [one for one in request.messages[at:] if one.role == "tool"]
        if len(results) == len(paths):
            return said(" ".join(one.text for one in results))
        arguments = f'{{"path": "{paths[len(results)]}", "content": "new\\n"}}'
        call = ToolCall(f"c{len(request.messages)}", "Write", arguments)
        return Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(10, 20))

    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.md").write_text("old\n", encoding="utf-8")
    return tmp_path


async def in_terminal(
    folder: Path, server: SimulatedProvider, use: Callable[[Terminal], None], team: str = WRITE, *words: str
) -> str:
    """Use a chat; returns all that was sent to the terminal."""
    mine = f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: any}}}}\n"
    (folder / "team.yaml").write_text(team + mine, encoding="utf-8")

    def chat() -> str:
        terminal = Terminal(folder, "team.yaml", *words)
        try:
            terminal.until("you>")
            use(terminal)
            terminal.until("you>")
            terminal.press("\x04")
            assert terminal.process.wait(60) == 0
            return terminal.all
        finally:
            terminal.close()

    return await asyncio.to_thread(chat)


async def test_a_sign_shows_seconds_and_tokens_and_what_is_typed_meanwhile_waits_for_its_turn(folder: Path) -> None:
    typed = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def model(request: Request) -> Completion:
        await typed.wait()
        return said(ANSWER)

    def use(terminal: Terminal) -> None:
        terminal.press("hello\r")
        terminal.until("A thinks  0 s  0 tokens  Ctrl-C stops it", "A thinks")
        terminal.press("typed ahead")
        terminal.until("A thinks", "A thinks")
        loop.call_soon_threadsafe(typed.set)
        terminal.until("return", "10 + 20 tokens, price unknown")
        assert "typed" not in terminal.all.partition("price unknown")[0]
        terminal.until("you>", "typed ahead")
        terminal.press("\x15")

    async with SimulatedProvider(model) as server:
        seen = await in_terminal(folder, server, use)
    assert re.search(r"A thinks  \d s  30 tokens", seen)
    assert "\x1b[1;4mHead\x1b[0m" in seen
    assert "Some \x1b[1mbold\x1b[0m text" in seen
    assert "\x1b[94mdef\x1b[0m" in seen
    assert "\\x1b]0;title\\x07 and \\u202e more." in seen
    assert "\x1b]" not in seen, "neither a title nor a link"
    assert "https://elsewhere.example" in seen


async def test_an_approval_shows_a_diff_drops_what_was_typed_and_asks_again(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        terminal.press("go\ryes\ryes\r")  # pasted at once
        terminal.until("A wants Write", "it counts as denied from", "(changed)", "-old", "+new", "allow?")
        terminal.press("sure\r")
        terminal.until("say yes, no (and why), edit, or always", "allow?")
        assert (folder / "work" / "a.md").read_text(encoding="utf-8") == "old\n"
        terminal.press("no: I keep it\r")
        terminal.until("denied: I keep it", "A>")

    async with SimulatedProvider(writes("a.md")) as server:
        await in_terminal(folder, server, use, "approvals_expire: 3600\n" + WRITE)
    assert (folder / "work" / "a.md").read_text(encoding="utf-8") == "old\n"


async def test_always_holds_for_this_run_and_not_for_the_next(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("allow?")
        terminal.press("always\r")
        terminal.until("A>", "you>")
        assert (folder / "work" / "c.md").exists()
        terminal.press("go\r")
        terminal.until("allow?")
        terminal.press("n\r")
        terminal.until("denied", "allow?")
        terminal.press("n\r")
        terminal.until("denied")

    async with SimulatedProvider(writes("b.md", "c.md")) as server:
        await in_terminal(folder, server, use)


async def test_arguments_that_are_edited_turn_no_direction_round(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("allow?")
        terminal.press("edit\r")
        terminal.until("arguments>", "b\\u202ecod.md")
        terminal.press("\r")
        terminal.until("A>")

    async with SimulatedProvider(writes("b\u202ecod.md")) as server:
        seen = await in_terminal(folder, server, use)
    assert "\u202e" not in seen
    assert (folder / "work" / "b\u202ecod.md").exists()


async def test_a_history_that_cannot_be_kept_is_not_kept(folder: Path) -> None:
    (folder / "callboard" / "history").mkdir(parents=True)

    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("A>", "hi")

    async with SimulatedProvider(lambda request: said("hi")) as server:
        seen = await in_terminal(folder, server, use)
    assert "Traceback" not in seen


async def test_a_question_that_is_answered_elsewhere_is_over(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("allow?")
        (approval,) = re.findall("^[0-9a-f]{32}", callboard("approvals", "list", "team.db", cwd=folder).out)
        callboard("approvals", "deny", "team.db", approval, "--reason", "not today", cwd=folder)
        terminal.until("it was denied meanwhile: not today", "A>")

    async with SimulatedProvider(writes("a.md")) as server:
        await in_terminal(folder, server, use, f"{WRITE}journal: team.db\n")


async def test_a_question_that_expires_is_over(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("it counts as denied in 1 s", "allow?", "it was denied meanwhile", "A>")

    async with SimulatedProvider(writes("a.md")) as server:
        await in_terminal(folder, server, use, f"approvals_expire: 1\n{WRITE}")


async def test_a_run_whose_limit_is_spent_is_given_more(folder: Path) -> None:
    team = WRITE.replace("supervised", "autonomous, limits: {steps: 1, ask: true}")

    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("A has used 1 of 1 (steps), and wants more", "how much in all?")
        terminal.press("1\r")
        terminal.until("say a number above 1, yes, or no", "how much in all?")
        terminal.press("yes\r")
        terminal.until("replaced a.md", "A>")

    async with SimulatedProvider(writes("a.md")) as server:
        await in_terminal(folder, server, use, team)


async def test_a_message_may_have_several_lines(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        terminal.press("one\x1b\rtwo\\\rthree\r")
        terminal.until("A>")

    async with SimulatedProvider(lambda request: said(repr(request.messages[-1].text))) as server:
        seen = await in_terminal(folder, server, use)
    assert "one\\ntwo\\nthree" in seen


async def test_agents_that_work_for_others_are_heard_as_they_speak(folder: Path) -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def model(request: Request) -> Completion:
        system = request.messages[0].text
        if "I am B" in system:
            return said("first\n\nsecond")
        if any(one.role == "tool" for one in request.messages):
            await heard.wait()
            return said("done")
        call = ToolCall("c1", "SendMessage", '{"target_agent": "B", "message": "work"}')
        return Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(10, 20))

    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("B>", "first", "second")
        loop.call_soon_threadsafe(heard.set)
        terminal.until("A>", "done")

    team = "agents: {A: {instructions: I am A}, B: {instructions: I am B}}\nflows: [[A, B]]\n"
    async with SimulatedProvider(model) as server:
        await in_terminal(folder, server, use, team)


async def test_ctrl_c_still_cancels_after_a_question(folder: Path) -> None:
    asked = asyncio.Event()
    model = writes("a.md")

    async def hangs_in_the_end(request: Request) -> Completion:
        answer = model(request)
        if answer.finish_reason == "stop":
            asked.set()
            await asyncio.Event().wait()
        return answer

    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("allow?")
        terminal.press("yes\r")
        asyncio.run_coroutine_threadsafe(asked.wait(), loop).result(60)
        terminal.press("\x03")
        terminal.until("cancelled; nothing of it is running any more")

    loop = asyncio.get_running_loop()
    async with SimulatedProvider(hangs_in_the_end) as server:
        await in_terminal(folder, server, use)
