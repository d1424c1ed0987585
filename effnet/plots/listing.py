"""Listings of runs and their hyperparameters, as beside the thesis's curves (section 6)."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from effnet.plots.groups import PUBLISHED, of_group
from effnet.plots.style import GREY, OURS, hide_axes, plain
from effnet.runs import metrics

RECONSTRUCTED = ("early_stopping_patience", "batch_size")


def lr_drops(history: pd.DataFrame) -> list[int]:
    """First epochs (0-based) at each lower learning rate, from a run's metrics."""
    lr = history["lr"].to_numpy()
    # A hair below, so that rounding in a file is no drop.
    return [int(epoch) for epoch in history["epoch"].to_numpy()[1:][lr[1:] < lr[:-1] * 0.999]]


def published_settings(published: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """The thesis's table of runs, with what its code tells of the grid's runs beside it.

    The columns added (`batch_size`, `early_stopping_patience`) are reconstructed, not printed.
    """
    added = grid.loc[grid["run"].fillna("") != "", ["run", "batch_size", "early_stopping_patience"]]
    return published.merge(added, on="run", how="left", validate="one_to_one")


def listing(
    run: pd.Series, history: pd.DataFrame, published: pd.Series | None = None
) -> pd.DataFrame:
    """Best accuracies and hyperparameters of a run, as text: columns `here` and, where a row of
    `published_settings` is given, `thesis (published)`. What the thesis does not tell is a dash;
    an asterisk marks what was reconstructed from its code.
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
        ("last epoch", str(int(history["epoch"].iloc[-1])), "epochs"),
        ("lr drops at", ", ".join(map(str, lr_drops(history))) or "none", "lr_drops_at_epochs"),
        ("weights", _text(run["weights"], "none"), "pretrained"),
        ("in_channels", _text(run["in_channels"]), "in_channels"),
        ("dropout_rate", _text(run["dropout_rate"]), "dropout_rate"),
        ("weight_decay", _text(run["weight_decay"]), "weight_decay"),
        ("lr_patience", _text(run["lr_patience"]), "patience"),
        ("early_stopping_patience", _text(run["early_stopping_patience"]), RECONSTRUCTED[0]),
        ("optimizer", _text(run["optimizer"]), "optimizer"),
        ("initial_lr", _text(run["initial_lr"]), "initial_lr"),
        ("batch_size", _text(run["batch_size"]), RECONSTRUCTED[1]),
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
        "last epoch": "epochs",
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
    return pd.DataFrame(rows, columns=["run", "last epoch", *names])


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
        text = "* reconstructed from the thesis's code"
        ax.text(1.0, 0.5 * step, text, ha="right", color=GREY, **style)


def _text(value: Any, absent: str = "–") -> str:
    """A number as short as it can be written; `absent` for nothing."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return absent
    if isinstance(value, str):
        return value
    return f"{float(value):g}"


def _published(row: pd.Series, column: str) -> str:
    if column == "optimizer":
        # The listings and the printed script name AdamW; the frozen run's charts draw Adam.
        return "adam" if row["group"] == "pretrained_frozen" else "adamw"
    if column == "initial_lr":
        return "0.001"  # the same in every listing, chart and script of the thesis
    value = row.get(column)
    if column == "" or value is None or pd.isna(value) or value == "":
        return "–"
    if column == "pretrained":
        return "imagenet" if value else "none"
    if column == "lr_drops_at_epochs":
        return str(value).replace(";", ", ")
    if column.startswith("max_"):
        return f"{value:.4f}" if round(value, 3) != value else f"{value:.3f}"
    return f"{float(value):g}" + "*" * (column in RECONSTRUCTED)
