"""``callboard bench``."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .command import assert_refused, callboard

TEAM = "agents: {Clerk: {instructions: You sell tea.}, Baker: {instructions: You bake.}}\nproviders: {offline: {}}\n"
SHOP = "from callboard import Agency, Agent\nagency = Agency(Agent('Clerk', 'sells'), model='offline')\nnone = 5\n"
QUICK = ("--duration", "0.1", "--rounds", "2", "--concurrency", "2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(TEAM + "journal: kept.db\n")
    (tmp_path / "other.yaml").write_text(TEAM)
    (tmp_path / "bad.yaml").write_text("agents: {A: {rule: none}}\n")
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def test_subjects_are_measured_beside_each_other_and_the_report_is_written(folder: Path) -> None:
    done = callboard(
        *("bench", "team.yaml", "other.yaml", "shop:agency", *QUICK, "--rate", "40"),
        *("--json", "r.json", "--plot", "p.html", "--agent", "Clerk", "--ask", "Hello"),
        cwd=folder,
    )
    assert done.status == 0, done
    report = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    measured = [(one["subject"], one["load"]) for one in report["results"]]
    names = ("team.yaml", "other.yaml", "shop:agency")
    assert measured == [(name, load) for load in ("2 at once", "40 a second") for name in names]
    assert all(one["figures"]["throughput"]["value"] > 0 for one in report["results"][:3])
    assert "<svg" in (folder / "p.html").read_text(encoding="utf-8")
    assert not (folder / "kept.db").exists(), "the team's journal is left alone"
    assert "team.yaml: 2 at once, round 1 of 2" in done.err


def test_settings_of_a_teams_pool_are_compared_in_one_run(folder: Path) -> None:
    also = ("routing=weighted", "hedge.budget=0.2,\n providers.*.limits={concurrency: 1}")
    done = callboard(
        *("bench", "team.yaml", "--also", also[0], "--also", also[1], *QUICK, "--json", "r.json", "--plot", "p.html"),
        cwd=folder,
    )
    assert done.status == 0, done
    names = ["team.yaml", f"team.yaml with {also[0]}", f"team.yaml with {' '.join(also[1].split())}"]
    report = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    assert [one["subject"] for one in report["results"]] == names
    rounds = [line.partition(": 2 at once")[0] for line in done.err.splitlines() if "round" in line]
    assert rounds == names * 2, "the rounds take turns"
    page = (folder / "p.html").read_text(encoding="utf-8")
    assert all(name in done.out and name in page for name in names)
    again = callboard("bench", "team.yaml", "--also", also[0], *QUICK, "--compare", "r.json", cwd=folder)
    assert f"{names[1]}  answers a second" in again.out


def test_a_server_that_does_not_answer_is_an_exit_status_of_one(folder: Path) -> None:
    (folder / "questions.txt").write_text("one\n\ntwo\n")
    done = callboard("bench", "http://127.0.0.1:1/v1", *QUICK, "--questions", "questions.txt", cwd=folder)
    assert done.status == 1
    assert "ClientConnectorError" in done.out


class Server(http.server.ThreadingHTTPServer):
    """Answers whatever is asked, and keeps it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Answering)


class _Answering(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((body["model"], body["messages"][-1]["content"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n')

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("options", "questions"),
    [
        ((), {"Say hello."}),
        (("--ask", "one", "--ask", " "), {"one"}),
        (("--questions", "questions.txt"), {"two", "three"}),
        (("--ask", "one", "--questions", "questions.txt"), {"one", "two", "three"}),
    ],
)
def test_what_is_asked_of_a_server_are_the_questions_and_the_model(
    folder: Path, server: Server, options: tuple[str, ...], questions: set[str]
) -> None:
    (folder / "questions.txt").write_text("two\n\nthree\n")
    url = f"http://127.0.0.1:{server.server_port}/Clerk"
    done = callboard("bench", url, *QUICK, "--model", "small", *options, cwd=folder)
    assert done.status == 0, done
    assert {question for _, question in server.asked} == questions
    assert {model for model, _ in server.asked} == {"small"}


def test_a_run_is_compared_with_an_earlier_one(folder: Path) -> None:
    assert callboard("bench", "other.yaml", *QUICK, "--json", "r.json", cwd=folder).status == 0
    report = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    for change, status in ((0.001, 0), (1_000.0, 1)):
        for name in ("throughput", "latency_p50", "latency_p90", "latency_p99", "first_p50", "first_p99", "cpu"):
            for value in ("value", "low", "high"):
                figure = report["results"][0]["figures"][name]
                figure[value] = 1_000.0 / change if name != "throughput" else change
        report["results"][0]["figures"]["memory"] = {"value": 1e9, "low": 1e9, "high": 1e9}
        (folder / "old.json").write_text(json.dumps(report))
        done = callboard("bench", "other.yaml", *QUICK, "--compare", "old.json", cwd=folder)
        assert done.status == status, done
        assert ("WORSE" in done.out) == bool(status)


WRONG: dict[str, tuple[list[str], list[str]]] = {
    "nothing": ([], ["name what is measured"]),
    "no file": (["nothing.yaml"], ["nothing.yaml: no such file"]),
    "no agency": (["shop:none"], ["shop:none is a value of type int", "expected an Agency"]),
    "no module": (["shap:agency"], ["no module is called 'shap'"]),
    "no address": (["http://"], ["an address is expected"]),
    "nobody": (["team.yaml", "--agent", "Clark"], ["Clark"]),
    "twice": (["team.yaml", "team.yaml"], ["two subjects have one name"]),
    "a model of a team": (["team.yaml", "--model", "x"], ["--model is for servers"]),
    "no clients": (["team.yaml", "--concurrency", "0"], ["--concurrency has whole numbers"]),
    "too many clients": (["team.yaml", "--concurrency", "100001"], ["to 100,000 with commas between", "100001"]),
    "too many rounds": (["team.yaml", "--rounds", "1001"], ["--rounds is a number from 1 to 1,000, not 1001"]),
    "half a client": (["team.yaml", "--concurrency", "1,2.5"], ["not '2.5'"]),
    "the same twice": (["team.yaml", "--concurrency", "1,1"], ["--concurrency has 1 twice"]),
    "a rate": (["team.yaml", "--rate", "nan"], ["--rate has numbers"]),
    "no time": (["team.yaml", "--duration", "0"], ["--duration is a number of seconds above 0"]),
    "for ever": (["team.yaml", "--timeout", "inf"], ["--timeout is a number of seconds above 0"]),
    "no rounds": (["team.yaml", "--rounds", "0"], ["--rounds is a number from 1"]),
    "no words": (["team.yaml", "--ask", " "], ["there are no questions"]),
    "no questions": (["team.yaml", "--questions", "nothing.txt"], ["nothing.txt cannot be read"]),
    "no place": (["team.yaml", "--json", "no/r.json"], ["no report can be written to 'no/r.json'"]),
    "another picture": (["team.yaml", "--plot", "p.gif"], ["a picture is a .png or an .html"]),
    "one file": (["team.yaml", "--json", "p.png", "--plot", "p.png"], ["--json and --plot name one file"]),
    "a password": (["http://ada:secret@127.0.0.1:1/x"], ["no user, password or query"]),
    "too rare": (["team.yaml", "--duration", "1", "--rate", "0.1"], ["0.1 a second are none in a round"]),
    "a setting": (["team.yaml", "--also", "rate=600"], ["--also rate=600", "no setting is called 'rate'", "routing"]),
    "a word of it": (
        ["team.yaml", "--also", "hedge.budgte=1"],
        ["--also hedge.budgte=1: hedge.budgte: unknown entry; did you mean 'budget'?"],
    ),
    "its value": (["team.yaml", "--also", "routing=wide"], ["--also routing=wide: routing: expected", "not 'wide'"]),
    "a file with it": (["bad.yaml", "--also", "routing=weighted"], ["callboard: bad.yaml, line 1: agents.A.rule"]),
    "a model": (["team.yaml", "--model", "x"], ["--model is for servers; team.yaml says itself"]),
    "no setting at all": (["team.yaml", "--also", ""], ["--also : expected NAME=VALUE"]),
    "no value": (["team.yaml", "--also", "routing"], ["expected NAME=VALUE", "not 'routing'"]),
    "a key": (["team.yaml", "--also", "providers.offline.api_key=s3cret"], ["write another file"]),
    "one twice": (["team.yaml", "--also", "hedge={}", "--also", "hedge={}"], ["two subjects have one name"]),
    "of a server": (["http://127.0.0.1:1/x", "--also", "hedge={}"], ["http://127.0.0.1:1/x is a server"]),
    "of a module": (["shop:agency", "--also", "hedge={}"], ["shop:agency is an Agency, which has its pool already"]),
    "no report": (["team.yaml", "--compare", "r.json"], ["there is no report at 'r.json'"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_a_line_before_anything_is_asked(folder: Path, name: str) -> None:
    options, said = WRONG[name]
    done = callboard("bench", *options, cwd=folder)
    assert_refused(done, *said)
    assert "s3cret" not in done.err


def test_a_missing_package_is_named_with_what_installs_it(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['psutil'] = sys.modules['matplotlib'] = None\n")
    path = {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2] / '.src'}"}
    for options in ((), ("--plot", "p.png")):
        done = callboard("bench", "team.yaml", *QUICK, *options, cwd=folder, env=path)
        assert_refused(done, "pip install 'callboard[bench]'")
