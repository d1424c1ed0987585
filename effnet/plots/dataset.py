"""Figure 13, and the sizes of images and boxes (thesis section 3).

`annotations` is the DataFrame of `effnet.datasets.layouts.read_annotations`, or of
`effnet.thesis.annotations`.
"""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from effnet.datasets.normalisation import per_image
from effnet.plots.dataset_tables import BINS, class_counts, outliers
from effnet.plots.gallery import FROM_ZERO, MOST_NAMED
from effnet.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    footnote,
    hide_axes,
    new_figure,
    plain,
    styled,
)

MOST_DOTS = 400  # more points than these are counted in cells
CELLS = LinearSegmentedColormap.from_list("cells", ["#C3DDEE", BLUE, "#00263D"])
GREYS = LinearSegmentedColormap.from_list("greys", ["#E2E2E2", GREY])
NUMBERS = StrMethodFormatter("{x:,.0f}")


@styled
def distribution(annotations: pd.DataFrame, published: pd.DataFrame | None = None) -> Figure:
    """Figure 13: how many classes of `annotations` have how many images, outliers named.

    `published`: the bars of the thesis's figure (`left`, `right`, `n_classes`), drawn over these,
    which then are 30 equal ones, too; else a bar is a whole number of images wide. A class is an
    outlier beyond three interquartile ranges.
    """
    counts = class_counts(annotations)
    smallest, largest = counts["images"].min(), counts["images"].max()
    step = (largest - smallest) // BINS + 1
    bins = BINS if published is not None else np.arange(smallest, largest + step + 1, step) - 0.5
    heights, edges = np.histogram(counts["images"], bins=bins)
    figure, ax = new_figure(height=4.2)
    ax.bar(
        edges[:-1],
        heights,
        np.diff(edges),
        align="edge",
        color=SKY,
        edgecolor="white",
        label="counted here, in the published annotations",
    )
    if published is not None:
        steps = np.append(published["left"], published["right"].iloc[-1])
        ax.stairs(published["n_classes"], steps, color=BLACK, lw=1.6, label="the thesis's figure")
        ax.legend(loc="upper right", reverse=True)
    ax.margins(x=0.03)
    ax.set(xlabel="images per class (training and test)", ylabel="classes")
    ax.yaxis.get_major_locator().set_params(integer=True)
    middle = sum(ax.get_xlim()) / 2
    for i, row in enumerate(outliers(counts).itertuples()):
        bar = heights[min(np.searchsorted(edges, row.images, "right"), len(heights)) - 1]
        ax.annotate(
            f"{plain(row.class_name, 40)} (class {row.class_id}):\n{row.images} images",
            xy=(row.images, bar),
            xytext=(row.images, (0.4 + 0.15 * i % 0.45) * heights.max()),
            ha="right" if row.images > middle else "center",
            arrowprops={"arrowstyle": "->", "color": GREY},
        )
    ax.set_title("Images per class")
    wide = f"{BINS} equal bins" if published is not None else f"bins of {step}"
    footnote(
        figure,
        f"{len(annotations):,} images, {len(counts)} classes of {smallest} to {largest} images; "
        f"{wide}; {FROM_ZERO}",
    )
    return figure


@styled
def own_class_counts(annotations: pd.DataFrame, source: str) -> Figure:
    """How many images the classes of a profile's data have: by name, or a histogram of many."""
    counts = class_counts(annotations)
    if len(counts) > MOST_NAMED:
        figure = distribution(annotations)
        figure.axes[0].set_title(f"Images per class, {source}")
        return figure
    figure, ax = new_figure(height=1.4 + 0.27 * len(counts))
    places = np.arange(len(counts))
    ax.barh(places, counts["train"], color=BLUE, label="training")
    ax.barh(places, counts["test"], left=counts["train"], color=SKY, label="test")
    names = [plain(f"{c.class_id}: {c.class_name}", 44) for c in counts.itertuples()]
    ax.set_yticks(places, names)
    ax.set(xlabel="images", ylim=(len(counts) - 0.4, -0.6), title="Images per class")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(False, axis="y")
    ax.legend(loc="best", frameon=True)
    footnote(figure, f"{len(annotations):,} images: {source}; {FROM_ZERO}")
    return figure


@styled
def image_sizes(sizes: pd.DataFrame, resolution: int, source: str) -> Figure:
    """Width against height of the images (`width`, `height`, pixels), and their aspect ratios.

    `resolution` is the side of the square that all of them are resized to.
    """
    figure, (left, right) = new_figure(1, 2, height=3.9)
    _cloud(left, sizes["width"], sizes["height"], "images")
    seen = f"{resolution} x {resolution}, what the network sees"
    left.plot(resolution, resolution, "s", color=VERMILLION, ms=8, ls="", label=seen)
    left.legend(loc="upper left", frameon=True)
    left.set(xlabel="width (pixels)", ylabel="height (pixels)", title="Sizes of the image files")
    _histogram(right, sizes["width"] / sizes["height"], "width : height", "images")
    right.axvline(1, color=VERMILLION, label="1, what the network sees")
    right.legend(loc="best", frameon=True)
    right.set_title("Aspect ratios")
    footnote(figure, f"{len(sizes):,} training images: {source}")
    return figure


@styled
def box_sizes(
    annotations: pd.DataFrame, sizes: pd.DataFrame | None = None, source: str = ""
) -> Figure:
    """Sizes of the annotated boxes; with `sizes` (`path`, `width`, `height`) of those images alone,
    and their share of them.
    """
    boxes = annotations.dropna(subset=["x1", "y1", "x2", "y2"])
    if sizes is not None:
        boxes = boxes.merge(sizes, on="path", validate="1:1")
    figure, (left, right) = new_figure(1, 2, height=3.9)
    if boxes.empty:
        left.text(0.5, 0.5, "This data set has no boxes.", ha="center", transform=left.transAxes)
        hide_axes([left, right])
        return figure
    # Pixels count from 1 and the last row and column belong to the box.
    width, height = boxes["x2"] - boxes["x1"] + 1, boxes["y2"] - boxes["y1"] + 1
    _cloud(left, width, height, "boxes")
    left.set(xlabel="box width (pixels)", ylabel="box height (pixels)", title="Sizes of the boxes")
    if sizes is None:
        _histogram(right, width / height, "box width : height", "boxes")
        right.set_title("Aspect ratios of the boxes")
    else:
        share = 100 * width * height / (boxes["width"] * boxes["height"])
        _histogram(right, share, "share of the image's area (%)", "boxes")
        right.set_title("How much of its image a box covers")
    footnote(figure, f"{len(boxes):,} boxes{source and f': {source}'}")
    return figure


@styled
def image_statistics(sums: pd.DataFrame, statistics: pd.DataFrame, source: str) -> Figure:
    """Mean and deviation of each image, and what both ways of averaging make of them.

    sums: of `effnet.datasets.normalisation.image_sums`. statistics: `normalisation_table`'s.
    """
    table = statistics.set_index("channel")
    figure, axes = new_figure(1, 3, height=4.1, sharex=True, sharey=True)
    marks = (
        ("mean_pooled", "std_pooled", BLUE, "s", "here, over all pixels"),
        (
            "mean_per_image",
            "std_per_image",
            GREEN,
            "o",
            "here, mean over images (the thesis's way)",
        ),
        (
            "thesis_mean",
            "thesis_std",
            VERMILLION,
            "X",
            "the thesis's constants, of its photographs",
        ),
    )
    for ax, channel in zip(axes, ("red", "green", "blue"), strict=True):
        one, other = per_image(sums, channel)
        _cloud(ax, pd.Series(one), pd.Series(other), grey=True)
        for mean, deviation, colour, marker, label in marks:
            row = table.loc[channel]
            ax.plot(row[mean], row[deviation], marker, color=colour, ms=7, mec="white", label=label)
        ax.set(title=channel, xlabel="mean (of 1)")
    axes[0].set_ylabel("standard deviation (of 1)")
    handles, labels = axes[0].get_legend_handles_labels()
    handles.insert(0, Line2D([], [], marker="h", ls="", color=GREY))
    labels.insert(0, "images here (darker: more)" if len(sums) > MOST_DOTS else "an image here")
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    footnote(figure, f"{len(sums):,} images: {source}")
    return figure


def _cloud(ax: Axes, x: pd.Series, y: pd.Series, what: str = "", grey: bool = False) -> None:
    """Points, or where they are many, how many (of `what`) lie in each cell.

    Both axes are logarithmic, with plain numbers, where a few values dwarf the others.
    """
    scale: Literal["linear", "log"] = "log" if x.max() > 8 * x.median() else "linear"
    if len(x) <= MOST_DOTS:
        ax.scatter(x, y, s=14, alpha=0.5, color=GREY if grey else BLUE, linewidths=0)
        ax.set(xscale=scale, yscale=scale)
    else:
        cells = ax.hexbin(
            x, y, gridsize=30, bins="log", mincnt=1, xscale=scale, yscale=scale, linewidths=0.1,
            cmap=GREYS if grey else CELLS,
        )  # fmt: skip
        if what:
            ticks = [n for n in (1, 10, 100, 1000) if n <= np.asarray(cells.get_array()).max()]
            bar = ax.figure.colorbar(cells, ax=ax, label=f"{what} in a cell", ticks=ticks)
            bar.ax.set(yticklabels=[f"{n:,}" for n in ticks])
            bar.minorticks_off()
    for axis in (ax.xaxis, ax.yaxis) if scale == "log" else ():
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(NUMBERS)
        axis.set_minor_formatter(NullFormatter())


def _histogram(ax: Axes, values: pd.Series, label: str, what: str) -> None:
    bins = min(40, 10 + len(values) // 50)
    ax.hist(values, bins=bins, color=BLUE, edgecolor="white", linewidth=0.4)
    ax.axvline(values.median(), color=ORANGE, linestyle="--", label=f"median {values.median():.3g}")
    ax.legend(loc="best")
    ax.set(xlabel=label, ylabel=what)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(NUMBERS)
    ax.margins(y=0.25)  # for the legend
