"""Lightning's trainer for a trial, and what is around it: processes, memory, threads, signals."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from effnet.data import CarsDataModule
from effnet.fast.memory import keep_freed_memory
from effnet.training import artifacts
from effnet.training.checkpoints import AtomicCheckpointIO, RunCheckpoint
from effnet.training.module import Classifier
from effnet.training.processes import Team
from effnet.training.sharing import Share
from effnet.trial import Trial

EVALUATED_PIXELS = 128 * 64 * 64


class Ddp(DDPStrategy):
    """Lightning's, of processes that `Team` has started; it refuses notebooks for its own start."""

    def _configure_launcher(self) -> None:
        pass

    def _setup_model(self, model: Any) -> Any:
        wrapped = super()._setup_model(model)
        # Before every validation is enough (`Classifier`): no step in training reads them.
        wrapped.broadcast_buffers = False
        return wrapped


class Place(LightningEnvironment):
    """Which of a run's processes this one is."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    def local_rank(self) -> int:
        return self.team.local

    def node_rank(self) -> int:
        return self.team.node


class Sigterm(pl.Callback):
    """SIGTERM ends the caller's own process as Ctrl-C does, and with it those that it started.

    Lightning's answer is a broadcast, in the middle of whatever the process is doing.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            started = trainer.local_rank > 0
            answer = signal.SIG_IGN if started else signal.default_int_handler
            signal.signal(signal.SIGTERM, answer)


def make_trainer(
    trial: Trial, folder: Path, logger: Logger, callbacks: list[pl.Callback], team: Team
) -> pl.Trainer:
    """Lightning's trainer with the thesis's early stopping, in one of the team's processes."""
    several: dict[str, Any] = {}
    plugins: list[Any] = [AtomicCheckpointIO()]
    if team.world > 1:
        unused = trial.strategy == "ddp_find_unused_parameters_true"
        several = {
            "strategy": Ddp(find_unused_parameters=unused),
            "num_nodes": trial.num_nodes,
            "sync_batchnorm": trial.sync_batchnorm,
        }
        plugins.append(Place(team))
        callbacks = [Sigterm(), *callbacks]
    # check_finite would end the run as if it were done; Classifier raises instead.
    stop = pl.callbacks.EarlyStopping(
        "val_loss",
        min_delta=trial.early_stopping_min_delta,
        patience=trial.early_stopping_patience,
        check_finite=False,
    )
    with quiet_lightning():
        return pl.Trainer(
            max_epochs=trial.epochs,
            logger=logger,
            callbacks=[stop, *callbacks],
            plugins=plugins,
            precision=trial.precision,
            accelerator="auto" if team.world == 1 or team.cuda else "cpu",
            devices=trial.devices,
            use_distributed_sampler=False,
            inference_mode=False,  # what validation leaves goes on into CUDA graphs
            num_sanity_val_steps=0,
            enable_progress_bar=False,  # EpochLines has its own, in notebooks too
            enable_model_summary=False,
            default_root_dir=folder,
            **several,
        )


def fit(
    team: Team,
    data: CarsDataModule,
    classifier: Classifier,
    saver: RunCheckpoint,
    state: dict[str, Any] | None,
    callbacks: Sequence[pl.Callback],
) -> None:
    """Fit from the last whole epoch on and write predictions; in every process of the run."""
    trial, folder, logger = team.trial, team.folder, saver.logger
    trainer = make_trainer(trial, folder, logger, [*callbacks, saver], team)
    device = trainer.strategy.root_device
    classifier.share = team.share
    with on_device(trial, data, device, team.share):
        if state and saver.ended:  # killed between the last epoch and the predictions
            classifier.on_load_checkpoint(state)
            classifier.load_state_dict(state["state_dict"])
        else:
            last = folder / "last.ckpt" if state else None
            with quiet_lightning(), signals_kept():
                trainer.fit(classifier, data, ckpt_path=last)
        if trainer.interrupted:
            raise KeyboardInterrupt
        classifier.to(device)  # Lightning leaves it on the CPU
        artifacts.write(folder, classifier, data, saver.best, logger.rows)


@contextmanager
def on_device(
    trial: Trial, data: CarsDataModule, device: torch.device, share: Share
) -> Iterator[None]:
    """Ready the machine for a trial: memory that is kept, pixels where the model is."""
    keep_freed_memory()
    data.share = share
    if device.type == "cpu" and not (trial.compile or trial.cuda_graphs):
        data.together = together(trial.batch_size // share[1], trial.side)
    # The thesis's float32 was float32; torch would let convolutions round their inputs to TF32.
    torch.backends.cudnn.allow_tf32 = trial.precision != "32-true"
    host = data.dataset
    if trial.resident and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if data.nbytes <= free / 2:
            data.resident(device)
        else:
            print(f"the pixels stay on the host: {data.nbytes:,} bytes, {free:,} free on {device}")
    try:
        yield
    finally:
        data.dataset, data.together, data.share = host, 1, (0, 1)


def together(batch_size: int, image_size: int) -> int:
    """How many validation batches go through a CPU's network at once.

    With small images a batch costs little more than calling its operators.
    """
    return max(1, EVALUATED_PIXELS // (batch_size * image_size**2))


@contextmanager
def threads(trial: Trial) -> Iterator[None]:
    """Compute with the trial's number of threads, on a machine of any size.

    Sums that are split over other threads round otherwise: the run would end elsewhere.
    """
    own = torch.get_num_threads()
    torch.set_num_threads(trial.threads)
    try:
        yield
    finally:
        torch.set_num_threads(own)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Stay in control after Ctrl-C or SIGTERM.

    Lightning answers the one by ignoring every later Ctrl-C and leaving the interpreter, the other
    by leaving it with exit code 0, which a caller takes for success. `trainer.interrupted` tells.
    """
    main = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        pass
    finally:
        if main is not None and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, main)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's tips and its advice on worker processes, which the kit does not need."""
    loggers = [logging.getLogger(n) for n in ("pytorch_lightning", "lightning_fabric")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="pytorch_lightning")
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning_fabric")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message="Grad strides do not match")  # of 1x1 kernels
        try:
            yield
        finally:
            for log, level in zip(loggers, levels, strict=True):
                log.setLevel(level)
