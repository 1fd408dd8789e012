"""``callboard top`` and ``callboard tree`` see what ``callboard serve`` serves, by whichever name it is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .command import callboard
from .test_serve import asked, serving

TEAM = "agents:\n  Helper:\n    instructions: Be brief.\njournal: kept.db\n"
SERVICE = """\
from callboard import Agency, Agent, serve

agency = Agency(Agent("Helper", model="offline"), journal="kept.db")
app = serve(Agency(Agent("Helper", model="offline"), journal="kept.db"), dashboard=True)
"""


@pytest.mark.parametrize(
    ("what", "workers"), [("team.yaml", 1), ("service:agency", 1), ("service:app", 1), ("service:app", 2)]
)
def test_whatever_is_served_is_seen_from_another_terminal(tmp_path: Path, what: str, workers: int) -> None:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    seen = {"TMPDIR": str(tmp_path)}
    with serving(tmp_path, what, "--workers", str(workers), **seen) as it:
        assert asked(it.url).status_code == 200
        processes: list[str] = []
        for _ in range(100):  # one of several workers may still be on its way
            tree = callboard("tree", cwd=tmp_path, env=seen)
            assert tree.status == 0, tree
            processes = re.findall(r"\(process (\d+)\)", tree.out)
            if len(processes) == workers:
                break
        assert len(processes) == workers
        assert "── agency  AgencyActor" in tree.out
        for process in processes:
            assert f"(process {process})" in callboard("top", process, "--once", cwd=tmp_path, env=seen).out
        assert it.end() == 0
    assert "no running team" in callboard("tree", cwd=tmp_path, env=seen).err
