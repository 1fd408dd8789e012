"""An agency under load. In a shell it is ``callboard bench load:agency --concurrency 1,8 --json today.json``."""

import contextlib
import json
from pathlib import Path

from callboard import Agency, Agent
from callboard.actors.cli import main

agency = Agency(Agent("Clerk", "You sell tea."), model="offline")

if __name__ == "__main__":
    words = ["bench", "load:agency", "--concurrency", "1,8", "--duration", "0.1", "--rounds", "2"]
    with open("table.txt", "w") as table, contextlib.redirect_stdout(table), contextlib.redirect_stderr(table):
        status = main([*words, "--import-from", str(Path(__file__).parent), "--json", "today.json"])
    print("status", status)
    for result in json.loads(Path("today.json").read_text())["results"]:
        answered = result["figures"]["throughput"]["low"] > 0
        print(f"{result['subject']}, {result['load']}: {'answers' if answered else 'no answer'}, {result['errors']}")
