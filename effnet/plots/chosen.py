"""Which run each figure of curves shows, and where else the same run is shown."""

import pandas as pd

from effnet.plots.groups import best_of, of_group

# Figure 19 is of the first of these groups in which a learning rate fell.
FALLING = ("scratch_gray", "scratch_rgb", "scratch_lite", "pretrained")
BEST = {"20": "pretrained", "26": "scratch_rgb", "29": "scratch_gray"}  # figure: group
FELL, CHARTED = "SAN-459", "SAN-471"  # the thesis's own choice in figures 19 and 15


def falling(runs: pd.DataFrame) -> tuple[pd.Series | None, bool]:
    """The run of figure 19, and whether its learning rate fell.

    SAN-459 where its rate fell; else the run with the most drops among the grayscale ones, or where
    none of those has any, of the next group of `FALLING` that has. Among equals it is the best.
    Where no rate fell it is the best run of the first group that has runs.
    """
    drops = runs["lr_drops"].astype(str).str.count(r"\d+") if len(runs) else 0
    runs = runs.assign(drops=drops)
    sets = [(group, of_group(runs, group)) for group in FALLING]
    for group, known in [(FALLING[0], runs[runs["name"] == FELL]), *sets]:
        if (known["drops"] > 0).any():
            return best_of(known[known["drops"] == known["drops"].max()], group), True
    first = next((group for group, known in sets if len(known)), FALLING[0])
    return best_of(runs, first), False


def charted(runs: pd.DataFrame) -> pd.Series | None:
    """The run of figure 15: SAN-471, else the best grayscale run from scratch."""
    own = runs[runs["name"] == CHARTED]
    return own.iloc[0] if len(own) else best_of(runs, "scratch_gray")


def also_shown(runs: pd.DataFrame, run: pd.Series | None, figure: str) -> str:
    """A clause that names the other figures of curves which show the run of `figure`, too."""
    if run is None:
        return ""
    shown = {"15": charted(runs), "19": falling(runs)[0]}
    shown |= {number: best_of(runs, group) for number, group in BEST.items()}
    same = [
        number
        for number, other in shown.items()
        if number != figure and other is not None and other["trial_id"] == run["trial_id"]
    ]
    return f"; the run of figure{'s' * (len(same) > 1)} {' and '.join(same)}, too" if same else ""
