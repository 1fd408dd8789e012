"""What a command line that cannot be read is told: what is wrong with it, and what to write instead."""

from __future__ import annotations

import difflib
from datetime import timedelta

from cyclopts import CoercionError, CycloptsError, UnknownOptionError, UnusedCliTokensError
from cyclopts.exceptions import UnknownCommandError

_HELP = ("--help", "--version")


def told(error: CycloptsError) -> str:
    """What to print, in a line."""
    command = " ".join(("callboard", *(error.command_chain or ())))
    match error:
        case UnusedCliTokensError(unused_tokens=[*words]):
            rest = f"nothing more is expected behind {command}, and there is {' '.join(words):.80}"
            if command == "callboard run":
                return f'{rest}; put the request in quotes: callboard run TEAM.yaml "find every TODO"'
            return f"{rest}; put words that belong together in quotes, or see {command} --help"
        case UnknownCommandError(unused_tokens=[word, *_]) if word.startswith("-"):
            near = difflib.get_close_matches(word, _HELP, 1)
            return f"unknown option {word:.80}; did you mean {near[0] if near else _HELP[0]}?"
        case UnknownCommandError(unused_tokens=["help", *words]):
            return f"write it behind the command: {' '.join((command, *words))} --help"
        case UnknownOptionError() if (error.token.keyword or error.token.value) == "-":
            return f"- stands for nothing here; what is left out may be read from stdin, see {command} --help"
        case CoercionError() if error.target_type is timedelta:
            return f"{str(error).partition(':')[0]}: a time has a unit, as in 30d, 12h or 90m"
        case _:
            return str(error)
