"""Settings of one pool beside each other. Or: ``callboard bench team.yaml --also routing=weighted --also …``."""

import contextlib
import json
from pathlib import Path

from callboard.actors.cli import main

TEAM = """
agents: {Clerk: {instructions: You sell tea.}}
providers: {near: {type: offline}, far: {type: offline, weight: 2}}
"""

if __name__ == "__main__":
    Path("team.yaml").write_text(TEAM)
    also = ["--also", "routing=weighted", "--also", "hedge.budget=0.2,providers.*.limits.concurrency=4"]
    words = ["bench", "team.yaml", *also, "--concurrency", "8", "--duration", "0.1", "--rounds", "2"]
    with open("table.txt", "w") as table, contextlib.redirect_stdout(table), contextlib.redirect_stderr(table):
        status = main([*words, "--json", "today.json"])
    print("status", status)
    for result in json.loads(Path("today.json").read_text())["results"]:
        answered = result["figures"]["throughput"]["low"] > 0
        print(f"{result['subject']}: {'answers' if answered else 'no answer'}, {result['errors']}")
