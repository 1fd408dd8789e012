"""The skill ``database``, with SQLite and with a real PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, DefinitionError, SkillFailed, find_skill, load_team, open_agency
from callboard.actors.agents.skills.builtin.database import DatabaseSkill
from tests.agents.support import function
from tests.postgres import Server

from .support import at_work, used

pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy: pip install 'callboard[database]'")

TABLES = (
    "CREATE TABLE customer (id integer PRIMARY KEY, name text)",
    "CREATE TABLE orders (id integer PRIMARY KEY, customer integer REFERENCES customer (id), total numeric, note text)",
    "INSERT INTO customer VALUES (1, 'ada'), (2, 'bob')",
    "INSERT INTO orders VALUES (1, 1, 12.5, 'tea; cake'), (2, 1, 7, NULL), (3, 2, 3, 'ink')",
)

Asked = Callable[[str], list[tuple[Any, ...]]]


class Store:
    """A database with two tables, and a way to look into it beside the skill."""

    def __init__(self, url: str, ask: Asked) -> None:
        self.url = url
        self.ask = ask


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Store:
    path = tmp_path / "orders.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in TABLES:
            connection.execute(statement)
        connection.commit()

    def ask(statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(statement).fetchall()

    return Store(f"sqlite:///{path}", ask)


@pytest.fixture
def postgres_store(postgres: Server) -> Iterator[Store]:
    name = "skill_orders"
    postgres.execute(f"CREATE DATABASE {name}")
    import psycopg

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        parts = connection.info
        host, user = parts.host, parts.user
    url = f"postgresql+psycopg://{user}@/{name}?host={host}"

    def ask(statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(f"host={host} user={user} dbname={name}", autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    for statement in TABLES:
        ask(statement)
    yield Store(url, ask)
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


async def asked(skill: DatabaseSkill, statement: str, **parameters: Any) -> Any:
    result = await used(skill, "database_query", statement=statement, parameters=parameters)
    assert not result.is_error, result.text
    return json.loads(result.text)


async def test_tables_are_told_and_questions_are_answered_with_bound_values(store: Store) -> None:
    skill = DatabaseSkill(store.url)
    async with at_work(skill):
        tables = (await used(skill, "database_tables")).text
        assert tables.startswith("customer(id INTEGER, name TEXT)\norders(")
        one = (await used(skill, "database_tables", table="orders")).text
        assert one.endswith("key: id\ncustomer refers to customer(id)")
        found = await asked(skill, "SELECT id, note FROM orders WHERE note = :note;", note="tea; cake")
        assert found == {"columns": ["id", "note"], "rows": [[1, "tea; cake"]], "more": False}
        nasty = "x' OR '1'='1"
        assert (await asked(skill, "SELECT id FROM customer WHERE name = :name", name=nasty))["rows"] == []
        with_one = await asked(skill, "-- all\n WITH t AS (SELECT 3 AS n) SELECT n FROM t")
        assert with_one["rows"] == [[3]]
        missing = await used(skill, "database_tables", table="order")
        assert "there is no table 'order'; there are: customer, orders" in missing.text


async def test_rows_and_long_values_are_bounded(store: Store) -> None:
    skill = DatabaseSkill(store.url, max_rows=2)
    async with at_work(skill):
        found = await asked(skill, "SELECT id FROM orders ORDER BY id")
        assert found == {"columns": ["id"], "rows": [[1], [2]], "more": True}
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT i FROM n"
        assert (await asked(skill, f"{numbers} LIMIT 5"))["rows"] == [[1], [2]]
        (row,) = (await asked(skill, "SELECT :text AS t", text="a" * 10_000))["rows"]
        assert row[0].endswith(" … (10,000 characters)")


WRITES = [
    "DELETE FROM orders",
    "UPDATE customer SET name = 'eve'",
    "INSERT INTO customer VALUES (9, 'eve')",
    "DROP TABLE orders",
    "CREATE TABLE extra (id integer)",
    "PRAGMA query_only = OFF",
    "SET TRANSACTION READ WRITE",
    "COMMIT",
    "SELECT 1; DROP TABLE orders",
    "SELECT 1;COMMIT;DROP TABLE orders;",
    "SELECT ';' ; DELETE FROM orders",
    "/* SELECT */ DELETE FROM orders",
    "-- SELECT\nDELETE FROM orders",
    "VACUUM INTO '/tmp/copy.db'",
    "ATTACH DATABASE '/tmp/other.db' AS other",
    "",
    ";",
]
WRITES_THAT_READ = [
    "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
    "SELECT * INTO copied FROM orders",
    "SELECT id FROM orders FOR UPDATE",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT nextval('numbers')",
]


async def test_what_is_read_only_cannot_be_changed_however_it_is_written(store: Store) -> None:
    if store.url.startswith("postgresql"):
        store.ask("CREATE SEQUENCE numbers")
    before = [store.ask(f"SELECT * FROM {table} ORDER BY id") for table in ("customer", "orders")]
    skill = DatabaseSkill(store.url)
    async with at_work(skill):
        assert [getattr(each, "name", "") for each in skill.tools] == ["database_tables", "database_query"]
        for statement in [*WRITES, *WRITES_THAT_READ]:
            result = await used(skill, "database_query", statement=statement)
            assert result.is_error, statement
        written = "WITH t AS (SELECT 9) INSERT INTO customer SELECT 9, 'eve'"
        if store.url.startswith("postgresql"):
            written = "SELECT nextval('numbers')"
        told = await used(skill, "database_query", statement=written)
        assert told.text.endswith("(a question may change nothing)")
        assert (await asked(skill, "SELECT count(*) FROM orders"))["rows"] == [[3]]
    assert [store.ask(f"SELECT * FROM {table} ORDER BY id") for table in ("customer", "orders")] == before


async def test_a_question_changes_nothing_where_the_database_may_be_changed(store: Store) -> None:
    before = [store.ask(f"SELECT * FROM {table} ORDER BY id") for table in ("customer", "orders")]
    skill = DatabaseSkill(store.url, read_only=False)
    changes = ["WITH t AS (SELECT 1) DELETE FROM orders", "WITH t AS (SELECT 1) INSERT INTO customer SELECT 9, 'eve'"]
    async with at_work(skill):
        for statement in [*WRITES, *changes]:
            assert (await used(skill, "database_query", statement=statement)).is_error, statement
    assert [store.ask(f"SELECT * FROM {table} ORDER BY id") for table in ("customer", "orders")] == before


async def test_a_change_tells_what_it_returns(store: Store) -> None:
    skill = DatabaseSkill(store.url, read_only=False)
    async with at_work(skill):
        statement = "UPDATE customer SET name = 'eve' WHERE id = 1 RETURNING id, name"
        result = await used(skill, "database_execute", statement=statement)
        assert json.loads(result.text) == {"columns": ["id", "name"], "rows": [[1, "eve"]], "more": False}
    assert store.ask("SELECT name FROM customer WHERE id = 1") == [("eve",)]


async def test_numbers_that_json_does_not_have_are_texts(sqlite_store: Store) -> None:
    skill = DatabaseSkill(sqlite_store.url)
    async with at_work(skill):
        assert (await asked(skill, "SELECT 1e999, -1e999"))["rows"] == [["inf", "-inf"]]


async def test_a_session_that_a_statement_has_changed_is_not_the_next_ones(postgres_store: Store) -> None:
    skill = DatabaseSkill(postgres_store.url)
    async with at_work(skill):
        await asked(skill, "SELECT set_config('default_transaction_read_only', 'off', false)")
        await asked(skill, "SELECT set_config('statement_timeout', '0', false)")
        found = await asked(
            skill, "SELECT current_setting('statement_timeout'), current_setting('transaction_read_only')"
        )
        assert found["rows"] == [["30s", "on"]]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_statement_that_takes_too_long_is_stopped_by_the_database(
    kind: str, request: pytest.FixtureRequest
) -> None:
    store: Store = request.getfixturevalue(f"{kind}_store")
    endless = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "postgres": "SELECT pg_sleep(1000)",
    }[kind]
    skill = DatabaseSkill(store.url, seconds=0.2)
    async with at_work(skill):
        result = await used(skill, "database_query", statement=endless)
        assert "it took longer than 0.2 seconds: ask for less" in result.text
        assert (await asked(skill, "SELECT 1"))["rows"] == [[1]]


async def test_where_it_may_be_changed_a_risky_tool_changes_it_wholly_or_not_at_all(store: Store) -> None:
    skill = DatabaseSkill(store.url, read_only=False)
    execute = next(each for each in skill.tools if getattr(each, "name", "") == "database_execute")
    assert getattr(execute, "risk", "") == "risky"
    async with at_work(skill):
        changed = await used(
            skill,
            "database_execute",
            statement="UPDATE orders SET note = :note WHERE customer = :who",
            parameters={"note": "a;b", "who": 1},
        )
        assert changed.text == "2 rows changed"
        failed = await used(skill, "database_execute", statement="INSERT INTO customer VALUES (3, 'x'), (1, 'twice')")
        assert failed.is_error
        two = await used(skill, "database_execute", statement="DELETE FROM orders; DELETE FROM customer")
        assert "one statement at a time" in two.text
    assert store.ask("SELECT id, note FROM orders WHERE note = 'a;b' ORDER BY id") == [(1, "a;b"), (2, "a;b")]
    assert store.ask("SELECT count(*) FROM customer") == [(2,)]


async def test_what_a_change_says_is_told_and_the_change_is_kept(store: Store) -> None:
    skill = DatabaseSkill(store.url, read_only=False, max_rows=1)
    adding = "INSERT INTO customer VALUES (3, 'cy'), (4, 'di') RETURNING id, name"
    async with at_work(skill):
        added = await used(skill, "database_execute", statement=adding)
        assert json.loads(added.text) == {"columns": ["id", "name"], "rows": [[3, "cy"]], "more": True}
    assert store.ask("SELECT count(*) FROM customer") == [(4,)]


async def test_a_wrong_statement_is_told_to_the_model_without_the_address(store: Store) -> None:
    skill = DatabaseSkill(store.url)
    async with at_work(skill):
        for statement, problem in {
            "SELECT nothing FROM orders": "nothing",
            "SELECT FROM WHERE": "",
            "SELECT :missing": "missing",
        }.items():
            result = await used(skill, "database_query", statement=statement)
            assert result.text.startswith("Error (ToolError): the database refused: ")
            assert problem in result.text
            assert "http" not in result.text
    closed = await used(skill, "database_query", statement="SELECT 1")
    assert "is not open: it belongs to an agency that runs" in closed.text


async def test_an_address_that_leads_nowhere_stops_the_start_without_showing_its_password(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/none.db", "postgresql+psycopg://ada:hunter2hunter2@127.0.0.1:1/x"):
        skill = DatabaseSkill(url, seconds=2)
        with pytest.raises(SkillFailed, match="skill database could not be initialized") as failed:
            await Agency(Agent("A", skills=[skill]), model=function(lambda request: "ok")).start()
        assert "hunter2" not in f"{failed.value} {failed.value.__cause__!r} {skill!r} {skill.description}"
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(SkillFailed, match=r"unable to open database file \(.*/no file\.db\)"):
        await Agency(
            Agent("A", skills=[DatabaseSkill(tmp_path / "no file.db")]), model=function(lambda _: "ok")
        ).start()


@pytest.mark.parametrize(
    ("make", "problem"),
    {
        "no address": (lambda: DatabaseSkill("orders.db"), "the url names no database .* write it as in sqlite"),
        "another kind": (lambda: DatabaseSkill("sqlite+nosuch:///x.db"), "the url names no database"),
        "in memory": (lambda: DatabaseSkill("sqlite://"), "a database in memory is empty for each call"),
        "what cannot be kept": (
            lambda: DatabaseSkill("mysql://x/y"),
            "names no database|only PostgreSQL and SQLite keep",
        ),
        "no rows": (lambda: DatabaseSkill("sqlite:///x.db", max_rows=0), "max_rows is 0; expected a whole number"),
        "no time": (lambda: DatabaseSkill("sqlite:///x.db", seconds=0), "seconds is 0; expected seconds, more than 0"),
        "a name with a space": (lambda: DatabaseSkill("sqlite:///x.db", name="my db"), "name is 'my db'"),
    }.values(),
)
def test_what_is_wrong_with_it_is_said_when_it_is_made(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        make()


def test_it_is_found_by_its_name(sqlite_store: Store) -> None:
    skill = find_skill("database", url=sqlite_store.url, name="orders")
    assert [getattr(each, "name", "") for each in skill.tools] == ["orders_tables", "orders_query"]


async def test_a_path_is_a_file_of_sqlite_and_in_a_team_file_it_begins_beside_that(
    sqlite_store: Store, tmp_path: Path
) -> None:
    skills = "skills: {database: {settings: {url: orders.db}}}"
    text = f"{skills}\nagents: {{A: {{skills: [database]}}}}\nproviders: {{offline: {{}}}}\n"
    (tmp_path / "team.yaml").write_text(text, "utf-8")
    async with open_agency(load_team(tmp_path / "team.yaml", env={})) as agency:
        skill = agency.get_skill("A", "database")
        assert isinstance(skill, DatabaseSkill)
        assert (await asked(skill, "SELECT count(*) FROM customer"))["rows"] == [[2]]
