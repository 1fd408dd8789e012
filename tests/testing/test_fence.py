"""What of the real world a run may touch: vendors' SDKs over a mocked transport, reading, our own journals."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import gc
import math
import os
import platform
import select
import signal
import socket
import sqlite3
import ssl
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select as waiting_of_select
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from callboard.actors import Actor
from callboard.actors.testing import EscapedSimulation, Simulation, SimulationFailed, simulate

OPENAI = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}
ANTHROPIC = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


class Writer(Actor):
    """Keeps what it is told in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.place = path

    def on_receive(self, message: str) -> str:
        with self.place.open("a") as file:
            file.write(message)
        return self.place.read_text()


def writing(path: Path, *, allowed: bool) -> Any:
    async def scenario(sim: Simulation) -> None:
        if allowed:
            sim.allow_writing(path.parent)
            path.write_text("")  # noqa: ASYNC240
        assert await sim.system.spawn(Writer, path, name="writer").ask("note") == "note"

    return scenario


def mocked(answer: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=answer)))


def forget_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_uname_cache", None)
    for sdk in (openai, anthropic):
        sdk._base_client.platform_headers.cache_clear()


def test_the_sdks_of_vendors_answer_over_a_mocked_transport_from_their_first_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(sim: Simulation) -> None:
        forget_the_machine(monkeypatch)
        first = openai.AsyncOpenAI(api_key="k", http_client=mocked(OPENAI))
        completion = await first.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert completion.choices[0].message.content == "hello"
        forget_the_machine(monkeypatch)
        second = anthropic.AsyncAnthropic(api_key="k", http_client=mocked(ANTHROPIC))
        message = await second.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
        assert message.content[0].text == "hello"  # type: ignore[union-attr]

    simulate(scenario, seeds=2)


def test_a_handler_that_writes_a_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SimulationFailed, match=r"writing the file '.*notes.txt' inside a simulation") as caught:
        simulate(writing(tmp_path / "notes.txt", allowed=False), seeds=0)
    assert isinstance(caught.value.run.error, EscapedSimulation)
    assert not (tmp_path / "notes.txt").exists()
    assert "Write into sim.folder, which goes with the run, or allow a directory with sim.allow_writing(" in str(
        caught.value
    )


def test_where_temporary_files_are_may_be_asked_in_a_run_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)  # as in a new process
    found = []

    async def scenario(sim: Simulation) -> None:
        found.append((tempfile.gettempdir(), uuid.uuid4()))

    simulate(scenario, seeds=2)
    assert len({*found}) == 1


def test_files_of_an_allowed_directory_may_be_written(tmp_path: Path) -> None:
    simulate(writing(tmp_path / "notes.txt", allowed=True), seeds=3)
    (tmp_path / "beside").mkdir()
    with pytest.raises(SimulationFailed, match="beside"):
        simulate(writing_beside(tmp_path), seeds=0)


def writing_beside(path: Path) -> Any:
    async def scenario(sim: Simulation) -> None:
        sim.allow_writing(path / "beside")
        (path / "beside" / "in").write_text("")
        (path / "beside2").write_text("")

    return scenario


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    async def scenario(sim: Simulation) -> None:
        with pytest.raises(ValueError, match="is no directory"):
            sim.allow_writing(tmp_path / "nowhere")

    simulate(scenario, seeds=0)


def test_a_database_is_used_as_it_is(tmp_path: Path) -> None:
    async def scenario(sim: Simulation) -> None:
        connection = sqlite3.connect(tmp_path / "own.db")
        connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
        connection.close()

    simulate(scenario, seeds=1)


def test_what_waits_in_another_event_loop_in_a_thread_is_refused_by_name_and_does_not_hang() -> None:
    async def work() -> None:
        await asyncio.sleep(0.5)

    def quietly() -> None:
        with contextlib.suppress(Exception):
            asyncio.run(work())

    async def runs() -> None:
        await asyncio.to_thread(asyncio.run, work())

    async def hides_it() -> None:
        await asyncio.to_thread(quietly)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of work() in a run that is given up
        for scenario in (runs, hides_it):
            with pytest.raises(
                SimulationFailed, match=r"EscapedSimulation: thread .* waits in an event loop of its own"
            ):
                simulate(scenario, seeds=2)
        gc.collect()
    asyncio.run(asyncio.sleep(0.001))


def test_another_event_loop_in_a_thread_that_waits_for_nothing_is_part_of_a_step() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    async def scenario() -> None:
        assert await asyncio.to_thread(lambda: asyncio.run(work())) == 5

    simulate(scenario, seeds=2)


def test_to_sleep_for_no_number_of_seconds_raises_as_asyncio_and_time_do() -> None:
    async def on_the_loop() -> None:
        with pytest.raises(ValueError, match="Invalid delay: NaN"):
            await asyncio.sleep(math.nan)

    async def in_a_thread() -> None:
        with pytest.raises(ValueError, match="Invalid value NaN"):
            await asyncio.to_thread(time.sleep, math.nan)

    simulate(on_the_loop, seeds=2)
    simulate(in_a_thread, seeds=2)


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection that is older than the run."""
    one, other = socket.socketpair()
    one.send(b"x")
    yield one, other
    one.close()
    other.close()


def refused(what: Callable[[], object], told: str) -> None:
    async def on_the_loop(_: Simulation) -> None:
        what()

    async def in_a_thread(_: Simulation) -> None:
        await asyncio.to_thread(what)

    for scenario in (on_the_loop, in_a_thread):
        with pytest.raises(SimulationFailed, match=told) as caught:
            simulate(scenario, seeds=0)
        assert isinstance(caught.value.run.error, EscapedSimulation)


def test_a_socket_that_is_older_than_the_run_is_refused(connected: tuple[socket.socket, socket.socket]) -> None:
    one, other = connected
    refused(lambda: one.send(b"y"), "sending on a socket")
    refused(lambda: one.sendall(b"y"), "sending on a socket")
    refused(lambda: one.sendmsg([b"y"]), "sending on a socket")
    refused(lambda: other.recv(1), "receiving on a socket")
    refused(lambda: other.recv_into(bytearray(1)), "receiving on a socket")
    refused(lambda: one.accept(), "accepting a connection")
    refused(lambda: select.select([one], [], []), r"waiting in select\(\)")
    refused(lambda: waiting_of_select([one], [], [], 5), r"waiting in select\(\)")
    assert other.recv(9) == b"x"


def test_an_encrypted_socket_that_is_older_than_the_run_is_refused(
    connected: tuple[socket.socket, socket.socket],
) -> None:
    one, _ = connected
    one.setblocking(False)
    secure = ssl.create_default_context().wrap_socket(one, server_hostname="example", do_handshake_on_connect=False)
    refused(lambda: secure.send(b"y"), "sending on a socket")
    refused(lambda: secure.sendall(b"y"), "sending on a socket")
    refused(lambda: secure.write(b"y"), "sending on a socket")
    refused(lambda: secure.recv(1), "receiving on a socket")
    refused(lambda: secure.read(1), "receiving on a socket")
    with secure, pytest.raises(ssl.SSLWantReadError):  # and afterwards it is as it was
        secure.read(1)


def test_looking_up_names_and_addresses_is_refused() -> None:
    refused(lambda: socket.gethostbyaddr("127.0.0.1"), "looking up a host")
    refused(lambda: socket.getnameinfo(("127.0.0.1", 80), 0), "looking up a host")
    refused(lambda: socket.getfqdn("localhost"), "looking up a host")


def test_a_thread_below_the_threading_module_is_refused() -> None:
    refused(lambda: _thread.start_new_thread(print, ()), "starting a thread")
    refused(lambda: _thread.start_new(print, ()), "starting a thread")


def test_signals_and_timers_of_the_system_are_refused() -> None:
    refused(lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN), "setting the handler of a signal")
    refused(lambda: signal.alarm(0), "setting a timer of the system")
    refused(lambda: signal.setitimer(signal.ITIMER_REAL, 0), "setting a timer of the system")


def test_what_changes_a_file_without_opening_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with file.open("r+") as opened:
        refused(lambda: os.ftruncate(opened.fileno(), 0), "truncating the file '.*file'")
        refused(lambda: os.fchmod(opened.fileno(), 0o600), "changing the mode of the file '.*file'")
    refused(lambda: file.chmod(0o600), "changing the mode of the file")
    refused(lambda: os.utime(file), "changing the times of the file")
    refused(lambda: os.setxattr(file, "user.x", b""), "changing attributes of the file")
    refused(lambda: os.mkfifo(tmp_path / "pipe"), "making the file '.*pipe'")
    refused(lambda: os.mknod(tmp_path / "node"), "making the file '.*node'")
    assert [it.name for it in tmp_path.iterdir()] == ["file"]

    async def allowed(sim: Simulation) -> None:
        sim.allow_writing(tmp_path)
        file.chmod(0o600)
        with file.open("r+") as opened:
            os.ftruncate(opened.fileno(), 0)

    simulate(allowed, seeds=1)


def test_the_environment_and_the_working_directory_are_not_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused(lambda: os.environ.__setitem__("CALLBOARD_TRIED", "1"), "changing the environment variable 'CALLBOARD_TR")
    refused(lambda: os.chdir(tmp_path), "changing the working directory to")
    assert Path.cwd() != tmp_path

    async def by_a_fixture(_: Simulation) -> None:
        monkeypatch.setenv("CALLBOARD_TRIED", "1")

    simulate(by_a_fixture, seeds=1)
