"""How fast a trial will train here, from a few steps of its network, before a long grid begins."""

import time
from pathlib import Path

import torch
import torch.nn.functional as F

from effnet.train import make_model
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
        noise = torch.randn(trial.batch_size, trial.in_channels, trial.side, trial.side)
        if trial.channels_last:
            model = model.to(memory_format=torch.channels_last)
            noise = noise.contiguous(memory_format=torch.channels_last)
        noise = noise.to(device)
        labels = torch.zeros(trial.batch_size, dtype=torch.long, device=device)
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
