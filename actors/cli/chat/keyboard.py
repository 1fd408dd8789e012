"""What a person types: in a terminal with history, completion and several lines, or from a pipe."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

PROMPT: Final = "you> "


class Interrupted(Exception):
    """Ctrl-C was pressed. No `KeyboardInterrupt`, which would go past whoever waits, and end the event loop."""


class Keyboard(Protocol):
    """Reads what is typed. Both functions raise `EOFError` at the end, and `Interrupted` on Ctrl-C.

    Attributes:
        waits: whether a person sits there, who can be kept from answering what is decided already.
    """

    waits: bool

    async def request(self) -> str:
        """What a person wants; it may have several lines."""

    async def answer(self, prompt: str, default: str = "") -> str:
        """The answer to a question; nothing that was typed before it was asked.

        Args:
            prompt: the question.
            default: what stands there already.
        """

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep what is typed in the block from appearing on the screen; it is there for the next request."""
        yield


class Pipe:
    """Lines from stdin. One that ends with a backslash goes on in the next."""

    waits = False

    def __init__(self) -> None:
        self._coming: asyncio.Future[str] | None = None

    async def request(self) -> str:
        lines: list[str] = []
        while True:
            line = await self.answer("")
            if not line.rstrip("\n").endswith("\\"):
                return "".join((*lines, line))
            lines.append(line.rstrip("\n")[:-1] + "\n")

    async def answer(self, prompt: str, default: str = "") -> str:
        if self._coming is None:
            self._coming = _next_line()
        line = await asyncio.shield(self._coming)  # whoever gives up waiting leaves the line to the next who asks
        self._coming = None
        if not line:
            raise EOFError
        return line

    @contextmanager
    def quiet(self) -> Iterator[None]:
        yield


class Terminal:
    """A terminal: Enter sends, Alt-Enter begins another line, as a backslash before Enter does.

    Args:
        words: what is completed: commands, and names of agents.
    """

    waits = True

    def __init__(self, words: Sequence[str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.key_binding import KeyBindings

        self._requests: PromptSession[str] = PromptSession(
            history=_history(),
            completer=WordCompleter(list(words), sentence=True),
            complete_while_typing=False,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation=lambda width, *_: " " * width,
        )
        self._answers: PromptSession[str] = PromptSession(key_bindings=_ignore_mouse(KeyBindings()))

    async def request(self) -> str:
        return await self._prompted(self._requests, PROMPT)

    async def answer(self, prompt: str, default: str = "") -> str:
        from prompt_toolkit.input.typeahead import clear_typeahead

        clear_typeahead(self._answers.app.input)
        with suppress(ImportError):  # no such terminals there
            import termios

            with suppress(OSError, ValueError, termios.error):  # it is gone
                termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
        return await self._prompted(self._answers, prompt, default)

    async def _prompted(self, session: PromptSession[str], prompt: str, default: str = "") -> str:
        try:
            # Its own handler of the signal would be gone afterwards, and the chat's with it.
            return await session.prompt_async(prompt, default=default, handle_sigint=False)
        except KeyboardInterrupt:
            raise Interrupted from None

    @contextmanager
    def quiet(self) -> Iterator[None]:
        try:
            import termios
        except ImportError:  # no such terminals there
            yield
            return
        gone = (OSError, ValueError, termios.error)
        before = None
        with suppress(*gone):
            place = sys.stdin.fileno()
            before, silent = termios.tcgetattr(place), termios.tcgetattr(place)
            silent[3] &= ~termios.ECHO
            termios.tcsetattr(place, termios.TCSADRAIN, silent)
        try:
            yield
        finally:
            if before is not None:
                with suppress(*gone):
                    termios.tcsetattr(place, termios.TCSADRAIN, before)


def keyboard(words: Sequence[str]) -> Keyboard:
    """What stdin is.

    Args:
        words: what is completed in a terminal.
    """
    return Terminal(words) if _open() and sys.stdin.isatty() else Pipe()


def _open() -> bool:
    """Whether there is a stdin; what a program of one's own may have closed."""
    return sys.stdin is not None and not sys.stdin.closed


def _next_line() -> asyncio.Future[str]:
    """The next line of stdin, empty at its end. The program can end before it has come: no pool's thread reads it."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        line = ""
        with suppress(OSError, ValueError):  # it was closed meanwhile, or its terminal is gone: that is its end
            line = sys.stdin.readline() if _open() else ""
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(coming.set_result, line)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return coming


def _history() -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class Kept(FileHistory):
        def store_string(self, string: str) -> None:
            with suppress(OSError, ValueError):  # the disk is full, the folder gone, or it is no text
                super().store_string(string)

    with suppress(OSError, RuntimeError):  # what can be neither read nor written, or nobody's home
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "callboard"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / "history").open("a+b") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # others have no end
                return Kept(str(folder / "history"))
    return InMemoryHistory()


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.key_binding.key_processor import KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    _ignore_mouse(keys)

    @keys.add("escape", "enter")
    def begin_another_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _ignore_mouse(keys: KeyBindings) -> KeyBindings:
    """Pass over what a mouse would send, which nobody asks for here: prompt_toolkit ends in a traceback where it is
    none, as in text with colours."""
    from prompt_toolkit.key_binding.key_processor import KeyPressEvent
    from prompt_toolkit.keys import Keys

    @keys.add(Keys.Vt100MouseEvent)
    def nothing(event: KeyPressEvent) -> None:
        pass

    return keys
