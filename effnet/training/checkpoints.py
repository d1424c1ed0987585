"""last.ckpt and best.ckpt: written whole, checked when they are read, refused where they are not
this trial's. A killed run resumes from them exactly.
"""

import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from effnet.files import Damaged, atomic_write, stamp
from effnet.paths import relative
from effnet.training import identity
from effnet.training.status import Status, require_whole
from effnet.training.tracking import EpochLogger
from effnet.trial import Trial


def save_checkpoint(state: dict[str, Any], path: Path | str) -> None:
    """Write torch's format by rename. Raises CannotWrite for a full disk."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def load_checkpoint(path: Path | str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save_checkpoint` wrote: tensors, numbers and text. No code in the file is run.

    Raises Damaged where the file is missing, not whole (torch writes a CRC-32 of every part, which
    is checked here: torch does not), or holds anything else.
    """
    path = Path(path)
    try:
        _check_parts(str(path), stamp(os.stat(path)))
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise Damaged(f"{relative(path)} is missing.") from None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # zipfile and torch raise many kinds on broken bytes
        size = path.stat().st_size
        raise Damaged(
            f"{relative(path)} ({size:,} bytes) is not whole, or no checkpoint of the kit "
            f"({type(error).__name__})."
        ) from None
    if not isinstance(state, dict):
        raise Damaged(f"{relative(path)} holds no checkpoint of the kit.")
    return state


def best_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a finished run's best epoch, by the names of its model's tensors.

    Raises Damaged where they are not what the run left, or the run was told to keep none.
    """
    require_whole(folder / "best.ckpt")
    return load_checkpoint(folder / "best.ckpt")["state_dict"]


@lru_cache(maxsize=1000)
def _check_parts(path: str, stamp: str) -> None:
    """Raise where a part of a checkpoint does not have its CRC; once for a file as it is."""
    with zipfile.ZipFile(path) as file:
        if bad := file.testzip():
            raise ValueError(bad)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints by `save_checkpoint` and `load_checkpoint`.

    Lightning's own writer moves from the temporary folder, which is a copy across file systems:
    a kill in the middle leaves half a checkpoint. Its reader may run code that a file brings.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        save_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        return load_checkpoint(path)


def made_by(trial: Trial, trial_id: str) -> dict[str, Any]:
    """What a checkpoint was written by; another trial's is refused, another machine's is named."""
    known = ("python", "torch", "torchvision", "pytorch-lightning", "numpy", "device")
    environment = identity.environment()
    return {
        "trial_id": trial_id,
        "code_hash": identity.code_hash(),
        "threads": trial.threads,
        **{name: environment[name] for name in known},
    }


# The callback's state before the first epoch.
BEGIN: dict[str, Any] = {
    "rows": [],
    "best": {"val_loss": float("inf"), "epoch": -1},
    "ended": False,
}


class RunCheckpoint(pl.callbacks.Checkpoint):
    """After every epoch: best.ckpt where the watched loss is the lowest yet, last.ckpt, the status.

    last.ckpt also carries the rows of metrics.csv and whether training has ended, so that a
    resumed run writes the very files of an uninterrupted one. Where several processes train the
    run each has such a callback, and the first one writes.
    """

    best: dict[str, Any]
    ended: bool

    def __init__(
        self, folder: Path, logger: EpochLogger, status: Status, made_by: dict[str, Any]
    ) -> None:
        self.folder, self.logger, self.status, self.made_by = folder, logger, status, made_by
        self.load_state_dict(BEGIN)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        assert trainer.max_epochs is not None
        first = trainer.is_global_zero
        # A caller's callback that stops the training is in the first process alone.
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(trainer.should_stop, False)
        watched = trainer.callback_metrics["val_loss"].item()
        if watched < self.best["val_loss"]:
            self.best = {"val_loss": watched, "epoch": trainer.current_epoch}
            if first:
                self.save_best({k: v.cpu() for k, v in pl_module.model.state_dict().items()})
        self.ended = trainer.should_stop or trainer.current_epoch + 1 >= trainer.max_epochs
        trainer.save_checkpoint(self.folder / "last.ckpt")  # all wait until the first has written
        self.logger.whole = len(self.logger.rows)
        if first:
            self.status.write("running", len(self.logger.rows))

    def save_best(self, weights: dict[str, torch.Tensor]) -> None:
        """best.ckpt, of the epoch that `best` names."""
        own = {"trial_id": self.made_by["trial_id"], **self.best}
        save_checkpoint({"state_dict": weights, **own}, self.folder / "best.ckpt")

    def state_dict(self) -> dict[str, Any]:
        rows, best = self.logger.rows, self.best
        return {"rows": rows, "best": best, "ended": self.ended, "made_by": self.made_by}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.logger.rows, self.best = list(state["rows"]), state["best"]
        self.ended = state["ended"]

    def resume(self) -> dict[str, Any] | None:
        """The checkpoint to go on from, with its own part loaded; None where the run begins.

        What cannot be gone on from is named, set aside as *.damaged, and the run begins anew.
        """
        try:
            state = self._last()
        except Damaged as error:
            print(f"{error} It is set aside, and the run begins anew.", flush=True)
            for name in ("last.ckpt", "best.ckpt"):
                set_aside(self.folder / name)
            state = None
        if state is None:
            self.load_state_dict(BEGIN)
            (self.folder / "metrics.csv").unlink(missing_ok=True)
        self.logger.whole = len(self.logger.rows)
        self.logger.save()  # killed after metrics.csv, before last.ckpt, it has a row too many
        return state

    def follow(self, epochs: int) -> dict[str, Any] | None:
        """What `resume` gave process 0, here in another one: None for 0 epochs.

        Raises EffnetError where the file here is not the one that process 0 goes on from.
        """
        if not epochs:
            return None
        state = load_checkpoint(self.folder / "last.ckpt")
        self.load_state_dict(state["callbacks"][self.state_key])
        if len(self.logger.rows) != epochs:
            raise Damaged(
                f"{relative(self.folder / 'last.ckpt')} holds {len(self.logger.rows)} epochs here "
                f"and {epochs} for process 0."
            )
        return state

    def _last(self) -> dict[str, Any] | None:
        last = self.folder / "last.ckpt"
        if not last.exists():
            return None
        state = load_checkpoint(last)
        own = state.get("callbacks", {}).get(self.state_key)
        if own is None:
            raise Damaged(f"{relative(last)} is no checkpoint of a run.")
        self._compare(last, own.get("made_by"))
        self.load_state_dict(own)
        self._check_best(state)
        return state

    def _compare(self, last: Path, before: dict[str, Any] | None) -> None:
        """Refuse another trial's checkpoint; say what else is not as it was."""
        if before is None:  # of an earlier version, which did not say
            return
        if before["trial_id"] != self.made_by["trial_id"]:
            raise Damaged(
                f"{relative(last)} is of trial {before['trial_id']}, not of "
                f"{self.made_by['trial_id']}: somebody moved it here."
            )
        changed = {name: old for name, old in before.items() if self.made_by.get(name) != old}
        if changed:
            told = ", ".join(f"{name} {old}, now {self.made_by.get(name)}" for name, old in
                             changed.items())  # fmt: skip
            print(f"resuming what began with {told}: it may end with other roundings", flush=True)

    def _check_best(self, state: dict[str, Any]) -> None:
        """Raise where the best epoch's weights are lost; last.ckpt has them if it was the last."""
        path = self.folder / "best.ckpt"
        try:
            best = load_checkpoint(path)
            # Killed between the two files, best.ckpt is of the epoch that is trained again now.
            if best.get("epoch", -1) >= self.best["epoch"] and best.get("trial_id") in (
                None, self.made_by["trial_id"],
            ):  # fmt: skip
                return
            raise Damaged(f"{relative(path)} is not of the run's best epoch.")
        except Damaged as error:
            if len(self.logger.rows) - 1 != self.best["epoch"]:
                raise
            print(f"{error} Its weights are in last.ckpt, too: written again.", flush=True)
            weights = state["state_dict"].items()
            self.save_best({k.removeprefix("model."): v for k, v in weights if k[:6] == "model."})


def set_aside(path: Path) -> None:
    """Keep a file that the run cannot use under another name: name.damaged."""
    if path.exists():
        os.replace(path, path.with_name(f"{path.name}.damaged"))
