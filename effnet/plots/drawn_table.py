"""A DataFrame as a figure: figures 2, 7, 10 and 11 are tables that the thesis shows as images."""

import pandas as pd
from matplotlib.figure import Figure

from effnet.plots.style import (
    BLACK,
    BLUE,
    LIGHT,
    WIDTH,
    footnote,
    hide_axes,
    new_figure,
    plain,
    styled,
)

ROW = 0.25  # inches


@styled
def drawn_table(
    table: pd.DataFrame, title: str, rules: pd.Series | None = None, note: str = ""
) -> Figure:
    """The table as text under its column names; columns that end in "here" are ours, in blue.

    A column is as wide as its longest entry, and its name breaks into lines over it. Text stands
    to the left, numbers to the right. `rules` (bool, per row) puts a line above a row. NaN is
    left blank.
    """
    cells = {name: _column(table[name]) for name in table.columns}
    heads = {name: _head(name, cells[name]) for name in table.columns}
    widths = {
        name: 1.6 + max(len(line) for line in [*cells[name], *heads[name].split("\n")])
        for name in table.columns
    }
    total = sum(widths.values())
    lines = max(head.count("\n") for head in heads.values()) + 1
    figure, ax = new_figure(height=ROW * (len(table) + 0.75 * lines) + 0.9)
    hide_axes(ax)
    ax.set(xlim=(0, total), ylim=(len(table) + 0.2, -0.75 * lines - 0.4), title=title)
    size = min(9.5, 1.62 * 72 * WIDTH / total)  # a character is about 0.6 of the font size wide
    left = 0.0
    for name, width in widths.items():
        numeric = pd.api.types.is_numeric_dtype(table[name])
        x, align = (left + width - 0.8, "right") if numeric else (left + 0.3, "left")
        style = {"ha": align, "fontsize": size, "color": BLUE if name.endswith("here") else BLACK}
        ax.text(x, -0.35, heads[name], va="bottom", fontweight="bold", **style)
        for row, text in enumerate(cells[name]):
            ax.text(x, row + 0.5, text, va="center", **style)
        left += width
    ax.hlines([-0.1, len(table) + 0.1], 0, total, color=BLACK, linewidth=1.2)
    if rules is not None:
        ax.hlines([i for i, rule in enumerate(rules) if rule and i], 0, total, LIGHT, linewidth=1)
    footnote(figure, note or "Black: published. Blue: counted on the models of this kit.")
    return figure


def _head(name: str, cells: list[str]) -> str:
    words = name.replace("_", " ")
    longest = max(len(word) for word in words.split())
    return plain(words, 200, max(longest, *map(len, cells)))


def _column(values: pd.Series) -> list[str]:
    """Entries as text; one decimal throughout where that is all a column of numbers has."""
    if pd.api.types.is_bool_dtype(values):
        return ["yes" if value else "no" for value in values]
    if not pd.api.types.is_float_dtype(values):
        return ["" if pd.isna(value) else plain(value, 200) for value in values]
    one = values.dropna().round(1).eq(values.dropna()).all()
    return ["" if pd.isna(value) else f"{value:.1f}" if one else f"{value:.5g}" for value in values]
