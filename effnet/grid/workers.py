"""The grid's processes on one machine: started, watched, replaced where the system kills one."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from effnet.files import Damaged, read_sealed
from effnet.grid.profiles import Profile
from effnet.training.status import Status

Worker = subprocess.Popen[bytes]


def train(profile: Profile, jobs: int, began: str, retry: bool) -> None:
    """Train with `jobs` processes of this command, which share the trials between them.

    Not a pool of concurrent.futures or loky: their workers outlive a killed parent and train on
    for it, and an interrupted one would begin the call that is queued behind. Here the run folders
    and their locks say what is left to do, so that nothing needs handing out or sending back.
    """
    command = [sys.executable, "-m", "effnet.grid", profile.source, "--worker", str(jobs)]
    command += ["--began", began, *(["--retry", "failed"] if retry else [])]

    def start() -> Worker:
        # They share one terminal: lines, no bars.
        environment = os.environ | {"TQDM_DISABLE": "1"}
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)

    working = [start() for _ in range(jobs)]
    try:
        while working:
            time.sleep(0.2)
            for worker in [worker for worker in working if worker.poll() is not None]:
                working.remove(worker)
                # Killed with a trial in hand: that one has failed, and another process goes on. One
                # that ends of itself has said why, and the caller trains what it left.
                if worker.returncode < 0 and _mark(profile.reports, worker):
                    working.append(start())
    finally:
        for worker in working:
            assert worker.stdin
            worker.stdin.close()  # see stop_with_parent
        for worker in working:
            worker.wait()


def _mark(reports: Path, worker: Worker) -> bool:
    """Write into the run that a killed worker was training that it failed; False without one."""
    for path in reports.glob("runs/*/status.json"):
        try:
            status = read_sealed(path)
        except Damaged:
            continue
        if status.get("state") == "running" and status.get("pid") == worker.pid:
            name = signal.Signals(-worker.returncode).name
            message = f"its process was killed ({name}); by the system where memory ran out"
            print(f"trial {path.parent.name} failed: {message}", flush=True)
            done, epochs = status["epochs_done"], status["epochs"]
            Status(path.parent, epochs).write("failed", done, message, system=True)
            return True
    return False


def stop_with_parent() -> None:
    """In a worker: stop after the last whole epoch once the parent is gone, however it went."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
