"""Asks a served agency all sorts of requests that its OpenAPI document allows or forbids, and fails where it does.

``python -m tests.serving.all_sorts`` prints how many operations there are, and which of them were never done.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from callboard import Caller, serve

from .test_published import agency

CHAT = {"model": "Clerk", "messages": [{"role": "user", "content": "x"}], "callboard": {"conversation": "c"}}
FITTING = {
    ("POST", "completions"): {"model": "Clerk", "messages": [{"role": "user", "content": "x"}]},
    ("POST", "items"): {"items": [{"role": "user", "content": "x"}]},
    ("POST", "responses"): {"input": "x"},
    ("POST", "runs"): {"input": "x"},
    ("POST", "rewind"): {"to": 0},
    ("POST", "fork"): {},
    ("POST", "orders"): {"item": "tea"},
    ("POST", "move"): {"street": "x"},
}
"""Bodies that fit, of operations for which one is hardly ever come by."""

MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


def anybody(connection: HTTPConnection) -> Caller:
    """Who asks."""
    return Caller("eve", scopes=frozenset({"staff"}))


def check(document: Any, operation: Any, got: Any) -> None:
    """Look whether an answer is one that the document has for the operation: its status, its type, its schema."""
    answers = document["paths"][operation.path][operation.method.lower()]["responses"]
    status = str(got.status_code)
    answer = answers.get(status) or answers.get(f"{status[0]}XX") or answers["default"]
    about = (operation.label, status, got.text[:2_000])
    assert got.status_code >= 400 or answer is not answers["default"], f"no answer with this status: {about}"
    if "content" not in answer:
        assert status[1:] != "04" or not got.content, about
        return
    kind = got.headers["content-type"].partition(";")[0]
    assert kind in answer["content"], about
    if kind.endswith("json"):
        schema = {**answer["content"][kind]["schema"], "components": document["components"]}
        wrong = [
            f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(got.json())
        ]
        assert not wrong, (*about, wrong)


def there(client: TestClient) -> dict[str, str]:
    """Have things be there that can be asked for; how paths name them."""
    response = client.post("/v1/responses", json={"input": "x"}).json()["id"]
    conversation = client.post("/v1/conversations", json={"items": [{"role": "user", "content": "x"}]}).json()["id"]
    (item,) = client.get(f"/v1/conversations/{conversation}/items").json()["data"]
    completion = client.post("/v1/chat/completions", json=CHAT).json()["id"]
    run = completion.removeprefix("chatcmpl-")
    named = {"agent": "Clerk", "model": "Clerk", "item": item["id"], "run": run, "completion": completion}
    return {**named, "response": response, "conversation": conversation}


def ask_all_sorts(client: TestClient, document: Any, operation: Any) -> bool:
    """Ask for one operation; returns whether it was ever done."""
    done = False
    known = there(client)

    @given(data=st.data(), mode=st.sampled_from(MODES), real=st.booleans())
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def ask(data: st.DataObject, mode: Any, real: bool) -> None:
        nonlocal done
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if real:
            case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
            case.body = FITTING.get((case.method, case.path.rpartition("/")[2]), case.body)
        sent = case.as_transport_kwargs(base_url="http://testserver")
        sent.pop("cookies", None)
        if isinstance(sent.get("data"), str | bytes):
            sent["content"] = sent.pop("data")
        got = client.request(**sent)
        assert got.status_code < 500, (sent, got.text)
        check(document, operation, got)
        done = done or got.status_code < 300

    ask()
    return done


def main() -> None:
    """Ask for all of them but those that fail on purpose."""
    app = serve(agency(), authenticate=anybody)
    with TestClient(app, raise_server_exceptions=False) as client:
        document = client.get("/openapi.json").json()
        schema = schemathesis.openapi.from_dict(document)
        found: list[Any] = list(schema.get_all_operations())
        operations = [each.ok() for each in found]
        undone = [
            operation.label
            for operation in operations
            if operation.path not in ("/Clerk/fails", "/Clerk/exits") and not ask_all_sorts(client, document, operation)
        ]
    print(len(operations), *undone, sep="\n")


if __name__ == "__main__":
    main()
