"""The one exception that is meant for a person to read, and how commands print it."""

import io
import os
import select
import sys
import warnings
from collections.abc import Callable
from typing import TextIO

# What a shell gives for a program that its closed pipe ended (128 + SIGPIPE).
PIPE_CLOSED = 141


class EffnetError(ValueError):
    """Bad input or a state the user can mend.

    The message names the file or parameter, what was found, what is allowed and what to do.
    Command lines print it without a traceback.
    """


def in_words(error: BaseException) -> str:
    """An error in one text: as it is where it is meant for a person, else with its kind."""
    return str(error) if isinstance(error, EffnetError) else f"{type(error).__name__}: {error}"


def command_line(main: Callable[[], int | None]) -> None:
    """Run a command's `main`; errors meant for a person are printed without a traceback.

    Exit codes: 0 done, 1 an EffnetError, 130 Ctrl-C, 141 when nobody reads its output any more
    (silently; only printing what was done is no part of the work), else what `main` returns.
    """
    plain_console()
    plain_warnings()
    try:
        code = main() or 0
    except EffnetError as error:
        _say(f"error: {error}")
        code = 1
    except PermissionError as error:  # of a folder that another user keeps closed
        _say(f"error: {error.filename}: {error.strerror}.")
        code = 1
    except KeyboardInterrupt:
        _say("stopped by Ctrl-C; the same command goes on where it stopped")
        code = 130
    except BrokenPipeError:
        if not any(map(_has_no_reader, (sys.stdout, sys.stderr))):
            raise  # of another pipe than the terminal's
        code = PIPE_CLOSED
    _let_go()
    sys.exit(code)


def plain_console() -> None:
    """Let the terminal show any text: characters that it lacks become escapes, as `\\xe9`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def plain_warnings() -> None:
    """Show warnings as a line, without the place in the code that gave them."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


def _say(message: str) -> None:
    try:
        print(message, file=sys.stderr)
    except BrokenPipeError:
        pass  # see _let_go


def _has_no_reader(stream: TextIO) -> bool:
    poll = select.poll()
    poll.register(stream, 0)
    return bool(poll.poll(0))


def _let_go() -> None:
    """Flush the output; drop what has no reader any more."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed from the start
        try:
            stream.flush()
        except BrokenPipeError:
            # Or the interpreter would try again at its end, and say that it failed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
