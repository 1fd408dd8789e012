"""``python -m benchmarks serve``: what it costs to serve an agency over HTTP.

``plain`` is the CPU of a request to ``/v1/chat/completions``, ``chunks`` that of one whose answer is streamed in 20
pieces, of the server's process alone; ``ag_ui`` (a stream), ``a2a`` and ``mcp`` that of a request by these protocols,
``realtime`` that of a question and its answer in pieces over a WebSocket that is open. ``bare`` is starlette that reads
the JSON, looks at nothing of it, and writes the very JSON that ours has written. ``callboard`` is what an agency that
is served takes without the agent's own turn: that is what the same run costs more than ``bare`` where starlette alone
is around it, measured in the same round. ``plain_whole`` and ``chunks_whole`` are with the turn; there LiteLLM's proxy,
with an answer of its own making, stands beside ours, where ``make bench-peers`` has installed it.

``idle`` is the memory of 1,000 streams whose model says nothing more, ``kept`` by how much the server's memory grows
from the 10,000th to the 100,000th request.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import psutil
from websockets.sync.client import connect

from .harness import Case, Sample, Suite, Unsupported
from .harness.model import OURS
from .subjects.process import PEERS, ROOT
from .subjects.served import HOLD, MODEL, PROTOCOLS

BASELINE: Final = "bare"
PROXY: Final = "litellm"
REPEATS: Final = 5
WARM: Final = 200
PATIENCE: Final = 60.0


def suite(quick: bool) -> Suite:
    """All scenarios; ``quick`` sends a fifth of the requests, and a tenth of those that are kept."""
    smaller = 5 if quick else 1
    stack = ExitStack()
    servers = Servers(stack)
    cases: list[Case] = []
    sizes = {"plain": 3_000, "chunks": 1_000}
    for scenario in PROTOCOLS:
        n = sizes.get(scenario, 500) // smaller
        cases += [
            Case(scenario, BASELINE, partial(servers.cost, BASELINE, scenario, n)),
            Case(scenario, OURS, partial(servers.apart, scenario, n)),
        ]
    for scenario, size in sizes.items():
        n = size // smaller
        cases += [
            Case(f"{scenario}_whole", BASELINE, partial(servers.cost, BASELINE, scenario, n)),
            Case(f"{scenario}_whole", OURS, partial(servers.cost, OURS, scenario, n)),
            Case(f"{scenario}_whole", PROXY, partial(servers.cost, PROXY, scenario, n // 10)),
        ]
    cases += [
        Case("idle", BASELINE, partial(servers.idle, BASELINE, 1_000)),
        Case("idle", OURS, partial(servers.idle, OURS, 1_000)),
        Case("kept", OURS, partial(servers.kept, 10_000 // (10 if quick else 1), 100_000 // (10 if quick else 1))),
    ]
    return Suite(BASELINE, cases, repeats=REPEATS, close=stack.close)


def written(scenario: str, number: int, said: str = "hello") -> bytes:
    """A request, as it is sent; over a WebSocket a message.

    Args:
        scenario: of which.
        number: which one it is: conversations, runs and messages have names of their own.
        said: what the user says.
    """
    user = {"role": "user", "content": said}
    headers = ""
    if scenario in ("plain", "chunks"):
        about: dict[str, Any] = {"model": MODEL, "messages": [user], "stream": scenario == "chunks"}
    elif scenario == "ag_ui":
        ids = {"threadId": f"t-{number}", "runId": f"r-{number}"}
        nothing: dict[str, Any] = {"tools": [], "context": [], "state": {}, "forwardedProps": {}}
        about = {**ids, "messages": [{"id": "m", **user}], **nothing}
    elif scenario == "a2a":
        headers = "a2a-version: 1.0\r\n"
        message = {"messageId": f"m-{number}", "role": "ROLE_USER", "parts": [{"text": said}]}
        about = {"jsonrpc": "2.0", "id": number, "method": "SendMessage", "params": {"message": message}}
    elif scenario == "mcp":
        name, version = f"ask_{MODEL}", "2026-07-28"
        headers = f"mcp-protocol-version: {version}\r\nmcp-method: tools/call\r\nmcp-name: {name}\r\n"
        client: dict[str, Any] = {"clientInfo": {"name": "benchmark", "version": "1"}, "clientCapabilities": {}}
        meta = {
            f"io.modelcontextprotocol/{key}": value for key, value in {"protocolVersion": version, **client}.items()
        }
        params = {"name": name, "arguments": {"message": said}, "_meta": meta}
        about = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    else:
        return json.dumps({"type": "ask", "input": said}).encode()
    body = json.dumps(about).encode()
    head = (
        f"POST {PROTOCOLS[scenario].path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\n{headers}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer_of(body: bytes) -> Any:
    """An answer as objects: one, or for each event of a stream the lines before its data, and its data."""
    if not body.startswith((b"id:", b"data:", b"event:")):
        return json.loads(body)
    events = []
    for event in body.decode().split("\n\n")[:-1]:
        about, _, data = event.rpartition("data: ")
        events.append([about, json.loads(data) if data.startswith("{") else data])
    return events


class Served:
    """A server in a process of its own.

    Args:
        kind: which; see `subjects.served`.
        stack: ends it.
        answers: the file of what it writes, if it is not ours.
    """

    def __init__(self, kind: str, stack: ExitStack, answers: Path | None = None) -> None:
        listening = socket.create_server(("127.0.0.1", 0), backlog=2_048)
        self.port: int = listening.getsockname()[1]
        self._numbers = count()
        with listening:
            command = [sys.executable, "-m", "benchmarks.subjects.served", kind, str(listening.fileno())]
            if answers is not None:
                command.append(str(answers))
            if kind == PROXY:
                listening.close()
                command = self._proxy(stack)
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / ".src")])}
            fds = () if kind == PROXY else (listening.fileno(),)
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, pass_fds=fds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        stack.callback(self._end)
        self.warm: set[str] = set()

    def _proxy(self, stack: ExitStack) -> list[str]:
        program = PEERS.parent / "litellm"
        if not program.exists():
            raise Unsupported("LiteLLM's proxy is not installed: make bench-peers")
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        model = {"model": "openai/mock", "api_key": "none", "mock_response": "one two three"}
        config = Path(folder) / "config.yaml"
        about = {
            "model_list": [{"model_name": "Agent", "litellm_params": model}],
            # Everybody may ask, as they may the others here; without it, it does not start.
            "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},
        }
        config.write_text(json.dumps(about))
        return [str(program), "--config", str(config), "--port", str(self.port), "--host", "127.0.0.1"]

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def connect(self) -> socket.socket:
        """A connection; the server may still be starting."""
        until = time.monotonic() + PATIENCE
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server has ended with {self._process.returncode}")
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            if time.monotonic() > until:
                raise RuntimeError("the server does not start")
            time.sleep(0.1)

    def ask(self, scenario: str, times: int) -> Any:
        """Send requests, one after the other, over one connection: servers close those that wait for some seconds.
        Returns the last answer, as `subjects.served` takes it."""
        if scenario == "realtime":
            return self._talk(times)
        with closing(self.connect()) as connection:
            for _ in range(times):
                body = self._ask(connection, scenario)
        return answer_of(body)

    def _talk(self, times: int) -> list[Any]:
        self.connect().close()
        with connect(f"ws://127.0.0.1:{self.port}{PROTOCOLS['realtime'].path}") as websocket:
            ready = websocket.recv()
            for _ in range(times):
                websocket.send(written("realtime", 0).decode())
                got = [websocket.recv()]
                while '"ended"' not in str(got[-1]):
                    got.append(websocket.recv())
        return [json.loads(message) for message in (ready, *got)]

    def _ask(self, connection: socket.socket, scenario: str) -> bytes:
        """Send a request, and read its answer to the end."""
        connection.sendall(written(scenario, next(self._numbers)))
        got = b""
        while b"\r\n\r\n" not in got:
            got += _more(connection)
        head, _, rest = got.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answers {(head + rest)[:300]!r}")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if lengths:
            while len(rest) < int(lengths[0].partition(b":")[2]):
                rest += _more(connection)
            return rest
        while not rest.endswith(b"0\r\n\r\n"):
            rest += _more(connection)
        pieces = b""
        while not rest.startswith(b"0\r\n"):
            size, _, rest = rest.partition(b"\r\n")
            pieces, rest = pieces + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return pieces

    def cpu(self) -> float:
        """Seconds of CPU that its process has taken."""
        tasks = Path(f"/proc/{self._process.pid}/task")
        if not tasks.exists():
            used = psutil.Process(self._process.pid).cpu_times()
            return float(used.user + used.system)
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def memory(self) -> float:
        """Bytes that it holds."""
        return float(psutil.Process(self._process.pid).memory_info().rss)


def _more(connection: socket.socket) -> bytes:
    got = connection.recv(65_536)
    if not got:
        raise RuntimeError("the server has closed the connection")
    return got


class Servers:
    """The servers, each started when it is first needed.

    Args:
        stack: ends them.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[str, Served] = {}
        self._answers: dict[str, Any] = {}

    def started(self, kind: str, *scenarios: str) -> Served:
        """A server that has answered some requests.

        Args:
            kind: which.
            scenarios: of which it is asked.
        """
        if kind not in self._started:
            self._started[kind] = self.fresh(kind)
        server = self._started[kind]
        for scenario in scenarios:
            if scenario not in server.warm:
                server.ask(scenario, WARM)
                server.warm.add(scenario)
        return server

    def fresh(self, kind: str) -> Served:
        """A server of its own. Those that are not ours write what ours has written."""
        answers = None
        if kind in (BASELINE, "turn"):
            if not self._answers:
                ours = self.started(OURS, *PROTOCOLS)
                self._answers = {scenario: ours.ask(scenario, 1) for scenario in PROTOCOLS}
            answers = Path(self._stack.enter_context(tempfile.TemporaryDirectory())) / "answers.json"
            answers.write_text(json.dumps(self._answers))
        return Served(kind, self._stack, answers)

    def cost(self, kind: str, scenario: str, n: int) -> Sample:
        """CPU of a request."""
        server = self.started(kind, scenario)
        before = server.cpu()
        server.ask(scenario, n)
        return Sample((server.cpu() - before) / n * 1e6, "µs")

    def apart(self, scenario: str, n: int) -> Sample:
        """CPU of a request to an agency, without the agent's own turn."""
        bare, turn, ours = (self.cost(kind, scenario, n).value for kind in (BASELINE, "turn", OURS))
        return Sample(ours - (turn - bare), "µs")

    def idle(self, kind: str, n: int) -> Sample:
        """Memory of streams that wait."""
        server = self.fresh(kind)
        for scenario in ("plain", "chunks"):
            server.ask(scenario, WARM)
        before = server.memory()
        with ExitStack() as open_ones:
            for number in range(n):
                connection = open_ones.enter_context(closing(server.connect()))
                connection.sendall(written("chunks", number, HOLD))
                got = b""
                while b"word 0" not in got:
                    got += _more(connection)
            return Sample((server.memory() - before) / 1e6, "MB")

    def kept(self, first: int, n: int) -> Sample:
        """How much memory grows over many requests."""
        server = self.fresh(OURS)
        server.ask("plain", first)
        before = server.memory()
        server.ask("plain", n - first)
        return Sample((server.memory() - before) / 1e6, "MB")
