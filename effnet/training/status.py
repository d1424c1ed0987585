"""How far a run got, and whether its files are still what it left: status.json.

Read by whoever shows runs; it needs nothing of torch.
"""

import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effnet.files import CannotWrite, Damaged, digest, read_sealed, sealed_json, write_sealed
from effnet.paths import relative

# What a finished run leaves.
OUTPUTS = ("trial.json", "metrics.csv", "summary.json", "best.ckpt", "predictions_*.csv")
BEAT = 15.0  # seconds between signs of life in status.json
SILENT = 120.0  # seconds without one, after which a run is taken for dead


def read_status(folder: Path) -> dict[str, Any]:
    """The run's status.json as it is true now; empty where training never began.

    What says "running" and shows no life (its process is gone, or silent for two minutes) is
    "interrupted". Raises Damaged where the file is not what was written.
    """
    path = folder / "status.json"
    if not path.exists():
        return {}
    status = read_sealed(path)
    if "state" not in status:
        raise Damaged(f"{path} has no state: the kit did not write it.")
    if status["state"] == "running" and not _alive(status):
        where = f"process {status.get('pid', '?')} on {status.get('host', '?')}"
        message = f"{where} is gone: killed, or the machine went down"
        status |= {"state": "interrupted", "message": message}
    return status


def _alive(status: dict[str, Any]) -> bool:
    """Whether the process that writes this status still lives, as far as can be told from here."""
    beat = datetime.fromisoformat(status["updated"])
    if (datetime.now(UTC) - beat).total_seconds() > SILENT or "pid" not in status:
        return False
    if status["host"] != platform.node():
        return True
    return process_lives(status["pid"])


def process_lives(pid: int) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def sealed(folder: Path, names: Iterable[str] = OUTPUTS) -> dict[str, dict[str, Any]]:
    """Size (bytes) and SHA-256 of a run's outputs as they lie there, by name."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": digest(path)}
        for name in names
        for path in sorted(folder.glob(name))
    }


def damage(folder: Path, status: dict[str, Any], weights: bool = False) -> str | None:
    """What is wrong with the outputs that a status lists, in words; None where they are whole.

    With `weights` best.ckpt is read whole too, else only its size counts.
    """
    for name, known in status.get("outputs", {}).items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing"
        if (size := path.stat().st_size) != known["bytes"]:
            return f"{name} has {size:,} bytes and had {known['bytes']:,} when it was written"
        if (weights or path.suffix != ".ckpt") and digest(path) != known["sha256"]:
            return f"{name} was changed after it was written"
    return None


def require_whole(path: Path) -> None:
    """Raise Damaged where an output of a run, the file at `path`, is not what its status lists."""
    folder = path.parent
    outputs = read_status(folder).get("outputs", {})
    only = {name: known for name, known in outputs.items() if name == path.name}
    if reason := damage(folder, {"outputs": only}, weights=True):
        raise Damaged(f"{relative(folder)}: {reason}.")


def finished(folder: Path) -> bool:
    """Whether the run in `folder` is finished, and every file of it is what it left."""
    try:
        status = read_status(folder)
    except Damaged:
        return False
    return status.get("state") == "finished" and damage(folder, status, weights=True) is None


def now() -> str:
    """The time as status.json has it; as text, later is greater."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call again and again, from another thread, while the body runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Status:
    """Writes status.json, and keeps it true while the run is trained.

    It holds: state, message, epochs_done of epochs, seconds trained in all, pid and host of the
    process, updated (its last sign of life), outputs (name, size and SHA-256 of the files that
    belong to it), and for a failed run whether the machine was at fault (`system`) or the trial.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder, self.epochs = folder, epochs
        try:
            before = read_status(folder).get("seconds", 0.0)
        except Damaged:
            before = 0.0
        self.start = time.perf_counter() - before
        self.lock = threading.Lock()
        self.last: dict[str, Any] = {}

    def write(
        self,
        state: str,
        epochs_done: int,
        message: str = "",
        *,
        system: bool = False,
        weights: bool = True,
    ) -> None:
        """`state` is "running", "interrupted", "failed" or "finished".

        `system`: a failure is the machine's. `weights`: best.ckpt is an output of a finished run.
        """
        names = [name for name in OUTPUTS if weights or name != "best.ckpt"]
        if state != "finished":
            names = ["metrics.csv"]
        self.last = {
            "state": state,
            "message": message,
            "epochs_done": epochs_done,
            "epochs": self.epochs,
            "pid": os.getpid(),
            "host": platform.node(),
            "outputs": sealed(self.folder, names),
        }
        if state == "failed":
            self.last["system"] = system
        self._put(even_if_full=state in ("failed", "interrupted"))

    def _put(self, even_if_full: bool = False) -> None:
        path = self.folder / "status.json"
        with self.lock:
            status = self.last | {
                "seconds": round(time.perf_counter() - self.start, 1),
                "updated": now(),
            }
            try:
                write_sealed(path, status)
            except CannotWrite:
                if not even_if_full:
                    raise
                # No room for a second file: into the blocks that the old one has.
                with suppress(OSError), open(path, "r+b") as file:
                    file.write(sealed_json(status).encode())
                    file.truncate()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Give a sign of life now and then while the body runs."""

        def beat() -> None:
            with suppress(CannotWrite):
                self._put()

        with every(BEAT, beat):
            yield
