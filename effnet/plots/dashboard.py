"""What the thesis's hosted dashboard showed, drawn from the local runs (figures 14 and 16).

Its charts (figure 15) are `effnet.plots.curves.charts`.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from effnet.files import digest
from effnet.plots.groups import absent, group_colour, group_label, present, run_label
from effnet.plots.listing import LAST_EPOCH
from effnet.plots.style import (
    GREY,
    footnote,
    hide_axes,
    new_figure,
    plain,
    styled,
    titled_legend,
)
from effnet.runs import PACKING, history

BEST = "validation accuracy, best"
INK, ALARM = "#404040", "#B00020"  # no group's colours
STATES: dict[str, dict[str, Any]] = {
    "finished": {"marker": "o", "color": INK},
    "running": {"marker": "o", "color": INK, "mfc": "white"},
    "interrupted": {"marker": "o", "color": INK, "fillstyle": "left"},
    "failed": {"marker": "X", "color": ALARM},
    "damaged": {"marker": "X", "color": ALARM},
}
FILES = {
    "trial.json": "hyperparameters, environment, data and code hash",
    "status.json": "state, epochs done, time",
    "metrics.csv": "losses, accuracies, learning rate and time of every epoch",
    "predictions_train.csv": "class and prediction of every training image",
    "predictions_val.csv": "class and prediction of every validation image",
    "summary.json": "parameters, best epoch, top-1/3/5/10, speed",
    "best.ckpt": "weights of the epoch with the lowest validation loss",
    "last.ckpt": "everything needed to go on after the last epoch",
}


def run_table(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per run, newest first, with the columns of the thesis's dashboard (figure 14).

    Accuracies by the thesis's definition and per image; times in seconds. Runs in every state are
    listed; what a run has not reached yet is missing. `group` is the group's id.
    """
    rows = []
    for _, run in runs.sort_values(["created", "name"], ascending=False).iterrows():
        past = history(run)
        last = {} if past is None or past.empty else past.iloc[-1]
        rows.append(
            {
                "run": run_label(run, group=False),
                "group": run["group"],
                "state": run["state"],
                "created (UTC)": str(run["created"])[:16].replace("T", " "),
                "time (s)": run["seconds"],
                LAST_EPOCH: last.get("epoch"),
                "training accuracy, last": last.get("train_acc_batch_mean"),
                BEST: None if past is None else past["val_acc_batch_mean"].max(),
                f"{BEST} (images)": None if past is None else past["val_acc"].max(),
                "s per epoch": None if past is None else past["seconds"].mean(),
                "input channels": run["in_channels"],
                "weights": run["weights"] if isinstance(run["weights"], str) else "none",
                "dropout": run["dropout_rate"],
                "decay": run["weight_decay"],
                "seed": run["seed"],
                "trial": run["trial_id"],
            }
        )
    return pd.DataFrame(rows)


def published_table(published: pd.DataFrame) -> pd.DataFrame:
    """The 16 rows that the thesis shows of its dashboard, from the table of `published_settings`.

    Columns that begin with `shown` are as printed; the others come from its run table.
    """
    shown = published[published["dashboard_state"].fillna("") != ""]
    names = {
        "run": "run",
        "group": "group",
        "max_val_acc": BEST,
        "max_train_acc": "training accuracy, best",
        "dropout_rate": "dropout",
        "weight_decay": "decay",
        "batch_size": "batch size",
        "initial_lr": "first learning rate",
    }
    for name in (name for name in shown if name.startswith("dashboard_")):
        names[name] = name.replace("dashboard_", "shown: ").replace("_", " ")
    return shown[list(names)].rename(columns=names)


@styled
def run_table_figure(table: pd.DataFrame, source: str, count: int = 40) -> Figure:
    """The run table as a picture (figure 14): all rows of `run_table`, or the newest `count`."""
    if table.empty:
        return absent("Runs", "No runs in this report yet.", source)
    shown = table.head(count)
    columns = {
        "run": (0.0, "left", shown["run"].map(lambda name: plain(name, 40))),
        "state": (0.285, "left", shown["state"].map(plain)),
        "created\n(UTC)": (0.355, "left", shown["created (UTC)"].str[5:].map(plain)),
        "time": (0.515, "right", shown["time (s)"].map(duration)),
        "last\nepoch": (0.56, "right", shown[LAST_EPOCH].map(_number("{:.0f}"))),
        "training\nlast": (0.63, "right", shown["training accuracy, last"].map(_number("{:.3f}"))),
        "validation\nbest": (0.71, "right", shown[BEST].map(_number("{:.3f}"))),
        "s per\nepoch": (0.765, "right", shown["s per epoch"].map(_number("{:.1f}"))),
        "chan-\nnels": (0.82, "right", shown["input channels"].map(_number("{:.0f}"))),
        "weights": (0.89, "right", shown["weights"].map(lambda w: plain(Path(w).stem, 9))),
        "drop-\nout": (0.94, "right", shown["dropout"].map(_number("{:g}"))),
        "decay": (1.0, "right", shown["decay"].map(_number("{:g}"))),
    }
    figure, ax = new_figure(height=1.6 + 0.25 * len(shown))
    step = _table(ax, columns, len(shown))
    for row, run in enumerate(shown.itertuples()):
        y = 1 - (row + 2.5) * step
        ax.plot([-0.014], [y], "s", color=group_colour(run.group), ms=7, clip_on=False)
        ax.plot([0.275], [y], ms=6, **STATES.get(run.state, STATES["interrupted"]))
    title = f"The newest {len(shown)} of {len(table)} runs"
    title = f"All {len(table)} runs" if len(shown) == len(table) else title
    look: dict[str, Any] = {"marker": "s", "ls": ""}
    handles = [
        Line2D([], [], color=group_colour(g), label=group_label(g), **look)
        for g in present(shown["group"])
    ]
    titled_legend(figure, title, handles, 4)
    footnote(figure, f"{source}; newest first; accuracies: mean of batches; epochs count from 0")
    return figure


def artifacts(run: pd.Series | None) -> pd.DataFrame:
    """The files of a run's folder: `name`, `size` in bytes, `sha256`, `what` it holds.

    Empty without a run. Its page and packed copies are none of its own files.
    """
    rows = []
    folder = Path("." if run is None else run["path"])
    found = [] if run is None else sorted(folder.rglob("*"))
    for file in (p for p in found if p.is_file() and p.name[0] != "."):
        name = file.relative_to(folder).as_posix()
        if name != "index.html" and file.suffix != PACKING:
            rows.append((name, file.stat().st_size, digest(file), FILES.get(name, "")))
    return pd.DataFrame(rows, columns=["name", "size", "sha256", "what"])


@styled
def artifacts_figure(files: pd.DataFrame, run: pd.Series | None, source: str) -> Figure:
    """The artefacts of one run as a picture (figure 16), from the table of `artifacts`."""
    if run is None or files.empty:
        return absent("Artefacts", "No finished run in this report has left files.", source)
    columns = {
        "name": (0.0, "left", files["name"].map(lambda name: plain(name, 36))),
        "size": (0.36, "right", files["size"].map(size_text)),
        "SHA-256": (0.4, "left", files["sha256"].str[:12] + " ..."),
        "what": (0.57, "left", files["what"]),
    }
    figure, ax = new_figure(height=1.2 + 0.3 * len(files))
    _table(ax, columns, len(files), fontsize=9)
    total = size_text(files["size"].sum())
    figure.suptitle(f"Artefacts of {plain(run['name'])}: {len(files)} files, {total}")
    footnote(figure, source)
    return figure


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as a reader writes them: `6h 08min`, `2min 05s`, `48s`."""
    if seconds is None or pd.isna(seconds):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}min"
    return f"{minutes}min {rest:02d}s" if minutes else f"{rest}s"


def size_text(size: float) -> str:
    """Bytes in the unit that leaves one to three digits before the point (1 MB = 10^6 bytes)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1000
    raise AssertionError


def _number(form: str):
    return lambda value: "–" if value is None or pd.isna(value) else form.format(value)


def _table(ax: Axes, columns: dict, rows: int, fontsize: float = 8) -> float:
    """Write columns of text, `{head: (x, align, values)}`, and return the height of a row."""
    hide_axes(ax)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    step = 1 / (rows + 2)
    for head, (x, align, values) in columns.items():
        ax.text(x, 1 - step, head, ha=align, va="center", fontsize=fontsize, color=GREY)
        for row, value in enumerate(values):
            y = 1 - (row + 2.5) * step
            ax.text(x, y, value, ha=align, va="center", fontsize=fontsize)
    for row in range(rows):
        ax.axhline(1 - (row + 2) * step, color="#E3E3E3", lw=0.7)
    return step
