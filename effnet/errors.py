"""The one exception that is meant for a person to read, and how commands print it."""

import sys
from collections.abc import Callable


class EffnetError(ValueError):
    """Bad input or a state the user can mend.

    The message names the file or parameter, what was found, what is allowed and what to do.
    Command lines print it without a traceback.
    """


def command_line(main: Callable[[], int | None]) -> None:
    """Run a command's `main`; errors meant for a person are printed without a traceback.

    Exit codes: 0 done, 1 an EffnetError, 130 Ctrl-C, else what `main` returns.
    """
    try:
        sys.exit(main() or 0)
    except EffnetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C; the same command goes on where it stopped", file=sys.stderr)
        sys.exit(130)
