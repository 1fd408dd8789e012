"""A bot that reviews a change in Git. In CI ``python code_review.py FOLDER origin/main`` has the exit status 1 where
something must be changed. Without a folder it makes a repository, and reviews that. Offline as it stands."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from callboard import Agency, Agent, ChildSpec, Limits, Request, ToolCall, file_tools, git_tool
from callboard.testing import FunctionModel


class Finding(BaseModel):
    file: str
    line: int
    severity: Literal["must", "may"]
    what: str


def model(request: Request) -> str | ToolCall:
    """Finds two things in the added lines of a diff."""
    last, found, file, line = request.messages[-1], [], "", 0
    if last.role == "user":
        arguments = {"command": "diff", "arguments": ["--unified=0", f"{last.text}...HEAD"]}
        return ToolCall("c1", "Git", json.dumps(arguments))
    for text in last.text.splitlines():
        if text.startswith("+++ b/"):
            file = text.removeprefix("+++ b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)", text):
            line = int(hunk[1])
        elif text.startswith("+"):
            if "except:" in text:
                found.append(
                    {"file": file, "line": line, "severity": "must", "what": "it hides every error, Ctrl-C too"}
                )
            if "print(" in text:
                found.append({"file": file, "line": line, "severity": "may", "what": "left from debugging?"})
            line += 1
    return json.dumps(found)


def review(folder: Path, base: str) -> int:
    """Print what is found in what HEAD has and ``base`` has not; return the exit status."""
    reviewer = Agent(
        "Reviewer",
        "Review the change from the revision you are told to HEAD. Report what you have seen there, nothing else.",
        tools=[git_tool(folder), *(each for each in file_tools(folder) if each.name in ("Read", "Grep"))],
        output_type=list[Finding],
        limits=Limits(steps=20, cost=0.25, seconds=120),
    )
    agency = Agency(reviewer, model=ChildSpec(FunctionModel, (model,), name="model"))
    answer = agency.run_sync(base)
    if answer.error is not None:
        raise answer.error
    for each in answer.value:
        print(f"{each.file}:{each.line}: {each.severity}: {each.what}")
    return int(any(each.severity == "must" for each in answer.value))


def git(folder: str, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.com", *words], cwd=folder, check=True)


if sys.argv[1:]:
    sys.exit(review(Path(sys.argv[1]), sys.argv[2]))
with tempfile.TemporaryDirectory() as folder:
    git(folder, "init", "--quiet")
    for branch, text in (("main", "total = 1\n"), ("fix", "try:\n    total = 1\nexcept:\n    print('oh')\n")):
        git(folder, "checkout", "--quiet", "-B", branch)
        Path(folder, "shop.py").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", f"--message=The {branch}")
    print("exit status", review(Path(folder), "main"))
