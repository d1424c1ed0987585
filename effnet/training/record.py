"""A run's folder when it begins: its lock, what is damaged in it, and trial.json."""

from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from effnet.data import CarsDataModule
from effnet.files import Damaged, read_sealed, sweep, write_sealed
from effnet.paths import relative
from effnet.training import identity
from effnet.training.checkpoints import set_aside
from effnet.training.status import OUTPUTS, damage, read_status
from effnet.trial import Trial


def run_lock(folder: Path) -> FileLock:
    """Held while the run in `folder` is trained; who holds it in a process may take it again."""
    return FileLock(folder / ".lock", is_singleton=True)


def mend(folder: Path) -> None:
    """Name what is damaged in a run's folder and clear away what killed writers left."""
    sweep(folder, (*OUTPUTS, "status.json", "last.ckpt"))
    try:
        status = read_status(folder)
    except Damaged as error:
        print(f"{error} It is set aside; what else is whole is used.", flush=True)
        return set_aside(folder / "status.json")
    if status.get("state") == "finished":
        print(f"{relative(folder)}: {damage(folder, status, weights=True)}; the run is made whole "
              "again.", flush=True)  # fmt: skip


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
