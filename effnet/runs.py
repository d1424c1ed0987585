"""What training left behind: every run as a row of one DataFrame."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from effnet.errors import EffnetError

RunLike: TypeAlias = pd.Series | Path | str


def load_runs(reports: Path | str, states: tuple[str, ...] | None = None) -> pd.DataFrame:
    """All runs below `reports`/runs, a row each, in order of their creation.

    Columns: trial_id, name, group, state, path (the folder), every field of the trial,
    max_val_acc and max_train_acc (per sample) and the same with _batch_mean (the thesis's
    definition: maximum over epochs of the unweighted mean of batch accuracies), best_epoch (of
    the lowest watched loss), test_acc (of the official test split, looked at once at the end; only
    with held-out validation), last_epoch (its index), lr_drops ("81;99"), seconds, device,
    data_hash, code_hash, created.

    Args:
        reports: a profile's folder of reports.
        states: keep these of "running", "interrupted", "failed", "finished"; None keeps all.
    """
    rows = [_row(path.parent) for path in Path(reports).glob("runs/*/trial.json")]
    runs = pd.DataFrame([row for row in rows if states is None or row["state"] in states])
    if runs.empty:
        return pd.DataFrame(columns=["trial_id", "name", "group", "state", "path", "created"])
    return runs.sort_values(["created", "trial_id"], ignore_index=True)


def grid_runs(reports: Path | str) -> pd.DataFrame:
    """The finished runs of a profile's own grid (`reports`/grid.json), in its order.

    Runs of overridden parameters or of earlier code lie beside them and are not among these.
    Empty before the grid was trained.
    """
    grid = Path(reports) / "grid.json"
    entries = json.loads(grid.read_text(encoding="utf-8")) if grid.exists() else []
    names = {entry["trial_id"]: entry["name"] for entry in entries}
    order = {trial_id: index for index, trial_id in enumerate(names)}
    runs = load_runs(reports, states=("finished",))
    runs = runs[runs["trial_id"].isin(order)]
    runs = runs.assign(name=runs["trial_id"].map(names))
    return runs.sort_values("trial_id", key=lambda ids: ids.map(order), ignore_index=True)


def _row(folder: Path) -> dict[str, Any]:
    record = _json(folder / "trial.json")
    status = _json(folder / "status.json")
    summary = _json(folder / "summary.json")
    row = {
        "trial_id": record["trial_id"],
        "name": record["name"],
        "group": record["group"],
        "state": status.get("state", "running"),
        "path": str(folder),
        **record["trial"],
        "seconds": status.get("seconds"),
        "device": record["environment"].get("device"),
        "data_hash": record["data_hash"],
        "code_hash": record["code_hash"],
        "created": record["created"],
        "best_epoch": summary.get("best_epoch"),
        "trainable_parameters": summary.get("trainable_parameters"),
        "images_per_second": summary.get("images_per_second"),
    }
    if not (folder / "metrics.csv").exists():
        return row
    epochs = metrics(folder)
    for split in ("val", "train"):
        for suffix in ("", "_batch_mean"):
            row[f"max_{split}_acc{suffix}"] = epochs[f"{split}_acc{suffix}"].max()
    row["last_epoch"] = int(epochs["epoch"].max())
    drops = epochs["epoch"][epochs["lr"].diff() < 0]
    row["lr_drops"] = ";".join(map(str, drops))
    row["final"] = summary.get("final")
    # Only a run that validated on a held-out part has looked at the test split apart from that.
    row["test_acc"] = (row["final"] or {}).get("test", {}).get("top1")
    return row


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def run_folder(run: RunLike) -> Path:
    """The folder of a run, given as a row of `load_runs` or as a path."""
    return Path(run["path"] if isinstance(run, pd.Series) else run)


def metrics(run: RunLike) -> pd.DataFrame:
    """metrics.csv of a run: a row per epoch."""
    return pd.read_csv(run_folder(run) / "metrics.csv")


def predictions(run: RunLike, split: str = "val") -> pd.DataFrame:
    """A run's predictions on "train", "val" or "test", with a column `correct`."""
    path = run_folder(run) / f"predictions_{split}.csv"
    if not path.exists():
        raise EffnetError(f"{path} is missing: the run is not finished, or has no {split} split.")
    table = pd.read_csv(path)
    return table.assign(correct=table["class_id"] == table["predicted_class_id"])


def best_run(runs: pd.DataFrame, group: str | None = None) -> pd.Series:
    """The run with the highest validation accuracy (the thesis's definition) of a group."""
    chosen = runs if group is None else runs[runs["group"] == group]
    if chosen.empty:
        raise EffnetError(f"no finished run of the group {group!r}: `make reproduce` trains them.")
    return chosen.loc[chosen["max_val_acc_batch_mean"].idxmax()]


def prediction_matrix(runs: pd.DataFrame, split: str = "val") -> pd.DataFrame:
    """Which run gets which image right: index path, a boolean column per run's name.

    Columns fall with the best validation accuracy, as in the thesis's figure 34; rows are in
    annotation order. Raises EffnetError where the runs did not see the same images.
    """
    ordered = runs.sort_values("max_val_acc_batch_mean", ascending=False)
    first = None
    columns: dict[str, np.ndarray] = {}
    for _, run in ordered.iterrows():
        table = predictions(run, split)
        first = table["path"] if first is None else first
        if not np.array_equal(first, table["path"]):
            raise EffnetError(
                f"run {run['name']} was judged on other {split} images than {next(iter(columns))}:"
                " their predictions do not fit into one matrix. Choose runs of one data set."
            )
        columns[run["name"]] = table["correct"].to_numpy()
    return pd.DataFrame(columns, index=pd.Index(first, name="path"))
