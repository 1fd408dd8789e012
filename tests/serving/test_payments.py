"""Payments: asked for, verified before a run, settled after its answer, and never taken twice."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from callboard import (
    Agency,
    Agent,
    ApiKeys,
    MemoryJournal,
    Payments,
    RequestLimit,
    Skill,
    ToolCall,
    http,
    pricing,
    serve,
    tool,
)
from callboard import usage_records as usage
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.serving.payments import till
from callboard.actors.serving.payments.keeping import Held, take_up
from callboard.actors.serving.payments.record import NEXT, fold, marks_of
from callboard.actors.serving.problems import refuse
from callboard.tools import ToolDefinitionError
from tests.durable.support import eventually

from .facilitator import Facilitator, decoded, facilitator, paying, signed
from .support import Served, served, speaker
from .test_keys import bearer

BODY: dict[str, Any] = {"model": "Poet", "messages": [{"role": "user", "content": "a poem"}]}
PATH = "/v1/chat/completions"
FAILS: Any = ((RuntimeError("no poem"),),)


def poet(model: Any = None, **options: Any) -> Agency:
    return Agency(pricing("$0.05")(Agent("Poet")), Agent("Free"), model=model or speaker(), **options)


async def wanted(at: Served, **options: Any) -> str:
    async with at.client() as client:
        answer = await client.post(PATH, json=BODY, **options)
    assert answer.status_code == 402
    return answer.headers["payment-required"]


async def asks(at: Served, headers: dict[str, str], **changed: Any) -> Any:
    async with at.client() as client:
        return await client.post(PATH, json={**BODY, **changed}, headers=headers)


async def test_x402s_own_client_pays_and_is_answered() -> None:
    async with facilitator() as bank, served(poet(), payments=bank.payments()) as at, paying(at.url) as client:
        answer = await client.post(PATH, json=BODY)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == "one two three"
        receipt = decoded(answer.headers["payment-response"])
        assert receipt == {
            "success": True,
            "transaction": f"0x{bank.taken[0]}",
            "network": "eip155:84532",
            "payer": "0xpayer",
        }
        assert bank.verified == bank.settled == bank.taken
        assert (await client.post(PATH, json={**BODY, "model": "Free"})).status_code == 200
        assert len(bank.taken) == 1


async def test_who_has_not_paid_is_told_what_to_pay_and_nothing_is_begun() -> None:
    async with facilitator() as bank:
        agency = poet()
        async with served(agency, payments=bank.payments()) as at, at.client() as client:
            for path in (PATH, "/Poet/chat/completions"):
                answer = await client.post(path, json=BODY)
                assert (answer.status_code, answer.json()["error"]["code"]) == (402, "payment_required")
                asked = decoded(answer.headers["payment-required"])
                assert asked["x402Version"] == 2
                (accepts,) = asked["accepts"]
                assert (accepts["amount"], accepts["payTo"], accepts["scheme"]) == ("50000", "0xshop", "exact")
            assert not await agency.conversations()
            assert await usage(agency) == ()
            assert not bank.verified


def broken(wish: str) -> list[dict[str, str]]:
    good = decoded(signed(wish)["payment-signature"])
    less = {**good["accepted"], "amount": "1"}
    others = {**good["accepted"], "payTo": "0xme"}
    plain = [
        5,
        [],
        {},
        {**good, "x402Version": 1},
        {**good, "payload": {}},
        {**good, "accepted": less},
        {**good, "accepted": others},
    ]
    coded = [base64.b64encode(json.dumps(each).encode()).decode() for each in plain]
    deep = base64.b64encode(b"[" * 20_000).decode()
    return [{"payment-signature": each} for each in ("", "x", "é".encode().decode("latin-1"), "e30", deep, *coded)]


async def test_what_is_no_payment_for_this_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    async with facilitator() as bank:
        agency = poet(journal=tmp_path / "team.db")
        async with served(agency, payments=bank.payments()) as at:
            wish = await wanted(at)
            for headers in broken(wish):
                raw: Any = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
                answer = await asks(at, raw)
                assert answer.status_code == 402, headers
                assert "payment-required" in answer.headers
            async with at.client() as client:
                two = [("payment-signature", signed(wish)["payment-signature"]) for _ in range(2)]
                assert (await client.post(PATH, json=BODY, headers=two)).status_code == 402
            assert not bank.verified
            bank.invalid = "insufficient_funds"
            answer = await asks(at, signed(wish))
            assert answer.status_code == 402
            assert "insufficient_funds" in answer.text
            assert agency.journal is not None
            from callboard.actors.journal.store import at_hand

            assert not await at_hand(agency.journal.headers(prefix="callboard.payments"))
            assert not bank.settled


async def test_a_payment_is_taken_once_however_often_it_is_sent() -> None:
    async with facilitator() as bank, served(poet(), payments=bank.payments()) as at:
        paid = signed(await wanted(at))
        answers = await asyncio.gather(*(asks(at, paid) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.headers["callboard-run"] for answer in answers}) == 1
        assert len({answer.headers["payment-response"] for answer in answers}) == 1
        assert len(bank.verified) == len(bank.settled) == len(bank.taken) == 1
        again = await asks(at, paid)
        assert again.json()["id"] == answers[0].json()["id"]
        other = await asks(at, paid, messages=[{"role": "user", "content": "another"}])
        assert (other.status_code, other.json()["error"]["code"]) == (402, "payment_invalid")  # its nonce is used
        # written otherwise it is still the same payment
        spelled = decoded(paid["payment-signature"])
        spelled["payload"]["note"] = "new"
        spelled["resource"] = {"url": "x"}
        more = base64.b64encode(json.dumps(spelled, indent=3).encode()).decode()
        assert (await asks(at, {"payment-signature": more})).headers["callboard-run"] == again.headers["callboard-run"]
        spelled["payload"]["permit2Authorization"] = {"nonce": "made up"}
        spelled["payload"]["authorization"]["from"] = "somebody"
        other_words = base64.b64encode(json.dumps(spelled).encode()).decode()
        bank.taken.clear()  # as if it had not been settled yet
        assert (await asks(at, {"payment-signature": other_words})).json()["error"]["code"] == "payment_used"
        bank.taken += bank.settled
        with_key = await asks(at, {**paid, "idempotency-key": "k"})
        assert (with_key.status_code, with_key.json()["error"]["code"]) in (
            (402, "payment_invalid"),
            (402, "payment_used"),
        )
        assert len(bank.taken) == 1


async def test_a_payment_that_another_worker_finds_used_opens_nothing_here_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_it, seen = asyncio.Event(), asyncio.Event()
    append = Held.append

    async def slow(self: Held, kind: str, *about: Any, **options: Any) -> None:
        if kind == "paid":
            at_it.set()
            await seen.wait()  # until the other worker has found it owned
        await append(self, kind, *about, **options)

    async def noticed(agency: Agency, run: str) -> Held | None:
        held = await take_up(agency, run)
        if held is None:
            seen.set()
        return held

    agencies = [poet(journal=tmp_path / "team.db") for _ in range(2)]
    async with (
        facilitator() as bank,
        served(agencies[0], payments=bank.payments()) as one,
        served(agencies[1], payments=bank.payments()) as other,
    ):
        bank.settling.clear()
        paid = signed(await wanted(one))
        first = asyncio.create_task(asks(one, paid))
        await eventually(lambda: bank.settled, "a settlement")
        monkeypatch.setattr(Held, "append", slow)
        monkeypatch.setattr(till, "take_up", noticed)
        more = [{"role": "user", "content": "another"}]
        second = asyncio.create_task(asks(one, paid, messages=more))
        await at_it.wait()
        third = await asks(other, paid, messages=more)
        assert (third.status_code, (await second).status_code) == (402, 402), third.text
        bank.settling.set()
        assert (await first).status_code == 200
        assert len(bank.taken) == len(await usage(agencies[0])) == 1


async def test_an_idempotency_key_is_paid_once_though_each_attempt_signs_anew() -> None:
    async with facilitator() as bank, served(poet(), payments=bank.payments()) as at:
        wish = await wanted(at)
        answers = [await asks(at, {**signed(wish), "idempotency-key": "k"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert len({answer.headers["callboard-run"] for answer in answers}) == 1
        assert len(bank.taken) == 1
        unpaid = await asks(at, {"idempotency-key": "k"})
        assert unpaid.status_code == 200  # it was paid for
        assert (await asks(at, {"idempotency-key": "other"})).status_code == 402


async def test_nothing_is_taken_for_a_run_that_failed_or_was_never_begun() -> None:
    async with facilitator() as bank:
        agency = poet(speaker(FAILS))
        async with served(agency, payments=bank.payments()) as at:
            paid = signed(await wanted(at))
            answer = await asks(at, paid)
            assert answer.status_code == 500
            await eventually(lambda: not at.app.state.server.till._tasks, "the payment's end")
            (record,) = await usage(agency)
            assert (record.state, record.why) == ("void", "the run failed: RunFailed")
            wrong = await asks(at, signed(await wanted(at)), callboard={"conversation": "a/b"})
            assert wrong.status_code == 400
            await eventually(lambda: not at.app.state.server.till._tasks, "the payment's end")
            assert await usage(agency) == (record,)
            assert len(bank.verified) == 2
            assert not bank.settled


async def test_a_payment_of_a_run_that_was_never_begun_is_good_for_the_next_attempt() -> None:
    async with facilitator() as bank, served(poet(), payments=bank.payments()) as at:
        paid = signed(await wanted(at))
        assert (await asks(at, paid, callboard={"conversation": "a/b"})).status_code == 400
        await eventually(lambda: not at.app.state.server.till._tasks, "the payment's end")
        assert (await asks(at, paid)).status_code == 200
        assert len(bank.taken) == 1


async def test_an_answer_whose_payment_is_not_taken_is_not_given() -> None:
    async with facilitator() as bank:
        agency = poet()
        async with served(agency, payments=bank.payments()) as at:
            bank.refuses = "insufficient_funds"
            paid = {**signed(await wanted(at)), "idempotency-key": "k"}
            for _ in range(2):
                answer = await asks(at, paid)
                assert (answer.status_code, answer.json()["error"]["code"]) == (402, "payment_refused")
                assert "insufficient_funds" in answer.text
                assert "one two three" not in answer.text
                assert "payment-required" in answer.headers
            bank.refuses = ""
            answer = await asks(at, {**signed(await wanted(at)), "idempotency-key": "k"})
            assert answer.status_code == 200
            (record,) = await usage(agency)
            assert record.state == "settled"
            assert len(bank.taken) == 1


async def test_whoever_settles_may_be_away_before_and_after(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "callboard")
    async with facilitator() as bank:
        agency = poet()
        async with served(agency, payments=bank.payments()) as at:
            bank.down = True
            first = await asks(at, {})
            assert (first.status_code, first.json()["error"]["code"]) == (503, "payments_unavailable")
            bank.down = False
            paid = signed(await wanted(at))
            bank.down = True
            before = await asks(at, paid)
            assert before.status_code == 503
            assert int(before.headers["retry-after"]) > 0
            bank.down = False
            bank.settling.clear()
            under_way = asyncio.ensure_future(asks(at, paid))
            await eventually(lambda: bank.settled, "a settlement")
            bank.down = True
            bank.settling.set()
            assert (await under_way).status_code == 503  # the run has its answer, and the payment waits
            assert not bank.taken
            bank.down = False
            after = await asks(at, paid)
            assert after.status_code == 200
            assert len(bank.taken) == 1
            (record,) = await usage(agency)
            assert record.state == "settled"
    assert "secret details" not in caplog.text + before.text


async def test_where_nobody_has_heard_whether_it_was_taken_it_is_asked_for_again_and_not_taken_twice() -> None:
    async with facilitator() as bank:
        agency = poet()
        async with served(agency, payments=bank.payments()) as at:
            bank.dies = True
            paid = signed(await wanted(at))
            unknown = await asks(at, paid)
            assert unknown.status_code == 503
            assert "not known yet whether the payment was taken" in unknown.json()["error"]["message"]
            bank.dies = False
            assert len(bank.taken) == 1
            answer = await asks(at, paid)
            assert unknown.headers["callboard-run"] == answer.headers["callboard-run"]
            assert answer.status_code == 200  # who may have paid is answered
            assert "payment-response" not in answer.headers
            (record,) = await usage(agency)
            assert (record.state, record.why) == ("lost", "nonce_used")
            assert len(bank.taken) == 1


async def test_a_stream_is_settled_at_its_end_also_if_its_client_goes_before() -> None:
    gate = asyncio.Event()
    async with facilitator() as bank:
        agency = poet(speaker((("one ", "two"),), {(0, 1): gate}))
        async with served(agency, payments=bank.payments()) as at, at.client() as client:
            paid = {**signed(await wanted(at)), "callboard-on-disconnect": "cancel"}
            body = {**BODY, "stream": True}
            async with client.stream("POST", PATH, json=body, headers=paid) as answer:
                assert answer.status_code == 200
                read = answer.aiter_lines()
                while "one" not in await anext(read):
                    pass
            assert not bank.settled
            gate.set()
            await eventually(lambda: bank.taken, "a settlement")
            await eventually(lambda: not at.app.state.server.till._tasks, "the payment's end")
            (record,) = await usage(agency)
            assert record.state == "settled"
            assert record.price == Decimal("0.05")


@pytest.mark.parametrize("when", ["in the run", "in the settlement"])
async def test_whoever_starts_next_goes_on_with_the_payments_of_who_died(when: str, tmp_path: Path) -> None:
    gate = asyncio.Event()
    script = (("one ", "two"),)
    async with facilitator() as bank:
        first = poet(speaker(script, {(0, 1): gate}), journal=tmp_path / "team.db")
        async with served(first, payments=bank.payments()) as at:
            paid = signed(await wanted(at))
            if when == "in the settlement":
                gate.set()
                bank.settling.clear()
            under_way = asyncio.ensure_future(asks(at, paid))
            if when == "in the settlement":
                await eventually(lambda: bank.settled, "a settlement")
            else:
                await eventually(lambda: bank.verified and first._runtime.register._entries, "a run")
        bank.settling.set()
        await asyncio.gather(under_way, return_exceptions=True)
        second = poet(speaker(script), journal=tmp_path / "team.db")
        async with served(second, payments=bank.payments()) as at:
            await eventually(lambda: bank.taken, "a settlement")
            answer = await asks(at, paid)
            assert answer.status_code == 200
            assert answer.json()["choices"][0]["message"]["content"] == "one two"
            assert len(bank.taken) == 1
            (record,) = await usage(second)
            assert record.state in ("settled", "lost")


async def test_a_payment_for_a_route_whose_worker_died_as_it_was_settled_is_lost() -> None:
    """Its answer is gone with that worker, and nobody can say whether it was taken."""
    journal = MemoryJournal()
    stream = journal.open("callboard.payments.route-x")
    paid = {"kind": "paid", "agent": "Poet", "user": "ada", "tenant": "", "key": "", "at": 1.0, "price": "0.05"}
    stream.append(({**paid, "offer": {}, "payer": "0xpayer"}, {"kind": "settling"}), unfinished=True)
    stream.release()
    async with facilitator() as bank:
        agency = poet(journal=journal)
        async with served(agency, payments=bank.payments()):

            async def found() -> Any:
                (record,) = await usage(agency)
                return record

            while (await found()).state == "settling":  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            record = await found()
            assert (record.run, record.state, record.why) == ("route-x", "lost", "whoever was to settle it died")
            assert (record.user, record.payer, record.price) == ("ada", "0xpayer", Decimal("0.05"))
            assert not bank.settled


async def test_two_workers_of_a_journal_take_a_payment_once(tmp_path: Path) -> None:
    async with facilitator() as bank:
        workers = [poet(journal=tmp_path / "team.db") for _ in range(2)]
        async with (
            served(workers[0], payments=bank.payments()) as one,
            served(workers[1], payments=bank.payments()) as two,
        ):
            paid = signed(await wanted(one))
            answers = await asyncio.gather(*(asks(at, paid) for at in (one, two, one, two)))
            assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
            assert len({answer.headers["callboard-run"] for answer in answers}) == 1
            assert len(bank.taken) == 1


async def test_a_payment_for_an_answer_that_is_gone_opens_no_other() -> None:
    async with facilitator() as bank:
        agency = poet()
        async with served(agency, payments=bank.payments()) as at:
            paid = signed(await wanted(at))
            first = await asks(at, paid, callboard={"conversation": "c"})
            assert first.status_code == 200
            await agency.release("c", agent="Poet")
            again = await asks(at, paid, callboard={"conversation": "c"})
            assert (again.status_code, again.json()["error"]["code"]) == (402, "payment_used")
            assert len(bank.taken) == 1


async def test_who_pays_still_says_who_they_are_and_keeps_to_limits() -> None:
    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada", tenant="acme", name="laptop")
    async with facilitator() as bank:
        agency = poet()
        limits = [RequestLimit("caller_key", requests=2, period="month")]
        async with served(agency, payments=bank.payments(), authenticate=keys, limits=limits) as at:
            assert (await asks(at, {})).status_code == 401
            wish = await wanted(at, headers=bearer(key))
            assert (await asks(at, {**bearer(key), **signed(wish)})).status_code == 200
            assert (await asks(at, {**bearer(key), **signed(wish)})).status_code == 429
            assert len(bank.taken) == 1
            (record,) = await usage(agency, user="ada", tenant="acme", agent="Poet")
            assert (record.user, record.tenant, record.key) == ("ada", "acme", "laptop")
            assert await usage(agency, user="bob") == ()


async def test_what_priced_tools_are_called_for_is_recorded() -> None:
    @pricing("$0.002")
    @tool(risk="safe")
    async def draw() -> str:
        """Draw."""
        return "a picture"

    @pricing(1)
    @tool(risk="safe")
    async def fail() -> str:
        """Fail."""
        raise ValueError("no")

    calls = (ToolCall("1", "draw", "{}"), ToolCall("2", "draw", "{}"), ToolCall("3", "fail", "{}"))
    agency = Agency(Agent("Poet", tools=[draw, fail]), model=speaker((calls, ("done",))))
    async with served(agency, payments=Payments()) as at:
        assert (await asks(at, {})).status_code == 200
        await eventually(lambda: not at.app.state.server.till._tasks, "the record")
        (record,) = await usage(agency)
        assert (record.state, record.calls, record.calls_price) == ("owed", {"draw": 2}, Decimal("0.004"))
        assert (record.input_tokens, record.output_tokens, record.price) == (14, 10, Decimal(0))
        assert (record.agent, record.user, record.tenant, record.key) == ("Poet", "", "", "")
        assert (record.payer, record.transaction, record.network, record.why) == ("", "", "", "")
        for _ in range(3):
            await asks(at, {})
        await eventually(lambda: not at.app.state.server.till._tasks, "the record")
        everything = await usage(agency)
        assert len(everything) == 4
        page = await usage(agency, limit=3)
        assert (*page, *await usage(agency, after=page[-1].run)) == everything


@pytest.mark.parametrize(
    "wrong", ["", "free", 0, -1, "1e-9", float("nan"), float("inf"), True, None, 10**9, "0.0000001"]
)
def test_a_price_is_dollars(wrong: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="a price is US dollars"):
        pricing(wrong)


def test_what_has_a_price_is_a_tool_or_an_agent_and_somebody_takes_it() -> None:
    def plain() -> None: ...

    with pytest.raises(ToolDefinitionError, match="put @pricing above @tool"):
        pricing("$1")(plain)
    with pytest.raises(DefinitionError, match="Poet or a tool of it has a price"):
        serve(poet())
    with pytest.raises(DefinitionError, match="payments are Payments"):
        serve(poet(), payments=5)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="x402ResourceServer"):
        Payments(5, pay_to="x", network="y")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="give the x402ResourceServer"):
        Payments(pay_to="x")
    bank = Facilitator()
    bank.url = "http://127.0.0.1:1"
    with pytest.raises(DefinitionError, match="no scheme 'upto'"):
        bank.payments(scheme="upto")

    @pricing(0.5)
    class Writer(Agent):
        name = "Writer"

    assert Writer().price == Decimal("0.5")
    assert Agent("Other").price is None


def test_no_event_follows_but_those_of_the_table() -> None:
    kinds = {kind for _, kind in NEXT}
    states = {"", *NEXT.values()}
    for state in states:
        for kind in kinds:
            payment = fold([])
            payment.state = state
            if (state, kind) in NEXT:
                payment.apply({"kind": kind})
                assert payment.state == NEXT[state, kind]
            else:
                with pytest.raises(ValueError, match="cannot follow"):
                    payment.apply({"kind": kind})


def test_one_payment_is_one_however_it_is_written_and_two_are_two() -> None:
    def marks(**inner: Any) -> set[str]:
        return set(marks_of({"payload": inner, "accepted": {"scheme": "exact", "network": "eip155:1"}}))

    one = marks(authorization={"from": "0xA", "nonce": "0xAB", "value": "1"}, signature="0x1")
    for same in (
        marks(authorization={"nonce": "0xab", "from": "0xa", "value": 1, "note": "x"}, signature="0x2"),
        marks(authorization={"nonce": "0xff"}, signature="0X1"),
        marks(permit2Authorization={"nonce": 7}, authorization={"nonce": "0xab", "from": "0xa"}),
    ):
        assert one & same
    assert not one & marks(authorization={"from": "0xA", "nonce": "0xAC"}, signature="0x3")
    assert not one & marks(authorization={"from": "0xB", "nonce": "0xAB"}, signature="0x3")
    assert marks(transaction="AbC=") & marks(transaction="AbC=", note="x")
    assert marks(other=1) == marks(other=1)
    assert marks(other=1) != marks(other=2)


async def test_a_run_in_the_background_is_paid_for_and_its_answer_kept_back_until_it_is_taken() -> None:
    async with facilitator() as bank, served(poet(), payments=bank.payments()) as at, at.client() as client:
        paid = signed(await wanted(at))
        begun = {"agent": "Poet", "input": "a poem"}
        assert (await client.post("/agency/runs", json=begun)).status_code == 402
        bank.settling.clear()
        made = await client.post("/agency/runs", json=begun, headers=paid)
        assert made.status_code == 202, made.text
        await eventually(lambda: bank.settled, "a settlement")
        bank.refuses = "insufficient_funds"
        bank.settling.set()
        looked = await client.get(made.headers["location"])
        assert looked.status_code == 402
        assert "one two three" not in looked.text
        bank.refuses = ""
        made = await client.post("/agency/runs", json=begun, headers=signed(await wanted(at)))
        await eventually(lambda: bank.taken, "a settlement")
        looked = await client.get(made.headers["location"])
        assert looked.json()["answer"]["text"] == "one two three"


async def test_responses_are_paid_for_too() -> None:
    body = {"model": "Poet", "input": "a poem"}
    async with facilitator() as bank, served(poet(), payments=bank.payments()) as at, at.client() as client:
        for changed in ({}, {"stream": True}, {"background": True}):
            unpaid = await client.post("/v1/responses", json={**body, **changed})
            assert (unpaid.status_code, unpaid.json()["error"]["code"]) == (402, "payment_required")
            paid = signed(unpaid.headers["payment-required"])
            before = len(bank.taken)
            first, again = [await client.post("/v1/responses", json={**body, **changed}, headers=paid) for _ in "12"]
            assert (first.status_code, again.status_code) == (200, 200)
            assert first.headers["callboard-run"] == again.headers["callboard-run"]
            await eventually(lambda: len(bank.taken) == before + 1, "a settlement")  # noqa: B023
        done = await client.get(f"/v1/responses/resp_{first.headers['callboard-run']}")
        assert decoded(done.headers["payment-response"])["transaction"] == f"0x{bank.taken[-1]}"
        unpaid = await client.post("/v1/responses", json={**body, "previous_response_id": done.json()["id"]})
        assert unpaid.status_code == 402
        bank.refuses = "insufficient_funds"
        refused = await client.post("/v1/responses", json=body, headers=signed(unpaid.headers["payment-required"]))
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "payment_refused")


async def test_an_agent_that_comes_later_with_a_price_is_not_given_away() -> None:
    late = pricing("$0.07")(Agent("Late"))
    async with facilitator() as bank:
        agency = poet()
        async with served(agency, payments=bank.payments()) as at:
            await agency.add_agent(late)
            answer = await asks(at, {}, model="Late")
            assert answer.status_code == 402
            assert decoded(answer.headers["payment-required"])["accepts"][0]["amount"] == "70000"
            assert (await asks(at, signed(answer.headers["payment-required"]), model="Late")).status_code == 200
            cheap = signed(await wanted(at))
            assert (await asks(at, cheap, model="Late")).json()["error"]["code"] == "payment_invalid"
    free = Agency(Agent("Free"), model=speaker())
    async with served(free) as at:
        await free.add_agent(late)
        assert (await asks(at, {}, model="Free")).status_code == 200
        assert (await asks(at, {}, model="Late")).status_code == 402


def shop() -> tuple[Skill, list[str]]:
    """A skill that sells maps, and those that were sold."""
    sold: list[str] = []

    @pricing("$0.01")
    @http("/maps/{place}")
    async def draw(place: str) -> Any:
        """A map."""
        if place == "nowhere":
            raise refuse(404, "no_such_place", "there is no such place")
        sold.append(place)
        return {"map": place}

    return Skill("shop", routes=[draw]), sold


async def test_a_route_with_a_price_answers_who_pays() -> None:
    skill, sold = shop()
    async with facilitator() as bank:
        agency = Agency(Agent("Seller", skills=[skill]), model=speaker())
        async with served(agency, payments=bank.payments()) as at, at.client() as client, paying(at.url) as payer:
            unpaid = await client.get("/Seller/maps/rome")
            assert unpaid.status_code == 402
            asked = decoded(unpaid.headers["payment-required"])
            assert (asked["accepts"][0]["amount"], asked["resource"]["url"]) == ("10000", "/Seller/maps/rome")
            answer = await payer.get("/Seller/maps/rome")
            assert (answer.status_code, answer.json()) == (200, {"map": "rome"})
            assert decoded(answer.headers["payment-response"])["transaction"] == f"0x{bank.taken[0]}"
            nowhere = await client.get("/Seller/maps/nowhere", headers=signed(unpaid.headers["payment-required"]))
            assert nowhere.status_code == 404
            assert len(bank.settled) == len(sold) == 1
            paid = signed(unpaid.headers["payment-required"])
            twice = await asyncio.gather(*(client.get("/Seller/maps/oslo", headers=paid) for _ in range(3)))
            assert sorted(each.status_code for each in twice) == [200, 402, 402]
            assert len(bank.taken) == len(sold) == 2
            bank.refuses = "insufficient_funds"
            refused = await client.get("/Seller/maps/rome", headers=signed(unpaid.headers["payment-required"]))
            assert refused.status_code == 402
            assert "insufficient_funds" in refused.text
            assert '{"map"' not in refused.text
            bank.refuses, bank.dies = "", True
            unheard = await client.get("/Seller/maps/rome", headers=signed(unpaid.headers["payment-required"]))
            assert unheard.status_code == 200
            states = sorted(record.state for record in await usage(agency, agent="Seller"))
            assert states == ["lost", "refused", "settled", "settled", "void"]
    free = Agency(Agent("Seller", skills=[shop()[0]]), model=speaker())
    async with served(free) as at, at.client() as client:
        assert (await client.get("/Seller/maps/rome")).status_code == 402
    noted = Agency(Agent("Seller", skills=[shop()[0]]), model=speaker())
    async with served(noted, payments=Payments()) as at, at.client() as client:
        assert (await client.get("/Seller/maps/rome")).status_code == 200
        (record,) = await usage(noted)
        assert (record.state, record.price) == ("owed", Decimal("0.01"))


async def test_where_nobody_ends_it_the_look_for_what_is_left_ends_with_the_agency(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(till, "SWEEP", 0.0)
    agency = poet()
    app = serve(agency, payments=Payments())
    over = httpx.ASGITransport(app)
    async with agency, httpx.AsyncClient(transport=over, base_url="http://agency") as client:
        assert (await client.post(PATH, json=BODY)).status_code == 200  # as if mounted: its own lifespan is not run
    await eventually(lambda: app.state.server.till._sweeper.done(), "its end")
    assert "payments left over" not in caplog.text


async def test_other_agents_and_programs_are_answered_only_if_they_pay() -> None:
    call = {"name": "ask_Poet", "arguments": {"message": "a poem"}}
    mcp = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    accept = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    says = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "a poem"}]}}
    async with facilitator() as bank:
        agency = poet()
        async with served(agency, payments=bank.payments()) as at, at.client() as client:
            answers = [
                await client.post("/mcp", json=mcp, headers=accept),
                await client.post("/a2a/Poet/message:send", json=says, headers={"a2a-version": "1.0"}),
            ]
            for answer in answers:
                assert "pay" in answer.text
                assert "one two three" not in answer.text
            assert not await agency.conversations()


@pytest.mark.parametrize("path", ["", "/message:send", "/message:stream"])
async def test_another_agent_pays_for_a_task_by_http(path: str) -> None:
    says: Any = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "a poem"}]}}
    body = says if path else {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": says}
    async with (
        facilitator() as bank,
        served(poet(), payments=bank.payments()) as at,
        at.client() as poor,
        paying(at.url) as client,
    ):
        refused = await poor.post(f"/a2a/Poet{path}", json=body, headers={"a2a-version": "1.0"})
        assert (refused.status_code, "pay" in refused.json()["error"]["message"]) == (402, True)
        answer = await client.post(f"/a2a/Poet{path}", json=body, headers={"a2a-version": "1.0"})
        assert answer.status_code == 200
        assert "three" in answer.text
        assert len(bank.taken) == 1
        if "stream" not in path:
            assert decoded(answer.headers["payment-response"])["transaction"] == f"0x{bank.taken[0]}"


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_program_pays_for_a_call_as_the_protocol_of_its_tools_has_it(version: str) -> None:
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": version}
    headers |= {"mcp-method": "tools/call", "mcp-name": "ask_Poet"}

    async def called(client: httpx.AsyncClient, **meta: Any) -> Any:
        about = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
        params = {"name": "ask_Poet", "arguments": {"message": "a poem"}, "_meta": {**about, **meta}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await client.post("/mcp", json=body, headers=headers)
        text = answer.text if answer.text.startswith("{") else answer.text.partition("data: ")[2]
        return json.loads(text)["result"]

    async with facilitator() as bank, served(poet(), payments=bank.payments()) as at, at.client() as client:
        wanted = await called(client)
        assert wanted["isError"]
        assert wanted["structuredContent"]["accepts"][0]["amount"] == "50000"
        header = base64.b64encode(json.dumps(wanted["structuredContent"]).encode()).decode()
        payment = decoded(signed(header)["payment-signature"])
        for wrong in (5, {}, {**payment, "x402Version": 1}):
            assert (await called(client, **{"x402/payment": wrong}))["isError"]
        assert not bank.taken
        paid = await called(client, **{"x402/payment": payment})
        assert paid["structuredContent"]["text"] == "one two three"
        assert paid["_meta"]["x402/payment-response"]["transaction"] == f"0x{bank.taken[0]}"
