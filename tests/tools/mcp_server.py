"""A server of the Model Context Protocol over stdio, spoken by hand: it starts in a tenth of a second, one made with
the official SDK in two. It knows the protocol of 2026 and those before it, as the SDK's does, and runs calls at once.

Its folder is its first argument: there it notes each start and each call, and is told how to fail (`broken`, `dies`,
`stubborn`).
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

NO_ARGUMENTS = {"type": "object", "properties": {}}
TOOLS = [
    {"name": "pid", "description": "", "inputSchema": NO_ARGUMENTS},
    {"name": "once", "description": "", "inputSchema": NO_ARGUMENTS},
    {"name": "again", "description": "", "inputSchema": NO_ARGUMENTS, "annotations": {"idempotentHint": True}},
]

folder = Path(sys.argv[1])
writing = threading.Lock()


def note(what: str) -> None:
    with open(folder / what, "a") as file:
        file.write(f"{os.getpid()}\n")


def wait() -> None:
    (folder / "reached").write_text("")  # a named pipe: whoever reads it knows that a call is at work
    threading.Event().wait()


def called(name: str) -> str:
    if name == "pid":
        return str(os.getpid())
    note("calls")
    if name == "once" or len((folder / "calls").read_text().splitlines()) == 1:
        wait()
    return "done"


def answer(request: dict[str, Any]) -> None:
    method = request["method"]
    result: dict[str, Any]
    if method == "server/discover":
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
    elif method == "initialize":
        version = request["params"]["protocolVersion"]
        result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "", "version": ""}}
    elif method == "tools/list":
        result = {"tools": TOOLS}
    else:
        result = {"content": [{"type": "text", "text": called(request["params"]["name"])}], "isError": False}
    if "_meta" in request.get("params", {}):  # the protocol of 2026
        result |= {
            "resultType": "complete",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "", "version": ""}},
        }
        if method != "tools/call":
            result |= {"ttlMs": 0, "cacheScope": "private"}
    with writing:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)


note("starts")
if (folder / "broken").exists():
    sys.exit(1)
if (folder / "dies").exists():
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
if (folder / "stubborn").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    if "id" in (request := json.loads(line)):  # a notification has none
        threading.Thread(target=answer, args=(request,), daemon=True).start()
if (folder / "stubborn").exists():
    threading.Event().wait()
