"""``python -m benchmarks serve``: what it costs to serve an agency over HTTP.

``plain`` is the CPU of a request to ``/v1/chat/completions``, ``chunks`` that of one whose answer is streamed in 20
pieces, of the server's process alone. ``bare`` is starlette that writes the same JSON. ``callboard`` is what an agency
that is served takes without the agent's own turn: that is what the same run costs more than ``bare`` where starlette
alone is around it, measured in the same round. ``plain_whole`` and ``chunks_whole`` are with the turn; there LiteLLM's
proxy, with an answer of its own making, stands beside ours, where ``make bench-peers`` has installed it.

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
from pathlib import Path
from typing import Final

import psutil

from .harness import Case, Sample, Suite, Unsupported
from .harness.model import OURS
from .subjects.process import PEERS, ROOT
from .subjects.served import HOLD

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
    for scenario, stream, n in (("plain", False, 3_000 // smaller), ("chunks", True, 1_000 // smaller)):
        cases += [
            Case(scenario, BASELINE, partial(servers.cost, BASELINE, stream, n)),
            Case(scenario, OURS, partial(servers.apart, stream, n)),
            Case(f"{scenario}_whole", BASELINE, partial(servers.cost, BASELINE, stream, n)),
            Case(f"{scenario}_whole", OURS, partial(servers.cost, OURS, stream, n)),
            Case(f"{scenario}_whole", PROXY, partial(servers.cost, PROXY, stream, n // 10)),
        ]
    cases += [
        Case("idle", BASELINE, partial(servers.idle, BASELINE, 1_000)),
        Case("idle", OURS, partial(servers.idle, OURS, 1_000)),
        Case("kept", OURS, partial(servers.kept, 10_000 // (10 if quick else 1), 100_000 // (10 if quick else 1))),
    ]
    return Suite(BASELINE, cases, repeats=REPEATS, close=stack.close)


class Served:
    """A server in a process of its own.

    Args:
        kind: which; see `subjects.served`.
        stack: ends it.
    """

    def __init__(self, kind: str, stack: ExitStack) -> None:
        listening = socket.create_server(("127.0.0.1", 0), backlog=2_048)
        self.port: int = listening.getsockname()[1]
        self.streams = False
        with listening:
            command = [sys.executable, "-m", "benchmarks.subjects.served", kind, str(listening.fileno())]
            if kind == PROXY:
                listening.close()
                command = self._proxy(stack)
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / ".src")])}
            fds = () if kind == PROXY else (listening.fileno(),)
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, pass_fds=fds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        stack.callback(self._end)
        for stream in (False, True):
            self.ask(stream, WARM)

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

    def send(self, connection: socket.socket, stream: bool, said: str = "hello") -> None:
        """Send a request."""
        about = {"model": "Agent", "messages": [{"role": "user", "content": said}], "stream": stream}
        body = json.dumps(about).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)

    def ask(self, stream: bool, times: int) -> None:
        """Send requests, one after the other, over one connection: servers close those that wait for some seconds."""
        with closing(self.connect()) as connection:
            for _ in range(times):
                self._ask(connection, stream)

    def _ask(self, connection: socket.socket, stream: bool) -> None:
        """Send a request, and read its answer to the end."""
        self.send(connection, stream)
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
        else:
            while not rest.endswith(b"0\r\n\r\n"):
                rest += _more(connection)

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

    def __getitem__(self, kind: str) -> Served:
        if kind not in self._started:
            self._started[kind] = Served(kind, self._stack)
        return self._started[kind]

    def cost(self, kind: str, stream: bool, n: int) -> Sample:
        """CPU of a request."""
        server = self[kind]
        before = server.cpu()
        server.ask(stream, n)
        return Sample((server.cpu() - before) / n * 1e6, "µs")

    def apart(self, stream: bool, n: int) -> Sample:
        """CPU of a request to an agency, without the agent's own turn."""
        bare, turn, ours = (self.cost(kind, stream, n).value for kind in (BASELINE, "turn", OURS))
        return Sample(ours - (turn - bare), "µs")

    def idle(self, kind: str, n: int) -> Sample:
        """Memory of streams that wait."""
        server = Served(kind, self._stack)
        before = server.memory()
        with ExitStack() as open_ones:
            for _ in range(n):
                connection = open_ones.enter_context(closing(server.connect()))
                server.send(connection, True, HOLD)
                got = b""
                while b"word 0" not in got:
                    got += _more(connection)
            return Sample((server.memory() - before) / 1e6, "MB")

    def kept(self, first: int, n: int) -> Sample:
        """How much memory grows over many requests."""
        server = Served(OURS, self._stack)
        server.ask(False, first)
        before = server.memory()
        server.ask(False, n - first)
        return Sample((server.memory() - before) / 1e6, "MB")
