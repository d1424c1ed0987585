"""What the figures of runs share: names and colours of the groups, seeds, and absent data."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from effnet.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    footnote,
    hide_axes,
    new_figure,
    plain,
    styled,
)
from effnet.trial import Trial

GROUPS = {
    "pretrained": "pretrained",
    "scratch_rgb": "RGB from scratch",
    "scratch_gray": "grayscale from scratch",
    "pretrained_frozen": "pretrained, frozen",
    "pretrained_single": "pretrained, single runs",
    "scaling": "scaled networks",
    "scratch_lite": "lite0 from scratch",
    "whole_photographs": "whole photographs",
}
COLOURS = {
    "pretrained": BLUE,
    "scratch_rgb": ORANGE,
    "scratch_gray": GREEN,
    "pretrained_frozen": PURPLE,
    "pretrained_single": SKY,
    "scaling": YELLOW,
    "scratch_lite": VERMILLION,
    "whole_photographs": BLACK,
}
# The runs of the regularisation heatmaps: the frozen run and single trials are not among them
# (thesis, section 6.1.2; 15 + 31 + 19 = 65 runs).
GRID = ("pretrained", "scratch_rgb", "scratch_gray")
# Runs that the thesis names outside its grid (section 5.4): they are in no heatmap.
SINGLE = ("SAN-319", "SAN-474")
# Which of the thesis's runs a group's best-run figure shows (figures 20, 26, 29 and 25).
PUBLISHED_BEST = {
    "pretrained": "SAN-396",
    "scratch_rgb": "SAN-448",
    "scratch_gray": "SAN-437",
    "pretrained_frozen": "unnamed, figure 25",
}
PUBLISHED = "thesis (published)"
# A field of a trial, or its short form in the name of a run, as a reader calls it.
WORDS = {"p": "dropout", "wd": "decay", "dropout_rate": "dropout", "weight_decay": "decay"}


def data_note(profile: str, demo: bool) -> str:
    """The words with which a figure says which data it shows, for the makers' `source`."""
    data = "demo data (cars drawn by the kit)" if demo else "Stanford Cars"
    return f"{data}, profile {plain(profile)}"


def group_name(group: str) -> str:
    """The group as a reader calls it."""
    return GROUPS.get(group, group)


def group_label(group: str, wrap: int = 0) -> str:
    """`group_name` as a figure can show it, in lines of `wrap` characters where that is given."""
    # matplotlib leaves out of a legend what begins with an underscore.
    return plain(group_name(group).lstrip("_"), 30, wrap)


def group_colour(group: str) -> str:
    """The colour of a group; grey for one that is not the thesis's."""
    return COLOURS.get(group, GREY)


def present(groups: Iterable[str]) -> list[str]:
    """The groups that occur, the thesis's first and in its order: for legends."""
    found = list(dict.fromkeys(groups))
    return [g for g in GROUPS if g in found] + [g for g in found if g not in GROUPS]


def of_group(runs: pd.DataFrame, group: str) -> pd.DataFrame:
    """Runs of one group; `all` stands for the three groups of the regularisation grid."""
    return runs[runs["group"].isin(GRID if group == "all" else [group])]


def grid_draws(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the regularisation grid, each setting once: no further seeds of a profile.

    They are what the thesis's heatmaps and prediction matrix show.
    """
    if runs.empty:
        return runs
    again = runs["name"].str.contains(r" seed \d+$", regex=True)
    return of_group(runs[~again & ~runs["name"].isin(SINGLE)], "all")


def best_of(runs: pd.DataFrame, group: str) -> pd.Series | None:
    """The run with the highest validation accuracy by the thesis's definition; None without runs.

    Among equal runs the one with the higher per-sample accuracy, then the first by name, so that
    the choice does not hang on the order of the folders.
    """
    known = of_group(runs, group)
    if "max_val_acc_batch_mean" in known:
        known = known.dropna(subset=["max_val_acc_batch_mean"])
    if known.empty:
        return None
    keys = ["max_val_acc_batch_mean", "max_val_acc", "name"]
    return known.sort_values(keys, ascending=[False, False, True], kind="stable").iloc[0]


def run_label(run: pd.Series | dict[str, Any], group: bool = True) -> str:
    """What a reader calls a run: "pretrained, dropout 0.2, decay 0.01", with its seed if not 0.

    So are runs called that a profile named after their group. The thesis's names (SAN-396) and
    names of one's own stay, but for a group's id in them. `group` False leaves the group out, for
    places that tell it otherwise. `run` is a row of `load_runs`.
    """
    name, own = str(run["name"]), str(run["group"])
    again = re.fullmatch(r"(.*[^,]) seed (\d+)", name)
    name, seed = (again[1], [f"seed {again[2]}"]) if again else (name, [])
    settings = re.fullmatch(rf"{re.escape(own)}((?: \w+=.*)?)", name)
    if not settings:
        if own == "whole_photographs":
            name = name.replace("whole ", "whole photographs, ", 1)
        words = [group_name(word) if "_" in word else word for word in name.split(" ")]
        return ", ".join([" ".join(words), *seed])
    values = [value.split("=", 1) for value in re.split(r" (?=\w+=)", settings[1])[1:]]
    # One that is called as its group is.
    alone = [(f, f"{run[f]:g}") for f in ("dropout_rate", "weight_decay") if pd.notna(run.get(f))]
    words = [
        f"{WORDS.get(field, field.replace('_', ' '))} {value}" for field, value in values or alone
    ]
    return ", ".join([group_name(own)] * group + words + seed)


def labels(runs: pd.DataFrame) -> pd.Series:
    """`run_label` of every run; one that two runs share is told apart by the trial's id."""
    words = pd.Series([run_label(run) for _, run in runs.iterrows()], runs.index, dtype=object)
    twice = words.duplicated(keep=False)
    return words.where(~twice, words + " " + runs["trial_id"].str[:4])


def published_run(published: pd.DataFrame | None, name: str) -> pd.Series | None:
    """A row of the published runs by its name; None when the table or the row is absent."""
    if published is None or name not in set(published["run"]):
        return None
    return published[published["run"] == name].iloc[0]


def setting_columns(runs: pd.DataFrame) -> list[str]:
    """The columns that make a setting: every field of a trial but the seed, and the group."""
    fields = [f.name for f in dataclasses.fields(Trial) if f.name != "seed"]
    return ["group"] + [name for name in fields if name in runs.columns]


def setting_keys(runs: pd.DataFrame, *but: str) -> pd.Series:
    """A text for each run that is equal for runs that differ only in the seed, and in `but`."""
    table = runs[[name for name in setting_columns(runs) if name not in but]]
    keys = ["|".join(map(str, row)) for row in table.itertuples(index=False, name=None)]
    return pd.Series(keys, index=runs.index, dtype=object)


def siblings(runs: pd.DataFrame, run: pd.Series) -> pd.DataFrame:
    """The runs of this run's setting, one per seed, itself included."""
    runs = pd.concat([runs[runs["trial_id"] != run["trial_id"]], run.to_frame().T])
    keys = setting_keys(runs)
    mine = keys[runs["trial_id"] == run["trial_id"]]
    return runs[keys.isin(mine)].drop_duplicates("seed", keep="last")


def seed_ranges(runs: pd.DataFrame, column: str = "max_val_acc_batch_mean") -> pd.Series:
    """Largest minus smallest `column` of every setting that was trained with several seeds.

    Runs of one seed are no repetition: they come from other code or other data.
    """
    if runs.empty:
        return pd.Series(dtype=float)
    settings = runs.groupby(setting_keys(runs))
    width = settings[column].max() - settings[column].min()
    return width[settings["seed"].nunique() > 1]


def seed_spread(runs: pd.DataFrame, column: str = "max_val_acc_batch_mean") -> tuple[int, float]:
    """How many settings were repeated over seeds, and the widest range of `column` among them.

    `(0, nan)` when every setting was trained once: then nothing is known about the spread.
    """
    ranges = seed_ranges(runs, column)
    return len(ranges), float(ranges.max()) if len(ranges) else np.nan


def spread_note(runs: pd.DataFrame) -> str:
    """One clause for a figure's small print on what the seeds say."""
    settings, width = seed_spread(runs)
    if not settings:
        return "one seed per setting: the spread over seeds is unknown"
    which = "one setting" if settings == 1 else f"{settings} settings"
    return f"spread over seeds: up to {width:.3f} ({which} repeated)"


@styled
def absent(title: str, message: str, source: str = "") -> Figure:
    """A figure that says in words what is missing, where the data of a figure are not there."""
    figure, ax = new_figure(height=2.4)
    hide_axes(ax)
    ax.set_title(title, loc="left")
    box = {"boxstyle": "round,pad=0.8", "facecolor": "#F5F5F5", "edgecolor": GREY}
    ax.text(0.5, 0.5, message, ha="center", va="center", bbox=box, transform=ax.transAxes)
    footnote(figure, source)
    return figure


def no_runs(title: str, group: str, source: str = "") -> Figure:
    """The figure of a group without a finished run."""
    text = f"No finished run of the group “{group_label(group)}” in this report."
    return absent(title, text, source)
