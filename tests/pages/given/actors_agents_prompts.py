"""What the examples of the page about prompts take for granted: the template that it shows."""

from pathlib import Path

from tests.pages.page import Page

folder = Path("prompts/support")
folder.mkdir(parents=True)
(folder / "triage.yaml").write_text(Page("actors/agents/prompts/README.md").block("yaml"), encoding="utf-8")
