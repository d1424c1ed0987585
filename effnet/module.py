"""The LightningModule: one step, one epoch row, the thesis's optimizer and scheduler."""

import math
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from effnet.augment import Augment
from effnet.errors import EffnetError
from effnet.loss import LabelSmoothingCrossEntropy
from effnet.trial import Trial

TOP_K = (1, 3, 5, 10)
# Looking at a loss waits for the GPU, so only every so many steps do.
CHECK_EVERY = 50


class NonFiniteLoss(EffnetError):
    """The loss of a trial became NaN or infinite."""


class EpochMeter:
    """Sums over the batches of an epoch, kept on the device until the epoch ends.

    Gives every mean in two forms: per sample, and as the thesis has it, the unweighted mean of
    the batch means (its last, short batch counts as much as a full one).
    """

    def __init__(self) -> None:
        self.sums: Tensor | None = None

    @torch.no_grad()
    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: mean loss (), logits (B, classes), labels (B,)."""
        n = len(labels)
        best = logits.topk(min(max(TOP_K), logits.shape[1]), dim=1).indices
        hits = (best == labels[:, None]).sum(0)
        correct = [hits[:k].sum() for k in TOP_K]
        values = [torch.tensor(1.0), torch.tensor(float(n)), loss, loss * n, correct[0] / n]
        # Metal has no float64; 2^24 images an epoch are still counted exactly in float32.
        dtype = torch.float32 if loss.device.type == "mps" else torch.float64
        row = torch.stack([v.to(loss.device, dtype) for v in (*values, *correct)])
        self.sums = row if self.sums is None else self.sums + row

    def row(self, split: str) -> dict[str, float]:
        """Means of the epoch so far; the sums start anew."""
        assert self.sums is not None, f"no batch of the {split} split was seen"
        batches, n, loss_means, loss_sum, acc_means, *correct = self.sums.tolist()
        self.sums = None
        row = {
            f"{split}_loss": loss_sum / n,
            f"{split}_acc": correct[0] / n,
            f"{split}_loss_batch_mean": loss_means / batches,
            f"{split}_acc_batch_mean": acc_means / batches,
        }
        return row | {f"{split}_top{k}": c / n for k, c in zip(TOP_K, correct, strict=True)}


class Classifier(pl.LightningModule):
    """Trains `model` as the trial says; inputs are uint8 batches (B, C, H, W) and labels (B,).

    All randomness of an epoch (order, augmentation, dropout, drop connect) starts from
    (seed, epoch), so an epoch can be trained again after a kill with the same numbers.
    """

    def __init__(self, model: nn.Module, trial: Trial, augment: Augment) -> None:
        super().__init__()
        self.model = model
        self.trial = trial
        self.augment = augment
        self.loss = LabelSmoothingCrossEntropy(trial.label_smoothing)
        self.random = torch.Generator()
        self.train_meter, self.val_meter = EpochMeter(), EpochMeter()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of uint8 images (B, C, H, W), without augmentation."""
        return self.model(self.augment(images, train=False))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trial = self.trial
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[trial.optimizer]
        # The thesis decays every parameter, batch norm and biases too. Adam has no decoupled
        # decay, and the frozen run that used it set none.
        decay = {"weight_decay": trial.weight_decay} if trial.optimizer == "adamw" else {}
        parameters = [p for p in self.parameters() if p.requires_grad]
        fused = self.device.type in ("cpu", "cuda")
        optimizer = kind(parameters, lr=trial.initial_lr, fused=fused, **decay)
        # Stepped by hand at the end of validation: Lightning would step it after the checkpoint
        # of the epoch is written, and a resumed run would miss that step.
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=trial.lr_factor,
            patience=trial.lr_patience,
            threshold=trial.lr_threshold,
        )
        return optimizer

    def on_train_epoch_start(self) -> None:
        self.epoch_start = time.perf_counter()
        self.learning_rate = self.trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:  # not in on_train_epoch_start: making the loader's iterator draws too
            words = np.random.SeedSequence((self.trial.seed, self.current_epoch)).generate_state(2)
            torch.manual_seed(int(words[0]))
            self.random.manual_seed(int(words[1]))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.model(self.augment(images, self.trial.augment, self.random))
        loss = self.loss(logits, labels)
        if batch_idx % CHECK_EVERY == 0:
            self._check_finite(loss.item(), f"in step {batch_idx}")
        self.train_meter.update(loss.detach(), logits.detach(), labels)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self.val_meter.update(self.loss(logits, labels), logits, labels)

    def on_validation_epoch_end(self) -> None:
        """End of an epoch: validation follows the last training batch."""
        train, val = self.train_meter.row("train"), self.val_meter.row("val")
        self._check_finite(train["train_loss"], "on the training split")
        watched = val["val_loss_batch_mean" if self.trial.epoch_mean == "batches" else "val_loss"]
        self._check_finite(watched, "on the validation split")
        row = {"epoch": self.current_epoch, "lr": self.learning_rate}
        for key, val_key in zip(train, val, strict=True):
            row |= {key: train[key], val_key: val[val_key]}
        row["seconds"] = round(time.perf_counter() - self.epoch_start, 3)
        for logger in self.trainer.loggers:
            logger.log_metrics(row, step=self.current_epoch)
        self.log("val_loss", watched, logger=False)
        self.scheduler.step(watched)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["plateau_scheduler"] = self.scheduler.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.scheduler_state = checkpoint["plateau_scheduler"]

    def on_train_start(self) -> None:
        if hasattr(self, "scheduler_state"):
            self.scheduler.load_state_dict(self.scheduler_state)

    def _check_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            lr = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise NonFiniteLoss(
                f"the loss became {loss} {where} in epoch {self.current_epoch} at learning rate "
                f"{lr:g}. Lower initial_lr, or raise batch_norm_momentum for short runs."
            )
