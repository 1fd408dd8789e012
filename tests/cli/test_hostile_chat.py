"""``callboard chat`` where models, modules, keys and homes are not as one expects."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.providers.simulated import SimulatedProvider

from .command import MAIN, assert_refused, callboard, offline
from .terminal import MAIN as IN_A_TERMINAL
from .terminal import PATIENCE, Terminal

AGENCY = "from callboard import Agency, Agent\nagency = Agency(Agent('A', model='offline'))\n"
TEAM = "agents: {A: {tools: [Write], autonomy: supervised}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path


def said(text: str) -> Completion:
    return Completion(Message("assistant", text), "stop", Usage(10, 20))


def called(*calls: ToolCall) -> Completion:
    return Completion(Message("assistant", "", tool_calls=calls), "tool_calls", Usage(10, 20))


def results(request: Request) -> list[str]:
    """What tools have answered since the last question."""
    at = max(place for place, one in enumerate(request.messages) if one.role == "user")
    return [one.text for one in request.messages[at:] if one.role == "tool"]


async def talk(
    folder: Path,
    model: Callable[[Request], Completion],
    use: Callable[[Terminal], None],
    team: str = TEAM,
    script: str = IN_A_TERMINAL,
) -> str:
    """Use a chat in a terminal until it ends as it should; returns all that was sent to the terminal."""
    async with SimulatedProvider(model) as server:
        mine = f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: any}}}}\n"
        (folder / "team.yaml").write_text(team + mine, encoding="utf-8")

        def chat() -> str:
            terminal = Terminal(folder, "team.yaml", script=script)
            try:
                terminal.until("you>")
                use(terminal)
                terminal.press("\x04")
                assert terminal.process.wait(PATIENCE) == 0
                return terminal.all
            finally:
                terminal.close()

        seen = await asyncio.to_thread(chat)
    assert "Traceback" not in seen
    assert "Unhandled" not in seen
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


# -- what models say ---------------------------------------------------------------------------------------------------

MARKDOWN = {
    "html": ("<div>\nhidden\n</div>", "<div> hidden </div>"),
    "html in a line": ("a <b>bold</b> <!-- word -->", "a <b>bold</b> <!-- word -->"),
    "quotations in quotations": ("> " * 30 + "deep", "deep"),
    "lists in lists": ("- " * 30 + "deep", "deep"),
    "a table without room": ("|" + "head|" * 60 + "\n|" + "-|" * 60 + "\n|" + "cell|" * 60, "cell|cell|"),
    "nothing but a reference": ("[name]: http://elsewhere.example", "[name]: http://elsewhere.example"),
}


async def test_nothing_that_a_model_says_is_missing(folder: Path) -> None:
    answers = [text for text, _ in MARKDOWN.values()]

    def use(terminal: Terminal) -> None:
        for number in range(len(answers)):
            terminal.press(f"{number}\r")
            terminal.until("A>", "price unknown", "you>")

    seen = await talk(folder, lambda request: said(answers[int(request.messages[-1].text)]), use)
    for what, (_, shown) in MARKDOWN.items():
        assert shown in seen, what


async def test_a_long_answer_in_small_pieces_is_shown_whole(folder: Path) -> None:
    words = [f"w{number}" for number in range(40_000)]

    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until("A>", words[-1], "you>")

    seen = await talk(folder, lambda request: said(" ".join(words)), use)
    shown = seen[seen.rindex("A>") :].split("price unknown")[0]
    assert re.findall(r"w\d+", shown)[-len(words) :] == words


async def test_two_agents_that_ask_at_once_are_answered_one_after_the_other(folder: Path) -> None:
    def model(request: Request) -> Completion:
        who, come = request.messages[0].text, results(request)
        if "I am A" in who:
            tasks = [ToolCall(f"c{to}", "SendMessage", f'{{"target_agent": "{to}", "message": "go"}}') for to in "BC"]
            return said(" and ".join(come)) if come else called(*tasks)
        name = "b" if "I am B" in who else "c"
        calls = [ToolCall("same", "Write", f'{{"path": "{name}{number}.md", "content": "x"}}') for number in (1, 2)]
        return said(", ".join(come)) if come else called(*calls)

    def use(terminal: Terminal) -> None:
        asked: dict[str, str] = {}
        terminal.press("go\r")
        for _ in range(4):
            terminal.until("wants Write: ")
            before = len(terminal.all)
            terminal.until("allow?")
            name = re.search(r'path="(\w+)\.md"', terminal.all[before - 400 :][::-1][::-1])
            assert name is not None
            asked[name[1]] = "n" if name[1].endswith("1") else "y"
            terminal.press(asked[name[1]] + "\r")
        terminal.until("A>", "you>")

    team = """\
agents:
  A: {instructions: I am A}
  B: {instructions: I am B, tools: [Write], autonomy: supervised}
  C: {instructions: I am C, tools: [Write], autonomy: supervised}
flows: [[A, B], [A, C]]
"""
    await talk(folder, model, use, team)
    assert sorted(path.name for path in (folder / "work").iterdir()) == ["b2.md", "c2.md"]


async def test_long_arguments_leave_their_ends_to_be_seen_and_are_not_edited(folder: Path) -> None:
    def model(request: Request) -> Completion:
        arguments = '{"path": "a.md", "content": "' + "begin" + "x" * 100_000 + "finish" + '"}'
        return said("".join(results(request))) if results(request) else called(ToolCall("c", "Write", arguments))

    def use(terminal: Terminal) -> None:
        terminal.press("go\r")
        terminal.until('A wants Write: path="a.md", content="begin', "characters more …", 'finish"', "allow?")
        terminal.press("edit\r")
        terminal.until("are too many to be edited here", "allow?")
        terminal.press("no\r")
        terminal.until("Write", "denied", "A>", "you>")

    seen = await talk(folder, model, use)
    assert len(seen) < 60_000
    assert "denied:" not in seen, "no reason was given"


# -- keys, and where they are kept -------------------------------------------------------------------------------------


async def test_bytes_that_are_no_keys_do_nothing(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        for keys in (
            "\x1b[31m",
            "\x1b[1;2m",
            "\x1b[<1m",
            "\x1b[M\x7f\x7f\x7f",
            "\x00",
            "\x1b[200~\x1b[31mred\x1b[201~",
        ):
            terminal.press(f"{keys}\r")
        terminal.press("go\r")
        terminal.until("wants Write", "allow?")
        terminal.press("\x1b[31m\x1b[<1mno: later\r")
        terminal.until("denied: later", "A>", "you>")

    def model(request: Request) -> Completion:
        call = ToolCall("c", "Write", '{"path": "a.md", "content": ""}')
        wanted = request.messages[-1].text == "go"
        return called(call) if wanted else said("".join(results(request)) or "what?")

    await talk(folder, model, use)


async def test_what_cannot_be_remembered_is_forgotten(folder: Path) -> None:
    def use(terminal: Terminal) -> None:
        shutil.rmtree(folder / "callboard")
        terminal.press("one\r")
        terminal.until("heard one", "you>")
        (folder / "callboard").mkdir()
        terminal.press("two\r")
        terminal.until("heard two", "you>")

    await talk(folder, lambda request: said(f"heard {request.messages[-1].text}"), use)
    assert "two" in (folder / "callboard" / "history").read_text(encoding="utf-8")


ELSEWHERE = "import os, sys\nos.environ.pop('XDG_STATE_HOME')\n"


@pytest.mark.parametrize(
    "home",
    [
        "os.environ['HOME'] = '/dev/null'\n",
        "import pwd\npwd.getpwuid = {}.__getitem__\nos.environ.pop('HOME')\n",
        "os.environ['XDG_STATE_HOME'] = '/dev/full'\n",
    ],
    ids=["a file", "nobody's", "a device"],
)
async def test_a_home_where_nothing_can_be_kept_is_no_reason_not_to_talk(folder: Path, home: str) -> None:
    def use(terminal: Terminal) -> None:
        terminal.press("one\r")
        terminal.until("heard one", "you>")

    await talk(folder, lambda request: said("heard one"), use, script=ELSEWHERE + home + IN_A_TERMINAL)


async def test_a_history_that_takes_nothing_is_none(folder: Path) -> None:
    (folder / "callboard").mkdir()
    (folder / "callboard" / "history").symlink_to("/dev/full")

    def use(terminal: Terminal) -> None:
        for word in ("one", "two"):
            terminal.press(f"{word}\r")
            terminal.until(f"heard {word}", "you>")
        terminal.press("\x1b[A")  # of this chat it knows
        terminal.until("two")
        terminal.press("\x15")

    await talk(folder, lambda request: said(f"heard {request.messages[-1].text}"), use)


@pytest.mark.parametrize("asked", [False, True], ids=["while it works", "at a question"])
async def test_a_terminal_that_is_gone_ends_a_chat_without_a_traceback(folder: Path, asked: bool) -> None:
    """Where nobody hears the signal that says so, as with nohup."""
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def model(request: Request) -> Completion:
        if asked:
            return called(ToolCall("c", "Write", '{"path": "a.md", "content": ""}'))
        await gone.wait()
        return said("too late")

    (folder / "heard").touch()
    nohup = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.dup2(os.open("heard", os.O_WRONLY), 2)
"""
    async with SimulatedProvider(model) as server:
        mine = f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: any}}}}\n"
        (folder / "team.yaml").write_text(TEAM + mine, encoding="utf-8")

        def chat() -> None:
            terminal = Terminal(folder, "team.yaml", script=nohup + IN_A_TERMINAL)
            try:
                terminal.until("you>")
                terminal.press("go\r")
                terminal.until("allow?" if asked else "A thinks")
            finally:
                terminal.hang_up()
            loop.call_soon_threadsafe(gone.set)
            try:
                assert terminal.process.wait(PATIENCE) == 1
            finally:
                terminal.close()

        await asyncio.to_thread(chat)
    heard = (folder / "heard").read_text(encoding="utf-8")
    assert heard == "callboard: what it says cannot be written: Input/output error\n"


# -- modules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Own(BaseException): pass\nraise Own('x')", "importing shop failed: Own: x"),
        ("import asyncio\nraise asyncio.CancelledError", "importing shop failed: CancelledError"),
        ("raise GeneratorExit", "importing shop failed: GeneratorExit"),
        ("raise SystemExit('\\x1b[31m')", "importing shop failed: SystemExit: \\x1b[31m"),
        ("class Own(Exception):\n def __str__(self): raise ValueError\nraise Own", "importing shop failed: Own"),
        ("def __getattr__(name): raise SystemExit", "looking up shop:agency failed: SystemExit"),
        ("class Own:\n def __repr__(self): raise ValueError\nagency = Own()", "is a value of type Own"),
        ("agency = 'sk-secret'", "expected an Agency; shop:agency is a value of type str"),
        ("from callboard import Agency\nagency = Agency", "expected an Agency; shop:agency is a class"),
    ],
)
def test_a_module_that_is_not_as_it_should_be_is_refused(folder: Path, source: str, said: str) -> None:
    (folder / "shop.py").write_text(source, encoding="utf-8")
    refused = callboard("chat", "shop:agency", cwd=folder)
    assert_refused(refused, said)
    assert "sk-secret" not in refused.err


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nasyncio.run(asyncio.sleep(0))\n",
        "import os\nos.chdir('/')\n",
        "import sys\nsys.stdin.close()\n",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n",
        "import sys\nsys.stdin = None\n",
    ],
    ids=["a loop of its own", "elsewhere", "stdin closed", "a handler", "no stdin"],
)
def test_a_module_may_do_as_programs_do(folder: Path, source: str) -> None:
    (folder / "shop.py").write_text(source + AGENCY, encoding="utf-8")
    done = callboard("chat", "shop:agency", cwd=folder, typed="hello\n")
    assert (done.status, done.err) == (0, ""), done
    assert "You talk to A." in done.out


def test_ctrl_c_ends_a_module_that_is_never_imported(folder: Path) -> None:
    (folder / "shop.py").write_text("print('here', flush=True)\nwhile True: pass\n", encoding="utf-8")
    words = [sys.executable, "-c", MAIN, "chat", "shop:agency"]
    with subprocess.Popen(
        words, cwd=folder, env=offline(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == b"here\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
            assert process.stderr.read() == b""
        finally:
            process.kill()
