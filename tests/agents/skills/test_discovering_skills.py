"""Skills that are found by their names: those of installed packages, and those that a team file describes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from callboard import (
    Agent,
    Caller,
    ConfigError,
    DefinitionError,
    Skill,
    UnknownSkill,
    find_skill,
    known_skills,
    load_team,
    open_agency,
)
from callboard.actors.agents.skills.discovery import WrongSettings, made_skill
from callboard.actors.testing.doubles.models import Script
from tests.agents.support import scripted
from tests.cli.command import ROOT

MODULE = """
from callboard import Skill, SkillContext
from pydantic import BaseModel

class Weather(Skill):
    name = "weather"

    def __init__(self, city: str, days: int = 3) -> None:
        super().__init__(instructions=f"You know the weather of {city} for {days} days.")
        self.opened = 0

    async def initialize(self, context: SkillContext) -> None:
        self.opened += 1

class Address(BaseModel):
    host: str
    key: str

def mail(settings: Address) -> Skill:
    return Skill("mail", f"Mail goes by {settings.host}.", settings=settings)

COURTESY = Skill("courtesy", "Be polite.")

def untyped():
    raise AssertionError("called")

def breaks() -> Skill:
    raise ValueError("the shelf is empty")
"""


def installed(folder: Path, package: str, **entries: str) -> None:
    """Lay a package's metadata into a folder, as an installer does."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[callboard.skills]", *lines, ""]))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python imports from, with a module of skills."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "skills_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("skills_of_mine", None)


def test_what_an_installed_package_declares_is_found_by_its_name_and_made_with_settings(packages: Path) -> None:
    installed(
        packages,
        "mine",
        wether="skills_of_mine:Weather",
        mail="skills_of_mine:mail",
        courtesy="skills_of_mine:COURTESY",
    )
    assert known_skills()["wether"] == "mine"
    assert find_skill("wether", city="Bern").instructions == "You know the weather of Bern for 3 days."
    assert find_skill("mail", host="mx", key="secret").instructions == "Mail goes by mx."
    assert find_skill("courtesy").name == "courtesy"
    assert Agent.from_config({"name": "A", "skills": ["courtesy"]}).all_skills[0].instructions == "Be polite."


def test_the_page_lists_the_skills_that_come_with_the_library() -> None:
    page = (ROOT / "actors" / "agents" / "skills" / "README.md").read_text(encoding="utf-8")
    table = page.split("| name | settings |")[1].split("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(name for name, origin in known_skills().items() if origin == "callboard")


def test_a_name_that_is_not_there_or_there_twice_is_refused_by_name(packages: Path) -> None:
    installed(packages, "mine", weather="skills_of_mine:Weather", lost="skills_of_mine:Lost")
    installed(packages, "theirs", weather="skills_of_mine:COURTESY")
    with pytest.raises(DefinitionError, match="find_skill: name is 3; expected a name"):
        find_skill(3)  # type: ignore[arg-type]
    with pytest.raises(UnknownSkill, match="no skill is called 'whether'; did you mean 'weather'"):
        find_skill("whether")
    with pytest.raises(DefinitionError, match=r"the skill 'weather' is declared by (mine|theirs) and by (mine|theirs)"):
        find_skill("weather")
    with pytest.raises(
        DefinitionError, match=r"'lost' \(skills_of_mine:Lost, which mine declares\) cannot be imported"
    ):
        find_skill("lost")


class Account(BaseModel):
    user: str
    key: str = Field(min_length=20)


def mailbox(account: Account) -> Skill:
    return Skill("mailbox", settings=account)


def post(account: Account, *, days: int = 1) -> Skill:
    return Skill("post", f"{account.user} {days}")


def clock(zone: str, *, hours: int = 24) -> Skill:
    return Skill("clock", f"{zone} {hours}")


@pytest.mark.parametrize(
    ("make", "problem", "at"),
    {
        "missing": (lambda: made_skill(clock, {}, "c"), "the skill c needs the setting 'zone'", ()),
        "missing in a setting's settings": (
            lambda: made_skill(post, {"account": {"user": "ann"}}, "p"),
            "the skill p needs the setting 'account.key'",
            ("account",),
        ),
        "unknown": (
            lambda: made_skill(clock, {"zone": "UTC", "hour": 1}, "c"),
            "the skill c has no setting 'hour'; did you mean 'hours'?",
            ("hour",),
        ),
        "unknown, and another one missing": (
            lambda: made_skill(clock, {"zonne": "UTC"}, "c"),
            "the skill c has no setting 'zonne'; did you mean 'zone'?",
            ("zonne",),
        ),
        "unknown to a model": (
            lambda: made_skill(mailbox, {"user": "ann", "key": "k" * 20, "kee": "x"}, "m"),
            "the skill m has no setting 'kee'; did you mean 'key'?",
            ("kee",),
        ),
        "none of a list's": (
            lambda: find_skill("google", services=["calendar", "maps"]),
            "the skill google, services.1: expected 'calendar', 'drive' or 'gmail'",
            ("services", 1),
        ),
        "of a wrong type": (
            lambda: made_skill(clock, {"zone": "UTC", "hours": "many"}, "c"),
            "the skill c, hours: expected a valid integer",
            ("hours",),
        ),
        "for what is made already": (
            lambda: made_skill(Skill("x"), {"a": 1}, "c"),
            "the skill c takes no settings",
            ("a",),
        ),
        "that may be a secret": (
            lambda: made_skill(mailbox, {"user": "ada", "key": "hunter2"}, "c"),
            "the skill c, key: String should have at least 20 characters",
            ("key",),
        ),
    }.values(),
)
def test_settings_that_do_not_fit_are_refused_with_their_place_and_never_shown(
    make: Callable[[], object], problem: str, at: tuple[str, ...]
) -> None:
    with pytest.raises(WrongSettings) as refused:
        make()
    assert str(refused.value).startswith(problem)
    assert refused.value.at == at
    assert "hunter2" not in str(refused.value)


def read(folder: Path, text: str) -> object:
    file = folder / "team.yaml"
    file.write_text(f"providers: {{offline: {{type: offline}}}}\n{text}")
    return load_team(file, env={})


async def test_a_team_file_describes_skills_once_and_gives_them_to_its_agents_by_name(
    packages: Path, tmp_path: Path
) -> None:
    installed(packages, "mine", weather="skills_of_mine:Weather")
    (tmp_path / "team.yaml").write_text(
        """
skills:
  weather: {settings: {city: Bern}}
  post: {use: skills_of_mine:mail, settings: {host: mx, key: "${KEY}"}}
agents:
  A: {skills: [weather, post, skills_of_mine:COURTESY]}
  B: {skills: [weather]}
providers: {offline: {type: offline}}
"""
    )
    team = load_team(tmp_path / "team.yaml", env={"KEY": "secret"})
    assert [skill.name for skill in team.agents["A"].skills] == ["weather", "mail", "courtesy"]
    assert team.agents["B"].skills[0] is team.agents["A"].skills[0]
    async with open_agency(team) as agency:
        assert agency.skill_available("B", "weather")
        opened = agency.get_skill("B", "weather")
        assert vars(opened)["opened"] == 1, "it is one skill, whoever has it"


async def test_any_skill_may_be_given_a_scope_by_its_settings(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    text = "skills: {storage: {settings: {folder: files, scope: [staff, boss]}}}\nagents: {A: {skills: [storage]}}\n"
    (tmp_path / "team.yaml").write_text(f"{text}providers: {{offline: {{}}}}\n")
    team = load_team(tmp_path / "team.yaml", env={})
    script = Script(["ok", "ok"])
    async with open_agency(team, model=scripted(script)) as agency:
        await agency.run("?", caller=Caller("ann"))
        await agency.run("?", caller=Caller("bob", scopes=frozenset({"staff"})))
    assert [len(request.tools) for request in script.requests] == [0, 4]
    assert find_skill("guardrails", scope="staff").scope == {"staff"}
    (tmp_path / "team.yaml").write_text(text.replace("[staff, boss]", "7"))
    with pytest.raises(ConfigError, match=r"skills\.storage\.settings\.scope: the skill storage: scope is a text"):
        load_team(tmp_path / "team.yaml", env={})


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("agents: {A: {skills: [wether]}}", "agents.A.skills.0: no skill is called 'wether'", 2),
        ("agents: {A: {}}\nskills:\n  wether: {}", "skills.wether.use: no skill is called 'wether'", 4),
        (
            "agents: {A: {}}\nskills:\n  w:\n    use: skills_of_mine:Weather\n    settings:\n      city: 3",
            "skills.w.settings.city: the skill w, city: expected a valid string",
            7,
        ),
        (
            "agents: {A: {}}\nskills:\n  w:\n    use: skills_of_mine:Weather\n    settings: {}",
            "skills.w.settings: the skill w needs the setting 'city'",
            6,
        ),
        (
            "agents: {A: {}}\nskills: {w: {use: 'skills_of_mine:untyped'}}",
            "skills.w.use: expected a Skill; w is a value of type function; a class of skills will do",
            3,
        ),
        ("agents: {A: {}}\nskills: {w: {use: 'skills_of_mine:breaks'}}", "ValueError: the shelf is empty", 3),
        ("agents: {A: {}}\nskills: {w: {use: 'nowhere_at_all:x'}}", "no module is called 'nowhere_at_all'", 3),
        ("agents: {A: {skills: ['skills_of_mine:Weather']}}", "needs the setting 'city'", 2),
    ],
)
def test_what_a_team_file_says_wrongly_of_skills_is_refused_with_its_line(
    packages: Path, tmp_path: Path, text: str, problem: str, line: int
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert problem in str(refused.value)
    assert refused.value.line == line
