"""What runs on a part of Stanford Cars, or on smaller pictures of it, can say of the thesis.

A claim that compares (pretrained above scratch, grayscale beside RGB, ...) has a direction, which
does not need the thesis's own numbers: it is judged from the difference over seeds and its 95 %
interval. Plain numbers keep "needs real data".
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from effnet.plots.answers import answers, correct
from effnet.plots.groups import grid_draws, setting_keys
from effnet.plots.listing import lr_drops
from effnet.plots.scatter import Scatter, mean_interval, range_limit, seed_scatter, seeds_apart
from effnet.runs import metrics
from effnet.verdicts.finding import (
    OPPOSITE_DIRECTION,
    SAME_DIRECTION,
    WITHIN_SPREAD,
    Finding,
    sentence,
)
from effnet.verdicts.trained import ACCURACY, NotTrained, Trained

EARLY = 20 / 150  # the thesis's epoch 20, as a share of the epochs a run may have
EPOCHS_AROUND_A_DROP = 3
MEANINGFUL = 0.05  # a change of accuracy that would count as an influence


def findings(trained: Trained) -> dict[str, Finding]:
    """Findings by claim id, of those claims whose runs are there."""
    judges: Mapping[str, Callable[[Trained], Finding]] = {
        "C070": _drops_help,
        "C078": _pretrained_ahead,
        "C079": _learns_fast,
        "C081": lambda t: _hardly_matters(t, "pretrained", "dropout_rate"),
        "C082": lambda t: _hardly_matters(t, "pretrained", "weight_decay"),
        "C087": _frozen_behind,
        "C099": lambda t: _matters(t, "scratch_rgb", "weight_decay"),
        "C100": lambda t: _matters(t, "scratch_rgb", "dropout_rate"),
        "C110": _gray_ahead,
        "C115": _gray_closer,
        "C117": _share_hard_images,
    }
    found = {}
    for claim, judge in judges.items():
        try:
            finding = judge(trained)
        except NotTrained:
            continue
        reason = f"{finding.reason}; {_unlike(trained)}"
        found[claim] = replace(finding, reason=reason, found=f"{finding.found}; {trained.label}")
    return found


def _pretrained_ahead(trained: Trained) -> Finding:
    tuned = _repeated(trained, "pretrained")
    groups = [g for g in ("scratch_lite", "scratch_rgb") if g in set(trained.runs["group"])]
    scratch = {group: _repeated(trained, group) for group in groups}
    if not scratch:
        raise NotTrained("no run from scratch")
    group, runs = next(iter(scratch.items()))
    finding = _difference(tuned[ACCURACY], runs[ACCURACY], f"pretrained less {group}")
    others = [
        f"less {name} {100 * (tuned[ACCURACY].mean() - part[ACCURACY].mean()):+.1f}"
        for name, part in scratch.items()
        if name != group
    ]
    return replace(finding, found="; ".join([finding.found, *others]))


def _frozen_behind(trained: Trained) -> Finding:
    tuned, frozen = _repeated(trained, "pretrained"), _repeated(trained, "pretrained_frozen")
    return _difference(tuned[ACCURACY], frozen[ACCURACY], "all layers less the last alone")


def _gray_ahead(trained: Trained) -> Finding:
    """Gray less RGB, pair by pair of equal dropout, decay and seed."""
    fields = ["dropout_rate", "weight_decay", "seed", "batch_size", "initial_lr", "lr_patience"]
    sides = []
    for group in ("scratch_gray", "scratch_rgb"):
        runs = _of(trained, group)
        _repeated(trained, group)  # a pair of single runs is one draw
        sides.append(runs.set_index(fields)[ACCURACY])
    both = pd.concat(sides, axis=1, join="inner", keys=["gray", "rgb"])
    if len(both) < 2:
        raise NotTrained("no pairs of equal settings")
    gap = both["gray"] - both["rgb"]
    words = f"grayscale less RGB, {len(gap)} pairs of equal settings and seeds"
    return _verdict(gap.mean(), mean_interval(gap), words, "Student's t over the pairs")


def _gray_closer(trained: Trained) -> Finding:
    """How much smaller the gap of validation and training loss is early on, in grayscale."""
    gaps = {}
    for group in ("scratch_rgb", "scratch_gray"):
        runs = _repeated(trained, group)
        values = []
        for _, run in runs.iterrows():
            history = metrics(run)
            row = history.iloc[min(len(history) - 1, round(EARLY * run["epochs"]))]
            values.append(row["val_loss_batch_mean"] - row["train_loss_batch_mean"])
        gaps[group] = pd.Series(values)
    rgb, gray = gaps["scratch_rgb"], gaps["scratch_gray"]
    return _difference(rgb, gray, "RGB's gap of losses less grayscale's", percent=False)


def _drops_help(trained: Trained) -> Finding:
    """What validation accuracy gains over a drop of the rate, beyond what it gained before."""
    gains, around = [], EPOCHS_AROUND_A_DROP
    runs = grid_draws(trained.runs)
    for _, run in runs[runs["group"].str.startswith("scratch")].iterrows():
        history = metrics(run)
        accuracy = history["val_acc_batch_mean"].to_numpy()
        for drop in lr_drops(history)[:1]:
            if around * 2 <= drop and drop + around <= len(accuracy):
                before, last = (
                    accuracy[drop - 2 * around : drop - around],
                    accuracy[drop - around : drop],
                )
                after = accuracy[drop : drop + around]
                gains.append((after.mean() - last.mean()) - (last.mean() - before.mean()))
    if len(gains) < 2:
        raise NotTrained("no two runs whose rate fell")
    words = f"gain over the first drop beyond that before it, {len(gains)} runs from scratch"
    return _verdict(np.mean(gains), mean_interval(gains), words, "Student's t over the runs")


def _learns_fast(trained: Trained) -> Finding:
    """The epoch at which fine-tuning passes the best of all runs from scratch: before the tenth?"""
    scratch = trained.runs[trained.runs["group"].str.startswith("scratch")]
    tuned = _repeated(trained, "pretrained")
    if scratch.empty:
        raise NotTrained("no run from scratch")
    best, epochs = scratch[ACCURACY].max(), []
    for _, run in tuned.iterrows():
        history = metrics(run)
        passed = history.loc[history["val_acc_batch_mean"] > best, "epoch"]
        epochs.append(int(passed.iloc[0]) if len(passed) else None)
    early = [epoch is not None and epoch < 10 for epoch in epochs]
    verdict = SAME_DIRECTION if all(early) else WITHIN_SPREAD if any(early) else OPPOSITE_DIRECTION
    got = "; ".join("never" if epoch is None else f"epoch {epoch}" for epoch in epochs)
    found = f"Fine-tuning passes the best run from scratch ({best:.3f})"
    return Finding(verdict, got, "before 10", f"every one of {len(epochs)} seeds", found)


def _levels(trained: Trained, group: str, parameter: str) -> tuple[pd.Series, Scatter]:
    """Mean accuracy by value of a parameter, all else equal; how far runs scatter over seeds here.

    The thesis's own scatter says nothing about other images.
    """
    runs = _of(trained, group)
    scatter = seed_scatter(runs)
    if scatter is None:
        raise NotTrained(f"no setting of {group} has a second seed")
    runs = grid_draws(runs)
    if runs.empty:
        raise NotTrained(f"no run of {group} is the first of its setting")
    keys = setting_keys(runs, parameter)
    runs = runs[keys == keys.value_counts().index[0]]
    levels = runs.groupby(parameter)[ACCURACY].mean()
    if len(levels) < 2:
        raise NotTrained(f"{parameter} does not vary")
    return levels, scatter


def _hardly_matters(trained: Trained, group: str, parameter: str) -> Finding:
    levels, scatter = _levels(trained, group, parameter)
    width, limit = float(levels.max() - levels.min()), range_limit(scatter, len(levels))
    # What chance alone could hide is no evidence that nothing is there.
    verdict = SAME_DIRECTION if limit <= MEANINGFUL else WITHIN_SPREAD
    verdict = verdict if width <= limit else OPPOSITE_DIRECTION
    return _range(verdict, levels, limit, scatter.words)


def _matters(trained: Trained, group: str, parameter: str) -> Finding:
    levels, scatter = _levels(trained, group, parameter)
    width, limit = float(levels.max() - levels.min()), range_limit(scatter, len(levels))
    verdict = SAME_DIRECTION if width > limit else WITHIN_SPREAD
    return _range(verdict, levels, limit, scatter.words)


def _range(verdict: str, levels: pd.Series, limit: float, words: str) -> Finding:
    cells = ", ".join(f"{value:g}: {accuracy:.3f}" for value, accuracy in levels.items())
    width = 100 * (levels.max() - levels.min())
    reason = f"what runs of one setting span in 95 of 100 cases ({words})"
    found = f"Range over {levels.index.name.replace('_', ' ')}, all else equal: {cells}"
    return Finding(verdict, f"{width:.1f} pp", f"{100 * limit:.1f} pp", reason, found)


def _share_hard_images(trained: Trained) -> Finding:
    """Images that no run gets right, beyond what runs with errors of their own would leave."""
    matrix = correct(answers(trained.grid()))
    never = int((~matrix.any(axis=1)).sum())
    chance = len(matrix) * float(np.prod(1 - matrix.mean()))
    low, high = stats.poisson.ppf([0.025, 0.975], chance)
    verdict = (
        SAME_DIRECTION if never > high else OPPOSITE_DIRECTION if never < low else WITHIN_SPREAD
    )
    found = f"Images of {len(matrix)} that none of {matrix.shape[1]} runs gets right"
    return Finding(
        verdict,
        f"{never}",
        f"{low:.0f} to {high:.0f}",
        "by chance, if runs erred independently",
        found,
    )


def _of(trained: Trained, group: str) -> pd.DataFrame:
    runs = trained.runs[trained.runs["group"] == group] if len(trained.runs) else trained.runs
    if runs.empty:
        raise NotTrained(f"no finished run of {group}")
    return runs


def _repeated(trained: Trained, group: str) -> pd.DataFrame:
    """The runs of a group's setting that most seeds were trained of: two at least."""
    runs = _of(trained, group)
    keys = setting_keys(runs)
    seeds = runs.groupby(keys)["seed"].nunique()
    if seeds.max() < 2:
        raise NotTrained(f"no setting of {group} has a second seed")
    return runs[keys == seeds.idxmax()].drop_duplicates("seed")


def _difference(a: pd.Series, b: pd.Series, words: str, percent: bool = True) -> Finding:
    reason = f"Welch's 95 % interval, {len(a)} and {len(b)} seeds"
    return _verdict(*seeds_apart(a, b), words, reason, percent)


def _verdict(
    difference: float, half: float, words: str, reason: str, percent: bool = True
) -> Finding:
    """The direction of a difference that is positive by the thesis."""
    low, high = difference - half, difference + half
    scale, unit = (100, " pp") if percent else (1, "")
    got = f"{scale * difference:+.2f}{unit} ({scale * low:+.2f} to {scale * high:+.2f})"
    verdict = WITHIN_SPREAD
    if low > 0 or high < 0:
        verdict = SAME_DIRECTION if difference > 0 else OPPOSITE_DIRECTION
    return Finding(verdict, got, f"±{scale * half:.2f}{unit}", reason, sentence(words))


def _unlike(trained: Trained) -> str:
    """How the setting differs from the thesis's: its size and networks; B0 at 224 px."""
    runs = trained.runs
    sides = ", ".join(f"{side:g}" for side in sorted(runs["image_size"].unique()))
    models = ", ".join(sorted(runs["model_name"].unique()))
    return f"{models} at {sides} px where the thesis had b0 at 224"
