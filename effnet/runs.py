"""What training left behind: every run as a row of one DataFrame."""

import lzma
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from effnet.errors import EffnetError
from effnet.files import CannotWrite, Damaged, atomic_write, read_sealed
from effnet.paths import REPORTS, relative
from effnet.training.status import damage, read_status, require_whole
from effnet.trial import resolve

RunLike: TypeAlias = pd.Series | Path | str
PARTS = ("runs", "figures", "grid.json", "profile.json", "index.html")  # any makes a report
PACKED, PACKING = "predictions_*.csv", ".xz"  # as `effnet.report.evidence` leaves them
RECORDED = {
    "trial_id",
    "name",
    "group",
    "trial",
    "environment",
    "data_hash",
    "code_hash",
    "created",
}


def load_runs(reports: Path | str, states: tuple[str, ...] | None = None) -> pd.DataFrame:
    """All runs below `reports`/runs, a row each, in order of their creation.

    Columns: trial_id, name, group, state, message, path (the folder), every field of the trial,
    max_val_acc and max_train_acc (per sample) and the same with _batch_mean (the thesis's
    definition: maximum over epochs of the unweighted mean of batch accuracies), best_epoch (of
    the lowest watched loss), test_acc (of the official test split, looked at once at the end; only
    with held-out validation), last_epoch, lr_drops ("81;99"), seconds, device, data_hash,
    code_hash, created. Epochs count from 0: a run whose last epoch is 40 trained 41.

    A run whose files are not what it left has the state "damaged" and no numbers; a folder that is
    no run of the kit has no row. A warning names both (`damaged_runs` lists them).

    Args:
        reports: a profile's folder of reports; relative paths start at the checkout.
        states: keep these of "running", "interrupted", "failed", "finished", "damaged"; None keeps
            all.

    Raises EffnetError where `reports` is no such folder.
    """
    folder = resolve(reports)
    if not any((folder / part).exists() for part in PARTS):
        what = "is no report" if folder.is_dir() else "is no folder"
        there = sorted(relative(runs.parent) for runs in REPORTS.glob("*/runs"))
        raise EffnetError(
            f"{relative(folder)} {what if folder.exists() else 'is not there'}: give a profile's "
            f"folder ({', '.join(there) or 'none is there yet'}; `make reproduce` makes "
            "reports/demo)."
        )
    return runs_below(folder, states)


def runs_below(reports: Path | str, states: tuple[str, ...] | None = None) -> pd.DataFrame:
    """As `load_runs`, of a folder that need not be there: nothing was trained yet then."""
    rows, _ = _read_all(reports)
    runs = pd.DataFrame([row for row in rows if states is None or row["state"] in states])
    if runs.empty:
        return pd.DataFrame(columns=["trial_id", "name", "group", "state", "path", "created"])
    for name in ("dropout_rate", "drop_connect_rate", "batch_norm_momentum"):
        if name in runs:  # NaN where the network has none, also where no run's has one
            runs[name] = pd.to_numeric(runs[name], errors="coerce")
    return runs.sort_values(["created", "trial_id"], ignore_index=True)


def damaged_runs(reports: Path | str) -> list[tuple[str, str]]:
    """Path and reason of every run below `reports`/runs that cannot be shown or believed."""
    with warnings.catch_warnings(action="ignore"):
        return _read_all(reports)[1]


def read_grid(reports: Path | str) -> list[dict[str, Any]]:
    """The profile's own trials: name, group, trial_id, state and message of each, in its order.

    Empty before the grid was trained; trial_id is None where not even the data could be had. Raises
    Damaged where grid.json is not what the grid wrote.
    """
    path = resolve(reports) / "grid.json"
    if not path.exists():
        return []
    again = "`make grid` with its PROFILE writes it."
    try:
        entries = read_sealed(path)["runs"]
        if all(entry.keys() >= {"name", "group", "trial_id", "state"} for entry in entries):
            return entries
    except Damaged as error:
        raise Damaged(f"{error} {again}") from None
    except (KeyError, TypeError, AttributeError):
        pass
    raise Damaged(f"{relative(path)} does not list runs: the kit did not write it so. {again}")


def grid_runs(reports: Path | str, states: tuple[str, ...] | None = ("finished",)) -> pd.DataFrame:
    """The finished runs of a profile's own grid (`reports`/grid.json), in its order.

    Those in other `states` where these are given, in any with None. Runs of overridden parameters
    or of earlier code lie beside them and are not among these.
    Empty before the grid was trained and, with a warning, where grid.json is damaged.
    """
    try:
        names = {entry["trial_id"]: entry["name"] for entry in read_grid(reports)}
    except Damaged as error:
        warnings.warn(str(error), stacklevel=2)
        names = {}
    order = {trial_id: index for index, trial_id in enumerate(names)}
    runs = runs_below(reports, states)
    runs = runs[runs["trial_id"].isin(order)]
    runs = runs.assign(name=runs["trial_id"].map(names))
    return runs.sort_values("trial_id", key=lambda ids: ids.map(order), ignore_index=True)


def _read_all(reports: Path | str) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Rows of all runs, and (path, reason) of those that are damaged."""
    rows, bad = [], []
    for folder in sorted(resolve(reports).glob("runs/*/")):
        if not any(not path.name.startswith(".") for path in folder.iterdir()):
            continue  # begun this moment
        try:
            _unpack(folder)
            row = _row(folder)
            rows.append(row)
            reason = row["message"] if row["state"] == "damaged" else None
        except Damaged as error:
            reason = str(error)
        if reason:
            bad.append((relative(folder), reason))
            warnings.warn(f"a run is left out. {reason}", stacklevel=3)
    return rows, bad


def _unpack(folder: Path) -> None:
    """Predictions that were packed to be committed, as every reader has them.

    What is wrong with them shows when the run's files are compared with its status.
    """
    for packed in folder.glob(f"{PACKED}{PACKING}"):
        path = packed.with_suffix("")
        if not path.exists():
            with (
                suppress(CannotWrite, OSError, EOFError, lzma.LZMAError),
                atomic_write(path) as new,
            ):
                new.write_bytes(lzma.decompress(packed.read_bytes()))


def _row(folder: Path) -> dict[str, Any]:
    """Raises Damaged where the folder does not even say which run it is."""
    record = read_sealed(folder / "trial.json")
    if not record.keys() >= RECORDED or record["trial_id"] != folder.name:
        raise Damaged(f"{relative(folder / 'trial.json')} does not describe this run.")
    row = {
        "trial_id": record["trial_id"],
        "name": record["name"],
        "group": record["group"],
        "state": "interrupted",
        "message": "stopped before it trained",  # unless its status says more
        "seconds": float("nan"),
        "path": str(folder),
        **record["trial"],
        "device": record["environment"].get("device"),
        "data_hash": record["data_hash"],
        "code_hash": record["code_hash"],
        "created": record["created"],
    }
    try:
        status = read_status(folder)
        row |= {key: status[key] for key in ("state", "message", "seconds") if key in status}
        if row["state"] == "finished" and (reason := damage(folder, status)):
            raise Damaged(f"{relative(folder)}: {reason}.")
        return row | _results(folder, status)
    except Damaged as error:
        return row | {"state": "damaged", "message": str(error)}


def _results(folder: Path, status: dict[str, Any]) -> dict[str, Any]:
    """What a run has reached so far."""
    finished = status.get("state") == "finished"
    row: dict[str, Any] = {}
    if finished:
        summary = read_sealed(folder / "summary.json")
        names = ("best_epoch", "trainable_parameters", "images_per_second", "final")
        row = {name: summary.get(name) for name in names}
        # Only a run that validated on a held-out part has looked at the test split apart from that.
        row["test_acc"] = (row["final"] or {}).get("test", {}).get("top1")
    epochs = metrics(folder) if finished else history(folder)
    if epochs is None:
        return row
    if finished and len(epochs) != (done := status["epochs_done"]):
        raise Damaged(f"{relative(folder / 'metrics.csv')} has {len(epochs)} of {done} epochs.")
    for split in ("val", "train"):
        for suffix in ("", "_batch_mean"):
            row[f"max_{split}_acc{suffix}"] = epochs[f"{split}_acc{suffix}"].max()
    row["last_epoch"] = int(epochs["epoch"].max())
    drops = epochs["epoch"][epochs["lr"].diff() < 0]
    row["lr_drops"] = ";".join(map(str, drops))
    return row


def run_folder(run: RunLike) -> Path:
    """The folder of a run, given as a row of `load_runs` or as a path."""
    return Path(run["path"] if isinstance(run, pd.Series) else run)


def metrics(run: RunLike) -> pd.DataFrame:
    """metrics.csv of a run: a row per epoch. Raises Damaged where it is not what the run left."""
    table = _table(run_folder(run) / "metrics.csv")
    if not {"epoch", "lr", "val_acc", "val_acc_batch_mean"} <= set(table):
        raise Damaged(f"{relative(run_folder(run) / 'metrics.csv')} has not the columns of a run.")
    return table


def history(run: RunLike) -> pd.DataFrame | None:
    """The metrics of a run in any state; None where there are none, or none to be believed."""
    try:
        return metrics(run)
    except Damaged:
        return None


def predictions(run: RunLike, split: str = "val") -> pd.DataFrame:
    """A run's predictions on "train", "val" or "test", with a column `correct`.

    Raises Damaged where the run is not finished, has no such split, or the file was changed.
    """
    table = _table(run_folder(run) / f"predictions_{split}.csv")
    return table.assign(correct=table["class_id"] == table["predicted_class_id"])


def _table(path: Path) -> pd.DataFrame:
    """A table of a run, as long as it is what the run's status says."""
    if not path.exists():
        raise Damaged(
            f"{relative(path)} is missing: the run is not finished, or has no such split."
        )
    require_whole(path)
    try:
        return pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise Damaged(f"{relative(path)} is no table: {error}.") from None


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
