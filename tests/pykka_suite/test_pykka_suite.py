from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCE = "pykka-4.5.0"


@pytest.fixture(scope="session")
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pykka's unpacked source distribution; the archive is kept in pytest's cache."""
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("pykka-sdist") if cache is not None else tmp_path_factory.mktemp("pykka-sdist")
    archive = folder / f"{SOURCE}.tar.gz"
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps"]
        command += ["--require-hashes", "--dest", str(folder), "--requirement", str(HERE / "pykka.txt")]
        download = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if download.returncode:
            pytest.skip(f"pykka's source cannot be downloaded: {download.stderr.strip().splitlines()[-1:]}")
    unpacked = tmp_path_factory.mktemp("pykka")
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):  # from 3.11.4 on
            tar.extractall(unpacked, filter="data")
        else:
            tar.extractall(unpacked)  # the archive's hash was checked
    (unpacked / "pytest.ini").write_text("[pytest]\nfaulthandler_timeout = 60\n", encoding="utf-8")
    return unpacked


def start(source: Path, blocking_ask: bool) -> tuple[subprocess.Popen[str], Path]:
    """Start pykka's tests on our actor; the process, and where it will report."""
    report = source / f"report-{blocking_ask}.xml"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / ".src"), str(HERE)]),
        # Only what pykka's tests use: our own plugins would change how they run.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "CALLBOARD_BLOCKING_ASK": "1" if blocking_ask else "",
    }
    command = [sys.executable, "-m", "pytest", "-c", str(source / "pytest.ini"), "--rootdir", str(source / SOURCE)]
    command += [
        "-p",
        "runtime",
        "-p",
        "pytest_mock",
        "-p",
        "no:cacheprovider",
        "--junit-xml",
        str(report),
        "-q",
        "tests",
    ]
    process = subprocess.Popen(
        command, cwd=source / SOURCE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return process, report


@pytest.fixture(scope="session")
def runs(source: Path) -> Iterator[dict[bool, tuple[subprocess.Popen[str], Path]]]:
    """Both runs, by whether an ask blocks, at the same time: pykka's tests wait most of theirs."""
    started = {blocking_ask: start(source, blocking_ask) for blocking_ask in (False, True)}
    yield started
    for process, _ in started.values():
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], report: Path) -> tuple[set[str], int]:
    """The names of pykka's tests that fail, and how many passed."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode in (0, 1), f"pykka's suite did not run:\n{printed[-8000:]}"
    failed, passed = set(), 0
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is None and case.find("error") is None:
            passed += 1
        else:
            module = case.attrib["classname"].removeprefix("tests.").replace(".", "/")
            failed.add(f"{module}.py::{case.attrib['name'].split('[')[0]}")
    return failed, passed


def documented(*runs: str) -> set[str]:
    """The names in the README's table that belong to one of ``runs``."""
    lines = (HERE / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| test_")]
    return {name for name, kind, _reason in cells if kind in runs}


@pytest.mark.parametrize(
    ("blocking_ask", "kinds"),
    [
        pytest.param(False, ("both", "as it is"), id="as_it_is"),
        pytest.param(True, ("both",), id="with_an_ask_that_blocks"),
    ],
)
def test_only_the_documented_ones_of_pykkas_tests_differ(
    runs: dict[bool, tuple[subprocess.Popen[str], Path]], blocking_ask: bool, kinds: tuple[str, ...]
) -> None:
    failed, passed = ended(*runs[blocking_ask])
    expected = documented(*kinds)
    assert failed - expected == set(), "these tests of pykka's fail, and the README does not say why"
    assert expected - failed == set(), "these tests of pykka's pass now: take them out of the README's table"
    assert passed > 100, "pykka's suite has shrunk, or was not found"
