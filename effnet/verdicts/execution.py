"""Whether runs that differ only in how their numbers are computed reach the same accuracy."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from effnet.plots.scatter import welch
from effnet.trial import EXECUTION, Trial

DEFAULTS = {f.name: f.default for f in dataclasses.fields(Trial)}
# Sorted by these, the plainest (slowest) execution comes first: "32-true" < "bf16-mixed".
PLAINEST = ["precision", "compile", "cuda_graphs", "channels_last", "fused", "resident", "threads"]
PLAINEST += ["devices", "num_nodes", "strategy", "sync_batchnorm"]
# `recipe` has only filled in other fields, and `data_dir` is a place that data_hash stands for; a
# path in `weights` counts, for no hash of the file is recorded. Speed needs one device.
SAME = [n for n in DEFAULTS if n not in (*EXECUTION, "seed", "recipe", "data_dir")]
SAME += ["data_hash", "code_hash", "device"]


def execution(runs: pd.DataFrame) -> pd.DataFrame:
    """The execution settings of runs; what older folders do not name did what is default now."""
    table = runs.reindex(columns=EXECUTION).astype(object)
    return table.where(table.notna(), pd.Series(DEFAULTS)[[*EXECUTION]], axis=1)


def execution_text(setting: Mapping[str, Any], resident: bool = False) -> str:
    """An execution setting to read, as "float32, channels_last, fused".

    Args:
        setting: the values of `effnet.trial.EXECUTION`.
        resident: name that field too, which has no effect on a CPU.
    """
    names = {"32-true": "float32", "bf16-mixed": "bf16"}
    parts = [
        names.get(setting["precision"], setting["precision"]),
        "channels_last" if setting["channels_last"] else "contiguous",
        "fused" if setting["fused"] else "unfused",
        "compiled" if setting["compile"] else "",
        "CUDA graphs" if setting["cuda_graphs"] else "",
        f"{setting['threads']} threads" if setting["threads"] != 1 else "",
        f"{setting['devices']} devices" if setting["devices"] != 1 else "",
        f"{setting['num_nodes']} nodes" if setting["num_nodes"] != 1 else "",
        f"{setting['strategy']}" if setting["strategy"] != "auto" else "",
        "batch norm over all devices" if setting["sync_batchnorm"] else "",
        ("resident" if setting["resident"] else "not resident") if resident else "",
    ]
    return ", ".join(part for part in parts if part)


def execution_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Whether runs that differ only in their execution reach the same accuracy.

    A row per execution setting of finished runs that are equal in all else (hyperparameters but
    the seed, data, training code, device), where there are at least two settings; the plainest of
    them comes first and is the reference. Columns: comparison (number of the set of runs), group,
    the fields that all its runs share, those of the execution, setting (text), reference,
    seeds (count), mean, spread (sample standard deviation), lowest and highest of max_val_acc over
    the seeds, difference, low and high (percentage points to the reference, with Welch's 95 %
    confidence interval), images_per_second (median), speedup (its ratio to the reference's), and
    verdict: "reference", "same" (the interval contains 0), "differs" or "too few seeds".

    Args:
        runs: rows of `load_runs`.
    """
    values = ["group", "seed", "max_val_acc", "images_per_second"]
    table = runs.reindex(columns=[*SAME, *values]).join(execution(runs))
    table = table[(runs["state"] == "finished") & table["max_val_acc"].notna()]
    # As text: None and NaN are the same value, and differ from every other one.
    same = table[SAME].astype(object).where(table[SAME].notna(), "none").astype(str)
    table = table.assign(
        comparison=same.groupby(SAME, sort=False).ngroup(),
        images_per_second=table["images_per_second"].astype(float),
    )
    # The same seed again is no further draw.
    table = table.drop_duplicates(["comparison", *EXECUTION, "seed"])
    found = table.groupby(["comparison", *PLAINEST], as_index=False).agg(
        **{name: (name, "first") for name in ("group", *SAME)},
        seeds=("max_val_acc", "size"),
        mean=("max_val_acc", "mean"),
        spread=("max_val_acc", "std"),
        lowest=("max_val_acc", "min"),
        highest=("max_val_acc", "max"),
        images_per_second=("images_per_second", "median"),
    )
    sets = found.groupby("comparison")
    varies = sets["resident"].transform("nunique") > 1
    found["setting"] = [
        execution_text(row, named)
        for row, named in zip(found.to_dict("records"), varies, strict=True)
    ]
    found["reference"] = ~found.duplicated("comparison")
    plain = found[found["reference"]].set_index("comparison").loc[found["comparison"]]
    plain.index = found.index

    n, m = found["seeds"], plain["seeds"]
    a, b = found["spread"] ** 2 / n, plain["spread"] ** 2 / m
    half = welch(a, n - 1, b, m - 1).mask(a + b == 0, 0.0)
    # Rounded, so that equal accuracies differ by 0 and not by the last bit of a mean.
    difference = (100 * (found["mean"] - plain["mean"])).round(6)
    half = (100 * half).round(6)
    found["difference"] = difference.mask(found["reference"])
    found["low"] = (difference - half).mask(found["reference"])
    found["high"] = (difference + half).mask(found["reference"])
    found["speedup"] = found["images_per_second"] / plain["images_per_second"]
    found["verdict"] = np.select(
        [found["reference"], half.isna(), difference.abs() <= half],
        ["reference", "too few seeds", "same"],
        "differs",
    )
    return found[sets["seeds"].transform("size") > 1].reset_index(drop=True)
