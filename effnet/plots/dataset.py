"""Figures 12 and 13, and the sizes of images and boxes (thesis section 3).

`annotations` is the DataFrame of `effnet.datasets.layouts.read_annotations`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from PIL import Image, ImageDraw, ImageFont, ImageOps

from effnet.datasets.images import UnreadableImage, decode
from effnet.datasets.normalisation import per_image
from effnet.errors import EffnetError
from effnet.plots.dataset_tables import BINS, class_counts, outliers
from effnet.plots.style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    VERMILLION,
    WIDTH,
    footnote,
    hide_axes,
    new_figure,
    plain,
    styled,
)


@styled
def montage(data_dir: str | Path, annotations: pd.DataFrame, width: int = 180) -> Figure:
    """Figure 12: the first training image of every class, in class order from the top left.

    Tiles are `width` pixels wide and 5 : 3, the middle of the photograph. Up to 40 classes carry
    their names; more carry their ids and fill one mosaic.
    """
    rows = annotations.sort_values(["class_id", "split"], ascending=[True, False], kind="stable")
    rows = rows.drop_duplicates("class_id")  # "train" sorts before "test" when descending
    size = (width, width * 3 // 5)
    pictures = [_picture(Path(data_dir), path, size) for path in rows["path"]]
    title = f"One training image of each of the {len(rows)} classes"
    if len(rows) > 40:
        mosaic = _mosaic(pictures, rows["class_id"].tolist())
        figure, ax = new_figure(height=WIDTH * mosaic.height / mosaic.width + 0.4)
        ax.imshow(mosaic, interpolation="lanczos")
        ax.set_title(title)
        hide_axes(ax)
        return figure
    columns = 4 if len(rows) <= 16 else 5
    lines = -(-len(rows) // columns)
    figure, axes = new_figure(lines, columns, height=1.72 * lines + 0.4, squeeze=False)
    hide_axes(axes)
    for ax, picture, name in zip(axes.flat, pictures, rows["class_name"], strict=False):
        ax.imshow(picture, interpolation="lanczos")
        name = plain(name, wrap=115 // columns)
        ax.text(0.5, -0.05, name, fontsize=9, ha="center", va="top", transform=ax.transAxes)
    figure.suptitle(title)
    return figure


@styled
def distribution(
    annotations: pd.DataFrame, published: pd.DataFrame | None = None, source: str = ""
) -> Figure:
    """Figure 13: how many classes have how many images, in 30 equal bins, outliers named.

    `published`: the bars of the thesis's figure (`left`, `right`, `n_classes`), drawn over ours,
    or beside them where the data hold only some of its classes. A class is an outlier beyond
    three interquartile ranges.
    """
    counts = class_counts(annotations)
    beside = published is not None and len(counts) < published["n_classes"].sum()
    figure, axes = new_figure(1, 1 + beside, height=4.2, squeeze=False)
    ax = axes[0, 0]
    heights, edges = np.histogram(counts["images"], bins=BINS)
    width = np.diff(edges)
    ax.bar(edges[:-1], heights, width, align="edge", color=BLUE, edgecolor="white", label="here")
    if published is not None:
        steps = np.append(published["left"], published["right"].iloc[-1])
        bars = {"color": VERMILLION, "linewidth": 2, "label": "thesis"}
        axes[0, -1].stairs(published["n_classes"], steps, **bars)
        axes[0, -1].legend(loc="upper left")
    if published is not None and beside:
        axes[0, 1].set_title(f"Thesis: all {published['n_classes'].sum()} classes")
    for panel in axes.flat:
        panel.margins(x=0.03)
        panel.set(xlabel="images per class (train and test)", ylabel="classes")
        panel.yaxis.get_major_locator().set_params(integer=True)
    middle = sum(ax.get_xlim()) / 2
    for i, row in enumerate(outliers(counts).itertuples()):
        bar = heights[min(np.searchsorted(edges, row.images, "right"), BINS) - 1]
        ax.annotate(
            f"{plain(row.class_name, 40)} (class {row.class_id}):\n{row.images} images",
            xy=(row.images, bar),
            xytext=(row.images, (0.5 + 0.15 * i % 0.45) * heights.max()),
            ha="right" if row.images > middle else "center",
            arrowprops={"arrowstyle": "->", "color": GREY},
        )
    ax.set_title(f"Images per class{source and f', {plain(source)}'}")
    smallest, largest = counts["images"].min(), counts["images"].max()
    footnote(
        figure,
        f"{len(annotations):,} images, {len(counts)} classes of {smallest} to {largest} images; "
        f"{BINS} equal bins",
    )
    return figure


@styled
def image_sizes(sizes: pd.DataFrame, resolution: int) -> Figure:
    """Width against height of the images (`width`, `height`, pixels), and their aspect ratios.

    `resolution` is the side of the square that all of them are resized to.
    """
    figure, (left, right) = new_figure(1, 2, height=3.9)
    left.scatter(sizes["width"], sizes["height"], s=14, alpha=0.35, color=BLUE, linewidths=0)
    left.scatter(
        resolution,
        resolution,
        marker="s",
        s=60,
        color=VERMILLION,
        label=f"{resolution} x {resolution}, what the network sees",
    )
    left.legend(loc="best", frameon=True)
    _log_when_wide(left, sizes["width"])
    left.set(xlabel="width (pixels)", ylabel="height (pixels)", title="Original sizes")
    _histogram(right, sizes["width"] / sizes["height"], "width : height")
    right.axvline(1, color=VERMILLION)
    right.set_title("Aspect ratios; resizing makes all of them 1")
    return figure


@styled
def box_sizes(annotations: pd.DataFrame, sizes: pd.DataFrame | None = None) -> Figure:
    """Sizes of the annotated boxes; with `sizes` (`path`, `width`, `height`) their share too."""
    boxes = annotations.dropna(subset=["x1", "y1", "x2", "y2"])
    figure, (left, right) = new_figure(1, 2, height=3.9)
    if boxes.empty:
        left.text(0.5, 0.5, "This data set has no boxes.", ha="center", transform=left.transAxes)
        hide_axes([left, right])
        return figure
    # Pixels count from 1 and the last row and column belong to the box.
    width, height = boxes["x2"] - boxes["x1"] + 1, boxes["y2"] - boxes["y1"] + 1
    left.scatter(width, height, s=10, alpha=0.25, color=BLUE, linewidths=0)
    _log_when_wide(left, width)
    left.set(xlabel="box width (pixels)", ylabel="box height (pixels)", title="Boxes")
    if sizes is None:
        _histogram(right, width / height, "box width : height")
        right.set_title("Aspect ratios of the boxes")
    else:
        joined = boxes.assign(area=width * height).merge(sizes, on="path", validate="1:1")
        share = 100 * joined["area"] / (joined["width"] * joined["height"])
        _histogram(right, share, "share of the image's area (%)")
        right.set_title("How much of its image a box covers")
    footnote(figure, f"{len(boxes):,} boxes")
    return figure


@styled
def image_statistics(sums: pd.DataFrame, statistics: pd.DataFrame) -> Figure:
    """Mean and deviation of each image, and what both ways of averaging make of them.

    sums: of `effnet.datasets.normalisation.image_sums`. statistics: `normalisation_table`'s.
    """
    table = statistics.set_index("channel")
    figure, axes = new_figure(1, 3, height=3.9, sharex=True, sharey=True)
    for ax, channel in zip(axes, ("red", "green", "blue"), strict=True):
        mean, deviation = per_image(sums, channel)
        ax.plot(mean, deviation, ".", color=LIGHT, ms=4, zorder=1, label="an image")
        row = table.loc[channel]
        for kind, colour, marker, label in (
            ("pooled", BLUE, "s", "over all pixels"),
            ("per_image", GREEN, "o", "mean over images"),
        ):
            ax.plot(row[f"mean_{kind}"], row[f"std_{kind}"], marker, color=colour, label=label)
        ax.plot(row["thesis_mean"], row["thesis_std"], "X", color=VERMILLION, label="thesis")
        ax.set(title=channel, xlabel="mean (of 1)")
    axes[0].set_ylabel("standard deviation (of 1)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def _log_when_wide(ax: Axes, values: pd.Series) -> None:
    """Both axes logarithmic, with plain numbers, where a few values dwarf the others."""
    if values.max() > 8 * values.median():
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _histogram(ax: Axes, values: pd.Series, label: str) -> None:
    ax.hist(values, bins=40, color=BLUE, edgecolor="white", linewidth=0.4)
    ax.axvline(values.median(), color=ORANGE, linestyle="--", label=f"median {values.median():.3g}")
    ax.legend(loc="best")
    ax.set(xlabel=label, ylabel="images")


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
