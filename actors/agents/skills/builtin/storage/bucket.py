"""Users' files in a bucket of S3, or of a service that is compatible, by boto3 (the extra ``storage``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from ......tools.errors import MissingExtra, ToolError, UnsuitableFile


class Bucket:
    """A `Storage` in a bucket. Keys, region and profile are found as boto3 finds them.

    Args:
        name: the bucket's.
        prefix: what all keys begin with.
        endpoint: the service's address; empty for S3 itself.

    Raises:
        MissingExtra: boto3 is not installed.
    """

    def __init__(self, name: str, prefix: str = "", endpoint: str = "") -> None:
        if find_spec("boto3") is None:
            raise MissingExtra("storage", "skill storage")
        self._name = name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = endpoint
        self._client: Any = None

    def open(self) -> None:
        """Look whether the bucket is there."""
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
        with self._explained():
            client: Any = boto3.client("s3", endpoint_url=self._endpoint or None, config=config)
            client.head_bucket(Bucket=self._name)
        self._client = client

    def put(self, key: str, content: bytes) -> None:
        """Keep a file."""
        with self._explained():
            self._opened().put_object(Bucket=self._name, Key=self._prefix + key, Body=content)

    def get(self, key: str, most: int) -> bytes | None:
        """A file's content, or None."""
        client = self._opened()
        with self._explained():
            try:
                found = client.get_object(Bucket=self._name, Key=self._prefix + key)
            except client.exceptions.NoSuchKey:
                return None
            with found["Body"] as body:
                if found["ContentLength"] > most:
                    raise UnsuitableFile(f"the file has {found['ContentLength']:,} bytes; at most {most:,} are read")
                content: bytes = body.read()
                return content

    def delete(self, key: str) -> bool:
        """Remove a file. The service does not say whether there was one: that is looked up before."""
        client, whole = self._opened(), self._prefix + key
        with self._explained():
            listed = client.list_objects_v2(Bucket=self._name, Prefix=whole, MaxKeys=1)
            there = any(each["Key"] == whole for each in listed.get("Contents", ()))
            if there:
                client.delete_object(Bucket=self._name, Key=whole)
        return there

    def sizes(self, prefix: str, most: int) -> dict[str, int]:
        """The files whose keys begin so, with their bytes."""
        found: dict[str, int] = {}
        with self._explained():
            pages = self._opened().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._name, Prefix=self._prefix + prefix):
                for each in page.get("Contents", ()):
                    if len(found) >= most:
                        return found
                    found[each["Key"].removeprefix(self._prefix)] = each["Size"]
        return found

    def _opened(self) -> Any:
        if self._client is None:
            raise ToolError("the bucket is not open: the skill belongs to an agency that runs")
        return self._client

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the service's errors into ones that a model can read."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            said = error.response.get("Error", {})
            raise ToolError(
                f"the storage refused: {said.get('Code', '')} {said.get('Message', '')}".rstrip()
            ) from error
        except BotoCoreError as error:
            raise ToolError(f"the storage cannot be reached: {type(error).__name__}") from error
