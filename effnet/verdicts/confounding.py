"""What the thesis's run table shows of its findings (X20 to X35), recomputed from data/thesis."""

import math
from dataclasses import replace

import pandas as pd
import torch

from effnet import thesis
from effnet.plots.confounding import expected_best
from effnet.plots.listing import lr_drops
from effnet.plots.published_grid import (
    ACCURACY,
    LIKE,
    additive_fit,
    pairs,
    published_grid,
    row_means,
)
from effnet.verdicts.contradictions import SIX_DIGITS
from effnet.verdicts.finding import COUNT, DIFFERS, Finding, close, sentence

FOUR_DIGITS = 5.1e-5
SIX, FOUR = "six published digits", "four published digits"
HIGH = (0.4, 0.5, 0.6)  # dropout rates that RGB met with other settings only


def findings(expected: dict[str, str]) -> dict[str, Finding]:
    """Findings by claim id."""
    grid, history = published_grid(), thesis.histories().query("run == 'SAN-469'")
    of = dict(list(grid.groupby("group")))
    rgb, gray, tuned = of["scratch_rgb"], of["scratch_gray"], of["pretrained"]
    return {
        "X20": _one_rate(expected["X20"], history, grid),
        "X21": _best_at_high_dropout(expected["X21"], rgb),
        "X22": _never_met(expected["X22"], rgb, gray),
        "X23": _patience(expected["X23"], rgb),
        "X24": _batches(expected["X24"], rgb, gray),
        "X25": _gray_against_rgb(expected["X25"], rgb, gray),
        "X26": _decay_per_epoch(expected["X26"], grid),
        "X27": _interrupted(expected["X27"], grid),
        "X28": _mixed_groups(expected["X28"], grid),
        "X29": _left_out(expected["X29"], tuned, grid),
        "X30": _counts(expected["X30"], grid),
        "X31": _repeats(expected["X31"], tuned),
        "X32": _best_of_fifteen(expected["X32"], tuned),
        "X33": _threshold(expected["X33"], history),
        "X34": _end_of_training(expected["X34"], history),
        "X35": _without_interrupted(expected["X35"], gray),
    }


def _one_rate(expected: str, history: pd.DataFrame, grid: pd.DataFrame) -> Finding:
    rates = history["lr"].drop_duplicates().tolist()
    others = grid[(grid["initial_lr"] == rates[0]) & (grid["run"] != "SAN-469")]
    found = f"The logged rates of SAN-469; {', '.join(others['run'])} very likely too, of "
    found += f"{len(grid)} runs {int((grid['initial_lr'] == 1e-3).sum())} had 0.001 and 0.1"
    return close([rates[0], rates[1] / rates[0]], expected, 1e-9, "logged", found, digits=None)


def _best_at_high_dropout(expected: str, rgb: pd.DataFrame) -> Finding:
    best = [rgb.loc[rgb[rgb["dropout_rate"] == rate][ACCURACY].idxmax()] for rate in HIGH]
    low = all(run["initial_lr"] < 1e-3 for run in best)
    rest = rgb[rgb["initial_lr"] == 1e-3].groupby("dropout_rate")[ACCURACY].max()[list(HIGH)]
    found = f"{', '.join(run['run'] for run in best)}, all with a tenth of the rate; without them "
    found += f"the best are {_list(rest)}"
    finding = close([float(run[ACCURACY]) for run in best], expected, SIX_DIGITS, SIX, found, 6)
    return _only_if(low, finding)


def _never_met(expected: str, rgb: pd.DataFrame, gray: pd.DataFrame) -> Finding:
    alike = ["weight_decay", "batch_size", "initial_lr"]
    high = rgb[rgb["dropout_rate"] >= 0.4]
    good = rgb[(rgb["dropout_rate"] < 0.4) & (rgb[ACCURACY] > 0.7)]
    shared = high[alike].drop_duplicates().merge(good[alike].drop_duplicates())
    hard = "weight_decay == 0.3 and batch_size == 32 and not interrupted"
    values = [*high.query(hard)[ACCURACY], *gray.query(hard)[ACCURACY]]
    large = rgb.query("weight_decay == 0.3 and batch_size == 96")[ACCURACY]
    found = f"{len(shared)} settings in common. Decay 0.3 at batch 32: {len(values) - 2} RGB runs "
    found += f"with dropout 0.4 to 0.6, 2 gray ones with 0 and 0.1; at batch 96 {_list(large)}"
    return _only_if(shared.empty, close(values, expected, FOUR_DIGITS, FOUR, found))


def _patience(expected: str, rgb: pd.DataFrame) -> Finding:
    short, long = rgb.query(_rgb(3)), rgb.query(f"{_rgb(7)} and batch_size == 96")
    both = pairs(short, long, ["dropout_rate", "weight_decay"])
    least = rgb.query(_rgb(7))["weight_decay"].min()
    cells = "; ".join(f"{cell.a:.4f} and {cell.b:.4f}" for cell in both.itertuples())
    found = f"{len(short)} and {len(long)} runs; {len(both)} cell has both, {cells}; patience 7 at "
    found += f"rate 0.001 met no decay below {least:g}"
    values = [short[ACCURACY].mean(), long[ACCURACY].mean()]
    return close(values, expected, FOUR_DIGITS, FOUR, found)


def _rgb(patience: int) -> str:
    return f"lr_patience == {patience} and initial_lr == 0.001"


def _batches(expected: str, rgb: pd.DataFrame, gray: pd.DataFrame) -> Finding:
    good = rgb[rgb[ACCURACY] > 0.55]["batch_size"].unique()
    sizes = [int(size) for size in [*gray["batch_size"].unique(), *good]]
    large = int((rgb["batch_size"] == 96).sum())
    found = f"{large} RGB runs at 96 and {len(rgb) - large} at 32, all {len(gray)} gray ones at 32"
    return close(sizes, expected, 0.0, COUNT, found)


def _gray_against_rgb(expected: str, rgb: pd.DataFrame, gray: pd.DataFrame) -> Finding:
    gaps, words = [], []
    same = pairs(
        gray.query("weight_decay == 0.2"), rgb, ["weight_decay", "dropout_rate", "lr_patience"]
    )
    rate = pairs(gray, rgb, ["decay_per_epoch", "dropout_rate", "lr_patience"])
    rate = rate[rate["decay_per_epoch"] == 0.0255]
    for name, found in (("decay 0.2", same), ("decay per epoch 0.0255", rate)):
        gap = found["a"] - found["b"]
        gaps.append(float(gap.mean()))
        words.append(f"at equal {name} gray is ahead in {int((gap > 0).sum())} of {len(gap)}")
    return close(gaps, expected, FOUR_DIGITS, FOUR, sentence("; ".join(words)))


def _decay_per_epoch(expected: str, grid: pd.DataFrame) -> Finding:
    best = [grid[grid["run"] == run].iloc[0] for run in ("SAN-448", "SAN-437")]
    words = [f"{r['initial_lr']:g} x {r['weight_decay']:g} x {r['steps']}" for r in best]
    values = [float(run["decay_per_epoch"]) for run in best]
    return close(values, expected, 1e-9, "arithmetic", " and ".join(words))


def _interrupted(expected: str, grid: pd.DataFrame) -> Finding:
    runs = grid[grid["interrupted"]].sort_values("run", ascending=False)
    rows = row_means(grid)
    rows = rows[rows["parameter"] == "dropout_rate"]
    found = "; ".join(
        f"{r.group} dropout 0.2: {r.mean:.4f}, without {r.without:.4f}" for r in rows.itertuples()
    )
    learned = _list(runs["published_max_train_acc"])
    names = ", ".join(runs["run"])
    found = f"{names}: no prediction file, training accuracy {learned}; {found}"
    return close(runs[ACCURACY].tolist(), expected, SIX_DIGITS, SIX, found, digits=6)


def _mixed_groups(expected: str, grid: pd.DataFrame) -> Finding:
    scratch = grid[grid["group"] != "pretrained"].groupby("dropout_rate")[ACCURACY]
    counts = grid[grid["group"] == "pretrained"]["dropout_rate"].value_counts()
    tuned = "; ".join(str(counts.get(rate, 0)) for rate in scratch.groups)
    found = f"Runs from scratch alone ({_list(scratch.size(), 0)} runs); pretrained ones: {tuned}"
    return close(scratch.mean().tolist(), expected, FOUR_DIGITS, FOUR, found)


def _left_out(expected: str, tuned: pd.DataFrame, grid: pd.DataFrame) -> Finding:
    run = thesis.published_runs().set_index("run").loc["SAN-414"]
    value = float(run["max_val_acc"])
    heat = thesis.heatmaps_exact().query("group == 'pretrained' and parameter == 'lr_patience'")
    mean = (tuned[ACCURACY].sum() + value) / (len(tuned) + 1)
    fits = abs(mean - heat["max_val_acc_mean"].iloc[0]) <= 1e-6
    better = int((grid.loc[grid["group"] != "pretrained", ACCURACY] > value).sum())
    found = f"As sixteenth run it makes the patience heatmap's mean {mean:.6f}; the 15 alone have "
    found += f"{tuned[ACCURACY].mean():.6f}; {better} runs from scratch are better"
    return _only_if(fits, close(value, expected, SIX_DIGITS, SIX, found, digits=6))


def _counts(expected: str, grid: pd.DataFrame) -> Finding:
    drawn = thesis.prediction_matrix_runs()["run"]
    table = set(grid["run"]) | {"SAN-414"}
    left = sorted(table - set(drawn))
    return close(
        [len(table), len(grid), len(drawn)], expected, 0.0, COUNT, f"Without {', '.join(left)}"
    )


def _repeats(expected: str, tuned: pd.DataFrame) -> Finding:
    cells = tuned.groupby(["dropout_rate", "weight_decay"])[ACCURACY]
    twice = cells.filter(lambda values: len(values) > 1)
    residual = twice - cells.transform("mean").loc[twice.index]
    pooled = math.sqrt((residual**2).sum() / (len(twice) - int((cells.size() > 1).sum())))
    tests = additive_fit(tuned.query(LIKE["pretrained"]))[0]
    words = [
        f"{r.factor} F({r.df}, {r.df_residual}) {r.F:.2f}, p {r.p:.2f}" for r in tests.itertuples()
    ]
    found = f"Over the 15 runs, and pooled over two repeated cells; {'; '.join(words)}"
    return close([float(tuned[ACCURACY].std()), pooled], expected, FOUR_DIGITS, FOUR, found)


def _best_of_fifteen(expected: str, tuned: pd.DataFrame) -> Finding:
    mean, sd = float(tuned[ACCURACY].mean()), float(tuned[ACCURACY].std())
    away = (float(tuned[ACCURACY].max()) - mean) / sd
    found = (
        f"The expected best of {len(tuned)} such runs is {expected_best(mean, sd, len(tuned)):.4f}"
    )
    return close([mean, away], expected, [FOUR_DIGITS, 0.05], "as many digits as published", found)


def _threshold(expected: str, history: pd.DataFrame) -> Finding:
    """PyTorch's own scheduler, fed with the logged validation losses."""
    logged = lr_drops(history)
    given = {t: _scheduled(history, t) for t in (1e-4, 1e-3)}
    found = f"From the logged losses threshold 1e-4 gives {_words(given[1e-4])}, 1e-3 would give "
    found += _words(given[1e-3])
    finding = close(given[1e-4], expected, 0.0, "epochs of the logged drops", found)
    return _only_if(given[1e-4] == logged != given[1e-3], finding)


def _scheduled(history: pd.DataFrame, threshold: float) -> list[int]:
    """First epochs at each lower rate under ReduceLROnPlateau with patience 7."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.05, patience=7, threshold=threshold
    )
    rates = []
    for loss in history["val_loss"]:
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step(loss)
    return lr_drops(history.assign(lr=rates))


def _end_of_training(expected: str, history: pd.DataFrame) -> Finding:
    accuracy = history.set_index("epoch")["val_acc"]
    lowest = history.set_index("epoch")["val_loss"].idxmin()
    values = [accuracy.max(), accuracy.iloc[-1], accuracy[lowest]]
    found = f"Best (epoch {accuracy.idxmax()}), last ({accuracy.index[-1]}), lowest loss ({lowest})"
    return close([float(v) for v in values], expected, SIX_DIGITS, SIX, found, digits=6)


def _without_interrupted(expected: str, gray: pd.DataFrame) -> Finding:
    runs = gray.query("weight_decay == 0.3 and not interrupted")
    found = (
        f"{', '.join(runs['run'])}, training accuracy only {_list(runs['published_max_train_acc'])}"
    )
    return close(runs[ACCURACY].tolist(), expected, SIX_DIGITS, SIX, found, digits=6)


def _only_if(condition: bool, finding: Finding) -> Finding:
    """The finding where its condition holds too; else it is not borne out."""
    return finding if condition else replace(finding, verdict=DIFFERS)


def _list(values: pd.Series, digits: int = 4) -> str:
    return "; ".join(f"{value:.{digits}f}" for value in values)


def _words(epochs: list[int]) -> str:
    return ", ".join(map(str, epochs)) or "none"
