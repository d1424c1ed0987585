"""The whole answer in one picture: how the groups learn, and how far they are apart."""

from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from effnet.plots.differences import ACCURACY, NotRepeated, differences, model_label, repeated
from effnet.plots.groups import PUBLISHED, absent, best_of, group_colour, group_name, run_label
from effnet.plots.listing import lr_drops
from effnet.plots.one_factor import WHOLE, whole_settings
from effnet.plots.style import (
    BLACK,
    GREY,
    LIGHT,
    footnote,
    hide_axes,
    new_figure,
    plain,
    spread,
    styled,
)
from effnet.runs import metrics

SHOWN = ("pretrained", "scratch_lite", "scratch_rgb", "scratch_gray", "pretrained_frozen")
TITLE = "The thesis's comparisons in one picture"
THIN, BOLD, DOT = 0.8, 2.4, 5.0  # points
TYPE, ROW = 9.5, 0.185  # labels in the panels: points; inches from one line to the next
AROUND = 2.9  # inches of the figure above, between and below its panels
Look = dict[str, Any]  # colour and dashes
DIAMOND: Look = {"marker": "D", "ls": "", "mfc": "none", "color": GREY, "mew": 1.4, "ms": 8,
                 "label": f"{PUBLISHED}: single best runs"}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What stands for a group: the seeds of its repeated setting, or its best run alone.

    Attributes:
        label: group and network, as a reader calls them.
        group: the group; of whole photographs the one that has the same setting on boxes.
        whole: whether its runs saw whole photographs.
        runs: rows of `load_runs`, one per seed.
    """

    label: str
    group: str
    whole: bool
    runs: pd.DataFrame


def group_lines(runs: pd.DataFrame) -> list[Line]:
    """A line for each group of `SHOWN` that has finished runs, then one for each setting on whole
    photographs.
    """
    lines = []
    for group in SHOWN if len(runs) else ():
        if (best := best_of(runs, group)) is None:
            continue
        try:
            part = repeated(runs, group)
        except NotRepeated:
            part = runs[runs["trial_id"] == best["trial_id"]]
        lines.append(Line(_label(runs, group, part), group, False, part))
    for part, cropped in whole_settings(runs):
        group = cropped["group"].iloc[0] if len(cropped) else WHOLE
        name = f"{group_name(group)}, whole photographs"
        name = name if len(cropped) else run_label(part.iloc[0])
        lines.append(Line(name, group, True, part))
    return lines


def _label(runs: pd.DataFrame, group: str, part: pd.DataFrame) -> str:
    """The group's name, with its network where the groups have several and the name tells none."""
    name, model = group_name(group), part["model_name"].iloc[0]
    several = runs.loc[runs["group"].isin(SHOWN), "model_name"].nunique() > 1
    return f"{name} ({model_label(model)})" if several and model not in name else name


@styled
def overview_figure(runs: pd.DataFrame, source: str) -> Figure:
    """Validation accuracy against epochs, and the table of `differences` with its intervals.

    Above: for each group the seeds of its repeated setting, thin, and their mean up to the epoch
    that all of them reached, bold; the best run alone where no setting was repeated. Dots are the
    first fall of the learning rate, dashes whole photographs. Below: a row for each question, in
    percentage points; a diamond is the difference of the thesis's best runs. `runs` as from
    `load_runs`, finished ones; `source` names the data in the small print.
    """
    lines = group_lines(runs)
    if not lines:
        return absent(TITLE, "No finished run of the thesis's groups in this report.", source)
    table = differences(runs)
    heights = [max(3.2, 0.45 * len(lines)), 0.45 * max(2, len(table))]
    height = AROUND + sum(heights)
    figure, (upper, lower) = new_figure(2, 1, height=height, height_ratios=heights)
    figure.get_layout_engine().set(hspace=0.03)  # type: ignore[union-attr, call-arg]
    _draw_curves(upper, lines, heights[0])
    if len(table):
        _draw_differences(lower, table, heights[1])
    else:
        hide_axes(lower)
        text = "No two groups that the thesis compares have finished runs yet."
        lower.text(0.5, 0.5, text, ha="center", va="center", transform=lower.transAxes)
    figure.suptitle(TITLE)
    footnote(figure, f"{source}; accuracies: each run's best epoch, mean of batches (the thesis's)")
    return figure


def _draw_curves(ax: Axes, lines: list[Line], inches: float) -> None:
    ends, longest = [], 0
    for line in lines:
        look: Look = {"color": group_colour(line.group), "ls": "--" if line.whole else "-"}
        curves = []
        for _, run in line.runs.iterrows():
            history = metrics(run)
            curve = 100 * history["val_acc_batch_mean"].to_numpy()
            curves.append(curve)
            longest = max(longest, len(curve) - 1)
            if len(line.runs) > 1:
                name = f"{line.label}, seed {run['seed']}"
                ax.plot(curve, lw=THIN, alpha=0.6, label=name, **look)
            for drop in lr_drops(history)[:1]:
                ax.plot(drop, curve[drop], "o", color=look["color"], ms=DOT, mec="white", zorder=4)
        common = min(map(len, curves))
        mean = np.mean([curve[:common] for curve in curves], axis=0)
        ax.plot(mean, lw=BOLD, label=line.label, **look)
        text = f"{100 * line.runs[ACCURACY].mean():.1f} %  {plain(line.label)}"
        ends.append((float(mean[-1]), common - 1, fill(text, 36), look))
    counts = {len(line.runs) for line in lines}
    how = "mean over seeds" if min(counts) > 1 else "mean over seeds where there are several"
    how = "best run of each group, no second seed" if max(counts) == 1 else how
    ax.set_title(f"Validation accuracy, {how}", loc="left")
    ax.set(xlabel="epoch", ylabel="validation accuracy, %")
    ax.set_xlim(0, max(longest, 1))
    ax.set_ylim(0, None)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _label_ends(ax, ends, inches)
    shapes = [Line2D([], [], color=GREY, marker="o", ls="", label="learning rate first falls")]
    if max(counts) > 1:
        shapes.insert(0, Line2D([], [], color=GREY, lw=THIN, label="single seed"))
    _legend(ax, shapes, inches)


def _label_ends(ax: Axes, ends: list[tuple[float, int, str, Look]], inches: float) -> None:
    """Labels in a column right of the panel, each led to the end (value, epoch) of its line."""
    top, right = ax.get_ylim()[1], ax.get_xlim()[1]
    ends = sorted(ends, key=lambda end: end[0])
    row = ROW * top / inches
    heights = [row * (1 + text.count("\n")) for _, _, text, _ in ends]
    places = spread([end[0] for end in ends], heights, 0.0, top)
    for (value, epoch, text, look), place in zip(ends, places, strict=True):
        x = [epoch, right, right * 1.03]
        ax.plot(x, [value, value, place], color=look["color"], lw=0.7, ls=":", clip_on=False)
        key = [right * 1.035, right * 1.09]
        ax.plot(key, [place, place], lw=BOLD, clip_on=False, **look)
        ax.text(right * 1.105, place, text, va="center", fontsize=TYPE)


def _draw_differences(ax: Axes, table: pd.DataFrame, inches: float) -> None:
    """A row for each question: its words on the left, the marks, and at the right the number."""
    place: Look = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": TYPE}
    for y, row in enumerate(table.to_dict("records")):
        number = f"{row['difference']:+.1f} ± {row['interval']:.1f}".replace("-", "−")
        colour = GREY if row["missing"] else BLACK
        ax.text(1.01, y, row["missing"] or number, color=colour, **place)
        if not row["missing"]:
            bar: Look = {"fmt": "o", "color": BLACK, "capsize": 3.5, "ms": 6, "label": "here"}
            ax.errorbar(row["difference"], y, xerr=row["interval"], **bar)
        if np.isfinite(row["published"]):
            ax.plot(row["published"], y, **DIAMOND)
        ax.axhline(y + 0.5, color=LIGHT, lw=0.6)
    ax.axvline(0, color=GREY, lw=1.2, zorder=1)
    ax.margins(x=0.06)
    ax.set_ylim(len(table) - 0.5, -0.5)
    questions = [plain(words[:1].upper() + words[1:], wrap=32) for words in table["question"]]
    ax.set_yticks(range(len(table)), questions, fontsize=TYPE)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("difference of best accuracies, percentage points")
    ax.set_title("Differences with 95 % intervals", loc="left")
    ours = Line2D([], [], color=BLACK, marker="o", lw=1.8, label="here")
    _legend(ax, [ours, Line2D([], [], **DIAMOND)], inches)


def _legend(ax: Axes, shapes: list[Line2D], inches: float) -> None:
    """What the shapes of a panel mean, half an inch below its axis."""
    place = (0.5, -0.5 / inches)
    ax.legend(handles=shapes, loc="upper center", bbox_to_anchor=place, ncols=len(shapes))
