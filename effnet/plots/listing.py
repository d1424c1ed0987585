"""Listings of runs and their hyperparameters, as beside the thesis's curves (section 6)."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from effnet.plots.groups import PUBLISHED, WORDS, group_name, of_group, run_label
from effnet.plots.style import GREY, LIGHT, OURS, hide_axes, plain
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
DROPS = "rate drops at epoch"


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
    best = history.max()
    weights = _text(run["weights"], "none")
    rows: list[tuple[str, str, str]] = [
        ("validation accuracy (batches)", f"{best['val_acc_batch_mean']:.4f}", "max_val_acc"),
        ("validation accuracy (images)", f"{best['val_acc']:.4f}", ""),
        ("training accuracy (batches)", f"{best['train_acc_batch_mean']:.4f}", "max_train_acc"),
        ("training accuracy (images)", f"{best['train_acc']:.4f}", ""),
        (LAST_EPOCH, str(int(history["epoch"].iloc[-1])), "epochs"),
        (DROPS, ", ".join(map(str, lr_drops(history))) or "none", "lr_drops_at_epochs"),
        ("pretrained weights", Path(weights).stem, "pretrained"),
        ("input channels", _text(run["in_channels"]), "in_channels"),
        ("dropout", _text(run["dropout_rate"]), "dropout_rate"),
        ("decay", _text(run["weight_decay"]), "weight_decay"),
        ("patience before a drop", _text(run["lr_patience"]), "patience"),
        (
            "patience before the end",
            _text(run["early_stopping_patience"]),
            "early_stopping_patience",
        ),
        ("optimizer", _text(run["optimizer"]), "optimizer"),
        ("first learning rate", _text(run["initial_lr"]), "initial_lr"),
        ("factor of a drop", _text(run["lr_factor"]), "lr_factor"),
        ("batch size", _text(run["batch_size"]), "batch_size"),
        ("image side (px)", _text(run["image_size"]), ""),
        ("network", _text(run["model_name"]), ""),
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
        "dropout": "dropout_rate",
        "decay": "weight_decay",
        "patience before a drop": "lr_patience",
        "batch size": "batch_size",
        "seed": "seed",
        "validation accuracy (batches)": "max_val_acc_batch_mean",
        "validation accuracy (images)": "max_val_acc",
        "training accuracy (batches)": "max_train_acc_batch_mean",
        "training accuracy (images)": "max_train_acc",
        LAST_EPOCH: "last_epoch",
        DROPS: "lr_drops",
        "time (s)": "seconds",
    }
    table = known.reindex(columns=columns.values()).set_axis(columns, axis=1)
    table.insert(0, "run", [run_label(run, group=group == "all") for _, run in known.iterrows()])
    keys = ["validation accuracy (batches)", "validation accuracy (images)"]
    return table.sort_values(keys, ascending=False, kind="stable", ignore_index=True)


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A copy for readers: names of columns, groups and hyperparameters as words."""

    def words(name: Any) -> Any:
        return WORDS.get(name, name.replace("_", " ")) if "_" in str(name) else name

    table = table.rename(columns=words)
    for name, named in (("group", group_name), ("parameter", words), ("factor", words)):
        if name in table:
            table[name] = table[name].map(named)
    return table


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
        row = [run_label(run, group=False), int(history["epoch"].iloc[-1])]
        for accuracy in accuracies:
            reached = history.loc[history["val_acc_batch_mean"] >= accuracy, "epoch"]
            row.append(reached.iloc[0] if len(reached) else pd.NA)
        rows.append(row)
    names = [f"epoch of {accuracy:.0%}" for accuracy in accuracies]
    return pd.DataFrame(rows, columns=["run", LAST_EPOCH, *names])


def draw_listing(ax: Axes, table: pd.DataFrame) -> None:
    """Set a listing as text into a wide panel in two blocks beside each other: names left,
    values to the right of them.
    """
    hide_axes(ax)
    both = PUBLISHED in table.columns
    rows = -(-len(table) // 2)
    style: dict[str, Any] = {"va": "center", "fontsize": 8.5, "transform": ax.transAxes}
    width, step = 0.475, 1 / (rows + 2)
    heads = [(0.74, "here", OURS), (1.0, "thesis", GREY)] if both else [(1.0, "here", OURS)]
    for block in range(2):
        left = block * (width + 0.05)
        for x, text, colour in heads:
            x = left + x * width
            ax.text(x, 1 - step / 2, text, ha="right", color=colour, fontweight="bold", **style)
        part = table.iloc[block * rows : (block + 1) * rows]
        for number, (name, *values) in enumerate(part.itertuples(index=False, name=None), 1):
            y = 1 - (number + 0.5) * step
            ax.text(left, y, name, ha="left", **style)
            for (x, _, _), value in zip(heads, values, strict=True):
                ax.text(left + x * width, y, plain(value, 24), ha="right", **style)
            line = [y + step / 2] * 2
            ax.plot([left, left + width], line, color=LIGHT, lw=0.7, transform=ax.transAxes)
    if both:
        text = "thesis: published"
        if table[PUBLISHED].str.endswith("*").any():
            text += "; * not printed there (see data/thesis)"
        ax.text(1.0, step / 2, text, ha="right", color=GREY, **style)


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
