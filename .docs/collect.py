"""Collects the pages that stand beside the code into one folder, from which the site is built.

``python .docs/collect.py`` writes ``.site/pages``: each page where it stands in the repository, and ``api/``, a page
for each part of what ``callboard`` and ``callboard.testing`` export, from the docstrings. Links to what is no page lead
to the repository.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / ".site"
PICTURES = Path(".docs/pictures")
# Texts that the library or a test works with.
NO_PAGES = ("actors/agents/prompts/markdown", "actors/cli/demo/starter", "tests/examples/team")
FOLDERS = ("actors", "providers", "tools", "tests", "benchmarks")
# A link or a picture: what stands before its target, and the target.
LINK = re.compile(r"(\]\()([^()\s]+)(?=[)\s])")
CODE = re.compile(r"^ *```.*?^ *```$|``.+?``|`[^`\n]+`", re.DOTALL | re.MULTILINE)

TESTING = "Testing"
# Where what is exported is explained: the title of a page of the reference, and the modules that it is for. What a
# module is in is the longest beginning that fits.
PARTS: dict[str, tuple[str, ...]] = {
    "Agents and agencies": ("actors.agents",),
    "Answers, runs and conversations": (
        "actors.agents.answer",
        "actors.agents.conversations",
        "actors.agents.rendering",
        "actors.agents.runs",
        "actors.agents.turns",
    ),
    "Events of runs": ("actors.agents.events",),
    "Handoffs": ("actors.agents.handoffs",),
    "Prompts": ("actors.agents.prompt_run", "actors.agents.prompts"),
    "Memory and context": ("actors.agents.memory",),
    "Skills": ("actors.agents.skills",),
    "Guardrails and hooks": ("actors.agents.guardrails", "actors.agents.hooks"),
    "Evaluation": ("actors.agents.evaluation",),
    "Tools": ("tools",),
    "Messages of models": ("providers.embeddings", "providers.messages"),
    "Providers": ("providers",),
    "Pools": ("providers.pool",),
    "Actors": ("actors",),
    "Journals": ("actors.journal",),
    "Telemetry": ("actors.observe",),
    "Serving": ("actors.serving",),
    "Many machines": ("actors.cluster",),
    TESTING: ("actors.testing",),
}
ERRORS = "Errors"


def address() -> str:
    """Where the repository is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["urls"]["Repository"]).rstrip("/")


def pages() -> list[Path]:
    """All pages, as they are named in the repository."""
    found = [Path("README.md"), Path("CHANGELOG.md")]
    for folder in FOLDERS:
        found += sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.md"))
    return [page for page in found if not page.as_posix().startswith(NO_PAGES)]


def links(text: str) -> Iterator[re.Match[str]]:
    """The links and pictures of a page: what stands before a target, and the target. What is code has none."""
    code = [(one.start(), one.end()) for one in CODE.finditer(text)]
    for found in LINK.finditer(text):
        if not any(start <= found.start() and found.end() <= end for start, end in code):
            yield found


def leads_to(page: Path, target: str) -> Path | None:
    """The file or folder of the repository that a page's link leads to; None if it leads elsewhere.

    Args:
        page: where the link stands.
        target: what stands in the link.
    """
    path, _, _ = target.partition("#")
    if re.match(r"[a-z]+:", target):
        return None
    return Path(os.path.normpath(page.parent / path)) if path else page


def _target(page: Path, target: str, known: set[Path], repository: str) -> str:
    """What a link of a page is in the site."""
    where = leads_to(page, target)
    if where is None or where == page:
        return target
    anchor = target.partition("#")[2]
    page_of = where / "README.md" if where / "README.md" in known else where
    if page_of in known or where.is_relative_to(PICTURES):
        there = page_of if page_of in known else Path("pictures") / where.relative_to(PICTURES)
        found = Path(os.path.relpath(there, page.parent)).as_posix()
    else:
        found = f"{repository}/{'tree' if (ROOT / where).is_dir() else 'blob'}/main/{where.as_posix()}"
    return f"{found}#{anchor}" if anchor else found


def rewritten(page: Path, text: str, known: set[Path], repository: str) -> str:
    """A page's text as it stands in the site."""
    parts, end = [], 0
    for link in links(text):
        parts += [text[end : link.start(2)], _target(page, link[2], known, repository)]
        end = link.end(2)
    return "".join((*parts, text[end:]))


def part_of(module: str) -> str:
    """The part of the reference for what a module defines."""
    inside = module.removeprefix("callboard.")
    fits = [(len(one), title) for title, ones in PARTS.items() for one in ones if f"{inside}.".startswith(f"{one}.")]
    if not fits:
        raise SystemExit(f"{module} is in no part of the reference; say in {__file__} where it is explained")
    return max(fits)[1]


def reference() -> dict[str, list[str]]:
    """What ``callboard`` and ``callboard.testing`` export, by the part that explains it."""
    import callboard
    from callboard import testing

    found: dict[str, list[str]] = {title: [] for title in (*PARTS, ERRORS)}
    for name in sorted(callboard._HOME_OF, key=lambda name: (name.lower(), name)):
        one = getattr(callboard, name)
        if isinstance(one, type) and issubclass(one, BaseException):
            found[ERRORS].append(name)
        else:
            # Words of typing and tables have no module of ours: then it is the one that the facade takes them from.
            of = str(getattr(one, "__module__", ""))
            found[part_of(of if of.startswith("callboard.") else f"callboard{callboard._HOME_OF[name]}")].append(name)
    # Some names mean another thing there: `Probe`, `Restart`, `Fact`.
    own = [name for name in testing.__all__ if getattr(testing, name) is not getattr(callboard, name, None)]
    found[TESTING] += [f"testing.{name}" for name in own]
    return found


def file_of(title: str) -> str:
    """The name of a part's page."""
    return title.lower().replace(" ", "_").replace(",", "") + ".md"


def collect(into: Path) -> None:
    """Write what the site is built from into a folder, which is made anew."""
    shutil.rmtree(into, ignore_errors=True)
    here, repository = pages(), address()
    for page in here:
        there = into / "pages" / page
        there.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / page).read_text("utf-8")
        there.write_text(rewritten(page, text, set(here), repository), "utf-8")
    if (ROOT / PICTURES).is_dir():
        shutil.copytree(ROOT / PICTURES, into / "pages" / "pictures")
    (into / "pages" / "api").mkdir()
    for title, names in reference().items():
        entries = "\n".join(f"\n::: callboard.{name}\n" for name in names)
        (into / "pages" / "api" / file_of(title)).write_text(f"# {title}\n{entries}", "utf-8")
    shutil.copy(ROOT / ".docs" / "iframe-worker.js", into / "pages")
    shutil.copy(ROOT / ".docs" / "zensical.toml", into)


if __name__ == "__main__":
    collect(SITE)
