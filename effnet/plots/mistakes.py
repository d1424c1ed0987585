"""Which classes one run takes for which, and the images that it is surest and wrong about.

`answers` is the table of `effnet.runs.predictions`: path, class_id, predicted_class_id, probability
and correct, a row for each image.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from effnet.plots.gallery import Tile, gallery
from effnet.plots.groups import absent
from effnet.plots.style import (
    KEPT,
    OURS,
    WIDTH,
    draw_cells,
    footnote,
    keep_scale,
    new_figure,
    plain,
    styled,
)

MOST_CLASSES = 28  # of a confusion matrix that can be read
PAIRS = 20


def confused_pairs(answers: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Columns `class`, `taken for`, `images`: wrong answers by pair, the commonest first."""
    wrong = answers[~answers["correct"]]
    pairs = wrong.groupby(["class_id", "predicted_class_id"]).size().rename("images").reset_index()
    pairs = pairs.sort_values("images", ascending=False, kind="stable", ignore_index=True)
    return pd.DataFrame(
        {
            "class": [names[i] for i in pairs["class_id"]],
            "taken for": [names[i] for i in pairs["predicted_class_id"]],
            "images": pairs["images"],
        }
    )


@styled
def confusion_figure(answers: pd.DataFrame, names: list[str], source: str) -> Figure:
    """Classes by answers, in shares of each class's images; with many classes the worst pairs.

    The diagonal holds what is right. Numbers are images.
    """
    right = f"{answers['correct'].mean():.1%} of {len(answers):,} validation images are right"
    if len(names) > MOST_CLASSES:
        return _pairs_figure(confused_pairs(answers, names), right, source)
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (answers["class_id"], answers["predicted_class_id"]), 1)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    size = 3.0 + 0.28 * len(names)
    figure, ax = new_figure(width=min(WIDTH, size + 1.8), height=min(WIDTH, size))
    mesh = draw_cells(ax, shares, cmap=colormaps["Blues"].resampled(40), vmin=0, vmax=1)
    ax.set_aspect("equal")
    labels = [plain(name, 28) for name in names]
    ax.set_xticks(range(len(names)), labels, rotation=90, fontsize=8)
    ax.set_yticks(range(len(names)), labels, fontsize=8)
    ax.set(xlabel="answer", ylabel="class", title=right)
    small = 8 if len(names) <= 20 else 7.5
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.55 else "black"
            look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": small}
            ax.text(column, row, count, color=colour, gid=KEPT, **look)
    bar = figure.colorbar(mesh, ax=ax, label="share of the class's images", shrink=0.7)
    keep_scale(bar)
    footnote(figure, source)
    return figure


def _pairs_figure(pairs: pd.DataFrame, right: str, source: str) -> Figure:
    if pairs.empty:
        return absent(
            "Commonest mistakes", "There is none: every validation image is right.", source
        )
    shown = pairs.head(PAIRS)
    figure, ax = new_figure(height=1.4 + 0.3 * len(shown))
    labels = [
        f"{plain(row[0], 34)} taken for {plain(row[1], 34)}"
        for row in shown.itertuples(index=False)
    ]
    ax.barh(range(len(shown)), shown["images"], color=OURS)
    ax.set_yticks(range(len(shown)), labels, fontsize=8.5)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set(xlabel="validation images")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(False, axis="y")
    figure.suptitle(f"Commonest mistakes; {right}")
    footnote(figure, source)
    return figure


@styled
def wrong_images_figure(
    answers: pd.DataFrame, names: list[str], root: Path, source: str, count: int = 12
) -> Figure:
    """The wrong answers with the highest probability, each with its class and the answer given."""
    wrong = answers[~answers["correct"]].sort_values("probability", ascending=False, kind="stable")
    title = f"{len(wrong):,} of {len(answers):,} validation images are wrong"
    if wrong.empty:
        return absent(title, "Every validation image is right.", source)
    tiles = [
        Tile(
            image.path,
            names[image.class_id][:50],
            f"taken for {names[image.predicted_class_id]}, {image.probability:.0%} sure",
        )
        for image in wrong.head(count).itertuples()
    ]
    return gallery(tiles, root, f"{title}; the surest of them", source)
