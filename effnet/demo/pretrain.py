"""The demo's stand-in for ImageNet weights: pretrained by the kit on drawn cars of other classes.

They take the same way as the published ones: saved in their format, loaded by their loader.
"""

from pathlib import Path
from typing import Any

from effnet.data import CarsDataModule
from effnet.demo.folder import DRAWN, make_pretext
from effnet.errors import EffnetError
from effnet.files import locked
from effnet.paths import DATA
from effnet.train import data_module, identify, make_model, run
from effnet.training.checkpoints import best_weights
from effnet.training.status import finished
from effnet.trial import Trial
from effnet.weights.formats import read_tensors
from effnet.weights.load import save_weights

# Size of the demo -> where its pretext is drawn, and for how many epochs it is trained on.
PRETEXT = {"demo": (DATA / "demo_pretext", 12), "smoke": (DATA / "demo_pretext_smoke", 2)}


# What the checkpoint has of the trial that begins with it.
SHARED = (
    "model_name",
    "width_coefficient",
    "depth_coefficient",
    "image_size",
    "normalization",
    "batch_norm_momentum",
)


def same_checkpoint(trial: Trial) -> tuple[Any, ...]:
    """Equal for trials that begin with the same checkpoint of the demo."""
    return (DRAWN.get(trial.path(), "demo"), *(getattr(trial, name) for name in SHARED))


def pretext_trial(trial: Trial) -> Trial:
    """How the checkpoint for `trial` is trained: on the pretext, with the trial's architecture."""
    size = DRAWN.get(trial.path(), "demo")
    folder, epochs = PRETEXT[size]
    return Trial(
        recipe="thesis",
        data_dir=str(make_pretext(folder, size=size)),
        **{name: getattr(trial, name) for name in SHARED},
        # As the published checkpoints were trained; None is another library's network.
        padding=trial.padding and "same",
        batch_size=16,
        epochs=epochs,
        lr_patience=5,
        early_stopping_patience=epochs,
    )


def _is_sound(path: Path) -> bool:
    try:
        read_tensors(path)
    except EffnetError:
        return False
    return True


def made_checkpoint(trial: Trial) -> Path | None:
    """Path of the demo checkpoint that fits `trial`; None where it is missing or damaged."""
    if not any((DATA / "weights").glob(f"demo-{trial.model_name}-*.pth")):
        return None  # without drawing what it would be trained on
    path = _place(pretext_trial(trial))[-1]
    return path if _is_sound(path) else None


def demo_checkpoint(trial: Trial, wait: bool = True) -> Path:
    """Path of the demo checkpoint that fits `trial`; made first where it is missing or damaged.

    Raises filelock's Timeout where another process makes it and `wait` is False.
    """
    if path := made_checkpoint(trial):
        return path
    (DATA / "weights").mkdir(parents=True, exist_ok=True)
    with locked(DATA / "weights" / ".demo.lock", "the demo's checkpoint is trained", wait):
        pretext = pretext_trial(trial)
        data, folder, path = _place(pretext)
        if _is_sound(path):  # made by another process meanwhile
            return path
        if not finished(folder):
            print(
                "first, and once: the demo's checkpoint is trained on other drawn cars", flush=True
            )
        folder = run(pretext, folder.parent, name="demo pretraining", data=data)
        model = make_model(pretext, data.num_classes, checkpoint=None)
        model.load_state_dict(best_weights(folder))
        save_weights(model, path)
        return path


def _place(pretext: Trial) -> tuple[CarsDataModule, Path, Path]:
    """The data that a checkpoint is trained on, the folder of its run, and its file."""
    data, weights = data_module(pretext), DATA / "weights"
    data.setup()
    run_id = identify(pretext, data, None)
    return data, weights / "runs" / run_id, weights / f"demo-{pretext.model_name}-{run_id}.pth"
