"""What runs on a part of Stanford Cars, or on smaller pictures of it, can say of the thesis.

A claim that compares (pretrained above scratch, grayscale beside RGB, ...) has a direction, which
does not need the thesis's own numbers: it is judged from the difference over seeds and its 95 %
interval. Plain numbers keep "needs real data".
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from effnet.plots.answers import answers, correct
from effnet.plots.differences import WELCH, NotRepeated, differences, repeated
from effnet.plots.groups import grid_draws, setting_keys
from effnet.plots.scatter import Scatter, range_limit, seed_scatter, seeds_apart
from effnet.runs import metrics
from effnet.verdicts.finding import (
    NEEDS_REAL_DATA,
    OPPOSITE_DIRECTION,
    SAME_DIRECTION,
    WITHIN_SPREAD,
    Finding,
    sentence,
)
from effnet.verdicts.trained import ACCURACY, NotTrained, Trained

EARLY = 20 / 150  # the thesis's epoch 20, as a share of the epochs a run may have
MEANINGFUL = 0.05  # a change of accuracy that would count as an influence


def findings(trained: Trained) -> dict[str, Finding]:
    """Findings by claim id, of those claims whose runs are there."""
    table = differences(trained.runs)
    judges: Mapping[str, Callable[[], Finding]] = {
        "C079": lambda: _learns_fast(trained),
        "C081": lambda: _hardly_matters(trained, "pretrained", "dropout_rate"),
        "C082": lambda: _hardly_matters(trained, "pretrained", "weight_decay"),
        "C099": lambda: _matters(trained, "scratch_rgb", "weight_decay"),
        "C100": lambda: _matters(trained, "scratch_rgb", "dropout_rate"),
        "C115": lambda: _gray_closer(trained),
        "C117": lambda: _share_hard_images(trained),
    } | {claim: partial(_apart, table, claim) for claim in set(table["claim"]) - {""}}
    found = {}
    for claim, judge in judges.items():
        try:
            finding = judge()
        except (NotTrained, NotRepeated):
            continue
        reason = f"{finding.reason}; {_unlike(trained)}"
        found[claim] = replace(finding, reason=reason, found=f"{finding.found}; {trained.label}")
    return found


def direction(difference: float, half: float) -> str:
    """The verdict on a difference that is positive by the thesis, by half of its interval."""
    if not abs(difference) > half:  # nor where the interval is not known
        return WITHIN_SPREAD
    return SAME_DIRECTION if difference > 0 else OPPOSITE_DIRECTION


def _apart(table: pd.DataFrame, claim: str) -> Finding:
    """The claim's first row of the differences; further rows of it stand in the comment."""
    rows = table[(table["claim"] == claim) & (table["missing"] == "")]
    if rows.empty:
        raise NotTrained("too few runs for an interval")
    first, *others = rows.to_dict("records")
    reason = f"{first['method']}, {first['over']}"
    finding = _verdict(first["difference"], first["interval"], first["question"], reason, " pp")
    more = [f"{row['question']} {row['difference']:+.1f}" for row in others]
    return replace(finding, found="; ".join([finding.found, *more]))


def _gray_closer(trained: Trained) -> Finding:
    """How much smaller the gap of validation and training loss is early on, in grayscale."""
    gaps = {}
    for group in ("scratch_rgb", "scratch_gray"):
        runs = repeated(trained.runs, group)
        values = []
        for _, run in runs.iterrows():
            history = metrics(run)
            row = history.iloc[min(len(history) - 1, round(EARLY * run["epochs"]))]
            values.append(row["val_loss_batch_mean"] - row["train_loss_batch_mean"])
        gaps[group] = pd.Series(values)
    gap = seeds_apart(gaps["scratch_rgb"], gaps["scratch_gray"])
    reason = f"{WELCH}, {len(gaps['scratch_rgb'])} and {len(gaps['scratch_gray'])} seeds"
    return _verdict(*gap, "RGB's gap of losses less grayscale's", reason, "")


def _learns_fast(trained: Trained) -> Finding:
    """The epoch at which fine-tuning passes the best of all runs from scratch: before the tenth?"""
    scratch = trained.runs[trained.runs["group"].str.startswith("scratch")]
    tuned = repeated(trained.runs, "pretrained")
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
    if limit >= levels.max():  # accuracies end at 0: no range of such runs could be wider
        verdict = NEEDS_REAL_DATA
        reason += f"; at {100 * levels.max():.1f} % at best no range could be wider"
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


def _verdict(difference: float, half: float, words: str, reason: str, unit: str) -> Finding:
    """The direction of a difference that is positive by the thesis."""
    got = f"{difference:+.2f}{unit} ({difference - half:+.2f} to {difference + half:+.2f})"
    verdict = direction(difference, half)
    return Finding(verdict, got, f"±{half:.2f}{unit}", reason, sentence(words))


def _unlike(trained: Trained) -> str:
    """How the setting differs from the thesis's: its size and networks; B0 at 224 px."""
    runs = trained.runs
    sides = ", ".join(f"{side:g}" for side in sorted(runs["image_size"].unique()))
    models = ", ".join(sorted(runs["model_name"].unique()))
    return f"{models} at {sides} px where the thesis had b0 at 224"
