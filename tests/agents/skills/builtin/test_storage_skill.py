"""The skill ``storage``: each user's files, in a folder and in a bucket of a real server that speaks S3's protocol."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent, Caller, DefinitionError, SkillFailed, load_team
from callboard.actors.agents.skills.builtin.storage.skill import StorageSkill, owned_by
from callboard.tools.errors import ToolError
from tests.agents.support import function

from .support import at_work, used

ADA, BOB = Caller("ada", "acme"), Caller("bob", "acme")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that speaks S3's protocol."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server_module = pytest.importorskip("moto.server", reason="needs a server: pip install 'moto[server]'")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StorageSkill]:
    """Makes the skill on a bucket of its own, which other keys lie in, too."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="files")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="files"):
        for each in page.get("Contents", ()):
            client.delete_object(Bucket="files", Key=each["Key"])
    client.put_object(Bucket="files", Key="other", Body=b"not ours")
    client.close()
    return lambda **options: StorageSkill(bucket="files", prefix="agents/", endpoint=endpoint, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., StorageSkill]:
    return lambda **options: StorageSkill(tmp_path, **options)


class Kept:
    """Files of a storage of one's own."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def open(self) -> None:
        """It is there."""

    def put(self, key: str, content: bytes) -> None:
        """Keep a file."""
        self.files[key] = content

    def get(self, key: str, most: int) -> bytes | None:
        """A file's content."""
        content = self.files.get(key)
        if content is not None and len(content) > most:
            raise ToolError(f"{key} has more than {most} bytes")
        return content

    def delete(self, key: str) -> bool:
        """Remove a file."""
        return self.files.pop(key, None) is not None

    def sizes(self, prefix: str, most: int) -> dict[str, int]:
        """The files there are."""
        found = [(key, len(content)) for key, content in self.files.items() if key.startswith(prefix)]
        return dict(found[:most])


@pytest.fixture
def own() -> Callable[..., StorageSkill]:
    kept = Kept()
    return lambda **options: StorageSkill(storage=kept, **options)


@pytest.fixture(params=["folder", "bucket", "own"])
def made(request: pytest.FixtureRequest) -> Callable[..., StorageSkill]:
    found: Callable[..., StorageSkill] = request.getfixturevalue(request.param)
    return found


async def test_a_users_files_are_kept_and_are_nobody_elses(made: Callable[..., StorageSkill]) -> None:
    skill = made()
    async with at_work(skill):
        assert (
            await used(skill, "storage_write", ADA, path="notes/today.md", content="buy tea ☕")
        ).text == "wrote 11 bytes"
        await used(skill, "storage_write", ADA, path="todo.md", content="one")
        await used(skill, "storage_write", ADA, path="todo.md", content="two")
        assert (await used(skill, "storage_read", ADA, path="todo.md")).text == "two"
        assert (await used(skill, "storage_list", ADA)).text == "notes/today.md (11 bytes)\ntodo.md (3 bytes)"
        assert (await used(skill, "storage_list", ADA, folder="notes")).text == "notes/today.md (11 bytes)"
        for other in (BOB, Caller("ada", "other"), Caller("ada"), Caller("Ada", "acme"), Caller("ada", "acm e")):
            assert (await used(skill, "storage_list", other)).text == "(there are no files)"
            for path in ("todo.md", f"../{owned_by(ADA)}/todo.md", f"/{owned_by(ADA)}/todo.md"):
                assert (await used(skill, "storage_read", other, path=path)).is_error
                assert (await used(skill, "storage_delete", other, path=path)).is_error
        assert (await used(skill, "storage_delete", ADA, path="todo.md")).text == "deleted"
        assert "there is no file 'todo.md'" in (await used(skill, "storage_delete", ADA, path="todo.md")).text
        assert "there is no file 'todo.md'" in (await used(skill, "storage_read", ADA, path="todo.md")).text
    again = made()
    async with at_work(again):
        assert (await used(again, "storage_read", ADA, path="notes/today.md")).text == "buy tea ☕", (
            "it outlives a process"
        )


async def test_files_are_bounded_one_by_one_and_together(made: Callable[..., StorageSkill]) -> None:
    skill = made(max_file=10, quota=15)
    async with at_work(skill):
        assert (
            "a file may have 10 bytes; this has 11"
            in (await used(skill, "storage_write", ADA, path="a", content="x" * 11)).text
        )
        await used(skill, "storage_write", ADA, path="a", content="x" * 10)
        together = await used(skill, "storage_write", ADA, path="b", content="x" * 6)
        assert "all files of a user together may have 15 bytes" in together.text
        hidden = await used(skill, "storage_write", ADA, path="node_modules/b", content="x" * 5)
        assert not hidden.is_error
        assert (await used(skill, "storage_write", ADA, path="c", content="x")).is_error, "it counts wherever it lies"
        await used(skill, "storage_delete", ADA, path="node_modules/b")
        assert not (await used(skill, "storage_write", ADA, path="a", content="y" * 10)).is_error, (
            "it takes its own place"
        )
        assert not (await used(skill, "storage_write", BOB, path="b", content="x" * 10)).is_error
    small = made(max_file=5)
    async with at_work(small):
        assert (await used(small, "storage_read", ADA, path="a")).is_error, "it is larger than may be read"


async def test_files_that_are_written_at_once_are_bounded_together_too(made: Callable[..., StorageSkill]) -> None:
    skill = made(quota=50)
    async with at_work(skill):
        writing = [used(skill, "storage_write", ADA, path=f"f{number}", content="x" * 10) for number in range(20)]
        written = [result for result in await asyncio.gather(*writing) if not result.is_error]
    assert len(written) == 5


async def test_an_error_names_a_file_as_its_user_does(folder: Callable[..., StorageSkill]) -> None:
    skill = folder()
    async with at_work(skill):
        await used(skill, "storage_write", ADA, path="a/b.md", content="x")
        for path in ("a", "a/b.md/c"):
            refused = await used(skill, "storage_write", ADA, path=path, content="x")
            assert refused.is_error
            assert f"'{path}'" in refused.text
            assert owned_by(ADA) not in refused.text


@pytest.mark.parametrize(
    "path", ["", "/", "..", "../x", "a/../b", "a//b", ".", "a\\b", "a\nb", "a\0b", "x" * 201, "é/" * 300]
)
async def test_what_is_no_path_is_refused(folder: Callable[..., StorageSkill], path: str) -> None:
    skill = folder()
    async with at_work(skill):
        for name, more in (("storage_write", {"content": "x"}), ("storage_read", {}), ("storage_delete", {})):
            assert (await used(skill, name, ADA, path=path, **more)).is_error


async def test_a_run_that_names_nobody_has_no_files(folder: Callable[..., StorageSkill]) -> None:
    skill = folder()
    async with at_work(skill):
        assert "whose files these are is not known" in (await used(skill, "storage_list", Caller())).text


NAMES = st.text(max_size=8) | st.sampled_from(["", "..", "a/b", "ada", "Ada", "ada ", "ADA", "%2e", "1 a"])


@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=6, unique=True))
@settings(max_examples=200)
def test_no_two_users_share_a_place_whatever_they_are_called(users: list[tuple[str, str]]) -> None:
    callers = [Caller(user, tenant) for user, tenant in users if user]
    places = [owned_by(caller) for caller in callers]
    assert len({place.lower() for place in places}) == len(places), "nor on a disk that knows no capitals"
    assert all(re.fullmatch(r"[a-z0-9-]+", place) for place in places)
    for tenant in ("", "acme"):
        with pytest.raises(ToolError):
            owned_by(Caller("", tenant))


async def test_what_lies_in_a_users_folder_as_a_link_leads_nowhere(
    tmp_path: Path, folder: Callable[..., StorageSkill]
) -> None:
    skill = folder()
    (tmp_path / "secret").write_text("secret")
    async with at_work(skill):
        await used(skill, "storage_write", ADA, path="a", content="mine")
        (tmp_path / owned_by(ADA) / "link").symlink_to("/etc/hostname")
        assert (await used(skill, "storage_read", ADA, path="link")).is_error
        (tmp_path / owned_by(ADA) / "bytes").write_bytes(b"\xff")
        assert "is no text" in (await used(skill, "storage_read", ADA, path="bytes")).text


async def test_a_bucket_or_a_service_that_is_not_there_stops_the_start_by_name(
    bucket: Callable[..., StorageSkill], endpoint: str
) -> None:
    for skill, problem in (
        (StorageSkill(bucket="none", endpoint=endpoint), "the storage refused: 404"),
        (
            StorageSkill(bucket="files", endpoint="http://127.0.0.1:1"),
            "the storage cannot be reached: EndpointConnection",
        ),
    ):
        with pytest.raises(SkillFailed, match=f"skill storage could not be initialized.*{problem}"):
            await Agency(Agent("A", skills=[skill]), model=function(lambda request: "ok")).start()
        assert "the bucket is not open" in (await used(skill, "storage_list", ADA)).text


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "files lie in one place: give a folder, a bucket, or a storage"),
        ({"folder": ".", "bucket": "x"}, "files lie in one place"),
        ({"folder": "/none/at/all"}, "the folder '/none/at/all' does not exist"),
        ({"folder": ".", "max_file": 0}, "max_file is 0"),
        ({"bucket": 3}, "bucket is 3"),
    ],
)
def test_what_is_wrong_with_it_is_said_when_it_is_made(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        StorageSkill(**options)


def test_a_team_file_says_where_files_lie(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "team.yaml").write_text(
        "skills: {storage: {settings: {folder: files, quota: 1000}}}\n"
        "agents: {A: {skills: [storage]}}\nproviders: {offline: {type: offline}}\n"
    )
    (skill,) = load_team(tmp_path / "team.yaml", env={}).agents["A"].skills
    assert isinstance(skill, StorageSkill)
