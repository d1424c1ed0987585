"""What is shown while a run trains: a plain line per epoch, and within it a bar that moves."""

import os
import sys
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from effnet.training.tracking import EpochLogger

RECENT = 3  # epochs that tell how long the next ones take


class EpochLines(pl.Callback):
    """One plain line per epoch, with the time that is left: for a log, a notebook and a terminal.

    In a terminal and in JupyterLab a bar moves within the epoch and is gone at its end.
    """

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs
        self.bar: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch:
            done = f"{trainer.current_epoch}/{self.epochs}"  # counted as in the lines below
            print(f"{self.name}: resuming after epoch {done}", flush=True)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if watched():
            what = f"{self.name}  epoch {trainer.current_epoch + 1:3d}/{self.epochs}"
            total = int(trainer.num_training_batches)
            self.bar = tqdm(total=total, desc=what, leave=False, file=sys.stdout, mininterval=0.5)

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        if self.bar is not None:
            self.bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()
        assert isinstance(trainer.logger, EpochLogger)
        rows = trainer.logger.rows
        row, seconds = rows[-1], [row["seconds"] for row in rows[-RECENT:]]
        rest = int(self.epochs - row["epoch"] - 1)
        left = timedelta(seconds=round(sum(seconds) / len(seconds) * rest))
        print(
            f"{self.name}  epoch {row['epoch'] + 1:3d}/{self.epochs}"
            f"  loss {row['train_loss']:.3f} train {row['val_loss']:.3f} val"
            f"  acc {row['train_acc']:.3f} train {row['val_acc']:.3f} val"
            f"  lr {row['lr']:.0e}  {row['seconds']:.1f} s"
            + (f", at most {left} left" if rest else ""),
            flush=True,
        )

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: Any) -> None:
        if self.bar is not None:
            self.bar.refresh()  # whole: of one that Ctrl-C cut short a rest would stay
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def watched() -> bool:
    """Whether somebody looks at what is printed: a terminal, or a kernel of JupyterLab.

    papermill, a pipe and the grid's processes, which share one terminal, get plain lines.
    """
    if os.environ.get("TQDM_DISABLE"):
        return False
    return sys.stdout.isatty() or "JPY_SESSION_NAME" in os.environ
