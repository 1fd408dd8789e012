"""Reports as files of JSON: those of evaluations, and of benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import DefinitionError

T = TypeVar("T")


def write_report(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write a report.

    Args:
        path: where.
        data: what it says.

    Raises:
        DefinitionError: it cannot be written.
    """
    try:
        Path(path).write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DefinitionError(f"the report cannot be written to {str(path)!r:.200}: {error}") from None


def read_report_of(kind: type[T], path: str | Path, form: str, what: str, command: str) -> T:
    """Read a report.

    Args:
        kind: its type.
        path: where it is.
        form: what it must say of its format.
        what: it is a report of, for errors.
        command: writes one.

    Raises:
        DefinitionError: it cannot be read, or is something else.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != form:
            raise ValueError(f"it does not say {form!r}")
        return TypeAdapter(kind).validate_python(data)
    except FileNotFoundError:
        raise DefinitionError(f"there is no report at {str(path)!r:.200}; `{command} --json` writes one") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise not_that(path, what, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise not_that(path, what, str(error).splitlines()[0]) from None


def not_that(path: str | Path, what: str, why: str) -> DefinitionError:
    """What to raise about a file that is no such report."""
    return DefinitionError(f"{str(path)!r:.200} is no report of {what}: {why}")


def check_place(report: Path) -> None:
    """So that a report which cannot be written is said before anything is paid for.

    Raises:
        DefinitionError: no file can be there.
    """
    if report.is_dir() or not report.absolute().parent.is_dir():
        raise DefinitionError(f"no report can be written to {str(report)!r:.200}; name a file in a folder that exists")
