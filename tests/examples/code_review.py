"""A bot that reviews a change in Git: ``python code_review.py FOLDER [origin/main]`` in CI. The exit status is 1 where
something must be changed, 2 where the change could not be seen. Without arguments it reviews a repository it makes."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from callboard import Agency, Agent, CallboardError, ChildSpec, Limits, Request, ToolCall, ToolError, git_tool
from callboard.testing import FunctionModel

TOLD = "Review the change from the revision you are told to HEAD. Report what you have seen there, nothing else."
SIGNS = [("except:", "must", "it hides every error, Ctrl-C too"), ("print(", "may", "left from debugging?")]


class Finding(BaseModel):
    file: str
    line: int
    severity: Literal["must", "may"]
    what: str


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model: finds two things in the added lines of a diff."""
    last, found, file, line = request.messages[-1], list[Finding](), "", 0
    if last.role == "user":
        arguments = {"command": "diff", "arguments": ["--unified=0", f"{last.text}...HEAD", "--"]}
        return ToolCall("c1", "Git", json.dumps(arguments))
    for text in last.text.splitlines():
        if text.startswith("+++ b/"):
            file = text.removeprefix("+++ b/").rstrip("\t")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)", text):
            line = int(hunk[1])
        elif text.startswith("+"):
            found += [
                Finding(file=file, line=line, severity=how, what=what) for sign, how, what in SIGNS if sign in text
            ]
            line += 1
    return json.dumps([each.model_dump() for each in found])


def review(folder: str, base: str = "origin/main") -> int:
    """Print what is found in what HEAD has and ``base`` has not; return the exit status."""
    try:
        limits = Limits(steps=20, cost=0.25, seconds=120)
        reviewer = Agent("Reviewer", TOLD, tools=[git_tool(folder)], output_type=list[Finding], limits=limits)
        answer = Agency(reviewer, model=ChildSpec(FunctionModel, (model,), name="model")).run_sync(base)
        seen = [call.result for step in answer.steps for call in step.calls if call.result]
        if not any(not each.is_error and not re.search("(?m)^\\[… .* bytes left out", each.text) for each in seen):
            raise ToolError(f"not seen whole: {' '.join(each.text for each in seen)}"[:300])  # whatever it found
    except CallboardError as error:
        print("not reviewed:", error, file=sys.stderr)
        return 2
    for each in answer.value:
        print(f"{each.file}:{each.line}: {each.severity}: {each.what}")
    return int(any(each.severity == "must" for each in answer.value))


def git(folder: str, *words: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # a hook has GIT_DIR
    author = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgSign=false")
    subprocess.run(["git", *author, *words], cwd=folder, env=env, check=True)


if sys.argv[1:]:
    sys.exit(review(*sys.argv[1:3]))
with tempfile.TemporaryDirectory() as folder:
    git(folder, "init", "--quiet")
    for branch, text in (("main", "total = 1\n"), ("fix", "try:\n    total = 1\nexcept:\n    print('oh')\n")):
        git(folder, "checkout", "--quiet", "-B", branch)
        Path(folder, "shop.py").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", f"--message=The {branch}")
    print("exit status", review(folder, "main"))
