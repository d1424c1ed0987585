"""A table of texts as a figure: the thesis shows figures 2, 7, 10 and 11 as images of tables."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from effnet.plots.style import (
    BLACK,
    GREY,
    LIGHT,
    ORANGE,
    OURS,
    WIDTH,
    footnote,
    hide_axes,
    new_figure,
    plain,
    styled,
)

ROW = 0.21  # inches
LARGEST = 9.5  # points
GAP = 10.0  # points between columns, at a font size of 10


@styled
def drawn_table(
    table: pd.DataFrame,
    title: str,
    *,
    ours: np.ndarray | None = None,
    bold: np.ndarray | None = None,
    rules: Sequence[int] = (),
    shaded: Sequence[int] = (),
    note: str = "Black: published. Blue: counted on the models of this kit.",
) -> Figure:
    """The table's texts under its headings; missing ones are left blank.

    Headings may have two levels: the first stands over all neighbouring columns that share it.
    Columns are as wide as their texts; those of numbers stand to the right. `ours` and `bold`: bool
    (rows, columns), what is blue and what is bold; `rules` and `shaded`: row numbers, a line above
    them and a tint behind them.
    """
    nothing = np.zeros(table.shape, dtype=bool)
    ours, bold = (nothing if mask is None else mask for mask in (ours, bold))
    texts = [[_text(cell) for cell in table.iloc[:, i]] for i in range(table.shape[1])]
    pairs = [name if isinstance(name, tuple) else ("", name) for name in table.columns]
    groups = [group for group, _ in pairs]
    starts = [i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]
    heads = [_wrapped(name, column) for (_, name), column in zip(pairs, texts, strict=True)]
    widths = [
        GAP + max(_width(head, True), *(_width(t, b) for t, b in zip(column, strong, strict=True)))
        for head, column, strong in zip(heads, texts, bold.T, strict=True)
    ]
    gaps = [GAP if i in starts else 0.0 for i in range(len(groups))]
    edges = np.concatenate([[0.0], np.cumsum(np.add(widths, gaps))])
    size = min(LARGEST, 10 * 72 * WIDTH / edges[-1])
    above = 0.75 * (max(head.count("\n") for head in heads) + 1) + 0.1 + 1.1 * any(groups)
    figure, ax = new_figure(height=ROW * (len(table) + above + 0.6) + 0.75)
    hide_axes(ax)
    spare = max(0.0, 10 * 72 * WIDTH / size - edges[-1]) / 2  # a narrow table stands in the middle
    ax.set(xlim=(-spare, edges[-1] + spare), ylim=(len(table) + 0.2, -above - 0.2), title=title)
    for row in shaded:
        ax.add_patch(Rectangle((0, row), edges[-1], 1, color=ORANGE, alpha=0.2, linewidth=0))
    for i, column in enumerate(texts):
        right = all(re.match(r"[\d(+-]|$", text) for text in column)
        x = edges[i + 1] - (GAP / 2 if right else widths[i] - GAP / 2)
        style: dict[str, Any] = {"ha": "right" if right else "left", "fontsize": size}
        colour = OURS if ours[:, i].all() else BLACK
        ax.text(x, -0.2, heads[i], va="bottom", color=colour, fontweight="bold", **style)
        for row, text in enumerate(column):
            style |= {"color": OURS if ours[row, i] else BLACK}
            style |= {"fontweight": "bold" if bold[row, i] else "normal"}
            if text:
                ax.text(x, row + 0.5, text, va="center_baseline", **style)
    for start, end in zip([0, *starts], [*starts, len(groups)], strict=True):
        colour = OURS if ours[:, start:end].all() else BLACK
        middle = (edges[start] + gaps[start] + edges[end]) / 2
        ax.text(middle, -above + 0.8, groups[start], ha="center", va="bottom", fontsize=size,
                color=colour, fontstyle="italic")  # fmt: skip
        if start:
            ax.vlines(edges[start] + GAP / 2, -above, len(table) + 0.1, color=GREY, linewidth=0.8)
    ax.hlines([-0.1, len(table) + 0.1], 0, edges[-1], color=BLACK, linewidth=1.2)
    ax.hlines(rules, 0, edges[-1], LIGHT, linewidth=1)
    footnote(figure, note)
    return figure


def _text(cell: Any) -> str:
    return "" if pd.isna(cell) else plain(cell, 200)


def _wrapped(name: object, column: list[str]) -> str:
    """A heading in lines that are no longer than its column, as far as its words allow."""
    longest = max(map(len, re.findall(r"[^\s-]+-?", str(name)) or [""]))
    return plain(name, 200, max(1, longest, *map(len, column)))


def _width(text: str, bold: bool) -> float:
    """Points that the longest line of a text is wide at a font size of 10."""
    font = FontProperties(family="DejaVu Sans", size=10, weight="bold" if bold else "normal")
    measure = text_to_path.get_text_width_height_descent
    return max((measure(line, font, False)[0] for line in text.split("\n") if line), default=0.0)
