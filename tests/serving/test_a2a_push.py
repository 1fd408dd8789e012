"""Webhooks that clients of Agent2Agent name for their tasks, told by the SDK's own client."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import A2AError, TaskNotFoundError
from google.protobuf.json_format import ParseDict

from callboard import Agency, Agent, MemoryJournal, verify_webhook
from callboard.actors.journal.store import at_hand

from .support import served, speaker
from .test_a2a import State, answer, both, connected, says, sent, who
from .test_webhooks import SECRET, allowed, receiver

AT_ONCE: Any = {"return_immediately": True}


def config(url: str, **options: Any) -> pb.TaskPushNotificationConfig:
    return pb.TaskPushNotificationConfig(url=url, token="sesame", **options)


@both
async def test_a_webhook_is_told_each_state_signed_and_at_the_end_all(binding: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    journal = MemoryJournal()
    async with receiver("500 no") as there:  # at first it does not hear
        agency = Agency(Agent("A"), model=speaker(gates=gates), journal=journal)
        async with served(agency, webhooks=allowed(there)) as it, connected(it, binding, streaming=False) as client:
            hook = config(there.url, id="mine")
            begun = says(configuration=pb.SendMessageConfiguration(task_push_notification_config=hook, **AT_ONCE))
            (response,) = await sent(client, begun)
            await there.until(2)
            gates[(0, 1)].set()
            await there.until(3)
        for headers, body in there.got:
            verify_webhook(SECRET, headers, body)
            assert headers["x-a2a-notification-token"] == "sesame"
        assert there.got[0] == there.got[1] or there.got[0][1] == there.got[1][1]
        told = [ParseDict(json.loads(body), pb.StreamResponse()) for _, body in there.got[1:]]
        assert told[0].status_update.status.state == State.TASK_STATE_WORKING
        assert (told[1].task.id, answer(told[1].task)) == (response.task.id, "one two three")


@both
async def test_webhooks_are_named_listed_and_forgotten_by_whose_task_it_is(binding: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates), journal=MemoryJournal())
    async with (
        receiver() as there,
        served(agency, authenticate=who, webhooks=allowed(there)) as it,
        connected(it, binding, user="ada", streaming=False) as client,
    ):
        (begun,) = await sent(client, says(configuration=pb.SendMessageConfiguration(**AT_ONCE)))
        task = begun.task.id
        made = await client.create_task_push_notification_config(config(there.url, task_id=task, id="a"))
        assert (made.id, made.task_id, made.url) == ("a", task, there.url)
        await client.create_task_push_notification_config(config(there.url + "2", task_id=task, id="a"))
        listed = await client.list_task_push_notification_configs(
            pb.ListTaskPushNotificationConfigsRequest(task_id=task)
        )
        assert [one.url for one in listed.configs] == [there.url + "2"]
        one = pb.GetTaskPushNotificationConfigRequest(task_id=task, id="a")
        assert (await client.get_task_push_notification_config(one)).url == there.url + "2"
        async with connected(it, binding, user="eve") as stranger:
            with pytest.raises(TaskNotFoundError):
                await stranger.get_task_push_notification_config(one)
            with pytest.raises(TaskNotFoundError):
                await stranger.create_task_push_notification_config(config(there.url, task_id=task))
            with pytest.raises(TaskNotFoundError):
                await stranger.delete_task_push_notification_config(
                    pb.DeleteTaskPushNotificationConfigRequest(task_id=task, id="a")
                )
        await client.delete_task_push_notification_config(
            pb.DeleteTaskPushNotificationConfigRequest(task_id=task, id="a")
        )
        with pytest.raises(TaskNotFoundError):
            await client.get_task_push_notification_config(one)
        heard = len(there.got)
        gates[(0, 1)].set()
        await (await agency.handle(task)).answer(30)
        assert len(there.got) == heard
    assert not await at_hand(agency.journal.headers(prefix="serving.a2a:"))


@both
async def test_a_webhook_that_comes_after_the_end_is_told_it(binding: str) -> None:
    agency = Agency(Agent("Counter"), model=speaker(), journal=MemoryJournal())
    async with receiver() as there, served(agency, webhooks=allowed(there)) as it:
        async with connected(it, binding, streaming=False) as client:
            (done,) = await sent(client, says())
            await client.create_task_push_notification_config(config(there.url, task_id=done.task.id))
            await there.until(2)
        told = ParseDict(json.loads(there.got[-1][1]), pb.StreamResponse()).task
        assert told == done.task


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


async def test_what_goes_along_is_not_to_be_read_in_the_journal(tmp_path: Path) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates), journal=str(tmp_path / "journal.db"))
    login = pb.AuthenticationInfo(scheme="Bearer", credentials="open-54321")
    async with receiver() as there, served(agency, webhooks=allowed(there)) as it:
        async with connected(it, streaming=False) as client:
            (begun,) = await sent(client, says(configuration=pb.SendMessageConfiguration(**AT_ONCE)))
            made = await client.create_task_push_notification_config(
                config(there.url, task_id=begun.task.id, id="a", authentication=login)
            )
            assert (made.token, made.authentication.credentials) == ("sesame", "open-54321")
            await there.until(1)
            kept = b"".join(path.read_bytes() for path in files_of(tmp_path))
            assert b"serving.a2a:" in kept
            assert b"sesame" not in kept
            assert b"open-54321" not in kept
            gates[(0, 1)].set()
            await there.until(2)
        assert {headers["authorization"] for headers, _ in there.got} == {"Bearer open-54321"}
        assert {headers["x-a2a-notification-token"] for headers, _ in there.got} == {"sesame"}


async def test_a_webhook_is_told_nothing_where_the_secret_was_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "journal.db")
    gates = {(0, 1): asyncio.Event()}
    async with receiver("500 no") as there:
        first, second = (Agency(Agent("A"), model=speaker(gates=gates), journal=path) for _ in range(2))
        late = allowed(there, wait=600.0)
        async with served(first, webhooks=late, drain=0) as it, connected(it, streaming=False) as client:
            (begun,) = await sent(client, says(configuration=pb.SendMessageConfiguration(**AT_ONCE)))
            await client.create_task_push_notification_config(config(there.url, task_id=begun.task.id, id="a"))
            await there.until(1)
        gates[(0, 1)].set()
        other = dataclasses.replace(allowed(there), secret="another secret, which nobody guesses")
        async with served(second, webhooks=other):
            await (await second.handle(begun.task.id)).answer(30)
            async with asyncio.timeout(30):
                while await at_hand(second.journal.headers(prefix="serving.a2a:")):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert "the secret of the webhooks is another one" in caplog.text
        assert len(there.got) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://169.254.169.254/"},
        {"url": "https://evil.example/"},
        {"url": "file:///etc/passwd"},
        {"url": "x"},
        {"id": "a/b"},
        {"token": "a\nb"},
        {"authentication": pb.AuthenticationInfo(scheme="a b", credentials="x")},
        {"authentication": pb.AuthenticationInfo(scheme="Bearer", credentials="x\r\ny: z")},
    ],
)
async def test_what_may_not_be_told_is_refused(wrong: Any) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with receiver() as there, served(agency, webhooks=allowed(there)) as it:
        async with connected(it, streaming=False) as client:
            (begun,) = await sent(client, says(configuration=pb.SendMessageConfiguration(**AT_ONCE)))
            hook = pb.TaskPushNotificationConfig(**{"url": there.url, "task_id": begun.task.id, **wrong})
            with pytest.raises(A2AError):
                await client.create_task_push_notification_config(hook)
            gates[(0, 1)].set()
            await (await agency.handle(begun.task.id)).answer(30)
        assert not there.got
