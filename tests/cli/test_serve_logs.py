"""Where the log of what ``callboard serve`` serves goes: to stderr, once, as whoever is served has said."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_serve import asked, serving

SERVICE = """\
import logging, sys
from callboard import Agency, Agent
{setting}
def fails(request):
    logging.getLogger("callboard.theirs").info("never shown")
    raise RuntimeError("out of order")

agency = Agency(Agent("Helper", model="offline"))
"""


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("", "ERROR:     POST /v1/chat/completions failed\n"),
        ("logging.basicConfig(format='mine %(message)s')", "mine POST /v1/chat/completions failed\n"),
    ],
)
def test_a_failure_is_logged_once_and_as_the_service_says_that_has_said_it(
    tmp_path: Path, setting: str, line: str
) -> None:
    (tmp_path / "service.py").write_text(SERVICE.format(setting=setting), encoding="utf-8")
    with serving(tmp_path, "service:agency", "--authenticate", "service:fails") as it:
        assert asked(it.url).status_code == 500
        assert it.end() == 0
        with pytest.raises(AssertionError, match="RuntimeError: out of order"):
            it.until("what it never says")  # so that all is read
        assert [said for said in it.seen if "failed" in said] == [line]
        assert "never shown" not in "".join(it.seen)
