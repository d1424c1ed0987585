"""Listings of runs and their hyperparameters, as beside the thesis's curves (section 6)."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from effnet.plots.groups import PUBLISHED, of_group
from effnet.plots.style import GREY, OURS, hide_axes, plain
from effnet.runs import metrics

# Columns of the thesis's table of grid runs that its listings do not print.
FROM_GRID = {
    "dropout_rate": "dropout_rate",
    "weight_decay": "weight_decay",
    "lr_patience": "patience",
    "early_stopping_patience": "early_stopping_patience",
    "batch_size": "batch_size",
    "initial_lr": "initial_lr",
    "lr_factor": "lr_factor",
    "optimizer": "optimizer",
}


LAST_EPOCH = "last epoch, from 0"  # as the thesis counts: its table of runs, too


def lr_drops(history: pd.DataFrame) -> list[int]:
    """First epochs (0-based) at each lower learning rate, from a run's metrics."""
    lr = history["lr"].to_numpy()
    # A hair below, so that rounding in a file is no drop.
    return [int(epoch) for epoch in history["epoch"].to_numpy()[1:][lr[1:] < lr[:-1] * 0.999]]


def published_settings(published: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """The thesis's table of runs; what it does not print of a grid run comes from `grid`.

    `derived` names the columns of a row that did: known from its code, its colours or arithmetic.
    """
    known = grid.set_index("run")[list(FROM_GRID)].rename(columns=FROM_GRID)
    known["optimizer"] = known["optimizer"].str.lower()
    table = published.set_index("run").reindex(
        columns=[*published.columns.drop("run"), *known.columns.difference(published.columns)]
    )
    added = table[known.columns].isna() & known.reindex(table.index).notna()
    listed = grid.loc[grid["lr_certainty"] == "listed", "run"]
    added.loc[listed, ["initial_lr", "optimizer"]] = False  # printed beside the curves
    table = table.astype({name: object for name in known.columns}).fillna(known)
    table["derived"] = [";".join(row.index[row]) for _, row in added.iterrows()]
    return table.reset_index()


def listing(
    run: pd.Series, history: pd.DataFrame, published: pd.Series | None = None
) -> pd.DataFrame:
    """Best accuracies and hyperparameters of a run, as text: columns `here` and, where a row of
    `published_settings` is given, `thesis (published)`. What is not known is a dash; an asterisk
    marks what the thesis does not print.
    """
    rows: list[tuple[str, str, str]] = [
        ("max_val_acc (batches)", f"{history['val_acc_batch_mean'].max():.4f}", "max_val_acc"),
        ("max_val_acc (images)", f"{history['val_acc'].max():.4f}", ""),
        (
            "max_train_acc (batches)",
            f"{history['train_acc_batch_mean'].max():.4f}",
            "max_train_acc",
        ),
        ("max_train_acc (images)", f"{history['train_acc'].max():.4f}", ""),
        (LAST_EPOCH, str(int(history["epoch"].iloc[-1])), "epochs"),
        ("lr drops at", ", ".join(map(str, lr_drops(history))) or "none", "lr_drops_at_epochs"),
        ("weights", _text(run["weights"], "none"), "pretrained"),
        ("in_channels", _text(run["in_channels"]), "in_channels"),
        ("dropout_rate", _text(run["dropout_rate"]), "dropout_rate"),
        ("weight_decay", _text(run["weight_decay"]), "weight_decay"),
        ("lr_patience", _text(run["lr_patience"]), "patience"),
        (
            "early_stopping_patience",
            _text(run["early_stopping_patience"]),
            "early_stopping_patience",
        ),
        ("optimizer", _text(run["optimizer"]), "optimizer"),
        ("initial_lr", _text(run["initial_lr"]), "initial_lr"),
        ("lr_factor", _text(run["lr_factor"]), "lr_factor"),
        ("batch_size", _text(run["batch_size"]), "batch_size"),
        ("image_size", _text(run["image_size"]), ""),
        ("model_name", _text(run["model_name"]), ""),
        ("seed", _text(run["seed"]), ""),
    ]
    table = pd.DataFrame({"hyperparameter": [r[0] for r in rows], "here": [r[1] for r in rows]})
    if published is not None:
        table[PUBLISHED] = [_published(published, column) for _, _, column in rows]
    return table


def group_table(runs: pd.DataFrame, group: str) -> pd.DataFrame:
    """All runs of a group, best first: settings, accuracies by both definitions, epochs, time.

    `all` stands for the three groups of the regularisation grid. Empty without runs.
    """
    known = of_group(runs, group)
    columns = {
        "run": "name",
        "dropout_rate": "dropout_rate",
        "weight_decay": "weight_decay",
        "lr_patience": "lr_patience",
        "batch_size": "batch_size",
        "seed": "seed",
        "max_val_acc (batches)": "max_val_acc_batch_mean",
        "max_val_acc (images)": "max_val_acc",
        "max_train_acc (batches)": "max_train_acc_batch_mean",
        "max_train_acc (images)": "max_train_acc",
        LAST_EPOCH: "last_epoch",
        "lr drops at": "lr_drops",
        "seconds": "seconds",
    }
    table = known.reindex(columns=columns.values()).set_axis(columns, axis=1)
    keys = ["max_val_acc (batches)", "max_val_acc (images)"]
    return table.sort_values(keys, ascending=False, kind="stable", ignore_index=True)


def top_k(run: pd.Series | None) -> pd.DataFrame:
    """Share of images whose class is among the k likeliest, at the end of the run.

    A row per split, columns top1, top3, top5, top10. Unlike the accuracies during training, those
    of the training images are without dropout, but with the weights of the end for all of them.
    """
    final = None if run is None else run.get("final")
    table = pd.DataFrame(final if isinstance(final, dict) else {}).T
    return table.rename_axis("split").reset_index()


def epochs_to_reach(
    runs: pd.DataFrame, group: str, accuracies: tuple[float, ...] = (0.5, 0.8)
) -> pd.DataFrame:
    """First epoch (0-based) at which each run's validation accuracy reaches the accuracies given;
    missing where it never does. Accuracies by the thesis's definition, fractions of 1.
    """
    rows = []
    for _, run in of_group(runs, group).iterrows():
        history = metrics(run)
        row = [run["name"], int(history["epoch"].iloc[-1])]
        for accuracy in accuracies:
            reached = history.loc[history["val_acc_batch_mean"] >= accuracy, "epoch"]
            row.append(reached.iloc[0] if len(reached) else pd.NA)
        rows.append(row)
    names = [f"epoch of {accuracy:.0%}" for accuracy in accuracies]
    return pd.DataFrame(rows, columns=["run", LAST_EPOCH, *names])


def draw_listing(ax: Axes, table: pd.DataFrame) -> None:
    """Set a listing as text into an empty panel: names left, values to the right of them."""
    hide_axes(ax)
    both = PUBLISHED in table.columns
    right = [0.72, 1.0] if both else [1.0]
    style: dict[str, Any] = {"va": "center", "fontsize": 8.5, "transform": ax.transAxes}
    step = 1 / (len(table) + 2.5)
    head = 1 - step
    for x, text, colour in zip(right, ["here", "thesis\n(published)"], [OURS, GREY], strict=False):
        ax.text(x, head, text, ha="right", color=colour, fontweight="bold", **style)
    for number, (name, *values) in enumerate(table.itertuples(index=False, name=None), 1):
        y = head - (number + 0.4) * step
        ax.text(0.0, y, name, ha="left", **style)
        for x, value in zip(right, values, strict=True):
            ax.text(x, y, plain(value, 24), ha="right", **style)
        line = y - step / 2
        ax.plot([0, 1], [line, line], color="#E3E3E3", lw=0.7, transform=ax.transAxes)
    if both and table[PUBLISHED].str.endswith("*").any():
        style["fontsize"] = 7.5
        text = "* not printed in the thesis (see data/thesis)"
        ax.text(1.0, 0.5 * step, text, ha="right", color=GREY, **style)


def _text(value: Any, absent: str = "–") -> str:
    """A number as short as it can be written; `absent` for nothing."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return absent
    if isinstance(value, str):
        return value
    return f"{float(value):g}"


def _published(row: pd.Series, column: str) -> str:
    if row["group"] == "pretrained_frozen" and column in ("optimizer", "initial_lr"):
        return {"optimizer": "adam", "initial_lr": "0.001"}[column]  # drawn in figure 25's charts
    value = row.get(column)
    if column == "" or value is None or pd.isna(value) or value == "":
        return "–"
    if column == "pretrained":
        return "imagenet" if value else "none"
    if column == "lr_drops_at_epochs":
        return str(value).replace(";", ", ")
    if column.startswith("max_"):
        return f"{value:.4f}" if round(value, 3) != value else f"{value:.3f}"
    text = value if isinstance(value, str) else f"{float(value):g}"
    return text + "*" * (column in row["derived"].split(";"))
