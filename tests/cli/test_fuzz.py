"""Whatever is typed, and whatever stands in a team file: an answer or one error, and never a traceback."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from callboard.actors.agents.teamfile.schema import AgentEntry, TeamFile
from callboard.actors.cli import main
from callboard.actors.cli.serve import serve, simulate

TEAM = """\
agents:
  A: {tools: [LS, Write], autonomy: supervised}
  B: {tools: [Grep]}
flows: [[A, B]]
journal: team.db
"""
CASES = "cases: [{name: one, ask: hello, expect: {contains: x}}]\n"

ODD = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12),
    st.sampled_from(("\udce9", "\x1b[31m", "-", "--", "---", "=", "", " ", ".", "..", "/", "a/b", "x" * 5000)),
    st.sampled_from(("0", "-1", "1e999", "nan", "inf", "9" * 20, "1.5", "true", "null", "{}", "[]", "[1", "~nobody")),
    st.sampled_from(("team.yaml", "cases.yaml", "team.db", "empty", "shop:agency", "os:path", ":", "postgresql://")),
)
_OPTIONS = """
folder import-from user tenant json model approve conversation resume only repeat concurrency compare also rate rounds
ask questions agent timeout plot host port workers reload drain authenticate allow-anyone webhooks registry dashboard
cluster journal once interval to step latency chunk-delay fault failure-rate seed report requests-per-minute
tokens-per-minute arguments limits reason finished ephemeral expires name scope help version no-json nosuch
"""
OPTIONS = _OPTIONS.split()
OPTION = st.sampled_from(OPTIONS).map(lambda name: f"--{name}")
TOGETHER = st.builds("{}={}".format, OPTION, ODD)
GROUP = st.one_of(st.tuples(ODD), st.tuples(OPTION), st.tuples(OPTION, ODD), st.tuples(TOGETHER))
WORDS = st.lists(GROUP, max_size=4).map(lambda groups: [word for group in groups for word in group])
COMMANDS: tuple[list[str], ...] = (
    *(["run"], ["run", "team.yaml", "hello"], ["chat"], ["chat", "team.yaml"], ["tool"], ["tool", "Read"], ["init"]),
    *(["config", "check"], ["config", "schema"], ["eval"], ["eval", "cases.yaml", "team.yaml"], ["bench"], ["show"]),
    *(["show", "team.db"], ["replay"], ["replay", "team.db"], ["journal", "check"], ["journal", "prune", "team.db"]),
    *(["journal", "repair"], ["journal", "vacuum"], ["approvals", "list"], ["approvals", "approve", "team.db"]),
    *(["approvals", "deny"], ["keys", "add"], ["keys", "list"], ["keys", "revoke"], ["tree"], ["top", "--once"]),
    *(["dashboard"], ["serve"], ["serve", "team.yaml"], ["simulate-provider"], ["mcp", "nosuch"], ["acp"], []),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty place, with a team, in which the commands run; none of them goes on serving."""
    path = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for name in [one for one in os.environ if one.endswith("_API_KEY")]:
            patch.delenv(name)
        patch.setenv("XDG_STATE_HOME", str(path))
        patch.setattr("tempfile.tempdir", str(path))
        patch.setattr(serve, "_work", _not_served)
        patch.setattr(serve, "_supervise", _not_served)
        patch.setattr(simulate, "serve_forever", _nothing)
        patch.setattr(sys, "path", list(sys.path))
        yield path


def _not_served(_: object, listening: socket.socket | None = None, *more: object) -> int:
    if listening is not None:
        listening.close()
    return 0


async def _nothing(*_: object, **__: object) -> None:
    """In place of serving for ever."""


@pytest.fixture
def put(folder: Path) -> Path:
    (folder / "team.yaml").write_text(TEAM, encoding="utf-8")
    (folder / "cases.yaml").write_text(CASES, encoding="utf-8")
    (folder / "empty").mkdir(exist_ok=True)
    return folder


def ends_well(arguments: list[str], typed: str = "hello\n") -> int:
    """Runs a command in this process: it ends with a status, and at most an error of two lines for what is wrong."""
    with pytest.MonkeyPatch.context() as patch:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        patch.setattr("sys.stdin", io.StringIO(typed))
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        status = main(arguments)
        said = [stream.buffer.getvalue().decode() for stream in (out, err)]
    assert status in (0, 1, 2), (arguments, status)
    assert "Traceback" not in said[1], (arguments, said[1])
    if status == 2:
        refused = [line for line in said[1].splitlines() if line.startswith("callboard: ")]
        assert refused, (arguments, said)
    return status


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(COMMANDS), WORDS, st.text(max_size=20))
@example(["acp"], ["team.yaml"], "")
def test_no_words_behind_a_command_make_a_traceback(
    put: Path, command: list[str], words: list[str], typed: str
) -> None:
    ends_well([*command, *words], typed)


KEYS = st.one_of(st.text(max_size=8), st.integers(), st.sampled_from(("A", "use", "type")))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), ODD),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=6,
)
AGENTS = st.dictionaries(
    st.one_of(st.sampled_from(("A", "B", "a b", "A/B")), st.text(max_size=5)),
    st.one_of(st.dictionaries(st.sampled_from(sorted(AgentEntry.model_fields)), VALUES, max_size=3), VALUES),
    max_size=3,
)
TEAMS = st.one_of(
    st.fixed_dictionaries(
        {"agents": AGENTS},
        optional={name: VALUES for name in TeamFile.model_fields if name != "agents"},
    ).map(lambda team: dict(list(team.items())[:4])),
    VALUES,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEAMS)
def test_no_team_file_makes_a_traceback(put: Path, team: Any) -> None:
    text = yaml.safe_dump(team, allow_unicode=True)
    (put / "odd.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    if ends_well(["config", "check", "odd.yaml"]) == 0 and "journal" not in text:
        ends_well(["chat", "odd.yaml"], "hello\n/model\n/cost\n")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
@example(b"a: &x [*x]\n")
@example(b"agents: {A: {}}\nagents: {B: {}}\n")
@example(b"? [a]\n: b\n")
@example(b"\xff\xfe")
@example(b"agents: {A: {<<: 5}}\n")
@example(b"[" * 3000)
def test_no_bytes_in_a_team_file_make_a_traceback(put: Path, text: bytes) -> None:
    (put / "odd.yaml").write_bytes(text)
    ends_well(["config", "check", "odd.yaml"])


MORE = ("/sessions", "/fork", "/save", "/model", "@A", "@B", "/undo")
SAID = ("Write x to b.md", "yes", "no", "edit", "always", "/undo", "/sessions", "/fork", "/new", "/tree")


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            ODD,
            st.text(max_size=20),
            st.builds("{} {}".format, st.sampled_from(MORE), ODD),
            st.sampled_from(SAID),
        ),
        max_size=6,
    )
)
def test_no_line_in_a_chat_makes_a_traceback(put: Path, lines: list[str]) -> None:
    assert ends_well(["chat", "team.yaml", "--folder", "empty"], "\n".join(lines)) == 0
