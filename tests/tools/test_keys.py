"""Commands that try to get at the keys in the environment of the process that runs them, and of its like."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from callboard.tools.builtin.shell import bash_tool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="is about Linux's /proc")

# The attacked process: its keys stand in its environment from its start, as a service's do, and in a worker's.
PROGRAM = """
import asyncio, ctypes, json, logging, os, subprocess, sys
from callboard.tools.builtin.process import clean_environment
from callboard.tools.builtin.shell import bash_tool

user, path, protected, attacks = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1", json.loads(sys.argv[4])
bash = bash_tool("/")
bash.check({"command": "true"})  # what it needs is loaded before files of another user cannot be read any more
if user:
    os.setgroups([]), os.setgid(user), os.setuid(user)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a process that was started by this user
if path:
    os.environ["PATH"] = path
worker = subprocess.Popen(["sleep", "1000"])  # has the keys, too

async def outcome(attack):
    attack = attack.replace("{pid}", str(os.getpid())).replace("{worker}", str(worker.pid))
    if protected:
        return (await bash.run({"command": attack})).text
    return subprocess.run(["bash", "-c", attack], env=clean_environment(), capture_output=True, text=True).stdout

logging.basicConfig(level="WARNING", stream=sys.stdout, format="LOGGED %(message)s")
try:
    for attack in attacks:
        print(asyncio.run(outcome(attack)).strip(), "END", sep="")
finally:
    worker.kill()
    worker.wait()
"""

SHOW = "2>/dev/null | tr '\\0' '\\n' | grep -a TOP_SECRET"
READ_PARENT = f"cat /proc/$PPID/environ {SHOW}"
READ_WORKER = f"cat /proc/{{worker}}/environ {SHOW}"
WALK = f"cat /proc/[0-9]*/environ {SHOW}"
READ_SHELL = f"cat /proc/$(grep PPid: /proc/$PPID/status | tr -dc 0-9)/environ {SHOW}"
WALK_TASKS = f"cat /proc/[0-9]*/task/*/environ {SHOW}"
MEMORY = (
    "grep -a '\\[stack\\]' /proc/{pid}/maps | { IFS=' -' read a b rest && "
    f"tail -c +$((0x$a + 1)) /proc/{{pid}}/mem 2>/dev/null | head -c $((0x$b - 0x$a)) {SHOW}; }}"
)
DEBUGGER = f"gdb -p {{pid}} -batch -ex 'x/300s *(char **)environ' -ex 'info proc all' {SHOW}"
BY_ITS_ROOT = f"cat /proc/{{pid}}/root/proc/{{pid}}/environ {SHOW}"
ANOTHER_NAMESPACE = f"unshare --user --map-root-user bash -c 'cat /proc/[0-9]*/environ' {SHOW}"
ENTERING = f"nsenter --user --target {{pid}} cat /proc/{{pid}}/environ {SHOW}"
TAKING_BACK = f"setpriv --inh-caps=+sys_ptrace --ambient-caps=+sys_ptrace cat /proc/{{pid}}/environ {SHOW}"
ATTACKS = [
    READ_PARENT,
    READ_WORKER,
    READ_SHELL,
    WALK,
    WALK_TASKS,
    MEMORY,
    DEBUGGER,
    BY_ITS_ROOT,
    ANOTHER_NAMESPACE,
    ENTERING,
    TAKING_BACK,
]
USERS = [0, 65534] if os.geteuid() == 0 else [0]  # 0: whoever runs the tests


def attacked(
    attacks: list[str], user: int = 0, path: str = "", *, protected: bool = True, prefix: tuple[str, ...] = ()
) -> str:
    shell = ("bash", "-c", '"$@"; exit $?', "bash")  # it has the keys, too, as the shell that a program is started from
    done = subprocess.run(
        [*prefix, *shell, sys.executable, "-c", PROGRAM, str(user), path, str(int(protected)), json.dumps(attacks)],
        env={**os.environ, "SERVICE_KEY": "TOP_SECRET"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _without(tmp_path: Path, *programs: str) -> str:
    """A search path with what the attacks need, and without some programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in {"bash", "sh", "cat", "head", "tr", "grep", "sleep", "setpriv", "unshare"} - set(programs):
        (folder / name).symlink_to(shutil.which(name) or name)
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to(tmp_path.parents[2]):
            parent.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("user", USERS)
def test_without_protection_a_command_reads_the_keys(user: int) -> None:
    told = attacked([READ_PARENT, READ_WORKER, WALK, MEMORY], user, protected=False).split("END")
    assert ["TOP_SECRET" in outcome for outcome in told[:4]] == [True] * 4


@pytest.mark.parametrize("user", USERS)
def test_no_command_gets_at_the_keys_of_the_process_that_runs_it_or_of_its_workers(user: int) -> None:
    told = attacked(ATTACKS, user)
    assert "TOP_SECRET" not in told
    assert "LOGGED" not in told


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_where_namespaces_are_forbidden_the_process_itself_is_closed_to_its_user(tmp_path: Path) -> None:
    path = _without(tmp_path, "unshare")
    told = attacked([READ_PARENT, MEMORY], 65534, path)
    assert "TOP_SECRET" not in told
    assert "LOGGED" not in told
    assert "TOP_SECRET" in attacked([READ_WORKER], 65534, path)  # the page says so: other processes stay open


@pytest.mark.skipif(os.geteuid() != 0, reason="of a user without rights the process closes itself")
def test_where_nothing_keeps_a_command_out_a_warning_says_so(tmp_path: Path) -> None:
    told = attacked(["echo fine"], 0, _without(tmp_path, "setpriv", "unshare"))
    assert told.splitlines()[-1] == "fineEND"
    assert "LOGGED commands of the tool Bash can read the environment of this process" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_no_command_becomes_root_by_a_program_that_lets_others_do_so() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which is closed to other users
        os.chmod(folder, 0o755)
        program = shutil.copy(shutil.which("id") or "id", folder)
        os.chmod(program, 0o4755)
        if "0END" not in attacked([f"{program} -u"], 65534, protected=False).split():
            pytest.skip("such programs have no effect here")
        assert "65534END" in attacked([f"{program} -u"], 65534).split()


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_as_root_a_command_may_still_do_what_roots_do() -> None:
    told = attacked(["d=$(mktemp -d) && touch $d/f && chown 65534 $d/f && stat -c %u $d/f; rm -r $d; id -u"])
    assert told.split() == ["65534", "0END"]


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_in_a_container_whose_root_has_few_rights_the_keys_are_kept_too() -> None:
    container = ("setpriv", "--bounding-set=-sys_ptrace,-sys_admin,-perfmon,-sys_module,-sys_rawio,-bpf")
    assert "TOP_SECRET" in attacked([READ_PARENT], protected=False, prefix=container)
    told = attacked([*ATTACKS, "grep CapBnd /proc/self/status"], prefix=container)
    assert "TOP_SECRET" not in told
    assert "LOGGED" not in told
    assert "CapBnd" in told


async def test_files_that_its_user_may_read_are_open_to_a_command(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / ".env").write_text("SERVICE_KEY=TOP_SECRET")
    assert "TOP_SECRET" in (await bash_tool(tmp_path / "inside").run({"command": "cat ../.env"})).text
