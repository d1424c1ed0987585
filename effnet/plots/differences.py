"""The thesis's comparisons as differences, each with its interval over seeds.

One table for the verdicts (`effnet.verdicts.comparisons`), the figure `overview` and the page in
short, so that all three tell the same numbers.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from effnet import thesis
from effnet.plots.groups import PUBLISHED_BEST, grid_draws, group_name, setting_keys
from effnet.plots.listing import lr_drops
from effnet.plots.one_factor import ACCURACY, crop_table
from effnet.plots.scatter import mean_interval, seeds_apart
from effnet.runs import metrics

EPOCHS_AROUND_A_DROP = 3
# claim, the two groups, words; without words the groups' names are put together.
ASKED = (
    ("C078", "pretrained", "scratch_lite", ""),
    ("C078", "pretrained", "scratch_rgb", ""),
    ("C087", "pretrained", "pretrained_frozen", "all layers less the last alone"),
)
THEIRS = {"scratch_lite": "scratch_rgb"}  # the thesis's group in place of one that it lacks
PAIRED = ["dropout_rate", "weight_decay", "seed", "batch_size", "initial_lr", "lr_patience"]
WELCH, STUDENT = "Welch's 95 % interval", "Student's 95 % interval"
COLUMNS = ["claim", "question", "difference", "interval", "over", "method", "published", "missing"]
# A difference and half its interval, fractions of 1; over what; the method.
Measured = tuple[float, float, str, str]


class NotRepeated(Exception):
    """There are too few runs for an interval; the message says of what."""


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """A row per question that these finished runs (as from `load_runs`) are about.

    Columns: `claim` (its id; "" where the thesis asks nothing), `question` in words, `difference`
    of the best validation accuracies by the thesis's definition (positive where it says so) and
    half of its 95 % `interval`, both in percentage points, `over` which seeds, pairs or runs, by
    which `method`, the `published` difference (points, NaN where there is none), and `missing`: why
    a row has no interval, else "".
    """
    rows: list[dict[str, Any]] = []
    for claim, a, b, words in ASKED if len(runs) else ():
        if {a, b} <= set(runs["group"]):
            words = words or f"{group_name(a)} less {group_name(b)}{_other_model(runs, a, b)}"
            measure = partial(_seeds, runs, a, b)
            rows.append(_row(claim, words, measure, published_difference(a, b)))
    gray, rgb = "scratch_gray", "scratch_rgb"
    if len(runs) and {gray, rgb} <= set(runs["group"]):
        published = published_difference(gray, rgb)
        rows.append(_row("C110", "grayscale less RGB", partial(_pairs, runs, gray, rgb), published))
    for crop in crop_table(runs).to_dict("records"):
        words = f"boxes less whole photographs, {group_name(crop['group'])}"
        rows.append(_row("", words, partial(_boxes, crop)))
    if len(runs) and runs["group"].str.startswith("scratch").any():
        drawn = grid_draws(runs)
        words = "what the first drop of the learning rate adds"
        scratch = drawn[drawn["group"].str.startswith("scratch")]
        rows.append(_row("C070", words, partial(_drops, scratch, "from scratch")))
        if (runs["group"] == "pretrained").any():
            tuned = drawn[drawn["group"] == "pretrained"]
            rows.append(_row("", f"{words}, pretrained", partial(_drops, tuned, "pretrained")))
    return pd.DataFrame(rows, columns=COLUMNS)


def repeated(runs: pd.DataFrame, group: str) -> pd.DataFrame:
    """The runs of a group's setting that most seeds were trained of, one per seed.

    Raises NotRepeated where no setting of the group has a second seed.
    """
    runs = runs[runs["group"] == group] if len(runs) else runs
    if runs.empty:
        raise NotRepeated("no finished run")
    keys = setting_keys(runs)
    seeds = runs.groupby(keys)["seed"].nunique()
    if seeds.max() < 2:
        raise NotRepeated("one seed only")
    return runs[keys == seeds.idxmax()].drop_duplicates("seed")


def published_difference(a: str, b: str) -> float:
    """The thesis's best run of group `a` less its best of `b`, in percentage points."""
    best = thesis.published_runs().set_index("run")["max_val_acc"]
    first, second = (best[PUBLISHED_BEST[THEIRS.get(group, group)]] for group in (a, b))
    return 100 * float(first - second)


def model_label(name: str) -> str:
    """A network as people write it: `b0` is B0; others are called as the kit calls them."""
    return name.upper() if re.fullmatch(r"b\d", name) else name


def _row(
    claim: str, question: str, measure: Callable[[], Measured], published: float = np.nan
) -> dict[str, Any]:
    row = {"claim": claim, "question": question, "published": published}
    try:
        difference, half, over, method = measure()
    except NotRepeated as why:
        return row | {"over": "", "method": "", "missing": str(why)}
    measured = {"difference": 100 * difference, "interval": 100 * half}
    return row | measured | {"over": over, "method": method, "missing": ""}


def _seeds(runs: pd.DataFrame, a: str, b: str) -> Measured:
    """Between the repeated settings of two groups."""
    first, second = (repeated(runs, group)[ACCURACY] for group in (a, b))
    return *seeds_apart(first, second), f"{len(first)} and {len(second)} seeds", WELCH


def _pairs(runs: pd.DataFrame, a: str, b: str) -> Measured:
    """Pair by pair of equal dropout, decay and seed."""
    sides = []
    for group in (a, b):
        repeated(runs, group)  # a pair of single runs is one draw
        sides.append(runs[runs["group"] == group].set_index(PAIRED)[ACCURACY])
    both = pd.concat(sides, axis=1, join="inner", keys=["a", "b"])
    if len(both) < 2:
        raise NotRepeated("no equal pairs")
    gaps = both["a"] - both["b"]
    over = f"{len(gaps)} pairs of equal settings and seeds"
    return gaps.mean(), mean_interval(gaps), over, STUDENT


def _boxes(crop: dict[str, Any]) -> Measured:
    if np.isnan(crop["interval"]):
        raise NotRepeated("one seed only")
    over = f"{crop['seeds cropped']} and {crop['seeds whole']} seeds"
    return crop["difference"], crop["interval"], over, WELCH


def _drops(runs: pd.DataFrame, words: str) -> Measured:
    """What validation accuracy gains over a drop of the rate, beyond what it gained before."""
    gains, around = [], EPOCHS_AROUND_A_DROP
    for _, run in runs.iterrows():
        history = metrics(run)
        accuracy = history["val_acc_batch_mean"].to_numpy()
        for drop in lr_drops(history)[:1]:
            if around * 2 <= drop and drop + around <= len(accuracy):
                before = accuracy[drop - 2 * around : drop - around].mean()
                last = accuracy[drop - around : drop].mean()
                after = accuracy[drop : drop + around].mean()
                gains.append((after - last) - (last - before))
    if len(gains) < 2:
        raise NotRepeated("too few drops")
    return float(np.mean(gains)), mean_interval(gains), f"{len(gains)} runs, {words}", STUDENT


def _other_model(runs: pd.DataFrame, a: str, b: str) -> str:
    """The second group's network in brackets, where it is another one and no name tells."""
    first, second = (runs.loc[runs["group"] == group, "model_name"].iloc[0] for group in (a, b))
    return "" if first == second or second in group_name(b) else f" ({model_label(second)})"
