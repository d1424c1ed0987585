"""One plain line per epoch."""

import pytorch_lightning as pl

from effnet.training.tracking import EpochLogger


class EpochLines(pl.Callback):
    """One plain line per epoch: what a log, a notebook and a terminal can all show."""

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch:
            print(f"{self.name}: resuming after epoch {trainer.current_epoch - 1}", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(trainer.logger, EpochLogger)
        row = trainer.logger.rows[-1]
        print(
            f"{self.name}  epoch {row['epoch'] + 1:3d}/{self.epochs}"
            f"  loss {row['train_loss']:.3f} train {row['val_loss']:.3f} val"
            f"  acc {row['train_acc']:.3f} train {row['val_acc']:.3f} val"
            f"  lr {row['lr']:.0e}  {row['seconds']:.1f} s",
            flush=True,
        )
