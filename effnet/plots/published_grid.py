"""What the thesis's 65 published runs can tell: fits, and like compared with like.

Nothing is trained: every number follows from `data/thesis/`.
"""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from effnet import thesis
from effnet.plots.scatter import half_width, published_scatter

ACCURACY = "published_max_val_acc"
INTERRUPTED_BELOW = 0.3  # training accuracy of a run without a prediction file
# Runs that share batch size, learning rate, patience and stopping: where an additive fit of dropout
# and decay compares like with like.
LIKE = {
    "pretrained": "group == 'pretrained'",
    "RGB, patience 3": "group == 'scratch_rgb' and lr_patience == 3",
    "RGB, patience 7, batch 96": "group == 'scratch_rgb' and lr_patience == 7 and batch_size == 96",
    "grayscale": "group == 'scratch_gray' and not interrupted",
}


def published_grid() -> pd.DataFrame:
    """The 65 runs, with `steps` per epoch, `decay_per_epoch` (initial_lr x weight_decay x steps:
    the share by which decay alone shrinks a weight in an epoch) and whether a run looks
    `interrupted`: it left no prediction file, and has hardly learned its training images.
    """
    grid = thesis.grid()
    images = int((thesis.annotations()["split"] == "train").sum())
    steps = np.ceil(images / grid["batch_size"]).astype(int)
    without_file = ~grid["run"].isin(thesis.prediction_matrix_runs()["run"])
    return grid.assign(
        steps=steps,
        decay_per_epoch=grid["initial_lr"] * grid["weight_decay"] * steps,
        interrupted=without_file & (grid["published_max_train_acc"] < INTERRUPTED_BELOW),
    )


def additive_fit(
    runs: pd.DataFrame, factors: tuple[str, ...] = ("dropout_rate", "weight_decay")
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Least squares of the accuracy on levels of `factors`, without interactions.

    Returns:
        a row per factor: `levels`, `F`, `df`, `df_residual`, `p`, `residual_sd`; F tests whether
        the factor explains anything once the others are in.
        a row per level: `factor`, `level`, `runs`, `effect` against the factor's first level, and
        its 95 % interval `low`, `high`.

    Raises ValueError where the runs leave no degree of freedom, or cannot tell the factors apart.
    """
    y = runs[ACCURACY].to_numpy(float)
    columns = {
        factor: [
            (level, (runs[factor] == level).to_numpy(float))
            for level in sorted(runs[factor].unique())
        ]
        for factor in factors
    }
    design = _design(columns, len(y))
    freedom = len(y) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError(f"{len(y)} runs cannot tell the levels of {', '.join(factors)} apart.")
    coefficients, residual = _solve(design, y)
    variance = residual / freedom
    covariance = variance * np.linalg.inv(design.T @ design)
    quantile = stats.t.ppf(0.975, freedom)
    tests, effects, place = [], [], 1
    for factor, levels in columns.items():
        others = {name: given for name, given in columns.items() if name != factor}
        df = len(levels) - 1
        if df:
            gained = _solve(_design(others, len(y)), y)[1] - residual
            ratio = gained / df / variance
            p = stats.f.sf(ratio, df, freedom)
            tests.append((factor, len(levels), ratio, df, freedom, p, np.sqrt(variance)))
        for number, (level, member) in enumerate(levels):
            row = (factor, level, int(member.sum()))
            if number == 0:
                effects.append((*row, 0.0, np.nan, np.nan))
                continue
            effect, half = coefficients[place], quantile * np.sqrt(covariance[place, place])
            effects.append((*row, effect, effect - half, effect + half))
            place += 1
    names = ["factor", "levels", "F", "df", "df_residual", "p", "residual_sd"]
    return (
        pd.DataFrame(tests, columns=names),
        pd.DataFrame(effects, columns=["factor", "level", "runs", "effect", "low", "high"]),
    )


def fits(grid: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables of `additive_fit`, for each set of like runs in `LIKE` (column `runs`)."""
    sets = {name: grid.query(query) for name, query in LIKE.items()}
    found = {f"{name} ({len(runs)} runs)": additive_fit(runs) for name, runs in sets.items()}
    tables = (
        pd.concat({name: pair[i] for name, pair in found.items()}, names=["like runs", None])
        for i in range(2)
    )
    tests, effects = (table.reset_index("like runs").reset_index(drop=True) for table in tables)
    return tests, effects


def pairs(a: pd.DataFrame, b: pd.DataFrame, matched: list[str]) -> pd.DataFrame:
    """Accuracies of two sets of runs (columns `a`, `b`) where they agree in `matched`.

    Runs of one setting are averaged first. Values are compared to 6 digits, so that decays per
    epoch that are equal on paper are equal here.
    """
    sides = [s.assign(**{m: s[m].astype(float).round(6) for m in matched}) for s in (a, b)]
    means = [side.groupby(matched)[ACCURACY].mean() for side in sides]
    return pd.concat(means, axis=1, join="inner", keys=["a", "b"]).reset_index()


def like_with_like(grid: pd.DataFrame) -> pd.DataFrame:
    """What remains of each finding from the grid when like is compared with like.

    Columns `question`, `as published` (difference of best accuracies, as the thesis compares),
    `compared at`, `pairs`, `difference` (their mean), `low`, `high` (95 %, from the scatter of
    like runs), `what remains`, in words that follow from these numbers.
    """
    whole = grid[~grid["interrupted"]]
    of = {name: part for name, part in whole.groupby("group")}
    rgb, gray, tuned = of["scratch_rgb"], of["scratch_gray"], of["pretrained"]
    low, high = rgb[rgb["dropout_rate"] <= 0.3], rgb[rgb["dropout_rate"] >= 0.4]
    decayed, little = rgb[rgb["weight_decay"].isin([0.2, 0.3])], rgb[rgb["weight_decay"] < 0.2]
    rest = ["batch_size", "initial_lr", "lr_patience"]
    gray_low, gray_high = gray[gray["dropout_rate"] <= 0.3], gray[gray["dropout_rate"] >= 0.4]
    same = ["weight_decay", "dropout_rate", "lr_patience"]
    same_rate = ["decay_per_epoch", "dropout_rate", "lr_patience"]
    asked = [
        ("RGB: dropout 0.4 to 0.6 against 0 to 0.3", high, low, ["weight_decay", *rest]),
        ("grayscale: dropout 0.4, 0.5 against 0 to 0.3", gray_high, gray_low, ["weight_decay"]),
        ("RGB: decay 0.2, 0.3 against less", decayed, little, ["dropout_rate", *rest]),
        *(
            (f"grayscale against RGB, decay {d:g}", gray.query("weight_decay == @d"), rgb, same)
            for d in (0.2, 0.3)
        ),
        ("grayscale against RGB, same decay per epoch", gray, rgb, same_rate),
        ("pretrained against RGB", tuned, rgb, ["weight_decay", "dropout_rate", *rest]),
    ]
    rows = []
    for question, a, b, matched in asked:
        found = pairs(a, b, matched)
        gap = (found["a"] - found["b"]).mean() if len(found) else np.nan
        half = np.nan
        if len(found):
            ours, theirs = (published_scatter(side["group"].iloc[0]) for side in (a, b))
            half = half_width(ours, theirs, (len(found), len(found)))
        rows.append(
            {
                "question": question,
                "as published": a[ACCURACY].max() - b[ACCURACY].max(),
                "compared at equal": ", ".join(matched).replace("_", " "),
                "pairs": len(found),
                "difference": gap,
                "low": gap - half,
                "high": gap + half,
            }
        )
    table = pd.DataFrame(rows)
    return table.assign(**{"what remains": [_remains(row) for row in table.to_dict("records")]})


def _remains(row: dict) -> str:
    if not row["pairs"]:
        return "the grid cannot tell: no two runs differ in this alone"
    if row["low"] <= 0 <= row["high"]:
        return "open: the interval holds 0"
    if np.sign(row["difference"]) != np.sign(row["as published"]):
        return "the opposite"
    return "holds"


def row_means(grid: pd.DataFrame) -> pd.DataFrame:
    """Means of heatmap rows that hold an interrupted run, with and without it.

    Columns `group`, `parameter`, `value`, `runs`, `mean`, `without`, `interrupted` (names).
    """
    rows = []
    for group, parameter in itertools.product(
        ("all", "scratch_rgb", "scratch_gray"), ("dropout_rate", "weight_decay")
    ):
        runs = grid if group == "all" else grid[grid["group"] == group]
        for value, part in runs.groupby(parameter):
            if part["interrupted"].any():
                whole = part.loc[~part["interrupted"], ACCURACY].mean()
                names = ", ".join(part.loc[part["interrupted"], "run"])
                rows.append(
                    (group, parameter, value, len(part), part[ACCURACY].mean(), whole, names)
                )
    columns = ["group", "parameter", "value", "runs", "mean", "without", "interrupted"]
    return pd.DataFrame(rows, columns=columns)


def sweep(factor: str) -> list[pd.DataFrame]:
    """The colleague's sweeps of `factor` (dropout or weight_decay): runs equal in all else.

    Those with at least four levels, longest first; see `thesis.sibling_runs`.
    """
    runs = thesis.sibling_runs()
    first, last = (list(runs).index(name) for name in ("loss", "lr_scheduler_params"))
    settings = [name for name in list(runs)[first : last + 1] if name != factor]
    lines = [line for _, line in runs.groupby(settings, dropna=False) if line[factor].nunique() > 3]
    return sorted(lines, key=lambda line: -line[factor].nunique())


def _design(columns: dict[str, list], rows: int) -> np.ndarray:
    parts = [np.ones(rows)]
    parts += [member for levels in columns.values() for _, member in levels[1:]]
    return np.column_stack(parts)


def _solve(design: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients and the residual sum of squares."""
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    return coefficients, float(((y - design @ coefficients) ** 2).sum())
