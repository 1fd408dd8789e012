"""Builds the distributions once a session, and installs each into an interpreter that has nothing else of ours.

The environments hold no dependency: those come from this interpreter's site-packages by ``PYTHONPATH``, which, unlike
a site directory, does not read ``.pth`` files. So ``callboard`` can only come from what was just installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def borrowed(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment variables with which an empty interpreter finds this one's dependencies, and no checkout."""
    return {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), **(extra or {})}


def succeed(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must work; return what it printed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """One environment with Callboard installed in it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        return self.folder / "bin" / "callboard"

    @property
    def site_packages(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    def run(self, code: str) -> str:
        """Run Python code there, away from the checkout; return what it printed."""
        return succeed(self.python, "-c", code, cwd=self.folder, env=borrowed()).strip()


@dataclass(frozen=True)
class Built:
    """The files a release consists of."""

    wheel: Path
    sdist: Path
    wheel_of_sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A wheel from the checkout, an sdist, and the wheel built from that sdist."""
    direct, release = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("release")
    build = (sys.executable, "-m", "build", "--no-isolation", ROOT)
    with ThreadPoolExecutor() as both:
        wheel = both.submit(succeed, *build, "--wheel", "--outdir", direct, cwd=direct)
        succeed(*build, "--outdir", release, cwd=release)
        wheel.result()
    return Built(next(direct.glob("*.whl")), next(release.glob("*.tar.gz")), next(release.glob("*.whl")))


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Installed]:
    """Install something with pip, without its dependencies, in an environment made for it."""

    def into_an_empty_environment(*what: str | Path) -> Installed:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False, symlinks=True)
        pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet")
        succeed(*pip, "--no-deps", "--no-index", "--no-build-isolation", *what, cwd=folder, env=borrowed())
        return Installed(folder)

    return into_an_empty_environment


@pytest.fixture(scope="session")
def from_wheel(built: Built, install: Callable[..., Installed]) -> Installed:
    return install(built.wheel)


@pytest.fixture(scope="session")
def from_sdist(built: Built, install: Callable[..., Installed]) -> Installed:
    return install(built.wheel_of_sdist)


@pytest.fixture(scope="session")
def editable(install: Callable[..., Installed]) -> Installed:
    return install("--editable", ROOT)
