"""One import package over the fixed top level: what the wheel, the sdist and the editable install hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT, Built, Installed, borrowed, succeed

PARTS = ("actors", "providers", "tools")


def library_files() -> set[str]:
    """Every file of the library in the checkout, as it is named inside the import package."""
    found = {f"callboard/{name}" for name in ("__init__.py", "__main__.py", "py.typed", "testing.py")}
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(f"callboard/{path.relative_to(ROOT).as_posix()}")
    return found


def packaged(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(params=["from_wheel", "from_sdist", "editable"])
def environment(request: pytest.FixtureRequest) -> Installed:
    found: Installed = request.getfixturevalue(request.param)
    return found


def test_the_wheel_holds_every_library_file_and_nothing_else(built: Built) -> None:
    assert set(packaged(built.wheel)) == library_files()


def test_the_wheel_built_from_the_sdist_is_the_same(built: Built) -> None:
    assert packaged(built.wheel_of_sdist) == packaged(built.wheel)


def test_the_sdist_holds_the_tests_and_what_a_reader_needs(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", "benchmarks/__init__.py"} <= names
    assert "tests/packaging/test_distributions.py" in names


def test_the_page_of_the_dashboard_is_in_both(built: Built) -> None:
    folder = ROOT / "actors" / "serving" / "dashboard" / "static"
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "actors/serving/dashboard/static/index.html" in files
    wheel = packaged(built.wheel)
    assert {name: wheel[f"callboard/{name}"] for name in files} == files
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(files) <= names


def test_a_wheel_puts_nothing_but_callboard_in_site_packages(from_wheel: Installed) -> None:
    names = {path.name for path in from_wheel.site_packages.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"callboard"}
    assert [name.partition("-")[0] for name in names if name.endswith(".dist-info")] == ["callboard"]


def test_an_installed_package_says_that_it_is_typed(from_wheel: Installed) -> None:
    assert (from_wheel.site_packages / "callboard" / "py.typed").is_file()


def test_callboard_is_imported_from_where_it_was_installed(environment: Installed, editable: Installed) -> None:
    expected = ROOT if environment is editable else environment.site_packages
    printed = environment.run(
        "import callboard.actors, callboard.providers, callboard.tools; print(callboard.__file__)"
    )
    assert Path(printed).resolve().is_relative_to(expected.resolve())


def test_the_parts_cannot_be_imported_by_their_bare_names(environment: Installed) -> None:
    printed = environment.run(f"import importlib.util; print([n for n in {PARTS!r} if importlib.util.find_spec(n)])")
    assert printed == "[]"


def test_the_console_script_answers(environment: Installed) -> None:
    assert "demo" in succeed(environment.command, "--help", cwd=environment.folder, env=borrowed())


def test_an_editable_install_sees_a_new_file_at_once(editable: Installed) -> None:
    new = ROOT / "tools" / "seen_at_once_by_the_packaging_test.py"
    new.write_text("WORD = 'seen'\n")
    try:
        assert (
            editable.run("from callboard.tools.seen_at_once_by_the_packaging_test import WORD; print(WORD)") == "seen"
        )
    finally:
        new.unlink()


def test_what_a_package_index_is_given_is_in_order(built: Built) -> None:
    check = (sys.executable, "-m", "twine", "check", "--strict")
    assert "PASSED" in succeed(*check, built.wheel, built.sdist, cwd=ROOT)


def test_no_link_of_the_readme_is_dead_on_a_package_index(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) > 20
    repository = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    raw = repository.replace("https://github.com", "https://raw.githubusercontent.com")
    for target in targets:
        where = target.removeprefix(f"{repository}/blob/main/").removeprefix(f"{raw}/main/")
        assert where != target, f"{target} leads to no file of the repository"
        assert (ROOT / where.partition("#")[0]).exists(), target


def test_the_layers_keep_their_direction() -> None:
    """Here, as a file comes and goes above that it would stumble over."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
