"""What figures of curves are put together from: the rate, pairs of curves, and words at their ends.

Accuracies are the thesis's: the unweighted mean of batch accuracies (`*_batch_mean`).
"""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from effnet.plots.groups import PUBLISHED
from effnet.plots.listing import lr_drops
from effnet.plots.style import GREY, TRAIN, VALIDATION, spread
from effnet.runs import metrics

LOSS, ACCURACY = "loss_batch_mean", "acc_batch_mean"
TITLES = {LOSS: "loss (label smoothing)", ACCURACY: "accuracy (mean of batches)"}
SPLITS = (("train", TRAIN, "training"), ("val", VALIDATION, "validation"))
BESTS = "dots and numbers: each curve's best epoch"
ROW = 0.105  # of a panel's height: one line of words beside it
ACCURACY_TOPS = (0.05, 0.1, 0.2, 0.5, 1.0)
TOWERING = 1.25  # times the highest training loss: what is above is a single epoch's, not a curve
SETTING = "224 px"  # what a published level is of, beside its being of all of Stanford Cars


class End(NamedTuple):
    """Words at the right of a panel, at the height `value` if there is room."""

    value: float
    text: str
    colour: str


def draw_pair(ax: Axes, history: pd.DataFrame, column: str, named: bool = True) -> list[End]:
    """Training and validation values of `column` (LOSS or ACCURACY) against `epoch`.

    A dot marks the best of each. Returns what `write_ends` is to say of the two: the best value,
    with the curve's name where it is `named`.
    """
    marker, ends = "." if len(history) <= 40 else None, []
    for split, colour, name in SPLITS:
        values = history[f"{split}_{column}"]
        ax.plot(history["epoch"], values, marker=marker, color=colour, label=name)
        if values.isna().all():  # it diverged at once
            continue
        best = values.idxmin() if column == LOSS else values.idxmax()
        ax.plot(history["epoch"][best], values[best], "o", color=colour, mec="white", ms=7)
        words = f"{name} {values[best]:.3f}" if named else f"{values[best]:.3f}"
        ends.append(End(values.dropna().iloc[-1], words, colour))
    return ends


def limit_accuracy(*axes: Axes) -> None:
    """Axes of accuracies from 0 to 1, or to less where nothing drawn there is as high as half."""
    highest = max(ax.dataLim.ymax for ax in axes)
    top = next((top for top in ACCURACY_TOPS if highest <= top), 1.0)
    for ax in axes:
        ax.set_ylim(0, 1.03 * top)


def limit_loss(drawn: dict[Axes, pd.DataFrame]) -> str:
    """Cut axes of losses off where single epochs tower above all of training, so that curves stay
    legible; triangles mark them. `drawn` has what `draw_pair` was given for each. Returns the words
    for the small print, "" where nothing is cut.
    """
    train, val = (pd.concat([history[f"{split}_{LOSS}"] for history in drawn.values()])
                  for split, *_ in SPLITS)  # fmt: skip
    top, low = TOWERING * train.max(), min(train.min(), val.min())
    if not val.max() > top:  # nor where one of them has no number
        return ""
    for ax, history in drawn.items():
        ax.set_ylim(low - 0.05 * (top - low), top)
        over = history["epoch"][history[f"val_{LOSS}"] > top]
        if len(over):  # a line of nothing that is not clipped lies at the figure's corner
            ax.plot(over, [top] * len(over), "^", color=VALIDATION, ms=5, clip_on=False)
    return f"; ▲ higher, up to {val.max():.1f}"


def draw_level(ax: Axes, value: float, what: str, colour: str = GREY) -> list[End]:
    """A published accuracy as a dashed line, and the words for it; nothing where it is unknown."""
    if pd.isna(value):
        return []
    ax.axhline(value, color=colour, ls="--", lw=1.3, label=f"{PUBLISHED}, {what}")
    return [End(value, f"thesis, {what},\n{SETTING}: {value:.3f}", colour)]


def write_ends(ax: Axes, ends: list[End]) -> None:
    """Words right of a panel whose limits are known, near their curves and not on each other."""
    low, high = ax.get_ylim()
    ends = sorted(ends)
    heights = [ROW * (high - low) * (1 + end.text.count("\n")) for end in ends]
    for end, y in zip(ends, spread([e.value for e in ends], heights, low, high), strict=True):
        ax.annotate(
            end.text, (1, y), (5, 0), ("axes fraction", "data"), textcoords="offset points",
            va="center", color=end.colour, fontsize=9.5, annotation_clip=False,
        )  # fmt: skip


def draw_rate(ax: Axes, history: pd.DataFrame, published: pd.Series | None = None) -> None:
    """The learning rate against epochs; triangles where a `published` run's rate fell."""
    ax.step(history["epoch"], history["lr"], where="post", color="black", label="learning rate")
    ax.plot(history["epoch"].iloc[-1:], history["lr"].iloc[-1:], "k.", ms=4)
    ax.set(yscale="log", ylabel="learning rate")
    low, high = history["lr"].min(), history["lr"].max()
    ax.set_ylim(low / 3, high * 3)
    ax.yaxis.set_minor_formatter(NullFormatter())
    drops = [] if published is None else published_drops(published)
    if drops := [epoch for epoch in drops if epoch <= history["epoch"].max()]:
        ax.plot(drops, [high] * len(drops), "v", color=GREY, label=f"drops, {PUBLISHED}")
        write_ends(ax, [End(high, "▼ drops, thesis", GREY)])


def draw_drops(ax: Axes, history: pd.DataFrame) -> None:
    """Dotted lines where the learning rate falls."""
    for epoch in lr_drops(history):
        ax.axvline(epoch, color=GREY, ls=":", lw=1.3)


def draw_range(ax: Axes, repeats: pd.DataFrame, column: str) -> None:
    """Shade smallest to largest validation value over the seeds, epoch by epoch."""
    curves = [metrics(run).set_index("epoch")[f"val_{column}"] for _, run in repeats.iterrows()]
    table = pd.concat(curves, axis=1)
    low, high = table.min(axis=1), table.max(axis=1)
    ax.fill_between(table.index, low, high, color=VALIDATION, alpha=0.2, lw=0)


def whole_epochs(ax: Axes, most: int = 9) -> None:
    """Ticks of an axis of epochs or steps at whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator(most, integer=True))
    ax.margins(x=0.02)


def drop_line() -> Line2D:
    """For a legend: what `draw_drops` draws."""
    return Line2D([], [], color=GREY, ls=":", lw=1.3, label="learning rate falls")


def published_drops(published: pd.Series) -> list[int]:
    """Epochs at which a published run's learning rate fell."""
    text = published["lr_drops_at_epochs"]
    return [int(float(part)) for part in str(text).split(";")] if pd.notna(text) and text else []
