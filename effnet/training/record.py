"""What a run's folder says of the run: trial.json (what it is), status.json (how far it got)."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from effnet.data import CarsDataModule
from effnet.files import write_json
from effnet.training import identity
from effnet.trial import Trial


def run_lock(folder: Path) -> FileLock:
    """Held while the run in `folder` is trained; who holds it in a process may take it again."""
    return FileLock(folder / ".lock", is_singleton=True)


def write_record(folder: Path, trial: Trial, name: str, group: str, data: CarsDataModule) -> None:
    """trial.json: the values, the code, the data and the machine that the run begins with.

    A run that goes on keeps the record it began with.
    """
    if (folder / "trial.json").exists():
        return
    record = {
        "trial_id": folder.name,
        "name": name,
        "group": group,
        "trial": trial.values(),
        "data_hash": data.data_hash,
        "code_hash": identity.code_hash(),
        "environment": identity.environment(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / "trial.json", record)


def read_status(folder: Path) -> dict[str, Any]:
    """The run's status.json; empty where training never began."""
    path = folder / "status.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


class Status:
    """Writes status.json: state, message, epochs done, seconds trained in all, time of day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start = time.perf_counter() - read_status(folder).get("seconds", 0.0)

    def write(self, state: str, epochs_done: int, message: str = "") -> None:
        """`state` is "running", "interrupted", "failed" or "finished"."""
        status = {
            "state": state,
            "message": message,
            "epochs_done": epochs_done,
            "seconds": round(time.perf_counter() - self.start, 1),
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self.folder / "status.json", status)
