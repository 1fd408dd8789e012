"""What a team file names of one's own: tools, types, hooks, skills, MCP servers; and how a wrong name is refused."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callboard import ChildSpec, Request, ToolCall
from callboard.actors.agents.errors import GuardrailTripped
from callboard.actors.agents.teamfile import Team, load_team, open_agency
from callboard.providers.config.yamlfile import ConfigError
from callboard.testing import FunctionModel
from callboard.tools.builtin.files import file_tools
from callboard.tools.errors import McpUnavailable

from .command import assert_refused, callboard

EXAMPLE = Path(__file__).parents[1] / "examples" / "team"
PARTS = """
import sys
from callboard import hook

def good(text: str) -> str:
    "Good."
    return text

def shapeless(*texts, **named):
    return texts

@hook("request")
def watch(context):
    pass

class Thing:
    pass

NUMBER = 3

calls = []

def note(record):
    calls.append((record.endpoint, record.outcome))

async def later(record):
    pass

class Book:
    async def __call__(self, record):
        pass

book = Book()
"""
MODULES = {
    "parts_of_mine": PARTS,
    "breaks_on_import": "raise RuntimeError('the shelf is empty')",
    "ends_the_process": "import sys\nsys.exit('bye')",
    "needs_another": "import no_such_module_anywhere",
    "not_python": "def",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield tmp_path
    for name in (*MODULES, "shop"):
        sys.modules.pop(name, None)


def read(folder: Path, agent: str, rest: str = "") -> Team:
    path = folder / "team.yaml"
    path.write_text(f"agents:\n  A:\n    {agent}\nproviders: {{offline: {{}}}}\n{rest}")
    return load_team(path, env={})


def test_tools_hooks_and_types_are_imported(folder: Path) -> None:
    entry = "{tools: ['parts_of_mine:good'], hooks: ['parts_of_mine:watch'], output_type: 'fractions:Fraction'}"
    agent = read(folder, f"<<: {entry}").agents["A"]
    assert [tool.name for tool in agent.all_tools] == ["good"]
    assert [hook.name for hook in agent.all_hooks] == ["watch"]
    assert agent.output_type.__name__ == "Fraction"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("tools: ['parts_of_mine:god']", "agents.A.tools.0: parts_of_mine has no 'god'; did you mean 'good'?"),
        (
            "tools: ['parts_of_mine:NUMBER']",
            "expected a function or a tool; parts_of_mine:NUMBER is a value of type int",
        ),
        ("tools: ['parts_of_mine:Thing']", "expected a function or a tool; parts_of_mine:Thing is a class"),
        ("tools: ['parts_of_mine:shapeless']", "parts_of_mine:shapeless cannot be made a tool"),
        ("tools: ['no_such_module_of_mine:x']", "no module is called 'no_such_module_of_mine'; expected one that is"),
        ("tools: ['parts_of_mine.sub:x']", "no module is called 'parts_of_mine.sub'"),
        ("tools: ['parts_of_mine:']", "expected module:name, as in shop.tools:price, not 'parts_of_mine:'"),
        ("tools: ['os; print:x']", "expected module:name"),
        ("tools: ['breaks_on_import:x']", "importing breaks_on_import failed: RuntimeError: the shelf is empty"),
        ("tools: ['ends_the_process:x']", "importing ends_the_process failed: SystemExit: bye"),
        ("tools: ['needs_another:x']", "importing needs_another failed: ModuleNotFoundError: No module named 'no_such"),
        ("tools: ['not_python:x']", "importing not_python failed: SyntaxError"),
        ("hooks: ['parts_of_mine:good']", "agents.A.hooks.0: expected a Guardrail, or a hook, made with @hook(event)"),
        ("skills: ['parts_of_mine:good']", "agents.A.skills.0: expected a Skill; parts_of_mine:good is a value of"),
        ("output_type: 'parts_of_mine:NUMBER'", "agents.A.output_type: expected a type"),
        ("mcp: [clock]", "agents.A.mcp.0: no MCP server is called 'clock'"),
        ("limits: {steps: -1}", "not below 0"),
        ("limits: {stepz: 1}", "did you mean 'steps'"),
        ("settings: {temprature: 1}", "temprature is no setting"),
        ("settings: {headers: {X-Team: 5}}", "settings.headers: headers are wrong; expected a mapping"),
        ("settings: {headers: {X Team: a}}", "'X Team' is no header's name; use letters, digits and '-'\n"),
        ("settings: {headers: {X-A: ü}}", "X-A has a value that no header can carry; use printable ASCII characters\n"),
        ("settings: {temperature: warm}", "temperature is wrong"),
        ("tools: ['parts_of_mine:good', 'parts_of_mine:good']", "two tools are called 'good'"),
    ],
)
def test_what_is_named_wrongly_is_refused_with_line_and_cause(folder: Path, agent: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder, agent)
    assert said in f"{caught.value}\n"
    assert caught.value.line in (2, 3)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("mcp_servers: {a: {}}", "mcp_servers.a: expected a url, or a command, one of them"),
        ("mcp_servers: {a: {command: run it}}", "expected a command and its arguments"),
        ("mcp_servers: {a: {url: 'tools.example'}}", "expected an address"),
        ("journal: nowhere/shop.db", "journal: expected a file in a folder that exists"),
        ("journal: 'mysql://me:secret@host/shop'", "expected the path of a file, or an address postgresql://"),
        ("retention: {finished: -1}", "finished is -1"),
        ("handoff_limits: {depth: -1}", "depth is -1"),
        ("approvals_expire: -1", "greater than or equal to 0"),
        ("telemetry: {endpoint: collector}", "telemetry.endpoint: expected an address"),
        ("telemetry: {figures: true}", "telemetry.figures: unknown entry"),
        ("telemetry: {series: 199}", "greater than or equal to 200"),
        ("config: llm.yaml", "providers: expected no section about models here: they stand in llm.yaml"),
        ("roles: {B: offline}", "roles.B: no agent is called 'B'"),
        ("budgets: [{scope: agent, name: a, dollars: 1}]", "budgets.0.name: no agent is called 'a'"),
        ("http: {port: 80}", "http: unknown entry"),
    ],
)
def test_wrong_settings_of_a_team_are_refused_with_their_line(folder: Path, rest: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder, "instructions: hello", rest)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.line in (4, 5)


def test_what_is_wrong_in_the_file_of_models_is_refused_with_that_files_line(folder: Path) -> None:
    (folder / "llm.yaml").write_text("providers:\n  offline: {limits: {requests_per_minute: 0}}\n")
    (folder / "team.yaml").write_text("agents: {A: {}}\nconfig: llm.yaml\n")
    with pytest.raises(ConfigError, match=r"llm\.yaml, line 2: "):
        load_team(folder / "team.yaml", env={})


async def test_a_function_of_ones_own_is_told_of_each_call(folder: Path) -> None:
    team = read(folder, "instructions: hello", "on_usage: parts_of_mine:note")
    async with open_agency(team) as agency:
        await agency.run("hello")
    assert sys.modules["parts_of_mine"].calls == [("offline", "answered")]
    told: list[str] = []
    async with open_agency(team, on_usage=lambda record: told.append(record.endpoint)) as agency:
        await agency.run("hello")
    assert (told, len(sys.modules["parts_of_mine"].calls)) == (["offline"], 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("later", "a value of type function"),
        ("book", "a value of type Book"),
        ("Thing", "a class"),
        ("NUMBER", ""),
    ],
)
def test_what_cannot_be_told_is_refused(folder: Path, name: str, kind: str) -> None:
    with pytest.raises(
        ConfigError, match=f"line 5: on_usage: expected a plain function; parts_of_mine:{name} is {kind}"
    ):
        read(folder, "instructions: hello", f"on_usage: parts_of_mine:{name}")


@pytest.fixture
def shop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    text = (folder / "team.yaml").read_text()
    (folder / "team.yaml").write_text(text.replace("[python, clock.py]", f'["{sys.executable}", "{folder}/clock.py"]'))
    monkeypatch.chdir(folder)
    return folder


def answer(request: Request) -> Any:
    """Stands for a vendor's model: it uses a tool of the team's own, one of the server's, and a handoff."""
    last = request.messages[-1]
    if request.messages[-1].role == "user" and "write" not in last.text:
        calls = [
            ("price", '{"item": "tea"}'),
            ("clock_opening_hours", '{"day": "Monday"}'),
            ("thanks", '{"name": "Ada"}'),
        ]
        order = '{"target_agent": "Clerk", "message": "write down: 2 tea"}'
        return [ToolCall(f"call-{name}", name, text) for name, text in [*calls, ("SendMessage", order)]]
    if "write" in last.text:
        return '{"item": "tea", "count": 2}'
    return "\n".join(message.text for message in request.messages if message.role in ("system", "tool"))


async def test_a_team_with_parts_of_its_own_runs(shop: Path) -> None:
    pytest.importorskip("mcp", reason="mcp is missing: pip install 'callboard[mcp]'")
    team = load_team(shop / "team.yaml", file_tools(shop), env={})
    assert team.agents["Clerk"].model == "offline"
    assert team.agents["Shop"].limits.steps == 10
    model = ChildSpec(FunctionModel, (answer,), name="model")
    async with open_agency(team, pool=model, name="shop") as agency:
        assert agency.system is not None
        assert agency.system.name == "shop"
        assert "McpClient" in {node.kind for node in agency.system.tree()}, "the server's connection is supervised, too"
        said = (await agency.run("sell", conversation="ada")).text
        with pytest.raises(GuardrailTripped, match="keep your passwords"):
            await agency.run("my password is tea")
        order = (await agency.run("write", agent="Clerk")).value
    assert (type(order).__name__, order.item, order.count) == ("Order", "tea", 2)
    expected = ("All prices are in euro.", "You sell.", "Be polite.", "\n3\n", "On Monday from nine to five.", "Ada.")
    for words in expected:
        assert words in said, said
    async with open_agency(load_team(shop / "team.yaml", file_tools(shop), env={})) as agency:
        assert (await agency.conversation("ada")).messages, "the journal keeps it"
        await agency.run("what is tea")
    assert sys.modules["shop"].COSTS == {"Shop": 0.0}


async def test_an_mcp_server_that_cannot_be_used_fails_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="mcp is missing: pip install 'callboard[mcp]'")
    (tmp_path / "team.yaml").write_text(
        "agents: {A: {mcp: [bad]}}\nproviders: {offline: {}}\nmcp_servers: {bad: {command: ['false']}}\n"
    )
    with pytest.raises(McpUnavailable):
        async with open_agency(load_team(tmp_path / "team.yaml", env={})):
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_modules_beside_a_team_file_are_imported_only_where_the_command_says_so(tmp_path: Path) -> None:
    team = tmp_path / "mine"
    team.mkdir()
    (team / "own.py").write_text("def shout(text: str) -> str:\n    'Say it loudly.'\n    return text.upper()\n")
    (team / "team.yaml").write_text("agents: {A: {tools: ['own:shout']}}\nproviders: {offline: {}}\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    request = 'Shout the text "hello".'
    refused = callboard("run", team / "team.yaml", request, cwd=elsewhere)
    assert_refused(refused, "no module is called 'own'", "--import-from FOLDER")
    done = callboard("run", team / "team.yaml", request, "--import-from", team, cwd=elsewhere)
    assert done.status == 0, done.err
    assert "HELLO" in done.out
    assert_refused(callboard("run", team / "team.yaml", "x", "--import-from", "none", cwd=elsewhere), "does not exist")
