"""What ``make browser`` does on machines of several kinds, of which each is a folder of commands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "bring.sh"
NEEDED = ("bash", "chmod", "env", "mkdir", "mktemp", "rm", "timeout")


def machine(folder: Path, **commands: str) -> subprocess.CompletedProcess[str]:
    """Run the script where only these commands are, beside those of any machine."""
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None, f"no {name} here"
        (folder / name).symlink_to(found)
    for name, code in commands.items():
        (folder / name).write_text(f'#!{folder}/bash\necho "{name} $*" >>{folder}/done\n{code}\n')
        (folder / name).chmod(0o755)
    return subprocess.run(
        [str(folder / "bash"), str(SCRIPT)], env={"PATH": str(folder)}, capture_output=True, text=True, timeout=60
    )


def test_where_a_chromium_is_nothing_is_done(tmp_path: Path) -> None:
    done = machine(tmp_path, **{"chromium": "", "apt-get": "", "id": "echo 0"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ({}, "no apt-get"),
        ({"apt-get": "", "id": "echo 1000"}, "may not install"),
        ({"apt-get": "", "id": "echo 1000", "sudo": "exit 1"}, "may not install"),
        ({"apt-get": "exit 100", "id": "echo 0"}, "update failed"),
        ({"apt-get": '[[ "$*" == *update ]]', "id": "echo 0"}, "install failed"),
        ({"apt-get": "", "id": "echo 0"}, "has brought none"),
    ],
)
def test_where_none_can_be_brought_it_says_why_in_a_line(tmp_path: Path, commands: dict[str, str], why: str) -> None:
    done = machine(tmp_path, **commands)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert why in done.stderr


@pytest.mark.parametrize("sudo", [False, True])
def test_debians_is_brought_by_root_and_by_who_may_be_root(tmp_path: Path, sudo: bool) -> None:
    brings = f'[[ "$*" == *" chromium "* ]] && printf "" >{tmp_path}/chromium && chmod 755 {tmp_path}/chromium; true'
    words = '[ "$1" = --non-interactive ] && shift; "$@"'
    done = machine(
        tmp_path, **{"apt-get": brings, "id": f"echo {1000 if sudo else 0}", **({"sudo": words} if sudo else {})}
    )
    assert (done.returncode, done.stderr) == (0, "")
    asked = [line for line in (tmp_path / "done").read_text().splitlines() if line.startswith("apt-get")]
    assert [line.split()[-1] for line in asked] == ["update", "fonts-liberation"]
