"""A made-up profile `thesis` whose runs agree with the published results, for tests only."""

from pathlib import Path
from typing import Any

import numpy as np
from fake_runs import fake_profile_json, fake_run

from effnet import thesis


def fake_thesis(
    reports: Path, changes: dict[str, dict[str, Any]] | None = None, hard_class: int = 183
) -> Path:
    """A made-up profile `thesis`: 68 runs on "the whole of Stanford Cars" that agree with it.

    Every run of the published grid gets the accuracy that is published for it, or one that fits
    the published means. `changes` overrides arguments of `fake_run` by run name; no run gets an
    image of `hard_class` right. Returns `reports`.
    """
    reports, changes = Path(reports), changes or {}
    settings = {"classes": 196, "images": (392, 588), "hard_class": hard_class}
    for name, group, accuracy, row in _thesis_grid():
        arguments = {
            "max_val_acc": accuracy,
            "max_train_acc": 0.99,
            "epochs": 24,
            "lr_drops": (),
            "dropout_rate": row.dropout_rate,
            "weight_decay": row.weight_decay,
            "lr_patience": int(row.lr_patience),
            "batch_size": int(row.batch_size),
            "seed": int(row.repeat) - 1,
            **settings,
            **PUBLISHED_CURVES.get(name, {}),
            **changes.get(name, {}),
        }
        fake_run(reports, name, group, **arguments)
    frozen = {"optimizer": "adam", "batch_size": 48, "weight_decay": 0.0}
    fake_run(reports, "frozen", "pretrained_frozen", 0.426, 0.608, 30, (), **settings, **frozen)
    for seed, (name, accuracy) in enumerate({"SAN-319": 0.914, "SAN-474": 0.907}.items()):
        arguments = {"max_val_acc": accuracy, "seed": seed, **changes.get(name, {})}
        fake_run(reports, name, "pretrained_single", weights="imagenet", **settings, **arguments)
    fake_profile_json(reports, "Stanford Cars", images=16_185, classes=196, complete=True)
    return reports


PUBLISHED_CURVES: dict[str, dict[str, Any]] = {
    "SAN-396": {"max_train_acc": 0.9985294342041016, "epochs": 41, "lr_drops": (28,)},
    "SAN-448": {"max_train_acc": 0.9938725233078004, "epochs": 116, "lr_drops": (81, 99, 114)},
    "SAN-437": {"max_train_acc": 0.9962009787559508, "epochs": 150, "lr_drops": (82, 119)},
    "SAN-459": {"epochs": 136, "lr_drops": (91, 114, 134)},
}


def _thesis_grid() -> list[tuple[str, str, float, Any]]:
    """Name, group, accuracy and grid row of the 65 runs; accuracies fit the published means."""
    runs = []
    for group, rows in thesis.grid().groupby("group", sort=False):
        heat = thesis.heatmaps(colour=True).query("group == @group")
        limit, equations, totals = np.ones(len(rows)), [], []
        for cell in heat.itertuples():
            here = (rows[cell.parameter] == cell.value).to_numpy()
            limit[here] = np.minimum(limit[here], cell.max_val_acc_max)
            equations.append(here.astype(float))
            totals.append(cell.max_val_acc_mean * here.sum())
        published = rows["published_max_val_acc"].to_numpy()
        known = ~np.isnan(published)
        guess = np.where(known, published, limit - 0.01)
        matrix = np.array(equations)
        missing = np.array(totals) - matrix @ guess
        guess[~known] += np.linalg.lstsq(matrix[:, ~known], missing, rcond=None)[0]
        guess = np.where(known, published, np.clip(guess, 0.05, limit))
        for index, (row, accuracy) in enumerate(zip(rows.itertuples(), guess, strict=True), 1):
            name = row.run if isinstance(row.run, str) else f"{group} #{index}"
            runs.append((name, group, float(accuracy), row))
    return runs
