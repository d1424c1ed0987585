"""The LightningModule: one step, one epoch row, the thesis's optimizer and scheduler."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from effnet.augment import Augment
from effnet.errors import EffnetError
from effnet.fast.graphs import GraphedStep
from effnet.loss import LabelSmoothingCrossEntropy
from effnet.model import EfficientNet
from effnet.training.fold import folded
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
        self.batches = self.images = 0

    def count(self, images: int) -> None:
        """A batch of so many images was added."""
        self.batches += 1
        self.images += images

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: mean loss (), logits (B, classes), labels (B,). On the device alone."""
        n = len(labels)
        best = logits.topk(min(max(TOP_K), logits.shape[1]), dim=1).indices
        hits = (best == labels[:, None]).sum(0)
        correct = [hits[:k].sum() for k in TOP_K]
        # Metal has no float64; 2^24 images an epoch are still counted exactly in float32.
        dtype = torch.float32 if loss.device.type == "mps" else torch.float64
        row = torch.stack([v.to(dtype) for v in (loss, loss * n, correct[0] / n, *correct)])
        if self.sums is None:
            self.sums = torch.zeros_like(row)
        self.sums += row  # in place: a CUDA graph knows this tensor

    def row(self, split: str) -> dict[str, float]:
        """Means of the epoch so far; the sums start anew."""
        assert self.images and self.sums is not None, f"no batch of the {split} split was seen"
        loss_means, loss_sum, acc_means, *correct = self.sums.tolist()
        n, batches = self.images, self.batches
        self.sums.zero_()
        self.batches = self.images = 0
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
        self._train_step: Callable[..., Tensor] = self._loss
        self._val_step: Callable[..., Tensor] = self._val_loss
        # A graph holds the optimizer's step too, which Lightning would take by itself.
        self.automatic_optimization = not trial.cuda_graphs
        if trial.cuda_graphs:
            self._train_step = GraphedStep(self._optimize)
            self._val_step = GraphedStep(self._val_loss)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trial = self.trial
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[trial.optimizer]
        # The thesis decays every parameter, batch norm and biases too. Adam has no decoupled
        # decay, and the frozen run that used it set none.
        decay = {"weight_decay": trial.weight_decay} if trial.optimizer == "adamw" else {}
        parameters = [p for p in self.parameters() if p.requires_grad]
        fused = trial.fused and self.device.type in ("cpu", "cuda")
        lr: float | Tensor = trial.initial_lr
        capturable = trial.cuda_graphs and self.device.type == "cuda"
        if capturable:  # a graph reads the rate from a tensor; a number would be recorded for good
            lr = torch.tensor(lr, device=self.device)
        optimizer = kind(parameters, lr=lr, fused=fused, capturable=capturable, **decay)
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
        self.learning_rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:  # not in on_train_epoch_start: making the loader's iterator draws too
            words = np.random.SeedSequence((self.trial.seed, self.current_epoch)).generate_state(2)
            torch.manual_seed(int(words[0]))
            self.random.manual_seed(int(words[1]))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor | None:
        images, labels = batch
        drawn = (self.augment.draw(images, self.random),) if self.trial.augment else ()
        loss = self._train_step(images, labels, *drawn)
        self.train_meter.count(len(labels))
        if batch_idx % CHECK_EVERY == 0:
            self._check_finite(loss.item(), f"in step {batch_idx}")
        return loss if self.automatic_optimization else None

    def _loss(self, images: Tensor, labels: Tensor, steps: Tensor | None = None) -> Tensor:
        """Mean loss () of a training batch, warped by `steps` (B, 6)."""
        if steps is None:
            inputs = self.augment.normalise(images)
        else:
            inputs = self.augment.apply_steps(images, steps)
        logits = self._network(labels)(inputs)
        loss = self.loss(logits, labels)
        self.train_meter.add(loss.detach(), logits.detach(), labels)
        return loss

    def _optimize(self, images: Tensor, labels: Tensor, steps: Tensor | None = None) -> Tensor:
        """A whole step, without Lightning: loss, gradients, update."""
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        optimizer.zero_grad()
        loss = self._loss(images, labels, steps)
        with torch.autocast(self.device.type, enabled=False):
            loss.backward()
            optimizer.step()
        return loss.detach()

    def evaluator(self) -> Callable[[Tensor], Tensor]:
        """Normalised images (B, C, H, W) to logits, in evaluation mode, by the weights of now.

        On a CPU without batch norms (`fold.folded`): a fifth to two fifths faster. In bfloat16
        the folded weights would round otherwise; a compiler and a recording keep one network.
        """
        trial = self.trial
        plain = trial.precision == "32-true" and not (trial.compile or trial.cuda_graphs)
        if plain and self.device.type == "cpu" and isinstance(self.model, EfficientNet):
            return folded(self.model).forward
        # A method: the module, kept as an attribute, would enter the state a second time.
        return self.model.__call__

    def on_validation_epoch_start(self) -> None:
        self._evaluate = self.evaluator()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Several batches may come as one: each of `trial.batch_size` counts for itself."""
        images, labels = batch
        self._val_step(images, labels)
        for part in labels.split(self.trial.batch_size):
            self.val_meter.count(len(part))

    def _val_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        network = self._network(labels) if self.trial.compile else self._evaluate
        logits, size = network(self.augment.normalise(images)), self.trial.batch_size
        for part, truth in zip(logits.split(size), labels.split(size), strict=True):
            loss = self.loss(part, truth)
            self.val_meter.add(loss, part, truth)
        return loss

    def _network(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """The model; where it is compiled, an epoch's short last batch takes it as it is.

        Compiling for a second batch size takes longer than it ever saves.
        """
        return self.model if len(labels) == self.trial.batch_size else self.model.forward

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
        # Checkpoints of earlier versions hold the model twice where it was not `folded`.
        state = checkpoint["state_dict"]
        for name in [name for name in state if name.startswith("_evaluate.")]:
            del state[name]
        self.scheduler_state = checkpoint["plateau_scheduler"]

    def on_train_start(self) -> None:
        if hasattr(self, "scheduler_state"):
            self.scheduler.load_state_dict(self.scheduler_state)
        for group in self.trainer.optimizers[0].param_groups:
            if isinstance(group["lr"], Tensor):  # read from a checkpoint it is on the CPU
                group["lr"] = group["lr"].to(self.device)

    def _check_finite(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise NonFiniteLoss(
                f"the loss became {loss} {where} in epoch {self.current_epoch}. {self._advice()}"
            )

    def _advice(self) -> str:
        """What to do about a loss that is not finite."""
        if self.trainer.global_step:
            lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
            own = self.trial.batch_norm_momentum is not None  # an EfficientNet's
            more = ", or raise batch_norm_momentum for short runs" if own else ""
            return f"The learning rate was {lr:g}: lower initial_lr{more}."
        state = self.model.state_dict()
        bad = [name for name, tensor in state.items() if not tensor.isfinite().all()]
        if bad:
            return (
                f"{len(bad)} of the network's {len(state)} tensors were not finite from the start, "
                f"the first is {bad[0]}: give other weights."
            )
        return (
            "Nothing was learned yet and the weights are finite: look at the weights' fit to "
            f"normalization={self.trial.normalization!r} and at precision={self.trial.precision!r}."
        )
