"""Kills a trial at every moment at which files are in danger, and has it go on.

`python crash_points.py DATA FOLDER [STEP]`: before and after each call of os.fsync, os.replace and
torch.save that a run makes (each STEP-th of these points), the process kills itself. Another one
goes on, and must end with the bytes of an uninterrupted run. Prints a line per point that did not,
and how many did. Processes are forked from one that has imported everything and computed nothing.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from small_trials import SMALL, THIN, contents

from effnet.train import run
from effnet.training import status
from effnet.training.status import finished
from effnet.trial import Trial

CALLS = [(os, "fsync"), (os, "replace"), (torch, "save")]


class Countdown:
    """Kills this process at the point `left`; point 2k is before the k-th call, 2k + 1 after it."""

    def __init__(self, left: int | None) -> None:
        self.left, self.passed = left, 0
        for module, name in CALLS:
            setattr(module, name, self.counted(getattr(module, name)))

    def counted(self, call):
        def dangerous(*arguments, **options):
            self.point()
            result = call(*arguments, **options)
            self.point()
            return result

        return dangerous

    def point(self):
        if self.passed == self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1


def in_child(work) -> int:
    """Exit code of a forked process that does `work`; its output is kept from the terminal."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            os._exit(work() or 0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(data: str, folder: Path, step: int) -> int:
    status.BEAT = 10**6  # signs of life come by the clock: no two runs would make the same calls
    trial = Trial.make(SMALL | THIN | {"data_dir": data})

    def whole():
        countdown = Countdown(None)
        run(trial, folder / "whole")
        (folder / "points").write_text(str(countdown.passed))

    # The first run of all builds the pixel cache and remembers hashes: calls that no other makes.
    assert in_child(lambda: run(trial, folder / "first") and 0) == 0
    assert in_child(whole) == 0
    expected = contents(next((folder / "whole").iterdir()))
    points = range(0, int((folder / "points").read_text()), step)
    bad = 0
    for point in points:
        runs = folder / str(point)

        def until_killed(point=point, runs=runs):
            Countdown(point)
            run(trial, runs)

        killed = in_child(until_killed)
        resumed = in_child(lambda runs=runs: run(trial, runs) and 0)
        left = next(runs.iterdir())
        whole_again = finished(left) and contents(left) == expected
        if (killed, resumed) != (-signal.SIGKILL, 0) or not whole_again:
            print(f"point {point}: killed {killed}, resumed {resumed}, right bytes {whole_again}")
            bad += 1
    print(f"{len(points) - bad} of {len(points)} crash points end with the right bytes")
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int((sys.argv[3:] or [1])[0])))
