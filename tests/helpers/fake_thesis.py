"""A made-up profile `thesis` whose runs agree with the published results, for tests only."""

from pathlib import Path
from typing import Any

from fake_runs import fake_profile_json, fake_run

from effnet import thesis


def fake_thesis(
    reports: Path, changes: dict[str, dict[str, Any]] | None = None, hard_class: int = 183
) -> Path:
    """A made-up profile `thesis`: 68 runs on "the whole of Stanford Cars" that agree with it.

    Every run of the published grid gets the accuracy that is published for it. `changes` overrides
    arguments of `fake_run` by run name; no run gets an image of `hard_class` right.
    Returns `reports`.
    """
    reports, changes = Path(reports), changes or {}
    settings = {"classes": 196, "images": (392, 588), "hard_class": hard_class}
    for row in thesis.grid().itertuples():
        arguments = {
            "max_val_acc": row.published_max_val_acc,
            "max_train_acc": row.published_max_train_acc,
            "epochs": 24,
            "lr_drops": (),
            "dropout_rate": row.dropout_rate,
            "weight_decay": row.weight_decay,
            "lr_patience": int(row.lr_patience),
            "batch_size": int(row.batch_size),
            "seed": int(row.repeat) - 1,
            **settings,
            **PUBLISHED_CURVES.get(row.run, {}),
            **changes.get(row.run, {}),
        }
        fake_run(reports, row.run, row.group, **arguments)
    frozen = {"optimizer": "adam", "batch_size": 48, "weight_decay": 0.0}
    fake_run(reports, "frozen", "pretrained_frozen", 0.426, 0.608, 30, (), **settings, **frozen)
    for seed, (name, accuracy) in enumerate({"SAN-319": 0.914, "SAN-474": 0.907}.items()):
        arguments = {"max_val_acc": accuracy, "seed": seed, **changes.get(name, {})}
        fake_run(reports, name, "pretrained_single", weights="imagenet", **settings, **arguments)
    fake_profile_json(reports, "Stanford Cars", images=16_185, classes=196, complete=True)
    return reports


PUBLISHED_CURVES: dict[str, dict[str, Any]] = {
    "SAN-396": {"epochs": 41, "lr_drops": (28,)},
    "SAN-448": {"epochs": 116, "lr_drops": (81, 99, 114)},
    "SAN-437": {"epochs": 150, "lr_drops": (82, 119)},
    "SAN-459": {"epochs": 136, "lr_drops": (91, 114, 134)},
}
