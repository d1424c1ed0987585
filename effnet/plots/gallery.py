"""Pictures of a data set side by side: one of each class (figure 12), or some with remarks."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont, ImageOps

from effnet.datasets.images import UnreadableImage, decode
from effnet.errors import EffnetError
from effnet.plots.style import GREY, WIDTH, footnote, hide_axes, new_figure, plain, styled

COLUMNS = 4
FROM_ZERO = "class ids count from 0"
MOST_NAMED = 40  # classes that a figure can show by name


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


@styled
def montage(data_dir: str | Path, annotations: pd.DataFrame, width: int = 180) -> Figure:
    """Figure 12: the first training image of every class, in class order from the top left.

    Tiles are `width` pixels wide and 5 : 3, the middle of the photograph. Up to 40 classes carry
    their ids and names; more carry their ids and fill one mosaic.
    """
    rows = annotations.sort_values(["class_id", "split"], ascending=[True, False], kind="stable")
    rows = rows.drop_duplicates("class_id")  # "train" sorts before "test" when descending
    size = (width, width * 3 // 5)
    pictures = [_picture(Path(data_dir), path, size) for path in rows["path"]]
    title = f"One training image of each of the {len(rows)} classes"
    if len(rows) > MOST_NAMED:
        mosaic = _mosaic(pictures, rows["class_id"].tolist())
        figure, ax = new_figure(height=WIDTH * mosaic.height / mosaic.width + 0.6)
        ax.imshow(mosaic, interpolation="lanczos")
        ax.set_title(title)
        hide_axes(ax)
        footnote(figure, FROM_ZERO)
        return figure
    columns = 4 if len(rows) <= 16 else 5
    lines = -(-len(rows) // columns)
    figure, axes = new_figure(lines, columns, height=1.72 * lines + 0.6, squeeze=False)
    hide_axes(axes)
    for ax, picture, row in zip(axes.flat, pictures, rows.itertuples(), strict=False):
        ax.imshow(picture, interpolation="lanczos")
        name = plain(f"{row.class_id}: {row.class_name}", wrap=115 // columns)
        ax.text(0.5, -0.05, name, fontsize=9, ha="center", va="top", transform=ax.transAxes)
    figure.suptitle(title)
    footnote(figure, FROM_ZERO)
    return figure


def _picture(data_dir: Path, path: str, size: tuple[int, int]) -> Image.Image:
    try:
        return ImageOps.fit(decode(data_dir / path), size)
    except UnreadableImage as error:
        raise EffnetError(f"{path} in {data_dir} cannot be read: {error}.") from error


def _mosaic(pictures: list[Image.Image], ids: list[int]) -> Image.Image:
    """Pictures side by side, as wide as high in tiles, the class id in each corner."""
    columns = int(np.ceil(np.sqrt(len(pictures))))
    width, height = pictures[0].size
    canvas = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), "white")
    font = ImageFont.load_default(size=width * 0.15)
    for i, (picture, class_id) in enumerate(zip(pictures, ids, strict=True)):
        draw = ImageDraw.Draw(picture)
        draw.text((3, 1), str(class_id), "white", font, stroke_width=3, stroke_fill="black")
        canvas.paste(picture, (i % columns * width, i // columns * height))
    return canvas
