"""The look that all figures share: colours, font sizes, and how a figure is made.

Makers in `effnet.plots` are pure: they take data and return a `matplotlib.figure.Figure` that no
pyplot state knows of, so nothing stays open and nothing has to be closed.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from textwrap import fill
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

# The eight colours of Okabe and Ito (2008), told apart with every kind of colour blindness.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, LIGHT = "#6E6E6E", "#D9D9D9"
COLOURS = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK]

# Meanings, so that a colour says the same in every figure.
TRAIN, VALIDATION = BLUE, VERMILLION
PUBLISHED, OURS = GREY, BLUE
KEPT = "kept"  # gid of what tells values by light and dark: a dark page leaves it as it is
WIDTH = 9.0  # inches; a page shows a figure about 850 px wide, so 10 pt stay legible

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "figure.titlesize": 13,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "image.interpolation": "nearest",
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(maker: Callable[P, R]) -> Callable[P, R]:
    """Decorator of makers: the shared style holds while the figure is drawn, and only then."""

    @wraps(maker)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
            return maker(*args, **kwargs)

    return wrapper


def new_figure(
    rows: int = 1,
    columns: int = 1,
    width: float = WIDTH,
    height: float | None = None,
    **subplots: Any,
) -> tuple[Figure, Any]:
    """A figure with `rows` x `columns` axes, laid out so that labels do not overlap.

    Sizes in inches; without a height a panel is about 5 : 3.5. Further arguments go to
    `Figure.subplots` (`sharex`, `squeeze`, `width_ratios`, `gridspec_kw`, ...). Returns
    `(figure, axes)` like `pyplot.subplots`. Call it inside a maker decorated with `styled`.
    """
    if height is None:
        height = max(2.2, 0.7 * width / columns) * rows
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **subplots)


def hide_axes(axes: Axes | Iterable[Axes]) -> None:
    """Take frame, ticks and grid away: for pictures, drawings and unused panels."""
    for ax in np.atleast_1d(np.asarray(axes, dtype=object)).ravel():
        ax.set_axis_off()


def show_image(ax: Axes, image: np.ndarray, title: str = "", **kwargs: Any) -> None:
    """Draw an image (H, W), (H, W, 1) or (H, W, 3), uint8 or floats from 0 to 1, without axes."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 2:
        limits = {"vmin": 0, "vmax": 255 if image.dtype == np.uint8 else 1}
        kwargs = {"cmap": "gray", **limits, **kwargs}
    ax.imshow(image, **kwargs)
    if title:
        ax.set_title(title)
    hide_axes(ax)


def draw_cells(ax: Axes, values: np.ndarray, **colours: Any) -> Any:
    """A matrix (rows, columns) as coloured cells around whole numbers, row 0 on top, NaN left out.

    Drawn as paths: a vector file stays one. `colours` go to `pcolormesh`, whose mesh is returned.
    Words in the cells bear the gid `KEPT`, as the cells do.
    """
    rows, columns = values.shape
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    mesh = ax.pcolormesh(*edges, np.ma.masked_invalid(values), ec="white", lw=0.8, **colours)
    mesh.set_gid(KEPT)
    ax.set_ylim(rows - 0.5, -0.5)
    ax.grid(False)
    return mesh


def keep_scale(bar: Colorbar) -> None:
    """The colours of a scale are marked as the cells are that it is of."""
    assert bar.solids is not None
    bar.solids.set_gid(KEPT)


def plain(text: object, longest: int = 60, wrap: int = 0) -> str:
    """Text of the data (a class, a run, a file) as a figure can show it.

    One line of at most `longest` characters, broken into lines of `wrap` characters where that is
    given. Control characters become spaces; a dollar sign begins no formula, which matplotlib
    would refuse to draw where it is none.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return (fill(line, wrap) if wrap else line).replace("$", r"\$")


def spread(
    values: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Where labels go that would stand at the rising `values` of an axis, but lie on each other.

    Their centres in the same order, from `low` to `high`, without overlap: neighbours push each
    other apart, time and again. All in units of the axis.
    """
    centres = np.array(values, dtype=float)
    room = (np.array(heights[1:]) + heights[:-1]) / 2
    for _ in range(1000):
        for i, needed in enumerate(room):
            push = max(0.0, needed - (centres[i + 1] - centres[i])) / 2
            centres[i], centres[i + 1] = centres[i] - push, centres[i + 1] + push
        centres[0] = max(centres[0], low + heights[0] / 2)
        centres[-1] = min(centres[-1], high - heights[-1] / 2)
    return list(centres)


def titled_legend(figure: Figure, title: str, handles: Sequence[Any], ncols: int) -> None:
    """A figure's title, and under it one legend of all panels in `ncols` columns.

    Both stand above the panels, where matplotlib would put one on the other: the title keeps empty
    lines for the legend.
    """
    rows = -(-len(handles) // ncols)
    figure.suptitle(title + "\n " * rows)
    figure.legend(handles=handles, loc="outside upper center", ncols=ncols, borderaxespad=2.6)


def footnote(figure: Figure, text: str) -> None:
    """A line of small print under the panels: conditions, sample sizes, sources."""
    figure.supxlabel(text, fontsize=8.5, color=GREY)
