"""Values that a reader of an SVG sees under the pointer, without any script.

Points of labelled curves are made findable before a figure is drawn; afterwards they, and every
artist whose gid begins with `title:`, get a `<title>`, which browsers show on hover.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from xml.sax.saxutils import escape

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import IdentityTransform

from effnet.plots.style import KEPT

FEWEST, MOST = 3, 400  # points of a curve that is labelled point by point
GROUP = re.compile(r'<g id="points:(\d+)">(.*?</g>)\s*</g>', re.DOTALL)
USE = re.compile(r'<use\b[^>]* x="([^"]+)" y="([^"]+)"')
TITLED = re.compile(r'<g id="title:([^"]*)">')


@contextmanager
def points_of_curves(figure: Figure) -> Iterator[list[list[str]]]:
    """Within it every labelled curve has an unseen point at each of its values.

    Yields the points' texts, a list for each curve; `titled` puts them into the drawn SVG.
    """
    texts: list[list[str]] = []
    added = []
    for ax in figure.axes:
        for line in [line for line in ax.get_lines() if _is_curve(line)]:
            points = _unseen(ax, line)
            points.set_gid(f"points:{len(texts)}")
            texts.append(_texts(ax, line))
            added.append(points)
    try:
        yield texts
    finally:
        for points in added:
            points.remove()


def titled(svg: str, texts: list[list[str]]) -> str:
    """The SVG with a `<title>` at each unseen point, and wherever a gid asks for one."""

    def points(group: re.Match[str]) -> str:
        places = USE.findall(group[2])
        circles = "".join(
            f'<circle cx="{x}" cy="{y}" r="4" fill="none"><title>{escape(text)}</title></circle>'
            for (x, y), text in zip(places, texts[int(group[1])], strict=False)
        )
        return f'<g class="points">{circles}</g>'

    svg = GROUP.sub(points, svg).replace(f'<g id="{KEPT}">', f'<g class="{KEPT}">')
    return TITLED.sub(r'<g class="titled"><title>\1</title>', svg)


def _is_curve(line: Line2D) -> bool:
    label = str(line.get_label())
    count = len(line.get_xdata())  # type: ignore[arg-type]
    return not label.startswith("_") and FEWEST <= count <= MOST


def _unseen(ax: Axes, line: Line2D) -> PathCollection:
    marker = MarkerStyle("o")
    points = PathCollection(
        [marker.get_path().transformed(marker.get_transform())],
        [16],
        offsets=line.get_xydata(),
        offset_transform=line.get_transform(),
        facecolors=[(0, 0, 0, 0)],
        edgecolors="none",
    )
    points.set_transform(IdentityTransform())
    points.set_in_layout(False)
    points.set_zorder(9)
    ax.add_collection(points, autolim=False)
    return points


def _texts(ax: Axes, line: Line2D) -> list[str]:
    across = ax.get_xlabel() or "at"
    places = np.asarray(line.get_xydata(), dtype=float)
    label = str(line.get_label()).replace("\\$", "$")
    return [f"{label}, {across} {x:g}: {y:.4g}" for x, y in places]
