"""What ``show`` and ``replay`` print of runs that went otherwise: to the word, without ids and times."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from callboard import AgencyClosed, Caller, InvalidRequest, Request, RunFailed, tool
from tests.agents.conversations.support import erase, obedient, team
from tests.durable.support import said, until

from .command import callboard


def model(request: Request) -> Any:
    if said(request) == "refuse":
        raise InvalidRequest("no such model")
    return obedient(request)


@tool(risk="safe", name="add")
def broken(a: int, b: int) -> int:
    """Add."""
    raise ValueError("out of paper")


async def _kept(journal: Path) -> None:
    """A journal with what was refused, failed, denied, delegated, rewound, forked, and with what waits."""
    async with team(journal, model, tools=[broken, erase]) as agency:
        ada = Caller("ada", "acme")
        with pytest.raises(RunFailed):
            await agency.run("refuse", conversation="failed", caller=ada)
        await agency.run("sum", conversation="failed", caller=ada)
        denied = asyncio.ensure_future(agency.run("erase", conversation="denied"))
        assert await until(lambda: agency.approvals)
        agency.deny(agency.approvals[0], "keep it")
        await denied
        await agency.run("hi", conversation="back")
        await agency.run("ask", conversation="back")
        await agency.rewind("back", to=1)
        await agency.fork("back", to="copy")
        waits = asyncio.ensure_future(agency.run("erase", conversation="waits"))
        assert await until(lambda: agency.approvals)
    with suppress(AgencyClosed):
        await waits


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shown") / "j.db"
    asyncio.run(_kept(path))
    return path


def printed(journal: Path, *words: str) -> str:
    """What a command prints, with ids and times that are the same each time."""
    done = callboard(words[0], journal, *words[1:], cwd=journal.parent)
    assert (done.status, done.err) == (0, ""), done
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=approval )[0-9a-f]{32}", "ID", done.out)
    return re.sub(r"\d+\.\d\d s\b", "SECONDS", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", text))


def test_a_list_says_what_is_unfinished_and_whose_each_is(journal: Path) -> None:
    assert [line.split(maxsplit=2) for line in printed(journal, "show").splitlines()] == [
        ["Front/back", "WHEN", "11 events  finished"],
        ["Front/copy", "WHEN", "1 events  finished"],
        ["Front/denied", "WHEN", "7 events  finished"],
        ["Front/failed", "WHEN", "11 events  finished    ada of acme"],
        ["Front/waits", "WHEN", "4 events  unfinished"],
    ]


SHOWN = {
    "failed": """\
Front/failed  idle  for ada of acme
2 runs, 2 steps, 30 tokens, $0.0000, 11 events, last at WHEN

run ID  failed  SECONDS  $0.0000
  asked: refuse
  RunFailed: InvalidRequest: no such model

run ID  answered  SECONDS  $0.0000
  asked: sum
  step 1  Front  scripted at scripted  SECONDS  15 tokens  price unknown
    add({"a": 1, "b": 2}) failed → Error (ToolCrashed): ValueError: out of paper
  step 2  Front  scripted at scripted  SECONDS  15 tokens  price unknown
    done: Error (ToolCrashed): ValueError: out of paper
  answer: done: Error (ToolCrashed): ValueError: out of paper
""",
    "denied": """\
Front/denied  idle
1 run, 2 steps, 30 tokens, $0.0000, 7 events, last at WHEN

run ID  answered  SECONDS  $0.0000
  asked: erase
  step 1  Front  scripted at scripted  SECONDS  15 tokens  price unknown
    erase({"path": "notes"}) denied failed → Denied by a person: keep it
  step 2  Front  scripted at scripted  SECONDS  15 tokens  price unknown
    done: Denied by a person: keep it
  answer: done: Denied by a person: keep it
""",
    "waits": """\
Front/waits  waiting for approval
1 run, 1 step, 15 tokens, $0.0000, 4 events, last at WHEN

run ID  waiting for approval  SECONDS  $0.0000
  asked: erase
  step 1  Front  scripted at scripted  SECONDS  15 tokens  price unknown
    erase({"path": "notes"}) waits for approval ID
""",
    "back": """\
Front/back  idle
2 runs, 1 step, 60 tokens, $0.0000, 11 events, last at WHEN

run ID  answered  SECONDS  $0.0000
  asked: hi
  step 1  Front  scripted at scripted  SECONDS  15 tokens  price unknown
    to hi
  answer: to hi

run ID  answered, rewound  SECONDS  $0.0000
  asked: ask
  answer: done: to From: Front hi
""",
    "copy": """\
Front/copy  idle
0 runs, 1 step, 0 tokens, $0.0000, 1 event, last at WHEN

taken over from the conversation that it was forked from
  step 1  Front
    to hi
""",
}


@pytest.mark.parametrize("conversation", SHOWN)
def test_a_conversation_is_shown_with_what_became_of_each_call(journal: Path, conversation: str) -> None:
    assert printed(journal, "show", conversation) == SHOWN[conversation]


REPLAYED = {
    "failed": """\
   1  WHEN  Accepted          run ID: refuse
      idle, 0 messages, 0 steps
   2  WHEN  Begin
      completing, 1 message, 0 steps → ask the model
   3  WHEN  CompletionFailed  RunFailed: InvalidRequest: no such model
      ended, 1 message, 0 steps → end in RunFailed
   4  WHEN  Ended             RunFailed: InvalidRequest: no such model
      ended, 1 message, 0 steps
   5  WHEN  Accepted          run ID: sum
      ended, 1 message, 0 steps
   6  WHEN  Begin
      completing, 2 messages, 0 steps → ask the model
   7  WHEN  Completed         add({"a": 1, "b": 2})
      acting, 2 messages, 1 step → carry out add
   8  WHEN  ToolsStarted      s1
      acting, 2 messages, 1 step
   9  WHEN  ToolReturned      Error (ToolCrashed): ValueError: out of paper
      completing, 4 messages, 1 step → ask the model
  10  WHEN  Completed         done: Error (ToolCrashed): ValueError: out of paper
      ended, 5 messages, 2 steps → the answer is there
  11  WHEN  Ended             run ID
      ended, 5 messages, 2 steps

after event 11: ended, 2 steps, of the run 2 steps, 30 tokens, $0.0000
   1  user       refuse
   2  user       sum
   3  assistant  add({"a": 1, "b": 2})
   4  tool       Error (ToolCrashed): ValueError: out of paper
   5  assistant  done: Error (ToolCrashed): ValueError: out of paper
""",
    "waits": """\
   1  WHEN  Accepted          run ID: erase
      idle, 0 messages, 0 steps
   2  WHEN  Begin
      completing, 1 message, 0 steps → ask the model
   3  WHEN  Completed         erase({"path": "notes"})
      acting, 1 message, 1 step → carry out erase
   4  WHEN  ApprovalAsked     e1
      acting, 1 message, 1 step

after event 4: acting, 1 step, of the run 1 step, 15 tokens, $0.0000
   1  user       erase
   2  assistant  erase({"path": "notes"})
   3  tool       Not run: the run ended before this call had a result.
""",
    "back": """\
   1  WHEN  Accepted          run ID: hi
      idle, 0 messages, 0 steps
   2  WHEN  Begin
      completing, 1 message, 0 steps → ask the model
   3  WHEN  Completed         to hi
      ended, 2 messages, 1 step → the answer is there
   4  WHEN  Ended             run ID
      ended, 2 messages, 1 step
   5  WHEN  Accepted          run ID: ask
      ended, 2 messages, 1 step
   6  WHEN  Begin
      completing, 3 messages, 1 step → ask the model
   7  WHEN  Completed         SendMessage({"target_agent": "Expert", "message": "hi"})
      acting, 3 messages, 2 steps → carry out SendMessage
   8  WHEN  HandoffReturned   to From: Front hi
      completing, 5 messages, 2 steps → ask the model
   9  WHEN  Completed         done: to From: Front hi
      ended, 6 messages, 3 steps → the answer is there
  10  WHEN  Ended             run ID
      ended, 6 messages, 3 steps
  11  WHEN  Rewound           2
      ended, 2 messages, 1 step

after event 11: ended, 1 step, of the run 0 steps, 0 tokens, $0.0000
   1  user       hi
   2  assistant  to hi
""",
}


@pytest.mark.parametrize("conversation", REPLAYED)
def test_a_replay_says_of_each_event_what_it_told_and_what_was_to_be_done(journal: Path, conversation: str) -> None:
    assert printed(journal, "replay", conversation) == REPLAYED[conversation]
