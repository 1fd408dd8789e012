"""The vendors' batch endpoints, as far as their SDKs use them."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .http import Incoming

Serve = Callable[[str, Mapping[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]
"""Answers one request of a batch: path and body to status and body."""

_WHEN = "2026-01-01T00:00:00Z"
_PATHS = re.compile(r".*?/v1/(files|batches|messages/batches)(?:/([\w-]+))?(?:/(content|cancel|results))?")


@dataclass
class Batches:
    """Files and batches by their identifiers.

    Args:
        serve: answers one request.
        looks: how often a batch is looked at before it is done; fewer looks see it in progress.
    """

    serve: Serve
    looks: int = 1
    _files: dict[str, bytes] = field(default_factory=dict)
    _orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)

    def knows(self, path: str) -> bool:
        """Whether `path` is one of its endpoints."""
        return _PATHS.fullmatch(path) is not None

    async def handle(self, incoming: Incoming, url: str) -> tuple[int, bytes]:
        """Answer one HTTP request with a status and a body."""
        match = _PATHS.fullmatch(incoming.path)
        assert match is not None
        kind, id, action = match.groups()
        posted = incoming.method == "POST"
        if kind == "files":
            return self._content(id) if not posted else self._upload(incoming)
        orders = f"{kind}:"
        if id is None:
            return await (self._order(incoming) if kind == "batches" else self._order_messages(incoming, url))
        order = self._orders.get(orders + id)
        if order is None:
            return 404, _dumped({"type": "error", "error": {"type": "not_found_error", "message": f"no batch {id}"}})
        if action == "cancel":
            self.cancelled.append(id)
            order["shown"].update({"status": "cancelled"} if kind == "batches" else {"processing_status": "ended"})
            return 200, _dumped(order["shown"])
        if action == "results":
            return 200, order["results"]
        order["looks"] += 1
        if order["looks"] >= self.looks:
            order["shown"].update(order["done"])
        return 200, _dumped(order["shown"])

    def _upload(self, incoming: Incoming) -> tuple[int, bytes]:
        boundary = re.search(r"boundary=\"?([^\";]+)", incoming.headers.get("content-type", ""))
        content = b""
        for part in incoming.body.split(b"--" + boundary[1].encode()) if boundary else []:
            head, _, body = part.partition(b"\r\n\r\n")
            if b'name="file"' in head:
                content = body.removesuffix(b"\r\n")
        return 200, _dumped(self._file(content))

    def _file(self, content: bytes) -> dict[str, Any]:
        id = f"file-{len(self._files) + 1}"
        self._files[id] = content
        return {
            "id": id,
            "object": "file",
            "bytes": len(content),
            "created_at": 0,
            "filename": "batch.jsonl",
            "purpose": "batch",
            "status": "processed",
        }

    def _content(self, id: str | None) -> tuple[int, bytes]:
        content = self._files.get(id or "")
        if content is None:
            return 404, _dumped({"error": {"message": f"no file {id}", "type": "invalid_request_error"}})
        return 200, content

    async def _order(self, incoming: Incoming) -> tuple[int, bytes]:
        wanted = json.loads(incoming.body)
        right: list[bytes] = []
        wrong: list[bytes] = []
        for text in self._files.get(wanted["input_file_id"], b"").splitlines():
            line = json.loads(text)
            status, body = await self.serve(line["url"], line["body"])
            response = {"status_code": status, "request_id": f"req_{line['custom_id']}", "body": body}
            entry = _dumped({"id": "x", "custom_id": line["custom_id"], "response": response, "error": None})
            (right if status < 400 else wrong).append(entry)
        id = f"batch_{len(self._orders) + 1}"
        shown = {
            "id": id,
            "object": "batch",
            "endpoint": wanted["endpoint"],
            "input_file_id": wanted["input_file_id"],
            "completion_window": "24h",
            "created_at": 0,
            "status": "in_progress",
        }
        # Answers in another order than the requests': that is allowed, and clients must not rely on it.
        done: dict[str, Any] = {"status": "completed"}
        if right:
            done["output_file_id"] = self._file(b"\n".join(reversed(right)))["id"]
        if wrong:
            done["error_file_id"] = self._file(b"\n".join(wrong))["id"]
        self._orders[f"batches:{id}"] = {"shown": shown, "done": done, "looks": 0}
        return 200, _dumped(shown)

    async def _order_messages(self, incoming: Incoming, url: str) -> tuple[int, bytes]:
        results = []
        for entry in json.loads(incoming.body)["requests"]:
            status, body = await self.serve("/v1/messages", entry["params"])
            result = {"type": "succeeded", "message": body} if status < 400 else {"type": "errored", "error": body}
            results.append(_dumped({"custom_id": entry["custom_id"], "result": result}))
        id = f"msgbatch_{len(self._orders) + 1}"
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        shown = {
            "id": id,
            "type": "message_batch",
            "processing_status": "in_progress",
            "request_counts": counts,
            "created_at": _WHEN,
            "expires_at": _WHEN,
            "ended_at": None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": None,
        }
        done = {"processing_status": "ended", "results_url": f"{url}/v1/messages/batches/{id}/results"}
        self._orders[f"messages/batches:{id}"] = {
            "shown": shown,
            "done": done,
            "looks": 0,
            "results": b"\n".join(reversed(results)) + b"\n",
        }
        return 200, _dumped(shown)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
