"""Curves of a run's page as values of a plain SVG: no drawing library, so that many runs are quick.

Every point carries its value as a title; what the axes need is computed here.
"""

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator

WIDTH, HEIGHT = 760.0, 240.0  # of the plot, in CSS pixels


@dataclass(frozen=True)
class Tick:
    at: float  # pixels from the left or from the top
    text: str


@dataclass(frozen=True)
class Curve:
    name: str  # a CSS class, too
    points: str  # of a polyline
    dots: list[tuple[float, float, str]]  # place and value of each epoch


@dataclass(frozen=True)
class Chart:
    """One panel: curves over epochs with their axes.

    Attributes:
        title: what is drawn, with its unit.
        curves: in the order of the legend.
        across: ticks of the epochs.
        up: ticks of the values.
        level: a published value as (pixels from the top, words); None where none compares.
    """

    title: str
    curves: list[Curve]
    across: list[Tick]
    up: list[Tick]
    level: tuple[float, str] | None = None
    width: float = WIDTH
    height: float = HEIGHT


def charts(history: pd.DataFrame, published: float | None = None) -> list[Chart]:
    """Learning rate, loss and accuracy of a run against its epochs, from its metrics.

    `published` is the best validation accuracy of the thesis's run of that name, a fraction of 1.
    """
    epochs = history["epoch"].astype(int).tolist()
    rate = {"rate": history["lr"]}
    both = {"training": "train", "validation": "val"}
    losses = {name: history[f"{part}_loss_batch_mean"] for name, part in both.items()}
    shares = {name: history[f"{part}_acc_batch_mean"] for name, part in both.items()}
    return [
        _chart("Learning rate (log)", epochs, rate, log=True),
        _chart("Loss (label smoothing), mean of batches", epochs, losses),
        _chart(
            "Accuracy, mean of batches (the thesis's)", epochs, shares, low=0.0, level=published
        ),
    ]


def _chart(
    title: str,
    epochs: list[int],
    columns: dict[str, pd.Series],
    log: bool = False,
    low: float | None = None,
    level: float | None = None,
) -> Chart:
    values = [float(v) for column in columns.values() for v in column]
    bottom, top = min(values) if low is None else low, max([*values, level or min(values)])
    if log:
        bottom, top = bottom / 2, top * 2
        places = [t for t in LogLocator(subs=(1.0,)).tick_values(bottom, top) if bottom <= t <= top]
    else:
        margin = 0.05 * ((top - bottom) or abs(top) or 1.0)
        bottom, top = bottom - margin * (low is None), top + margin
        places = [t for t in MaxNLocator(5).tick_values(bottom, top) if bottom <= t <= top]

    def up(value: float) -> float:
        a, b, v = (math.log10(x) if log else x for x in (bottom, top, value))
        return round(HEIGHT * (1 - (v - a) / ((b - a) or 1.0)), 1)

    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def across(epoch: float) -> float:
        return round(WIDTH * (epoch - first) / (last - first), 1)

    curves = []
    for name, column in columns.items():
        dots = [
            (across(e), up(float(v)), f"{name}, epoch {e}: {v:.4g}")
            for e, v in zip(epochs, column, strict=True)
        ]
        line: list[tuple[float, float]] = []
        for x, y, _ in dots:
            if log and line:  # a rate holds until the next epoch
                line.append((x, line[-1][1]))
            line.append((x, y))
        curves.append(Curve(name, " ".join(f"{x},{y}" for x, y in line), dots))
    whole = MaxNLocator(8, integer=True).tick_values(first, last)
    return Chart(
        title,
        curves,
        [Tick(across(e), f"{e:g}") for e in whole if first <= e <= last],
        [Tick(up(v), f"{v:g}") for v in places],
        None if level is None else (up(level), f"thesis (published), best: {level:.3f}"),
    )
