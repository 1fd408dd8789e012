"""What agents publish: information, the HTTP routes of their skills, and the document of it all."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from callboard import Agency, Agent, Caller, Skill, http, serve, tool
from callboard.actors.agents.errors import ConversationIdle, DefinitionError
from tests.cli.command import ROOT, offline

from .support import served, speaker


class Point(NamedTuple):
    x: int
    y: int


class Order(BaseModel):
    item: str
    count: int = Field(1, ge=1, le=100)


@dataclass
class Place:
    street: str
    number: int = 0


@http("/orders/{number}")
async def order(number: int, tags: list[str] | None = None, brief: bool = False) -> dict[str, Any]:
    """An order."""
    return {"number": number, "tags": tags, "brief": brief}


@http("/orders", "POST")
def make(body: Order, caller: Caller) -> tuple[dict[str, Any], int]:
    """Make an order."""
    return {"item": body.item, "count": body.count, "for": caller.user}, 201


@http("/move", "POST")
async def move(place: Place) -> Place:
    return Place(place.street, place.number + 1)


@http("/echo/{rest:path}", "PUT", "GET")
async def echo(request: HttpRequest, rest: str) -> Any:
    return PlainTextResponse(f"{request.method} {rest} {(await request.body()).decode()}")


@http("/upload", "POST")
async def upload(body: bytes) -> int:
    return len(body)


@http("/count")
async def count(to: Annotated[int, Field(ge=0, le=5)] = 3) -> AsyncIterator[dict[str, int]]:
    for number in range(to):
        yield {"number": number}


@http("/staff", scope="staff")
async def staff() -> str:
    return "only for staff"


@http("/nothing", "DELETE")
async def nothing() -> None:
    """Nothing comes of it."""


@http("/fails")
async def fails() -> None:
    raise ValueError("a secret of the application's")


@http("/exits")
def exits() -> None:
    raise SystemExit(3)


@http("/sold")
async def sold() -> None:
    raise HTTPException(410, "sold out", {"x-when": "yesterday"})


@http("/breaks/{how}")
async def breaks(how: str) -> AsyncIterator[int]:
    yield 1
    raise {"fails": ValueError("a secret"), "exits": SystemExit(3), "sold": HTTPException(410, "sold out")}[how]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


@http("/open", "POST")
async def opened(what: Open, also: int = 0) -> Any:
    return what


@http("/maybe", "POST")
async def maybe(place: Place | None = None) -> Any:
    return place


RETURNED: dict[str, Any] = {
    "made": ({"a": 1}, HTTPStatus.CREATED),
    "empty": (None, 205),
    "taken": (None, 202),
    "list": ["x", 204],
    "flag": ("x", True),
    "point": Point(1, 99),
    "low": ("x", 99),
    "high": ("x", 600),
    "body": ("x", 204),
    "same": ({}, 304),
    "twice": (PlainTextResponse("x"), 201),
}


@http("/returns/{what}")
async def returns(what: str) -> Any:
    return RETURNED[what]


@http("/refuses/{status}")
async def refuses(status: int) -> None:
    raise HTTPException(status, "no")


class Weight(BaseModel):
    grams: float


@http("/weigh", "POST")
async def weigh(what: Weight) -> Any:
    return what


@http("/repeat", "POST")
async def repeat(body: dict[str, Any]) -> Any:
    return body


@http("/half")
async def half(of: float, also: list[float] | None = None) -> Any:
    return {"half": of / 2, "also": also}


@http("/idle")
async def idle() -> None:
    raise ConversationIdle("nobody is there")


ROUTES = [order, make, move, echo, upload, count, staff, nothing, fails, exits, sold, breaks, opened, maybe, idle]
ROUTES += [weigh, repeat, half]


@tool(risk="safe")
async def weather(city: str) -> str:
    """The weather of a city."""
    return city


@tool(risk="safe", scope="staff")
async def payroll() -> str:
    """What everybody earns."""
    return ""


def agency() -> Agency:
    shop = Skill("shop", description="Sells things.", routes=ROUTES)
    clerk = Agent("Clerk", description="Takes orders.", tools=[weather, payroll], skills=[shop])
    boss = Agent("Boss", description="Decides about rain and money.", scope="staff")
    return Agency(clerk, boss, model=speaker())


KINDS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def odd() -> Agency:
    return Agency(Agent("Odd", skills=[Skill("odd", routes=[returns, refuses])]), model=speaker())


def who(connection: HTTPConnection) -> Caller | None:
    name = connection.headers.get("authorization", "")
    scopes = frozenset({"staff"}) if name == "eve" else frozenset[str]()
    return Caller(name, scopes=scopes) if name else None


async def test_functions_of_skills_answer_below_their_agents_path() -> None:
    async with served(agency(), authenticate=who) as it, it.client(headers={"authorization": "ann"}) as client:
        got = await client.get("/Clerk/orders/7", params={"tags": ["a", "b"], "brief": "true"})
        assert got.json() == {"number": 7, "tags": ["a", "b"], "brief": True}
        made = await client.post("/Clerk/orders", json={"item": "tea", "count": 2})
        assert (made.status_code, made.json()) == (201, {"item": "tea", "count": 2, "for": "ann"})
        assert (await client.post("/Clerk/move", json={"street": "x"})).json() == {"street": "x", "number": 1}
        assert (await client.put("/Clerk/echo/a/b", content=b"hi")).text == "PUT a/b hi"
        assert (await client.post("/Clerk/upload", content=b"\xff\x00")).json() == 2
        assert (await client.delete("/Clerk/nothing")).status_code == 204
        streamed = await client.get("/Clerk/count", params={"to": 2})
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert [json.loads(line[6:]) for line in streamed.text.splitlines() if line] == [{"number": 0}, {"number": 1}]


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code", "where"),
    [
        ("GET", "/Clerk/orders/x", {}, 400, "invalid_parameter", "number"),
        ("GET", "/Clerk/orders/1?brief=true&brief=false", {}, 400, "invalid_parameter", "brief"),
        ("GET", "/Clerk/orders/1?bref=1", {}, 400, "unknown_parameter", "bref"),
        ("GET", "/Clerk/orders/1?brief=perhaps", {}, 400, "invalid_parameter", "brief"),
        ("POST", "/Clerk/orders", {"json": {"item": "tea", "count": 0}}, 400, "invalid_body", "body.count"),
        ("POST", "/Clerk/orders", {"json": {}}, 400, "invalid_body", "body.item"),
        ("POST", "/Clerk/orders", {"json": {"item": "tea", "cout": 2}}, 400, "invalid_body", "body.cout"),
        ("POST", "/Clerk/move", {"json": {"street": "x", "city": "y"}}, 400, "invalid_body", "body.city"),
        ("POST", "/Clerk/orders", {"content": b"{"}, 400, "not_json", None),
        ("POST", "/Clerk/orders", {}, 400, "missing_body", "body"),
        (
            "POST",
            "/Clerk/orders",
            {"content": b"a", "headers": {"content-type": "text/plain"}},
            415,
            "not_json",
            "body",
        ),
        ("PATCH", "/Clerk/orders", {}, 405, "method_not_allowed", None),
        ("GET", "/Clerk/elsewhere", {}, 404, "unknown_path", None),
        ("GET", "/Nobody/orders/1", {}, 404, "unknown_agent", None),
        ("GET", "/Clerk/staff", {}, 403, "not_allowed", None),
        ("GET", "/Boss", {}, 403, "not_allowed", None),
        ("GET", "/Clerk/a%0Ab", {}, 404, "unknown_path", None),
        ("PUT", "/openapi.json", {}, 405, "method_not_allowed", None),
        ("GET", "/Clerk/fails", {}, 500, "internal_error", None),
        ("GET", "/Clerk/exits", {}, 500, "internal_error", None),
        ("GET", "/Clerk/sold", {}, 410, "refused", None),
        ("GET", "/agency/runs/x/cancel", {}, 405, "method_not_allowed", None),
        ("DELETE", "/agency/approvals", {}, 405, "method_not_allowed", None),
        ("GET", "/agency/nothing", {}, 404, "unknown_path", None),
        ("GET", "/agency", {}, 404, "unknown_path", None),
        ("GET", "/docs", {}, 404, "unknown_path", None),
        ("GET", "/Clerk/chat/completions", {}, 405, "method_not_allowed", None),
        ("GET", "/Nobody/chat/completions", {}, 404, "unknown_agent", None),
        ("GET", "/Clerk/idle", {}, 409, "conversation_idle", None),
    ],
)
async def test_what_is_wrong_is_a_problem_with_its_place(
    method: str, path: str, sent: Any, status: int, code: str, where: str | None
) -> None:
    async with served(agency(), authenticate=who) as it, it.client(headers={"authorization": "ann"}) as client:
        got = await client.request(method, path, **sent)
        assert (got.status_code, got.json()["code"], got.json().get("where")) == (status, code, where), got.text
        assert got.headers["content-type"] == "application/problem+json"
        assert "secret" not in got.text
        if status == 405:
            assert got.headers["allow"] in ("POST", "GET, HEAD", "HEAD, GET")
        assert got.headers.get("x-when") == ("yesterday" if status == 410 else None)


@pytest.mark.parametrize("mount", ["", "/agents"])
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("PUT", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/embeddings", 404, "unknown_path"),
        ("POST", "/v1/chat/completions/", 404, "unknown_path"),
        ("GET", "/v1", 404, "unknown_path"),
    ],
)
async def test_what_is_not_there_is_told_in_the_shape_of_what_was_meant(
    mount: str, method: str, path: str, status: int, code: str
) -> None:
    app = Starlette(routes=[Mount(mount, serve(agency()))])
    async with served(app) as it, it.client() as client:
        got = await client.request(method, mount + path, json={})
        assert (got.status_code, got.json()["error"]["code"]) == (status, code), got.text
        assert ("allow" in got.headers) == (status == 405)


@pytest.mark.parametrize(
    ("how", "status", "detail"),
    [
        ("fails", 500, "the server failed: ValueError"),
        ("exits", 500, "the server failed: SystemExit"),
        ("sold", 410, "sold out"),
    ],
)
async def test_a_stream_that_breaks_says_so_in_its_last_event(how: str, status: int, detail: str) -> None:
    async with served(agency()) as it, it.client() as client:
        value, problem = (await client.get(f"/Clerk/breaks/{how}")).text.strip().split("\n\n")
        assert value == "data: 1"
        name, data = problem.split("\n")
        assert name == "event: problem"
        said = json.loads(data.removeprefix("data: "))
        assert (said["status"], said["detail"]) == (status, detail)


async def test_what_a_body_may_have_besides_is_said_by_its_type() -> None:
    async with served(agency()) as it, it.client() as client:
        assert (await client.post("/Clerk/open", json={"name": "x", "more": 1})).json() == {"name": "x", "more": 1}
        assert (await client.post("/Clerk/maybe", json={"street": "x"})).json() == {"street": "x", "number": 0}
        assert (await client.post("/Clerk/maybe")).status_code == 204


@pytest.mark.parametrize(
    ("what", "status", "text"),
    [
        ("made", 201, '{"a":1}'),
        ("empty", 205, ""),
        ("taken", 202, ""),
        ("list", 200, '["x",204]'),
        ("flag", 200, '["x",true]'),
        ("point", 200, "[1,99]"),
    ],
)
async def test_a_pair_with_a_number_is_a_body_and_its_status(what: str, status: int, text: str) -> None:
    async with served(odd()) as it, it.client() as client:
        got = await client.get(f"/Odd/returns/{what}")
        assert (got.status_code, got.text) == (status, text)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("low", "returned status 99: give one from 200 to 599"),
        ("high", "returned status 600"),
        ("body", "returned a body and status 204, which has none"),
        ("same", "returned a body and status 304, which has none"),
        ("twice", "returned a Response and status 201"),
    ],
)
async def test_a_status_that_is_none_is_an_error_of_the_function(
    what: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(odd()) as it, it.client() as client:
        got = await client.get(f"/Odd/returns/{what}")
        assert (got.status_code, got.json()["detail"]) == (500, "the server failed: WrongReturn")
    (logged,) = [str(one.exc_info[1]) for one in caplog.records if one.exc_info]
    assert logged.startswith(f"route /returns/{{what}}: {__name__}.returns {said}")


@pytest.mark.parametrize(
    ("raised", "status"), [(304, 304), (307, 307), (418, 418), (599, 599), (204, 500), (99, 500), (600, 500)]
)
async def test_a_function_refuses_by_a_status_that_refuses(raised: int, status: int) -> None:
    async with served(odd()) as it, it.client() as client:
        got = await client.get(f"/Odd/refuses/{raised}")
        assert got.status_code == status
        assert got.text == "" if status == 304 else got.json()["status"] == status


NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999"]


@pytest.mark.parametrize("number", NO_NUMBERS)
async def test_numbers_that_json_does_not_know_are_refused_wherever_a_body_is_read(number: str) -> None:
    async with served(agency()) as it, it.client() as client:

        async def told(path: str, body: str) -> Any:
            got = await client.post(path, content=body, headers=KINDS)
            assert got.status_code == 400, f"{path}: {got.text}"
            return got.json()

        for path, body in {
            "/Clerk/weigh": f'{{"grams": {number}}}',
            "/Clerk/repeat": f'{{"a": [{number}]}}',
            "/agency/runs": f'{{"input": "x", "webhook": {number}}}',
        }.items():
            assert (await told(path, body))["code"] == "not_json"
        chat = f'{{"messages": [{{"role": "user", "content": "x"}}], "top_p": {number}}}'
        assert (await told("/v1/chat/completions", chat))["error"]["code"] == "not_json"
        assert (await told("/v1/responses", f'{{"input": "x", "top_p": {number}}}'))["error"]["code"] == "not_json"
        call = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"arguments": {{"x": {number}}}}}}}'
        assert (await told("/mcp", call))["error"]["code"] == -32700


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "1e999"])
async def test_a_query_has_no_numbers_that_json_does_not_know(number: str) -> None:
    async with served(agency()) as it, it.client() as client:
        assert (await client.get("/Clerk/half", params={"of": "3", "also": "1"})).json() == {"half": 1.5, "also": [1.0]}
        for query, where in (({"of": number}, "of"), ({"of": "1", "also": ["1", number]}, "also.1")):
            got = await client.get("/Clerk/half", params=query)
            assert (got.status_code, got.json().get("where")) == (400, where), got.text


async def test_what_a_model_takes_for_a_number_and_json_does_not_is_null_in_the_answer() -> None:
    async with served(agency()) as it, it.client() as client:
        assert (await client.post("/Clerk/weigh", json={"grams": "NaN"})).json() == {"grams": None}


async def test_an_agent_tells_each_caller_what_that_one_may_use() -> None:
    async with served(agency(), authenticate=who) as it, it.client() as client:
        ann = (await client.get("/Clerk", headers={"authorization": "ann"})).json()
        assert (ann["name"], ann["description"]) == ("Clerk", "Takes orders.")
        assert [one["name"] for one in ann["tools"]] == ["weather"]
        assert "/staff" not in [one["name"] for one in ann["routes"]]
        eve = (await client.get("/Clerk", headers={"authorization": "eve"})).json()
        assert [one["name"] for one in eve["tools"]] == ["weather", "payroll"]
        assert "/staff" in [one["name"] for one in eve["routes"]]
        assert (await client.get("/Clerk/staff", headers={"authorization": "eve"})).json() == "only for staff"
        assert (await client.get("/Clerk")).status_code == 401


async def test_agents_are_found_by_what_they_say_of_themselves() -> None:
    async with served(agency(), authenticate=who) as it, it.client(headers={"authorization": "eve"}) as client:

        async def found(words: str | None = None) -> list[str]:
            got = await client.get("/agency/agents", params={} if words is None else {"q": words})
            return [one["name"] for one in got.json()["agents"]]

        assert await found() == ["Clerk", "Boss"]
        assert await found("weather of a town") == ["Clerk"]
        assert await found("money") == ["Boss"]
        assert await found("zebras") == []
        assert (await client.get("/agency/agents", params={"x": "1"})).status_code == 400
        twice = (await client.get("/agency/agents?q=a&q=b")).json()
        assert (twice["code"], twice["where"]) == ("invalid_parameter", "q")
        mine = await client.get("/agency/agents", headers={"authorization": "ann"})
        assert [one["name"] for one in mine.json()["agents"]] == ["Clerk"]


async def test_a_skill_that_comes_later_is_served_too() -> None:
    late = agency()
    async with served(late, authenticate=who) as it, it.client(headers={"authorization": "eve"}) as client:
        assert (await client.get("/Boss/extra")).status_code == 404
        late.add_skill("Boss", Skill("extra", routes=[http("/extra")(lambda: "there")]))
        assert (await client.get("/Boss/extra")).json() == "there"
        late.remove_skill("Boss", "extra")
        assert (await client.get("/Boss/extra")).status_code == 404


async def test_the_document_has_what_the_caller_may_ask() -> None:
    async with served(agency(), authenticate=who) as it, it.client() as client:
        ann = (await client.get("/openapi.json", headers={"authorization": "ann"})).json()
        eve = (await client.get("/openapi.json", headers={"authorization": "eve"})).json()
    assert "/Clerk/staff" not in ann["paths"]
    assert "/Clerk/staff" in eve["paths"]
    assert set(ann["paths"]["/Clerk/echo/{rest}"]) == {"put", "get"}
    schema = ann["paths"]["/Clerk/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["count"]["maximum"] == 100
    assert ann["security"] == [{"bearer": []}]
    assert ann["paths"].keys() > {"/v1/responses", "/v1/conversations/{conversation}", "/agency/runs/{run}/events"}
    assert ann["paths"].keys() > {"/agency/approvals/{approval}/approve", "/healthz", "/v1/models/{model}"}
    assert "/{agent}/{rest}" not in ann["paths"]
    operations = [operation for path in ann["paths"].values() for operation in path.values()]
    assert all(operation["summary"] for operation in operations)
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert {"get_agency_runs_run", "post_v1_chat_completions", "get_Clerk_orders_number"} <= set(ids)
    for operation in operations:
        answers = dict(operation["responses"])
        problem = answers.pop("default")
        (shape,) = problem["content"].values()
        assert shape["schema"]["$ref"].rpartition("/")[2] in ("Problem", "OpenAIError", "RunError")
        assert answers, operation
        for status, answer in answers.items():
            assert "content" in answer or status in ("204", "2XX", "3XX"), operation
    for schema in ann["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert ann["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    assert ann["paths"]["/healthz"]["get"]["security"] == []
    made = ann["paths"]["/Clerk/orders"]["post"]["responses"]
    assert made["2XX"]["content"]["application/json"]["schema"]["type"] == "object"
    assert set(ann["paths"]["/Clerk/nothing"]["delete"]["responses"]) == {"204", "default"}
    assert ann["paths"]["/Clerk/move"]["post"]["responses"]["200"]["content"]["application/json"]["schema"] == {
        "title": "Place",
        "type": "object",
        "properties": {
            "street": {"title": "Street", "type": "string"},
            "number": {"title": "Number", "type": "integer", "default": 0},
        },
        "required": ["street"],
    }
    for path in ann["paths"].values():
        for operation in path.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                Draft202012Validator.check_schema(content["schema"])


@pytest.mark.parametrize(
    ("returns", "answers"),
    [
        (Any, {"2XX": None, "3XX": None}),
        (str | None, {"200": "string", "204": None}),
        (tuple[int, Literal[201]], {"201": "integer"}),
        (tuple[list[str], HTTPStatus] | None, {"2XX": "array", "204": None}),
        (PlainTextResponse, {"2XX": None, "3XX": None}),
        (tuple[str, str], {"200": "array"}),
        (threading.Event, {"200": None}),
    ],
)
async def test_the_document_has_the_answers_that_an_annotation_says(returns: Any, answers: Any) -> None:
    def function() -> None:
        raise NotImplementedError

    function.__annotations__["return"] = returns
    skill = Skill("s", routes=[http("/a-b")(function), http("/a_b")(function)])
    async with served(Agency(Agent("A", skills=[skill]), model=speaker())) as it, it.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    found = dict(paths["/A/a_b"]["get"]["responses"])
    del found["default"]
    assert {
        status: answer.get("content", {}).get("application/json", {}).get("schema", {}).get("type")
        for status, answer in found.items()
    } == answers
    assert [paths[f"/A/{path}"]["get"]["operationId"] for path in ("a-b", "a_b")] == ["get_A_a_b", "get_A_a_b_2"]


@pytest.mark.parametrize(
    "route",
    [
        http("/a/{b}")(lambda: None),
        http("/a")(lambda *args: None),
        http("/a")(lambda **more: None),
    ],
)
def test_a_function_that_takes_what_is_in_no_request_is_refused(route: Any) -> None:
    with pytest.raises(DefinitionError, match=r"route /a"):
        serve(Agency(Agent("A", skills=[Skill("s", routes=[route])]), model=speaker()))


def test_no_request_that_the_document_allows_or_forbids_makes_the_server_fail() -> None:
    command = [sys.executable, "-m", "tests.serving.all_sorts"]  # schemathesis changes what Hypothesis prints for good
    done = subprocess.run(command, cwd=ROOT, env=offline(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    operations, *undone = done.stdout.splitlines()
    assert int(operations) >= 58
    assert set(undone) <= {  # for want of an approval, or a run under way; and what fails on purpose
        *("POST /agency/approvals/{approval}/approve", "POST /agency/approvals/{approval}/deny"),
        *("POST /agency/conversations/{agent}/{conversation}/steer", "POST /ag-ui/{agent}"),
        *("GET /Clerk/sold", "GET /Clerk/idle"),
        *("GET /metrics", "GET /agency/health"),  # and for want of the scope
        *("GET /agency/events", "GET /agency/events/{stream}", "POST /agency/events/{stream}"),
    }
