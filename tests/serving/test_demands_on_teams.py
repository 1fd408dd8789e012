"""What the compliance cases of Robutler's webagents demand, by cases of our own: handoffs, and who may ask. Asked by
plain HTTP, as any client would.

Not met: an agency issues no tokens (whoever knows its users does), so it publishes no keys either.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from callboard import A2AAgent, Agency, Agent, Jwt, MemoryJournal, Skill, handoff, http, tool
from callboard.actors import ChildSpec
from callboard.providers.messages import Completion, Message, Request, ToolCall
from callboard.testing import FunctionModel

from .support import Served, served
from .test_demands import echo, user
from .test_tokens import claims

# -- handoffs ----------------------------------------------------------------------------------------------------------


@tool(risk="safe")
def get_weather(place: str) -> str:
    """The weather somewhere."""
    return f"18 degrees in {place}"


@tool(risk="safe")
def calculate(expression: str) -> str:
    """Calculate a product."""
    one, _, other = expression.partition(" * ")
    return str(int(one) * int(other))


def calls(name: str, **arguments: Any) -> Completion:
    return Completion(Message("assistant", "", (ToolCall("c1", name, json.dumps(arguments)),)), "tool_calls")


def routes(request: Request) -> Completion | str:
    """Hands on what is about the weather or sums, with what was said before; tells what came back."""
    last = request.messages[-1]
    if last.role == "tool":
        return last.text
    for word, target in (("weather", "weather-agent"), ("Weather", "weather-agent"), ("*", "calculator-agent")):
        if word in last.text:
            before = " ".join(one.text for one in request.messages if one.role == "user")
            return calls("SendMessage", target_agent=target, message=last.text, context=before)
    return "Hello! How are you?"


def reports_weather(request: Request) -> Completion | str:
    """Looks at the weather of the place that is named; has a report made where one is wanted."""
    said, last = " ".join(one.text for one in request.messages), request.messages[-1]
    if last.role != "tool":
        place = next((one for one in ("Paris", "Tokyo", "NYC", "London") if one in said), "nowhere")
        return calls("get_weather", place=place)
    if "report" in said and "Report" not in last.text:
        return calls("SendMessage", target_agent="report-agent", message=last.text)
    return last.text


def sums(request: Request) -> Completion | str:
    last = request.messages[-1]
    return last.text if last.role == "tool" else calls("calculate", expression="42 * 17")


def reports(request: Request) -> str:
    return f"Report: {request.messages[-1].text}"


def model(**speak: Callable[[Request], Any]) -> ChildSpec:
    """A model that says for each agent what its function does; agents are known by their instructions."""

    def says(request: Request) -> Any:
        (name,) = [name for name in speak if request.messages[0].text.startswith(f"You are {name}.")]
        return speak[name](request)

    return ChildSpec(FunctionModel, (says,), name="model")


def agent(name: str, **options: Any) -> Agent:
    return Agent(f"{name}-agent" if name != "router" else name, f"You are {name}.", **options)


def team(weather: Any = None) -> Agency:
    weather = weather or agent("weather", tools=[get_weather], handoffs=[agent("report")])
    router = agent("router", handoffs=[weather, agent("calculator", tools=[calculate])])
    speaks = model(router=routes, weather=reports_weather, calculator=sums, report=reports)
    return Agency(router, model=speaks, journal=MemoryJournal())


async def routed(client: httpx.AsyncClient, *said: str) -> tuple[dict[str, Any], list[dict[str, Any]], httpx.Response]:
    """The run as it is told, what is recorded of it, and the answer."""
    messages = [{"role": ("user", "assistant")[index % 2], "content": one} for index, one in enumerate(said)]
    answer = await client.post("/router/chat/completions", json={"messages": messages})
    run = answer.headers["callboard-run"]
    async with client.stream("GET", f"/agency/runs/{run}/events") as following:
        lines = [line async for line in following.aiter_lines()]
    records = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return (await client.get(f"/agency/runs/{run}")).json(), records, answer


def who(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["sender"], one["target"]) for one in run["answer"]["handoffs"]]


@pytest.mark.parametrize(
    ("said", "handoffs", "content"),
    [
        (["What's the weather in Paris?"], [("router", "weather-agent")], "Paris"),
        (["What is 42 * 17?"], [("router", "calculator-agent")], "714"),
        (["Hello, how are you?"], [], "Hello"),
        (
            ["My favorite city is Tokyo", "That's a great city!", "What's the weather there?"],
            [("router", "weather-agent")],
            "Tokyo",
        ),
        (
            ["Get the weather in NYC and create a report"],
            [("router", "weather-agent"), ("weather-agent", "report-agent")],
            "Report: ",
        ),
    ],
)
async def test_a_question_goes_to_whoever_knows_and_its_answer_comes_back(
    said: list[str], handoffs: list[tuple[str, str]], content: str
) -> None:
    async with served(team()) as it, it.client() as client:
        run, _, answer = await routed(client, *said)
        assert answer.status_code == 200
        assert content in answer.json()["choices"][0]["message"]["content"]
        assert who(run) == handoffs
        assert not any(one["failed"] for one in run["answer"]["handoffs"])


async def test_a_transferred_conversation_is_answered_by_its_new_agent() -> None:
    router = agent("router", handoffs=[handoff(agent("weather", tools=[get_weather]), kind="transfer")])
    speaks = model(
        router=lambda request: calls(request.tools[0].name, message="The weather in Paris"),
        weather=reports_weather,
    )
    async with served(Agency(router, model=speaks, journal=MemoryJournal())) as it, it.client() as client:
        run, _, answer = await routed(client, "What's the weather in Paris?")
        assert answer.status_code == 200, answer.text
        assert "18 degrees in Paris" in answer.json()["choices"][0]["message"]["content"]
        assert run["answer"]["agent"] == "weather-agent"
        assert run["answer"]["handoffs"][0]["kind"] == "transfer"


async def test_a_handoff_is_recorded_with_what_was_said_when_and_in_which_conversation() -> None:
    async with served(team()) as it, it.client() as client:
        run, records, _ = await routed(client, "Weather in London please")
        (asked_for,) = [one for one in records if one["type"] == "completed" and one["data"]["tool_calls"]]
        (came_back,) = [one for one in records if one["type"] == "handoff_returned"]
        (call,) = asked_for["data"]["tool_calls"]
        assert "London" in json.loads(call["arguments"])["message"]
        assert call["id"] == came_back["data"]["call_id"]
        for record in (asked_for, came_back):
            assert isinstance(record["at"], float)
            assert record["conversation"] == run["conversation"]


async def test_of_a_target_that_is_not_there_the_agent_is_told_and_says_so(unused_tcp_port: int) -> None:
    far = A2AAgent("weather-agent", f"http://127.0.0.1:{unused_tcp_port}", description="The weather.")
    async with served(team(far)) as it, it.client() as client:
        run, records, answer = await routed(client, "What's the weather?")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"]
        assert run["answer"]["handoffs"][0]["failed"]
        assert [one["data"]["is_error"] for one in records if one["type"] == "handoff_returned"] == [True]


# -- who may ask -------------------------------------------------------------------------------------------------------

KEY = rsa.generate_private_key(65537, 2048)


@contextmanager
def published() -> Iterator[str]:
    """Where whoever issues tokens publishes its keys."""
    public = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "k1", "use": "sig"}

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"keys": [public]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
        finally:
            server.shutdown()


def token(**changed: Any) -> str:
    return jwt.encode(claims(**changed), KEY, "RS256", headers={"kid": "k1"})


@http("/admin/action", "POST", scope="admin")
def act(body: dict[str, Any]) -> dict[str, Any]:
    """Do something."""
    return {"done": body["action"]}


@asynccontextmanager
async def protected() -> AsyncIterator[Served]:
    guarded = Agent("protected-agent", scope="read", skills=[Skill("admin", routes=[act])])
    with published() as keys:
        who_asks = Jwt(jwks_url=keys, issuer="https://id.example", audience="callboard")
        async with served(
            Agency(guarded, model=ChildSpec(FunctionModel, (echo,), name="model")), authenticate=who_asks
        ) as it:
            yield it


def bearer(given: str) -> dict[str, str]:
    return {"authorization": f"Bearer {given}"} if given else {}


@pytest.mark.parametrize(
    ("given", "status", "kind"),
    [
        (lambda: "", 401, "authentication_error"),
        (lambda: "invalid.token.here", 401, "authentication_error"),
        (lambda: token(scope="read", exp=1), 401, "authentication_error"),
        (lambda: token(scope="write"), 403, "permission_error"),
        (lambda: token(scope="read"), 200, ""),
    ],
    ids=["none", "invalid", "expired", "without the scope", "valid"],
)
async def test_an_agent_answers_those_whose_token_is_good(given: Callable[[], str], status: int, kind: str) -> None:
    async with protected() as it, it.client(headers=bearer(given())) as client:
        answer = await client.post("/protected-agent/chat/completions", json={"messages": [user("Give me the data")]})
        assert answer.status_code == status
        if status == 200:
            assert answer.json()["choices"][0]["message"]["role"] == "assistant"
            return
        assert answer.json()["error"]["type"] == kind
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "still good" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("scope", "status"), [("read", 403), ("read admin", 200)])
async def test_a_route_is_for_those_who_have_its_scope(scope: str, status: int) -> None:
    async with protected() as it, it.client(headers=bearer(token(scope=scope))) as client:
        answer = await client.post("/protected-agent/admin/action", json={"action": "delete_all"})
        assert answer.status_code == status, answer.text
        if status == 403:
            assert "admin" in answer.json()["detail"]


async def test_an_agent_asks_another_one_with_its_token() -> None:
    async with protected() as it:
        far = A2AAgent("protected-agent", f"{it.url}/a2a/protected-agent", api_key=token(scope="read write"))

        def asks(request: Request) -> Completion | str:
            last = request.messages[-1]
            if last.role == "tool":
                return last.text
            return calls("SendMessage", target_agent="protected-agent", message="Give me the data")

        async with Agency(agent("client", handoffs=[far]), model=model(client=asks)) as agency:
            answer = await agency.run("go")
        assert "Echo: Give me the data" in answer.text
        assert answer.chain == ("client-agent → protected-agent",)
