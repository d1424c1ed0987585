"""Lightning's trainer for a trial, and what is around it: memory, threads, signals."""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from effnet.data import CarsDataModule
from effnet.fast.memory import keep_freed_memory
from effnet.training.checkpoints import AtomicCheckpointIO
from effnet.trial import Trial

EVALUATED_PIXELS = 128 * 64 * 64


def make_trainer(
    trial: Trial, folder: Path, logger: Logger, callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Lightning's trainer with the thesis's early stopping."""
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
            plugins=[AtomicCheckpointIO()],
            precision=trial.precision,
            accelerator="auto",
            devices=1,
            use_distributed_sampler=False,
            inference_mode=False,  # what validation leaves goes on into CUDA graphs
            num_sanity_val_steps=0,
            enable_progress_bar=False,  # EpochLines has its own, in notebooks too
            enable_model_summary=False,
            default_root_dir=folder,
        )


@contextmanager
def on_device(trial: Trial, data: CarsDataModule, device: torch.device) -> Iterator[None]:
    """Ready the machine for a trial: memory that is kept, pixels where the model is."""
    keep_freed_memory()
    if device.type == "cpu" and not (trial.compile or trial.cuda_graphs):
        data.together = together(trial.batch_size, trial.side)
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
        data.dataset, data.together = host, 1


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
        try:
            yield
        finally:
            for log, level in zip(loggers, levels, strict=True):
                log.setLevel(level)
