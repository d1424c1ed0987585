"""One trial on a node of a cluster: what comes to it, what it trains, what goes back."""

import getpass
import hashlib
import platform
import shutil
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytorch_lightning as pl

from effnet.data import CarsDataModule
from effnet.datasets.remote import fetched
from effnet.demo.inputs import checkpoint_path
from effnet.errors import EffnetError, in_words
from effnet.files import atomic_write
from effnet.grid.profiles import Job
from effnet.grid.storage import ENDS, Storage, StorageFailed, epochs_done
from effnet.grid.train import shared_module
from effnet.train import MACHINE, TrialInterrupted, identify, run
from effnet.training import identity
from effnet.training.tracking import EpochLogger
from effnet.trial import Trial

Weights: TypeAlias = tuple[str, bytes]  # name and content of a checkpoint's file


@dataclass(frozen=True)
class Order:
    """What a node is to train.

    Attributes:
        number: of the trial in its profile, from 1. job: the trial.
        trial_id: of its run, as the driver has it; None where the demo's checkpoint is being made.
        code_hash: of the driver's training code.
        profile: its name. runs: where runs lie, if the nodes share it (no `storage`).
        storage, data_url: STORAGE and DATA_URL of the driver.
    """

    number: int
    job: Job
    trial_id: str | None
    code_hash: str
    profile: str
    runs: Path
    storage: str | None
    data_url: str | None


class Outcome(NamedTuple):
    """How a trial ended: state as in grid.json; `system`: the machine failed, not the trial."""

    trial_id: str | None
    state: str
    message: str = ""
    system: bool = False


def make_weights(trial: Trial) -> Weights:
    """The trial's checkpoint, made on this node where the kit makes it."""
    path = checkpoint_path(trial)
    assert path is not None
    return path.name, path.read_bytes()


def train(order: Order, weights: Weights | None, board: Any) -> Outcome:
    """Train a trial as far as it goes. What fails is told and not raised, so that it is not Ray's
    to try it again: Ray does that with what was killed.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    number = order.number
    if answer(board.begin.remote(number, f"{platform.node()}-{node[:4]}")):
        return Outcome(order.trial_id, "missing")

    def tell(**values: Any) -> bool:
        try:
            return answer(board.tell.remote(number, **values))
        except ray.exceptions.RayError:  # the driver is gone
            return True

    try:
        return _train(order, weights, _scratch(node), tell)
    except Exception as error:
        if not isinstance(error, EffnetError):
            traceback.print_exc()  # for Ray's own log of the node
        system = isinstance(error, MACHINE | StorageFailed)
        return Outcome(order.trial_id, "failed", in_words(error), system)


def answer(reference: Any) -> Any:
    """What an actor answers. Not `ray.get`: a task that waits in it lends its CPUs to the next one,
    and two would train in one's share.
    """
    return reference.future().result()


def _train(
    order: Order, weights: Weights | None, scratch: Path, tell: Callable[..., bool]
) -> Outcome:
    job, trial = order.job, order.job.trial
    if (own := identity.code_hash()) != order.code_hash:
        raise EffnetError(
            f"{platform.node()} has other training code ({own}) than the driver "
            f"({order.code_hash}): bring the kit to the same commit on every node."
        )
    if order.data_url:
        fetched(order.data_url)
    data = shared_module(_modules, trial)
    checkpoint = _file(weights, scratch.parent / "weights") if weights else None
    trial_id = identify(trial, data, checkpoint)
    if order.trial_id not in (None, trial_id):
        raise EffnetError(
            f"{trial.data_dir} on {platform.node()} has other images than the driver's: give each "
            "node the same folder, or all of them DATA_URL."
        )
    storage = Storage(order.storage, order.profile) if order.storage else None
    folder = (scratch / "runs" if storage else order.runs) / trial_id
    if storage:
        storage.load(folder)
        storage.remove(f"{trial_id}/failed.json")
    tell(done=epochs_done(folder), images=len(data.split_rows("train")))
    try:
        run(
            trial, folder.parent, job.name, job.group, data=data, checkpoint=checkpoint,
            callbacks=[_Epochs(folder, storage, tell)], keep_weights=job.keep_weights,
        )  # fmt: skip
        outcome = Outcome(trial_id, "finished")
    except TrialInterrupted:
        outcome = Outcome(trial_id, "interrupted")
    except Exception as error:
        outcome = Outcome(trial_id, "failed", in_words(error), isinstance(error, MACHINE))
    # One that could not even begin has left nothing.
    if storage and outcome.state in ENDS and not outcome.system and folder.exists():
        storage.save(folder, outcome.state)
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


class _Epochs(pl.Callback):
    """Sends every whole epoch to the storage, tells the board, and stops where it says so."""

    def __init__(self, folder: Path, storage: Storage | None, tell: Callable[..., bool]) -> None:
        self.folder, self.storage, self.tell = folder, storage, tell
        self.sent: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.sent = trainer.current_epoch

    # Not at an epoch's end: its files are written there after this callback was asked.
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._whole(trainer):
            raise KeyboardInterrupt

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._whole(trainer)

    def _whole(self, trainer: pl.Trainer) -> bool:
        """Send and tell what is new; True where training is to stop."""
        assert isinstance(trainer.logger, EpochLogger)
        rows = trainer.logger.rows
        if len(rows) == self.sent:
            return False
        self.sent, note = len(rows), ""
        if self.storage:
            try:
                self.storage.save(self.folder, f"{len(rows):05d}")
            except StorageFailed as error:  # the next epoch's files hold this one, too
                note = f"not sent: {error}"
        images = len(trainer.datamodule.split_rows("train"))  # type: ignore[attr-defined]
        row = rows[-1]
        return self.tell(
            done=len(rows), val_acc=row["val_acc"], speed=images / row["seconds"], note=note
        )


_modules: dict[str, CarsDataModule] = {}  # of this process, which trains one trial after another


def _scratch(node: str) -> Path:
    """A folder of this node alone."""
    return Path(tempfile.gettempdir()) / f"effnet-{getpass.getuser()}" / node[:16]


def _file(weights: Weights, folder: Path) -> Path:
    """A checkpoint as a file on this node."""
    name, content = weights
    path = folder / hashlib.sha256(content).hexdigest()[:16] / name
    if not path.exists():
        with atomic_write(path) as new:
            new.write_bytes(content)
    return path
