"""The runs of a profile as rows of text: the page's table of runs, and its execution settings."""

from typing import Any

import pandas as pd

from effnet.plots.groups import group_name, run_label
from effnet.verdicts.execution import execution, execution_table, execution_text

EXECUTION_NOTE = (
    "Each table holds finished runs that share device, data, training code and every "
    "hyperparameter but the seed, and differ in how the numbers are computed. n is the number of "
    "seeds; the accuracy is the share of validation images, at its maximum over epochs; the spread "
    "is the sample standard deviation over seeds; the difference to the first row has Welch's 95 % "
    "confidence interval. Same: the interval contains 0, which with few seeds only means that no "
    "difference was seen; where there is none, one interval in twenty still misses 0. Images a "
    "second: training images over the whole time of the epochs, with validation and compilation; "
    "the median over seeds."
)


def run_rows(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Rows of the run table as text, best first; accuracies in percent."""
    if runs.empty:
        return []
    order = runs.copy()
    for column in ("max_val_acc", "max_val_acc_batch_mean", "max_train_acc_batch_mean"):
        if column not in order:
            order[column] = float("nan")
    order["execution"] = [execution_text(row) for row in execution(order).to_dict("records")]
    order = best_first(order)
    return [
        {
            "id": run["trial_id"],
            "name": run["name"],
            "label": run_label(run),
            "group": group_name(str(run["group"])),
            "state": run["state"],
            "dropout": number(run["dropout_rate"], "g"),
            "decay": number(run["weight_decay"], "g"),
            "patience": number(run["lr_patience"], "g"),
            "batch": number(run["batch_size"], "g"),
            "seed": number(run["seed"], "g"),
            "execution": run["execution"],
            "val": percent(run["max_val_acc_batch_mean"]),
            "val_images": percent(run["max_val_acc"]),
            "test": percent(run.get("test_acc")),
            "train": percent(run["max_train_acc_batch_mean"]),
            "last": number(run.get("last_epoch"), ".0f"),
            "best": number(run.get("best_epoch"), ".0f"),
            "minutes": number((run["seconds"] or float("nan")) / 60, ".1f"),
        }
        for run in order.to_dict("records")
    ]


def best_first(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs by falling validation accuracy (the thesis's definition), then by name."""
    if "max_val_acc_batch_mean" not in runs:  # none has trained an epoch
        return runs
    keys = ["max_val_acc_batch_mean", "name"]
    return runs.sort_values(keys, ascending=[False, True], kind="stable")


def execution_sets(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Runs that differ in their execution alone: what they share, and a row of text per setting."""
    return [
        {
            "what": _shared(rows.iloc[0]),
            "rows": [
                {
                    "setting": row["setting"],
                    "reference": row["reference"],
                    "seeds": str(row["seeds"]),
                    "mean": number(row["mean"], ".4f"),
                    "spread": number(row["spread"], ".4f"),
                    "range": f"{row['lowest']:.4f} to {row['highest']:.4f}",
                    "difference": number(row["difference"], "+.2f"),
                    "interval": ""
                    if pd.isna(row["low"])
                    else f"{row['low']:+.2f} to {row['high']:+.2f}",
                    "speed": number(row["images_per_second"], ",.0f"),
                    "speedup": number(row["speedup"], ".2f"),
                    "verdict": row["verdict"],
                }
                for row in rows.to_dict("records")
            ],
        }
        for _, rows in execution_table(runs).groupby("comparison")
    ]


def number(value: Any, form: str) -> str:
    """A number as text, a dash where there is none."""
    return "–" if value is None or pd.isna(value) else format(float(value), form)


def percent(value: Any) -> str:
    """A share of 1 as percent with one decimal, without the sign."""
    return number(None if value is None else 100 * float(value), ".1f")


def _shared(run: pd.Series) -> str:
    """What tells one set of runs from another, in a line."""
    return (
        f"{group_name(str(run['group']))}: {run['model_name']}, {run['image_size']:g} px, "
        f"batches of {run['batch_size']:g}, dropout {number(run['dropout_rate'], 'g')}, "
        f"weight decay {run['weight_decay']:g}, at most {run['epochs']:g} epochs, {run['device']}"
    )
