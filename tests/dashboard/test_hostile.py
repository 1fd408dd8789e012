"""Requests of those who want to break a dashboard."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from callboard import Agency, Agent
from tests.dashboard.boards import board_of, log_of
from tests.serving.support import speaker


@pytest.mark.parametrize("name", ["x" * 300 + ".js", "x/" * 3000 + "y.css"])
async def test_a_file_whose_name_no_file_can_have_is_not_there(name: str) -> None:
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        answer = await client.get(f"/static/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_path")


@pytest.mark.parametrize(
    "found", ['["","a",[],"requests"]', '["","a",0,"requests"]', '["","a",false,"requests"]', "[" * 5000, "nothing"]
)
async def test_what_is_no_budgets_id_is_refused(found: str) -> None:
    budget = urlsafe_b64encode(found.encode()).decode().rstrip("=")
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        answer = await client.post(f"/api/budgets/{budget}", json={"limit": 5})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_budget")
        assert await log_of(client) == []


@pytest.mark.parametrize("limit", ["1" + "0" * 400, "-1" + "0" * 400, "NaN", "1e999", "0", "true"])
async def test_a_limit_that_no_budget_can_have_is_refused(limit: str) -> None:
    budget = urlsafe_b64encode(json.dumps(["model", "a", "day", "dollars"], separators=(",", ":")).encode()).decode()
    async with Agency(Agent("A"), model=speaker()) as agency, board_of(agency) as client:
        answer = await client.post(
            f"/api/budgets/{budget.rstrip('=')}",
            content=f'{{"limit":{limit}}}',
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 400, answer.text
        assert await log_of(client) == []
