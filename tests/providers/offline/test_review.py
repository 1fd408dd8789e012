"""A review of a folder names what is wrong with file and line, and nothing that is not."""

from __future__ import annotations

import pytest

from .folder import Folder, converse

REVIEWED = {
    "README_dot_md": "See `src/gone.py` and [the guide](docs/guide.md).\n\n`make fly` starts it.\n",
    "Makefile": "BIN := bin\n\ndemo: $(BIN)/x\n\ttrue\n\n$(BIN)/x:\n\ttrue\n",
    "docs__guide_dot_md": "[back](../README.md) [on](next.md#there), [out](https://a.example/x.md), `[no](code.md)`\n",
    "src__main_dot_py": "try:\n    run()\nexcept:\n    breakpoint()\n# TODO: name it\n"
    'KEY = "AKIAQPZMXNSWOEIRUTYV"\nSAID = "AKIAIOSFODNN7EXAMPLE"\n',
    "vendor__x_dot_js": "// TODO: theirs\n",
}


def found(**files: str) -> list[str]:
    """What a review of these files finds."""
    folder = Folder(**files)
    converse("Review this folder, and write the report to out.md", [*folder.specs.values()], folder.run)
    return [line[2:] for line in folder.files["out.md"].splitlines() if line.startswith("- ")]


def test_a_review_names_what_is_wrong_with_file_and_line_the_worst_first() -> None:
    folder = Folder(**REVIEWED)
    answer, _ = converse("Review this folder, and write the report to out.md", [*folder.specs.values()], folder.run)
    assert [line[2:] for line in folder.files["out.md"].splitlines() if line.startswith("- ")] == [
        "src/main.py:6: key: (not shown)",
        "src/main.py:4: breakpoint: breakpoint()",
        "src/main.py:3: bare except: except:",
        "README.md:1: broken promise: there is no src/gone.py",
        "README.md:3: broken promise: there is no make fly",
        "docs/guide.md:1: dead link: next.md",
        "src/main.py:5: left to do: # TODO: name it",
    ]
    assert "AKIAQPZM" not in folder.files["out.md"] + answer
    assert (
        "5 files looked through: 1 key, 1 breakpoint, 1 bare except, 2 broken promises, 1 dead link, 1 left" in answer
    )


def test_a_review_of_an_empty_folder_says_so_and_what_it_looked_for() -> None:
    folder = Folder()
    answer, _ = converse("Please review the project", [*folder.specs.values()], folder.run)
    assert answer.startswith("0 files looked through: nothing found, of unresolved merges, keys, breakpoints, ")


def test_where_not_all_files_are_listed_a_review_does_not_say_what_is_missing() -> None:
    class Large(Folder):
        def glob(self, pattern: str, path: str = ".") -> str:
            return super().glob(pattern, path) + "\n[… more than 4; narrow the pattern or raise the limit]"

    folder = Large(**REVIEWED)
    answer, _ = converse("Review this folder", [*folder.specs.values()], folder.run)
    assert "promises and links were not looked at" in answer
    assert "dead link" not in answer
    assert "src/main.py:3: bare except" in answer


def test_a_review_of_a_file_is_no_review_of_the_folder() -> None:
    folder = Folder(**REVIEWED)
    _, made = converse("Review the code in src/main.py", [*folder.specs.values()], folder.run)
    assert "Grep" not in {call.name for call in made}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", 'TEXT = "x = 1  # TODO: first"'),
        ("a.py", 'TEXT = """\n# TODO: first\n"""'),
        ("a.py", "#[TODO]"),
        ("a.svg", "<text>x  # TODO: first</text>"),
        ("a.md", "# TODO list"),
        ("a.js", "const s = `a // TODO: b`"),
        ("a.rs", "#TODO"),
        ("a.ipynb", '"# TODO: first",'),
    ],
)
def test_a_todo_that_is_no_comment_is_not_left_to_do(path: str, text: str) -> None:
    assert found(**{path: text + "\n"}) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", 'x = "it\'s"  # TODO: first'),
        ("a.go", '// {"a"}, // FIXME: it fails'),
        ("a.rs", "fn f<'a>(x: &'a str) {} // XXX"),
        ("a.c", "int x; /* TODO(ann): y */"),
        ("a.md", "Don't <!-- TODO: say why -->"),
        ("Makefile", "x: # HACK"),
        ("a.yaml", "it's: 1 # TODO"),
    ],
)
def test_a_todo_in_a_comment_is_left_to_do(path: str, text: str) -> None:
    assert found(**{path: text + "\n"}) == [f"{path}:1: left to do: {text}"]


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    f()\nexcept:\n    g()\n    raise\n",
        "try:\n    f()\nexcept:  # noqa: E722\n    pass\n",
        "try:\n    f()\nexcept: raise\n",
        'X = """\nexcept:\nbreakpoint()\n"""\n',
        "import pdb\n",
    ],
)
def test_what_raises_again_is_meant_so_or_is_a_text_is_no_finding(text: str) -> None:
    assert found(a_dot_py=text) == []


def test_what_cannot_be_read_as_python_to_its_end_is_looked_at_up_to_there() -> None:
    text = 'X = """\n# TODO: a text\n"""\n# TODO: a comment\nY = """\n# TODO: who knows\n'
    assert found(a_dot_py=text) == [
        "a.py:4: left to do: # TODO: a comment",
        "a.py:6: left to do: # TODO: who knows",
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/jwt.py", 'if key.startswith("-----BEGIN RSA PRIVATE KEY-----"):'),
        ("README.md", "-----BEGIN PRIVATE KEY-----"),
        ("tests/certs/server.key", "-----BEGIN PRIVATE KEY-----"),
        ("tests/a.py", 'KEY = "AKIAQPZMXNSWOEIRUTYV"'),
        ("a.py", 'KEY = "ghp_' + "x" * 36 + '"'),
        ("a.py", 'KEY = "AKIAABCDEFGHIJKLMNOP"'),
    ],
)
def test_a_key_of_a_test_or_one_that_is_made_up_is_none(path: str, text: str) -> None:
    assert found(**{path: text + "\n"}) == []


@pytest.mark.parametrize(
    "text", ["-----BEGIN OPENSSH PRIVATE KEY-----", 'k = "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B"']
)
def test_a_private_key_is_a_key(text: str) -> None:
    assert found(**{"deploy/id": text + "\n"}) == ["deploy/id:1: key: (not shown)"]


def test_a_merge_is_unresolved_where_both_its_marks_stand() -> None:
    assert found(a_dot_c="<<<<<<< HEAD\nx\n=======\ny\n>>>>>>> b\n", b_dot_rst=">>>>>>> prompt\n") == [
        "a.c:1: unresolved merge: <<<<<<< HEAD",
        "a.c:5: unresolved merge: >>>>>>> b",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "Open `.site/html/index.html`.",  # what git passes over, a program makes
        "Searches `documents/party.jpg`.",  # nothing says that this folder is here
        "Files such as `*.h`, `src/*.cpp` are left out.",
        "The fork at `src/main`.",
        "For example, `src/fine.py` is fine.",
        "This writes `src/log.txt`.",
        "`public/style.css`",
        "It was `redis.c`.",
        "```\ncd sub\nmake fly\n```",
        "[the site](https://a.example/x.md)",
        "```\n[no](gone.md)\n```",
        "[page](docs/guide.html)",
        "[sub](sub/x.md)",
        "[templated]({{ base }}/x.md)",
        "[linked](away/x.md)",
    ],
)
def test_what_may_be_meant_as_an_example_or_is_made_by_a_program_is_no_broken_promise(said: str) -> None:
    files = {
        "README.md": said + "\n",
        "Makefile": "demo:\n\ttrue\n",
        ".gitignore": "# made\n.site/\n",
        ".gitmodules": '[submodule "sub"]\n\tpath = sub\n\turl = ../sub.git\n',
        "src/main.c": "",
        "app/public/x.css": "",
        "docs/guide.md": "",
        "away": "",
    }
    assert found(**files) == []


def test_a_file_that_is_called_nearly_as_promised_is_named() -> None:
    files = {"README.md": "`functions_lua.c` has the rest.\n", "src/function_lua.c": ""}
    assert found(**files) == ["README.md:1: broken promise: there is no functions_lua.c; there is function_lua.c"]


@pytest.mark.parametrize("more", ["include other.mk", ".DEFAULT:\n\ttrue", "$(NAMES):\n\ttrue", "%:\n\ttrue"])
def test_where_a_makefile_has_targets_that_do_not_stand_there_none_is_missing(more: str) -> None:
    assert found(**{"README.md": "`make fly`\n", "Makefile": f"demo:\n\ttrue\n{more}\n"}) == []


def test_what_git_passes_over_and_a_link_in_a_test_are_not_looked_at() -> None:
    files = {
        ".gitignore": "build\n/made/*\n*.gen.py\n!kept.gen.py\n",
        "build/a.py": "# TODO: made\n",
        "made/b.py": "# TODO: made\n",
        "a.gen.py": "# TODO: made\n",
        "kept.gen.py": "# TODO: kept\n",
        "tests/data/x.md": "[a](gone.md)\n",
    }
    assert found(**files) == ["kept.gen.py:1: left to do: # TODO: kept"]


def test_many_that_are_left_to_do_hide_nothing_that_is_worse() -> None:
    class Limited(Folder):
        def grep(self, pattern: str, path: str = ".", glob: str = "*") -> str:
            lines = super().grep(pattern, path, glob).splitlines()
            return "\n".join([*lines[:50], *["[… more than 50 matches; narrow the search]"][: len(lines) > 50]])

    folder = Limited(a_dot_c="// TODO: x\n" * 60, z_dot_py="breakpoint()\n")
    answer, _ = converse("Review this folder", [*folder.specs.values()], folder.run)
    assert "z.py:1: breakpoint" in answer
    assert "at least 50 left to do" in answer
    assert "Not all that is left to do is listed." in answer


def test_a_form_feed_or_another_mark_within_a_line_begins_no_line() -> None:
    text = "x = 1\n\x0cy = 2\u2028\n# TODO: third\n"
    folder = Folder()
    folder.files["a.py"] = text
    read = "\n".join(f"{number:6}\t{line}" for number, line in enumerate(text[:-1].split("\n"), 1))
    found = "a.py:3:# TODO: third\na.py:4:z = 'a\u2028b.py:1:# TODO: no'"
    replies = {"Glob": "a.py", "Grep": found, "Read": read}
    answer, _ = converse("Review this folder", [*folder.specs.values()], lambda call: replies[call.name])
    assert [line for line in answer.splitlines() if line.startswith("- ")] == ["- a.py:3: left to do: # TODO: third"]


def test_what_a_line_does_not_tell_for_sure_is_left_out_where_its_file_was_not_read_again() -> None:
    text = "try:\n    f()\nexcept:\n    pass\n"
    folder = Folder(**{f"a{number:02}.py": text for number in range(30)})
    answer, made = converse("Review this folder", [*folder.specs.values()], folder.run)
    assert "30 files looked through: 24 bare excepts." in answer
    assert "Not all that looks broken was looked at again" in answer
    assert sum(call.name == "Read" for call in made) == 24


def test_links_of_a_changelog_and_to_pages_that_a_site_is_made_of_are_not_looked_at() -> None:
    files = {"CHANGELOG.md": "[a](gone.md)\n", "guide/a.md": "[b](../cli/index.html) [c](gone.md)\n"}
    assert found(**files) == ["guide/a.md:1: dead link: gone.md"]
