"""The runs of a profile as evidence: which of them count, and how far such runs scatter."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from effnet import thesis
from effnet.plots.groups import GRID, grid_draws, of_group
from effnet.plots.scatter import Scatter, half_width, published_scatter, seed_scatter
from effnet.verdicts.finding import CANNOT_BE_CHECKED, Finding, needs_real_data, sentence

ACCURACY = "max_val_acc_batch_mean"


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

    # A hundred claims ask for these again and again.
    @cached_property
    def _draws(self) -> pd.DataFrame:
        return grid_draws(self.runs)

    @cached_property
    def _scatters(self) -> dict[str, Scatter | None]:
        groups = self.runs["group"].unique() if len(self.runs) else []
        return {name: seed_scatter(self.runs[self.runs["group"] == name]) for name in groups}

    def grid(self, group: str = "all") -> pd.DataFrame:
        """The first-seed runs of the heatmaps' grid of one group, or of all three.

        Raises NotTrained without any, and on real data while cells of the grid are missing.
        """
        groups = GRID if group == "all" else (group,)
        runs = of_group(self._draws, group) if len(self._draws) else self._draws
        if runs.empty:
            raise NotTrained(f"no finished run of {' or '.join(groups)}")
        if self.real:
            wanted = set(thesis.grid().query("group in @groups")["run"])
            missing = wanted - set(runs["name"])
            if missing:
                done = len(wanted) - len(missing)
                raise NotTrained(f"{done} of {len(wanted)} runs of the grid are finished")
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

    def scatter(self, group: str) -> Scatter:
        """How far single runs of a group scatter: over seeds here, else like runs of the thesis."""
        return self._scatters.get(group) or published_scatter(group)

    def tolerance(
        self, group: str, runs: tuple[int, int] = (1, 1), comparisons: int = 1
    ) -> tuple[float, str]:
        """How far means of `runs` runs, here and published, may differ by chance, and why."""
        ours, theirs = self.scatter(group), published_scatter(group)
        half = half_width(ours, theirs, runs, comparisons)
        reason = (
            f"95 % interval of the difference of two runs; sd {theirs.sd:.4f} of {theirs.words}"
        )
        if ours != theirs:
            reason += f", {ours.sd:.4f} of {ours.words}"
        return half, reason

    def noise(self, *groups: str) -> tuple[float, str]:
        """What a difference between single runs here must exceed to order them, and why."""
        scatters = [self.scatter(group) for group in groups]
        half = half_width(scatters[0], scatters[-1])
        words = " and ".join(dict.fromkeys(f"sd {s.sd:.4f} of {s.words}" for s in scatters))
        return half, f"two runs differ by up to {half:.4f} by chance (95 %; {words})"


def judge_trained(trained: Trained, judges: dict[str, Callable[[], Finding]]) -> dict[str, Finding]:
    """Run each claim's judge; off real data its result becomes a comment, never a verdict."""
    findings = {}
    for claim, judge in judges.items():
        try:
            finding = judge()
        except NotTrained as missing:
            findings[claim] = needs_real_data(sentence(str(missing)))
            continue
        except (OSError, KeyError, ValueError) as error:  # EffnetError is a ValueError
            findings[claim] = Finding(CANNOT_BE_CHECKED, found=f"A run's files: {error}")
            continue
        if not trained.real:
            details = f" ({finding.found})" if finding.found else ""
            finding = needs_real_data(f"{sentence(trained.label)}: {finding.got}{details}")
        findings[claim] = finding
    return findings
