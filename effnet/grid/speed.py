"""How fast trials train here: from a few steps before a long grid begins, then from its runs."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from effnet.grid.profiles import Job, Profile
from effnet.runs import runs_below
from effnet.train import make_model
from effnet.training import identity
from effnet.training.tracking import EpochLogger
from effnet.training.trainer import threads
from effnet.trial import Trial

WARM_UP, STEPS = 2, 4
# Validation is a forward pass, a third of a training step.
FORWARD = 1 / 3


def images_per_second(
    trial: Trial, classes: int, parts: dict[str, int], weights: Path | None
) -> float:
    """Training images a second, validation's time included, as a run's summary counts them.

    Args:
        trial: whose network, size and batch are tried, on noise; nothing of it is kept.
        classes: outputs of the network.
        parts: images of an epoch, "train" and "val".
        weights: the file of its pretrained weights.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with threads(trial):
        model = make_model(trial, classes, weights).to(device).train()
        share = trial.batch_size // trial.processes  # one device tries its share, the others too
        noise = torch.randn(share, trial.in_channels, trial.side, trial.side)
        if trial.channels_last:
            model = model.to(memory_format=torch.channels_last)
            noise = noise.contiguous(memory_format=torch.channels_last)
        noise = noise.to(device)
        labels = torch.zeros(share, dtype=torch.long, device=device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
        half = trial.precision == "bf16-mixed"
        seconds = []
        for _ in range(WARM_UP + STEPS):
            start = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                loss = F.cross_entropy(model(noise), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.item()  # waits for the device
            seconds.append(time.perf_counter() - start)
    step = sorted(seconds[WARM_UP:])[STEPS // 2]
    return trial.batch_size / step / (1 + FORWARD * parts["val"] / parts["train"])


class FirstEpoch(pl.Callback):
    """Tells the grid how long the first epoch took, as soon as it is over."""

    def __init__(self, told: Any) -> None:
        self.told = told

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(trainer.logger, EpochLogger)
        if len(trainer.logger.rows) == 1:
            self.told(trainer.logger.rows[0]["seconds"])


def size_of(job: Job) -> tuple[str, int]:
    return job.trial.model_name, job.trial.side


def measured_speed(profile: Profile) -> dict[tuple[str, int], float]:
    """Training images per second (validation's time included) by model and resolution."""
    runs = runs_below(profile.reports, states=("finished",))
    if runs.empty:
        return {}
    runs = runs[runs["device"] == identity.environment()["device"]]
    return runs.groupby(["model_name", "image_size"])["images_per_second"].median().to_dict()
