"""Made-up run folders in the kit's format, for tests only: no number in them was ever trained.

Readers of runs (figures, claims, the page) are tested on these folders, so that their tests need
seconds instead of trainings. Everything is drawn from a seed; predictions, summary and metrics of
one run agree with each other.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from effnet.files import read_sealed, write_sealed
from effnet.training.status import sealed

DATA_HASH = "da" * 32

GROUPS = {
    "pretrained": {"weights": "demo", "in_channels": 3, "initial_lr": 1e-3},
    "scratch_rgb": {"weights": None, "in_channels": 3, "initial_lr": 1e-3},
    "scratch_gray": {"weights": None, "in_channels": 1, "initial_lr": 1e-3},
    "pretrained_frozen": {
        "weights": "demo",
        "in_channels": 3,
        "initial_lr": 1e-3,
        "freeze_pretrained_weights": True,
    },
}

TRIAL: dict[str, Any] = {
    "recipe": "thesis",
    "data_dir": "data/fake",
    "n_classes": None,
    "max_per_class": None,
    "image_size": 224,
    "in_channels": 3,
    "crop": "none",
    "crop_margin": 0.0,
    "on_bad_image": "stop",
    "validation": "test",
    "holdout": 0.1,
    "augment": True,
    "model_name": "b0",
    "width_coefficient": None,
    "depth_coefficient": None,
    "weights": None,
    "freeze_pretrained_weights": False,
    "gray_stem": "refuse",
    "dropout_rate": 0.2,
    "drop_connect_rate": 0.2,
    "padding": "symmetric",
    "batch_norm_momentum": 0.01,
    "normalization": "thesis",
    "epochs": 150,
    "batch_size": 32,
    "optimizer": "adamw",
    "initial_lr": 1e-3,
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "lr_patience": 3,
    "lr_factor": 0.1,
    "lr_threshold": 1e-4,
    "early_stopping_patience": 10,
    "early_stopping_min_delta": 1e-3,
    "epoch_mean": "batches",
    "predict_with": "last",
    "seed": 0,
    "precision": "32-true",
    "channels_last": True,
    "fused": True,
    "resident": True,
    "compile": False,
    "cuda_graphs": False,
}


def fake_run(
    reports: Path,
    name: str,
    group: str = "pretrained",
    max_val_acc: float = 0.8,
    max_train_acc: float = 0.95,
    epochs: int = 12,
    lr_drops: tuple[int, ...] = (7,),
    classes: int = 8,
    images: tuple[int, int] = (64, 48),
    state: str = "finished",
    val_acc: list[float] | None = None,
    hard_class: int | None = None,
    data_hash: str = DATA_HASH,
    **trial: Any,
) -> Path:
    """Write `reports/runs/<id>/` with every file of a run and return the folder.

    The two maxima are met exactly in the `*_batch_mean` columns (the thesis's definition); per
    sample they are rounded to whole images. `images` counts (train, val). `val_acc` gives the
    validation curve instead of a drawn one; images of `hard_class` are never right. `trial`
    overrides any field of the trial.
    """
    fields = {**TRIAL, **GROUPS.get(group, {}), **trial}
    trial_id = hashlib.sha256(json.dumps([name, fields], sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(reports) / "runs" / trial_id
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(int(trial_id[:8], 16))

    metrics = _metrics(rng, fields, max_val_acc, max_train_acc, epochs, lr_drops, images, val_acc)
    metrics.to_csv(folder / "metrics.csv", index=False)
    tops = {}
    for split, count in zip(("train", "val"), images, strict=True):
        accuracy = metrics[f"{split}_acc"].iloc[-1]
        table = _predictions(rng, split, count, classes, accuracy, hard_class)
        table.to_csv(folder / f"predictions_{split}.csv", index=False)
        top1 = float((table["class_id"] == table["predicted_class_id"]).mean())
        tops[split] = {f"top{k}": min(1.0, top1 + 0.03 * (k - 1)) for k in (1, 3, 5, 10)}

    best = int(metrics["val_loss_batch_mean"].idxmin())
    seconds = float(metrics["seconds"].sum())
    val_loss = float(metrics["val_loss"].iloc[best])
    write_sealed(
        folder / "trial.json",
        {
            "trial_id": trial_id,
            "name": name,
            "group": group,
            "trial": fields,
            "data_hash": data_hash,
            "code_hash": "c0" * 32,
            "environment": {
                "python": "3.11.2",
                "torch": "2.15.0",
                "device": "cpu",
                "cores": 2,
                "commit": "0" * 40,
            },
            "created": f"2026-01-02T03:{len(name) % 60:02d}:00+00:00",
        },
    )
    write_sealed(
        folder / "summary.json",
        {
            "parameters": 4_258_624 if fields["in_channels"] == 3 else 4_258_048,
            "trainable_parameters": 4_258_624 if fields["in_channels"] == 3 else 4_258_048,
            "best_epoch": best,
            "epochs_done": epochs,
            "stopped_early": epochs < fields["epochs"],
            "training_seconds": seconds,
            "best_val_loss": val_loss,
            "images_per_second": images[0] * epochs / seconds,
            "final": tops,
            "skipped_images": [],
        },
    )
    torch.save({"state_dict": {}, "epoch": best, "val_loss": val_loss}, folder / "best.ckpt")
    write_sealed(
        folder / "status.json",
        {
            "state": state,
            "message": "",
            "epochs_done": epochs,
            "epochs": fields["epochs"],
            "seconds": seconds,
            "updated": "2026-01-02T04:00:00+00:00",
            "outputs": sealed(folder),
        },
    )
    return folder


def rewrite(path: Path, **values: Any) -> None:
    """Change fields of a run's trial.json or status.json, as if the kit had written them so."""
    write_sealed(path, read_sealed(path) | values)
    if path.name != "status.json":
        reseal(path.parent)


def reseal(folder: Path) -> None:
    """Make a run whole again whose files a test has changed: as if it had left them so."""
    status = read_sealed(folder / "status.json")
    write_sealed(folder / "status.json", status | {"outputs": sealed(folder)})


def fake_profile(
    reports: Path,
    dropout_rates: tuple[float, ...] = (0.0, 0.2),
    weight_decays: tuple[float, ...] = (0.01, 0.1),
    groups: tuple[str, ...] = ("pretrained", "scratch_rgb", "scratch_gray"),
    frozen: bool = True,
    data: str = "demo",
    **options: Any,
) -> Path:
    """A profile folder with a small grid of runs per group, one frozen run and profile.json.

    `options` go to `fake_run`. Returns `reports`.
    """
    reports = Path(reports)
    for position, group in enumerate(groups):
        for dropout_rate in dropout_rates:
            for weight_decay in weight_decays:
                best = 0.85 - 0.1 * position - 0.1 * dropout_rate + 0.05 * weight_decay
                fake_run(
                    reports,
                    f"{group}-d{dropout_rate}-w{weight_decay}",
                    group,
                    max_val_acc=options.get("max_val_acc", best),
                    dropout_rate=dropout_rate,
                    weight_decay=weight_decay,
                    **{key: value for key, value in options.items() if key != "max_val_acc"},
                )
    if frozen:
        fake_run(reports, "frozen", "pretrained_frozen", 0.43, 0.61, optimizer="adam", **options)
    fake_profile_json(reports, data)
    return reports


def fake_profile_json(
    reports: Path, data: str = "demo", images: int = 112, classes: int = 8, complete: bool = False
) -> Path:
    """`reports/profile.json`, which says what data the profile's runs saw."""
    path = Path(reports) / "profile.json"
    write_sealed(
        path,
        {
            "profile": Path(reports).name,
            "data": {
                "name": data,
                "images": images,
                "classes": classes,
                "complete": complete,
                "data_hash": DATA_HASH,
            },
            "commit": "0" * 40,
            "machine": "2 cores, no GPU",
            "seconds": 321.0,
            "created": "2026-01-02T04:00:00+00:00",
        },
    )
    return path


def _metrics(
    rng: np.random.Generator,
    fields: dict[str, Any],
    max_val_acc: float,
    max_train_acc: float,
    epochs: int,
    lr_drops: tuple[int, ...],
    images: tuple[int, int],
    val_acc: list[float] | None,
) -> pd.DataFrame:
    epoch = np.arange(epochs)
    rise = 1 - np.exp(-(epoch + 1) / min(3.0, max(1.0, epochs / 4)))
    columns: dict[str, Any] = {
        "epoch": epoch,
        "lr": fields["initial_lr"]
        * fields["lr_factor"] ** np.sum([epoch >= drop for drop in lr_drops], axis=0, dtype=float)
        if lr_drops
        else np.full(epochs, fields["initial_lr"]),
    }
    means = {}
    for split, top, count in zip(
        ("train", "val"), (max_train_acc, max_val_acc), images, strict=True
    ):
        curve = rise * (1 + rng.normal(0, 0.01, epochs))
        curve = np.clip(curve / curve.max(), 0, 1) * top
        if split == "val" and val_acc is not None:
            curve = np.asarray(val_acc, dtype=float)
        means[split] = curve
        columns[f"{split}_loss"] = 0.7 + 4 * (1 - curve) * (1 + rng.normal(0, 0.003, epochs))
        columns[f"{split}_acc"] = np.round(curve * count) / count
    for split in ("train", "val"):
        columns[f"{split}_loss_batch_mean"] = columns[f"{split}_loss"] * 1.001
        columns[f"{split}_acc_batch_mean"] = means[split]
    for split in ("train", "val"):
        for k in (3, 5, 10):
            columns[f"{split}_top{k}"] = np.minimum(1.0, columns[f"{split}_acc"] + 0.03 * k)
    columns["seconds"] = np.full(epochs, 1.5)
    return pd.DataFrame(columns)


def _predictions(
    rng: np.random.Generator,
    split: str,
    count: int,
    classes: int,
    accuracy: float,
    hard_class: int | None,
) -> pd.DataFrame:
    class_id = np.sort(np.arange(count) % classes)
    # The same images are easy in every run: hard and never-solved images exist, as in real runs.
    ease = np.random.default_rng(0 if split == "val" else 1).normal(size=count)
    ease[class_id == hard_class] = -100
    order = np.argsort(-(ease + rng.normal(0, 0.4, count)))
    predicted = (class_id + rng.integers(1, classes, count)) % classes
    correct = order[: round(accuracy * count)]
    predicted[correct] = class_id[correct]
    return pd.DataFrame(
        {
            "path": [f"cars_{split}/{i:05d}.jpg" for i in range(1, count + 1)],
            "class_id": class_id,
            "predicted_class_id": predicted,
            "probability": np.round(rng.uniform(1 / classes, 1, count), 4),
        }
    )
