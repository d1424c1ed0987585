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
from effnet.training.meter import EpochMeter
from effnet.training.sharing import Share, from_first, own, total
from effnet.trial import Trial

# Looking at a loss waits for the GPU, so only every so many steps do.
CHECK_EVERY = 50


class NonFiniteLoss(EffnetError):
    """The loss of a trial became NaN or infinite."""


class Classifier(pl.LightningModule):
    """Trains `model` as the trial says; inputs are uint8 batches (B, C, H, W) and labels (B,).

    All randomness of an epoch (order, augmentation, dropout, drop connect) starts from
    (seed, epoch), so an epoch can be trained again after a kill with the same numbers.

    `share` ((0, 1)) may be set: this is process r of w, whose batches are shares of whole ones.
    Losses, weights and metrics are those of the whole batches; batch norm sees the share.
    """

    def __init__(self, model: nn.Module, trial: Trial, augment: Augment) -> None:
        super().__init__()
        self.model = model
        self.trial = trial
        self.augment = augment
        self.loss = LabelSmoothingCrossEntropy(trial.label_smoothing)
        self.random = torch.Generator()
        self.share: Share = (0, 1)
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
            seeds, (rank, _) = (self.trial.seed, self.current_epoch), self.share
            words = np.random.SeedSequence(seeds).generate_state(2)
            self.random.manual_seed(int(words[1]))  # for the whole batch, alike in all processes
            if rank:  # other images are dropped out otherwise
                words = np.random.SeedSequence((*seeds, rank)).generate_state(1)
            torch.manual_seed(int(words[0]))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor | None:
        (images, labels), (rank, world) = batch, self.share
        self.whole = self._whole("train_dataloader", labels, batch_idx)
        # Without an image of its own this process has all of them: they count nothing.
        self.own = own(self.whole, self.share)
        drawn: tuple[Tensor, ...] = ()
        if self.trial.augment:
            steps = self.augment.draw(images, self.random, self.whole)
            drawn = (steps[rank::world] if self.own else steps,)
        loss = self._train_step(images, labels, *drawn)
        self.train_meter.count(self.whole)
        part = self.own / self.whole
        if batch_idx % CHECK_EVERY == 0:  # of the whole batch, so that all processes raise
            loss_of_all = total(loss.detach() * part, self.share)
            self._check_finite(loss_of_all.item(), f"in step {batch_idx}")
        if not self.automatic_optimization:
            return None
        # The gradient's mean over the processes is then that of the whole batch's mean loss.
        return loss * (part * world) if world > 1 else loss

    def _whole(self, loader: str, labels: Tensor, batch_idx: int) -> int:
        """Images of the batch that the processes share."""
        if self.share[1] == 1:
            return len(labels)
        return getattr(self.trainer, loader).sampler.whole(batch_idx)

    def _loss(self, images: Tensor, labels: Tensor, steps: Tensor | None = None) -> Tensor:
        """Mean loss () of a training batch, warped by `steps` (B, 6)."""
        if steps is None:
            inputs = self.augment.normalise(images)
        else:
            inputs = self.augment.apply_steps(images, steps)
        logits = self._network(labels)(inputs)
        loss = self.loss(logits, labels)
        if self.own:
            self.train_meter.add(loss.detach(), logits.detach(), labels, self.whole)
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
        # Batch norm's statistics are of each process's own images; process 0's are kept.
        from_first(self.model.buffers(), self.share)
        self._evaluate = self.evaluator()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Several batches may come as one: each of `trial.batch_size` counts for itself."""
        (images, labels), size = batch, self.trial.batch_size
        whole = self._whole("val_dataloaders", labels, batch_idx)
        self.wholes = [min(size, whole - start) for start in range(0, whole, size)]
        if len(labels):
            self._val_step(images, labels)
        for images_of_all in self.wholes:
            self.val_meter.count(images_of_all)

    def _val_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        network = self._network(labels) if self.trial.compile else self._evaluate
        logits, size = network(self.augment.normalise(images)), self.trial.batch_size
        size //= self.share[1]  # batches of all processes divide evenly, but for the last
        parts = zip(logits.split(size), labels.split(size), self.wholes, strict=False)
        for part, truth, whole in parts:  # of a last, small one this process may have nothing
            loss = self.loss(part, truth)
            self.val_meter.add(loss, part, truth, whole)
        return loss

    def _network(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """The model; where it is compiled, an epoch's short last batch takes it as it is.

        Compiling for a second batch size takes longer than it ever saves.
        """
        full = len(labels) * self.share[1] == self.trial.batch_size
        return self.model if full else self.model.forward

    def on_validation_epoch_end(self) -> None:
        """End of an epoch: validation follows the last training batch."""
        train = self.train_meter.row("train", self.share, self.device)
        val = self.val_meter.row("val", self.share, self.device)
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
