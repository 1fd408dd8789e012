"""A node of a cluster, as a program of its own; `subjects.cluster_programs` starts it.

It reads what to do from stdin, a JSON object a line, and answers each with one; several may be under way.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from callboard import Agent, AgentError, ChildSpec, Cluster, Completion, Delta, Message, Request, ToolCall, Usage, tool
from callboard.actors import Actor, CoreError
from callboard.actors.cluster.agency import ClusterAgency
from callboard.actors.cluster.ray.transport import RayTransport

from .cluster_versions import INSTRUCTIONS, OWN, Post, messages, tools
from .history import Log
from .served import Speaker, answer_to, pieces_of, works

AGENT: Final = "Counter"
ECHO: Final = "echo"
POST: Final = "post"
HOLD: Final = "hold on "
"""How a question begins whose answer a node, named behind it, does not come to before it is told to."""

PATIENCE: Final = 8.0
"""Seconds for another node to answer: longer than the cluster's own."""


class Echo(Actor):
    """Answers with what it is asked."""

    def on_receive(self, message: Any) -> Any:
        return message


class HeardSpeaker(Speaker):
    """Writes down each time that it is called, and does not come to some answers.

    Args:
        name: of the node.
        log: where it writes.
        piece: seconds that one takes on average.
        may_go_on: set when it may come to those answers.
    """

    def __init__(self, name: str, log: Log, piece: float, may_go_on: asyncio.Event) -> None:
        super().__init__(piece)
        self._name = name
        self._log = log
        self._may_go_on = may_go_on

    async def _speak(self, request: Request) -> AsyncIterator[Delta]:
        question = next(message.text for message in reversed(request.messages) if message.role == "user")
        self._log.write("call", question.replace(" ", "_"))
        for message in request.messages[-2:]:
            if message.role == "tool" and "no tool is called" in message.text:
                self._log.write("told", self._name, message.text.replace(" ", "_"))
        if question.startswith(HOLD):
            if question.split()[2] == self._name:
                await self._may_go_on.wait()
        elif works(question) and request.messages[-1].role != "tool":
            await self._wait()
            names = ["note", *(tool.name for tool in request.tools if tool.name in OWN)]
            calls = tuple(ToolCall(f"call {name}", name, json.dumps({"key": question})) for name in names)
            yield Delta(completion=Completion(Message("assistant", "", calls), "tool_calls", Usage(5, 1)))
            return
        else:
            for piece in pieces_of(question):
                await self._wait()
                yield Delta(piece)
        yield Delta(completion=Completion(Message("assistant", answer_to(question)), "stop", Usage(5, 5)))

    async def _wait(self) -> None:
        await asyncio.sleep(random.uniform(0.3, 1.7) * self._piece)


class Program:
    """What it does when it is told to."""

    def __init__(self, agency: ClusterAgency, transport: RayTransport, may_go_on: asyncio.Event) -> None:
        self._agency = agency
        self._transport = transport
        self._may_go_on = may_go_on

    async def do(self, wanted: dict[str, Any]) -> Any:
        """Do one thing; return what is answered."""
        return await getattr(self, "do_" + wanted.pop("do"))(**wanted)

    async def do_go_on(self) -> None:
        """Come to the answers that were held."""
        self._may_go_on.set()

    async def do_nodes(self) -> dict[str, str]:
        """The ids of the nodes that are alive, with their names."""
        return {node.id: node.name for node in self._agency.nodes}

    async def do_gateway(self) -> int:
        """The process of its gateway."""
        line = self._transport._line
        assert line is not None
        assert line._transport is not None
        there: socket.socket = line._transport.get_extra_info("socket")
        pid: int = struct.unpack("3i", there.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid

    async def do_ask(self, node: str, n: int, at_once: int) -> list[float]:
        """Ask the echo of another node; the seconds of each time that so many were asked at once."""
        ref = self._agency.ref(node, ECHO)
        seconds = []
        for number in range(n):
            began = time.perf_counter()
            if at_once == 1:
                await ref.ask(number)
            else:
                await asyncio.gather(*[ref.ask(number) for _ in range(at_once)])
            seconds.append(time.perf_counter() - began)
        return seconds

    async def do_reaches(self, node: str) -> str:
        """Whether another node answers: the error, or nothing."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._agency.ref(node, ECHO).ask(0)
        except (CoreError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    async def do_post(self, node: str, what: str) -> str:
        """Send a message to the post of another node; what it says, or the error."""
        try:
            return str(await self._agency.ref(node, POST).ask(messages()[what]))
        except CoreError as error:
            return f"{type(error).__name__}: {error}"
        except Exception as error:
            return f"raised there {type(error).__name__}: {error}"

    async def do_run(self, question: str, conversation: str, run: str) -> str:
        """Have a run made; its answer."""
        return (await self._agency.run(question, conversation=conversation, run_id=run)).text


class Told(logging.Handler):
    """Writes down what is said in the log of a program.

    Args:
        name: of the node.
        log: where it writes.
    """

    def __init__(self, name: str, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._name = name
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self._log.write("told", self._name, record.getMessage().replace("\n", " ").replace(" ", "_"))


async def main(address: str, journal: str, name: str, log: str, piece: float) -> None:
    """Take part until stdin ends."""
    written = Log(log)

    @tool(risk="safe")
    async def note(key: str) -> str:
        """Write something down: twice is once too often."""
        written.write("begin", "note", key)
        return "written"

    logging.getLogger("callboard").addHandler(Told(name, written))
    transport = RayTransport(address)
    agent = Agent(AGENT, INSTRUCTIONS, tools=[note, *tools()])
    cluster = Cluster(journal=journal, node=name, transport=transport)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    async def do(number: int, wanted: dict[str, Any]) -> None:
        try:
            answer(number=number, found=await program.do(wanted))
        except AgentError as error:
            answer(number=number, error=f"{type(error).__name__}: {error}")

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    may_go_on = asyncio.Event()
    model = ChildSpec(HeardSpeaker, (name, written, piece, may_go_on), name="model")
    async with cluster.agency(agent, model=model) as agency:
        assert agency.system is not None
        program = Program(agency, transport, may_go_on)
        agency.system.spawn(Echo, name=ECHO)
        agency.system.spawn(Post, name=POST)
        answer(number=0, found=agency.journal.worker)
        async with asyncio.TaskGroup() as group:
            while line := await reader.readline():
                wanted = json.loads(line)
                group.create_task(do(wanted.pop("number"), wanted))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], float(sys.argv[5])))
