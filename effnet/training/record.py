"""What a run is: trial.json, written when it begins; and the lock it is trained under."""

from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from effnet.data import CarsDataModule
from effnet.files import Damaged, read_sealed, write_sealed
from effnet.training import identity
from effnet.training.checkpoints import set_aside
from effnet.trial import Trial


def run_lock(folder: Path) -> FileLock:
    """Held while the run in `folder` is trained; who holds it in a process may take it again."""
    return FileLock(folder / ".lock", is_singleton=True)


def write_record(folder: Path, trial: Trial, name: str, group: str, data: CarsDataModule) -> None:
    """trial.json: the values, the classes, the data, the code, the machine that a run begins with.

    A run that goes on keeps the record it began with.
    """
    path = folder / "trial.json"
    if path.exists():
        try:
            if read_sealed(path).get("trial_id") == folder.name:
                return
            raise Damaged(f"{path} is of another run.")
        except Damaged as error:
            print(f"{error} It is set aside and written anew.", flush=True)
            set_aside(path)
    record = {
        "trial_id": folder.name,
        "name": name,
        "group": group,
        "trial": trial.values(),
        "classes": data.class_names,
        "data_hash": data.data_hash,
        "code_hash": identity.code_hash(),
        "environment": identity.environment(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_sealed(path, record)
