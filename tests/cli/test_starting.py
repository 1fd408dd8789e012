"""Ctrl-C from the first moment of the command on to its last."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from .command import offline

EACH_IN_TURN = """
import json, os, signal, sys, tempfile

from callboard.__main__ import main

SIGNAL = {signal}

class Impatient:
    \"\"\"Sends the signal as so many modules have been looked for.\"\"\"

    def __init__(self, after):
        self.left = after

    def find_spec(self, name, path=None, target=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), SIGNAL)
        return None

def interrupted(after):
    \"\"\"Exit status and stderr of a command that is sent the signal then; whether it was sent.\"\"\"
    with tempfile.TemporaryFile() as heard:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(heard.fileno(), 2)
            impatient = Impatient(after)
            sys.meta_path.insert(0, impatient)
            sys.argv = ["callboard", "tool", "Write", "x"]
            sys.exit(main())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        heard.seek(0)
        return status, heard.read().decode()

at, found = 1, []
while not found or found[-1][0] == 130:
    found.append(interrupted(at))
    at += max(1, at // 2)
print(json.dumps(found))
"""


def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_word(tmp_path: Path) -> None:
    words = [sys.executable, "-c", EACH_IN_TURN.format(signal=int(signal.SIGINT))]
    done = subprocess.run(words, cwd=tmp_path, env=offline(), capture_output=True, encoding="utf-8", check=True)
    *interrupted, last = json.loads(done.stdout)
    assert len(interrupted) > 10, "at each of many moments"
    assert {tuple(one) for one in interrupted} == {(130, "")}
    assert last[0] == 2, "so many modules there are not: it went on to its end"


def test_ctrl_c_that_is_ignored_is_ignored_while_the_command_is_loaded(tmp_path: Path) -> None:
    script = "import os, signal, sys; from callboard.__main__ import main; sys.argv[1:] = ['--version']\n"
    sent = "import threading; os.kill(os.getpid(), signal.SIGINT)\n"
    ignored = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-c", f"{script}{sent}sys.exit(main())"]
    done = subprocess.run(ignored, cwd=tmp_path, env=offline(), capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_ctrl_c_as_the_process_ends_is_no_traceback(tmp_path: Path) -> None:
    script = """
import atexit, os, signal, sys
from callboard.__main__ import main

atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv[1:] = ["--version"]
sys.exit(main())
"""
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, cwd=tmp_path, env=offline(), capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.strip(), "what was printed is there"


def test_the_command_is_a_module_too(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "callboard", "--version"]
    done = subprocess.run(words, cwd=tmp_path, env=offline(), capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
