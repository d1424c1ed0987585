"""Processes that one process of a run starts on its machine, seen from both sides.

Each ends with the one that started it, however that ends: its standard input is its lifeline.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from textwrap import shorten
from typing import Any, NoReturn

import torch.distributed as dist

from effnet.errors import EffnetError, in_words
from effnet.paths import PACKAGE

LOST = 3  # exit code of a process that ended only because another one had
FOLLOW = "from effnet.train import follow; follow()"


class ProcessEnded(EffnetError):
    """A process of a run ended before the run did: no fault of the trial."""


class Child:
    """A started process of a run, its number there `rank`; it is told `inputs` (JSON).

    Not one of multiprocessing: those import the caller's script or notebook again.
    """

    def __init__(self, rank: int, inputs: dict[str, Any]) -> None:
        self.rank = rank
        self.said = tempfile.TemporaryFile()
        path = filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH")))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", FOLLOW],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.said,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            start_new_session=True,  # Ctrl-C is for the caller's process
        )
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it has ended already, which shows soon
            self.process.stdin.write(json.dumps(inputs).encode() + b"\n")
            self.process.stdin.flush()

    def why_ended(self) -> str | None:
        """Why it has ended; None while it lives, and where it only followed another one."""
        code = self.process.poll()
        if code in (None, LOST):
            return None
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().split("\n")
        return lines[-1].rstrip(".") or f"exit code {code}"

    def end(self, seconds: float) -> None:
        """Give it so long to end by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.process.kill()
        self.process.communicate()
        self.said.close()


def told() -> dict[str, Any]:
    """In a started process: its inputs. From here on it ends with the one that started it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # who started it has them, too
    line = sys.stdin.buffer.readline()

    def hold() -> None:
        sys.stdin.buffer.read()
        os._exit(LOST)

    threading.Thread(target=hold, daemon=True).start()
    return json.loads(line)


def end_badly(error: Exception) -> NoReturn:
    """In a started process that cannot go on: say why in one line, and leave."""
    print(shorten(in_words(error), 2000), file=sys.stderr, flush=True)
    os._exit(LOST if isinstance(error, ProcessEnded) or connection_lost(error) else 1)


def connection_lost(error: BaseException) -> bool:
    """Whether an error only says that another process is gone."""
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "nccl"))
