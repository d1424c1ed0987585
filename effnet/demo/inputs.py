"""What a trial reads, made first where the kit can make it: the demo's images and checkpoint.

Training knows nothing of the demo. Who trains takes a trial's inputs from here and hands them in.
"""

from functools import wraps
from pathlib import Path
from typing import Any

from effnet import train
from effnet.data import CarsDataModule
from effnet.demo.folder import DRAWN, make_demo
from effnet.demo.pretrain import demo_checkpoint, made_checkpoint
from effnet.trial import Trial


def data_module(trial: Trial) -> CarsDataModule:
    """`effnet.train.data_module`; the demo's images are drawn where they are missing."""
    if trial.path() in DRAWN:
        make_demo(trial.path(), size=DRAWN[trial.path()])
    return train.data_module(trial)


def checkpoint_path(trial: Trial, wait: bool = True) -> Path | None:
    """`effnet.train.checkpoint_path`; the demo's checkpoint is trained where it is missing.

    Raises filelock's Timeout where another process trains it and `wait` is False.
    """
    return demo_checkpoint(trial, wait) if trial.weights == "demo" else train.checkpoint_path(trial)


def ready_checkpoint(trial: Trial) -> tuple[bool, Path | None]:
    """Whether `checkpoint_path` has nothing to train first, and its answer where that is so."""
    if trial.weights != "demo":
        return True, train.checkpoint_path(trial)
    path = made_checkpoint(trial)
    return path is not None, path


@wraps(train.run)
def run(trial: Trial, *arguments: Any, **options: Any) -> Path:
    for name, make in (("data", data_module), ("checkpoint", checkpoint_path)):
        if options.get(name) is None:
            options[name] = make(trial)
    return train.run(trial, *arguments, **options)
