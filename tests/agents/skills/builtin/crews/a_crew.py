"""Crews for the tests."""

import os
import subprocess
import sys
import time

from crewai import Crew  # what stands for it here, beside this file


def report(inputs: dict[str, str]) -> str:
    return f"a report on {inputs['topic']}, {sorted(name for name in os.environ if 'KEY' in name)}"


def fails(inputs: dict[str, str]) -> str:
    raise RuntimeError(f"no model answers to {os.environ['MY_KEY']}")


def hangs(inputs: dict[str, str]) -> str:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    with open(inputs["file"], "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(1000)
    return ""


def dies(inputs: dict[str, str]) -> str:
    os._exit(7)


crew = Crew(report)
failing = Crew(fails)
hanging = Crew(hangs)
dying = Crew(dies)


def make() -> Crew:
    return Crew(report, agents=())


NUMBER = 3
