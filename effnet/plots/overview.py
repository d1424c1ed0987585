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
from effnet.plots.groups import PUBLISHED, absent, best_of, group_colour, group_name
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
AROUND = 1.6  # inches of the figure above and below its panels
Look = dict[str, Any]  # colour and dashes


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
        name = group_name(group) if len(cropped) else part["name"].iloc[0]
        lines.append(Line(f"{name}, whole photographs", group, True, part))
    return lines


def _label(runs: pd.DataFrame, group: str, part: pd.DataFrame) -> str:
    """The group's name, with its network where the groups have several and the name tells none."""
    name, model = group_name(group), part["model_name"].iloc[0]
    several = runs.loc[runs["group"].isin(SHOWN), "model_name"].nunique() > 1
    return f"{name} ({model_label(model)})" if several and model not in name else name


@styled
def overview_figure(runs: pd.DataFrame, source: str) -> Figure:
    """Validation accuracy against epochs, and the table of `differences` with its intervals.

    Left: for each group the seeds of its repeated setting, thin, and their mean up to the epoch
    that all of them reached, bold; the best run alone where no setting was repeated. Dots are the
    first fall of the learning rate, dashes whole photographs. Right: a row for each question, in
    percentage points; a diamond is the difference of the thesis's best runs. `runs` as from
    `load_runs`, finished ones; `source` names the data in the small print.
    """
    lines = group_lines(runs)
    if not lines:
        return absent(TITLE, "No finished run of the thesis's groups in this report.", source)
    table = differences(runs)
    height = AROUND + 0.9 + 0.48 * max(4, len(table), len(lines))
    figure, (left, right) = new_figure(1, 2, 11.2, height, width_ratios=[1, 1.15])
    figure.get_layout_engine().set(wspace=0.05)  # type: ignore[union-attr, call-arg]
    _draw_curves(left, lines)
    if len(table):
        _draw_differences(right, table)
    else:
        hide_axes(right)
        text = "No two groups that the thesis compares\nhave finished runs yet."
        right.text(0.5, 0.5, text, ha="center", va="center", transform=right.transAxes)
    figure.suptitle(TITLE)
    footnote(figure, f"{source}; accuracies: each run's best epoch, mean of batches (the thesis's)")
    return figure


def _draw_curves(ax: Axes, lines: list[Line]) -> None:
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
                ax.plot(curve, lw=THIN, alpha=0.6, **look)
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
    _label_ends(ax, ends)
    shapes = [Line2D([], [], color=GREY, marker="o", ls="", label="learning rate first falls")]
    if max(counts) > 1:
        shapes.insert(0, Line2D([], [], color=GREY, lw=THIN, label="single seed"))
    _legend(ax, shapes)


def _label_ends(ax: Axes, ends: list[tuple[float, int, str, Look]]) -> None:
    """Labels in a column right of the panel, each led to the end (value, epoch) of its line."""
    top, right = ax.get_ylim()[1], ax.get_xlim()[1]
    ends = sorted(ends, key=lambda end: end[0])
    row = ROW * top / _inches(ax)
    heights = [row * (1 + text.count("\n")) for _, _, text, _ in ends]
    places = spread([end[0] for end in ends], heights, 0.0, top)
    for (value, epoch, text, look), place in zip(ends, places, strict=True):
        x = [epoch, right, right * 1.06]
        ax.plot(x, [value, value, place], color=look["color"], lw=0.7, ls=":", clip_on=False)
        key = [right * 1.07, right * 1.17]
        ax.plot(key, [place, place], lw=BOLD, clip_on=False, **look)
        ax.text(right * 1.19, place, text, va="center", fontsize=TYPE)


def _draw_differences(ax: Axes, table: pd.DataFrame) -> None:
    """A row for each question: its words, below them the marks, and at the right the number."""
    place: Look = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": TYPE}
    white: Look = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    for y, row in enumerate(table.to_dict("records")):
        question = plain(row["question"])
        ax.text(0, y - 0.25, question[:1].upper() + question[1:], bbox=white, **place)
        number = f"{row['difference']:+.1f} ± {row['interval']:.1f}".replace("-", "−")
        look: Look = {"color": GREY if row["missing"] else BLACK, "ha": "right"}
        ax.text(1, y + 0.15, row["missing"] or number, bbox=white, **look, **place)
        if not row["missing"]:
            bar: Look = {"fmt": "o", "color": BLACK, "capsize": 3.5, "ms": 6}
            ax.errorbar(row["difference"], y + 0.15, xerr=row["interval"], **bar)
        if np.isfinite(row["published"]):
            ax.plot(row["published"], y + 0.15, "D", mfc="none", mec=GREY, mew=1.4, ms=9)
        ax.axhline(y + 0.5, color=LIGHT, lw=0.6)
    ax.axvline(0, color=GREY, lw=1.2, zorder=1)
    ax.margins(x=0.06)
    low, high = ax.get_xlim()
    ax.set_xlim(low, high + 0.34 * (high - low))  # room for the numbers
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("difference of best accuracies, percentage points")
    ax.set_title("Differences with 95 % intervals", loc="left")
    ours = Line2D([], [], color=BLACK, marker="o", lw=1.8, label="here")
    shape: Look = {"marker": "D", "ls": "", "mfc": "none", "color": GREY, "ms": 8}
    _legend(ax, [ours, Line2D([], [], label=f"{PUBLISHED}: single best runs", **shape)])


def _legend(ax: Axes, shapes: list[Line2D]) -> None:
    """What the shapes of a panel mean, half an inch below its axis."""
    place = (0.5, -0.5 / _inches(ax))
    ax.legend(handles=shapes, loc="upper center", bbox_to_anchor=place, ncols=len(shapes))


def _inches(ax: Axes) -> float:
    """The height of a panel, about; it is laid out only when it is drawn."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure.get_figheight() - AROUND
