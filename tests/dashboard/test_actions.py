"""What is done on a dashboard: to whom, by whom, and what the audit log has of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Agency, Agent
from callboard.actors import Actor, ActorCrashed, ChildSpec, System
from callboard.actors.journal import MemoryJournal
from callboard.actors.journal.errors import JournalClosed
from callboard.actors.serving import AuditLog, AuditPage
from callboard.actors.testing import Restart, Simulation, simulate
from tests.agents.conversations.support import journal_of
from tests.agents.support import function
from tests.dashboard.boards import as_, board_of, eventually, get, log_of, post, refused, who
from tests.serving.support import served, speaker


class Counter(Actor):
    """Counts how often it began."""

    begun = 0

    def on_start(self) -> None:
        type(self).begun += 1

    def on_receive(self, message: Any) -> Any:
        return message


def held(gate: asyncio.Event) -> Any:
    async def model(request: Any) -> Any:
        await gate.wait()
        return "done"

    return function(model)


def restarts(agency: Agency, path: str) -> int | None:
    """How often an actor was restarted; None where there is none."""
    assert agency.system is not None
    nodes = agency.system.tree()
    found = None
    for name in path.split("/"):
        found = next((node for node in nodes if node.name == name), None)
        if found is None:
            return None
        nodes = found.children
    return None if found is None else found.restarts


@pytest.mark.parametrize("action", ["kill", "restart", "stop"])
async def test_a_conversation_that_is_killed_restarted_or_stopped_loses_nothing(action: str) -> None:
    gate = asyncio.Event()
    async with Agency(Agent("A"), model=held(gate)) as agency, board_of(agency) as client:
        run = asyncio.ensure_future(agency.run("go", conversation="c", run_id="one"))
        await eventually(lambda: agency.under_way() and agency.under_way()[0].doing == "model")
        assert agency.system is not None
        events: list[tuple[str, str]] = []
        agency.system.subscribe(lambda event: events.append((event.kind, event.detail)))
        path = "agency/A/c"
        assert await post(client, f"actors/{action}", path=path, reason="it hangs") == {"path": path, "action": action}
        wanted = {"kill": "crashed", "restart": "restarted", "stop": "stopped"}[action]
        found = await eventually(lambda: [detail for kind, detail in events if kind == wanted])
        if action == "kill":
            assert ActorCrashed.__name__ in found[0]
            assert "was killed" in found[0]
        gate.set()
        assert (await run).text == "done"
        assert await log_of(client) == [("root", action, path, "done")]
        entry = (await get(client, "audit"))["entries"][0]
        assert (entry["details"], entry["error"]) == ({"reason": "it hangs"}, "")
        assert entry["at"] <= entry["ended_at"]


async def test_an_actor_that_is_killed_is_restarted_by_its_supervisors_policy_and_one_that_is_stopped_is_not() -> None:
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        assert agency.system is not None
        Counter.begun = 0
        ref = agency.system.supervise(ChildSpec(Counter, name="mine"))
        await ref.started()
        await post(client, "actors/kill", path="mine")
        await eventually(lambda: Counter.begun == 2)
        await post(client, "actors/restart", path="mine")
        await eventually(lambda: Counter.begun == 3)
        assert await ref.ask("hello") == "hello"
        await post(client, "actors/stop", path="mine")
        await ref.terminated()
        assert Counter.begun == 3
        assert await refused(client, "POST", "actors/kill", {"path": "mine"}) == (404, "unknown_actor", "path")
        assert [action for _, action, _, _ in await log_of(client)] == ["kill", "restart", "stop"]


@pytest.mark.parametrize(
    ("action", "body", "status", "code", "where"),
    [
        ("kill", {}, 400, "missing_field", "path"),
        ("kill", {"path": 5}, 400, "invalid_field", "path"),
        ("kill", {"path": "x", "sudo": 1}, 400, "unknown_field", "sudo"),
        ("kill", {"path": "agency/B"}, 404, "unknown_actor", "path"),
        ("kill", {"path": "agency/A/"}, 404, "unknown_actor", "path"),
        ("kill", {"path": ""}, 403, "not_allowed", "path"),
        ("stop", {"path": "/"}, 403, "not_allowed", "path"),
        ("stop", {"path": "agency"}, 403, "not_allowed", "path"),
        ("restart", {"path": "agency"}, 403, "not_allowed", "path"),
        ("stop", {"path": "model"}, 403, "not_allowed", "path"),
        ("shoot", {"path": "agency/A"}, 404, "unknown_action", ""),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name_and_written_nowhere(
    action: str, body: Any, status: int, code: str, where: str
) -> None:
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        assert await refused(client, "POST", f"actors/{action}", body) == (status, code, where)
        assert await log_of(client) == []
        assert restarts(agency, "agency/A") == 0


async def test_an_actor_without_a_child_spec_is_not_restarted_and_the_log_says_that_it_failed() -> None:
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        assert agency.system is not None
        agency.system.spawn(Counter, name="mine")
        assert await refused(client, "POST", "actors/restart", {"path": "mine"}) == (409, "not_restartable", "path")
        assert await log_of(client) == [("root", "restart", "mine", "failed")]
        assert (await get(client, "audit"))["entries"][0]["error"] == "not_restartable"


PATHS = [
    ("POST", "actors/kill", {"path": "agency/A"}),
    ("POST", "runs/r/cancel", {}),
    ("POST", "drain", {}),
    ("GET", "audit", None),
]


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
async def test_only_who_administers_all_of_it_may(method: str, path: str, body: Any) -> None:
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency, "ada+metrics") as client:
        assert (await refused(client, method, path, body))[:2] == (403, "not_allowed")
        client.headers.update(as_("ada@acme+admin"))
        assert (await refused(client, method, path, body))[:2] == (403, "not_allowed")
        del client.headers["authorization"]
        assert (await refused(client, method, path, body))[:2] == (401, "unauthorized")
        assert (await AuditLog(agency.journal).read()).entries == ()
        assert not agency.stopping


async def test_a_run_is_cancelled() -> None:
    gate = asyncio.Event()
    async with Agency(Agent("A"), model=held(gate)) as agency, board_of(agency) as client:
        handle = await agency.start_run("go", conversation="c", run_id="one")
        await eventually(lambda: agency.under_way())
        told = await post(client, "runs/one/cancel", reason="key sk-proj-" + "a1B2" * 12)
        assert told == {"run": "one", "agent": "A", "status": "failed"}
        assert await handle.status() == "failed"
        assert await log_of(client) == [("root", "cancel", "one", "done")]
        reason = (await get(client, "audit"))["entries"][0]["details"]["reason"]
        assert "a1B2" not in reason
        assert await refused(client, "POST", "runs/two/cancel", {}) == (404, "unknown_run", "")


async def test_the_process_is_drained(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    gate = asyncio.Event()
    async with Agency(Agent("A"), model=held(gate), journal=journal) as agency, board_of(agency) as client:
        run = asyncio.ensure_future(agency.run("go", conversation="c"))
        await eventually(lambda: agency.under_way())
        assert (await post(client, "drain", reason="a new version"))["draining"] is True
        assert await log_of(client) == [("root", "drain", (await entry_of(client))["target"], "done")]
        gate.set()
        assert (await run).text == "done"
        await eventually(lambda: agency.stopping)


async def test_a_served_agency_is_acted_on_below_its_own_paths_and_is_not_ready_once_it_drains(tmp_path: Path) -> None:
    gate = asyncio.Event()
    agency = Agency(Agent("A"), model=held(gate), journal=tmp_path / "j.db")
    async with served(agency, authenticate=who, dashboard=True) as it, it.client(headers=as_("root+admin")) as client:
        handle = await agency.start_run("go", conversation="c")
        client.base_url = f"{it.url}/dashboard"
        await post(client, "actors/restart", path="agency/A/c")
        assert (await client.get(f"{it.url}/readyz")).status_code == 200
        await post(client, "drain")
        ready = await client.get(f"{it.url}/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        log = await log_of(client)
        assert [(action, outcome) for _, action, _, outcome in log] == [("restart", "done"), ("drain", "done")]
        answer = asyncio.ensure_future(handle.answer())
        gate.set()
        assert (await answer).text == "done"
        await eventually(lambda: agency.stopping)
        assert (await client.post("api/drain", json={})).status_code == 503


async def entry_of(client: Any) -> Any:
    return (await get(client, "audit"))["entries"][0]


# -- the log itself ----------------------------------------------------------------------------------------------------


class Refusing(MemoryJournal):
    """A journal in which nothing of a kind is kept."""

    refuses = ""

    def append(self, stream: str, events: Any, *, expected: int | None = None) -> Any:
        if stream == "callboard.audit" and self.refuses and self.refuses in events[0]:
            raise JournalClosed("the disk is full")
        return super().append(stream, events, expected=expected)


async def test_what_cannot_be_written_down_is_not_done() -> None:
    journal = Refusing()
    async with Agency(Agent("A"), model=speaker(), journal=journal) as agency, board_of(agency) as client:
        await agency.run("go", conversation="c")
        journal.refuses = "asked"
        for path, body in (("actors/kill", {"path": "agency/A"}), ("drain", {})):
            answer = await client.post(f"/api/{path}", json=body)
            assert answer.status_code == 503, answer.text
        assert restarts(agency, "agency/A") == 0
        assert not agency.stopping
        journal.refuses = "of"
        await post(client, "actors/kill", path="agency/A")
        await eventually(lambda: restarts(agency, "agency/A") == 1)
        assert await log_of(client) == [("root", "kill", "agency/A", "asked")]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_log_is_read_page_by_page_the_latest_first(kind: str, tmp_path: Path) -> None:
    async with (
        Agency(Agent("A"), model=speaker(), journal=journal_of(kind, tmp_path)) as agency,
        board_of(agency) as client,
    ):
        log = AuditLog(agency.journal)
        for number in range(7):
            async with log.action("me", "note", str(number)):
                pass
        seen: list[str] = []
        after = 0
        while after is not None:
            page = await get(client, "audit", limit=3, **({"after": after} if after else {}))
            seen += [one["target"] for one in page["entries"]]
            assert len(page["entries"]) <= 3
            after = page["next"]
        assert seen == [str(number) for number in reversed(range(7))]
        for query in ("limit=0", "limit=2000", "after=x", "until=3"):
            assert (await client.get(f"/api/audit?{query}")).status_code == 400


async def test_long_texts_are_cut_and_names_of_errors_stand_for_what_they_say() -> None:
    journal = MemoryJournal()
    log = AuditLog(journal)
    with pytest.raises(RuntimeError):
        async with log.action("me", "note", "x" * 5_000, {"of": "y" * 5_000, "n": 3}):
            raise RuntimeError("my password is x")
    (entry,) = (await log.read()).entries
    assert (len(entry.target), len(entry.details["of"]), entry.details["n"]) == (300, 300, 3)
    assert (entry.outcome, entry.error) == ("failed", "RuntimeError")
    with pytest.raises(ValueError, match="before is a whole number"):
        await log.read(before=0)
    with pytest.raises(ValueError, match="limit is a whole number"):
        await log.read(limit=True)


@given(
    st.lists(st.tuples(st.sampled_from(["done", "failed", "asked"]), st.integers(0, 3)), max_size=40), st.integers(1, 7)
)
async def test_each_action_has_one_entry_with_its_own_end_however_they_overlap(
    plan: list[tuple[str, int]], limit: int
) -> None:
    log = AuditLog(MemoryJournal())

    async def act(number: int, how: str, wait: int) -> None:
        async with log.action("me", "act", str(number)):
            for _ in range(wait):
                await asyncio.sleep(0)
            if how == "failed":
                raise LookupError
            if how == "asked":
                raise asyncio.CancelledError

    acts = (act(number, *one) for number, one in enumerate(plan))
    await asyncio.gather(*map(asyncio.ensure_future, acts), return_exceptions=True)
    seen: dict[str, str] = {}
    before: int | None = None
    while True:
        page = await log.read(before=before, limit=limit)
        for entry in page.entries:
            assert entry.target not in seen
            seen[entry.target] = entry.outcome
        if page.next is None:
            break
        before = page.next
    assert seen == {str(number): how for number, (how, _) in enumerate(plan)}
    assert list(seen) == sorted(seen, key=int, reverse=True)


async def test_processes_that_share_a_journal_share_the_log(tmp_path: Path) -> None:
    model = function(lambda _: "hi")
    async with (
        Agency(Agent("A"), model=model, journal=tmp_path / "j.db", name="one") as one,
        Agency(Agent("A"), model=model, journal=tmp_path / "j.db", name="two") as two,
    ):

        async def act(agency: Agency, number: int) -> None:
            async with AuditLog(agency.journal).action(agency.name, "act", str(number)):
                await asyncio.sleep(0)

        await asyncio.gather(*(act(agency, number) for number in range(40) for agency in (one, two)))
        for agency in (one, two):
            entries = (await AuditLog(agency.journal).read(limit=100)).entries
            assert {(entry.who, entry.target) for entry in entries} == {
                (name, str(number)) for name in ("one", "two") for number in range(40)
            }
            assert {entry.outcome for entry in entries} == {"done"}


def test_a_process_that_is_killed_at_any_write_has_done_nothing_that_is_not_in_the_log() -> None:
    async def scenario(sim: Simulation) -> None:
        done: list[str] = []
        life = 0

        async def main(system: System) -> AuditPage:
            nonlocal life
            life += 1
            agency = Agency(Agent("A"), model=function(lambda _: "hi"), journal=sim.folder / "j.db", system=system)
            async with agency:
                log = AuditLog(agency.journal)
                for number in range(3):
                    async with log.action("me", "act", f"{life}.{number}"):
                        done.append(f"{life}.{number}")
                return await log.read()

        page = await sim.process("p", main)
        found = {one.target: one.outcome for one in page.entries}
        assert set(done) <= found.keys(), "something was done that is not in the log"
        assert {target for target, outcome in found.items() if outcome == "done"} <= set(done)
        assert list(found.values()).count("asked") <= life - 1

    simulate(scenario, seeds=30, faults=[Restart("p")])
    for nth in range(1, 7):
        for when in ("before", "after"):
            simulate(scenario, seeds=1, faults=[Restart("p", nth=nth, when=when)])
