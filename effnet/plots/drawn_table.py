"""Tables of texts as figures: figures 2, 7, 10 and 11 are tables in images."""

import re

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
    rules: np.ndarray | None = None,
    shaded: np.ndarray | None = None,
    note: str = "Black: published. Blue: counted on the models of this kit.",
) -> Figure:
    """The table's texts under its headings; missing ones are left blank.

    Headings may have two levels: the first stands over all neighbouring columns that share it.
    Columns are as wide as their texts; those of numbers stand to the right. `ours` and `bold`: bool
    (rows, columns), what is blue and what is bold; `rules` and `shaded`: bool (rows,), a line above
    a row and a tint behind it.
    """
    nothing = np.zeros(table.shape, dtype=bool)
    ours, bold = (nothing if mask is None else mask for mask in (ours, bold))
    cells = [
        ["" if pd.isna(cell) else plain(cell, 200) for cell in table.iloc[:, i]]
        for i in range(table.shape[1])
    ]
    groups, names = zip(
        *(n if isinstance(n, tuple) else ("", n) for n in table.columns), strict=True
    )
    heads = [_wrapped(name, column) for name, column in zip(names, cells, strict=True)]
    widths = [
        GAP
        + max(
            map(
                _width,
                [*column, *head.split("\n")],
                [*bold[:, i], *[True] * (head.count("\n") + 1)],
            )
        )
        for i, (column, head) in enumerate(zip(cells, heads, strict=True))
    ]
    first = [i > 0 and group != groups[i - 1] for i, group in enumerate(groups)]
    edges = np.concatenate([[0.0], np.cumsum(widths + GAP * np.array(first))])
    size = min(LARGEST, 10 * 72 * WIDTH / edges[-1])
    lines = max(head.count("\n") for head in heads) + 1
    above = 0.75 * lines + 0.1 + 1.1 * any(groups)
    figure, ax = new_figure(height=ROW * (len(table) + above + 0.6) + 0.75)
    hide_axes(ax)
    spare = max(0.0, 10 * 72 * WIDTH / size - edges[-1]) / 2  # a narrow table stands in the middle
    ax.set(xlim=(-spare, edges[-1] + spare), ylim=(len(table) + 0.2, -above - 0.2), title=title)
    for row in np.flatnonzero(nothing[:, 0] if shaded is None else shaded):
        ax.add_patch(Rectangle((0, row), edges[-1], 1, color=ORANGE, alpha=0.2, linewidth=0))
    for i, column in enumerate(cells):
        right = all(re.match(r"[\d(+-]|$", text) for text in column)
        x, align = (
            (edges[i + 1] - GAP / 2, "right")
            if right
            else (edges[i + 1] - widths[i] + GAP / 2, "left")
        )
        heading = OURS if ours[:, i].all() else BLACK
        style = {"ha": align, "fontsize": size}
        ax.text(x, -0.2, heads[i], va="bottom", color=heading, fontweight="bold", **style)
        for row, text in enumerate(column):
            if text:
                colour = OURS if ours[row, i] else BLACK
                weight = "bold" if bold[row, i] else "normal"
                ax.text(x, row + 0.5, text, va="center_baseline", color=colour, fontweight=weight,
                        **style)  # fmt: skip
    _groups(figure, list(groups), edges, above, size, ours.all(axis=0))
    ax.hlines([-0.1, len(table) + 0.1], 0, edges[-1], color=BLACK, linewidth=1.2)
    ax.hlines([i for i in np.flatnonzero(rules if rules is not None else []) if i],
              0, edges[-1], LIGHT, linewidth=1)  # fmt: skip
    footnote(figure, note)
    return figure


def _groups(
    figure: Figure,
    groups: list[str],
    edges: np.ndarray,
    above: float,
    size: float,
    ours: np.ndarray,
) -> None:
    """The upper headings, each over its columns, and a line down between them."""
    (ax,) = figure.axes
    starts = [i for i in range(len(groups)) if i == 0 or groups[i] != groups[i - 1]]
    for start, end in zip(starts, [*starts[1:], len(groups)], strict=True):
        left, right = edges[start], edges[end]
        if start:
            ax.vlines(left + GAP / 2, -above, ax.get_ylim()[0] - 0.1, color=GREY, linewidth=0.8)
        if groups[start]:
            colour = OURS if ours[start:end].all() else BLACK
            ax.text((left + right) / 2, -above + 0.8, groups[start], ha="center", va="bottom",
                    fontsize=size, color=colour, fontstyle="italic")  # fmt: skip


def _wrapped(name: object, column: list[str]) -> str:
    """A heading in lines that are no longer than its column, as far as its words allow."""
    longest = max(map(len, re.findall(r"[^\s-]+-?", str(name)) or [""]))
    return plain(name, 200, max(1, longest, *map(len, column)))


def _width(text: str, bold: bool) -> float:
    """Points that a line is wide at a font size of 10."""
    font = FontProperties(family="DejaVu Sans", size=10, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(text, font, False)[0] if text else 0.0
