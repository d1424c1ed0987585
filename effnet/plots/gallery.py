"""Pictures of a data set side by side, each with its class above and a remark below."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from effnet.plots.style import GREY, footnote, hide_axes, new_figure, plain

COLUMNS = 4


class Tile(NamedTuple):
    """An image: its path below the data's folder, its title, and what is said of it."""

    path: str
    title: str
    remark: str


def gallery(tiles: Sequence[Tile], root: Path, title: str, source: str) -> Figure:
    """The images of `tiles` below `root`, four in a row; call it inside a styled maker.

    An image file that is not there (any more) is a grey tile with its path.
    """
    rows = -(-len(tiles) // COLUMNS)
    figure, axes = new_figure(rows, COLUMNS, height=0.9 + 2.2 * rows, squeeze=False)
    hide_axes(axes)
    for ax, tile in zip(axes.ravel(), tiles, strict=False):
        file = root / tile.path
        if file.is_file():
            with Image.open(file) as picture:
                picture.thumbnail((320, 320))
                ax.imshow(np.asarray(picture.convert("RGB")))
        else:
            ax.imshow(np.full((3, 4, 3), 200, dtype=np.uint8))
            ax.text(1.5, 1, plain(tile.path, wrap=22), ha="center", va="center", fontsize=8)
        ax.set_title(plain(tile.title, wrap=26), fontsize=9, fontweight="bold")
        place = {"ha": "center", "va": "top", "transform": ax.transAxes}
        ax.text(0.5, -0.03, plain(tile.remark, 100, 27), fontsize=8.5, color=GREY, **place)
    figure.suptitle(title)
    footnote(figure, source)
    return figure
