"""Commands as in a terminal, in the checkout that is tested."""

import os
import subprocess
import sys
from pathlib import Path

from effnet.paths import ROOT


def command(*words, cwd=ROOT, timeout=3000):
    """Run as in a terminal with the environment's programs on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    return subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=environment
    )


def make(*words):
    return command("make", "--no-print-directory", *words)
