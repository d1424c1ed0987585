"""The runs of a profile as evidence: which of them count, and how far seeds scatter."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from effnet import thesis
from effnet.plots.groups import GRID, seed_spread
from effnet.verdicts.finding import CANNOT_BE_CHECKED, Finding, needs_real_data

# Runs that the thesis names outside its grid (section 5.4): they are in no heatmap.
SINGLE = ("SAN-319", "SAN-474")
ACCURACY = "max_val_acc_batch_mean"

# What the tolerances rest on; the thesis set no seed, so each of its numbers is one draw.
PRETRAINED = 0.01
PRETRAINED_REASON = "one unseeded run; the thesis's 15 pretrained runs lie within 0.009"
SCRATCH = 0.025
SCRATCH_REASON = "one unseeded run from scratch; neighbours in figure 30 differ by 0.01 to 0.04"


class NotTrained(Exception):
    """The runs that a claim is about are not there; the message says which."""


@dataclass(frozen=True)
class Trained:
    """Finished runs of a profile.

    Attributes:
        runs: rows of `load_runs` that count.
        real: whether they saw the whole of Stanford Cars as the thesis did.
        label: name of their data, for comments ("demo data").
    """

    runs: pd.DataFrame
    real: bool
    label: str

    def grid(self, group: str = "all") -> pd.DataFrame:
        """The first-seed runs of the heatmaps' grid of one group, or of all three.

        Raises NotTrained without any, and on real data while cells of the grid are missing.
        """
        groups = GRID if group == "all" else (group,)
        runs = self.runs
        if not runs.empty:
            again = runs["name"].str.contains(r" seed \d+$", regex=True)
            runs = runs[runs["group"].isin(groups) & ~runs["name"].isin(SINGLE) & ~again]
        if runs.empty:
            raise NotTrained(f"no finished run of {' or '.join(groups)}")
        if self.real:
            cells = thesis.grid().query("group in @groups")
            columns = ["group", "dropout_rate", "weight_decay", "lr_patience"]
            wanted = set(cells[columns].itertuples(index=False, name=None))
            missing = wanted - set(runs[columns].itertuples(index=False, name=None))
            if missing:
                done = len(wanted) - len(missing)
                raise NotTrained(f"{done} of {len(wanted)} settings of the grid are finished")
        return runs

    def best(self, group: str) -> pd.Series:
        """The grid run of a group with the highest validation accuracy (thesis's definition)."""
        runs = self.grid(group)
        return runs.loc[runs[ACCURACY].idxmax()]

    def named(self, name: str) -> pd.Series:
        """The run with this name; raises NotTrained."""
        runs = self.runs[self.runs["name"] == name] if len(self.runs) else self.runs
        if runs.empty:
            raise NotTrained(f"run {name} is not finished")
        return runs.iloc[0]

    def spread(self, *groups: str) -> float:
        """The widest range of the best accuracy over seeds of one setting; NaN when unknown."""
        runs = self.runs[self.runs["group"].isin(groups)] if len(self.runs) else self.runs
        return math.nan if runs.empty else seed_spread(runs)[1]


def judge_trained(trained: Trained, judges: dict[str, Callable[[], Finding]]) -> dict[str, Finding]:
    """Run each claim's judge; off real data its result becomes a comment, never a verdict."""
    findings = {}
    for claim, judge in judges.items():
        try:
            finding = judge()
        except NotTrained as missing:
            findings[claim] = needs_real_data(_sentence(str(missing)))
            continue
        except (OSError, KeyError, ValueError) as error:  # EffnetError is a ValueError
            findings[claim] = Finding(CANNOT_BE_CHECKED, found=f"A run's files: {error}")
            continue
        if not trained.real:
            details = f" ({finding.found})" if finding.found else ""
            finding = needs_real_data(f"{_sentence(trained.label)}: {finding.got}{details}")
        findings[claim] = finding
    return findings


def with_spread(finding: Finding, spread: float) -> Finding:
    """Say in the comment how wide seeds scatter, where that is known."""
    if math.isnan(spread):
        return finding
    note = f"seeds of one setting differ by up to {spread:.3f}"
    return replace(finding, found="; ".join(part for part in (finding.found, note) if part))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
