"""A Python that has imported everything and computed nothing: programs are run in forks of it.

Torch and Lightning take a core five seconds to import, and most of what is tried with them less.
"""

import os
import subprocess
import sys
from pathlib import Path

from effnet.paths import ROOT

SERVER = """
import os, sys
for name in sys.argv[1:]:
    __import__(name)
for line in sys.stdin:
    order = eval(line)
    if isinstance(order, int):
        print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), flush=True)
        continue
    program, arguments, files, variables = order
    if child := os.fork():
        print(child, flush=True)
        continue
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["-c", *arguments]
    os.environ |= variables
    exec(program, {"__name__": "__main__"})
    sys.exit()
"""


class Forks:
    """Such a Python in a checkout; `interactive` is as in a notebook."""

    def __init__(self, *modules: str, checkout: Path = ROOT, interactive: bool = False) -> None:
        code = "import sys; sys.ps1 = '>>> '\n" * interactive + SERVER
        self.server = subprocess.Popen(
            [sys.executable, "-c", code, *modules], cwd=checkout, text=True,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def start(self, program: str, *arguments: str, output: Path, **variables: str) -> int:
        """As `python -c program arguments`; its process. What it prints is in `output`, what it
        says to stderr in the file of that name with `.error` behind it.
        """
        files = (str(output), f"{output}.error")
        return self._ask((program, arguments, files, variables))

    def wait(self, process: int) -> int:
        """Its exit code, once it has ended."""
        return self._ask(process)

    def run(self, program: str, *arguments: str, output: Path, **variables: str) -> int:
        return self.wait(self.start(program, *arguments, output=output, **variables))

    def _ask(self, order) -> int:
        print(repr(order), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())

    def close(self) -> None:
        self.server.communicate()
