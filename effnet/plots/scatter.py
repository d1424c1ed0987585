"""How far runs of one setting scatter, and so what a difference between two of them is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from effnet import thesis
from effnet.plots.groups import setting_keys

LEVEL = 0.95
# The like runs of the thesis that stand for a group's; their settings differ a little, so that
# their deviations are upper bounds of what a seed alone makes.
LIKE = {
    "pretrained": "pretrained_all15",
    "pretrained_single": "pretrained_all15",
    "scratch_rgb": "rgb_patience7_batch96",
    "scratch_gray": "gray_decay_to_0.1_without_463",
}
SHORT_PATIENCE = "rgb_patience3"  # the RGB runs that stopped early, at 0.43 to 0.50


@dataclass(frozen=True)
class Scatter:
    """The deviation of a single run's best validation accuracy.

    Attributes:
        sd: sample standard deviation, a fraction of 1.
        freedom: its degrees of freedom.
        words: which runs it comes from.
    """

    sd: float
    freedom: float
    words: str


def published_scatter(group: str, lr_patience: float = 7) -> Scatter:
    """The scatter of like runs of the thesis (data/thesis/noise.csv)."""
    name = LIKE[group]
    if group == "scratch_rgb" and lr_patience == 3:
        name = SHORT_PATIENCE
    row = thesis.noise().set_index("id").loc[name]
    return Scatter(row["sd"], row["freedom"], f"{int(row['n'])} like runs of the thesis")


def seed_scatter(runs: pd.DataFrame, column: str = "max_val_acc_batch_mean") -> Scatter | None:
    """The pooled deviation over runs that differ in the seed alone; None without repetitions."""
    if runs.empty:
        return None
    runs = runs.assign(setting=setting_keys(runs)).drop_duplicates(["setting", "seed"])
    of_setting = runs.groupby("setting")[column]
    repeated = of_setting.transform("size") > 1
    count, settings = int(repeated.sum()), int(runs.loc[repeated, "setting"].nunique())
    if not settings:
        return None
    residual = (runs[column] - of_setting.transform("mean"))[repeated]
    freedom = count - settings
    words = f"{count} runs here, of {settings} setting{'s' * (settings > 1)} over seeds"
    return Scatter(float(np.sqrt((residual**2).sum() / freedom)), freedom, words)


def welch(a: Any, freedom_a: Any, b: Any, freedom_b: Any, comparisons: int = 1) -> Any:
    """Half the width of Welch's 95 % interval of a difference of two means.

    Args:
        a, b: variances of the two means; numbers or Series.
        freedom_a, freedom_b: degrees of freedom of these variances.
        comparisons: differences that are to lie in their intervals all at once (Bonferroni).
    """
    freedom = (a + b) ** 2 / (a**2 / freedom_a + b**2 / freedom_b)
    return stats.t.ppf(1 - (1 - LEVEL) / 2 / comparisons, freedom) * (a + b) ** 0.5


def seeds_apart(a: pd.Series, b: pd.Series) -> tuple[float, float]:
    """The mean of one setting's seeds less that of another's, and half of its 95 % interval."""
    half = welch(a.var() / len(a), len(a) - 1, b.var() / len(b), len(b) - 1)
    return float(a.mean() - b.mean()), float(half)


def half_width(
    ours: Scatter, theirs: Scatter, runs: tuple[int, int] = (1, 1), comparisons: int = 1
) -> float:
    """The 95 % half width of the difference between means of `runs` runs of two scatters.

    Where both sides share one estimate, its degrees of freedom count once.
    """
    a, b = ours.sd**2 / runs[0], theirs.sd**2 / runs[1]
    if a + b == 0:
        return 0.0
    if ours == theirs:
        quantile = stats.t.ppf(1 - (1 - LEVEL) / 2 / comparisons, ours.freedom)
        return float(quantile * np.sqrt(a + b))
    return float(welch(a, ours.freedom, b, theirs.freedom, comparisons))


def range_limit(scatter: Scatter, values: int) -> float:
    """What the range of `values` single runs of one setting stays below in 95 of 100 cases."""
    return float(stats.studentized_range.ppf(LEVEL, values, scatter.freedom) * scatter.sd)


def mean_interval(values: Sequence[float] | pd.Series) -> float:
    """Half the 95 % interval of a mean of several values (Student's t); NaN for fewer than two."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
